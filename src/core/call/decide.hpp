#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/budget/counter.hpp"
#include "core/call/quote.hpp"
#include "outlay/policy.hpp"
#include "outlay/record.hpp"

namespace outlay::detail {

struct BudgetNode;
struct OnlyFor;

/// Where the numbers of a budget come from, as far as a call knows.
enum class Source : std::uint8_t {
  here,      ///< Its tree.
  unasked,   ///< A store that has not been asked about this call: it will say whether there is room.
  answered,  ///< A store that had no room, and reported its numbers.
  granted,   ///< A store that holds the call's amounts already.
};

/// A budget as one decision sees it: pointers that are valid while the tree's lock is held.
struct BudgetView {
  const BudgetNode* budget = nullptr;  // which one it is; decide() never looks into it
  const Counter* counter = nullptr;
  std::span<const Policy> policies{};  // none: Block
  /// How long until its window turns; max: never.
  std::chrono::nanoseconds turns_in = std::chrono::nanoseconds::max();
  Source source = Source::here;
  /// Of the counter's caps those that are set in its store; null where it has not said.
  const Vector* set_caps = nullptr;
  const OnlyFor* only_for = nullptr;  // the models that count here; null: every one
  bool enforces = true;               // no policy of it lets calls through on purpose
  bool clamps = false;                // it has a Clamp
  bool opens_at_once = false;         // its first policy lets calls through
  bool closed = false;                // to new calls
  bool line_ahead = false;            // other calls wait there, and this one is not the first
  bool in_callback = false;           // its callback runs on this thread: it acts as Block
};
/// Innermost first.
using ChainView = std::span<const BudgetView>;

/// Models that policies may choose, found before the lock is taken.
class Models {
 public:
  void add(Model model) { known_.push_back(model); }
  [[nodiscard]] const Model* find(std::string_view name) const noexcept;

 private:
  std::vector<Model> known_;
};

/// What the program answered when it was asked.
struct Answer {
  const BudgetNode* budget = nullptr;
  std::size_t policy = 0;  // in the budget's chain
  bool stream = false;
  const ModelName* model = nullptr;  // that was asked about
  std::int64_t ceiling = 0;          // the same
  Decision::Kind kind = Decision::Kind::block;
  Model reroute{};                     // of Kind::reroute
  std::int64_t max_output_tokens = 0;  // of Kind::clamp
};

/// A line that the call stands in, or has stood in: each budget's Wait has one deadline a call.
struct Stood {
  const BudgetNode* budget = nullptr;
  std::chrono::steady_clock::time_point deadline{};
};

/// What a call remembers between its decisions.
struct Memory {
  static constexpr std::size_t max_answers = 32;  // then a callback is a block

  std::vector<Answer> answers;
  std::vector<Stood> stood;
  Models models;
  bool may_wait = true;     // false: Wait passes the decision on
  bool ask_program = true;  // false: Callback passes the decision on
};

/// What is decided about: an admission, or a running stream that needs more room.
struct Moment {
  bool stream = false;
  Vector held{};  // what a stream holds already
  std::chrono::steady_clock::time_point now{};
};

/// Something that a decision did or let happen; the budgets' events are made of these.
struct Note {
  enum class Kind : std::uint8_t {
    downgraded,
    clamped,
    warned,
    allowed,
    below,        ///< Raise has let the call through.
    passed_wait,  ///< A Wait was passed over, since this call may not wait.
    // What becomes of the verdict; decide() has none of these.
    waited,     ///< The call stood in a line before it was admitted.
    unshared,   ///< Its store could not be reached, and OnUnreachable let it through.
    blocked,    ///< Refused.
    truncated,  ///< Refused by Truncate.
    cut,        ///< A stream was refused more room.
  };
  Kind kind{};
  const BudgetNode* budget = nullptr;
  Dimension dimension{};
  std::int64_t projected = 0, cap = 0;
  const ModelName* model = nullptr;      // before
  const ModelName* new_model = nullptr;  // of downgraded
  std::int64_t ceiling = Quote::no_ceiling;

  bool operator==(const Note&) const = default;
  /// Otherwise it is about the call as it was, and void when the call changes.
  [[nodiscard]] bool changes_call() const noexcept { return kind == Kind::downgraded || kind == Kind::clamped; }
  /// The budget does not hold the call back, although it does not fit.
  [[nodiscard]] bool lets_through() const noexcept {
    return kind == Kind::warned || kind == Kind::allowed || kind == Kind::below;
  }
};
using Notes = std::vector<Note>;

/// Whether this dimension of a budget is in the way of a quote. Of a stream only what it needs beside what it holds counts.
[[nodiscard]] inline bool in_the_way(const BudgetView& view, const Quote& quote, const Moment& moment,
                                     std::size_t d) noexcept {
  return quote.amounts[d] - moment.held[d] > view.counter->left(d);
}
/// With the numbers of the first dimension in the way; where none is, of the first that is capped.
[[nodiscard]] Note note_of(Note::Kind kind, const BudgetView& view, const Quote& quote, const Moment& moment) noexcept;

struct Verdict {
  enum class Kind : std::uint8_t { admit, refuse, ask, wait };

  Verdict() noexcept = default;
  /// Admits it.
  explicit Verdict(const Quote& call) noexcept : quote(call) {}

  Kind kind = Kind::admit;
  Quote quote{};                                  // as far as the call came
  const BudgetNode* budget = nullptr;             // that refuses, asks or waits
  std::size_t policy = 0;                         // of that budget, where the program is asked
  errc reason = errc::ok;                         // of a refusal
  const ModelName* unpriced = nullptr;            // of errc::price_unknown: the model that a callback chose
  std::chrono::steady_clock::time_point until{};  // of a wait
};

/// Decides what becomes of a call, by the budgets as they are now. The one place where policies act.
///
/// Budgets are asked from the innermost outward; after every change of the call all of them are asked again. Always starts from
/// `request`: `memory` replays what the program has answered. `notes` is the caller's memory for what was done on the way; what was in it
/// is dropped.
/// \par Preconditions
/// The tree's lock is held, and `chain` was made under it.
[[nodiscard]] Verdict decide(ChainView chain, const Quote& request, const Memory& memory, const Moment& moment,
                             Notes& notes);

}  // namespace outlay::detail
