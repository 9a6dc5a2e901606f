#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "outlay/clock.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/price.hpp"
#include "outlay/tags.hpp"
#include "outlay/usage.hpp"

namespace outlay {

/// How a wire attempt ended.
enum class RecordStatus : std::uint8_t {
  settled,        ///< With the usage that the provider reported.
  estimated,      ///< With a usage that was counted here.
  indeterminate,  ///< Without a verdict: charged at its reservation, or at what its stream had shown.
  rejected,       ///< Refused by the provider, free of charge.
};
/// The status' name: `"settled"`, `"indeterminate"`, `"rejected"`.
[[nodiscard]] OUTLAY_EXPORT const char* to_string(RecordStatus status) noexcept;

/// Where a record's cost comes from.
enum class CostSource : std::uint8_t {
  table,    ///< The price table, or what the program registered.
  assumed,  ///< The price table, by a rule that assumes (PriceRule::date_suffix, a tier that is not listed, the admitted model's price for a
            ///< served one that has none), or Unpriced::assume.
  provider,  ///< Reported by the provider.
  flat,      ///< CallRequest::usd, by a call that ended without a verdict or settled without a price.
  none,  ///< No price for the model, or for something that is billed by use: `usd` is the cost of the rest, counted as unpriced.
};
/// The source's name: `"table"`, `"provider"`.
[[nodiscard]] OUTLAY_EXPORT const char* to_string(CostSource source) noexcept;

/// What another model took of a call, and what that cost.
struct RecordPart {
  /// The other model.
  std::string model{};
  /// What it took, a part of Record::usage.
  Usage usage{};
  /// What that cost, a part of Record::usd.
  Usd usd{};

  /// Member by member.
  bool operator==(const RecordPart&) const = default;
};

/// One wire attempt.
struct Record {
  /// Call::id().
  std::uint64_t call_id{};
  /// How the call ended.
  RecordStatus status{};
  Time started{};  ///< Admission. Both to the clock's grain, a few milliseconds by default.
  /// When it ended.
  Time ended{};
  /// The model that was asked for.
  std::string requested_model{};
  /// The model that was admitted, after the policies.
  std::string admitted_model{};
  std::string model{};     ///< The served model; the admitted one where the reply names none.
  std::string provider{};  ///< From the price table; empty if not known.
  /// The tier that was served, or else requested; empty for the default one.
  std::string service_tier{};
  /// What was booked, other models included.
  Usage usage{};
  /// What was booked.
  Usd usd{};
  /// What was held for it, in money, when it ended.
  Usd reserved{};
  Usd overrun{};  ///< The part of `usd` above `reserved`.
  /// Where `usd` comes from.
  CostSource cost_source{};
  /// What the provider says that it charges, if it does.
  std::optional<Usd> provider_cost{};
  std::optional<Usd> table_cost{};  ///< Beside a provider's cost.
  /// PriceTable::version() of the table that priced it.
  std::string price_version{};
  bool unbounded{};  ///< The request had no output ceiling, and none was set.
  /// The call's tags, those of the enclosing Track scopes included.
  Tags tags{};
  std::vector<std::string> budgets{};  ///< Enclosing budgets from the outermost in.
  std::string reason{};                ///< Of a release or an indeterminate end.
  std::string traceparent{};           ///< The caller's W3C trace context, if any.
  /// Of which of `usage` and `usd`: what other models than `model` took. In memory and in JSON lines; a SQLite file has the sums.
  std::vector<RecordPart> parts{};
};

/// What a budget did.
enum class Action : std::uint8_t {
  blocked,     ///< A call was refused.
  truncated,   ///< A call was refused by Truncate.
  downgraded,  ///< A call was rerouted to another model.
  clamped,     ///< A call was given a lower ceiling on its output, or one at all.
  raised,      ///< The settle of a call that Raise had admitted took `spent` over the cap.
  allowed,     ///< A callback let a call through.
  warned,      ///< Warn let a call through.
  waited,      ///< A call waited and was admitted.
  cut,         ///< A running stream was ended.
  threshold,   ///< A notify_at fraction was reached.
  overrun,     ///< More was used than reserved, and a cap was passed.
  cap_raised,  ///< OpenBudget::raise_cap: `cap` holds now.
  closed,      ///< close_to_new_calls.
  observed,    ///< Observe mode: would have been refused, was let through.
  adjusted,    ///< Store::adjust: `projected` was added to what is spent, which is `cap` now.
  /// A call was admitted without its store (OnUnreachable). The store learns what it spent when it answers again.
  unshared,
  retry_storm,  ///< `projected` attempts in a row have failed, of one feature and model. Said by the HTTP client.
  cap_lowered,  ///< OpenBudget::lower_cap: `cap` holds now.
  cap_set,      ///< Store::set_cap: `cap` holds for the counter now; -1: none any more.
  /// The lease of a call in a store has run out, and `projected` was charged for it, in the first dimension that has any: 0 where it was released.
  /// `cap` is -1.
  expired,
};
/// The action's name: `"blocked"`, `"downgraded"`.
[[nodiscard]] OUTLAY_EXPORT const char* to_string(Action action) noexcept;

/// One action of a budget. The only trace of a refused call.
struct BudgetEvent {
  /// When, by the ledger's clock.
  Time time{};
  /// What the budget did.
  Action action{};
  std::string reason{};  ///< A sentence; what raise_cap, lower_cap and close_to_new_calls were given.
  std::string budget{};  ///< `"(unnamed)"` without a name; empty for a refusal outside any budget.
  std::string path{};    ///< `"run/answer"`, written as in reports (Ledger::report).
  /// BudgetOptions::description of the budget.
  std::string description{};
  std::string model{};      ///< As it was before the action.
  std::string new_model{};  ///< After a downgrade or reroute.
  /// Of `projected` and `cap`.
  Dimension dimension{};
  std::int64_t projected{};  ///< spent + reserved + this call, in the dimension's unit; for a threshold what was spent.
  /// The cap, in the dimension's unit.
  std::int64_t cap{};
  double threshold{};                               ///< The fraction, for Action::threshold.
  std::optional<std::int64_t> max_output_tokens{};  ///< The new ceiling, for Action::clamped.
  /// The call's tags, or those of the task where there is no call.
  Tags tags{};
  /// Call::id(); 0 where there is no call.
  std::uint64_t call_id{};
  /// The call's W3C trace context, if any.
  std::string traceparent{};
  /// Budgets that enclose the call, from the outermost in; `path` ends at the one that acted.
  std::vector<std::string> budgets{};
  std::string provider{};  ///< Of `model`, from the price table; empty if not known.
};

}  // namespace outlay
