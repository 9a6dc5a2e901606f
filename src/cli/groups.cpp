#include "cli/groups.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <utility>

#include "cli/arguments.hpp"
#include "core/ledger/budget_path.hpp"
#include "outlay/error.hpp"
#include "outlay/window.hpp"

namespace outlay::cli {

namespace {

constexpr std::size_t most_rows = 2'000'000;
constexpr const char* unit_names[] = {"hour", "day", "week", "month"};

std::string date(const std::tm& local) {
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02d", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday);
  return text;
}

std::string make_label(std::int64_t seconds, Calendar::Unit unit) {
  const std::time_t instant = seconds;
  std::tm local{};
  ::localtime_r(&instant, &local);
  switch (unit) {
    case Calendar::Unit::hour: {
      char text[64];
      const long minutes = local.tm_gmtoff / 60, size = std::abs(minutes);
      std::snprintf(text, sizeof text, "T%02d:00%c%02ld:%02ld", local.tm_hour, minutes < 0 ? '-' : '+', size / 60,
                    size % 60);
      return date(local) + (minutes == 0 ? std::string(text, 6) + 'Z' : text);
    }
    case Calendar::Unit::day:
      return date(local);
    case Calendar::Unit::week: {
      using namespace std::chrono;
      const sys_days day = year(local.tm_year + 1900) / (local.tm_mon + 1) / local.tm_mday;
      const year_month_day monday(day - days((local.tm_wday + 6) % 7));
      char text[64];
      std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(monday.year()),
                    static_cast<unsigned>(monday.month()), static_cast<unsigned>(monday.day()));
      return text;
    }
    case Calendar::Unit::month:
      return date(local).substr(0, 7);
  }
  return {};
}

void add_count(std::int64_t& sum, std::int64_t more) {
  if (__builtin_add_overflow(sum, more, &sum))
    throw Error(errc::overflow, "a sum of the report is too large. Ask for a shorter time, or group it by more keys.");
}

constexpr std::int64_t Usage::* members_of_usage[] = {
    &Usage::input,        &Usage::cache_read,   &Usage::cache_write,   &Usage::cache_write_1h,   &Usage::output,
    &Usage::reasoning,    &Usage::input_audio,  &Usage::input_image,   &Usage::cache_read_audio, &Usage::output_audio,
    &Usage::output_image, &Usage::web_searches, &Usage::file_searches, &Usage::code_sessions,    &Usage::other_tools};

}  // namespace

std::optional<Calendar::Unit> Calendar::unit_of(std::string_view name) noexcept {
  const auto at = std::find(std::begin(unit_names), std::end(unit_names), name);
  if (at == std::end(unit_names)) return std::nullopt;
  return static_cast<Unit>(at - std::begin(unit_names));
}

const char* Calendar::name_of(Unit unit) noexcept { return unit_names[static_cast<std::size_t>(unit)]; }

Calendar::Calendar(const std::string& zone) : day_(Window::day(zone)) {  // throws where the C library would take UTC
  ::setenv("TZ", zone.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): there is one thread
  ::tzset();
}

Time Calendar::instant(Time local) const {
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(local).time_since_epoch().count();
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  parts.tm_isdst = -1;
  return Time(std::chrono::seconds(std::mktime(&parts)));
}

// By its noon, which no zone leaves out: the clocks may go forward at midnight.
Time Calendar::day_begin(Time local) const {
  using namespace std::chrono;
  return day_.at(instant(Time(floor<days>(local)) + hours(12))).begin;
}

const std::string& Calendar::label(Time time, Unit unit) {
  const std::int64_t minute = std::chrono::floor<std::chrono::minutes>(time).time_since_epoch().count();
  Last& last = last_[static_cast<std::size_t>(unit)];
  if (last.minute != minute) last = {minute, make_label(minute * 60, unit)};
  return last.label;
}

bool is_path_of(std::string_view path, std::string_view name) noexcept {
  if (!path.ends_with(name)) return false;
  path.remove_suffix(name.size());
  if (path.empty()) return true;
  if (path.back() != '/') return false;
  path.remove_suffix(1);
  // A slash of a name has a backslash before it, as a backslash has.
  return (path.size() - (path.find_last_not_of('\\') + 1)) % 2 == 0;
}

