#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "outlay/clock.hpp"
#include "outlay/detail/export.hpp"

namespace outlay {

namespace detail {
struct Zone;
}

/// Where a day, week, month, quarter or year begins, if not at its own beginning.
struct WindowAnchor {
  int day = 1;   ///< Of the month, 1 to 31, for month(), quarter() and year(); in a shorter month its last day.
  int hour = 0;  ///< Of the local day, 0 to 23.
  /// The first month of a year or a quarter, 1 to 12: `Window::year("Europe/London", {.day = 6, .month = 4})` is a fiscal year.
  int month = 1;
  std::chrono::weekday weekday = std::chrono::Monday;  ///< The first day of a week.
};

/// For how long what was spent under a budget's name counts.
///
/// A pure function of an instant and a time zone: nothing resets a counter; the next window has a counter of its own. A call counts in
/// the window in which it was admitted, whenever it settles.
///
/// Where a local time is skipped, the window begins when the skipping is over; where one comes twice, at the first. So a day may have 23
/// or 25 hours, and each instant lies in exactly one window.
///
/// A second name of a zone is that zone: `"US/Pacific"` and `"America/Los_Angeles"` are one window with one counter, and `"utc"` in any case
/// is `"UTC"`. The names are those of the tz database (IANA), version 2026f.
///
/// \par Errors
/// ConfigError for a zone that the system does not know, an anchor out of range or of no meaning to the kind, every() with less than 1 or
/// more than 3,660 days, a rolling duration below one second or above ten years.
/// \par Thread safety
/// Immutable: safe from any thread.
/// \par Blocking
/// The first zone other than UTC reads the system's time zones (package `tzdata`).
class OUTLAY_EXPORT Window {
 public:
  /// The kinds of windows.
  enum class Kind : std::uint8_t {
    scope,    ///< Window::scope()
    minute,   ///< Window::minute()
    hour,     ///< Window::hour()
    day,      ///< Window::day()
    week,     ///< Window::week()
    month,    ///< Window::month()
    quarter,  ///< Window::quarter()
    year,     ///< Window::year()
    every,    ///< Window::every()
    forever,  ///< Window::forever()
    rolling,  ///< Window::rolling()
  };

  /// scope()
  Window() noexcept = default;
  /// As long as the Budget object lives; what a budget is without a window.
  [[nodiscard]] static Window scope() noexcept { return {}; }
  /// Minutes and hours of UTC.
  [[nodiscard]] static Window minute() noexcept { return Window(Kind::minute); }
  /// Hours of UTC.
  [[nodiscard]] static Window hour() noexcept { return Window(Kind::hour); }
  /// \param zone An IANA name: `"Europe/Berlin"`.
  [[nodiscard]] static Window day(std::string_view zone = "UTC", WindowAnchor anchor = {});
  /// From Monday on, or from the anchor's weekday.
  [[nodiscard]] static Window week(std::string_view zone = "UTC", WindowAnchor anchor = {});
  /// From the first day on, or from the anchor's day.
  [[nodiscard]] static Window month(std::string_view zone = "UTC", WindowAnchor anchor = {});
  /// From January, April, July and October on, or three, six and nine months after the anchor's month.
  [[nodiscard]] static Window quarter(std::string_view zone = "UTC", WindowAnchor anchor = {});
  /// From January on, or from the anchor's month.
  [[nodiscard]] static Window year(std::string_view zone = "UTC", WindowAnchor anchor = {});
  /// Every so many local days, counted from a date in both directions: `Window::every(14, 2026y / 1 / 5)` is two weeks of pay.
  [[nodiscard]] static Window every(int days, std::chrono::year_month_day from, std::string_view zone = "UTC",
                                    WindowAnchor anchor = {});
  /// One window without an end.
  [[nodiscard]] static Window forever() noexcept { return Window(Kind::forever); }
  /// The last `duration`, at every instant.
  ///
  /// Kept as 60 slots, of which the newest 61 must fit: at most 1/60 too strict.
  [[nodiscard]] static Window rolling(std::chrono::seconds duration);

  /// Which kind it is.
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  /// What distinguishes it from others in a counter's key: `"day@Europe/Berlin"`, `"month@UTC+15d6h"`, `"year@UTC+4m6d0h"`, `"week@UTC+sun0h"`,
  /// `"every14d@UTC+1970-01-05+0h"` (by the first date from 1970 on), `"rolling3600s"`. A zone is there by its present name.
  [[nodiscard]] const std::string& id() const noexcept;
  /// The window of an id, for configuration files. The part from `+` on may be left out where it is that of the default.
  ///
  /// \par Errors
  /// ConfigError that names the text and the forms that are known.
  [[nodiscard]] static Window parse(std::string_view id);

  /// The window around an instant.
  struct Span {
    Time begin{};  ///< Of what a call admitted now is charged to: the window, or the rolling window's newest slot.
    std::optional<Time> end{};  ///< Exclusive; empty for forever.
    Time counted_from{};        ///< What began there or later counts now: `begin`, but for rolling windows.
  };
  /// \par Preconditions
  /// Not scope(), which has no span in time: then it is that of forever().
  [[nodiscard]] Span at(Time instant) const;

  /// The same kind and id().
  bool operator==(const Window& other) const noexcept { return kind_ == other.kind_ && id() == other.id(); }

 private:
  explicit Window(Kind kind) noexcept : kind_(kind) {}
  Window(Kind kind, std::string_view zone, WindowAnchor anchor, std::int64_t length = 1, std::int64_t phase = 0);
  Kind kind_ = Kind::scope;
  std::shared_ptr<const detail::Zone> zone_{};  // of all with a zone, and rolling
};

}  // namespace outlay
