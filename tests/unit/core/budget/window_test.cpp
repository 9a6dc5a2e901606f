#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/error.hpp"
#include "outlay/window.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using outlay::Time;
using outlay::Window;
using outlay::WindowAnchor;

namespace {

Time utc(int year, unsigned month, unsigned day, int hour = 0, int minute = 0, int second = 0) {
  return Time(std::chrono::sys_days(std::chrono::year(year) / static_cast<int>(month) / static_cast<int>(day)) +
              std::chrono::hours(hour) + std::chrono::minutes(minute) + std::chrono::seconds(second));
}

std::string span(const Window& window, Time at) {
  const Window::Span found = window.at(at);
  return outlay::to_iso8601(found.begin) + ' ' + (found.end ? outlay::to_iso8601(*found.end) : "-");
}

/// Every zone of the system's list; some that matter, where there is no list.
std::vector<std::string> zones() {
  std::set<std::string> names{"UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe"};
  std::ifstream list("/usr/share/zoneinfo/tzdata.zi");
  for (std::string line; std::getline(list, line);) {
    const std::size_t first = line.find(' ');
    if (line.starts_with("Z ")) names.insert(line.substr(2, line.find(' ', 2) - 2));
    if (line.starts_with("L ") && first != std::string::npos) names.insert(line.substr(line.rfind(' ') + 1));
  }
  names.erase("Factory");  // no place's
  return {names.begin(), names.end()};
}

/// Local dates as the C library has them. Puts the process's own zone back at the end.
class OfTheCLibrary {
 public:
  OfTheCLibrary() {
    if (const char* zone = std::getenv("TZ")) before_ = zone;
  }
  ~OfTheCLibrary() {
    if (before_)
      ::setenv("TZ", before_->c_str(), 1);
    else
      ::unsetenv("TZ");
    ::tzset();
  }
  OfTheCLibrary(const OfTheCLibrary&) = delete;
  OfTheCLibrary& operator=(const OfTheCLibrary&) = delete;

  void set(const std::string& zone) const {
    REQUIRE(::setenv("TZ", (":" + zone).c_str(), 1) == 0);
    ::tzset();
  }
  [[nodiscard]] int date(Time at) const {
    const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
    std::tm local{};
    if (::localtime_r(&seconds, &local) == nullptr) return 0;
    return (local.tm_year * 12 + local.tm_mon) * 31 + local.tm_mday;
  }

 private:
  std::optional<std::string> before_{};
};

}  // namespace

TEST_CASE("window: fixed windows of UTC", "[core][window]") {
  const Time at = utc(2026, 11, 22, 13, 14, 15) + 16ms;
  CHECK(span(Window::minute(), at) == "2026-11-22T13:14:00Z 2026-11-22T13:15:00Z");
  CHECK(span(Window::hour(), at) == "2026-11-22T13:00:00Z 2026-11-22T14:00:00Z");
  CHECK(span(Window::day(), at) == "2026-11-22T00:00:00Z 2026-11-23T00:00:00Z");
  CHECK(span(Window::week(), at) == "2026-11-16T00:00:00Z 2026-11-23T00:00:00Z");
  CHECK(span(Window::month(), at) == "2026-11-01T00:00:00Z 2026-12-01T00:00:00Z");
  CHECK(span(Window::year(), at) == "2026-01-01T00:00:00Z 2027-01-01T00:00:00Z");
  CHECK(span(Window::forever(), at) == "1970-01-01T00:00:00Z -");
}

TEST_CASE("window: a boundary belongs to the window that it begins", "[core][window]") {
  const Window day = Window::day();
  CHECK(day.at(utc(2026, 3, 1)).begin == utc(2026, 3, 1));
  CHECK(day.at(utc(2026, 3, 1) - 1ns).end == utc(2026, 3, 1));
}

TEST_CASE("window: days of a zone have 23 and 25 hours where clocks change", "[core][window]") {
  const Window day = Window::day("Europe/Berlin");
  CHECK(span(day, utc(2026, 3, 29, 12)) == "2026-03-28T23:00:00Z 2026-03-29T22:00:00Z");
  CHECK(span(day, utc(2026, 10, 25, 12)) == "2026-10-24T22:00:00Z 2026-10-25T23:00:00Z");
}

