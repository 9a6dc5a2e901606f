#include "core/pricing/pricing.hpp"

#include <algorithm>

namespace outlay::detail {

namespace {

__extension__ using Wide = unsigned __int128;

// Twice as many tokens at max_narrow_rate, and the largest short request fee, are below 2^63.
constexpr std::int64_t max_narrow_count = 4'000'000'000;

/// Half to even; `picos` is not negative.
constexpr std::int64_t to_nanos(std::uint64_t picos) noexcept {
  std::uint64_t nanos = picos / picos_per_nano;
  const std::uint64_t rest = picos % picos_per_nano;
  nanos += static_cast<std::uint64_t>(rest > 500 || (rest == 500 && (nanos & 1) != 0));
  return static_cast<std::int64_t>(nanos);
}

std::optional<Usd> to_usd(Wide picos) noexcept {
  Wide nanos = picos / picos_per_nano;
  const auto rest = static_cast<unsigned>(picos % picos_per_nano);
  if (rest > 500 || (rest == 500 && (nanos & 1) != 0)) ++nanos;
  if (nanos > static_cast<Wide>(INT64_MAX)) return std::nullopt;
  return Usd::from_nanos(static_cast<std::int64_t>(nanos));
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

Wide fees(const Price& price, std::int64_t web_searches) noexcept {
  return times(price.request.nanos(), picos_per_nano) +
         times(price.web_search.nanos(), picos_per_nano) * static_cast<std::uint64_t>(web_searches);
}

/// True for nearly every usage: no modality or search has a price of its own in it.
bool is_plain(const Usage& u) noexcept {
  return (u.input_audio | u.input_image | u.cache_read_audio | u.output_audio | u.output_image | u.web_searches) == 0;
}

std::optional<Usd> table_cost(const PricedModel& model, const Usage& u, std::string_view tier) noexcept {
  const FlatRates& r = model.rates_at(u.input_total(), tier);
  if (is_plain(u) && r.narrow && model.request_picos >= 0) {
    const std::int64_t picos = u.input * r.input + u.cache_read * r.cache_read + u.cache_write * r.cache_write +
                               u.cache_write_1h * r.cache_write_1h + (u.output - u.reasoning) * r.output +
                               u.reasoning * r.reasoning + model.request_picos;
    return Usd::from_nanos(to_nanos(static_cast<std::uint64_t>(picos)));
  }
  return to_usd(sum(r, u) + fees(*model.price, u.web_searches));
}

/// The rates that the most expensive course of a call is priced by.
struct WorstRates {
  std::int64_t input = 0, output = 0;  // pico-dollars a token
  std::int64_t request_nanos = 0;
  bool narrow = false;  // no sum over max_narrow_count leaves 64 bits

  WorstRates(const PricedModel& model, std::int64_t tokens, const PriceTerms& terms) noexcept {
    const FlatRates& r = model.rates_at(tokens, terms.tier);
    input = terms.long_cache ? r.worst_input_long : r.worst_input;
    output = r.worst_output;
    request_nanos = model.price->request.nanos();
    narrow = r.narrow && model.request_picos >= 0;
  }
  explicit WorstRates(std::int64_t each) noexcept : input(each), output(each), narrow(each <= max_narrow_rate) {}
};

std::optional<Usd> worst_at(const WorstRates& r, std::int64_t input, std::int64_t output) noexcept {
  if (r.narrow && input <= max_narrow_count && output <= max_narrow_count) {
    const std::int64_t picos = input * r.input + output * r.output + r.request_nanos * picos_per_nano;
    return Usd::from_nanos(to_nanos(static_cast<std::uint64_t>(picos)));
  }
  return to_usd(times(input, r.input) + times(output, r.output) + times(r.request_nanos, picos_per_nano));
}

std::int64_t affordable_at(const WorstRates& r, std::int64_t input, Usd money) noexcept {
  if (money.nanos() < 0) return -1;
  const Wide fixed = times(input, r.input) + times(r.request_nanos, picos_per_nano);
  // The most pico-dollars that still round to `money`: a tie goes to the even neighbour.
  const Wide most = times(money.nanos(), picos_per_nano) + (money.nanos() % 2 == 0 ? 500 : 499);
  if (fixed > most) return -1;
  if (r.output == 0) return INT64_MAX;
  const Wide count = (most - fixed) / static_cast<std::uint64_t>(r.output);
  return count > static_cast<Wide>(INT64_MAX) ? INT64_MAX : static_cast<std::int64_t>(count);
}

}  // namespace

std::optional<Usd> Pricing::worst(std::int64_t input, std::int64_t output, const PriceTerms& terms) const noexcept {
  input = std::max<std::int64_t>(input, 0);
  output = std::max<std::int64_t>(output, 0);
  switch (kind_) {
    case Kind::table:
      return worst_at(WorstRates(*model_, input, terms), input, output);
    case Kind::assumed:
      return worst_at(WorstRates(number_), input, output);
    case Kind::unpriced:
    case Kind::flat:
      break;
  }
  return Usd::from_nanos(number_);
}

std::optional<Usd> Pricing::cost(const Usage& usage, std::string_view tier) const noexcept {
  switch (kind_) {
    case Kind::table:
      return table_cost(*model_, usage, tier);
    case Kind::assumed:
      return to_usd(times(usage.total(), number_));
    case Kind::unpriced:
    case Kind::flat:
      break;
  }
  return Usd::from_nanos(number_);
}

std::int64_t Pricing::affordable(std::int64_t input, Usd money, const PriceTerms& terms) const noexcept {
  input = std::max<std::int64_t>(input, 0);
  switch (kind_) {
    case Kind::table:
      return affordable_at(WorstRates(*model_, input, terms), input, money);
    case Kind::assumed:
      return affordable_at(WorstRates(number_), input, money);
    case Kind::unpriced:
    case Kind::flat:
      break;
  }
  return number_ > money.nanos() ? -1 : INT64_MAX;
}

}  // namespace outlay::detail
