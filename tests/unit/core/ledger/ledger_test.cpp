#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "core/ledger/dictionary.hpp"
#include "core/ledger/records.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;

namespace {

// Made before main, in whatever order the files come.
const std::string early_id = Window::hour().id();
const Window early_window = Window::hour();

/// Is made before anything that the library keeps for the process, and destroyed after it.
struct LastLedger {
  ~LastLedger() {
    if (!used) return;
    bool right = false;
    try {
      const Ledger ledger({.prices = outlay::testing::fixture_prices()});
      const LedgerScope scope(ledger);
      const Budget budget({.name = "last", .usd = 1_usd, .notify_at = {0.01}, .window = Window::day("Europe/Berlin")});
      Call call({.model = "cent", .input_text = "some text", .max_output_tokens = 1});
      call.settle({.input = 1, .output = 1});
      const auto refused = try_call({.model = "unit", .input_tokens = 1, .max_output_tokens = 2'000'000});
      right = budget.spent().usd == 0.01_usd && ledger.events().size() == 2 && ledger.report({"model"}).size() == 2 &&
              !refused && !refused.error().message().empty() && !Call(std::move(call)).requested_model().empty() &&
              !outlay::PriceTable::bundled().version().empty() &&
              !outlay::make_error_code(outlay::errc::config).message().empty();
    } catch (const std::exception& problem) {
      std::fputs(problem.what(), stderr);
    }
    if (!right) std::_Exit(3);  // too late for a failure of the test
  }
  bool used = false;
} last_ledger;

}  // namespace

TEST_CASE("ledger: a window is whole before main", "[core][ledger]") {
  CHECK(early_id == "hour");
  CHECK(early_window.id() == "hour");
}

TEST_CASE("ledger: what static objects do at the end of the process is booked and reported", "[core][ledger]") {
  last_ledger.used = true;  // judged when the program ends
  CHECK(!outlay::PriceTable::bundled().version().empty());
}

TEST_CASE("ledger: a call made while its thread ends is booked", "[core][ledger]") {
  const Fixture fixture;
  struct Late {
    explicit Late(const Ledger& ledger) : books(ledger) {}
    Late(const Late&) = delete;
    Late& operator=(const Late&) = delete;
    ~Late() {
      const LedgerScope scope(books);
      const Budget budget({.name = "late", .usd = 1_usd});
      const Track track({{"late", "yes"}});
      for (int i = 0; i < 3; ++i) Call(cent_request()).settle({.usage = {}, .served_model = "gpt-4o"});
    }
    const Ledger books;
  };
  std::thread([&] {
    thread_local const Late late(fixture.ledger);  // before the library's own, so destroyed after them
    static_cast<void>(late);
    const LedgerScope scope(fixture.ledger);
    Call(cent_request()).settle(Usage{});
  }).join();
  CHECK(fixture.ledger.records().size() == 4);
  CHECK(fixture.ledger.report({"late"}).size() == 2);
  CHECK((fixture.ledger.audit().verdict == Audit::Verdict::agrees));
}

TEST_CASE("ledger: empty braces are the default options", "[core][ledger]") {
  outlay::Ledger ledger({});
  outlay::Ledger in_braces{{}};
  ledger = outlay::Ledger({});
  for (const outlay::Ledger& one : {ledger, in_braces}) {
    const outlay::LedgerScope scope(one);
    Call({.model = "gpt-4o", .input_tokens = 1, .max_output_tokens = 1}).release();
    CHECK(one.prices().version() == outlay::PriceTable::bundled().version());
    CHECK(one.store() != nullptr);
  }
}

TEST_CASE("ledger: the FIFO keeps the newest and counts what it evicts", "[core][ledger]") {
  const Fixture fixture({.max_records = 5});
  for (int i = 0; i < 12; ++i) {
    Track track({{"n", std::to_string(i)}});
    Call(cent_request()).settle(Usage{});
  }
  const auto records = fixture.ledger.records();
  REQUIRE(records.size() == 5);
  REQUIRE(fixture.ledger.dropped() == 7);
  for (int i = 0; i < 5; ++i) REQUIRE(records[static_cast<std::size_t>(i)].tags.at("n") == std::to_string(7 + i));
  REQUIRE(fixture.ledger.audit().verdict == Audit::Verdict::agrees);
}

