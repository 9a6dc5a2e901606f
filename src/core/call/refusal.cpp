#include "core/call/refusal.hpp"

#include "core/pricing/price_book.hpp"

namespace outlay::detail {

Note::Kind kind_of_refusal(const Verdict& verdict, const Moment& moment) noexcept {
  if (moment.stream) return Note::Kind::cut;
  return verdict.reason == errc::truncated ? Note::Kind::truncated : Note::Kind::blocked;
}

Note note_of_refusal(const Verdict& verdict, ChainView chain, const Moment& moment) noexcept {
  const BudgetView* view = chain.data();
  while (view->budget != verdict.budget) ++view;
  return note_of(kind_of_refusal(verdict, moment), *view, verdict.quote, moment);
}

Remedy remedy_of(const Quote& quote, const Counter& counter, std::size_t d) noexcept {
  if (d == index(Dimension::calls) || d == index(Dimension::concurrent)) return Remedy::none;
  const auto fits = [&](std::int64_t input, std::int64_t output) {
    Vector held{};
    return quote.price_up(input, output, held) && held[d] <= counter.left(d);
  };
  const bool priced = d == index(Dimension::usd) && quote.pricing.kind() != Pricing::Kind::flat;
  if (counter.left(d) > 0) {
    std::int64_t least = 0;
    const bool shorter = quote.output > 0 && !__builtin_mul_overflow(quote.min_ceiling, quote.choices, &least);
    if (shorter && fits(quote.input, least)) return quote.ceiling_stated ? Remedy::lower_ceiling : Remedy::set_ceiling;
    if (quote.input > 0 && fits(0, quote.output)) return Remedy::less_input;
    if (quote.input > 0 && shorter && fits(0, least)) return Remedy::less_of_both;
  }
  return priced ? Remedy::cheaper_model : Remedy::none;
}

void describe(FailureFacts& facts, const Verdict& verdict, const Moment& moment) {
  const auto budget = [&] { return "budget \"" + verdict.budget->shown_name() + '"'; };
  switch (verdict.reason) {
    case errc::closed_to_new_calls:
      facts.text = budget() + " is closed to new calls. Open another budget for further calls.";
      return;
    case errc::price_unknown:
      facts.text = "a callback of " + budget() + " reroutes to \"" + printable_name(verdict.unpriced->text) +
                   "\", whose price is unknown. Register it with PriceTable::register_model.";
      return;
    case errc::overflow:
      facts.text = "a callback of " + budget() + " changed the call to \"" + facts.model +
                   "\" into one that costs more than $9.2 billion. Check its model and its ceiling.";
      return;
    default:
      if (moment.stream)
        facts.text = "The stream was cut there, and what it had shown is charged.";
      else if (facts.count == 0)
        facts.text = budget() + " refused " + shown_model(facts) +
                     ": other calls are already waiting for its room. Try again when they have ended.";
  }
}

void describe_uncountable(FailureFacts& facts, const BudgetNode& budget) {
  facts.code = errc::overflow;
  facts.text = "budget \"" + budget.shown_name() + "\" refused " + shown_model(facts) +
               ": what it counts would exceed $9.2 billion, or 9.2 * 10^18 tokens or calls. Open a budget of another "
               "name.";
}

std::string unpriced_under_set_cap(const std::string& model, const std::string& store) {
  return "no price is known for \"" + model + "\", and a cap on money is set in " + store +
         " for a budget around the call. Register it with PriceTable::register_model, or take the cap back.";
}

}  // namespace outlay::detail
