#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace outlay::detail {

/// The clocks of a time zone: how far ahead of UTC they are, and from when on.
///
/// A copy of what the time-zone library says, which is never destroyed: that library's own data is gone while static objects are destroyed,
/// and calls of theirs may still settle.
/// \par Thread safety
/// Every member is safe from any thread.
class ZoneClock {
 public:
  using Seconds = std::int64_t;  // since an epoch, local or UTC

  /// The one of that name, or of the zone that it is a second name of; null for UTC, which needs no data.
  ///
  /// \par Errors
  /// ConfigError for a zone that the system does not know.
  [[nodiscard]] static const ZoneClock* find(std::string_view name);

  /// What local clocks show.
  [[nodiscard]] Seconds to_local(Seconds utc) const noexcept;
  /// The first instant at which local clocks show at least this.
  [[nodiscard]] Seconds to_utc(Seconds local) const noexcept;

 private:
  struct Span {
    Seconds begin, ahead;
  };
  explicit ZoneClock(std::string_view name);

  /// All that were found so far. Without a lock, which a child of a fork might find taken.
  static std::atomic<const ZoneClock*> first;

  std::string name_;
  std::vector<Span> spans_;  // by begin; the first one begins before all instants
  const ZoneClock* next_ = nullptr;
};

}  // namespace outlay::detail
