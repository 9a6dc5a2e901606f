#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "outlay/outlay.hpp"
#include "sqlite/writer.hpp"
#include "unit/sqlite/fixture.hpp"

using namespace outlay_test;
using outlay::Record;
using outlay::RecordStatus;
using outlay::Usage;
using outlay::Usd;

namespace {

Record full_record() {
  Record record = make_record(7, {{"feature", "se\"arch\n"}, {"user_id", "zo\xC3\xAB"}});
  record.status = RecordStatus::indeterminate;
  record.started = outlay::Time(std::chrono::nanoseconds(1'767'225'600'123'456'789));
  record.ended = outlay::Time(std::chrono::nanoseconds(1'767'225'601'987'654'321));
  record.requested_model = "gpt-4o";
  record.admitted_model = "gpt-4o-mini";
  record.model = "gpt-4o-mini-2024-07-18";
  record.provider = "openai";
  record.service_tier = "flex";
  record.usage = {.input = 1,
                  .cache_read = 2,
                  .cache_write = 3,
                  .cache_write_1h = 4,
                  .output = 5,
                  .reasoning = 6,
                  .input_audio = 7,
                  .input_image = 8,
                  .cache_read_audio = 9,
                  .output_audio = 10,
                  .output_image = 11,
                  .web_searches = 12,
                  .file_searches = 13,
                  .code_sessions = 14,
                  .other_tools = 15};
  record.usd = Usd::max();
  record.reserved = Usd::from_nanos(1);
  record.overrun = Usd::from_nanos(std::numeric_limits<std::int64_t>::max() - 1);
  record.cost_source = outlay::CostSource::provider;
  record.provider_cost = Usd::from_nanos(-5);
  record.table_cost = Usd::from_nanos(6);
  record.price_version = "2026-11-01";
  record.unbounded = true;
  record.budgets = {"run", "an/swer \"x\"\n\x01", ""};
  record.reason = "the connection broke";
  record.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  record.call_id = std::numeric_limits<std::uint64_t>::max();
  return record;
}

}  // namespace

TEST_CASE("sqlite: every member of a record comes back as it was", "[sqlite][sink]") {
  const TempDir dir;
  const Record written = full_record();
  {
    const auto sink = outlay::sqlite_sink({.path = dir.db()});
    sink->write(written);
    sink->close();
  }
  const std::vector<Record> read = outlay::indeterminate_sqlite(dir.db());
  REQUIRE(read.size() == 1);
  const Record& record = read[0];
  CHECK(record.call_id == written.call_id);
  CHECK(record.status == written.status);
  CHECK(record.started == written.started);
  CHECK(record.ended == written.ended);
  CHECK(record.requested_model == written.requested_model);
  CHECK(record.admitted_model == written.admitted_model);
  CHECK(record.model == written.model);
  CHECK(record.provider == written.provider);
  CHECK(record.service_tier == written.service_tier);
  CHECK(record.usage == written.usage);
  CHECK(record.usd == written.usd);
  CHECK(record.reserved == written.reserved);
  CHECK(record.overrun == written.overrun);
  CHECK(record.cost_source == written.cost_source);
  CHECK(record.provider_cost == written.provider_cost);
  CHECK(record.table_cost == written.table_cost);
  CHECK(record.price_version == written.price_version);
  CHECK(record.unbounded == written.unbounded);
  CHECK(record.tags == written.tags);
  CHECK(record.budgets == written.budgets);
  CHECK(record.reason == written.reason);
  CHECK(record.traceparent == written.traceparent);
}

TEST_CASE("sqlite: the tools that a call used come back, whichever they are, and a report adds them up",
          "[sqlite][sink]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db()});
  std::uint64_t call = 0;
  for (const auto tool : {&Usage::web_searches, &Usage::file_searches, &Usage::code_sessions, &Usage::other_tools}) {
    Record record = make_record(++call);
    record.status = RecordStatus::indeterminate;
    record.usage.*tool = 3;
    sink->write(record);
    sink->write(record);
    sink->flush(soon());
    CHECK(outlay::indeterminate_sqlite(dir.db()).back().usage == record.usage);
    CHECK(outlay::report_sqlite(dir.db()).total().usage.*tool == 6);
  }
}

