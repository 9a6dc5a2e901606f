#include "outlay/window.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "core/base/vector.hpp"
#include "core/budget/zone_clock.hpp"
#include "core/budget/zone_links.hpp"
#include "core/pricing/price_book.hpp"
#include "outlay/error.hpp"

namespace outlay {

namespace detail {

/// The rest of a window that has one. A null `zone` is UTC, which needs no data.
struct Zone {
  const ZoneClock* zone = nullptr;
  WindowAnchor anchor{};
  std::int64_t length = 1, phase = 0;  // days of every(), and its first day from the epoch on
  std::chrono::seconds slot{};         // of a rolling window
  std::string id;
};

}  // namespace detail

namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::seconds;
using Seconds = std::int64_t;  // since the epoch, local or UTC

constexpr int rolling_slots = 60;

constexpr std::array<const char*, 11> kind_names{"scope",   "minute", "hour",  "day",     "week",   "month",
                                                 "quarter", "year",   "every", "forever", "rolling"};
constexpr std::array<const char*, 7> weekday_names{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
/// Of windows without a zone. Never destroyed, and there when a global of another file asks first.
const std::string& plain_id(Window::Kind kind) {
  static const auto& ids = *new std::array<std::string, 4>{"scope", "minute", "hour", "forever"};
  return ids[kind == Window::Kind::forever ? 3 : static_cast<std::size_t>(kind)];
}

/// An instant that Time does not have, before 1677 or after 2262, is the first or the last that it has.
Time at_seconds(Seconds since_epoch) {
  if (since_epoch <= floor<seconds>(Time::min()).time_since_epoch().count()) return Time::min();
  if (since_epoch > floor<seconds>(Time::max()).time_since_epoch().count()) return Time::max();
  return Time(seconds(since_epoch));
}

/// The local date and time, as seconds since a local epoch.
Seconds to_local(const detail::Zone& zone, Seconds instant) {
  return zone.zone ? zone.zone->to_local(instant) : instant;
}

/// The first instant at which local clocks show at least this.
Seconds to_utc(const detail::Zone& zone, Seconds local) { return zone.zone ? zone.zone->to_utc(local) : local; }

constexpr Seconds day_seconds = 86'400;

Seconds floor_div(Seconds a, Seconds b) { return a / b - (a % b < 0 ? 1 : 0); }

using std::chrono::year_month;
using std::chrono::year_month_day;
using std::chrono::year_month_day_last;

/// The local time at which the anchored month begins. Months are counted from January of the year 0 on.
Seconds month_start(std::int64_t number, int day) {
  const std::int64_t year = floor_div(number, 12);
  const year_month month(std::chrono::year(static_cast<int>(year)),
                         std::chrono::month(static_cast<unsigned>(number - year * 12 + 1)));
  const auto last = year_month_day_last(month.year(), std::chrono::month_day_last(month.month()));
  const auto wanted = std::chrono::day(static_cast<unsigned>(day));
  const auto date = year_month_day(month.year(), month.month(), wanted < last.day() ? wanted : last.day());
  return std::chrono::sys_days(date).time_since_epoch().count() * day_seconds;
}

/// How many months a window of the kind has; 0: it is made of days.
std::int64_t months_of(Window::Kind kind) noexcept {
  switch (kind) {
    case Window::Kind::month:
      return 1;
    case Window::Kind::quarter:
      return 3;
    case Window::Kind::year:
      return 12;
    default:
      return 0;
  }
}

/// The windows of a kind have whole numbers, ascending in time; where a number's window begins, on local clocks.
Seconds local_begin(Window::Kind kind, const detail::Zone& zone, std::int64_t number) {
  const Seconds hour = Seconds{zone.anchor.hour} * 3600;
  const std::int64_t months = months_of(kind);
  if (months != 0) return month_start(number * months + zone.anchor.month - 1, zone.anchor.day) + hour;
  return (number * zone.length + zone.phase) * day_seconds + hour;
}

/// The number of the window that is around a local time, or next to it.
std::int64_t guess(Window::Kind kind, const detail::Zone& zone, Seconds local) {
  const Seconds day = floor_div(local, day_seconds);
  const std::int64_t months = months_of(kind);
  if (months == 0) return floor_div(day - zone.phase, zone.length);
  const year_month_day date{std::chrono::sys_days(days(day))};
  const std::int64_t month = std::int64_t{static_cast<int>(date.year())} * 12 + static_cast<unsigned>(date.month()) - 1;
  return floor_div(month - (zone.anchor.month - 1), months);
}

/// A day from the epoch on, as in `2026-01-05`.
std::string date_of(std::int64_t day) { return to_iso8601(Time(days(day))).substr(0, 10); }

Window::Span fixed(Seconds at, Seconds length) {
  const Seconds begin = floor_div(at, length) * length;
  return {at_seconds(begin), at_seconds(begin + length), at_seconds(begin)};
}

}  // namespace

Window::Window(Kind kind, std::string_view zone, WindowAnchor anchor, std::int64_t length, std::int64_t phase)
    : kind_(kind) {
  const std::string name = kind_names[static_cast<std::size_t>(kind)];
  const bool of_months = months_of(kind) != 0;
  const auto has_none = [&](const std::string& member, const char* what, const char* kinds) {
    return ConfigError("WindowAnchor::" + member + ", and a window of the kind " + name + " has no " + what +
                       ". Leave it out, or use " + kinds + '.');
  };
  if (anchor.hour < 0 || anchor.hour > 23)
    throw ConfigError("WindowAnchor::hour must be between 0 and 23, and is " + std::to_string(anchor.hour) + '.');
  if (anchor.day < 1 || anchor.day > 31)
    throw ConfigError("WindowAnchor::day must be between 1 and 31, and is " + std::to_string(anchor.day) + '.');
  if (anchor.month < 1 || anchor.month > 12)
    throw ConfigError("WindowAnchor::month must be between 1 and 12, and is " + std::to_string(anchor.month) + '.');
  if (!anchor.weekday.ok()) throw ConfigError("WindowAnchor::weekday is no day of the week.");
  if (anchor.day != 1 && !of_months)
    throw has_none("day is " + std::to_string(anchor.day), "day of the month",
                   "Window::month, Window::quarter or Window::year");
  if (anchor.month != 1 && kind != Kind::quarter && kind != Kind::year)
    throw has_none("month is " + std::to_string(anchor.month), "first month", "Window::quarter or Window::year");
  if (anchor.weekday != std::chrono::Monday && kind != Kind::week)
    throw has_none(std::string("weekday is ") + weekday_names[anchor.weekday.c_encoding()], "first day of the week",
                   "Window::week");
  if (kind == Kind::quarter) anchor.month = (anchor.month - 1) % 3 + 1;
  if (kind == Kind::week) length = 7, phase = (anchor.weekday - std::chrono::Thursday).count();  // 1970-01-01
  auto data = std::make_shared<detail::Zone>();
  data->zone = detail::ZoneClock::find(zone);
  data->anchor = anchor;
  data->length = length;
  data->phase = phase;
  data->id =
      name + (kind == Kind::every ? std::to_string(length) + 'd' : "") + '@' + std::string(detail::zone_target(zone));
  const std::string hour = std::to_string(anchor.hour) + 'h';
  if (kind == Kind::every)
    data->id += '+' + date_of(phase) + '+' + hour;
  else if (kind == Kind::week && (anchor.weekday != std::chrono::Monday || anchor.hour != 0))
    data->id += std::string("+") + weekday_names[anchor.weekday.c_encoding()] + hour;
  else if (anchor.day != 1 || anchor.hour != 0 || anchor.month != 1)
    data->id +=
        '+' + (anchor.month != 1 ? std::to_string(anchor.month) + 'm' : "") + std::to_string(anchor.day) + 'd' + hour;
  zone_ = std::move(data);
}

Window Window::day(std::string_view zone, WindowAnchor anchor) { return Window(Kind::day, zone, anchor); }
Window Window::week(std::string_view zone, WindowAnchor anchor) { return Window(Kind::week, zone, anchor); }
Window Window::month(std::string_view zone, WindowAnchor anchor) { return Window(Kind::month, zone, anchor); }
Window Window::quarter(std::string_view zone, WindowAnchor anchor) { return Window(Kind::quarter, zone, anchor); }
Window Window::year(std::string_view zone, WindowAnchor anchor) { return Window(Kind::year, zone, anchor); }

Window Window::every(int days, year_month_day from, std::string_view zone, WindowAnchor anchor) {
  if (days < 1 || days > 3'660)
    throw ConfigError("Window::every must be given between 1 and 3,660 days, and was given " + std::to_string(days) +
                      '.');
  if (!from.ok()) throw ConfigError("Window::every was given a date that no calendar has. Pass year, month and day.");
  const std::int64_t first = std::chrono::sys_days(from).time_since_epoch().count();
  return Window(Kind::every, zone, anchor, days, first - floor_div(first, days) * days);
}

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

namespace {

/// The parts of a window's id, one after the other.
class IdReader {
 public:
  explicit IdReader(std::string_view text) : rest_(text) {}

  bool take(std::string_view word) noexcept {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  /// A number and what stands behind it, if both are there.
  std::optional<int> number(std::string_view unit) noexcept {
    int value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    const std::string_view behind = rest_.substr(static_cast<std::size_t>(end - rest_.data()));
    if (error != std::errc() || value < 0 || !behind.starts_with(unit)) return std::nullopt;
    rest_ = behind.substr(unit.size());
    return value;
  }
  /// Up to the next `+`; but that of Etc/GMT+1 and GMT+0 belongs to the zone.
  std::string_view zone() noexcept {
    std::size_t end = rest_.find('+');
    for (const std::string_view offset : {"Etc/GMT+", "GMT+"}) {
      if (!rest_.starts_with(offset)) continue;
      const std::size_t behind = std::min(rest_.find_first_not_of("0123456789", offset.size()), rest_.size());
      if (behind > offset.size() && (behind == rest_.size() || rest_[behind] == '+')) end = behind;
    }
    const std::string_view found = rest_.substr(0, end);
    rest_.remove_prefix(found.size());
    return found;
  }
  [[nodiscard]] bool done() const noexcept { return rest_.empty(); }

 private:
  std::string_view rest_;
};

[[noreturn]] void unknown_window(std::string_view id) {
  throw ConfigError(
      "\"" + detail::printable_name(id) +
      "\" is no window. Write minute, hour, day, week, month, quarter, year, forever, with a time zone as in "
      "day@Europe/Berlin, with a beginning as in month@UTC+15d6h, year@UTC+4m6d0h or week@UTC+sun0h; "
      "every14d@UTC+2026-01-05; or rolling3600s.");
}

}  // namespace

Window Window::parse(std::string_view id) {
  if (id == "scope") return scope();
  if (id == "minute") return minute();
  if (id == "hour") return hour();
  if (id == "forever") return forever();
  IdReader in(id);
  if (in.take("rolling")) {
    const auto length = in.number("s");
    if (!length || !in.done()) unknown_window(id);
    return rolling(seconds(*length));
  }
  Kind kind = Kind::scope;
  for (const Kind one : {Kind::day, Kind::week, Kind::month, Kind::quarter, Kind::year, Kind::every})
    if (in.take(kind_names[static_cast<std::size_t>(one)])) {
      kind = one;
      break;
    }
  if (kind == Kind::scope) unknown_window(id);
  const int length = kind == Kind::every ? in.number("d").value_or(0) : 1;
  if (length < 1) unknown_window(id);
  std::string_view zone = "UTC";
  if (in.take("@")) zone = in.zone();
  WindowAnchor anchor;
  std::optional<year_month_day> from;
  if (in.take("+")) {
    if (kind == Kind::every) {
      const auto year = in.number("-"), month = in.number("-"), day = in.number("");
      if (!year || !month || !day) unknown_window(id);
      from = std::chrono::year(*year) / *month / *day;
      anchor.hour = in.take("+") ? in.number("h").value_or(-1) : 0;
    } else if (kind == Kind::week) {
      bool named = false;
      for (unsigned day = 0; day < weekday_names.size() && !named; ++day)
        if (in.take(weekday_names[day])) named = true, anchor.weekday = std::chrono::weekday(day);
      if (!named) unknown_window(id);
      anchor.hour = in.number("h").value_or(-1);
    } else {
      if (const auto month = in.number("m")) anchor.month = *month;
      anchor.day = in.number("d").value_or(-1);
      anchor.hour = in.number("h").value_or(-1);
    }
    if (anchor.hour < 0 || anchor.day < 0) unknown_window(id);
  }
  if (!in.done() || (kind == Kind::every && !from)) unknown_window(id);
  if (kind == Kind::every) return every(length, *from, zone, anchor);
  return Window(kind, zone, anchor);
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
      std::int64_t begin = 0;
      if (__builtin_mul_overflow(floor_div(instant.time_since_epoch().count(), slot), slot, &begin)) begin = INT64_MIN;
      using std::chrono::nanoseconds;
      return {Time(nanoseconds(begin)), Time(nanoseconds(detail::saturating_add(begin, slot))),
              Time(nanoseconds(detail::saturating_add(begin, -slot * rolling_slots)))};
    }
    case Kind::day:
    case Kind::week:
    case Kind::month:
    case Kind::quarter:
    case Kind::year:
    case Kind::every:
      break;
  }
  const detail::Zone& zone = *zone_;
  const auto begin_of = [&](std::int64_t number) { return to_utc(zone, local_begin(kind_, zone, number)); };
  // Anchors, and clocks that are put back, may make the guess one or two off.
  std::int64_t number = guess(kind_, zone, to_local(zone, now));
  while (begin_of(number) > now) --number;
  while (begin_of(number + 1) <= now) ++number;
  return {at_seconds(begin_of(number)), at_seconds(begin_of(number + 1)), at_seconds(begin_of(number))};
}

}  // namespace outlay
