#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/vector.hpp"
#include "core/budget/waiter.hpp"
#include "core/context/node.hpp"
#include "outlay/budget.hpp"

namespace outlay::detail {

/// A place in the line of a budget. Guarded by the tree's lock.
struct Ticket {
  BudgetNode* at = nullptr;  // null: in no line
  Ticket* previous = nullptr;
  Ticket* next = nullptr;
  Ticket* previous_in_tree = nullptr;
  Ticket* next_in_tree = nullptr;
  bool signalled = false;
  std::shared_ptr<Waiter> waiter;
};

/// A threshold of notify_at: the fraction, and in each dimension the spent amount that reaches it.
struct Threshold {
  double fraction = 0;
  Vector at{};
};

class SharedCounter;
class StoreQueue;

/// What `spent` has to reach for a fraction of notify_at, in each dimension; no_cap where nothing can reach it.
[[nodiscard]] Vector threshold_amounts(double fraction, const Vector& caps) noexcept;

/// A budget scope and its counters.
///
/// All budgets below one outermost budget share that one's lock: a call is checked and reserved in its whole chain in one step.
/// Members marked (lock) are guarded by it.
///
/// One with a window keeps its counter in a store, under its name, instead of here: then `used` and `held` are what was last known of it.
struct BudgetNode final : AttributedNode {
  BudgetNode(BudgetOptions&& options, BudgetNode* enclosing);
  ~BudgetNode() override;

  BudgetNode* const outer;  // next enclosing budget; alive through Node::parent
  BudgetNode* const root;   // outermost; its mutex is the tree's

  // What a newcomer cannot pass whatever the amounts.
  static constexpr std::uint32_t gate_waiting = 1, gate_closed = 2;

  std::mutex mutex;        // of the root alone
  std::uint32_t gate = 0;  // (lock)
  Vector used{};           // (lock) spent + reserved
  Vector held{};           // (lock) reserved
  Vector cap;              // (lock) no_cap where there is none

  // Over this budget and all that enclose it; fixed when it opens.
  const std::uint32_t depth;
  std::int64_t output_reserve, reasoning_reserve;
  bool reserve_set = false;  // somebody has chosen output_reserve
  Unbounded unbounded;
  bool usd_capped;
  Unpriced unpriced;  // strictest of those with a cap on money

  const std::string name;
  const std::string description;
  const Policies policies;
  const Window window;
  std::shared_ptr<Store> store;           // null without a window
  std::shared_ptr<SharedCounter> shared;  // the same
  StoreQueue* chain_store = nullptr;      // of this budget or one that encloses it; there is at most one
  const std::vector<double> notify_at;    // with a window; the store says when they are reached
  bool has_clamp = false;
  bool enforcing = true;  // no policy lets calls through on purpose (a callback may; it is asked)
  bool has_raise = false;
  bool only_block = true;  // neither this budget nor one that encloses it has another policy

  std::vector<Threshold> thresholds;  // (lock) ascending; those that have fired are gone
  Ticket* first_waiting = nullptr;    // (lock)
  Ticket* last_waiting = nullptr;     // (lock)
  Ticket* first_ticket = nullptr;     // (lock) of the root: everybody who waits in the tree
  std::atomic<bool> truncated{false};
  mutable std::atomic<bool> said_warn{false};

  [[nodiscard]] std::unique_lock<std::mutex> lock_tree() const { return std::unique_lock(root->mutex); }
  [[nodiscard]] const std::vector<Policy>* chain() const noexcept { return policies.chain(); }
  /// (lock) Somebody waits, or the budget is closed, here or further out.
  [[nodiscard]] bool any_gate() const noexcept { return gate != 0 || (outer && outer->any_gate()); }
  [[nodiscard]] std::int64_t spent(std::size_t d) const noexcept { return used[d] - held[d]; }
  [[nodiscard]] std::string path() const;
  [[nodiscard]] std::string shown_name() const { return name.empty() ? "(unnamed)" : name; }
  void recompute_threshold_amounts();
};

/// The policies of a budget, checked when it is made. Throws ConfigError.
void validate(const BudgetOptions& options, class Books& books, const BudgetNode* enclosing);

void enqueue(BudgetNode& budget, Ticket& ticket) noexcept;  // (lock)
void dequeue(Ticket& ticket) noexcept;                      // (lock)
/// Signals the first in line, unless it has been; its waiter goes to `wakes`, to be woken after the lock is gone.
void signal_first(BudgetNode& budget, std::vector<std::shared_ptr<Waiter>>& wakes) noexcept;  // (lock)

}  // namespace outlay::detail
