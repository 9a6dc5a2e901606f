#include "cli/rows.hpp"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "core/base/json_writer.hpp"
#include "outlay/error.hpp"
#include "outlay/jsonl_sink.hpp"

namespace outlay::cli {

namespace {

constexpr std::size_t most_lines = 5'000, most_bytes = std::size_t{2} << 20, most_readings = 32,
                      most_kept = std::size_t{16} << 20;
constexpr std::chrono::minutes longest_pause{10};

/// The page is full. What has not been handed over comes with the next one.
struct Full {};

[[noreturn]] void refuse(const std::string& why) { throw Error(errc::invalid_argument, "/outlay/rows: " + why); }
[[noreturn]] void refuse_place() {
  refuse(
      "this reading is not known any more: it rested for over 10 minutes, others came, or the gateway was started "
      "again. Begin a new one, without next.");
}

std::uint64_t mixed(std::uint64_t hash, std::uint64_t more) noexcept {
  hash ^= more + 0x9E3779B97F4A7C15U + (hash << 6U) + (hash >> 2U);
  return hash * 0xBF58476D1CE4E5B9U;
}
std::uint64_t mixed(std::uint64_t hash, Time time) noexcept {
  return mixed(hash, static_cast<std::uint64_t>(time.time_since_epoch().count()));
}
std::uint64_t key_of(const Record& record) {
  std::uint64_t hash = mixed(mixed(mixed(1, record.call_id), record.ended), record.started);
  hash = mixed(hash, static_cast<std::uint64_t>(record.usd.nanos()));
  return mixed(hash, std::hash<std::string>()(record.model));
}
std::uint64_t key_of(const BudgetEvent& event) {
  std::uint64_t hash = mixed(mixed(mixed(2, event.call_id), event.time), static_cast<std::uint64_t>(event.action));
  hash = mixed(hash, static_cast<std::uint64_t>(event.projected));
  return mixed(hash, std::hash<std::string>()(event.path));
}

}  // namespace

struct Rows::Page {
  std::string text{};
  std::size_t lines = 0;

  template <class Row>
  void add(const Row& row) {
    if (lines >= most_lines || text.size() >= most_bytes) throw Full{};
    text += to_json_line(row);
    text += '\n';
    ++lines;
  }
  void end(std::string_view next, bool more, bool complete) {
    detail::JsonWriter json(text);
    json.begin_object().key("type").text("page").key("next").text(next).key("more").boolean(more);
    json.key("complete").boolean(complete).end_object();
    text += '\n';
  }
};

Rows::Rows(const Ledger& ledger, std::filesystem::path records)
    : ledger_(ledger), records_(std::move(records)), memory_(random_digits()) {}

/// How far a reading is: `READING.NUMBER`, in memory `READING.NUMBER.SINCE.UNTIL`, each of which may be empty.
struct Rows::Place {
  std::string reading{};
  std::uint64_t number = 0;  // of the page, from 0; in memory of the last row that was handed over
  ReportFilter filter{};

  [[nodiscard]] std::string text(bool memory) const {
    std::string out = reading + '.' + std::to_string(number);
    if (memory)
      for (const auto& time : {filter.since, filter.until})
        out += '.' + (time ? std::to_string(time->time_since_epoch().count()) : std::string());
    return out;
  }
};

Rows::Place Rows::read_place(std::string_view text) {
  const auto part = [&] {
    const std::string_view one = text.substr(0, text.find('.'));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    return one;
  };
  const auto number = [](std::string_view digits, auto& out) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    if (error != std::errc() || end != digits.data() + digits.size()) refuse_place();
  };
  Place place{.reading = std::string(part())};
  number(part(), place.number);
  for (auto* time : {&place.filter.since, &place.filter.until})
    if (const std::string_view digits = part(); !digits.empty()) {
      std::int64_t nanos = 0;
      number(digits, nanos);
      *time = Time(std::chrono::nanoseconds(nanos));
    }
  return place;
}

