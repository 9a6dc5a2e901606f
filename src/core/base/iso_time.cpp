#include "core/base/iso_time.hpp"

#include <cstdio>

namespace outlay {

std::string to_iso8601(Time time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<seconds>(time - day));
  char text[48];
  const int length = std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                                   static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                   static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                                   static_cast<int>(clock.seconds().count()));
  return {text, static_cast<std::size_t>(length)};
}

namespace detail {

namespace {

/// The number that `digits` digits from `at` on are; -1 if one of them is not a digit. The text must reach that far.
int number_at(std::string_view text, std::size_t at, std::size_t digits) noexcept {
  int number = 0;
  for (const char c : text.substr(at, digits)) {
    if (c < '0' || c > '9') return -1;
    number = number * 10 + (c - '0');
  }
  return number;
}

}  // namespace

std::string iso_nanoseconds(Time time) {
  using namespace std::chrono;
  std::string text = to_iso8601(time);
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%09dZ", static_cast<int>((time - floor<seconds>(time)).count()));
  text.pop_back();
  return text.append(fraction);
}

std::string iso_date(Time time) { return to_iso8601(time).substr(0, 10); }

std::optional<std::chrono::sys_days> parse_iso_date(std::string_view text) noexcept {
  using namespace std::chrono;
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const int y = number_at(text, 0, 4), m = number_at(text, 5, 2), d = number_at(text, 8, 2);
  if (y < 0 || m < 0 || d < 0) return std::nullopt;
  const year_month_day date{year(y), month(static_cast<unsigned>(m)), day(static_cast<unsigned>(d))};
  if (!date.ok()) return std::nullopt;
  return sys_days(date);
}

std::optional<Time> parse_iso_time(std::string_view text) noexcept {
  using namespace std::chrono;
  const auto day = parse_iso_date(text.substr(0, 10));
  // A Time counts nanoseconds in 64 bits, which reach from 1677 to 2262.
  if (!day || *day < sys_days(year(1700) / 1 / 1) || *day >= sys_days(year(2251) / 1 / 1)) return std::nullopt;
  if (text.size() == 10) return Time(*day);
  if (text.size() != 20 || text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != 'Z')
    return std::nullopt;
  const int h = number_at(text, 11, 2), m = number_at(text, 14, 2), s = number_at(text, 17, 2);
  if (h < 0 || m < 0 || s < 0 || h > 23 || m > 59 || s > 59) return std::nullopt;
  return Time(*day) + hours(h) + minutes(m) + seconds(s);
}

}  // namespace detail

}  // namespace outlay