TEST_CASE("sqlite: every member of an event is in the file", "[sqlite][sink]") {
  const TempDir dir;
  outlay::BudgetEvent event;
  event.time = outlay::Time(std::chrono::nanoseconds(1'767'225'600'123'456'789));
  event.action = outlay::Action::threshold;
  event.reason = "because";
  event.budget = "answer";
  event.path = "run/answer";
  event.description = "one answer";
  event.model = "gpt-4o";
  event.new_model = "gpt-4o-mini";
  event.dimension = outlay::Dimension::output_tokens;
  event.projected = 90;
  event.cap = 100;
  event.threshold = 0.9;
  event.max_output_tokens = 16;
  event.tags = {{"feature", "search"}};
  event.call_id = 42;
  event.traceparent = "00-ab-cd-01";
  event.budgets = {"run", "answer", "inner"};
  {
    const auto sink = outlay::sqlite_sink({.path = dir.db()});
    sink->event(event);
    event.max_output_tokens.reset();
    sink->event(event);
  }
  Raw raw(dir.db());
  CHECK(raw.text("SELECT e.time || '|' || action || '|' || reason || '|' || budget || '|' || e.path || '|' "
                 "|| description || '|' "
                 "|| m.name || '|' || n.name || '|' || dimension || '|' || projected || '|' || cap || '|' || "
                 "threshold || '|' || "
                 "max_output_tokens || '|' || t.tags || '|' || call || '|' || traceparent || '|' || b.path "
                 "FROM events e JOIN "
                 "names m ON m.id = e.model JOIN names n ON n.id = e.new_model JOIN tag_sets t ON t.id = "
                 "e.tag_set JOIN "
                 "budget_paths b ON b.id = e.budget_path WHERE e.id = 1") ==
        "1767225600123456789|9|because|answer|run/answer|one answer|gpt-4o|gpt-4o-mini|3|90|100|0.9|16|"
        "{\"feature\":\"search\"}|42|00-ab-cd-01|run/answer/inner");
  CHECK(raw.number("SELECT max_output_tokens IS NULL FROM events WHERE id = 2") == 1);
}

