#pragma once

#include <atomic>
#include <chrono>

#include "outlay/clock.hpp"

namespace outlay::testing {

/// A clock that stands still until it is told otherwise: LedgerOptions{.clock = std::make_shared<ManualClock>()}.
///
/// \par Thread safety
/// Every member is safe from any thread.
class ManualClock final : public Clock {
 public:
  /// Stands still at `start`, by default the begin of 2026.
  explicit ManualClock(Time start = Time(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1))) noexcept
      : nanos_(start.time_since_epoch().count()) {}

  /// Where it stands.
  [[nodiscard]] Time now() const noexcept override { return Time(std::chrono::nanoseconds(nanos_.load())); }
  /// Puts it there, backwards too.
  void set(Time time) noexcept { nanos_ = time.time_since_epoch().count(); }
  /// Moves it; backwards by a negative duration.
  void advance(std::chrono::nanoseconds by) noexcept { nanos_ += by.count(); }

 private:
  std::atomic<std::int64_t> nanos_;
};

}  // namespace outlay::testing
