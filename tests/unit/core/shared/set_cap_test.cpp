// Caps that operators set in a store.
#include <algorithm>
#include <thread>
#include <vector>

#include "contract/processes.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;
using namespace std::chrono_literals;

TEST_CASE("set_cap: every budget of the name judges its next call by it, and says so", "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  const Budget budget(daily(store, 0.05_usd));
  Call(cent_request()).settle({});
  store->set_cap(
      {.name = "daily", .window = Window::day(), .limits = {.usd = 0.01_usd}, .by = "ada", .reason = "too fast"});
  const Result<Call> refused = try_call(cent_request());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().limit() == "$0.01");
  CHECK(refused.error().spent() == "$0.01");
  CHECK(budget.limits().usd == 0.01_usd);
  CHECK(budget.state().remaining.usd == 0_usd);

  store->set_cap({.name = "daily", .window = Window::day(), .limits = {.usd = 0.10_usd}});
  for (int i = 0; i < 9; ++i) Call(cent_request()).settle({});  // more than the program's own cap
  CHECK_FALSE(try_call(cent_request()));
  CHECK(budget.spent().usd == 0.10_usd);

  store->set_cap({.name = "daily", .window = Window::day()});
  CHECK_FALSE(try_call(cent_request()));
  CHECK(try_call(cent_request()).error().limit() == "$0.05");
  fixture.clock->advance(24h);
  for (int i = 0; i < 5; ++i) Call(cent_request()).settle({});
  CHECK_FALSE(try_call(cent_request()));

  std::vector<std::string> told;
  for (const BudgetEvent& event : fixture.ledger.events())
    if (event.action == Action::cap_set)
      told.push_back(event.budget + ' ' + std::to_string(event.cap) + ' ' + event.reason);
  CHECK(told == std::vector<std::string>{"daily 10000000 ada: too fast", "daily 100000000 a cap was set",
                                         "daily -1 the cap was taken back"});
}

TEST_CASE("set_cap: a refusal under a cap that an operator has set says who can change it", "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  const Budget budget(daily(store, 0.05_usd));
  Call(cent_request()).settle({});
  const auto refusal = [&] { return try_call(cent_request()).error(); };
  const auto set = [&](const Limits& limits) {
    store->set_cap({.name = "daily", .window = Window::day(), .limits = limits, .by = "ada"});
  };
  const std::string closed =
      "budget \"daily\" refused cent: an operator has closed it to calls. Open it again with \"outlay caps reopen\", "
      "or "
      "POST /outlay/caps/reopen of its gateway.";
  set({.calls = 0});
  CHECK(refusal().message() == closed);
  CHECK(refusal().dimension() == Dimension::calls);
  CHECK(refusal().limit() == "0");
  CHECK_FALSE(refusal().retry_at());
  // Beside it a cap on money is in the way, which would be no use to raise.
  set({.usd = 0.01_usd, .calls = 0});
  CHECK(refusal().message() ==
        closed + "\nAlso in the way: budget \"daily\": this call needs up to $0.01, $0.00 of $0.01 is left.");
  CHECK(refusal().dimension() == Dimension::calls);
  set({.usd = 0.01_usd});
  CHECK(refusal().message() ==
        "budget \"daily\" refused cent: this call needs up to $0.01, $0.00 of $0.01 is left. Raise the cap that an "
        "operator has set, or add a Downgrade. It may fit again from 2026-01-02T00:00:00Z on.");
  // A program's own cap is no operator's.
  set({});
  const Budget once({.name = "once", .calls = 1});
  Call(cent_request()).settle({});
  CHECK(refusal().message() ==
        "budget \"daily/once\" refused cent: this is one more call, 0 of 1 are left. Raise the cap, or stop here.");
}

TEST_CASE("set_cap: of two who change what both have read, one is told to read it again", "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  const auto set = [&](const Limits& limits, const StoreCap& read) {
    return store->set_cap({.name = "daily", .window = Window::day(), .limits = limits, .expected = read});
  };
  CHECK(set({.usd = 1_usd}, {}));
  const std::vector<CapState> both_read = store->caps();
  CHECK(set({.usd = 2_usd}, both_read.at(0)));
  CHECK_FALSE(set({.usd = 1_usd, .calls = 5}, both_read.at(0)));
  CHECK(store->caps().at(0).limits == Limits{.usd = 2_usd});
  CHECK(fixture.ledger.events().size() == 2);  // what was not done is no event
  CHECK(set({.usd = 2_usd, .calls = 5}, store->caps().at(0)));
  CHECK(set({}, store->caps().at(0)));
  CHECK(store->caps().empty());
}

