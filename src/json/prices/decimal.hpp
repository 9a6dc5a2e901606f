#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace outlay::detail {

// Scales of scaled_decimal, as powers of ten.
inline constexpr int picos_per_dollar = 12;
inline constexpr int nanos_per_dollar = 9;
inline constexpr int picos_per_dollar_a_million = 6;

struct ScaledDecimal {
  std::int64_t value = 0;
  bool rounded = false;  // half to even
};

/// A JSON number's text times 10^scale, as an integer. Empty if it is not a number, negative, or too large.
[[nodiscard]] std::optional<ScaledDecimal> scaled_decimal(std::string_view text, int scale) noexcept;

/// a * b / c of numbers that are not negative, half to even. Empty on overflow.
[[nodiscard]] std::optional<std::int64_t> scaled(std::int64_t a, std::int64_t b, std::int64_t c) noexcept;

}  // namespace outlay::detail
