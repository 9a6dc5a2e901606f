#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/clock.hpp"
#include "outlay/tags.hpp"
#include "outlay/usd.hpp"

namespace outlay::detail {

/// JSON for output only: what is parsed goes through Boost.JSON, which core does without.

/// The bytes as well-formed UTF-8: each byte that belongs to no character becomes U+FFFD.
[[nodiscard]] std::string well_formed(std::string_view text);
[[nodiscard]] bool is_well_formed(std::string_view text) noexcept;

/// `"..."`, escaped and well-formed.
void append_json(std::string& out, std::string_view text);
void append_json(std::string& out, const Tags& tags);                      // an object
void append_json(std::string& out, const std::vector<std::string>& list);  // an array
void append_number(std::string& out, std::int64_t number);
void append_number(std::string& out, std::uint64_t number);
void append_number(std::string& out,
                   double number);  // the shortest text that reads back the same; null if not finite
/// Dollars without a sign of currency: `0.000027`, `-1.00`.
[[nodiscard]] std::string decimal_usd(Usd usd);
/// `2026-11-22T01:40:59.123456789Z`
void append_time(std::string& out, Time time);

}  // namespace outlay::detail