TEST_CASE("window: days and months turn at the zone's midnight, not at UTC's", "[core][window]") {
  const Time at = utc(2026, 7, 1, 3, 30);
  CHECK(span(Window::day(), at) == "2026-07-01T00:00:00Z 2026-07-02T00:00:00Z");
  CHECK(span(Window::month(), at) == "2026-07-01T00:00:00Z 2026-08-01T00:00:00Z");
  CHECK(span(Window::day("America/New_York"), at) == "2026-06-30T04:00:00Z 2026-07-01T04:00:00Z");
  CHECK(span(Window::month("America/New_York"), at) == "2026-06-01T04:00:00Z 2026-07-01T04:00:00Z");
}

TEST_CASE("window: a local midnight that is skipped, or comes twice, begins one window", "[core][window]") {
  // Sao Paulo put its clocks forward at midnight (2018-11-04) and back at midnight (2018-02-18).
  const Window day = Window::day("America/Sao_Paulo");
  CHECK(span(day, utc(2018, 11, 4, 3)) == "2018-11-04T03:00:00Z 2018-11-05T02:00:00Z");
  CHECK(span(day, utc(2018, 2, 18, 2, 30)) == "2018-02-17T02:00:00Z 2018-02-18T03:00:00Z");
  // Newfoundland put them back at 00:01 (2010-11-07): midnight came twice, and the second belongs to the new day already.
  const Window island = Window::day("America/St_Johns");
  CHECK(span(island, utc(2010, 11, 7, 2, 45)) == "2010-11-07T02:30:00Z 2010-11-08T03:30:00Z");
  // Samoa left out 2011-12-30.
  CHECK(span(Window::day("Pacific/Apia"), utc(2011, 12, 30, 10)) == "2011-12-30T10:00:00Z 2011-12-31T10:00:00Z");
}

TEST_CASE("window: anchors move the beginning, and short months end them early", "[core][window]") {
  CHECK(span(Window::day("UTC", {.hour = 6}), utc(2026, 5, 5, 5, 59)) == "2026-05-04T06:00:00Z 2026-05-05T06:00:00Z");
  const Window month = Window::month("UTC", {.day = 31});
  CHECK(span(month, utc(2028, 2, 29)) == "2028-02-29T00:00:00Z 2028-03-31T00:00:00Z");
  CHECK(span(month, utc(2027, 2, 27, 23)) == "2027-01-31T00:00:00Z 2027-02-28T00:00:00Z");
  CHECK(span(Window::year("UTC", {.day = 6}), utc(2027, 1, 5)) == "2026-01-06T00:00:00Z 2027-01-06T00:00:00Z");
  CHECK(span(Window::week("UTC", {.hour = 9}), utc(2026, 11, 23, 8)) == "2026-11-16T09:00:00Z 2026-11-23T09:00:00Z");
}

TEST_CASE("window: ids tell windows apart", "[core][window]") {
  CHECK(Window::day().id() == "day@UTC");
  CHECK(Window::month("Europe/Berlin", {.day = 15, .hour = 6}).id() == "month@Europe/Berlin+15d6h");
  CHECK(Window::rolling(1h).id() == "rolling3600s");
  CHECK(Window().id() == "scope");
  CHECK(Window::day() == Window::day("UTC"));
  CHECK_FALSE(Window::day() == Window::day("Europe/Berlin"));
}

TEST_CASE("window: a second name of a zone is the zone, with the same counter", "[core][window]") {
  const Time at = utc(2026, 7, 1, 3, 30);
  const auto same = [at](std::string_view link, std::string_view zone) {
    CAPTURE(link);
    CHECK(Window::day(link) == Window::day(zone));
    CHECK(Window::month(link, {.day = 3}).id() == Window::month(zone, {.day = 3}).id());
    CHECK(span(Window::day(link), at) == span(Window::day(zone), at));
  };
  same("US/Pacific", "America/Los_Angeles");
  same("Asia/Calcutta", "Asia/Kolkata");
  same("Europe/Kiev", "Europe/Kyiv");
  same("GMT", "Etc/GMT");
  for (const std::string_view name : {"utc", "Utc", "uTC", "Etc/UTC", "Zulu", "Universal", "Etc/UCT"})
    same(name, "UTC");
  // Alike since 1970, and a link in the data of some systems alone.
  CHECK_FALSE(Window::day("Europe/Oslo") == Window::day("Europe/Berlin"));
}

