#pragma once

#include <memory>
#include <new>
#include <optional>

#include "core/budget/failure.hpp"
#include "core/budget/tree.hpp"
#include "core/call/decide.hpp"

namespace outlay::detail {

/// What a refusal says: the budget whose policy refused, and every cap in the way, by the numbers that the decision was made with.
///
/// \param retry_at When a budget's counter may have room again, where only time can bring it: `Time(const BudgetNode&)`, empty for none.
/// \par Preconditions
/// The tree's lock is held, as for decide(). The caller adds the scope that keeps the budgets alive.
template <class RetryAt>
[[nodiscard]] std::unique_ptr<FailureFacts> facts_of(const Verdict& verdict, ChainView chain, const Moment& moment,
                                                     const RetryAt& retry_at);

/// How the events name it.
[[nodiscard]] Note::Kind kind_of_refusal(const Verdict& verdict, const Moment& moment) noexcept;
/// The refusal itself, as a note.
[[nodiscard]] Note note_of_refusal(const Verdict& verdict, ChainView chain, const Moment& moment) noexcept;

/// What a refusal says beside its numbers.
void describe(FailureFacts& facts, const Verdict& verdict, const Moment& moment);
/// Of a refusal where no cap is in the way: the sum is no number that exists.
void describe_uncountable(FailureFacts& facts, const BudgetNode& budget);

/// What of the request could be otherwise, so that a counter has room for it in this dimension.
[[nodiscard]] Remedy remedy_of(const Quote& quote, const Counter& counter, std::size_t d) noexcept;

template <class RetryAt>
std::unique_ptr<FailureFacts> facts_of(const Verdict& verdict, ChainView chain, const Moment& moment,
                                       const RetryAt& retry_at) {
  auto facts = std::make_unique<FailureFacts>();
  facts->code = verdict.reason;
  facts->refuser = verdict.budget;
  facts->model = verdict.quote.requested->text;
  if (verdict.quote.model.name != verdict.quote.requested) facts->refused_model = verdict.quote.model.name->text;
  facts->ceiling_name = verdict.quote.ceiling_name;
  facts->stream = moment.stream;
  const BudgetNode* uncountable = nullptr;
  if (verdict.reason == errc::budget_exceeded || verdict.reason == errc::truncated)
    for (const BudgetView& view : chain) {
      if (view.source == Source::unasked || view.source == Source::granted) continue;
      const Counter& counter = *view.counter;
      for (std::size_t d = 0; d < dimension_count; ++d) {
        if (!in_the_way(view, verdict.quote, moment, d)) continue;
        if (!counter.capped(d)) {
          uncountable = view.budget;
          continue;
        }
        const std::int64_t more = verdict.quote.amounts[d] - moment.held[d];
        RawBreach& breach = facts->add();
        // In place, and not by a copy that has to wait for what was just written.
        new (&breach) RawBreach{.budget = view.budget,
                                .dimension = static_cast<Dimension>(d),
                                .limit = counter.cap[d],
                                .spent = counter.spent(d),
                                .reserved = counter.held[d],
                                .requested = more,
                                .remedy = remedy_of(verdict.quote, counter, d),
                                .by_operator = view.set_caps && (*view.set_caps)[d] != no_cap};
        // Where it would fit an empty window, and time empties it: calls in flight only end by ending.
        if (!moment.stream && more <= counter.cap[d] && d != index(Dimension::concurrent))
          breach.retry_at = retry_at(*view.budget);
      }
    }
  if (uncountable && facts->count == 0)
    describe_uncountable(*facts, *uncountable);
  else
    describe(*facts, verdict, moment);
  return facts;
}

/// The text of errc::price_unknown where an operator has set a cap on money.
[[nodiscard]] std::string unpriced_under_set_cap(const std::string& model, const std::string& store);

}  // namespace outlay::detail
