// A call belongs to the slot in which it was admitted: in counters, thresholds, events, refusals.
#include <thread>
#include <vector>

#include "core/shared/memory_backend.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;
using namespace std::chrono_literals;
using outlay::testing::Weather;
using outlay::testing::WeatheredBackend;

namespace {

constexpr Time last_of_august{std::chrono::sys_days(std::chrono::year(2026) / 8 / 31)};

struct Turning : Fixture {
  Turning() { clock->set(last_of_august); }
};

Call ask(Usd usd) { return Call({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = usd}); }
Settled pay(Usd usd) {
  Call call = ask(usd);
  call.sent();
  return call.settle(Usage{});
}

std::vector<BudgetEvent> only(const Ledger& ledger, Action action) {
  std::vector<BudgetEvent> found;
  for (const BudgetEvent& event : ledger.events())
    if (event.action == action) found.push_back(event);
  return found;
}
std::string said(const BudgetEvent& event) {
  return to_string(Amount(event.dimension, event.projected)) + " of " + to_string(Amount(event.dimension, event.cap));
}

/// Every kind of window that turns, and for how long it lasts at most.
struct KindOfWindow {
  const char* name;
  Window window;
  std::chrono::hours turns_within;
};
const std::vector<KindOfWindow> kinds_of_window{
    {"minute", Window::minute(), 1h},       {"hour", Window::hour(), 1h},         {"day", Window::day(), 24h},
    {"week", Window::week(), 7 * 24h},      {"month", Window::month(), 31 * 24h}, {"year", Window::year(), 366 * 24h},
    {"rolling", Window::rolling(10min), 1h}};

}  // namespace

TEST_CASE("window turn: calls in flight count in every slot until they end", "[core][store]") {
  for (const KindOfWindow& kind : kinds_of_window) {
    INFO(kind.name);
    const Turning fixture;
    Budget app({.name = "app", .concurrent = 2, .window = kind.window});
    Call first = ask(1_usd), second = ask(1_usd);
    fixture.clock->advance(kind.turns_within);
    CHECK(app.reserved().concurrent == 2);
    const auto refused = try_call(cent_request());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().dimension() == Dimension::concurrent);
    CHECK_FALSE(refused.error().retry_at());
    first.release("done");
    CHECK(app.reserved().concurrent == 1);
    CHECK(try_call(cent_request()));
  }
}

TEST_CASE("window turn: an overrun is judged by the slot of the call, and Raise throws", "[core][store]") {
  for (const KindOfWindow& kind : kinds_of_window)
    for (const bool turned : {false, true}) {
      INFO(kind.name << (turned ? ", turned" : ""));
      const Turning fixture;
      Budget budget({.name = "k", .usd = 100_usd, .on_exceed = Raise{}, .window = kind.window});
      Call call = ask(90_usd);
      call.sent();
      if (turned) fixture.clock->advance(kind.turns_within);
      CHECK_THROWS_AS(call.settle({.usage = {}, .provider_cost = 150_usd}), BudgetExceeded);
      REQUIRE(only(fixture.ledger, Action::overrun).size() == 1);
      CHECK(said(only(fixture.ledger, Action::overrun)[0]) == "$150.00 of $100.00");
      CHECK(only(fixture.ledger, Action::raised).size() == 1);
    }
}

TEST_CASE("window turn: a call that stayed within its own slot is no overrun of the next", "[core][store]") {
  const Turning fixture;
  Budget budget({.name = "k", .usd = 100_usd, .window = Window::day()});
  Call call = ask(10_usd);
  call.sent();
  fixture.clock->advance(24h);
  pay(95_usd);
  const Settled settled = call.settle({.usage = {}, .provider_cost = 20_usd});
  CHECK_FALSE(settled.over_cap);
  CHECK(only(fixture.ledger, Action::overrun).empty());
  CHECK(budget.spent().usd == 95_usd);
}