TEST_CASE("sqlite: what a flush confirmed another connection can read at once", "[sqlite][sink]") {
  const TempDir dir;
  const auto durability = GENERATE(outlay::Durability::normal, outlay::Durability::full);
  const auto sink = outlay::sqlite_sink({.path = dir.db(), .durability = durability, .batch = 1'000, .max_delay = 1h});
  CHECK(sink->durable());
  Raw raw(dir.db());
  for (std::uint64_t i = 1; i <= 10; ++i) sink->write(make_record(i));
  CHECK(raw.number("SELECT count(*) FROM records") == 0);  // gathered: neither full nor late
  sink->flush(soon());
  CHECK(raw.number("SELECT count(*) FROM records") == 10);
  CHECK(raw.number("SELECT sum(usd) FROM records") == 55'000'000);
}

TEST_CASE("sqlite: a full batch is one transaction, and is not held back", "[sqlite][sink]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db(), .batch = 10, .max_delay = 1h});
  Raw raw(dir.db());
  for (std::uint64_t i = 1; i <= 25; ++i) sink->write(make_record(i));
  CHECK(raw.number("SELECT count(*) FROM records") == 20);
}

TEST_CASE("sqlite: a row does not wait longer than max_delay", "[sqlite][sink]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db(), .batch = 1'000, .max_delay = 1ms});
  Raw raw(dir.db());
  sink->write(make_record(1));
  CHECK(eventually([&] { return raw.number("SELECT count(*) FROM records") == 1; }));
  sink->write(make_record(2));
  CHECK(eventually([&] { return raw.number("SELECT count(*) FROM records") == 2; }));
}

TEST_CASE("sqlite: rows of a second process find the same tags and names", "[sqlite][sink]") {
  const TempDir dir;
  const outlay::Tags tags = {{"feature", "search"}, {"user_id", "alice"}};
  const auto first = outlay::sqlite_sink({.path = dir.db()});
  const auto second = outlay::sqlite_sink({.path = dir.db()});
  first->write(make_record(1, tags));
  first->flush(soon());
  second->write(make_record(1, tags));  // the same call id: another process counts its own
  second->flush(soon());
  Raw raw(dir.db());
  CHECK(raw.number("SELECT count(*) FROM records") == 2);
  CHECK(raw.number("SELECT count(*) FROM tag_sets") == 1);
  CHECK(raw.number("SELECT count(DISTINCT writer) FROM records") == 2);
  CHECK(outlay::report_sqlite(dir.db(), {"user_id"}).at(0).calls == 2);
}

TEST_CASE("sqlite: many writers at once lose nothing and double nothing", "[sqlite][sink]") {
  const TempDir dir;
  constexpr int writers = 4, rows = 2'000;
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int w = 0; w < writers; ++w)
    threads.emplace_back([&, w] {
      try {
        const auto sink = outlay::sqlite_sink({.path = dir.db(), .batch = 50, .busy_timeout = 30s});
        for (int id = w * rows + 1; id <= (w + 1) * rows; ++id)
          sink->write(make_record(static_cast<std::uint64_t>(id), {{"w", std::to_string(w)}}));
        sink->flush(Steady::now() + 30s);
      } catch (const std::exception& error) {
        ++failures;
        UNSCOPED_INFO(error.what());
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  Raw raw(dir.db());
  CHECK(raw.number("SELECT count(*) FROM records") == writers * rows);
  CHECK(raw.number("SELECT count(DISTINCT call) FROM records") == writers * rows);
  CHECK(raw.text("PRAGMA integrity_check") == "ok");
  CHECK(outlay::report_sqlite(dir.db(), {"w"}).size() == writers);
}

TEST_CASE("sqlite: several processes write one file, each with a ledger of its own", "[sqlite][sink]") {
  const TempDir dir;
  constexpr int processes = 4, calls = 500;
  std::vector<pid_t> children;
  for (int p = 0; p < processes; ++p) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::alarm(60);
      int status = 1;
      try {
        outlay::Ledger ledger;
        const outlay::LedgerScope scope(ledger);
        ledger.add_sink(outlay::sqlite_sink({.path = dir.db(), .batch = 10, .busy_timeout = 30s}));
        const outlay::Budget budget({.name = "run", .usd = outlay::Usd::max()});
        const outlay::Track track({{"process", std::to_string(p)}});
        for (int i = 0; i < calls; ++i) {
          outlay::Call call({.model = "gpt-4o-mini", .input_tokens = 10, .max_output_tokens = 10});
          call.settle({.input = 10, .output = 10});
          if (i % 50 == 0) ledger.flush(30s);
        }
        ledger.flush(30s);
        status = 0;
      } catch (const std::exception& error) {
        std::fprintf(stderr, "process %d: %s\n", p, error.what());
      }
      ::_exit(status);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  }
  const outlay::Report report = outlay::report_sqlite(dir.db(), {"process"});
  REQUIRE(report.size() == processes);
  for (const outlay::ReportRow& row : report) {
    CHECK(row.calls == calls);
    CHECK(row.usage.input == calls * 10);
    CHECK(row.usd == report.at(0).usd);
  }
  Raw raw(dir.db());
  CHECK(raw.number("SELECT count(DISTINCT writer) FROM records") == processes);
  CHECK(raw.number("SELECT count(*) FROM names WHERE name = 'gpt-4o-mini'") == 1);
  CHECK(raw.text("PRAGMA integrity_check") == "ok");
}

TEST_CASE("sqlite: a lock held by another process delays rows, and loses none", "[sqlite][sink]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db(), .max_delay = 1h, .busy_timeout = 1ms});
  Raw other(dir.db());
  other.exec("BEGIN IMMEDIATE");
  sink->write(make_record(1));
  const outlay::Error error = failure_of([&] { sink->flush(Steady::now() + 20ms); });
  CHECK(error.reason() == outlay::errc::storage);
  CHECK(contains(error.what(), "locked by another process"));
  other.exec("COMMIT");
  sink->flush(soon());
  CHECK(other.number("SELECT count(*) FROM records") == 1);
}

TEST_CASE("sqlite: a flush waits for a lock until its deadline", "[sqlite][sink]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db(), .max_delay = 1h, .busy_timeout = 1ms});
  Raw other(dir.db());
  other.exec("BEGIN IMMEDIATE");
  sink->write(make_record(1));
  std::thread releaser([&] {
    sqlite3_sleep(50);
    other.exec("COMMIT");
  });
  sink->flush(Steady::now() + 20s);
  releaser.join();
  CHECK(other.number("SELECT count(*) FROM records") == 1);
}

TEST_CASE("sqlite: only what is beyond 65,536 waiting rows is refused", "[sqlite][sink]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db(), .batch = 65'536, .max_delay = 1h, .busy_timeout = 1ms});
  Raw other(dir.db());
  other.exec("BEGIN IMMEDIATE");
  for (std::uint64_t i = 1; i <= 65'536; ++i) sink->write(make_record(i));
  CHECK(failure_of([&] { sink->write(make_record(65'537)); }).reason() == outlay::errc::storage);
  other.exec("COMMIT");
  sink->flush(soon());
  CHECK(other.number("SELECT count(*) FROM records") == 65'536);
}

TEST_CASE("sqlite: a transaction whose outcome was unknown is not written twice", "[sqlite][sink]") {
  const TempDir dir;
  outlay::detail::Writer writer(dir.db(), outlay::Durability::normal, soon());
  writer.add(make_record(1));
  writer.commit(soon());
  writer.add(make_record(2));
  {
    // As if the next transaction had got through, and only its answer had been lost.
    Raw raw(dir.db());
    raw.exec(
        "INSERT INTO records SELECT id + 1, tag_set, budget_path, model, provider, ended, status, "
        "cost_source, usd, input, "
        "cache_read, cache_write, cache_write_1h, output, reasoning, started, reserved, overrun, "
        "requested_model, "
        "admitted_model, service_tier, price_version, unbounded, writer, 2 FROM records");
    raw.exec("UPDATE writers SET last = 2");
  }
  writer.commit(soon());
  writer.add(make_record(3));
  writer.commit(soon());
  Raw raw(dir.db());
  CHECK(raw.text("SELECT group_concat(call) FROM (SELECT call FROM records ORDER BY id)") == "1,2,3");
}

TEST_CASE("sqlite: bytes that are no UTF-8 become replacement characters", "[sqlite][sink]") {
  const TempDir dir;
  {
    const auto sink = outlay::sqlite_sink({.path = dir.db()});
    Record record = make_record(1, {{"user_id",
                                     "a\xFF"
                                     "b"}});
    record.model = "m\x80";
    sink->write(record);
  }
  const outlay::Report report = outlay::report_sqlite(dir.db(), {"user_id", "model"});
  CHECK(report.at(0).tags.at("user_id") ==
        "a\xEF\xBF\xBD"
        "b");
  CHECK(report.at(0).tags.at("model") == "m\xEF\xBF\xBD");
}

TEST_CASE("sqlite: a closed sink refuses rows", "[sqlite][sink]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db()});
  sink->write(make_record(1));
  sink->close();
  sink->close();
  CHECK(contains(failure_of([&] { sink->write(make_record(2)); }).what(), "is closed"));
  CHECK(outlay::report_sqlite(dir.db()).at(0).calls == 1);
}

TEST_CASE("sqlite: options out of range are refused by name", "[sqlite][sink]") {
  const TempDir dir;
  const auto message = [&](outlay::SqliteSinkOptions options) {
    const outlay::Error error = failure_of([&] { static_cast<void>(outlay::sqlite_sink(options)); });
    CHECK(error.reason() == outlay::errc::config);
    return std::string(error.what());
  };
  CHECK(contains(message({}), "path is empty"));
  CHECK(contains(message({.path = dir.db(), .batch = 0}), "batch must be between 1 and 65,536 rows, and is 0."));
  CHECK(contains(message({.path = dir.db(), .batch = 65'537}), "65537"));
  CHECK(contains(message({.path = dir.db(), .max_delay = -1ms}), "max_delay"));
  CHECK(contains(message({.path = dir.db(), .retain = {.age = -1s}}), "retain.age"));
  CHECK(contains(message({.path = dir.db(), .retain = {.bytes = 10}}), "retain.bytes is 10"));
  CHECK(contains(message({.path = dir.db(), .retain = {.every = 0s}}), "retain.every"));
  CHECK(contains(message({.path = dir.db(), .busy_timeout = -1ms}), "busy_timeout"));
}

TEST_CASE("sqlite: a ledger's calls are in the file after flush", "[sqlite][sink]") {
  const TempDir dir;
  using namespace outlay::literals;
  outlay::Ledger ledger({.max_records = 10});
  const outlay::LedgerScope scope(ledger);
  const auto sink = outlay::sqlite_sink({.path = dir.db()});
  ledger.add_sink(sink);
  {
    const outlay::Budget budget({.name = "demo", .usd = 1_usd});
    const outlay::Track track({{"user_id", "alice"}});
    for (int i = 0; i < 1'500; ++i) {
      outlay::Call call({.model = "gpt-4o-mini", .input_tokens = 100, .max_output_tokens = 50});
      call.settle({.input = 100, .output = 20});
    }
  }
  ledger.flush();
  const outlay::Report report = outlay::report_sqlite(dir.db(), {"user_id"});
  REQUIRE(report.size() == 1);
  CHECK(report.at(0).calls == 1'500);
  CHECK(report.at(0).usd == Usd::from_nanos(1'500 * 27'000));
  CHECK(report.at(0).tags == outlay::Tags{{"user_id", "alice"}});
  CHECK(ledger.sink_stats(sink).dropped == 0);
}

TEST_CASE("sqlite: the file forgets writers that were closed, and after a week those that were killed",
          "[sqlite][sink]") {
  const TempDir dir;
  for (std::uint64_t i = 1; i <= 20; ++i) outlay::sqlite_sink({.path = dir.db()})->write(make_record(i));
  CHECK(Raw(dir.db()).number("SELECT count(*) FROM writers") == 0);
  // A record goes on naming its writer, so each has its own number.
  CHECK(Raw(dir.db()).number("SELECT count(DISTINCT writer) FROM records") == 20);
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  const auto left = [&](const char* name, std::chrono::hours ago) {
    Raw(dir.db()).exec("INSERT INTO writers(instance, pid, opened, last, used) VALUES('" + std::string(name) +
                       "', 1, 0, 5, " + std::to_string(now - std::chrono::nanoseconds(ago).count()) + ")");
  };
  left("killed today", std::chrono::hours(1));
  left("killed long ago", std::chrono::hours(24 * 8));
  const auto sink = outlay::sqlite_sink({.path = dir.db()});
  sink->write(make_record(21));
  sink->flush(soon());
  CHECK(Raw(dir.db()).text("SELECT group_concat(instance) FROM writers WHERE instance LIKE 'killed%'") ==
        "killed today");
}
