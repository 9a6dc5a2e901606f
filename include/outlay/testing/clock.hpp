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
  explicit ManualClock(Time start = Time(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1))) noexcept
      : nanos_(start.time_since_epoch().count()) {}

  [[nodiscard]] Time now() const noexcept override { return Time(std::chrono::nanoseconds(nanos_.load())); }
  void set(Time time) noexcept { nanos_ = time.time_since_epoch().count(); }
  void advance(std::chrono::nanoseconds by) noexcept { nanos_ += by.count(); }

 private:
  std::atomic<std::int64_t> nanos_;
};

}  // namespace outlay::testing
