#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/detail/ambient.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/policy.hpp"
#include "outlay/price.hpp"
#include "outlay/usage.hpp"
#include "outlay/window.hpp"

namespace outlay {

class Budget;
class Store;

namespace detail {
struct BudgetNode;
OUTLAY_EXPORT bool truncated_a_call(const Budget& budget) noexcept;
}  // namespace detail

/// What a request without an output ceiling means to a budget. Over a chain of budgets the strictest wins, in this order.
enum class Unbounded : std::uint8_t {
  /// Reserve the larger of `output_reserve` and what the model usually writes: the 95th percentile of its last 100 answers of this kind in
  /// the ledger. The cap is then not a hard one. Counted, marked in the record, logged once a model, and once when a cap was passed for it.
  estimate,
  model_max,  ///< Reserve the model's maximum output.
  clamp,      ///< Write `output_reserve` into the request as its ceiling.
  refuse,     ///< Refuse the call (errc::unbounded_refused).
};

/// What a model without a price means under a USD cap. Over a chain of budgets the strictest wins.
class Unpriced {
 public:
  /// What it does, from the mildest to the strictest.
  enum class Kind : std::uint8_t {
    ignore,  ///< Unpriced::ignore()
    assume,  ///< Unpriced::assume()
    refuse,  ///< Unpriced::refuse()
  };
  constexpr Unpriced() noexcept = default;  ///< refuse()
  /// Refuse the call (errc::price_unknown).
  [[nodiscard]] static constexpr Unpriced refuse() noexcept { return Unpriced(Kind::refuse, {}); }
  /// Book $0; counted in unpriced_calls() and logged once a model. Token caps bind all the same.
  [[nodiscard]] static constexpr Unpriced ignore() noexcept { return Unpriced(Kind::ignore, {}); }
  /// Price every token, input and output, at this rate. Of several the dearest wins.
  [[nodiscard]] static constexpr Unpriced assume(Usd per_million_tokens) noexcept {
    return Unpriced(Kind::assume, per_million_tokens);
  }
  /// Which of the three it is.
  [[nodiscard]] constexpr Kind kind() const noexcept { return kind_; }
  /// The rate of Unpriced::assume(), in dollars per million tokens; $0 for the others.
  [[nodiscard]] constexpr Usd per_million_tokens() const noexcept { return per_million_tokens_; }

 private:
  constexpr Unpriced(Kind kind, Usd rate) noexcept : kind_(kind), per_million_tokens_(rate) {}
  Kind kind_ = Kind::refuse;
  Usd per_million_tokens_{};
};

/// How a Budget is made. At least one cap is required.
///
/// The order of the members is part of the interface, for designated initialisers.
struct BudgetOptions {
  /// Shown in messages, events and reports; need not be unique. At most 128 bytes.
  std::string name{};
  /// Free text for people, carried by events. At most 1,024 bytes.
  std::string description{};
  std::optional<Usd> usd{};                     ///< Cap on money. Not negative. 0 refuses everything that costs.
  std::optional<std::int64_t> tokens{};         ///< Cap on Usage::total(). At least 1, as are the others below.
  std::optional<std::int64_t> input_tokens{};   ///< Cap on Usage::input_total().
  std::optional<std::int64_t> output_tokens{};  ///< Cap on Usage::output.
  std::optional<std::int64_t> calls{};          ///< Cap on calls.
  std::optional<std::int64_t> concurrent{};     ///< Cap on calls in flight.
  Policies on_exceed{};                         ///< Default Block.
  /// Tokens reserved for the output of a request without a ceiling; 256 without a value. Over a chain the largest wins.
  std::optional<std::int64_t> output_reserve{};
  /// Added to it for hidden reasoning; 0 without a value.
  std::optional<std::int64_t> reasoning_reserve{};
  Unbounded unbounded{};  ///< Default Unbounded::estimate.
  Unpriced unpriced{};    ///< Default Unpriced::refuse().
  /// Fractions in (0, 1] of the cap in the dimension most used; each announced once, when `spent` reaches it.
  std::vector<double> notify_at{};
  /// For how long spend counts; default Window::scope(). Any other needs a name, and the counter belongs to the name: every
  /// budget of that name and window counts there, under caps and policies of its own.
  Window window{};
  /// Where such a counter is kept. Null: in its ledger's memory, Ledger::store(). At most one store in a chain of budgets.
  std::shared_ptr<Store> store{};
};

/// One consistent reading of a budget.
struct BudgetState {
  /// The caps, as they are now.
  Limits limits{};
  /// What settled calls have used.
  Amounts spent{};
  /// What running calls hold.
  Amounts reserved{};
  Limits remaining{};  ///< limits - spent - reserved, in the capped dimensions; negative after an overrun.
};

/// One line: `$0.30 of $1.00 spent, $0.05 reserved; 3 of 10 calls spent; 1 of 2 calls in flight`. Of the capped dimensions; what is spent where there is none.
[[nodiscard]] OUTLAY_EXPORT std::string to_string(const BudgetState& state);
/// Writes to_string(state).
OUTLAY_EXPORT std::ostream& operator<<(std::ostream& out, const BudgetState& state);

/// An open budget: what is read of it and told to it, whether it is a scope (Budget) or a value (BudgetHandle).
///
/// \par Thread safety
/// Every member is safe from any thread.
class OUTLAY_EXPORT OpenBudget {
 public:
  /// BudgetOptions::name; empty where it has none.
  [[nodiscard]] const std::string& name() const noexcept;
  /// Limits, spent, reserved and remaining in one reading.
  ///
  /// With a window, these are the numbers of the present one, of every process that counts there, as the store last reported them, and
  /// with what has ended here since. A store that is far away reports with each call; Store::state() asks it.
  /// \par Blocking
  /// One short lock, as in all members below; with a store on this machine at most its file.
  [[nodiscard]] BudgetState state() const;
  /// What settled calls have used so far, in every dimension.
  [[nodiscard]] Amounts spent() const;
  /// What running calls hold.
  [[nodiscard]] Amounts reserved() const;
  /// With a window: the caps that an operator has set in the store (Store::set_cap) in the place of the budget's own.
  [[nodiscard]] Limits limits() const;
  /// What this budget alone has room for, in the dimensions that it caps: BudgetState::remaining. A budget around it may have less.
  [[nodiscard]] Limits remaining() const;
  /// When the present window ends; empty without a window, and for Window::forever(). For a rolling window: when its oldest slot goes.
  [[nodiscard]] std::optional<Time> window_end() const;

