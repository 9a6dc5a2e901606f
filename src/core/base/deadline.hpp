#pragma once

#include <algorithm>
#include <chrono>

namespace outlay::detail {

/// So long from now on, and at most a century: what is longer is for ever, and the clocks behind a wait have no number for it.
[[nodiscard]] inline std::chrono::steady_clock::time_point deadline_in(std::chrono::milliseconds time) noexcept {
  constexpr std::chrono::milliseconds century = std::chrono::hours(24) * 36'525;
  return std::chrono::steady_clock::now() + std::clamp(time, -century, century);
}

}  // namespace outlay::detail
