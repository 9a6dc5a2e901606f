#include "outlay/window.hpp"

#include <array>
#include <utility>

#include "core/budget/zone_links.hpp"
#include "core/pricing/price_book.hpp"
#include "outlay/error.hpp"

// Time zones come from the library that <chrono>'s were taken from, with the same names, or from <chrono>: src/cmake/OutlayTimeZones.cmake
// says which.
#if defined(OUTLAY_USE_DATE)
#include <date/tz.h>
namespace tz = date;
#else
namespace tz = std::chrono;
#endif

namespace outlay {

namespace detail {

/// The rest of a window that has one. A null `zone` is UTC, which needs no data.
struct Zone {
  const tz::time_zone* zone = nullptr;
  WindowAnchor anchor{};
  std::chrono::seconds slot{};  // of a rolling window
  std::string id;
};

}  // namespace detail

namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::seconds;
using Seconds = std::int64_t;  // since the epoch, local or UTC

constexpr int rolling_slots = 60;

constexpr std::array<const char*, 9> kind_names{"scope", "minute", "hour",    "day",    "week",
                                                "month", "year",   "forever", "rolling"};
/// Of windows without a zone. Never destroyed, and there when a global of another file asks first.
const std::string& plain_id(Window::Kind kind) {
  static const auto& ids = *new std::array<std::string, 9>{"scope", "minute", "hour", "", "", "", "", "forever", ""};
  return ids[static_cast<std::size_t>(kind)];
}

Time at_seconds(Seconds since_epoch) { return Time(seconds(since_epoch)); }

/// The local date and time, as seconds since a local epoch.
Seconds to_local(const detail::Zone& zone, std::chrono::sys_seconds instant) {
  if (!zone.zone) return instant.time_since_epoch().count();
  return zone.zone->to_local(instant).time_since_epoch().count();
}

/// The first instant at which local clocks show at least this.
Seconds to_utc(const detail::Zone& zone, Seconds local) {
  if (!zone.zone) return local;
  return floor<seconds>(zone.zone->to_sys(tz::local_time<seconds>(seconds(local)), tz::choose::earliest))
      .time_since_epoch()
      .count();
}

constexpr Seconds day_seconds = 86'400;

Seconds floor_div(Seconds a, Seconds b) { return a / b - (a % b < 0 ? 1 : 0); }

using std::chrono::year_month;
using std::chrono::year_month_day;
using std::chrono::year_month_day_last;

/// The local day on which the anchored month begins.
Seconds month_start(year_month month, int day) {
  const auto last = year_month_day_last(month.year(), std::chrono::month_day_last(month.month()));
  const auto wanted = std::chrono::day(static_cast<unsigned>(day));
  const auto date = year_month_day(month.year(), month.month(), wanted < last.day() ? wanted : last.day());
  return std::chrono::sys_days(date).time_since_epoch().count() * day_seconds;
}

/// The windows of a kind have whole numbers, ascending in time; where a number's window begins, on local clocks.
Seconds local_begin(Window::Kind kind, const WindowAnchor& anchor, std::int64_t number) {
  const Seconds hour = Seconds{anchor.hour} * 3600;
  switch (kind) {
    case Window::Kind::week:
      return (number * 7 - 3) * day_seconds + hour;  // 1970-01-01 was a Thursday
    case Window::Kind::month: {
      const std::int64_t year = floor_div(number, 12);
      return month_start(year_month(std::chrono::year(static_cast<int>(year)),
                                    std::chrono::month(static_cast<unsigned>(number - year * 12 + 1))),
                         anchor.day) +
             hour;
    }
    case Window::Kind::year:
      return month_start(year_month(std::chrono::year(static_cast<int>(number)), std::chrono::January), anchor.day) +
             hour;
    default:
      return number * day_seconds + hour;
  }
}

/// The number of the window that is around a local time, or next to it.
std::int64_t guess(Window::Kind kind, Seconds local) {
  const Seconds day = floor_div(local, day_seconds);
  if (kind == Window::Kind::day) return day;
  if (kind == Window::Kind::week) return floor_div(day + 3, 7);
  const year_month_day date{std::chrono::sys_days(days(day))};
  const std::int64_t year = static_cast<int>(date.year());
  return kind == Window::Kind::year ? year : year * 12 + static_cast<unsigned>(date.month()) - 1;
}

Window::Span fixed(Seconds at, Seconds length) {
  const Seconds begin = floor_div(at, length) * length;
  return {at_seconds(begin), at_seconds(begin + length), at_seconds(begin)};
}

const tz::time_zone* find_zone(std::string_view name) {
  const std::string_view target = detail::zone_target(name);
  if (target == "UTC") return nullptr;
  // A system may be older than the present name.
  for (const std::string_view known : {target, name}) {
    try {
      return tz::locate_zone(std::string(known));
    } catch (const std::exception&) {
      continue;
    }
  }
  throw ConfigError("a window names the time zone \"" + detail::printable_name(name) +
                    "\", which this system does not know. Use an IANA name such as \"Europe/Berlin\", and install "
                    "the package tzdata if it is missing.");
}

}  // namespace

