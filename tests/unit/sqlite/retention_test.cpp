#include "outlay/log.hpp"
#include "unit/sqlite/fixture.hpp"

using namespace outlay_test;

namespace {

outlay::Record recent(std::uint64_t id, const outlay::Tags& tags) {
  outlay::Record record = make_record(id, tags);
  record.started = record.ended = outlay::Time(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()));
  return record;
}

/// `old_rows` of the year 2001 and one of today.
void fill_with_old(const std::filesystem::path& path, std::uint64_t old_rows) {
  const auto sink = outlay::sqlite_sink({.path = path, .batch = 5'000});
  outlay::BudgetEvent event;
  event.action = outlay::Action::blocked;
  for (std::uint64_t i = 1; i <= old_rows; ++i) {
    outlay::Record record = make_record(i, {{"request", std::to_string(i)}});
    record.ended = at(1'000'000'000 + static_cast<std::int64_t>(i));
    record.budgets = {"run-" + std::to_string(i % 10)};
    record.reason = "old";
    record.usage.web_searches = 1;
    sink->write(record);
    if (i % 10 != 0) continue;
    event.time = record.ended;
    event.tags = {{"refused", std::to_string(i)}};
    sink->event(event);
  }
  sink->write(recent(old_rows + 1, {{"request", "new"}}));
  sink->close();
}

}  // namespace

TEST_CASE("sqlite: rows beyond the age leave the file, with their tags, and reports say so", "[sqlite][retention]") {
  const TempDir dir;
  fill_with_old(dir.db(), 5'000);
  Raw raw(dir.db());
  const auto before = std::filesystem::file_size(dir.db());
  const outlay::Report earlier = outlay::report_sqlite(dir.db());
  CHECK(earlier.complete());
  const auto sink = outlay::sqlite_sink({.path = dir.db(), .retain = {.age = 24h}});
  REQUIRE(eventually([&] { return raw.number("SELECT value FROM info WHERE key = 'dictionary'") == 1; }));
  CHECK(raw.number("SELECT count(*) FROM records") == 1);
  CHECK(raw.number("SELECT count(*) FROM events") == 0);
  CHECK(raw.number("SELECT count(*) FROM record_extras") == 0);
  CHECK(raw.number("SELECT count(*) FROM record_usage") == 0);
  CHECK(raw.text("SELECT group_concat(tags) FROM tag_sets") == "{\"request\":\"new\"}");
  CHECK(raw.number("SELECT count(*) FROM budget_paths") == 0);
  const outlay::Report report = outlay::report_sqlite(dir.db());
  CHECK(report.at(0).calls == 1);
  CHECK_FALSE(report.complete());
  CHECK(outlay::report_sqlite(dir.db(), {}, {.since = at(1'500'000'000)}).complete());
  CHECK(failure_of([&] { earlier.assert_under(outlay::Usd::max()); }).reason() == outlay::errc::incomplete);
  CHECK(eventually([&] { return raw.number("PRAGMA freelist_count") < 64; }));
  sink->close();
  raw.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  CHECK(std::filesystem::file_size(dir.db()) < before / 2);
  CHECK(raw.text("PRAGMA integrity_check") == "ok");
}

TEST_CASE("sqlite: a writer that knew removed tags by heart writes them anew", "[sqlite][retention]") {
  const TempDir dir;
  const outlay::Tags tags = {{"user_id", "alice"}};
  const auto writer = outlay::sqlite_sink({.path = dir.db()});
  outlay::Record old = make_record(1, tags);
  old.ended = at(1'000'000'000);
  writer->write(old);
  writer->flush(soon());
  const auto keeper = outlay::sqlite_sink({.path = dir.db(), .retain = {.age = 24h}});
  Raw raw(dir.db());
  REQUIRE(eventually([&] { return raw.number("SELECT count(*) FROM tag_sets") == 0; }));
  writer->write(recent(2, tags));
  writer->flush(soon());
  CHECK(outlay::report_sqlite(dir.db(), {"user_id"}).at(0).tags == tags);
}

TEST_CASE("sqlite: a file above its size gives up the oldest rows first", "[sqlite][retention]") {
  const TempDir dir;
  fill_with_old(dir.db(), 20'000);
  Raw raw(dir.db());
  const auto sink = outlay::sqlite_sink({.path = dir.db(), .retain = {.bytes = 2U << 20U}});
  REQUIRE(eventually([&] {
    return (raw.number("PRAGMA page_count") - raw.number("PRAGMA freelist_count")) * 4096 <= (2 << 20) &&
           raw.number("SELECT value FROM info WHERE key = 'dictionary'") >= 1;
  }));
  const std::int64_t left = raw.number("SELECT count(*) FROM records");
  CHECK(left > 1'000);
  CHECK(left < 20'001);
  CHECK(raw.number("SELECT max(call) - min(call) + 1 FROM records") == left);
  CHECK(raw.number("SELECT count(*) FROM records WHERE call = 20001") == 1);
}