TEST_CASE("ledger: the record of one call is found by its number, as long as it is in memory", "[core][ledger]") {
  const Fixture fixture({.max_records = 2});
  const Track track({{"user_id", "alice"}});
  Call running(cent_request());
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 3; ++i) {
    Call call(cent_request());
    ids.push_back(call.id());
    call.settle({});
  }
  CHECK_FALSE(fixture.ledger.record(ids[0]));
  CHECK_FALSE(fixture.ledger.record(running.id()));
  const std::optional<Record> found = fixture.ledger.record(ids[1]);
  REQUIRE(found);
  CHECK(found->call_id == ids[1]);
  CHECK(found->usd == 0.01_usd);
  CHECK(*found->tags.find("user_id") == "alice");
  running.settle({});
  CHECK(fixture.ledger.record(running.id()));
  CHECK_FALSE(fixture.ledger.record(ids[1]));
}

TEST_CASE("ledger: the bound holds over all threads together", "[core][ledger]") {
  const Fixture fixture({.max_records = 50});
  const Context context = Context::current();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back(context.bind([] {
      for (int i = 0; i < 100; ++i) Call(cent_request()).settle(Usage{});
    }));
  for (auto& thread : threads) thread.join();
  REQUIRE(fixture.ledger.records().size() == 50);
  REQUIRE(fixture.ledger.dropped() == 350);
  REQUIRE(fixture.ledger.report().total().calls == 50);
  REQUIRE(!fixture.ledger.report().complete());
  REQUIRE(fixture.ledger.audit().verdict == Audit::Verdict::agrees);
}

TEST_CASE("ledger: over all threads it holds max_records rows in memory, and a sixteenth more while they come",
          "[core][ledger]") {
  constexpr std::size_t most = 1'000, shards = 8, each = 2'000;
  detail::Records records(most, shards);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < shards; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < each; ++i) {
        detail::Row row{};
        row.ended = static_cast<std::int64_t>(i * shards + t);
        row.usd = 1;
        records.push(std::move(row));
      }
    });
  for (auto& thread : threads) thread.join();
  const detail::Records::Recount recount = records.recount();
  CHECK(recount.kept.calls <= static_cast<std::int64_t>(most + most / 16 + shards));
  CHECK(recount.kept.calls + recount.evicted.calls == static_cast<std::int64_t>(shards * each));
  CHECK(recount.kept.usd + recount.evicted.usd == recount.pushed.usd);
  CHECK(records.dropped() == shards * each - most);
  std::size_t visible = 0;
  records.visit([&](const detail::Row*, std::size_t count) { visible += count; });
  CHECK(visible == most);
}

