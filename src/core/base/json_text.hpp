#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/clock.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/tags.hpp"
#include "outlay/usd.hpp"

namespace outlay::detail {

/// JSON for output only: what is parsed goes through Boost.JSON, which core does without.

/// The bytes as well-formed UTF-8: each byte that belongs to no character becomes U+FFFD.
[[nodiscard]] OUTLAY_EXPORT std::string well_formed(std::string_view text);
[[nodiscard]] OUTLAY_EXPORT bool is_well_formed(std::string_view text) noexcept;

/// `"..."`, escaped and well-formed.
OUTLAY_EXPORT void append_json(std::string& out, std::string_view text);
OUTLAY_EXPORT void append_json(std::string& out, const Tags& tags);                      // an object
OUTLAY_EXPORT void append_json(std::string& out, const std::vector<std::string>& list);  // an array
OUTLAY_EXPORT void append_number(std::string& out, std::int64_t number);
OUTLAY_EXPORT void append_number(std::string& out, std::uint64_t number);
OUTLAY_EXPORT void append_number(std::string& out,
                                 double number);  // the shortest text that reads back the same; null if not finite
/// Dollars without a sign of currency: `0.000027`, `-1.00`.
[[nodiscard]] OUTLAY_EXPORT std::string decimal_usd(Usd usd);
/// `2026-11-22T01:40:59.123456789Z`
OUTLAY_EXPORT void append_time(std::string& out, Time time);

}  // namespace outlay::detail
