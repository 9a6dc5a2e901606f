#pragma once

// Windows, told a second time: local dates on which one begins, looked for day by day, and offsets of zones as the C library knows them.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "outlay/clock.hpp"
#include "outlay/window.hpp"

namespace outlay_test::in_time {

using outlay::Time;
using Seconds = std::int64_t;  ///< Since 1970, of UTC or of a local clock.

inline Time time_of(Seconds seconds) { return Time(std::chrono::seconds(seconds)); }
inline Seconds seconds_of(Time time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}
inline Seconds date(int year, unsigned month, unsigned day) {
  return seconds_of(
      Time(std::chrono::sys_days(std::chrono::year(year) / static_cast<int>(month) / static_cast<int>(day))));
}

/// The offsets of a zone, by the C library, in the years that the model lives in.
class Zone {
 public:
  [[nodiscard]] static const Zone& named(const std::string& name) {
    static std::map<std::string, Zone> zones;
    const auto found = zones.find(name);
    return found != zones.end() ? found->second : zones.emplace(name, Zone(name)).first->second;
  }
  [[nodiscard]] Seconds local(Seconds instant) const { return instant + offset(instant); }
  /// The first instant at which a local clock shows this or later.
  [[nodiscard]] Seconds first_at(Seconds wall) const {
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      const Seconds from = i == 0 ? std::numeric_limits<Seconds>::min() : pieces_[i].first;
      const Seconds first = std::max(from, wall - pieces_[i].second);
      if (i + 1 == pieces_.size() || first < pieces_[i + 1].first) return first;
    }
    return wall;
  }

 private:
  explicit Zone(const std::string& name) {
    const char* before = std::getenv("TZ");
    const std::string kept = before ? before : "";
    ::setenv("TZ", name.c_str(), 1);
    ::tzset();
    for (Seconds at = date(2022, 1, 1); at < date(2036, 1, 1); at += 1'800) {
      const time_t instant = at;
      tm local{};
      ::localtime_r(&instant, &local);
      if (pieces_.empty() || pieces_.back().second != local.tm_gmtoff) pieces_.emplace_back(at, local.tm_gmtoff);
    }
    before ? ::setenv("TZ", kept.c_str(), 1) : ::unsetenv("TZ");
    ::tzset();
  }
  [[nodiscard]] Seconds offset(Seconds instant) const {
    Seconds found = pieces_.front().second;
    for (const auto& [from, offset] : pieces_)
      if (from <= instant) found = offset;
    return found;
  }
  std::vector<std::pair<Seconds, Seconds>> pieces_{};  // from when, and how much local time is ahead
};

/// A window, and what it was made of.
struct Kind {
  struct Span {
    Seconds begin = 0;
    std::optional<Seconds> end{};
  };
  outlay::Window window{};
  std::string zone = "UTC";
  outlay::WindowAnchor anchor{};
  int days = 1;  ///< Of every().
  std::chrono::year_month_day from{};
  Seconds length = 0;                   ///< Of rolling().
  mutable std::optional<Span> known{};  // the last answer of at()

  [[nodiscard]] bool rolls() const { return window.kind() == outlay::Window::Kind::rolling; }
  [[nodiscard]] Seconds slot() const { return length / 60; }
  /// The slot that an instant lies in.
  [[nodiscard]] const Span& at(Seconds instant) const {
    if (known && known->begin <= instant && (!known->end || instant < *known->end)) return *known;
    known = span(instant);
    return *known;
  }
  /// Until then a slot is kept, at least.
  [[nodiscard]] Seconds kept_until(Seconds begin) const {
    constexpr Seconds two_days = 48 * 3'600;
    if (rolls()) return begin + 61 * slot() + std::min(two_days, 60 * length);  // of a short one there are many
    const Span span = at(begin);
    return span.end ? *span.end + two_days : std::numeric_limits<Seconds>::max();
  }

