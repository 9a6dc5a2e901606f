#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "outlay/detail/decimal.hpp"
#include "outlay/usd.hpp"

namespace outlay::detail {

struct ScaledDecimal {
  std::int64_t value = 0;
  bool rounded = false;  ///< Half to even.
};

/// A JSON number's text times 10^scale, as an integer. Empty if it is not a number, negative, or too large.
[[nodiscard]] constexpr std::optional<ScaledDecimal> scaled_decimal(std::string_view text, int scale) noexcept {
  const Decimal read = read_decimal(text, scale, {.exponent = true});
  if (read.error != DecimalError::none) return std::nullopt;
  return ScaledDecimal{read.value, read.rounded};
}

/// Dollars without a currency sign: `0.000027`, `-1.00`.
[[nodiscard]] OUTLAY_EXPORT std::string decimal_usd(Usd usd);
/// 10^-9 of an amount as a JSON number, exactly: seconds of nanoseconds, dollars of nano-dollars; `0.25`, `-3`.
[[nodiscard]] OUTLAY_EXPORT std::string billionths(std::int64_t amount);

}  // namespace outlay::detail
