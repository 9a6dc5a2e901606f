#pragma once

#include <memory>
#include <string_view>

#include "core/pricing/price_book.hpp"

namespace outlay::detail {

// The two forms of a price file, from its text. `file` names it in errors, which are ConfigError.

/// LiteLLM's form.
[[nodiscard]] std::shared_ptr<const PriceBook> read_litellm(std::string_view text, std::string_view file);

/// The library's own form, as price_table.schema.json describes it.
[[nodiscard]] std::shared_ptr<const PriceBook> read_prices(std::string_view text, std::string_view file);

}  // namespace outlay::detail
