#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "outlay/detail/export.hpp"

namespace outlay::detail {

/// The text with everything as `%XX` but ASCII letters, digits and the characters of `plain`.
[[nodiscard]] OUTLAY_EXPORT std::string percent_encoded(std::string_view text, std::string_view plain);
/// Empty for a `%` without two hexadecimal digits behind it.
[[nodiscard]] OUTLAY_EXPORT std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace outlay::detail
