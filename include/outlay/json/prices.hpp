#pragma once

#include <filesystem>

#include "outlay/detail/export.hpp"
#include "outlay/price.hpp"

namespace outlay {

/// Reads a price table in the library's own form (`src/json/prices/price_table.schema.json`).
///
/// \par Errors
/// ConfigError that names the file and the place, for a file that cannot be read, is larger than 64 MiB, is not JSON, has a price that
/// is not valid, or has a member that is not part of the form.
/// \par Blocking
/// Reads the file.
[[nodiscard]] OUTLAY_EXPORT PriceTable load_prices(const std::filesystem::path& path);

/// Reads LiteLLM's `model_prices_and_context_window.json`.
///
/// Entries without a price per token or request (images, seconds of audio) are left out: such a model is unknown, not free. Where the file
/// has no rate of a service tier for long inputs, the tier changes the long-context rate by the factor that it has otherwise. Prices of
/// tools other than web search and off-peak prices are not read. The table is undated: see PriceTable::describe().
/// \par Errors
/// As load_prices(), but for members that it does not know, which are ignored.
/// \par Blocking
/// Reads the file; some ten milliseconds for the whole of LiteLLM's.
[[nodiscard]] OUTLAY_EXPORT PriceTable load_litellm_prices(const std::filesystem::path& path);

}  // namespace outlay