TEST_CASE("window turn: of a rolling window the last one that counts the call judges it", "[core][store]") {
  const Turning fixture;
  Budget budget({.name = "k", .usd = 100_usd, .window = Window::rolling(1h)});
  Call call = ask(10_usd);
  call.sent();
  fixture.clock->advance(30min);
  pay(85_usd);
  CHECK(call.settle({.usage = {}, .provider_cost = 20_usd}).over_cap);  // 105 within one hour
  fixture.clock->advance(10min);
  Call late = ask(Usd{});
  late.sent();
  fixture.clock->advance(3h);
  pay(90_usd);
  CHECK_FALSE(late.settle({.usage = {}, .provider_cost = 20_usd})
                  .over_cap);  // no hour that begins with it holds more than its own $20
}

TEST_CASE("window turn: a threshold is announced with the numbers of its own slot", "[core][store]") {
  const Turning fixture;
  Budget budget({.name = "k", .usd = 10_usd, .notify_at = {0.5}, .window = Window::day()});
  Call call = ask(9_usd);
  call.sent();
  fixture.clock->advance(24h);
  pay(1_usd);
  call.settle(Usage{});
  const auto events = only(fixture.ledger, Action::threshold);
  REQUIRE(events.size() == 1);
  CHECK(events[0].threshold == 0.5);
  CHECK(said(events[0]) == "$9.00 of $10.00");
  pay(4_usd);  // of the new day
  REQUIRE(only(fixture.ledger, Action::threshold).size() == 2);
  CHECK(said(only(fixture.ledger, Action::threshold)[1]) == "$5.00 of $10.00");
}

TEST_CASE("window turn: every budget of a name has its thresholds announced, each once", "[core][store]") {
  const Turning fixture;
  Budget team({.name = "team", .usd = 10_usd, .notify_at = {0.5, 0.8, 1.0}, .window = Window::day()});
  Budget again({.name = "team", .usd = 10_usd, .window = Window::day()});
  Budget tight({.name = "team", .usd = 10_usd, .notify_at = {0.3, 0.5}, .window = Window::day()});
  pay(10_usd);
  std::vector<double> fractions;
  for (const BudgetEvent& event : only(fixture.ledger, Action::threshold)) fractions.push_back(event.threshold);
  CHECK(fractions == std::vector<double>{0.3, 0.5, 0.8, 1.0});
}

TEST_CASE("window turn: rules on one tag announce in either order", "[core][rule]") {
  for (const bool soft_first : {false, true}) {
    const Turning fixture;
    Ledger ledger = Ledger::current();
    const Rule soft{.match = {"user_id", "*"}, .usd = 100_usd, .notify_at = {0.05, 0.1}},
        hard{.match = {"user_id", "*"}, .usd = 10_usd};
    ledger.add_rule(soft_first ? soft : hard);
    ledger.add_rule(soft_first ? hard : soft);
    const Track track({{"user_id", "alice"}});
    pay(10_usd);
    CHECK(only(fixture.ledger, Action::threshold).size() == 2);
  }
}

TEST_CASE("window turn: a name that is opened again under a larger cap has thresholds of its own", "[core][store]") {
  const Turning fixture;
  {
    Budget small({.name = "org", .usd = 10_usd, .notify_at = {0.5, 1.0}, .window = Window::day()});
    pay(10_usd);
  }
  Budget large({.name = "org", .usd = 100_usd, .notify_at = {0.05, 0.1, 0.5, 1.0}, .window = Window::day()});
  pay(40_usd);
  const auto events = only(fixture.ledger, Action::threshold);
  REQUIRE(events.size() == 3);  // $5 and $10 were announced already
  CHECK(events[2].threshold == 0.5);
  CHECK(said(events[2]) == "$50.00 of $100.00");
}

