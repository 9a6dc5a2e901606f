#pragma once

#include <cstdint>
#include <optional>

#include "core/base/decimal.hpp"

namespace outlay::detail {

// Scales of scaled_decimal, as powers of ten.
inline constexpr int picos_per_dollar = 12;
inline constexpr int nanos_per_dollar = 9;
inline constexpr int picos_per_dollar_a_million = 6;

/// a * b / c of numbers that are not negative, half to even. Empty on overflow.
[[nodiscard]] std::optional<std::int64_t> scaled(std::int64_t a, std::int64_t b, std::int64_t c) noexcept;

}  // namespace outlay::detail
