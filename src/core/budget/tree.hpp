#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/budget/counter.hpp"
#include "core/budget/line.hpp"
#include "core/budget/outside_counter.hpp"
#include "core/budget/terms.hpp"
#include "core/budget/thresholds.hpp"
#include "core/context/node.hpp"
#include "outlay/budget.hpp"

namespace outlay::detail {

struct OnlyFor;

/// What a budget's policies make of it. Fixed when it opens.
struct PolicySummary {
  /// \param only_blocks_around No budget around it has another policy than Block.
  PolicySummary(const Policies& policies, bool only_blocks_around) noexcept;

  bool clamps = false;         // it has a Clamp
  bool enforces = true;        // no policy lets calls through on purpose; a callback may, and is asked
  bool raises = false;         // it has a Raise
  bool waits = false;          // it has a Wait
  bool opens_at_once = false;  // its first policy lets calls through
  bool only_blocks = true;     // neither it nor a budget around it has another policy than Block
};

/// A budget scope.
///
/// All budgets below one outermost budget share that one's lock: a call is decided and held in its whole chain in one step. Members
/// marked (lock) are guarded by it; the others are fixed when the budget opens.
struct BudgetNode final : AttributedNode, PolicySummary {
  /// \param books Of its ledger: their store is that of a window without one of its own.
  BudgetNode(BudgetOptions&& options, BudgetNode* enclosing, const Books& books);
  ~BudgetNode() override;

  BudgetNode* const outer;  // next enclosing budget; alive through Node::parent
  BudgetNode* const root;   // outermost; its mutex is the tree's
  const std::uint32_t depth;

  std::mutex mutex;          // of the root alone
  const Vector opened_caps;  // as its options said; `counter` has those that hold
  bool closed = false;       // (lock) to new calls
  Line line;                 // (lock)
  WaitingCalls waiting;      // (lock) of the root: every call that waits in the tree
  Counter counter;           // (lock) of a budget that counts in a store, its caps alone
  Thresholds thresholds;     // (lock) of a budget that counts here

  const Terms terms;  // of this budget and all that enclose it
  const std::string name;
  const std::string description;
  const Policies policies;
  const Window window;
  /// Where the counter is, if it is not here. Null without a window.
  const std::shared_ptr<OutsideCounter> outside;
  /// Of `outside`, or of a budget that encloses this one; null where no budget of the chain counts in a store. There is at most one.
  const std::shared_ptr<Store> store;
  const std::vector<double> notify_at;  // of a budget with a window: its store says when they are reached

  /// Of a rule that matches by model or provider: a call to another model does not count here. Null: every call does.
  std::shared_ptr<const OnlyFor> only_for{};

  mutable std::atomic<bool> truncated{false};
  mutable std::atomic<bool> said_warn{false};

  [[nodiscard]] std::unique_lock<std::mutex> lock_tree() const { return std::unique_lock(root->mutex); }
  /// Empty: Block alone.
  [[nodiscard]] std::span<const Policy> policy_list() const noexcept {
    const std::vector<Policy>* chain = policies.chain();
    return chain ? std::span<const Policy>(*chain) : std::span<const Policy>();
  }
  /// (lock) Conditions that block admission whatever the amounts.
  [[nodiscard]] bool gated() const noexcept { return closed || !line.empty(); }
  [[nodiscard]] std::string path() const;
  [[nodiscard]] std::string shown_name() const { return name.empty() ? "(unnamed)" : name; }
};

/// The options of a budget, checked when it is made. Throws ConfigError.
void validate(const BudgetOptions& options, class Books& books, const BudgetNode* enclosing);

// Counting in a chain of budgets, under the tree's lock. Budgets whose counter is in a store are left out: SharedClaim has them.

/// Whether a call fits in every budget as it is, without asking a policy.
[[nodiscard]] bool fits_chain(const BudgetNode& innermost, const Vector& need) noexcept;
void hold_in_chain(BudgetNode& innermost, const Vector& more) noexcept;

}  // namespace outlay::detail