TEST_CASE("window turn: a cap that is raised has thresholds of its own, with and without a window", "[core][budget]") {
  for (const bool windowed : {false, true}) {
    const Turning fixture;
    Budget budget(
        {.name = "k", .usd = 10_usd, .notify_at = {0.5, 1.0}, .window = windowed ? Window::day() : Window::scope()});
    pay(6_usd);
    budget.raise_cap(10_usd, "launch");
    pay(1_usd);
    CHECK(only(fixture.ledger, Action::threshold).size() == 1);  // $10 is half of $20, and not reached
    pay(4_usd);
    REQUIRE(only(fixture.ledger, Action::threshold).size() == 2);
    CHECK(said(only(fixture.ledger, Action::threshold)[1]) == "$11.00 of $20.00");
    budget.raise_cap(2_usd, "more");
    pay(1_usd);  // $11 is half of $22, and reached
    CHECK(only(fixture.ledger, Action::threshold).size() == 3);
  }
}

TEST_CASE("window turn: what a call that no store knew of has spent reaches thresholds, too", "[core][store]") {
  const Turning fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store =
      std::make_shared<Store>(std::make_unique<WeatheredBackend>(weather, StoreBackend::Distance::remote),
                              StoreOptions{.on_unreachable = OnUnreachable::allow_and_mark(), .timeout = 2s});
  Budget budget({.name = "k", .usd = 10_usd, .notify_at = {0.5}, .window = Window::forever(), .store = store});
  weather->down();
  pay(9_usd);
  weather->down(false);
  store->flush();
  // The store's thread announces it after the settle has arrived.
  const auto give_up = std::chrono::steady_clock::now() + 10s;
  while (only(fixture.ledger, Action::threshold).empty() && std::chrono::steady_clock::now() < give_up)
    std::this_thread::yield();
  CHECK(only(fixture.ledger, Action::threshold).size() == 1);
}

TEST_CASE("window turn: a threshold is announced once where the answer to its settle is lost", "[core][store]") {
  const Turning fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = std::make_shared<Store>(std::make_unique<WeatheredBackend>(weather, StoreBackend::Distance::local),
                                             StoreOptions{.on_unreachable = OnUnreachable::deny()});
  Budget budget({.name = "k", .usd = 10_usd, .notify_at = {0.5}, .window = Window::day(), .store = store});
  Call call = ask(6_usd);
  call.sent();
  weather->lose_replies();
  call.settle(Usage{});
  CHECK_THROWS_AS(store->flush(1ms), Error);
  weather->lose_replies(false);
  store->flush();
  // The store's thread announces it after the answer has come.
  const auto give_up = std::chrono::steady_clock::now() + 5s;
  while (only(fixture.ledger, Action::threshold).empty() && std::chrono::steady_clock::now() < give_up)
    std::this_thread::yield();
  pay(1_usd);
  store->flush();
  REQUIRE(only(fixture.ledger, Action::threshold).size() == 1);
  CHECK(said(only(fixture.ledger, Action::threshold)[0]) == "$6.00 of $10.00");
}

TEST_CASE("window turn: a slot is kept for two days, also where the clock is put back", "[core][store]") {
  for (const auto jump : {std::chrono::hours(1), std::chrono::hours(24), std::chrono::hours(47)}) {
    const Turning fixture;
    fixture.clock->advance(23h);
    Budget budget({.name = "k", .usd = 100_usd, .window = Window::day()});
    pay(100_usd);
    fixture.clock->advance(jump);
    pay(1_usd);
    fixture.clock->advance(-jump);
    CHECK(budget.spent().usd == 100_usd);
    CHECK_FALSE(try_call({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = 1_usd}));
  }
}

TEST_CASE("window turn: a refusal in a rolling window says when enough of it will have gone", "[core][store]") {
  const Turning fixture;
  Budget budget({.name = "k", .usd = 10_usd, .window = Window::rolling(5h)});
  pay(10_usd);
  const CallRequest request{.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = 1_usd};
  const auto refused = try_call(request);
  REQUIRE_FALSE(refused);
  REQUIRE(refused.error().retry_at() == last_of_august + 5h + 5min);
  fixture.clock->set(*refused.error().retry_at() - 1s);
  CHECK_FALSE(try_call(request));
  fixture.clock->advance(1s);
  CHECK(try_call(request));
}

