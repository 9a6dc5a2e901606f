#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

namespace outlay::detail {

/// How long to wait before the next attempt: twice as long after each failure in a row, and never quite as long as others wait, so
/// that clients which lost the same server do not return in step.
///
/// \par Thread safety
/// None: callers lock.
class BackOff {
 public:
  using Milliseconds = std::chrono::milliseconds;

  /// Between which parts of the full delay a wait is chosen, in percent.
  struct Spread {
    int from = 50;
    int to = 100;
  };

  /// \param first The full delay after the first failure.
  /// \param longest What doubling ends at.
  BackOff(Milliseconds first, Milliseconds longest, Spread spread)
      : first_(std::min(first, longest)), longest_(longest), spread_(spread), random_(std::random_device{}()) {}

  /// \param failures In a row, from 1.
  [[nodiscard]] Milliseconds wait(int failures) {
    Milliseconds full = first_;
    // Compared before it is doubled, so that a delay of any length does not overflow.
    for (int n = 1; n < failures && full.count() > 0 && full < longest_; ++n)
      full = full > longest_ / 2 ? longest_ : full * 2;
    std::uniform_int_distribution<std::int64_t> between(part(full, spread_.from), part(full, spread_.to));
    return Milliseconds(between(random_));
  }

 private:
  static std::int64_t part(Milliseconds full, int percent) noexcept {
    return full.count() / 100 * percent + full.count() % 100 * percent / 100;
  }

  Milliseconds first_;
  Milliseconds longest_;
  Spread spread_;
  std::minstd_rand random_;
};

}  // namespace outlay::detail
