#pragma once

#include <algorithm>
#include <chrono>

namespace outlay::detail {

/// What is longer is for ever: the clocks behind a wait have no number for it.
inline constexpr std::chrono::milliseconds century = std::chrono::days(36'525);

/// So long from now on, and at most a century.
[[nodiscard]] inline std::chrono::steady_clock::time_point deadline_in(std::chrono::milliseconds time) noexcept {
  return std::chrono::steady_clock::now() + std::clamp(time, -century, century);
}

}  // namespace outlay::detail
