#pragma once

#include <string_view>

namespace outlay::detail {

/// The present name of a time zone that is given by an older or a second one: `America/Los_Angeles` for `US/Pacific`.
///
/// The same on every system, since it becomes part of a counter's key: what a system's own data calls a link depends on how its packagers
/// built it, and a system may have the one name and not the other.
///
/// \return `UTC` for each of its names and for "utc" in any case; a name that is not a link as it came.
[[nodiscard]] std::string_view zone_target(std::string_view name) noexcept;

}  // namespace outlay::detail
