#include "core/pricing/pricing.hpp"

#include <algorithm>

namespace outlay::detail {

namespace {

__extension__ using Wide = unsigned __int128;

// So much input and so much output at max_narrow_rate, with the largest short request fee, are below 2^63 pico-dollars.
constexpr std::int64_t max_narrow_count = 4'000'000'000;

constexpr std::int64_t too_large = -1;  // in place of nano-dollars

/// Half to even; `picos` is not negative.
constexpr std::int64_t to_nanos(std::int64_t picos) noexcept {
  const auto whole = static_cast<std::uint64_t>(picos);
  std::uint64_t nanos = whole / picos_per_nano;
  const std::uint64_t rest = whole % picos_per_nano;
  nanos += static_cast<std::uint64_t>(rest > 500 || (rest == 500 && (nanos & 1) != 0));
  return static_cast<std::int64_t>(nanos);
}

/// The same; too_large where it does not fit.
std::int64_t to_nanos(Wide picos, unsigned each = picos_per_nano) noexcept {
  Wide nanos = picos / each;
  const auto rest = static_cast<unsigned>(picos % each);
  if (rest > each / 2 || (rest == each / 2 && (nanos & 1) != 0)) ++nanos;
  return nanos > static_cast<Wide>(INT64_MAX) ? too_large : static_cast<std::int64_t>(nanos);
}

Wide times(std::int64_t count, std::int64_t each) noexcept {
  return static_cast<Wide>(static_cast<std::uint64_t>(count)) * static_cast<std::uint64_t>(each);
}

/// Takes up to `part` out of what is left of a whole, so that parts that overlap never add up to more than
/// it.
std::int64_t take(std::int64_t part, std::int64_t& left) noexcept {
  const std::int64_t taken = std::min(part, left);
  left -= taken;
  return taken;
}

Wide sum(const FlatRates& r, const Usage& u) noexcept {
  std::int64_t input = u.input, cached = u.cache_read, output = u.output;
  Wide picos = 0;
  picos += times(take(u.input_audio, input), r.input_audio);
  picos += times(take(u.input_image, input), r.input_image);
  picos += times(input, r.input);
  picos += times(take(u.cache_read_audio, cached), r.cache_read_audio);
  picos += times(cached, r.cache_read);
  picos += times(u.cache_write, r.cache_write);
  picos += times(u.cache_write_1h, r.cache_write_1h);
  picos += times(take(u.output_audio, output), r.output_audio);
  picos += times(take(u.output_image, output), r.output_image);
  picos += times(take(u.reasoning, output), r.reasoning);
  picos += times(output, r.output);
  return picos;
}

Wide uses(std::int64_t count, const std::optional<Usd>& fee) noexcept {
  return fee ? times(fee->nanos(), picos_per_nano) * static_cast<std::uint64_t>(count) : Wide{0};
}

Wide fees(const Price& price, const Usage& u) noexcept {
  return times(price.request.nanos(), picos_per_nano) + uses(u.web_searches, price.web_search) +
         uses(u.file_searches, price.file_search) + uses(u.code_sessions, price.code_session) +
         uses(u.other_tools, price.other_tool);
}

/// True for nearly every usage: no modality or tool has a price of its own in it.
bool is_plain(const Usage& u) noexcept {
  return (u.input_audio | u.input_image | u.cache_read_audio | u.output_audio | u.output_image | u.web_searches |
          u.file_searches | u.code_sessions | u.other_tools) == 0;
}

// What needs 128 bits is out of line, so that the short ways beside it keep all they have in registers.
[[gnu::noinline]] std::int64_t wide_cost(const PricedModel::Rating& rating, const Usage& u,
                                         const Price& price) noexcept {
  const Wide tokens = sum(*rating.rates, u);
  // Half of an odd sum is no whole number of pico-dollars: both sides of the rounding are doubled.
  return rating.halved ? to_nanos(tokens + 2 * fees(price, u), 2 * picos_per_nano) : to_nanos(tokens + fees(price, u));
}

std::int64_t table_cost(const PricedModel& model, const PricedModel::Rating& rating, const Usage& u) noexcept {
  const FlatRates& r = *rating.rates;
  if (!is_plain(u) || !r.narrow || rating.halved || model.request_picos < 0) return wide_cost(rating, u, *model.price);
  return to_nanos(u.input * r.input + u.cache_read * r.cache_read + u.cache_write * r.cache_write +
                  u.cache_write_1h * r.cache_write_1h + (u.output - u.reasoning) * r.output +
                  u.reasoning * r.reasoning + model.request_picos);
}

/// What a token costs at the most.
struct WorstRates {
  std::int64_t input = 0, output = 0;
  bool narrow = false;  // no sum over max_narrow_count leaves 64 bits, and there are no fees but the request's
};

inline WorstRates worst_rates(const PricedModel& model, std::int64_t input, const PriceTerms& terms) noexcept {
  const FlatRates& r = model.rates_at(input, terms.tier);
  return {terms.long_cache ? r.worst_input_long : r.worst_input, r.worst_output,
          r.narrow && model.request_picos >= 0 && terms.web_searches == 0};
}

[[gnu::noinline]] std::int64_t wide_worst(std::int64_t input, std::int64_t input_rate, std::int64_t output,
                                          std::int64_t output_rate, const Price* price,
                                          std::int64_t searches) noexcept {
  return to_nanos(times(input, input_rate) + times(output, output_rate) +
                  (price ? fees(*price, {.web_searches = searches}) : 0));
}

std::int64_t table_worst(const PricedModel& model, std::int64_t input, std::int64_t output,
                         const PriceTerms& terms) noexcept {
  const WorstRates r = worst_rates(model, input, terms);
  if (!r.narrow || input > max_narrow_count || output > max_narrow_count)
    return wide_worst(input, r.input, output, r.output, model.price, terms.web_searches);
  return to_nanos(input * r.input + output * r.output + model.request_picos);
}

/// The most output at `rate` that `money` pays for beside what is fixed.
std::int64_t affordable_at(std::int64_t rate, Wide fixed, Usd money) noexcept {
  if (money.nanos() < 0) return -1;
  // The most pico-dollars that still round to `money`: a tie goes to the even neighbour.
  const Wide most = times(money.nanos(), picos_per_nano) + (money.nanos() % 2 == 0 ? 500 : 499);
  if (fixed > most) return -1;
  if (rate == 0) return INT64_MAX;
  const Wide count = (most - fixed) / static_cast<std::uint64_t>(rate);
  return count > static_cast<Wide>(INT64_MAX) ? INT64_MAX : static_cast<std::int64_t>(count);
}

}  // namespace

[[gnu::hot]] std::int64_t Pricing::worst_nanos(std::int64_t input, std::int64_t output,
                                               const PriceTerms& terms) const noexcept {
  input = std::max<std::int64_t>(input, 0);
  output = std::max<std::int64_t>(output, 0);
  switch (kind_) {
    case Kind::table:
      return table_worst(*model_, input, output, terms);
    case Kind::assumed:
      return wide_worst(input, number_, output, number_, nullptr, 0);
    case Kind::unpriced:
    case Kind::flat:
      break;
  }
  return number_;
}

[[gnu::hot]] std::int64_t Pricing::cost_nanos(const Usage& usage, std::string_view tier, bool& listed) const noexcept {
  listed = true;
  switch (kind_) {
    case Kind::table: {
      const PricedModel::Rating rating = model_->rating(usage.input_total(), tier);
      listed = rating.listed;
      return table_cost(*model_, rating, usage);
    }
    case Kind::assumed:
      return to_nanos(times(usage.total(), number_));
    case Kind::unpriced:
    case Kind::flat:
      break;
  }
  return number_;
}

std::int64_t Pricing::affordable(std::int64_t input, Usd money, const PriceTerms& terms) const noexcept {
  input = std::max<std::int64_t>(input, 0);
  switch (kind_) {
    case Kind::table: {
      const WorstRates r = worst_rates(*model_, input, terms);
      return affordable_at(r.output, times(input, r.input) + fees(*model_->price, {.web_searches = terms.web_searches}),
                           money);
    }
    case Kind::assumed:
      return affordable_at(number_, times(input, number_), money);
    case Kind::unpriced:
    case Kind::flat:
      break;
  }
  return number_ > money.nanos() ? -1 : INT64_MAX;
}

}  // namespace outlay::detail