TEST_CASE("ledger: the newest rows over all shards stay, however unevenly they come", "[core][ledger]") {
  constexpr std::size_t most = 300;
  detail::Records records(most, 2);
  const auto push = [&](std::int64_t ended) {
    detail::Row row{};
    row.ended = ended;
    records.push(std::move(row));
  };
  for (std::int64_t i = 0; i < 1'000; ++i) push(i);
  std::thread([&] {
    for (std::int64_t i = 1'000; i < 1'100; ++i) push(i);
  }).join();
  std::vector<std::int64_t> seen;
  records.visit([&](const detail::Row* rows, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) seen.push_back(rows[i].ended);
  });
  std::sort(seen.begin(), seen.end());
  REQUIRE(seen.size() == most);
  CHECK(seen.front() == 800);
  CHECK(seen.back() == 1'099);
}

TEST_CASE("ledger: unbounded it keeps all, and with no room it keeps none", "[core][ledger]") {
  {
    const Fixture fixture({.max_records = LedgerOptions::unlimited});
    for (int i = 0; i < 3'000; ++i) Call(cent_request()).settle(Usage{});
    REQUIRE(fixture.ledger.records().size() == 3'000);
    REQUIRE(fixture.ledger.dropped() == 0);
  }
  const Fixture fixture({.max_records = 0});
  Budget budget({.usd = 1_usd});
  Call(cent_request()).settle(Usage{});
  REQUIRE(fixture.ledger.records().empty());
  REQUIRE(budget.spent().usd == 0.01_usd);
}

TEST_CASE("ledger: a scope isolates the records and leaves the budgets counting", "[core][ledger]") {
  const Fixture fixture;
  Budget budget({.name = "outer", .usd = 1_usd});
  Track track({{"feature", "chat"}});
  LedgerOptions options;
  options.prices = testing::fixture_prices();
  Ledger tenant(options);
  {
    LedgerScope scope(tenant);
    Track user({{"user_id", "alice"}});
    Call(cent_request()).settle(Usage{});
    REQUIRE(!try_call({.model = "cent", .input_tokens = 0, .max_output_tokens = 0, .usd = 5_usd}));
  }
  REQUIRE(fixture.ledger.records().empty());
  REQUIRE(budget.spent().usd == 0.01_usd);
  const auto records = tenant.records();
  REQUIRE(records.size() == 1);
  REQUIRE(records[0].tags == Tags({{"feature", "chat"}, {"user_id", "alice"}}));
  REQUIRE(records[0].budgets == std::vector<std::string>{"outer"});
  REQUIRE(tenant.events().size() == 1);
  REQUIRE(tenant.events()[0].budget == "outer");
  REQUIRE(tenant.events()[0].tags.at("user_id") == "alice");
}

TEST_CASE("ledger: the handle and the scope keep the books alive for late calls", "[core][ledger]") {
  const Fixture fixture;
  std::optional<Call> late;
  std::optional<Ledger> kept;
  {
    LedgerOptions options;
    options.prices = testing::fixture_prices();
    Ledger ledger(options);
    kept = ledger;
    LedgerScope scope(ledger);
    late.emplace(cent_request());
  }
  late->settle(Usage{});
  REQUIRE(kept->records().size() == 1);
  late.reset();
}

TEST_CASE("ledger: on_spend and on_refused are told once each, and may throw or call back", "[core][ledger]") {
  const Fixture fixture;
  set_log_handler([](LogLevel, std::string_view) {});
  std::vector<Usd> spent;
  std::vector<Action> refused;
  Ledger ledger = fixture.ledger;
  ledger.on_spend([&](const Record& record) {
    spent.push_back(record.usd);
    if (spent.size() == 1) {
      Budget nested({.usd = 1_usd});
      Call(cent_request()).settle(Usage{});
    }
    throw std::runtime_error("contained");
  });
  ledger.on_refused([&](const BudgetEvent& event) {
    refused.push_back(event.action);
    throw 5;
  });
  Budget budget({.usd = 0.02_usd});
  Call(cent_request()).settle(Usage{});
  REQUIRE(!try_call(large_request()));
  ledger.on_spend({});
  ledger.on_refused({});
  set_log_handler({});
  REQUIRE(spent == std::vector<Usd>{0.01_usd, 0.01_usd});
  REQUIRE(refused == std::vector{Action::blocked});
  REQUIRE(budget.spent().usd == 0.02_usd);
}

TEST_CASE("ledger: on_refused is told of refusals, and not of calls that are let through", "[core][ledger]") {
  const Fixture fixture;
  set_log_handler([](LogLevel, std::string_view) {});
  std::vector<BudgetEvent> refused;
  Ledger ledger = fixture.ledger;
  ledger.on_refused([&](const BudgetEvent& event) { refused.push_back(event); });
  {
    Budget lax({.usd = 0_usd, .on_exceed = Warn{}});
    Call call(cent_request());
  }
  REQUIRE(refused.empty());
  Budget strict({.name = "strict", .usd = 0_usd});
  REQUIRE(!try_call(cent_request()));
  ledger.on_refused({});
  set_log_handler({});
  REQUIRE(refused.size() == 1);
  REQUIRE(refused[0].budget == "strict");
  REQUIRE(refused[0].projected == (0.01_usd).nanos());
  REQUIRE(refused[0].cap == 0);
}

TEST_CASE("ledger: reset forgets, and running calls settle into the emptied books", "[core][ledger]") {
  const Fixture fixture;
  Call(cent_request()).settle(Usage{});
  Call running(cent_request());
  Ledger ledger = fixture.ledger;
  ledger.reset();
  REQUIRE(ledger.records().empty());
  REQUIRE(ledger.report().empty());
  running.settle(Usage{});
  REQUIRE(ledger.records().size() == 1);
  REQUIRE(ledger.audit().verdict == Audit::Verdict::agrees);
}

TEST_CASE("ledger: prices can be replaced, and records say which table they were priced by", "[core][ledger]") {
  const Fixture fixture;
  Ledger ledger = fixture.ledger;
  Call(large_request()).settle({.input = 1'000'000});
  PriceTable dearer = ledger.prices();
  Price price;
  price.rates = {.input = Rate::per_million(3_usd), .output = Rate::per_million(12_usd)};
  dearer.register_model("gpt-4o", price);
  dearer.describe("fixture-2", "test", {});
  ledger.set_prices(dearer);
  Call(large_request()).settle({.input = 1'000'000});
  const auto records = ledger.records();
  REQUIRE(records[0].usd == 2.50_usd);
  REQUIRE(records[0].price_version == "fixture");
  REQUIRE(records[1].usd == 3_usd);
  REQUIRE(records[1].price_version == "fixture-2");
}

TEST_CASE("ledger: a sink that throws on every row changes no decision", "[core][ledger][sink]") {
  const Fixture fixture;
  set_log_handler([](LogLevel, std::string_view) {});
  Ledger ledger = fixture.ledger;
  const auto sink = std::make_shared<testing::FailingSink>();
  ledger.add_sink(sink);
  Budget budget({.usd = 0.01_usd});
  int ran = 0;
  for (int i = 0; i < 5; ++i)
    if (auto call = try_call(cent_request())) {
      call->settle(Usage{});
      ++ran;
    }
  ledger.flush();
  set_log_handler({});
  REQUIRE(ran == 1);
  REQUIRE(budget.spent().usd == 0.01_usd);
  REQUIRE(ledger.sink_stats(sink).dropped == 5);  // a record and four refusals
}

TEST_CASE("ledger: the newest events are kept, from the oldest to the newest", "[core][ledger]") {
  Fixture fixture({.max_events = 3});
  Budget budget({.usd = 0_usd});
  const auto refuse = [](int turn) {
    CHECK_FALSE(try_call({.model = "flat", .input_tokens = 0, .usd = 1_usd, .tags = {{"turn", std::to_string(turn)}}}));
  };
  const auto turns = [&] {
    std::string all;
    for (const BudgetEvent& event : fixture.ledger.events()) all += event.tags.at("turn") + ' ';
    return all;
  };
  for (int i = 1; i <= 2; ++i) refuse(i);
  CHECK(turns() == "1 2 ");
  for (int i = 3; i <= 10; ++i) {
    refuse(i);
    CHECK(turns() == std::to_string(i - 2) + ' ' + std::to_string(i - 1) + ' ' + std::to_string(i) + ' ');
  }
  fixture.ledger.reset();
  CHECK(turns().empty());
  for (int i = 11; i <= 15; ++i) refuse(i);
  CHECK(turns() == "13 14 15 ");
}

TEST_CASE("ledger: times come from its clock", "[core][ledger]") {
  const Fixture fixture;
  Call call(cent_request());
  fixture.clock->advance(std::chrono::seconds(3));
  call.settle(Usage{});
  const auto record = fixture.ledger.records().back();
  REQUIRE(record.ended - record.started == std::chrono::seconds(3));
  REQUIRE(to_iso8601(record.started) == "2026-01-01T00:00:00Z");
}

TEST_CASE("ledger: names that only replies bring use up no place that requests need", "[core][ledger]") {
  const Fixture fixture({.max_records = 1'000});
  const Budget budget({.name = "all", .usd = 100'000_usd});
  const auto settle_as = [](const std::string& model, const std::string& tier) {
    Call call(large_request());
    call.sent();
    call.settle({.usage = {.input = 1, .output = 1}, .served_model = model, .service_tier = tier});
  };
  for (int i = 0; i < 66'000; ++i) settle_as("served-" + std::to_string(i), "tier-" + std::to_string(i));
  CHECK_NOTHROW(Call({.model = "gpt-4o-mini", .input_tokens = 1, .max_output_tokens = 1}).release());
  const std::vector<Record> records = fixture.ledger.records();
  CHECK(records.back().model == "(other)");
  CHECK(records.back().service_tier == "(other)");
  CHECK(records.back().usd > Usd{});
  // A name that a request or the price table has brought is known in replies, too.
  settle_as("gpt-4o-mini", "");
  CHECK(fixture.ledger.records().back().model == "gpt-4o-mini");
  settle_as("served-7", "tier-7");
  CHECK(fixture.ledger.records().back().model == "served-7");
  CHECK(fixture.ledger.records().back().service_tier == "tier-7");
}

TEST_CASE("ledger: a name that a reply brought first has a place as a request's once a request brings it",
          "[core][ledger]") {
  detail::LedgerDictionary dictionary(1, [] {});
  const detail::ModelName* early = dictionary.name("early", detail::NameOrigin::reply);
  for (std::size_t i = 0; i < detail::LedgerDictionary::max_reply_names + 10; ++i)
    (void)dictionary.name("reply-" + std::to_string(i), detail::NameOrigin::reply);
  CHECK(dictionary.name("late", detail::NameOrigin::reply)->id == detail::ModelName::overflow_id);
  CHECK(dictionary.name("early") == early);
  CHECK(dictionary.name("late", detail::NameOrigin::reply)->text == "late");  // the place that "early" has left
  std::size_t places = 0;
  while (dictionary.name("request-" + std::to_string(places))->id != detail::ModelName::overflow_id) ++places;
  CHECK(places == detail::LedgerDictionary::max_names - 3);  // the empty name, "(other)" and "early"
}