  [[nodiscard]] Span span(Seconds instant) const {
    using Of = outlay::Window::Kind;
    const auto plain = [&](Seconds seconds) {
      const Seconds begin = instant - (instant % seconds + seconds) % seconds;
      return Span{begin, begin + seconds};
    };
    switch (window.kind()) {
      case Of::scope:
      case Of::forever:
        return {};
      case Of::minute:
        return plain(60);
      case Of::hour:
        return plain(3'600);
      case Of::rolling:
        return plain(slot());
      default:
        break;
    }
    const Zone& in = Zone::named(zone);
    const auto instant_of = [&](std::chrono::sys_days day) {
      return in.first_at(seconds_of(Time(day)) + Seconds{anchor.hour} * 3'600);
    };
    auto first = std::chrono::floor<std::chrono::days>(time_of(in.local(instant))) + std::chrono::days(1);
    while (!begins_on(first) || instant_of(first) > instant) first -= std::chrono::days(1);
    auto next = first + std::chrono::days(1);
    while (!begins_on(next)) next += std::chrono::days(1);
    return {instant_of(first), instant_of(next)};
  }
  [[nodiscard]] bool begins_on(std::chrono::sys_days day) const {
    using Of = outlay::Window::Kind;
    const std::chrono::year_month_day date(day);
    const auto last = std::chrono::year_month_day_last(date.year(), std::chrono::month_day_last(date.month())).day();
    const bool on_its_day = date.day() == std::min(std::chrono::day(static_cast<unsigned>(anchor.day)), last);
    const int months = static_cast<int>(static_cast<unsigned>(date.month())) - anchor.month;
    switch (window.kind()) {
      case Of::week:
        return std::chrono::weekday(day) == anchor.weekday;
      case Of::month:
        return on_its_day;
      case Of::quarter:
        return on_its_day && months % 3 == 0;
      case Of::year:
        return on_its_day && months == 0;
      case Of::every:
        return (day - std::chrono::sys_days(from)).count() % days == 0;
      default:
        return true;
    }
  }
};

/// One of each kind that differs.
inline std::vector<Kind> kinds() {
  using outlay::Window;
  using std::chrono::year;
  const std::string berlin = "Europe/Berlin", new_york = "America/New_York", howe = "Australia/Lord_Howe";
  std::vector<Kind> all{{.window = Window::minute()},
                        {.window = Window::hour()},
                        {.window = Window::day()},
                        {.window = Window::forever()}};
  const auto with = [&](Window window, const std::string& zone, outlay::WindowAnchor anchor) {
    all.push_back({.window = std::move(window), .zone = zone, .anchor = anchor});
  };
  with(Window::day(berlin), berlin, {});
  with(Window::day(new_york, {.hour = 2}), new_york, {.hour = 2});
  with(Window::day(howe, {.hour = 2}), howe, {.hour = 2});
  with(Window::week(), "UTC", {});
  with(Window::week(new_york, {.hour = 5, .weekday = std::chrono::Sunday}), new_york,
       {.hour = 5, .weekday = std::chrono::Sunday});
  with(Window::month(berlin), berlin, {});
  with(Window::month("UTC", {.day = 31, .hour = 23}), "UTC", {.day = 31, .hour = 23});
  with(Window::quarter(), "UTC", {});
  with(Window::quarter(new_york, {.day = 15, .month = 2}), new_york, {.day = 15, .month = 2});
  with(Window::year(), "UTC", {});
  with(Window::year("Europe/London", {.day = 6, .month = 4}), "Europe/London", {.day = 6, .month = 4});
  const auto payday = year(2026) / 1 / 5;
  all.push_back({.window = Window::every(14, payday), .days = 14, .from = payday});
  all.push_back({.window = Window::every(3, payday, berlin), .zone = berlin, .days = 3, .from = payday});
  for (const Seconds length : {60, 3'600, 5 * 3'600, 24 * 3'600, 30 * 24 * 3'600})
    all.push_back({.window = Window::rolling(std::chrono::seconds(length)), .length = length});
  return all;
}

}  // namespace outlay_test::in_time
