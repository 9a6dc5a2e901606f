#include "core/base/iso_time.hpp"

#include <chrono>
#include <string>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using outlay::Time;
using outlay::detail::iso_date;
using outlay::detail::iso_nanoseconds;
using outlay::detail::parse_iso_date;
using outlay::detail::parse_iso_time;

namespace {

constexpr Time morning = Time(std::chrono::sys_days(std::chrono::year(2026) / 11 / 22)) + 1h + 40min + 59s;

}  // namespace

TEST_CASE("iso time: an instant is written to the day, the second and the nanosecond", "[core][iso_time]") {
  CHECK(outlay::to_iso8601(morning + 999'999'999ns) == "2026-11-22T01:40:59Z");
  CHECK(iso_date(morning) == "2026-11-22");
  CHECK(iso_nanoseconds(morning) == "2026-11-22T01:40:59.000000000Z");
  CHECK(iso_nanoseconds(morning + 123'456'789ns) == "2026-11-22T01:40:59.123456789Z");
  CHECK(iso_nanoseconds(Time(-1ns)) == "1969-12-31T23:59:59.999999999Z");
}

TEST_CASE("iso time: days and seconds are read back", "[core][iso_time]") {
  CHECK(parse_iso_time("2026-11-22T01:40:59Z") == morning);
  CHECK(parse_iso_time("2026-11-22") == std::chrono::floor<std::chrono::days>(morning));
  CHECK(parse_iso_date("2024-02-29") == std::chrono::sys_days(std::chrono::year(2024) / 2 / 29));
  CHECK(parse_iso_time("1700-01-01").has_value());
  CHECK(parse_iso_time("2250-12-31T23:59:59Z").has_value());
}

TEST_CASE("iso time: what is no day of the calendar is not read", "[core][iso_time]") {
  for (const char* text :
       {"", "2026", "2026-11", "2026-11-2", "2026/11/22", "2026-11-31", "2026-02-29", "2026-00-01", "2026-01-00",
        "2026-13-01", "2026-1a-01", "-026-11-22", "+026-11-22", "2026-11-22 ", "2026-11- 2", " 2026-11-22"}) {
    INFO(text);
    CHECK_FALSE(parse_iso_date(text));
    CHECK_FALSE(parse_iso_time(text));
  }
  for (const char* text :
       {"2026-11-22T01:40:59", "2026-11-22T01:40:59z", "2026-11-22 01:40:59Z", "2026-11-22T24:00:00Z",
        "2026-11-22T01:60:00Z", "2026-11-22T01:40:60Z", "2026-11-22T01:40:5xZ", "2026-11-22T01:40:59.0Z", "1677-01-01",
        "1699-12-31", "2251-01-01", "9999-01-01"}) {
    INFO(text);
    CHECK_FALSE(parse_iso_time(text));
  }
}