TEST_CASE("set_cap: operators on several threads who change one cap at once lose no change", "[core][store]") {
  const auto store = memory_store();
  std::vector<std::thread> operators;
  for (int i = 0; i < 4; ++i) operators.emplace_back([&] { processes::raise_by_a_cent(*store, 100); });
  for (std::thread& one : operators) one.join();
  CHECK(store->caps().at(0).limits.usd == 4_usd);
}

TEST_CASE("set_cap: the window is to be said, and so is an adjustment's", "[core][store]") {
  const auto store = memory_store();
  const auto message = [](const auto& change) -> std::string {
    try {
      change();
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "nothing";
  };
  const std::string expected =
      "a store's counter \"user_id:ann\" needs a name and a window other than Window::scope(). Pass both; the window "
      "of a rule that says none is Window::day().";
  CHECK(message([&] { store->set_cap({.name = "user_id:ann", .limits = {.usd = 1_usd}}); }) == expected);
  CHECK(message([&] { store->adjust({.name = "user_id:ann", .amounts = {.usd = 1_usd}}); }) == expected);
}

TEST_CASE("set_cap: under a cap on money a call without a price is refused, as under a program's", "[core][store]") {
  const Fixture fixture;
  Ledger ledger = Ledger::current();
  const Budget day({.name = "k", .calls = 1'000, .window = Window::day()});
  const CallRequest mystery{.model = "not-known", .input_tokens = 1'000, .max_output_tokens = 10};
  CHECK(try_call(mystery));
  ledger.store()->set_cap({.name = "k", .window = Window::day(), .limits = {.usd = 1_usd}});
  const Result<Call> refused = try_call(mystery);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason() == errc::price_unknown);
  CHECK(refused.error().message().find("a cap on money is set in") != std::string::npos);
  CHECK(ledger.events().back().action == Action::blocked);
  CHECK(day.reserved() == Amounts{});
  CHECK(try_call(cent_request()));
  CHECK(try_call({.model = "not-known", .input_tokens = 1'000, .max_output_tokens = 10, .usd = 0_usd}));
  ledger.store()->set_cap({.name = "k", .window = Window::day()});
  CHECK(try_call(mystery));
}

TEST_CASE("set_cap: a ledger that is reset has none", "[core][store]") {
  const Fixture fixture;
  Ledger ledger = Ledger::current();
  const Budget day({.name = "k", .usd = 1_usd, .window = Window::day()});
  ledger.store()->set_cap({.name = "k", .window = Window::day(), .limits = {.usd = 0_usd}});
  CHECK_FALSE(try_call(cent_request()));
  ledger.reset();
  CHECK(ledger.store()->caps().empty());
  CHECK(day.limits().usd == 1_usd);
  CHECK(try_call(cent_request()));
}

TEST_CASE("set_cap: a running call announces thresholds under the cap that was set meanwhile", "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  const Budget budget({.name = "daily", .usd = 10_usd, .notify_at = {0.5}, .window = Window::day(), .store = store});
  Call running({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = 6_usd});
  store->set_cap({.name = "daily", .window = Window::day(), .limits = {.usd = 100_usd}});
  running.settle({.usage = {}, .provider_cost = 6_usd});
  const auto announced = [&] {
    std::vector<std::int64_t> caps;
    for (const BudgetEvent& event : fixture.ledger.events())
      if (event.action == Action::threshold) caps.push_back(event.cap);
    return caps;
  };
  CHECK(announced().empty());  // $6 is not half of $100
  Call({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = 50_usd})
      .settle({.usage = {}, .provider_cost = 50_usd});
  CHECK(announced() == std::vector<std::int64_t>{Usd(100_usd).nanos()});
}

TEST_CASE("set_cap: it holds over turns until its time, also for budgets that are opened later", "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  store->set_cap(
      {.name = "daily", .window = Window::day(), .limits = {.usd = 0.02_usd}, .until = fixture.clock->now() + 36h});
  for (const Usd most : {0.02_usd, 0.02_usd, 0.05_usd}) {
    const Budget budget(daily(store, 0.05_usd));
    Usd spent;
    while (Result<Call> call = try_call(cent_request())) spent += call->settle({}).usd;
    CHECK(spent == most);
    fixture.clock->advance(24h);
  }
}

TEST_CASE("set_cap: when its time is over, what a budget says and announces is by the program's caps again",
          "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  const Budget budget({.name = "daily", .usd = 10_usd, .notify_at = {0.5}, .window = Window::day(), .store = store});
  Call running({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = 6_usd});
  store->set_cap({.name = "daily",
                  .window = Window::day(),
                  .limits = {.usd = 100_usd, .calls = 5},
                  .until = fixture.clock->now() + 1h});
  CHECK(budget.limits().usd == 100_usd);
  CHECK(budget.state().remaining.usd == 94_usd);
  fixture.clock->advance(1h);
  SECTION("asked") {
    CHECK(budget.limits().usd == 10_usd);
    CHECK(!budget.limits().calls);
    CHECK(budget.state().remaining.usd == 4_usd);
    running.release();
  }
  SECTION("a call that began before settles") {
    running.settle({.usage = {}, .provider_cost = 6_usd});
    std::vector<std::int64_t> caps;
    for (const BudgetEvent& event : fixture.ledger.events())
      if (event.action == Action::threshold) caps.push_back(event.cap);
    CHECK(caps == std::vector<std::int64_t>{Usd(10_usd).nanos()});  // $6 is not half of $100, and is of $10
  }
}

TEST_CASE("set_cap: a rule's counter has its cap by the name that its refusals say", "[core][store]") {
  Fixture fixture;
  fixture.ledger.add_rule({.match = {"user_id", "*"}, .usd = 0.01_usd});
  const auto store = fixture.ledger.store();
  store->set_cap({.name = "user_id:alice", .window = Window::day(), .limits = {.usd = 0.03_usd}});
  for (const auto& [user, most] : {std::pair("alice", 3), std::pair("bob", 1)}) {
    const Track track({{"user_id", user}});
    int calls = 0;
    for (; Result<Call> call = try_call(cent_request()); ++calls) call->settle({});
    CHECK(calls == most);
  }
}

TEST_CASE("set_cap: caps() lists what is set with what is spent", "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  const Budget budget(daily(store, 0.05_usd));
  Call(cent_request()).settle({});
  const Call running(cent_request());
  CHECK(store->caps().empty());
  store->set_cap(
      {.name = "daily", .window = Window::day(), .limits = {.usd = 1_usd, .calls = 5}, .by = "ada", .reason = "fair"});
  for (int i = 0; i < 130; ++i)
    store->set_cap({.name = "other" + std::to_string(100 + i), .window = Window::month(), .limits = {.calls = i}});
  const std::vector<CapState> caps = store->caps();
  REQUIRE(caps.size() == 131);
  CHECK(caps[0].name == "daily");
  CHECK(caps[0].window == "day@UTC");
  CHECK(caps[0].limits == Limits{.usd = 1_usd, .calls = 5});
  CHECK(caps[0].by == "ada");
  CHECK(caps[0].reason == "fair");
  CHECK(caps[0].state.spent.usd == 0.01_usd);
  CHECK(caps[0].state.reserved.usd == 0.01_usd);
  CHECK(caps[130].limits.calls == 129);
}

TEST_CASE("set_cap: what cannot be meant is refused", "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  const auto reason_of = [&](const CapChange& change) {
    try {
      store->set_cap(change);
    } catch (const Error& error) {
      return error.reason();
    }
    return errc::ok;
  };
  CHECK(reason_of({.name = "", .window = Window::day(), .limits = {.calls = 1}}) == errc::config);
  CHECK(reason_of({.name = "x", .window = Window::scope(), .limits = {.calls = 1}}) == errc::config);
  CHECK(reason_of({.name = "x", .window = Window::day(), .limits = {.calls = -1}}) == errc::invalid_argument);
  CHECK(reason_of({.name = "x", .window = Window::day(), .limits = {.calls = 1}, .until = fixture.clock->now()}) ==
        errc::invalid_argument);
  CHECK(reason_of({.name = "x", .window = Window::day(), .limits = {.calls = 1}, .by = std::string(129, 'x')}) ==
        errc::invalid_argument);
  CHECK(store->caps().empty());
}
