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

/// Which page of which reading: `READING.PAGE`.
struct Place {
  std::string reading{};
  std::uint64_t page = 0;
};
Place place_of(std::string_view text) {
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::string_view digits = text.substr(std::min(point + 1, text.size()));
  Place place{std::string(text.substr(0, point)), 0};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), place.page);
  if (error != std::errc() || end != digits.data() + digits.size()) refuse_place();
  return place;
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
};

std::string Rows::begin(std::string_view query) {
  Reading reading;
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    const std::size_t equals = std::min(part.find('='), part.size());
    const std::string_view name = part.substr(0, equals), value = part.substr(std::min(equals + 1, part.size()));
    std::int64_t nanos = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), nanos);
    if ((name != "since" && name != "until") || error != std::errc() || end != value.data() + value.size())
      refuse("the query may have since and until, in nanoseconds since 1970, or next, as a page has said it.");
    (name == "since" ? reading.filter.since : reading.filter.until) = Time(std::chrono::nanoseconds(nanos));
  }
  if (!records_.empty()) reading.file = open_file(records_, reading.filter);
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(readings_, [&](const auto& one) { return now - one.second.used > longest_pause; });
  if (readings_.size() >= most_readings)
    readings_.erase(std::min_element(readings_.begin(), readings_.end(),
                                     [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
  std::string token = random_digits();
  readings_[token] = std::move(reading);
  return token;
}

/// Records are not numbered, and older ones are dropped meanwhile. So what of the present rows was handed over is known by what is in them.
void Rows::read_memory(Reading& reading, Page& page) const {
  const std::vector<Record> records = ledger_.records();
  const std::vector<BudgetEvent> events = ledger_.events();
  std::unordered_map<std::uint64_t, std::uint32_t> seen;
  const auto within = [&](Time time) {
    return (!reading.filter.since || time >= *reading.filter.since) &&
           (!reading.filter.until || time < *reading.filter.until);
  };
  bool full = false;
  const auto hand_over = [&](const auto& row, Time time) {
    if (!within(time)) return;
    const std::uint64_t key = key_of(row);
    const auto before = reading.seen.find(key);
    std::uint32_t& count = seen[key];
    ++count;
    if (before != reading.seen.end() && count <= before->second) return;
    if (!full) try {
        page.add(row);
        return;
      } catch (const Full&) {
        full = true;
      }
    --count;
  };
  auto record = records.begin();
  auto event = events.begin();
  while (record != records.end() || event != events.end())
    if (event == events.end() || (record != records.end() && record->ended < event->time))
      hand_over(*record, record->ended), ++record;
    else
      hand_over(*event, event->time), ++event;
  reading.seen = std::move(seen);
  if (full) throw Full{};
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
  const Place place = query.starts_with(next) ? place_of(query.substr(next.size())) : Place{begin(query), 0};
  const auto found = readings_.find(place.reading);
  if (found == readings_.end()) refuse_place();
  Reading& reading = found->second;
  reading.used = std::chrono::steady_clock::now();
  if (place.page + 1 == reading.pages && !reading.last.empty()) return reading.last;
  if (place.page != reading.pages) refuse_place();
  Page page;
  bool more = false, complete = true;
  try {
    if (reading.file)
      reading.file->read([&](const Record& record) { page.add(record); },
                         [&](const BudgetEvent& event) { page.add(event); });
    else
      read_memory(reading, page);
  } catch (const Full&) {
    more = true;
  } catch (...) {  // some rows have been read and reach nothing: the next one to ask begins anew
    readings_.erase(found);
    throw;
  }
  complete = reading.file ? reading.file->complete() : ledger_.dropped() == 0;
  ++reading.pages;
  detail::JsonWriter json(page.text);
  json.begin_object().key("type").text("page");
  json.key("next").text(place.reading + '.' + std::to_string(reading.pages)).key("more").boolean(more);
  json.key("complete").boolean(complete).end_object();
  page.text += '\n';
  keep(reading, page.text);
  return std::move(page.text);
}

}  // namespace outlay::cli
