#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/pricing/rates.hpp"
#include "outlay/usage.hpp"
#include "outlay/usd.hpp"

namespace outlay::detail {

/// The exact sum over the buckets, rounded once, half to even, to nano-dollars; empty on overflow. The usage
/// is valid already.
std::optional<Usd> cost(const PricedModel& model, const Usage& usage, std::string_view service_tier) noexcept;

/// What a reservation must hold: input at the dearest of input and cache_write (and cache_write_1h if
/// long_cache), output at the dearest of its rates, at the tier and long-context step that the input falls
/// in; plus Price::request.
std::optional<Usd> worst_cost(const PricedModel& model, std::int64_t input, std::int64_t output,
                              std::string_view service_tier, bool long_cache) noexcept;

/// The largest output count (>= 0) whose worst_cost fits in `room`; -1 if not even zero output fits. The
/// exact inverse of worst_cost; INT64_MAX where output is free.
std::int64_t affordable_output(const PricedModel& model, std::int64_t input, Usd room, std::string_view service_tier,
                               bool long_cache) noexcept;

}  // namespace outlay::detail
