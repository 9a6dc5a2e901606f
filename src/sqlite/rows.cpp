#include "sqlite/rows.hpp"

#include <chrono>
#include <optional>

#include "outlay/error.hpp"

namespace outlay::detail {

namespace {

Time time_of(std::int64_t nanos) { return Time(std::chrono::nanoseconds(nanos)); }

/// The number of an enumerator whose last one is `last`. Another number is damage: it must not become an enumerator that none is.
template <class Enum>
Enum enumerator(std::int64_t number, Enum last) {
  if (number < 0 || number > static_cast<std::int64_t>(last))
    throw Error(errc::bad_file, "a row has a state or an action of the number " + std::to_string(number) +
                                    ", which this version does not know: use the version that wrote the file");
  return static_cast<Enum>(number);
}

}  // namespace

template <class Value, class Read>
const Value& Names::find(std::unordered_map<std::int64_t, Value>& known, std::int64_t id, Statement& statement,
                         Read read) {
  const auto at = known.find(id);
  if (at != known.end()) return at->second;
  if (known.size() >= most) known.clear();
  Value& value = known[id];
  statement.bind(1, id);
  while (statement.step()) read(value);
  statement.reset();
  return value;
}

const std::string& Names::name(std::int64_t id) {
  return find(known_names_, id, names_, [this](std::string& name) { name = names_.text(0); });
}
const Tags& Names::tags(std::int64_t id) {
  return find(known_tags_, id, tags_, [this](Tags& tags) { tags.set(tags_.text(0), tags_.text(1)); });
}
const std::vector<std::string>& Names::budgets(std::int64_t id) {
  return find(known_budgets_, id, budgets_,
              [this](std::vector<std::string>& path) { path.push_back(budgets_.text(0)); });
}

void read_record(const Statement& row, Names& names, Record& record) {
  constexpr std::int64_t Usage::* usual[] = {&Usage::input,          &Usage::cache_read, &Usage::cache_write,
                                             &Usage::cache_write_1h, &Usage::output,     &Usage::reasoning};
  const auto cost = [&](int column) -> std::optional<Usd> {
    if (row.is_null(column)) return std::nullopt;
    return Usd::from_nanos(row.integer(column));
  };
  record.tags = names.tags(row.integer(1));
  record.budgets = names.budgets(row.integer(2));
  record.model = names.name(row.integer(3));
  record.provider = names.name(row.integer(4));
  record.ended = time_of(row.integer(5));
  record.status = enumerator(row.integer(6), RecordStatus::rejected);
  record.cost_source = enumerator(row.integer(7), CostSource::none);
  record.usd = Usd::from_nanos(row.integer(8));
  for (int i = 0; i < 6; ++i) record.usage.*usual[i] = row.integer(9 + i);
  record.started = time_of(row.integer(15));
  record.reserved = Usd::from_nanos(row.integer(16));
  record.overrun = Usd::from_nanos(row.integer(17));
  record.requested_model = names.name(row.integer(18));
  record.admitted_model = names.name(row.integer(19));
  record.service_tier = names.name(row.integer(20));
  record.price_version = names.name(row.integer(21));
  record.unbounded = row.integer(22) != 0;
  record.call_id = static_cast<std::uint64_t>(row.integer(23));
  int column = 24;
  for (const auto count : special_usage) record.usage.*count = row.integer(column++);
  // What is added up must not overflow.
  const auto check = [&](std::int64_t count) {
    if (count < 0 || count > Usage::max_count)
      throw Error(errc::bad_file, "the row of call " + std::to_string(record.call_id) + " has an impossible count (" +
                                      std::to_string(count) +
                                      "), so that the file is damaged, or written by another program: restore a copy "
                                      "of it");
  };
  for (const auto count : usual) check(record.usage.*count);
  for (const auto count : special_usage) check(record.usage.*count);
  record.provider_cost = cost(column++);
  record.table_cost = cost(column++);
  record.reason = row.text(column++);
  record.traceparent = row.text(column);
}

void read_event(const Statement& row, Names& names, BudgetEvent& event) {
  event.tags = names.tags(row.integer(1));
  event.budgets = names.budgets(row.integer(2));
  event.model = names.name(row.integer(3));
  event.provider = names.name(row.integer(4));
  event.time = time_of(row.integer(5));
  event.action = enumerator(row.integer(6), Action::expired);
  event.new_model = names.name(row.integer(7));
  event.budget = row.text(8);
  event.path = row.text(9);
  event.description = row.text(10);
  event.reason = row.text(11);
  event.dimension = enumerator(row.integer(12), Dimension::concurrent);
  event.projected = row.integer(13);
  event.cap = row.integer(14);
  event.threshold = row.real(15);
  event.max_output_tokens = row.is_null(16) ? std::nullopt : std::optional<std::int64_t>(row.integer(16));
  event.call_id = static_cast<std::uint64_t>(row.integer(17));
  event.traceparent = row.text(18);
}

}  // namespace outlay::detail
