#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "cli/terminal.hpp"
#include "outlay/report.hpp"

namespace outlay::cli {

/// As RFC 4180. What a spreadsheet would compute gets an apostrophe before it, which makes it text there; so does, behind a `;`, `|`, tab or
/// line break, what one would compute that takes these to separate cells.
[[nodiscard]] std::string csv_cell(std::string_view text);

// A report as text, at most `limit` rows of it.
[[nodiscard]] std::string as_csv(const Report& report, const std::vector<std::string>& by, std::size_t limit);
[[nodiscard]] std::string as_json(const Report& report, std::size_t limit);
/// On a terminal with bars, which say how large a part of the dearest row each row is.
[[nodiscard]] std::string as_table(const Report& report, const std::vector<std::string>& by, std::size_t limit,
                                   const Terminal& terminal);

}  // namespace outlay::cli
