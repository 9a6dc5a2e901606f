#include "core/pricing/pricing.hpp"

#include <algorithm>

namespace outlay::detail {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::int64_t picos_per_nano = 1000;
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

}  // namespace

std::optional<Usd> cost(const PricedModel& model, const Usage& usage, std::string_view service_tier) noexcept {
  const FlatRates& r = rates_for(model, usage.input_total(), service_tier);
  const bool plain = (usage.input_audio | usage.input_image | usage.cache_read_audio | usage.output_audio |
                      usage.output_image | usage.web_searches) == 0;
  if (plain && r.narrow && model.request_picos >= 0) {
    const std::int64_t picos = usage.input * r.input + usage.cache_read * r.cache_read +
                               usage.cache_write * r.cache_write + usage.cache_write_1h * r.cache_write_1h +
                               (usage.output - usage.reasoning) * r.output + usage.reasoning * r.reasoning +
                               model.request_picos;
    return Usd::from_nanos(to_nanos(static_cast<std::uint64_t>(picos)));
  }
  return to_usd(sum(r, usage) + fees(*model.price, usage.web_searches));
}

std::optional<Usd> worst_cost(const PricedModel& model, std::int64_t input, std::int64_t output,
                              std::string_view service_tier, bool long_cache) noexcept {
  input = std::max<std::int64_t>(input, 0);
  output = std::max<std::int64_t>(output, 0);
  const FlatRates& r = rates_for(model, input, service_tier);
  const std::int64_t each = long_cache ? r.worst_input_long : r.worst_input;
  if (r.narrow && model.request_picos >= 0 && input <= max_narrow_count && output <= max_narrow_count) {
    const std::int64_t picos = input * each + output * r.worst_output + model.request_picos;
    return Usd::from_nanos(to_nanos(static_cast<std::uint64_t>(picos)));
  }
  return to_usd(times(input, each) + times(output, r.worst_output) + fees(*model.price, 0));
}

std::int64_t affordable_output(const PricedModel& model, std::int64_t input, Usd room, std::string_view service_tier,
                               bool long_cache) noexcept {
  if (room.nanos() < 0) return -1;
  input = std::max<std::int64_t>(input, 0);
  const FlatRates& r = rates_for(model, input, service_tier);
  const Wide fixed = times(input, long_cache ? r.worst_input_long : r.worst_input) + fees(*model.price, 0);
  // The most pico-dollars that still round to `room`: a tie goes to the even neighbour.
  const Wide most = times(room.nanos(), picos_per_nano) + (room.nanos() % 2 == 0 ? 500 : 499);
  if (fixed > most) return -1;
  if (r.worst_output == 0) return INT64_MAX;
  const Wide count = (most - fixed) / static_cast<std::uint64_t>(r.worst_output);
  return count > static_cast<Wide>(INT64_MAX) ? INT64_MAX : static_cast<std::int64_t>(count);
}

}  // namespace outlay::detail
