#include "cli/arguments.hpp"

#include <charconv>
#include <chrono>
#include <cstdint>

#include "cli/groups.hpp"
#include "cli/terminal.hpp"
#include "core/base/iso_time.hpp"

namespace outlay::cli {

namespace {

template <class Int>
bool read_number(std::string_view text, Int& out) {
  const auto end = std::from_chars(text.data(), text.data() + text.size(), out);
  return end.ec == std::errc() && end.ptr == text.data() + text.size() && !text.empty();
}

/// `2026-11-01` and `2026-11-01T12:00:00` in the calendar's zone; else as parse_time().
std::optional<Time> parse_local(const std::string& text, Time now, const Calendar& calendar) {
  const bool date = text.size() == 10, date_time = text.size() == 19 && text[10] == 'T';
  const std::optional<Time> local = date        ? detail::parse_iso_time(text)
                                    : date_time ? detail::parse_iso_time(text + 'Z')
                                                : std::nullopt;
  if (!local) return parse_time(text, now);
  return date ? calendar.day_begin(*local) : calendar.instant(*local);
}

/// When today began, or yesterday: in the calendar's zone, else in UTC.
std::optional<Time> parse_day(std::string_view text, Time now, const Calendar* calendar) {
  using std::chrono::days;
  const auto begin_of = [calendar](Time time) {
    return calendar ? calendar->day_of(time) : Time(std::chrono::floor<days>(time));
  };
  const Time today = begin_of(now);
  if (text == "today") return today;
  // A day may have 23 hours, or 25.
  if (text == "yesterday") return begin_of(today - std::chrono::seconds(1));
  return std::nullopt;
}

std::optional<Time> read_time(const char* option, const std::string& text, Time now, const Calendar* calendar) {
  if (text.empty()) return std::nullopt;
  std::optional<Time> time = parse_day(text, now, calendar);
  if (!time) time = calendar ? parse_local(text, now, *calendar) : parse_time(text, now);
  if (!time)
    throw UsageError(std::string(option) + ": \"" + printable(text) +
                     "\" is not a time. Write today, yesterday, 30m, 12h, 7d, 2w, 2026-11-01 or 2026-11-01T12:00:00Z.");
  return time;
}

}  // namespace

Time system_now() {
  return Time(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()));
}

std::optional<Time> parse_time(std::string_view text, Time now, From from) {
  using namespace std::chrono;
  const int sign = from == From::past ? -1 : 1;
  std::int64_t count = 0;
  if (text.size() >= 2 && read_number(text.substr(0, text.size() - 1), count) && count >= 0 && count <= 1'000'000) {
    switch (text.back()) {
      case 'm':
        return now + sign * minutes(count);
      case 'h':
        return now + sign * hours(count);
      case 'd':
        if (count > 36'500) return std::nullopt;
        return now + sign * hours(24 * count);
      case 'w':
        if (count > 5'200) return std::nullopt;
        return now + sign * hours(7 * 24 * count);
      default:
        return std::nullopt;
    }
  }
  return detail::parse_iso_time(text);
}

void read_tags(const char* option, const std::vector<std::string>& given, Tags& tags) {
  for (const std::string& tag : given) {
    const std::size_t equals = tag.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw UsageError(std::string(option) + ": \"" + printable(tag) + "\" is not a tag. Write key=value.");
    tags.set(std::string_view(tag).substr(0, equals), std::string_view(tag).substr(equals + 1));
  }
}

std::string nothing_passes(const SourceArguments& source, const FilterArguments& filter) {
  std::vector<const char*> given;
  if (!filter.since.empty()) given.push_back("--since");
  if (!filter.until.empty()) given.push_back("--until");
  if (!filter.where.empty()) given.push_back("--where");
  if (!filter.budget.empty()) given.push_back("--budget");
  const std::string name = '"' + source.file.native() + '"';
  if (given.empty()) return name + " has no calls.";
  std::string options = given.front();
  for (std::size_t i = 1; i < given.size(); ++i) options.append(i + 1 < given.size() ? ", " : " and ").append(given[i]);
  return "no call in " + name + " passes " + options + ". Leave " + (given.size() == 1 ? "it" : "one") +
         " out to see what is there.";
}

ReportFilter filter_of(const FilterArguments& arguments, Time now, const Calendar* calendar) {
  ReportFilter filter;
  filter.since = read_time("--since", arguments.since, now, calendar);
  filter.until = read_time("--until", arguments.until, now, calendar);
  if (filter.since && filter.until && *filter.since >= *filter.until)
    throw UsageError("--since " + printable(arguments.since) + " is not before --until " + printable(arguments.until) +
                     ", so that no call can be between them. Exchange them.");
  read_tags("--where", arguments.where, filter.tags);
  if (!arguments.budget.empty()) filter.tags.set("budget", arguments.budget);
  return filter;
}

}  // namespace outlay::cli