Groups::Groups(std::vector<std::string> by, Calendar& calendar) : by_(std::move(by)), calendar_(calendar) {
  for (const std::string& name : by_) {
    Key key{name};
    if (const auto unit = Calendar::unit_of(name)) {
      key.kind = Key::Kind::time;
      key.unit = *unit;
    } else if (name == "model") {
      key.kind = Key::Kind::model;
    } else if (name == "provider") {
      key.kind = Key::Kind::provider;
    } else if (name == "budget") {
      key.kind = Key::Kind::budget;
    }
    keys_.push_back(std::move(key));
  }
}

template <class Row>
ReportRow& Groups::group(const Row& row, Time admitted, bool is_record) {
  std::vector<const std::string*> values;
  values.reserve(keys_.size());
  id_.clear();
  for (Key& key : keys_) {
    const std::string* value = nullptr;
    switch (key.kind) {
      case Key::Kind::tag:
        value = row.tags.find(key.name);
        break;
      case Key::Kind::model:
        if (!row.model.empty()) value = &row.model;
        break;
      case Key::Kind::provider:
        if (!row.provider.empty()) value = &row.provider;
        break;
      case Key::Kind::budget:
        path_ = detail::join_path(row.budgets);
        if (!path_.empty()) value = &path_;
        break;
      case Key::Kind::time:
        value = &calendar_.label(admitted, key.unit);
        break;
    }
    key.seen = key.seen || (is_record && value);
    values.push_back(value);
    // The length says where a value ends, and that there is one.
    id_ += value ? std::to_string(value->size()) + ':' : "-";
    if (value) id_ += *value;
  }
  const auto [at, added] = rows_.try_emplace(id_);
  if (rows_.size() > most_rows)
    throw UsageError(
        "--by: there are over 2,000,000 groups, which would take gigabytes of memory. Leave a name of --by out, "
        "or ask for a shorter time.");
  if (added)
    for (std::size_t i = 0; i < keys_.size(); ++i)
      if (values[i]) at->second.tags.set(keys_[i].name, *values[i]);
  return at->second;
}

void Groups::add(const Record& record) {
  any_ = true;
  ReportRow& row = group(record, record.started, true);
  row.usd += record.usd;
  ++row.calls;
  for (const auto count : members_of_usage) add_count(row.usage.*count, record.usage.*count);
  switch (record.status) {
    case RecordStatus::settled:
      row.exact += record.usd;
      break;
    case RecordStatus::estimated:
      row.estimated += record.usd;
      ++row.estimated_calls;
      break;
    case RecordStatus::indeterminate:
      row.indeterminate += record.usd;
      ++row.indeterminate_calls;
      break;
    case RecordStatus::rejected:
      row.exact += record.usd;
      ++row.rejected_calls;
      return;
  }
  row.unpriced_calls += record.cost_source == CostSource::none;
}

void Groups::add(const BudgetEvent& event) {
  if (event.action == Action::blocked || event.action == Action::truncated)
    ++group(event, event.time, false).blocked_calls;
}

Report Groups::report(bool complete) const {
  std::vector<ReportRow> rows;
  rows.reserve(rows_.size());
  for (const auto& [id, row] : rows_) rows.push_back(row);
  const Key* const time = !keys_.empty() && keys_.front().kind == Key::Kind::time ? &keys_.front() : nullptr;
  std::sort(rows.begin(), rows.end(), [time](const ReportRow& a, const ReportRow& b) {
    if (time && a.tags.at(time->name) != b.tags.at(time->name)) return a.tags.at(time->name) < b.tags.at(time->name);
    return a.usd != b.usd ? a.usd > b.usd : a.tags < b.tags;
  });
  std::vector<std::string> missing;
  for (const Key& key : keys_)
    if (any_ && key.kind == Key::Kind::tag && !key.seen) missing.push_back(key.name);
  return {std::move(rows), complete, nullptr, std::move(missing)};
}

}  // namespace outlay::cli