TEST_CASE("window: the days of every zone are those of the C library", "[core][window][property]") {
  const OfTheCLibrary clock;
  for (const std::string& zone : zones()) {
    // Where the old names are a package of its own, the list has them, and the C library does not.
    if (!std::filesystem::exists("/usr/share/zoneinfo/" + zone)) continue;
    clock.set(zone);
    const Window day = Window::day(zone);
    std::string wrong;
    for (Time at = utc(2026, 1, 1); at < utc(2028, 1, 1) && wrong.empty();) {
      const Window::Span found = day.at(at);
      // One date from the first second to the last, and another one before.
      if (clock.date(found.begin) != clock.date(*found.end - 1s) ||
          clock.date(found.begin) == clock.date(found.begin - 1s))
        wrong = span(day, at);
      at = *found.end;
    }
    CAPTURE(zone);
    CHECK(wrong.empty());
  }
}

namespace {

/// Is made before the first zone is looked up, and destroyed after the time-zone library's own data.
struct LastWindows {
  std::vector<Window> windows;
  std::vector<Time> begins;
  ~LastWindows() {
    const Time at = utc(2026, 7, 1, 12);
    for (std::size_t i = 0; i < windows.size(); ++i)
      if (windows[i].at(at).begin != begins[i] || Window::parse(windows[i].id()).at(at).begin != begins[i])
        std::_Exit(3);  // too late for a failure of the test
  }
} last_windows;

}  // namespace

TEST_CASE("window: what a zone's clocks show is known as long as there are static objects", "[core][window]") {
  // Judged when the program ends.
  for (const char* zone : {"Europe/Berlin", "America/New_York", "Asia/Kolkata"}) {
    last_windows.windows.push_back(Window::day(zone));
    last_windows.begins.push_back(last_windows.windows.back().at(utc(2026, 7, 1, 12)).begin);
  }
  CHECK(last_windows.begins[0] == utc(2026, 6, 30, 22));
}

TEST_CASE("window: a rolling window counts 61 slots of a sixtieth", "[core][window]") {
  const Window hour = Window::rolling(1h);
  const Time at = utc(2026, 11, 22, 13, 14, 15);
  const Window::Span found = hour.at(at);
  CHECK(found.begin == utc(2026, 11, 22, 13, 14));
  CHECK(*found.end == utc(2026, 11, 22, 13, 15));
  CHECK(found.counted_from == utc(2026, 11, 22, 12, 14));
}

TEST_CASE("window: what makes no sense is refused with what to write instead", "[core][window]") {
  CHECK_THROWS_AS(Window::day("Mars/Olympus"), outlay::ConfigError);
  CHECK_THROWS_AS(Window::day("localtime"), outlay::ConfigError);  // another one on each machine
  CHECK_THROWS_AS(Window::day("UTC", {.day = 2}), outlay::ConfigError);
  CHECK_THROWS_AS(Window::month("UTC", {.day = 32}), outlay::ConfigError);
  CHECK_THROWS_AS(Window::day("UTC", {.hour = 24}), outlay::ConfigError);
  CHECK_THROWS_AS(Window::rolling(0s), outlay::ConfigError);
}

TEST_CASE("window: in every zone each instant is in exactly one window", "[core][window][property]") {
  std::mt19937_64 random(20261122);
  const std::vector<std::string> names = zones();
  INFO(names.size() << " zones");
  std::uniform_int_distribution<std::int64_t> seconds(utc(1971, 1, 1).time_since_epoch() / 1s,
                                                      utc(2037, 12, 31).time_since_epoch() / 1s);
  for (const std::string& zone : names) {
    CAPTURE(zone);
    const std::vector<Window> windows{Window::day(zone),
                                      Window::day(zone, {.hour = 2}),
                                      Window::week(zone),
                                      Window::month(zone),
                                      Window::month(zone, {.day = 31, .hour = 23}),
                                      Window::quarter(zone, {.day = 31, .month = 2}),
                                      Window::every(10, std::chrono::year(2024) / 2 / 29, zone),
                                      Window::week(zone, {.weekday = std::chrono::Saturday}),
                                      Window::year(zone, {.day = 31, .month = 4})};
    for (const Window& window : windows) {
      for (int i = 0; i < 20; ++i) {
        const Time at{std::chrono::seconds(seconds(random))};
        const Window::Span found = window.at(at);
        CAPTURE(window.id(), outlay::to_iso8601(at));
        REQUIRE((found.begin <= at && at < *found.end));
        // Both ends lead back to the same window, and the neighbours touch it.
        REQUIRE(window.at(found.begin).end == found.end);
        REQUIRE(window.at(*found.end - 1ns).begin == found.begin);
        REQUIRE(window.at(*found.end).begin == *found.end);
        REQUIRE(*window.at(found.begin - 1ns).end == found.begin);
      }
    }
  }
}

