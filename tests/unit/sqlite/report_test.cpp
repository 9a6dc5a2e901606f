#include <clocale>
#include <limits>
#include <random>

#include "outlay/testing.hpp"
#include "unit/sqlite/fixture.hpp"

using namespace outlay_test;
using namespace outlay::literals;
using outlay::Report;
using outlay::ReportRow;
using outlay::Usd;

namespace {

bool same(const ReportRow& a, const ReportRow& b) {
  return a.tags == b.tags && a.usd == b.usd && a.usage == b.usage && a.calls == b.calls && a.exact == b.exact &&
         a.estimated == b.estimated && a.indeterminate == b.indeterminate && a.unpriced_calls == b.unpriced_calls &&
         a.estimated_calls == b.estimated_calls && a.indeterminate_calls == b.indeterminate_calls &&
         a.rejected_calls == b.rejected_calls && a.blocked_calls == b.blocked_calls;
}

/// A ledger that has seen everything, and its file.
struct Mixed {
  TempDir dir{};
  std::shared_ptr<outlay::testing::ManualClock> clock = std::make_shared<outlay::testing::ManualClock>();
  outlay::Ledger ledger{{.prices = outlay::testing::fixture_prices(), .clock = clock}};

  explicit Mixed(unsigned seed) {
    ledger.add_sink(outlay::sqlite_sink({.path = dir.db()}));
    const outlay::LedgerScope scope(ledger);
    std::mt19937 random(seed);
    const auto pick = [&](auto... values) {
      const std::string_view all[] = {values...};
      return all[random() % sizeof...(values)];
    };
    for (int i = 0; i < 400; ++i) {
      clock->advance(std::chrono::minutes(random() % 60));
      const outlay::Budget run({.name = "run", .usd = 1_usd});
      const outlay::Track user({{"user_id", pick("alice", "bob", "carol")}});
      std::optional<outlay::Budget> inner;
      if (random() % 2 == 0) inner.emplace(outlay::BudgetOptions{.name = "answer", .usd = 0.001_usd});
      std::optional<outlay::Track> feature;
      if (random() % 3 != 0) feature.emplace(std::initializer_list<outlay::Tag>{{"feature", pick("search", "chat")}});
      const bool unpriced = !inner && random() % 8 == 0;
      std::optional<outlay::Budget> lenient;
      auto call = outlay::try_call({.model = pick("gpt-4o", "gpt-4o-mini", "cent"),
                                    .input_tokens = static_cast<std::int64_t>(random() % 2'000),
                                    .max_output_tokens = 100});
      if (!call) continue;
      const auto output = static_cast<std::int64_t>(random() % 100);
      switch (random() % 5) {
        case 0:
          call->sent();
          call->indeterminate("broken");
          break;
        case 1:
          call->sent();
          call->release("429");
          break;
        case 2:
          call->settle(
              {.usage = {.input = 10, .output = output, .reasoning = output / 2, .input_audio = 3, .web_searches = 1},
               .provider_cost = Usd::from_nanos(12'345)});
          break;
        default:
          call->settle({.input = 50, .cache_read = 7, .output = output});
      }
      static_cast<void>(unpriced);
    }
    ledger.flush();
  }
};

}  // namespace

TEST_CASE("sqlite: a report from the file is the ledger's own", "[sqlite][report]") {
  const Mixed mixed(GENERATE(1U, 2U, 3U));
  const std::vector<std::vector<std::string>> groupings = {{},
                                                           {"user_id"},
                                                           {"feature"},
                                                           {"feature", "user_id"},
                                                           {"model"},
                                                           {"provider"},
                                                           {"budget"},
                                                           {"day"},
                                                           {"model", "feature", "day"},
                                                           {"nothing"},
                                                           {"user_id", "user_id"},
                                                           {"budget", "model", "provider", "user_id"}};
  for (const auto& by : groupings) {
    const Report expected = mixed.ledger.report(by);
    const Report actual = outlay::report_sqlite(mixed.dir.db(), by);
    INFO("grouped by " << (by.empty() ? "nothing" : by.front()) << " and " << by.size() << " keys in all");
    REQUIRE(actual.size() == expected.size());
    for (std::size_t i = 0; i < actual.size(); ++i) CHECK(same(actual.at(i), expected.at(i)));
    CHECK(actual.complete());
  }
  const ReportRow total = mixed.ledger.report().total();
  CHECK(total.blocked_calls > 0);
  CHECK(total.indeterminate_calls > 0);
  CHECK(total.rejected_calls > 0);
  CHECK(total.usage.web_searches > 0);
}

TEST_CASE("sqlite: since is included and until is not", "[sqlite][report]") {
  const TempDir dir;
  {
    const auto sink = outlay::sqlite_sink({.path = dir.db()});
    for (std::uint64_t i = 1; i <= 10; ++i) sink->write(make_record(i));
    outlay::BudgetEvent event;
    event.action = outlay::Action::blocked;
    for (std::uint64_t i = 1; i <= 10; ++i) {
      event.time = make_record(i).ended;
      sink->event(event);
    }
  }
  const auto time = [](std::uint64_t i) { return make_record(i).ended; };
  const auto row = [&](const outlay::ReportFilter& filter) {
    return outlay::report_sqlite(dir.db(), {}, filter).total();
  };
  CHECK(row({.since = time(3), .until = time(6)}).usd == Usd::from_nanos(12'000'000));
  CHECK(row({.since = time(3), .until = time(6)}).blocked_calls == 3);
  CHECK(row({.since = time(10)}).calls == 1);
  CHECK(row({.until = time(1)}).calls == 0);
  CHECK(row({.since = time(6), .until = time(3)}).calls == 0);
}

TEST_CASE("sqlite: a filter by tags and reserved names keeps what carries all of them", "[sqlite][report]") {
  const Mixed mixed(4);
  const auto usd = [&](const outlay::Tags& tags) {
    return outlay::report_sqlite(mixed.dir.db(), {}, {.tags = tags}).total().usd;
  };
  Usd alice, alice_chat, gpt, nested;
  for (const outlay::Record& record : mixed.ledger.records()) {
    const bool is_alice = record.tags.at("user_id") == "alice";
    const std::string* feature = record.tags.find("feature");
    if (is_alice) alice += record.usd;
    if (is_alice && feature && *feature == "chat") alice_chat += record.usd;
    if (record.model == "gpt-4o") gpt += record.usd;
    if (record.budgets.size() == 2) nested += record.usd;
  }
  CHECK(usd({{"user_id", "alice"}}) == alice);
  CHECK(usd({{"user_id", "alice"}, {"feature", "chat"}}) == alice_chat);
  CHECK(usd({{"model", "gpt-4o"}}) == gpt);
  CHECK(usd({{"budget", "run/answer"}}) == nested);
  CHECK(usd({{"budget", "answer"}}) == nested);
  CHECK(usd({{"budget", "run"}}) == mixed.ledger.report().total().usd);
  CHECK(failure_of([&] { static_cast<void>(usd({{"budget", "runn"}})); }).reason() == outlay::errc::invalid_argument);
  CHECK(usd({{"user_id", "nobody"}}) == Usd());
  CHECK(usd({{"day", "2026-13-01"}}) == Usd());
  Usd days;
  const Report by_day = outlay::report_sqlite(mixed.dir.db(), {"day"});
  for (const ReportRow& row : by_day) days += usd({{"day", row.tags.at("day")}});
  CHECK(days == mixed.ledger.report().total().usd);
}

TEST_CASE("sqlite: assert_under judges by any tag, grouped by it or not, and only what the report saw",
          "[sqlite][report]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db()});
  sink->write(make_record(1, {{"user_id", "alice"}, {"feature", "chat"}}));
  sink->write(make_record(2, {{"user_id", "bob"}}));
  sink->flush(soon());
  const Report report = outlay::report_sqlite(dir.db(), {"feature"});
  CHECK_NOTHROW(report.assert_under(0.003_usd));
  CHECK(failure_of([&] { report.assert_under(0.002_usd); }).reason() == outlay::errc::over_limit);
  CHECK_NOTHROW(report.assert_under(0.001_usd, {{"user_id", "alice"}}));
  CHECK(failure_of([&] { report.assert_under(0.001_usd, {{"user_id", "bob"}}); }).reason() == outlay::errc::over_limit);
  CHECK(failure_of([&] { report.assert_under(0.001_usd, {{"day", "2026-01-01"}}); }).reason() ==
        outlay::errc::over_limit);
  sink->write(make_record(100, {{"user_id", "bob"}}));
  sink->flush(soon());
  CHECK_NOTHROW(report.assert_under(0.002_usd, {{"user_id", "bob"}}));
}

TEST_CASE("sqlite: a report is one snapshot, however busy the file is", "[sqlite][report]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db(), .batch = 10, .max_delay = 1h});
  sink->write(make_record(1));
  sink->flush(soon());
  for (std::uint64_t i = 2; i <= 200; ++i) {
    for (int k = 0; k < 10; ++k) sink->write(make_record(1));
    const ReportRow total = outlay::report_sqlite(dir.db()).total();
    REQUIRE(total.usd == total.exact);
    REQUIRE(total.usd == Usd::from_nanos(total.calls * 1'000'000));
  }
}

TEST_CASE("sqlite: a sum beyond Usd is an error, not a wrong number", "[sqlite][report]") {
  const TempDir dir;
  {
    const auto sink = outlay::sqlite_sink({.path = dir.db()});
    outlay::Record record = make_record(1);
    record.usd = Usd::max();
    sink->write(record);
    sink->write(record);
  }
  CHECK(failure_of([&] { static_cast<void>(outlay::report_sqlite(dir.db())); }).reason() == outlay::errc::overflow);
}

TEST_CASE("sqlite: an empty file gives an empty report", "[sqlite][report]") {
  const TempDir dir;
  outlay::sqlite_sink({.path = dir.db()})->close();
  const Report report = outlay::report_sqlite(dir.db(), {"user_id"});
  CHECK(report.empty());
  CHECK(report.complete());
}

TEST_CASE("sqlite: what ended without a verdict is listed oldest first, filtered, and no more than asked for",
          "[sqlite][report]") {
  const TempDir dir;
  {
    const auto sink = outlay::sqlite_sink({.path = dir.db()});
    for (std::uint64_t i = 20; i >= 1; --i) {
      outlay::Record record = make_record(i, {{"even", i % 2 == 0 ? "yes" : "no"}});
      if (i > 5) record.status = outlay::RecordStatus::indeterminate;
      sink->write(record);
    }
  }
  const auto all = outlay::indeterminate_sqlite(dir.db());
  REQUIRE(all.size() == 15);
  CHECK(all.front().call_id == 6);
  CHECK(all.back().call_id == 20);
  CHECK(outlay::indeterminate_sqlite(dir.db(), {}, 2).size() == 2);
  CHECK(outlay::indeterminate_sqlite(dir.db(), {.tags = {{"even", "yes"}}}).size() == 8);
  CHECK(outlay::indeterminate_sqlite(dir.db(), {.since = make_record(19).ended}).size() == 2);
}

TEST_CASE("sqlite: an assertion means by a budget what the ledger's means, and fails for what never was",
          "[sqlite][report]") {
  const Mixed mixed(5);
  for (const auto& by : std::vector<std::vector<std::string>>{{}, {"budget"}, {"model"}}) {
    const Report own = mixed.ledger.report(by);
    const Report report = outlay::report_sqlite(mixed.dir.db(), by);
    const std::vector<outlay::Tags> asked = {{},
                                             {{"budget", "run"}},
                                             {{"budget", "answer"}},
                                             {{"budget", "run/answer"}},
                                             {{"budget", "run"}, {"user_id", "bob"}},
                                             {{"budget", "runn"}},
                                             {{"budget", "answer/run"}},
                                             {{"budget", ""}},
                                             {{"user_id", "nobody"}},
                                             {{"feature", "chat"}, {"model", "gpt-4o"}},
                                             {{"model", "gpt-5"}},
                                             {{"day", "1999-01-01"}}};
    for (const outlay::Tags& tags : asked)
      for (const Usd limit : {Usd(), 0.1_usd, 100_usd}) {
        const auto outcome = [&](const Report& from) {
          try {
            from.assert_under(limit, tags);
          } catch (const outlay::Error& error) {
            return error.reason();
          }
          return outlay::errc::ok;
        };
        INFO((tags.empty() ? std::string() : tags.begin()->first + "=" + tags.begin()->second));
        CHECK((outcome(report) == outcome(own)));
      }
  }
}

TEST_CASE("sqlite: what lies outside the report's time is known to an assertion, and costs nothing",
          "[sqlite][report]") {
  const TempDir dir;
  outlay::sqlite_sink({.path = dir.db()})->write(make_record(1, {{"user_id", "alice"}}));
  const Report report = outlay::report_sqlite(dir.db(), {}, {.since = make_record(5).ended});
  CHECK_NOTHROW(report.assert_under(Usd(), {{"user_id", "alice"}}));
  CHECK(failure_of([&] { report.assert_under(Usd(), {{"user_id", "alcie"}}); }).reason() ==
        outlay::errc::invalid_argument);
}

TEST_CASE("sqlite: a day is the day of admission, in rows and in filters", "[sqlite][report]") {
  const TempDir dir;
  outlay::Record record = make_record(1);
  record.started = outlay::Time(std::chrono::sys_days(std::chrono::year(2026) / 8 / 31)) + std::chrono::hours(23);
  record.ended = record.started + std::chrono::hours(2);
  record.status = outlay::RecordStatus::indeterminate;
  outlay::sqlite_sink({.path = dir.db()})->write(record);
  CHECK(outlay::report_sqlite(dir.db(), {"day"}).at(0).tags.at("day") == "2026-08-31");
  CHECK(outlay::report_sqlite(dir.db(), {}, {.tags = {{"day", "2026-08-31"}}}).total().calls == 1);
  CHECK(outlay::report_sqlite(dir.db(), {}, {.tags = {{"day", "2026-09-01"}}}).total().calls == 0);
  CHECK(outlay::indeterminate_sqlite(dir.db(), {.tags = {{"day", "2026-08-31"}}}).size() == 1);
  CHECK(outlay::indeterminate_sqlite(dir.db(), {.tags = {{"day", "2026-09-01"}}}).empty());
}

TEST_CASE("sqlite: the groups are the ledger's, whatever bytes tags and names hold", "[sqlite][report]") {
  const TempDir dir;
  outlay::Ledger ledger({.prices = outlay::testing::fixture_prices()});
  ledger.add_sink(outlay::sqlite_sink({.path = dir.db()}));
  const outlay::LedgerScope scope(ledger);
  const auto spend = [](const char* budget, const char* value) {
    const outlay::Budget open({.name = budget, .usd = 1_usd});
    const outlay::Track track({{"user_id", value}});
    outlay::Call({.model = "cent", .input_tokens = 0, .max_output_tokens = 0}).settle(outlay::Usage{});
  };
  for (const char* value : {"a", "a\xFF", "a\xFE", "\xC3", "\xC3\xA4", "a\xEF\xBF\xBD", "A", "a ", "=1"})
    for (const char* budget : {"b", "b\xFF", "b/c", "b\\c"}) spend(budget, value);
  ledger.flush();
  for (const char* key : {"user_id", "budget"}) {
    const Report own = ledger.report({key}), file = outlay::report_sqlite(dir.db(), {key});
    REQUIRE(file.size() == own.size());
    for (std::size_t i = 0; i < own.size(); ++i) CHECK(same(file.at(i), own.at(i)));
  }
  CHECK(outlay::report_sqlite(dir.db(), {}, {.tags = {{"user_id", "a\xFF"}}}).total().calls == 12);
}

TEST_CASE("sqlite: a report names the tags that no record has", "[sqlite][report]") {
  const TempDir dir;
  const auto sink = outlay::sqlite_sink({.path = dir.db()});
  CHECK(outlay::report_sqlite(dir.db(), {"feature"}).missing_keys().empty());
  sink->write(make_record(1, {{"user_id", "alice"}}));
  sink->flush(soon());
  CHECK(outlay::report_sqlite(dir.db(), {"user_id", "feature", "model", "budget"}).missing_keys() ==
        std::vector<std::string>{"feature"});
}