Window::Window(Kind kind, std::string_view zone, WindowAnchor anchor) : kind_(kind) {
  if (anchor.hour < 0 || anchor.hour > 23)
    throw ConfigError("WindowAnchor::hour must be between 0 and 23, and is " + std::to_string(anchor.hour) + '.');
  if (anchor.day < 1 || anchor.day > 31)
    throw ConfigError("WindowAnchor::day must be between 1 and 31, and is " + std::to_string(anchor.day) + '.');
  if (anchor.day != 1 && kind != Kind::month && kind != Kind::year)
    throw ConfigError(std::string("WindowAnchor::day is ") + std::to_string(anchor.day) + ", and a " +
                      kind_names[static_cast<std::size_t>(kind)] +
                      " has no day of the month. Leave it out, or use Window::month or Window::year.");
  auto data = std::make_shared<detail::Zone>();
  data->zone = find_zone(zone);
  data->anchor = anchor;
  data->id = std::string(kind_names[static_cast<std::size_t>(kind)]) + '@' + std::string(detail::zone_target(zone));
  if (anchor.day != 1 || anchor.hour != 0)
    data->id += '+' + std::to_string(anchor.day) + 'd' + std::to_string(anchor.hour) + 'h';
  zone_ = std::move(data);
}

Window Window::day(std::string_view zone, WindowAnchor anchor) { return Window(Kind::day, zone, anchor); }
Window Window::week(std::string_view zone, WindowAnchor anchor) { return Window(Kind::week, zone, anchor); }
Window Window::month(std::string_view zone, WindowAnchor anchor) { return Window(Kind::month, zone, anchor); }
Window Window::year(std::string_view zone, WindowAnchor anchor) { return Window(Kind::year, zone, anchor); }

Window Window::rolling(seconds duration) {
  constexpr seconds longest = days(3'660);
  if (duration < seconds(1) || duration > longest)
    throw ConfigError("Window::rolling must last between 1 s and 3,660 days, and lasts " +
                      std::to_string(duration.count()) + " s.");
  Window window(Kind::rolling);
  auto data = std::make_shared<detail::Zone>();
  data->slot = duration;
  data->id = "rolling" + std::to_string(duration.count()) + 's';
  window.zone_ = std::move(data);
  return window;
}

const std::string& Window::id() const noexcept { return zone_ ? zone_->id : plain_id(kind_); }

Window::Span Window::at(Time instant) const {
  const auto whole = floor<seconds>(instant);
  const Seconds now = whole.time_since_epoch().count();
  switch (kind_) {
    case Kind::scope:
    case Kind::forever:
      return {Time{}, std::nullopt, Time{}};
    case Kind::minute:
      return fixed(now, 60);
    case Kind::hour:
      return fixed(now, 3600);
    case Kind::rolling: {
      // Slots of duration / 60, to the nanosecond; the newest and the 60 before it cover the duration wherever the newest has got to.
      const std::int64_t slot = std::chrono::nanoseconds(zone_->slot).count() / rolling_slots;
      const std::int64_t begin = floor_div(instant.time_since_epoch().count(), slot) * slot;
      using std::chrono::nanoseconds;
      return {Time(nanoseconds(begin)), Time(nanoseconds(begin + slot)),
              Time(nanoseconds(begin - slot * rolling_slots))};
    }
    case Kind::day:
    case Kind::week:
    case Kind::month:
    case Kind::year:
      break;
  }
  const detail::Zone& zone = *zone_;
  const auto begin_of = [&](std::int64_t number) { return to_utc(zone, local_begin(kind_, zone.anchor, number)); };
  // Anchors, and clocks that are put back, may make the guess one or two off.
  std::int64_t number = guess(kind_, to_local(zone, whole));
  while (begin_of(number) > now) --number;
  while (begin_of(number + 1) <= now) ++number;
  return {at_seconds(begin_of(number)), at_seconds(begin_of(number + 1)), at_seconds(begin_of(number))};
}

}  // namespace outlay
