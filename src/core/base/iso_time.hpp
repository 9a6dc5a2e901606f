#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "outlay/clock.hpp"

namespace outlay::detail {

/// ISO 8601 in UTC, whatever the locale. To whole seconds it is outlay::to_iso8601().

/// `2026-11-22T01:40:59.123456789Z`
[[nodiscard]] std::string iso_nanoseconds(Time time);
/// `2026-11-22`
[[nodiscard]] OUTLAY_EXPORT std::string iso_date(Time time);

/// Reads `2026-11-22`. Empty for anything else, and for a day that is not in the calendar.
[[nodiscard]] OUTLAY_EXPORT std::optional<std::chrono::sys_days> parse_iso_date(std::string_view text) noexcept;
/// Reads `2026-11-22` and `2026-11-22T01:40:59Z`. Empty for anything else, and for years that a Time cannot hold.
[[nodiscard]] OUTLAY_EXPORT std::optional<Time> parse_iso_time(std::string_view text) noexcept;

}  // namespace outlay::detail
