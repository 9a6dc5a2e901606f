#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "core/pricing/price_book.hpp"

namespace outlay::detail {

/// The largest price file that is read.
inline constexpr std::size_t max_price_file = 64u << 20;

/// Reads LiteLLM's format. `file` names the text in errors, which are ConfigError.
std::shared_ptr<const PriceBook> read_litellm(std::string_view text, std::string_view file);

/// Reads the library's own format.
std::shared_ptr<const PriceBook> read_prices(std::string_view text, std::string_view file);

struct ScaledDecimal {
  std::int64_t value = 0;
  bool rounded = false;  // half to even
};

/// A JSON number's text times 10^scale, as an integer. Empty if it is not a number, negative, or too large.
std::optional<ScaledDecimal> scaled_decimal(std::string_view text, int scale) noexcept;

}  // namespace outlay::detail