TEST_CASE("window: a quarter is three months, from any month on", "[core][window]") {
  CHECK(span(Window::quarter(), utc(2026, 5, 1)) == "2026-04-01T00:00:00Z 2026-07-01T00:00:00Z");
  CHECK(span(Window::quarter(), utc(2026, 3, 31, 23, 59, 59)) == "2026-01-01T00:00:00Z 2026-04-01T00:00:00Z");
  CHECK(span(Window::quarter("UTC", {.month = 2}), utc(2026, 1, 31)) == "2025-11-01T00:00:00Z 2026-02-01T00:00:00Z");
  CHECK(span(Window::quarter("UTC", {.day = 31, .month = 2}), utc(2026, 3, 1)) ==
        "2026-02-28T00:00:00Z 2026-05-31T00:00:00Z");
  CHECK(Window::quarter("UTC", {.month = 2}) == Window::quarter("UTC", {.month = 11}));
  CHECK_FALSE(Window::quarter("UTC", {.month = 2}) == Window::quarter());
}

TEST_CASE("window: a year begins in any month", "[core][window]") {
  CHECK(span(Window::year("UTC", {.day = 6, .month = 4}), utc(2026, 4, 5, 23)) ==
        "2025-04-06T00:00:00Z 2026-04-06T00:00:00Z");
  CHECK(span(Window::year("America/New_York", {.month = 10}), utc(2026, 11, 28)) ==
        "2026-10-01T04:00:00Z 2027-10-01T04:00:00Z");
  CHECK(Window::year("UTC", {.day = 6, .month = 4}).id() == "year@UTC+4m6d0h");
}

TEST_CASE("window: a week begins on any day", "[core][window]") {
  CHECK(span(Window::week("UTC", {.weekday = std::chrono::Sunday}), utc(2026, 11, 28)) ==
        "2026-11-22T00:00:00Z 2026-11-29T00:00:00Z");
  CHECK(span(Window::week(), utc(2026, 11, 29)) == "2026-11-23T00:00:00Z 2026-11-30T00:00:00Z");
  CHECK(span(Window::week("UTC", {.hour = 6, .weekday = std::chrono::Saturday}), utc(2026, 11, 28, 5)) ==
        "2026-11-21T06:00:00Z 2026-11-28T06:00:00Z");
  CHECK(Window::week("UTC", {.weekday = std::chrono::Sunday}).id() == "week@UTC+sun0h");
}

TEST_CASE("window: every so many days, counted from a date in both directions", "[core][window]") {
  using namespace std::chrono_literals;
  const Window pay = Window::every(14, 2026y / 1 / 5);
  CHECK(span(pay, utc(2026, 1, 5)) == "2026-01-05T00:00:00Z 2026-01-19T00:00:00Z");
  CHECK(span(pay, utc(2026, 1, 4)) == "2025-12-22T00:00:00Z 2026-01-05T00:00:00Z");
  CHECK(pay == Window::every(14, 2026y / 1 / 19));
  CHECK_FALSE(pay == Window::every(14, 2026y / 1 / 12));
  // Local days, so that a change of clocks is in it.
  CHECK(span(Window::every(2, 2026y / 3 / 28, "Europe/Berlin"), utc(2026, 3, 29)) ==
        "2026-03-27T23:00:00Z 2026-03-29T22:00:00Z");
}