Rows::Place Rows::begin(std::string_view query) {
  Place place;
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    const std::size_t equals = std::min(part.find('='), part.size());
    const std::string_view name = part.substr(0, equals), value = part.substr(std::min(equals + 1, part.size()));
    std::int64_t nanos = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), nanos);
    if ((name != "since" && name != "until") || error != std::errc() || end != value.data() + value.size())
      refuse("the query may have since and until, in nanoseconds since 1970, or next, as a page has said it.");
    (name == "since" ? place.filter.since : place.filter.until) = Time(std::chrono::nanoseconds(nanos));
  }
  if (records_.empty()) {
    place.reading = memory_;
    return place;
  }
  Reading reading{.file = open_file(records_, place.filter)};
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(readings_, [&](const auto& one) { return now - one.second.used > longest_pause; });
  if (readings_.size() >= most_readings)
    readings_.erase(std::min_element(readings_.begin(), readings_.end(),
                                     [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
  place.reading = random_digits();
  readings_[place.reading] = std::move(reading);
  return place;
}

/// Rows in memory have no numbers of their own, and one that has ended before another may come later. So each gets a number when it is first seen,
/// by what is in it: one numbering for all readings, of which each keeps its last number alone.
std::uint64_t Rows::number_of(std::uint64_t key) {
  for (;; key = mixed(key, 1)) {
    Seen& seen = numbers_[key];
    if (seen.look == looks_) continue;  // another row like it
    if (seen.number == 0) seen.number = ++numbered_;
    seen.look = looks_;
    return seen.number;
  }
}

void Rows::read_memory(Place& place, Page& page) {
  const std::vector<Record> records = ledger_.records();
  const std::vector<BudgetEvent> events = ledger_.events();
  struct Fresh {
    std::uint64_t number = 0;
    const Record* record = nullptr;
    const BudgetEvent* event = nullptr;
  };
  std::vector<Fresh> fresh;
  ++looks_;
  const auto look_at = [&](const auto& row, Time time, Fresh one) {
    one.number = number_of(key_of(row));
    if (one.number > place.number && (!place.filter.since || time >= *place.filter.since) &&
        (!place.filter.until || time < *place.filter.until))
      fresh.push_back(one);
  };
  auto record = records.begin();
  auto event = events.begin();
  while (record != records.end() || event != events.end())
    if (event == events.end() || (record != records.end() && record->ended < event->time))
      look_at(*record, record->ended, {.record = &*record}), ++record;
    else
      look_at(*event, event->time, {.event = &*event}), ++event;
  std::erase_if(numbers_, [&](const auto& one) { return one.second.look != looks_; });  // evicted
  std::sort(fresh.begin(), fresh.end(), [](const Fresh& a, const Fresh& b) { return a.number < b.number; });
  for (const Fresh& one : fresh) {
    if (one.record)
      page.add(*one.record);
    else
      page.add(*one.event);
    place.number = one.number;
  }
  place.number = numbered_;
}

/// The file's reader goes on only: a page that has not arrived is kept, to be handed over again.
void Rows::read_file(Place& place, Page& page) {
  const auto found = readings_.find(place.reading);
  if (found == readings_.end()) refuse_place();
  Reading& reading = found->second;
  reading.used = std::chrono::steady_clock::now();
  if (place.number + 1 == reading.pages && !reading.last.empty()) {
    page.text = reading.last;
    return;
  }
  if (place.number != reading.pages) refuse_place();
  bool more = false;
  try {
    reading.file->read([&](const Record& record) { page.add(record); },
                       [&](const BudgetEvent& event) { page.add(event); });
  } catch (const Full&) {
    more = true;
  } catch (...) {  // some rows have been read and reach nothing: the next one to ask begins anew
    readings_.erase(found);
    throw;
  }
  place.number = ++reading.pages;
  page.end(place.text(false), more, reading.file->complete());
  keep(reading, page.text);
}

/// The least recently used are forgotten first.
void Rows::keep(Reading& reading, const std::string& page) {
  reading.last = page;
  std::size_t kept = 0;
  for (const auto& [id, one] : readings_) kept += one.last.size();
  while (kept > most_kept) {
    Reading* oldest = nullptr;
    for (auto& [id, one] : readings_)
      if (&one != &reading && !one.last.empty() && (!oldest || one.used < oldest->used)) oldest = &one;
    if (!oldest) return;
    kept -= oldest->last.size();
    oldest->last = std::string();
  }
}

std::string Rows::answer(std::string_view query) {
  if (query.starts_with('?')) query.remove_prefix(1);
  constexpr std::string_view next = "next=";
  Place place = query.starts_with(next) ? read_place(query.substr(next.size())) : begin(query);
  Page page;
  if (!records_.empty()) {
    read_file(place, page);
    return std::move(page.text);
  }
  if (place.reading != memory_ || place.number > numbered_) refuse_place();
  bool more = false;
  try {
    read_memory(place, page);
  } catch (const Full&) {
    more = true;
  }
  page.end(place.text(true), more, ledger_.dropped() == 0);
  return std::move(page.text);
}

}  // namespace outlay::cli