TEST_CASE("window turn: what a rolling window was at an instant counts nothing that came later", "[core][store]") {
  const Turning fixture;
  const auto store = memory_store();
  Budget budget({.name = "k", .usd = 100_usd, .window = Window::rolling(1h), .store = store});
  pay(10_usd);
  fixture.clock->advance(30min);
  pay(20_usd);
  CHECK(store->state("k", Window::rolling(1h), last_of_august + 10min).spent.usd == 10_usd);
  CHECK(budget.spent().usd == 30_usd);
  fixture.clock->advance(45min);
  CHECK(budget.spent().usd == 20_usd);
  CHECK(store->state("k", Window::rolling(1h), last_of_august + 10min).spent.usd == 10_usd);
  // A correction answers for the last window that counts its slot, and the window in which it counts no more is as it was.
  const Adjustment refund{.name = "k",
                          .window = Window::rolling(1h),
                          .at = last_of_august,
                          .amounts = {.usd = Usd::from_nanos(-1'000'000'000)}};
  CHECK(store->adjust(refund).spent.usd == 29_usd);
  CHECK(budget.spent().usd == 20_usd);
}

TEST_CASE("window turn: a stream that outlives a rolling window extends in the last one that counts it",
          "[core][store]") {
  const Turning fixture;
  Budget budget({.name = "k", .output_tokens = 1'000, .window = Window::rolling(1min)});
  Call call({.model = "gpt-4o", .input_tokens = 1, .max_output_tokens = 100});
  call.sent();
  fixture.clock->advance(5min);
  {
    Call other({.model = "gpt-4o", .input_tokens = 1, .max_output_tokens = 1'000});
    other.sent();
    other.settle({.input = 1, .output = 1'000});
  }
  CHECK_FALSE(call.settle({.input = 1, .output = 900}).over_cap);
  CHECK(budget.spent().output_tokens == 1'000);
}

TEST_CASE("window turn: windows without a store belong to their ledger", "[core][store]") {
  const auto spend = [](const Ledger& ledger) {
    const LedgerScope scope(ledger);
    Budget budget({.name = "same name", .usd = 10_usd, .window = Window::day()});
    pay(3_usd);
    return budget.spent().usd;
  };
  const auto clock = std::make_shared<testing::ManualClock>(last_of_august);
  const Ledger first({.prices = testing::fixture_prices(), .clock = clock}),
      second({.prices = testing::fixture_prices()});
  CHECK(spend(first) == 3_usd);
  CHECK(spend(first) == 6_usd);
  CHECK(spend(second) == 3_usd);  // another ledger, and another clock
  const LedgerScope scope(first);
  CHECK(first.store()->state("same name", Window::day()).spent.usd == 6_usd);
  clock->advance(24h);
  CHECK(first.store()->state("same name", Window::day()).spent.usd == Usd{});
}

TEST_CASE("window turn: reset clears what windows have spent, and running calls go on holding", "[core][store]") {
  Turning fixture;
  Budget budget({.name = "k", .usd = 10_usd, .notify_at = {0.5}, .window = Window::day()});
  pay(6_usd);
  Call running = ask(3_usd);
  fixture.ledger.reset();
  CHECK(budget.spent().usd == Usd{});
  CHECK(budget.reserved().usd == 3_usd);
  CHECK_FALSE(try_call({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = 8_usd}));
  running.sent();
  running.settle(Usage{});
  CHECK(budget.spent().usd == 3_usd);
  CHECK(budget.reserved().usd == Usd{});
  pay(3_usd);
  CHECK(only(fixture.ledger, Action::threshold).size() == 1);
}

TEST_CASE("window turn: of what a ledger that is reset has counted no name is left, but that of a running call",
          "[core][store]") {
  Turning fixture;
  Store& store = *fixture.ledger.store();
  const auto names = [&] {
    std::vector<std::string> all;
    for (const CounterState& counter : store.counters()) all.push_back(counter.name);
    return all;
  };
  const Window forever = Window::forever(), rolling = Window::rolling(1h);
  {
    Budget of_a_day({.name = "over", .usd = 10_usd, .window = Window::day()});
    Budget of_all_time({.name = "over", .usd = 10_usd, .window = forever});
    pay(1_usd);
  }
  Budget budget({.name = "running", .usd = 10_usd, .window = rolling});
  pay(1_usd);
  Call running = ask(1_usd);
  CHECK(names() == std::vector<std::string>{"over", "over", "running"});
  fixture.ledger.reset();
  CHECK(names() == std::vector<std::string>{"running"});
  // As for any name that was never used.
  CHECK_THROWS_AS(store.adjust({.name = "over", .window = forever, .amounts = {.usd = 1_usd}}), Error);
  running.release();
  pay(2_usd);
  CHECK(budget.spent().usd == 2_usd);
  fixture.clock->advance(24h * 365);  // slots whose time is over are forgotten, and not twice
  pay(3_usd);
  CHECK(budget.spent().usd == 3_usd);
  fixture.ledger.reset();
  CHECK(names().empty());
}

TEST_CASE("window turn: a window of every kind counts by a clock that was put back to before 1970", "[core][store]") {
  using std::chrono::year;
  for (const Window& window :
       {Window::minute(), Window::hour(), Window::day(), Window::week(), Window::month(), Window::quarter(),
        Window::year("Europe/Berlin"), Window::every(14, year(2026) / 1 / 5), Window::rolling(1h), Window::forever()}) {
    Turning fixture;
    Budget budget({.name = "k", .usd = 10_usd, .window = window});
    pay(1_usd);
    const Time now = fixture.clock->now();
    fixture.clock->set(Time(-24h * 400));
    pay(1_usd);
    const bool endless = window == Window::forever();
    const auto spent = [&] { return fixture.ledger.store()->state("k", window).spent.usd; };
    const bool rolls = window.kind() == Window::Kind::rolling;  // there a clock that is put back frees nothing
    CHECK(spent() == (endless || rolls ? 2_usd : 1_usd));
    fixture.clock->set(now);
    CHECK(spent() == (endless ? 2_usd : 1_usd));
  }
}

TEST_CASE("window turn: a rolling window of any length counts for its length", "[core][store]") {
  for (const std::chrono::seconds length : {1h, 24h, 24h * 30, 24h * 1'779, 24h * 1'780, 24h * 2'500, 24h * 3'660}) {
    INFO(length.count() << " s");
    Turning fixture;
    Budget budget({.name = "k", .usd = 10_usd, .window = Window::rolling(length)});
    pay(10_usd);
    for (int part = 0; part < 59; ++part) {
      fixture.clock->advance(length / 60);
      CHECK_FALSE(try_call({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = 1_usd}));
    }
    CHECK(budget.spent().usd == 10_usd);
    fixture.clock->advance(length / 30);
    pay(1_usd);
  }
}

TEST_CASE("window turn: memory is bounded by the counters that are kept", "[core][store]") {
  detail::MemoryBackend backend;
  std::size_t most = 0;
  for (int day = 0; day < 12; ++day)
    for (int user = 0; user < 100; ++user) {
      StoreCommand command;
      command.op = StoreCommand::Op::settle;
      command.id = std::to_string(day * 1'000 + user);
      command.lease = std::chrono::milliseconds::max();
      command.now = last_of_august + day * 24h + 12h;
      StoreCounter counter{.name = std::to_string(day) + '-' + std::to_string(user), .window = "day@UTC"};
      counter.begin = counter.counted_from = counter.counted_to = last_of_august + day * 24h;
      counter.end = counter.begin + 24h;
      counter.keep_until = counter.end + 48h;
      command.counters = {counter};
      command.amount.usd = 1_usd;
      REQUIRE(backend.execute({&command, 1}, 1s).at(0));
      most = std::max(most, backend.slots());
    }
  CHECK(most >= 300);  // two days are kept
  CHECK(most <= 400);
}