TEST_CASE("window: around the first and the last instant that there are, windows are cut off", "[core][window]") {
  for (const Window& window :
       {Window::minute(), Window::hour(), Window::day(), Window::day("Asia/Kolkata"), Window::week(), Window::month(),
        Window::quarter(), Window::year("America/New_York", {.day = 6, .month = 4}),
        Window::every(3'660, std::chrono::year(2026) / 1 / 5), Window::rolling(7s), Window::rolling(24h * 3'660)})
    for (const Time instant : {Time::min(), Time::min() + 1ns, Time::max() - 1ns, Time::max()}) {
      INFO(window.id() << " at " << instant.time_since_epoch().count());
      const Window::Span span = window.at(instant);
      CHECK(span.begin <= instant);
      CHECK(span.counted_from <= span.begin);
      REQUIRE(span.end);
      CHECK(*span.end >= instant);
      CHECK(*span.end > span.begin);
    }
}

TEST_CASE("window: an id is read back, and what is none is refused", "[core][window]") {
  using namespace std::chrono_literals;
  for (const Window& window :
       {Window::scope(), Window::minute(), Window::hour(), Window::forever(), Window::rolling(90s), Window::day(),
        Window::day("Europe/Berlin", {.hour = 6}), Window::week("UTC", {.weekday = std::chrono::Sunday}),
        Window::month("Asia/Kolkata", {.day = 15, .hour = 6}), Window::quarter("UTC", {.day = 3, .month = 3}),
        Window::day("Etc/GMT+1"), Window::month("Etc/GMT+12", {.day = 2}), Window::month("Etc/GMT", {.day = 2}),
        Window::year("UTC", {.day = 6, .month = 4}), Window::every(14, 2026y / 1 / 5, "UTC", {.hour = 3})}) {
    INFO(window.id());
    CHECK(Window::parse(window.id()) == window);
  }
  CHECK(Window::parse("day") == Window::day());
  CHECK(Window::parse("day@US/Pacific") == Window::day("America/Los_Angeles"));
  CHECK(Window::parse("every14d@UTC+2026-01-05") == Window::every(14, 2026y / 1 / 5));
  for (const char* none : {"",
                           "daily",
                           "day@",
                           "day@Nowhere",
                           "day+",
                           "day@UTC+6",
                           "day@UTC+1d99h",
                           "day@UTC+5d0h",
                           "week@UTC+1d6h",
                           "month@UTC+0d0h",
                           "year@UTC+13m1d0h",
                           "every0d@UTC+2026-01-05",
                           "every14d@UTC",
                           "every14d@UTC+2026-02-30",
                           "rolling0s",
                           "rolling60",
                           "rolling-1s",
                           "rolling99999999999s",
                           "day@UTC+1d6hx",
                           "month@UTC+-1d0h"}) {
    INFO(none);
    CHECK_THROWS_AS(Window::parse(none), outlay::ConfigError);
  }
}

TEST_CASE("window: the plus in the name of a zone is no beginning", "[core][window]") {
  CHECK(Window::parse("day@GMT+0") == Window::day("GMT+0"));
  CHECK(Window::parse("day@GMT+0+1d5h") == Window::day("GMT+0", {.hour = 5}));
  CHECK(Window::parse("week@GMT+0+sun0h") == Window::week("GMT", {.weekday = std::chrono::Sunday}));
  CHECK(Window::parse("day@Etc/GMT+5+1d5h") == Window::day("Etc/GMT+5", {.hour = 5}));
  CHECK_THROWS_AS(Window::parse("day@GMT+5"), outlay::ConfigError);  // no zone has that name
}

TEST_CASE("window: an anchor that means nothing to the kind is refused", "[core][window]") {
  using namespace std::chrono_literals;
  CHECK_THROWS_AS(Window::month("UTC", {.month = 2}), outlay::ConfigError);
  CHECK_THROWS_AS(Window::day("UTC", {.weekday = std::chrono::Sunday}), outlay::ConfigError);
  CHECK_THROWS_AS(Window::every(14, 2026y / 1 / 5, "UTC", {.day = 2}), outlay::ConfigError);
  CHECK_THROWS_AS(Window::year("UTC", {.month = 0}), outlay::ConfigError);
  CHECK_THROWS_AS(Window::year("UTC", {.month = 13}), outlay::ConfigError);
  CHECK_THROWS_AS(Window::every(0, 2026y / 1 / 5), outlay::ConfigError);
  CHECK_THROWS_AS(Window::every(14, 2026y / 2 / 30), outlay::ConfigError);
}