  /// Adds `amount` to a cap from now on; recorded as a BudgetEvent with the reason. Thresholds that have fired stay fired.
  ///
  /// With a window the change outlives the scope: budgets that open this name, window and store later in this process, with the cap that
  /// this one was opened with, start with what was added, until it is taken off again, or, in the ledger's own store, the ledger is reset.
  /// So a scope that raises its cap each time that it opens raises it further each time. Budgets that are open already keep their caps, and
  /// other processes do not see the change: Store::set_cap sets one cap for all of them.
  ///
  /// \par Errors
  /// ConfigError if the dimension has no cap here, or the amount is not positive.
  void raise_cap(Usd amount, std::string_view reason);
  /// The same in any dimension: nano-dollars for Dimension::usd, else a count.
  void raise_cap(Dimension dimension, std::int64_t amount, std::string_view reason);
  /// Takes `amount` off a cap from now on; recorded as a BudgetEvent with the reason. Running calls keep what they hold: a cap below what
  /// is spent and held refuses what comes. With a window it outlives the scope, as raise_cap does.
  ///
  /// \par Errors
  /// ConfigError if the dimension has no cap here, or the amount is not positive or larger than the cap.
  void lower_cap(Usd amount, std::string_view reason);
  /// The same in any dimension: nano-dollars for Dimension::usd, else a count.
  void lower_cap(Dimension dimension, std::int64_t amount, std::string_view reason);

  /// Refuses every call from now on, here and in scopes inside, whatever the policies say (errc::closed_to_new_calls). Running calls
  /// go on and settle. Waiting calls are refused. Cannot be undone; a second time does nothing.
  void close_to_new_calls(std::string_view reason);

 protected:
  /// Of a budget's node, by the scope or the handle that keeps it.
  explicit OpenBudget(detail::BudgetNode& node) noexcept : node_(&node) {}
  /// The same budget.
  OpenBudget(const OpenBudget&) = default;
  /// The same budget.
  OpenBudget& operator=(const OpenBudget&) = default;
  ~OpenBudget() = default;

  /// Never null.
  detail::BudgetNode* node_;  // kept by the scope or the handle
};

/// A cap on what everything inside a scope may spend.
///
/// The constructor makes this budget the innermost one of the current task; the destructor puts the previous one back.
/// A call counts against this budget and every enclosing one, and is admitted only if all of them have room for it.
///
/// \par Guarantee
/// `spent + reserved <= limits` at every instant, as seen in one state(), for this budget and each ancestor in this process, as long
/// as no call uses more than it reserved. One that does is booked in full and reported as an overrun. Raise, Warn and a callback's
/// allow let calls through on purpose.
/// \par Errors
/// ConfigError for options out of range or in contradiction: no cap, a negative one, a policy that could never act.
/// \par Thread safety
/// Distinct objects: safe. Shared object: every member is safe from any thread. Construction and destruction belong to the task that
/// opened the scope.
/// \par Suspension
/// Survives `co_await` in a coroutine started by outlay::co_spawn, on any thread, and so does whatever that coroutine starts. In a
/// coroutine on a plain executor it does not: that is reported when the scope opens.
/// \par Lifetime
/// A local variable, of a function or of a coroutine. One that is neither (a member of an object on the heap, a `make_unique`, a global)
/// nests into whatever its thread opens next, and is reported when it opens: BudgetHandle is the budget for these. Close scopes in reverse
/// order. One closed out of order is repaired and reported to the log handler, never thrown. Calls still running when the scope closes go
/// on counting here.
/// \par Example
/// \snippet tests/unit/core/budget/budget_test.cpp nested_budget
class OUTLAY_EXPORT Budget final : public OpenBudget {
 public:
  /// Opens the scope: from here on this is the innermost budget of the current task.
  ///
  /// \par Errors
  /// ConfigError for an option that is not valid, or that contradicts another or an enclosing budget; the message says
  /// what to write.
  [[nodiscard]] explicit Budget(BudgetOptions options);
  Budget(const Budget&) = delete;  // the address is the scope's identity: neither copied nor moved
  Budget& operator=(const Budget&) = delete;
  ~Budget();

 private:
  friend bool detail::truncated_a_call(const Budget& budget) noexcept;
};

}  // namespace outlay
