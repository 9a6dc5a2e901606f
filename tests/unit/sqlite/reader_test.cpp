#include "outlay/sqlite/reader.hpp"

#include <vector>

#include "outlay/jsonl_sink.hpp"
#include "unit/sqlite/fixture.hpp"

using namespace outlay_test;
using outlay::BudgetEvent;
using outlay::Record;
using outlay::SqliteReader;
using outlay::Usd;

namespace {

Record record_that_ended(std::uint64_t call, std::int64_t ended) {
  Record record;
  record.call_id = call;
  record.status = outlay::RecordStatus::indeterminate;
  record.started = at(ended - 1);
  record.ended = at(ended);
  record.requested_model = "gpt-4o-2024-08-06";
  record.admitted_model = "gpt-4o";
  record.model = "gpt-4o-mini";
  record.provider = "openai";
  record.service_tier = "flex";
  record.usage = {.input = 10, .cache_read = 2, .output = 5, .reasoning = 1, .web_searches = 3};
  record.usd = Usd::from_nanos(12'345);
  record.reserved = Usd::from_nanos(12'000);
  record.overrun = Usd::from_nanos(345);
  record.cost_source = outlay::CostSource::provider;
  record.provider_cost = Usd::from_nanos(1);
  record.price_version = "v1";
  record.unbounded = true;
  record.tags = {{"user_id", "alice"}};
  record.budgets = {"run", "answer"};
  record.reason = "broken";
  return record;
}

BudgetEvent make_event(std::int64_t time) {
  BudgetEvent event;
  event.time = at(time);
  event.action = outlay::Action::downgraded;
  event.reason = "over";
  event.budget = "answer";
  event.path = "run/answer";
  event.model = "gpt-4o";
  event.new_model = "gpt-4o-mini";
  event.dimension = outlay::Dimension::tokens;
  event.projected = 12;
  event.cap = 10;
  event.max_output_tokens = 7;
  event.tags = {{"user_id", "bob"}};
  event.call_id = 4;
  event.provider = "openai";
  event.budgets = {"run", "answer"};
  return event;
}

/// What one read() hands over.
struct Read {
  explicit Read(SqliteReader& reader) {
    reader.read(
        [&](const Record& record) {
          records.push_back(record);
          order += 'r';
        },
        [&](const BudgetEvent& event) {
          events.push_back(event);
          order += 'e';
        });
  }
  std::vector<Record> records{};
  std::vector<BudgetEvent> events{};
  std::string order{};
};

}  // namespace

TEST_CASE("sqlite: a reader hands over rows as they were written, interleaved by time, and later only new ones",
          "[sqlite][reader]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db()});
  sink->write(record_that_ended(1, 10));
  sink->event(make_event(11));
  sink->write(record_that_ended(2, 12));
  sink->flush(Steady::now() + 10s);

  SqliteReader reader(dir.db());
  const Read first(reader);
  CHECK(first.order == "rer");
  const Record& read = first.records.at(0);
  const Record expected = record_that_ended(1, 10);
  CHECK(outlay::to_json_line(read) == outlay::to_json_line(expected));
  CHECK(outlay::to_json_line(first.events.at(0)) == outlay::to_json_line(make_event(11)));
  CHECK(reader.complete());

  CHECK(Read(reader).order.empty());
  sink->event(make_event(13));
  sink->write(record_that_ended(3, 14));
  sink->close();
  const Read second(reader);
  CHECK(second.order == "er");
  CHECK(second.records.at(0).call_id == 3);
}

TEST_CASE("sqlite: a reader's filter is that of a report", "[sqlite][reader]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db()});
  for (std::uint64_t call = 1; call <= 4; ++call) {
    Record record = record_that_ended(call, static_cast<std::int64_t>(call) * 10);
    if (call % 2 == 0) record.tags = {{"user_id", "bob"}};
    sink->write(record);
  }
  sink->close();
  const auto calls = [&](const outlay::ReportFilter& filter) {
    SqliteReader reader(dir.db(), filter);
    std::vector<std::uint64_t> ids;
    for (const Record& record : Read(reader).records) ids.push_back(record.call_id);
    return ids;
  };
  CHECK(calls({.since = at(20)}) == std::vector<std::uint64_t>{2, 3, 4});
  CHECK(calls({.until = at(20)}) == std::vector<std::uint64_t>{1});
  CHECK(calls({.tags = {{"user_id", "bob"}}}) == std::vector<std::uint64_t>{2, 4});
  CHECK(calls({.tags = {{"budget", "answer"}}}).size() == 4);
  CHECK(calls({.tags = {{"user_id", "carol"}}}).empty());
}

TEST_CASE("sqlite: what a reader's function did not take comes again", "[sqlite][reader]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db()});
  for (std::uint64_t call = 1; call <= 3; ++call) sink->write(record_that_ended(call, static_cast<std::int64_t>(call)));
  sink->close();
  SqliteReader reader(dir.db());
  CHECK_THROWS(reader.read(
      [](const Record& record) {
        if (record.call_id == 2) throw std::runtime_error("full");
      },
      [](const BudgetEvent&) {}));
  CHECK(Read(reader).records.at(0).call_id == 2);
}

TEST_CASE("sqlite: a reader refuses a row with an enumerator that does not exist", "[sqlite][reader]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db()});
  sink->write(record_that_ended(1, 10));
  sink->close();
  Raw(dir.db()).exec("UPDATE records SET status = 9");
  SqliteReader reader(dir.db());
  CHECK_THROWS_AS(Read(reader), outlay::Error);
}

TEST_CASE("sqlite: a reader hands over rows that got the numbers of those that retention deleted", "[sqlite][reader]") {
  const TempDir dir;
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  constexpr std::int64_t long_ago = 1'000'000'000;
  const auto write = [&](std::initializer_list<std::pair<std::uint64_t, std::int64_t>> calls) {
    const auto sink = outlay::sqlite_sink({.path = dir.db()});
    for (const auto& [call, ended] : calls) {
      sink->write(record_that_ended(call, ended));
      sink->event(make_event(ended));
    }
    sink->close();
  };
  const auto retain = [&](std::int64_t left) {
    const auto sink = outlay::sqlite_sink({.path = dir.db(), .retain = {.age = 24h}});
    Raw raw(dir.db());
    REQUIRE(eventually([&] { return raw.number("SELECT count(*) FROM records") == left; }));
    sink->close();
  };
  const bool survivor = GENERATE(false, true);
  SqliteReader reader(dir.db());
  // One that stays is older by its number, and not by its time.
  write(survivor ? std::initializer_list<std::pair<std::uint64_t, std::int64_t>>{{9, now}, {1, long_ago}, {2, long_ago}}
                 : std::initializer_list<std::pair<std::uint64_t, std::int64_t>>{{1, long_ago}, {2, long_ago}});
  CHECK(Read(reader).records.size() == (survivor ? 3 : 2));
  retain(survivor ? 1 : 0);
  write({{3, now}, {4, now}, {5, now}, {6, now}});
  CHECK(Raw(dir.db()).number("SELECT max(id) FROM records") == (survivor ? 5 : 4));
  const Read later(reader);
  REQUIRE(later.records.size() == 4);
  CHECK(later.records[0].call_id == 3);
  CHECK(later.events.size() == 4);
  CHECK(Read(reader).order.empty());
}
