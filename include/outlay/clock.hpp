#pragma once

#include <chrono>
#include <string>

#include "outlay/detail/export.hpp"

namespace outlay {

/// An instant in UTC, to the nanosecond.
using Time = std::chrono::sys_time<std::chrono::nanoseconds>;

/// Where a Ledger reads the time of its records and events. Replaced in tests by outlay::testing::ManualClock.
///
/// \par Thread safety
/// `now()` is called from any thread, on the path of every call.
class OUTLAY_EXPORT Clock {
 public:
  virtual ~Clock() = default;
  /// The present instant. Need not be monotonic: what is counted by windows follows it.
  [[nodiscard]] virtual Time now() const noexcept = 0;
};

/// `2026-11-22T01:40:59Z`: UTC, whole seconds.
[[nodiscard]] OUTLAY_EXPORT std::string to_iso8601(Time time);

}  // namespace outlay
