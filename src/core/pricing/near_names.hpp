#pragma once

#include <string>
#include <string_view>

#include "core/pricing/price_book.hpp"
#include "outlay/detail/export.hpp"

namespace outlay::detail {

/// The name of the table that `model` may have been meant to be; empty where none is near.
///
/// One pass over the names, each compared over at most 64 characters: for messages about a model without a price, not for calls that
/// pass. Letters of either case are alike, and so is every sign between them: `gpt4o-mini` is near `gpt-4o-mini`.
[[nodiscard]] OUTLAY_EXPORT std::string near_name(const PriceBook& book, std::string_view model);

/// The next step of such a message: `Did you mean "gpt-4o-mini"? If not, register it`, or `Register it`.
///
/// \param step Begins with a small letter.
[[nodiscard]] std::string did_you_mean(const PriceBook& book, std::string_view model, std::string step);

}  // namespace outlay::detail
