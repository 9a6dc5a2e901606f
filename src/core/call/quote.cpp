#include "core/call/quote.hpp"

#include <algorithm>

namespace outlay::detail {

[[gnu::hot]] errc Quote::of(const CallRequest& request, std::int64_t input, const Model& model, const Terms& terms,
                            bool observing, Quote& quote) noexcept {
  quote.terms = &terms;
  quote.requested = model.name;
  quote.price_terms = {request.service_tier, request.long_cache, request.web_searches};
  quote.input = input;
  quote.choices = request.choices;
  quote.ceiling = request.max_output_tokens.value_or(no_ceiling);
  quote.min_ceiling = request.min_output_tokens;
  quote.ceiling_name = request.ceiling_name;
  quote.fixed_ceiling = request.fixed_ceiling;
  quote.open_ceiling = false;
  quote.ceiling_stated = request.max_output_tokens.has_value();
  quote.pricing = request.usd ? Pricing::flat(*request.usd) : Pricing();

  errc refused = errc::ok;
  if (quote.ceiling == no_ceiling && quote.output_counts()) {
    if (terms.unbounded == Unbounded::refuse) refused = errc::unbounded_refused;
    if (!request.fixed_ceiling && !observing) {
      if (terms.clamps)
        quote.open_ceiling = true;
      else if (terms.unbounded == Unbounded::clamp)
        quote.ceiling = std::max(terms.reserve(), request.min_output_tokens);
    }
  }
  if (refused == errc::ok && !quote.allows(model)) refused = errc::price_unknown;
  quote.take_model(model);
  return quote.fill_in() ? refused : errc::overflow;
}

bool Quote::allows(const Model& other) const noexcept {
  const bool priced = other.priced && (price_terms.web_searches == 0 || other.priced->price->web_search);
  return priced || pricing.kind() == Pricing::Kind::flat || !terms->refuses_unpriced();
}

[[gnu::hot]] void Quote::take_model(const Model& other) noexcept {
  model = other;
  if (pricing.kind() != Pricing::Kind::flat) {
    if (other.priced)
      pricing = Pricing::table(*other.priced);
    else if (terms->caps_money && terms->unpriced.kind() == Unpriced::Kind::assume)
      pricing = Pricing::assumed(Rate::per_million(terms->unpriced.per_million_tokens()).picos());
    else
      pricing = Pricing();
  }
  if (open_ceiling) ceiling = lower();
}

bool Quote::output_counts() const noexcept { return pricing.kind() != Pricing::Kind::flat || terms->caps_output; }

[[gnu::hot]] bool Quote::price_up(std::int64_t input_tokens, std::int64_t output_tokens, Vector& held) const noexcept {
  if (output_tokens > INT64_MAX - input_tokens) return false;
  const std::optional<Usd> worst = pricing.worst(input_tokens, output_tokens, price_terms);
  if (worst) held = {worst->nanos(), input_tokens + output_tokens, input_tokens, output_tokens, 1, 1};
  return worst.has_value();
}

bool Quote::fill_in() noexcept {
  std::int64_t each = ceiling;
  unbounded = false;
  if (ceiling == no_ceiling) {
    const std::optional<std::int64_t> maximum =
        terms->unbounded == Unbounded::model_max ? model_maximum() : std::nullopt;
    each = maximum.value_or(std::max(terms->output_reserve, model.usual_output) + terms->reasoning_reserve);
    unbounded = !maximum && output_counts();
  }
  return !__builtin_mul_overflow(each, choices, &output) && price_up(input, output, amounts);
}

std::optional<Quote> Quote::with_model(Model other) const noexcept {
  Quote quote = *this;
  quote.take_model(other);
  return quote.fill_in() ? std::optional(quote) : std::nullopt;
}

std::optional<Quote> Quote::with_ceiling(std::int64_t tokens) const noexcept {
  Quote quote = *this;
  quote.ceiling = tokens;
  quote.open_ceiling = false;
  return quote.fill_in() ? std::optional(quote) : std::nullopt;
}

std::optional<Quote> Quote::with_open_ceiling(std::int64_t tokens) const noexcept {
  std::optional<Quote> quote = with_ceiling(tokens);
  if (quote) quote->open_ceiling = true;
  return quote;
}

std::optional<Quote> Quote::with_output(std::int64_t tokens) const noexcept {
  Quote quote = *this;
  quote.open_ceiling = false;
  quote.output = tokens;
  if (!price_up(input, tokens, quote.amounts)) return std::nullopt;
  quote.amounts[0] = std::max(quote.amounts[0], amounts[0]);
  return quote;
}

std::optional<std::int64_t> Quote::model_maximum() const noexcept {
  return model.priced ? model.priced->price->max_output_tokens : std::nullopt;
}

std::int64_t Quote::upper() const noexcept { return std::min(model_maximum().value_or(INT64_MAX), terms->clamp_max); }

std::int64_t Quote::lower() const noexcept { return std::max(min_ceiling, std::min(terms->reserve(), upper())); }

}  // namespace outlay::detail
