#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <thread>

#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;
using namespace std::chrono_literals;
using outlay::testing::Weather;
using outlay::testing::WeatheredBackend;

namespace {

constexpr Time midnight{std::chrono::sys_days(std::chrono::year(2026) / 1 / 2)};

std::shared_ptr<Store> stormy(const std::shared_ptr<Weather>& weather, OnUnreachable choice,
                              StoreBackend::Distance distance = StoreBackend::Distance::remote) {
  return std::make_shared<Store>(std::make_unique<WeatheredBackend>(weather, distance),
                                 StoreOptions{.on_unreachable = choice, .timeout = 2s});
}

BudgetOptions daily_named(std::string name, Usd usd, std::shared_ptr<Store> store = nullptr) {
  return {.name = std::move(name), .usd = usd, .window = Window::day(), .store = std::move(store)};
}

Usd spent_in(Store& store, const std::string& name) { return store.state(name, Window::day()).spent.usd; }

}  // namespace

TEST_CASE("shared: what a name has spent outlives the scope, within its window", "[core][store]") {
  const Fixture fixture;
  fixture.clock->set(midnight - 1h);
  for (int i = 0; i < 2; ++i) {
    Budget day(daily_named("outlives", 0.02_usd));
    spend_a_cent();
  }
  {
    Budget day(daily_named("outlives", 0.02_usd));
    CHECK(day.spent().usd == 0.02_usd);
    CHECK(day.window_end() == midnight);
    CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);
  }
  fixture.clock->set(midnight);
  Budget day(daily_named("outlives", 0.02_usd));
  CHECK(day.spent().usd == Usd{});
  spend_a_cent();
  CHECK(day.spent().usd == 0.01_usd);
}

namespace {

/// A store with a clock of its own, which two processes may share.
class TimedBackend final : public StoreBackend {
 public:
  TimedBackend(std::shared_ptr<StoreBackend> to, Time now) : to_(std::move(to)), now_(now) {}
  std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands,
                                          std::chrono::milliseconds timeout) override {
    std::vector<StoreCommand> timed(commands.begin(), commands.end());
    for (StoreCommand& command : timed) command.now = now_;
    return to_->execute(timed, timeout);
  }
  [[nodiscard]] Distance distance() const noexcept override { return Distance::remote; }
  [[nodiscard]] std::string description() const override { return "a server"; }

 private:
  const std::shared_ptr<StoreBackend> to_;
  const Time now_;
};

}  // namespace

TEST_CASE("shared: a store that has answered nothing yet is asked by its own clock, not by the process's",
          "[core][store]") {
  const Fixture fixture;
  const std::shared_ptr<StoreBackend> server = memory_backend();
  const auto connect = [&] {
    return std::make_shared<Store>(std::make_unique<TimedBackend>(server, midnight + 5h),
                                   StoreOptions{.on_unreachable = OnUnreachable::deny()});
  };
  const auto first = connect();
  CHECK(first->adjust({.name = "team", .window = Window::day(), .amounts = {.usd = 2_usd}, .create = true}).spent.usd ==
        2_usd);
  CHECK(connect()->state("team", Window::day()).spent.usd == 2_usd);
  CHECK(connect()->state("team", Window::day(), midnight + 1h).spent.usd == 2_usd);
  const auto counters = connect()->counters();
  REQUIRE(counters.size() == 1);
  CHECK(counters[0].state.spent.usd == 2_usd);
  // An end that has passed by the process's clock is to come by the store's.
  connect()->set_cap({.name = "team", .window = Window::day(), .limits = {.usd = 3_usd}, .until = midnight + 6h});
  CHECK(connect()->caps().at(0).state.caps.usd == 3_usd);
}

namespace {

/// A store far away without a clock of its own.
class ClocklessBackend final : public StoreBackend {
 public:
  std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands,
                                          std::chrono::milliseconds timeout) override {
    std::vector<Result<StoreReply>> replies = memory_->execute(commands, timeout);
    for (Result<StoreReply>& reply : replies)
      if (reply) reply->epoch.clear();
    asked += commands.size();
    return replies;
  }
  [[nodiscard]] Distance distance() const noexcept override { return Distance::remote; }
  [[nodiscard]] std::string description() const override { return "a server"; }
  static inline std::size_t asked = 0;

 private:
  const std::unique_ptr<StoreBackend> memory_ = memory_backend();
};

}  // namespace

TEST_CASE("shared: a store far away without a clock is asked by the process's", "[core][store]") {
  const Fixture fixture;
  Store store(std::make_unique<ClocklessBackend>(), {.on_unreachable = OnUnreachable::deny()});
  ClocklessBackend::asked = 0;
  store.adjust({.name = "team", .window = Window::day(), .amounts = {.usd = 2_usd}, .create = true});
  CHECK(ClocklessBackend::asked == 2);  // once for the time
  CHECK(store.state("team", Window::day(), std::chrono::system_clock::now()).spent.usd == 2_usd);
  CHECK(ClocklessBackend::asked == 3);
}

TEST_CASE("shared: a look at a store's counters does not crowd out those whose loss is to be noticed",
          "[core][store]") {
  const Fixture fixture;
  const std::shared_ptr<StoreBackend> server = memory_backend();
  /// Keeps each name for itself, and loses one of them.
  struct Evicting final : StoreBackend {
    explicit Evicting(std::shared_ptr<StoreBackend> to_server) : to(std::move(to_server)) {}
    std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands,
                                            std::chrono::milliseconds timeout) override {
      std::vector<Result<StoreReply>> replies = to->execute(commands, timeout);
      for (std::size_t i = 0; i < commands.size(); ++i)
        for (std::size_t k = 0; replies[i] && k < commands[i].counters.size(); ++k)
          replies[i]->states.at(k).life = commands[i].counters[k].name == "mine" ? life : 1;
      return replies;
    }
    [[nodiscard]] Distance distance() const noexcept override { return Distance::remote; }
    [[nodiscard]] std::string description() const override { return "a server"; }
    std::shared_ptr<StoreBackend> to;
    std::uint64_t life = 1;
  };
  auto backend = std::make_unique<Evicting>(server);
  Evicting& evicting = *backend;
  const auto store = std::make_shared<Store>(std::move(backend), StoreOptions{.on_unreachable = OnUnreachable::deny()});
  {
    const Budget mine(daily_named("mine", 1_usd, store));
    spend_a_cent();
    store->flush();
  }
  for (int i = 0; i < 17'000; i += 50) {
    StoreCommand command;
    command.op = StoreCommand::Op::adjust;
    command.id = std::to_string(i) + std::string(32 - std::to_string(i).size(), 'a');
    command.amount = {.calls = 1};
    command.now = std::chrono::system_clock::now();
    for (int k = i; k < i + 50; ++k) {
      StoreCounter counter;
      counter.name = "other:" + std::to_string(k);
      counter.window = Window::forever().id();
      counter.end = Time::max();
      command.counters.push_back(std::move(counter));
    }
    REQUIRE(server->execute({&command, 1}, 1s).front());
  }
  CHECK(store->counters("other:").size() == 17'000);
  evicting.life = 2;
  const Budget mine(daily_named("mine", 1_usd, store));
  CHECK(store->state("mine", Window::day()).life == 2);
  const Result<Call> refused = try_call(cent_request());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason() == errc::store_unavailable);
}

TEST_CASE("shared: a call settles in the window in which it was admitted", "[core][store]") {
  const Fixture fixture;
  fixture.clock->set(midnight - 1s);
  const auto store = memory_store();
  Budget day(daily_named("turns", 1_usd, store));
  Call call(cent_request());
  fixture.clock->set(midnight + 1s);
  CHECK(day.reserved().usd == Usd{});
  call.settle(Usage{});
  CHECK(day.spent().usd == Usd{});
  fixture.clock->set(midnight - 1s);
  CHECK(spent_in(*store, "turns") == 0.01_usd);
}

TEST_CASE("shared: a refusal says when the window turns", "[core][store]") {
  const Fixture fixture;
  fixture.clock->set(midnight - 90s);
  Budget day(daily_named("says", 0.01_usd));
  spend_a_cent();
  const Result<Call> refused = try_call(cent_request());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().retry_at() == midnight);
  CHECK(refused.error().breaches().at(0).retry_at == midnight);
  CHECK(refused.error().message().find("It may fit again from 2026-01-02T00:00:00Z on") != std::string::npos);
}

TEST_CASE("shared: what could never fit has no time to try again", "[core][store]") {
  const Fixture fixture;
  Budget day(daily_named("never", 0.005_usd));
  const Result<Call> refused = try_call(cent_request());
  REQUIRE_FALSE(refused);
  CHECK_FALSE(refused.error().retry_at());
}

TEST_CASE("shared: three nested windows are one admission, and a refusal changes none of them", "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  Budget everyone(daily_named("everyone", 0.05_usd, store));
  Budget project({.name = "project", .usd = 0.04_usd, .window = Window::month(), .store = store});
  Budget user(daily_named("user", 0.02_usd, store));
  spend_a_cent();
  spend_a_cent();
  CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);
  CHECK(everyone.state().spent.usd == 0.02_usd);
  CHECK(project.state().spent.usd == 0.02_usd);
  CHECK(everyone.reserved() == Amounts{});
  CHECK(project.reserved() == Amounts{});
}

TEST_CASE("shared: local budgets around and inside a shared one bind too, and what they refuse is given back",
          "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  Budget run({.name = "run", .usd = 0.02_usd});
  Budget day(daily_named("between", 0.05_usd, store));
  Budget step({.name = "step", .usd = 0.01_usd});
  spend_a_cent();
  CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);  // the step's
  CHECK(day.state().spent.usd == 0.01_usd);
  CHECK(day.reserved() == Amounts{});
}

TEST_CASE("shared: options that make no sense are refused", "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  CHECK_THROWS_AS(Budget({.usd = 1_usd, .window = Window::day()}), ConfigError);
  CHECK_THROWS_AS(Budget({.name = "x", .usd = 1_usd, .store = store}), ConfigError);
  CHECK_THROWS_AS(Budget({.name = "x", .notify_at = {0.5}, .window = Window::day()}), ConfigError);
  CHECK_THROWS_AS(Budget({.name = "x", .concurrent = 1, .notify_at = {0.5}}), ConfigError);
  Budget outer(daily_named("one store", 1_usd, store));
  CHECK_THROWS_AS(Budget(daily_named("another", 1_usd, memory_store())), ConfigError);
  CHECK_THROWS_AS(Budget(daily_named("the process's", 1_usd)), ConfigError);
  CHECK_THROWS_AS(memory_store({.on_unreachable = OnUnreachable::deny(), .lease = 1ms}), ConfigError);
  CHECK_THROWS_AS(memory_store({.on_unreachable = OnUnreachable::local(Usd{})}), ConfigError);
}

TEST_CASE("shared: the same name twice in one chain is one counter under the tighter cap", "[core][store]") {
  const Fixture fixture;
  Budget outer(daily_named("twice", 0.02_usd));
  Budget inner(daily_named("twice", 0.05_usd));
  spend_a_cent();
  CHECK(inner.spent().usd == 0.01_usd);
  spend_a_cent();
  CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);
}

TEST_CASE("shared: Downgrade, Clamp and Warn act on a shared budget", "[core][store]") {
  const Fixture fixture;
  {
    Budget day({.name = "downgrades",
                .usd = 0.01_usd,
                .on_exceed = Downgrade{{{"gpt-4o", "gpt-4o-mini"}}},
                .window = Window::day()});
    Call call(large_request());
    CHECK(call.model() == "gpt-4o-mini");
    CHECK(day.reserved().usd == call.reserved().usd);
  }
  {
    Budget day({.name = "clamps", .usd = 0.01_usd, .on_exceed = Clamp{}, .window = Window::day()});
    Call call(large_request());
    CHECK(call.max_output_tokens() == 750);  // 1,000 in for $0.0025, and $0.0075 are left
  }
  {
    Budget day({.name = "warns", .usd = 0.005_usd, .on_exceed = Warn{}, .window = Window::day()});
    spend_a_cent();
    spend_a_cent();
    CHECK(day.spent().usd == 0.02_usd);
  }
  CHECK(actions(fixture.ledger) == std::vector{Action::downgraded, Action::clamped, Action::warned, Action::warned});
}

TEST_CASE("shared: Raise admits one call across the cap, books it and throws", "[core][store]") {
  const Fixture fixture;
  Budget day({.name = "raises", .usd = 0.015_usd, .on_exceed = Raise{}, .window = Window::day()});
  spend_a_cent();
  Call crossing(cent_request());
  try {
    crossing.settle(Usage{});
    FAIL("it was not thrown");
  } catch (const BudgetExceeded& over) {
    CHECK(over.retry_at() == day.window_end());  // when the next call may fit again
  }
  CHECK(day.spent().usd == 0.02_usd);
  CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);
}

TEST_CASE("shared: a callback may let a call through, and the store books it", "[core][store]") {
  const Fixture fixture;
  int asked = 0;
  Budget day({.name = "asks",
              .usd = 0.005_usd,
              .on_exceed = Callback{[&](const Exceeded&) {
                ++asked;
                return Decision::allow();
              }},
              .window = Window::day()});
  spend_a_cent();
  CHECK(asked == 1);
  CHECK(day.spent().usd == 0.01_usd);
}

TEST_CASE("shared: Wait waits for a call of this process to end", "[core][store]") {
  const Fixture fixture;
  Budget day({.name = "waits", .calls = 10, .concurrent = 1, .on_exceed = Wait{1min}, .window = Window::day()});
  auto first = std::make_unique<Call>(cent_request());
  const Context here = Context::current();
  std::thread second([&] {
    Attach attach(here);
    spend_a_cent();
  });
  first->release();
  second.join();
  CHECK(day.spent().calls == 1);
  CHECK(day.reserved() == Amounts{});
}

TEST_CASE("shared: a Warn around a shared budget is said once a call", "[core][store]") {
  const Fixture fixture;
  Budget outer({.usd = 0.005_usd, .on_exceed = Warn{}});
  Budget day({.name = "said once", .calls = 10, .window = Window::day()});
  spend_a_cent();
  const std::vector<BudgetEvent> events = fixture.ledger.events();
  REQUIRE(events.size() == 1);
  CHECK(events[0].action == Action::warned);
}

TEST_CASE("shared: Wait waits for the window to turn", "[core][store]") {
  const Fixture fixture;
  fixture.clock->set(midnight - 10s);
  Budget day({.name = "waits for midnight", .calls = 1, .on_exceed = Wait{1min}, .window = Window::day()});
  spend_a_cent();
  const Context here = Context::current();
  std::thread second([&] {
    Attach attach(here);
    spend_a_cent();
  });
  fixture.clock->set(midnight);
  second.join();
  CHECK(day.spent().calls == 1);
}

TEST_CASE("shared: thresholds are announced once in a window, whichever scope crosses them", "[core][store]") {
  const Fixture fixture;
  fixture.clock->set(midnight - 1h);
  const auto options = [] {
    BudgetOptions made = daily_named("announces", 0.04_usd);
    made.notify_at = {0.25, 0.5, 1.0};
    return made;
  };
  const auto announced = [&] {
    std::vector<double> fractions;
    for (const BudgetEvent& event : fixture.ledger.events())
      if (event.action == Action::threshold) fractions.push_back(event.threshold);
    return fractions;
  };
  for (int i = 0; i < 2; ++i) {
    Budget day(options());
    spend_a_cent();
  }
  CHECK(announced() == std::vector{0.25, 0.5});
  const BudgetEvent last = fixture.ledger.events().back();
  CHECK(last.budget == "announces");
  CHECK(last.cap == (0.04_usd).nanos());
  CHECK(last.projected == (0.02_usd).nanos());
  fixture.clock->set(midnight);
  Budget day(options());
  spend_a_cent();
  CHECK(announced() == std::vector{0.25, 0.5, 0.25});
}

TEST_CASE("shared: a rolling window forgets the oldest sixtieth", "[core][store]") {
  const Fixture fixture;
  fixture.clock->set(midnight);
  Budget hour({.name = "rolls", .usd = 0.02_usd, .window = Window::rolling(1h)});
  spend_a_cent();
  fixture.clock->set(midnight + 30min);
  spend_a_cent();
  CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);
  fixture.clock->set(midnight + 61min);
  spend_a_cent();
  CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);
}

TEST_CASE("shared: a stream without a ceiling extends its reservation in the store", "[core][store]") {
  const Fixture fixture;
  Budget day({.name = "extends", .output_tokens = 600, .window = Window::day()});
  Call call({.model = "gpt-4o", .input_tokens = 10});
  CHECK(day.reserved().output_tokens == 256);
  CHECK(call.extend_output(500).extension == Extension::granted);
  CHECK(day.reserved().output_tokens == 500);
  const ExtensionResult cut = call.extend_output(700);
  CHECK(cut.extension == Extension::cut);
  REQUIRE(cut.failure);
  CHECK(cut.failure->breaches().at(0).limit.count() == 600);
  call.settle({.output = 500});
  CHECK(day.state().spent.output_tokens == 500);
  CHECK(day.reserved() == Amounts{});
}

TEST_CASE("shared: two hundred calls of a cent against a dollar, on threads: exactly a hundred", "[core][store]") {
  for (const StoreBackend::Distance distance :
       {StoreBackend::Distance::memory, StoreBackend::Distance::local, StoreBackend::Distance::remote}) {
    const Fixture fixture;
    const auto store = stormy(std::make_shared<Weather>(), OnUnreachable::deny(), distance);
    Budget day(daily_named("a dollar", 1_usd, store));
    std::atomic<int> admitted{0};
    const Context here = Context::current();
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] {
        Attach attach(here);
        for (int k = 0; k < 25; ++k)
          if (Result<Call> call = try_call(cent_request())) {
            call->sent();
            call->settle(Usage{});
            ++admitted;
          }
      });
    for (std::thread& thread : threads) thread.join();
    CHECK(admitted == 100);
    store->flush();
    CHECK(spent_in(*store, "a dollar") == 1_usd);
    CHECK(store->state("a dollar", Window::day()).reserved == Amounts{});
  }
}

TEST_CASE("shared: out of reach, deny() fails closed and says why", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  Budget day(daily_named("denies", 1_usd, stormy(weather, OnUnreachable::deny())));
  weather->down();
  CHECK_THROWS_AS(Call(cent_request()), StoreUnavailable);
  const Result<Call> refused = try_call(cent_request());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason() == errc::store_unavailable);
  CHECK(refused.error().message().find("budget \"denies\" counts the call to \"cent\" in a store in the weather") !=
        std::string::npos);
  CHECK(actions(fixture.ledger) == std::vector{Action::blocked, Action::blocked});
  weather->down(false);
  spend_a_cent();
  CHECK(day.spent().usd == 0.01_usd);
}

TEST_CASE("shared: out of reach, local() spends its allowance, and the store is told afterwards", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::local(0.02_usd));
  Budget day(daily_named("goes on", 1_usd, store));
  spend_a_cent();
  store->flush();
  weather->down();
  spend_a_cent();
  spend_a_cent();
  CHECK_THROWS_AS(Call(cent_request()), StoreUnavailable);
  weather->down(false);
  store->flush();
  CHECK(spent_in(*store, "goes on") == 0.03_usd);
  CHECK(actions(fixture.ledger) == std::vector{Action::unshared, Action::unshared, Action::blocked});
}

TEST_CASE("shared: out of reach, allow_and_mark() lets everything through, marked", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::allow_and_mark());
  Budget day(daily_named("marks", 0.01_usd, store));
  weather->down();
  for (int i = 0; i < 3; ++i) spend_a_cent();
  weather->down(false);
  store->flush();
  CHECK(spent_in(*store, "marks") == 0.03_usd);
  CHECK(actions(fixture.ledger) == std::vector(3, Action::unshared));
  CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);
}

TEST_CASE("shared: a lost reply is not charged twice, nor for ever", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::deny());
  Budget day(daily_named("loses", 1_usd, store));
  weather->lose_replies();
  CHECK_THROWS_AS(Call(cent_request()), StoreUnavailable);  // it was reserved all the same
  weather->lose_replies(false);
  {
    Call call(cent_request());
    weather->lose_replies();
    call.settle(Usage{});
  }
  weather->lose_replies(false);
  store->flush();
  CHECK(spent_in(*store, "loses") == 0.01_usd);
  CHECK(store->state("loses", Window::day()).reserved == Amounts{});
}

TEST_CASE("shared: a store that hangs is given up after its timeout, and what it does later is undone",
          "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store =
      std::make_shared<Store>(std::make_unique<WeatheredBackend>(weather, StoreBackend::Distance::remote),
                              StoreOptions{.on_unreachable = OnUnreachable::deny(), .timeout = 20ms});
  Budget day(daily_named("hangs", 1_usd, store));
  weather->hang();
  CHECK_THROWS_AS(Call(cent_request()), StoreUnavailable);
  weather->hang(false);
  store->flush();
  const StoreReply::State state = store->state("hangs", Window::day());
  CHECK(state.reserved == Amounts{});
  CHECK(state.spent == Amounts{});
}

TEST_CASE("shared: whichever command of a store fails, totals are right in the end", "[core][store]") {
  for (const auto distance : {StoreBackend::Distance::local, StoreBackend::Distance::remote})
    for (std::uint64_t nth = 1; nth <= 8; ++nth) {
      const Fixture fixture;
      const auto weather = std::make_shared<Weather>();
      const auto store = stormy(weather, OnUnreachable::deny(), distance);
      weather->fail_at(nth);
      int settled = 0;
      Usd spent;
      {
        Budget day(daily_named("nth", 1_usd, store));
        for (const std::int64_t output : {1'000, 2'000, 3'000}) {
          Result<Call> call = try_call({.model = "gpt-4o", .input_tokens = 1'000});
          if (!call) continue;
          call->sent();
          // More than is reserved, which is what the model wrote last.
          (void)call->extend_output(output);
          spent += call->settle({.input = 1'000, .output = output}).usd;
          ++settled;
        }
      }
      store->flush();
      CAPTURE(nth, settled);
      CHECK(settled >= 2);
      CHECK(spent_in(*store, "nth") == spent);
      CHECK(store->state("nth", Window::day()).reserved == Amounts{});
    }
}

TEST_CASE("shared: a store that has forgotten is found out, and its OnUnreachable decides until the window turns",
          "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto clock = std::make_shared<outlay::testing::ManualClock>(midnight - 1h);
  weather->set_clock(clock);
  const auto store = stormy(weather, OnUnreachable::deny());
  (void)store->state("forgets", Window::day());  // learns its clock
  Budget day(daily_named("forgets", 0.02_usd, store));
  spend_a_cent();
  store->flush();
  weather->forget();
  CHECK_THROWS_AS(Call(cent_request()), StoreUnavailable);
  CHECK_THROWS_AS(Call(cent_request()), StoreUnavailable);
  SECTION("until somebody says that it may") {
    store->accept_lost_data();
    spend_a_cent();
    CHECK(day.spent().usd == 0.01_usd);
  }
  SECTION("until the window has turned") {
    clock->set(midnight + 1s);
    (void)store->state("forgets", Window::day());
    spend_a_cent();
    CHECK(day.spent().usd == 0.01_usd);
  }
}

TEST_CASE("shared: what is in flight from an earlier window is nothing that the present one can lose",
          "[core][store]") {
  const Fixture fixture;
  fixture.clock->set(midnight + 24h - 10s);
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::deny(), StoreBackend::Distance::local);
  const Budget budget(daily_named("k", 1_usd, store));
  Call call(cent_request());
  fixture.clock->advance(20s);
  REQUIRE(store->state("k", Window::day()).reserved.concurrent == 1);
  call.release();
  store->flush();
  weather->forget();
  CHECK(try_call(cent_request()));
}

TEST_CASE("shared: a store that forgot nothing that counts goes on", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::deny());
  Budget day(daily_named("nothing yet", 0.02_usd, store));
  (void)store->state("nothing yet", Window::day());
  weather->forget();
  spend_a_cent();
  CHECK(day.spent().usd == 0.01_usd);
}

TEST_CASE("shared: the windows of a store far away are told by its clock", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto clock = std::make_shared<outlay::testing::ManualClock>(midnight + 1h);
  weather->set_clock(clock);
  const auto store = stormy(weather, OnUnreachable::deny());
  (void)store->state("far", Window::day());
  Budget day(daily_named("far", 0.02_usd, store));
  CHECK(day.window_end() == midnight + 24h);
}

TEST_CASE("shared: a correction is booked, and recorded", "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  Budget day(daily_named("corrected", 0.02_usd, store));
  spend_a_cent();
  CHECK(
      store->adjust({.name = "corrected", .window = Window::day(), .amounts = {.usd = -0.01_usd}, .reason = "refunded"})
          .spent.usd == Usd{});
  CHECK(day.spent().usd == Usd{});
  const BudgetEvent event = fixture.ledger.events().at(0);
  CHECK(event.action == Action::adjusted);
  CHECK(event.budget == "corrected");
  CHECK(event.reason == "refunded");
  CHECK(event.projected == -(0.01_usd).nanos());
  for (int i = 0; i < 2; ++i) spend_a_cent();  // there is room again, and no more than before
  CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);
}

TEST_CASE("shared: what a refund left is room, and the refusal says so", "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  (void)store->adjust({.name = "refunded",
                       .window = Window::forever(),
                       .amounts = {.usd = -5_usd},
                       .reason = "refund",
                       .create = true});
  const auto asked = [](Usd usd) {
    return CallRequest{.model = "free", .input_tokens = 0, .max_output_tokens = 0, .usd = usd};
  };
  {
    Budget budget({.name = "refunded", .usd = 10_usd, .window = Window::forever(), .store = store});
    CHECK(budget.state().remaining.usd == 15_usd);
    const Result<Call> refused = try_call(asked(16_usd));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().spent() == "-$5.00");
  }
  Budget outer({.name = "full", .usd = 0.01_usd, .window = Window::forever(), .store = store});
  Budget budget({.name = "refunded", .usd = 10_usd, .window = Window::forever(), .store = store});
  const Result<Call> refused = try_call(asked(12_usd));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().breaches().size() == 1);
  CHECK(refused.error().budget() == "full");
}

TEST_CASE("shared: a request without a ceiling is clamped in a window as in a scope, whatever the table knows",
          "[core][store]") {
  const Fixture fixture;
  const CallRequest open{.model = "unit", .input_tokens = 0};  // the table knows no maximum of this model
  Budget day({.name = "clamped in a window", .usd = 1_usd, .on_exceed = Clamp{}, .window = Window::day()});
  CHECK(Call(open).max_output_tokens() == 1'000'000);
  CHECK(day.reserved() == Amounts{});
  Budget inner({.usd = 0.5_usd});
  CHECK(Call(open).max_output_tokens() == 500'000);
}

TEST_CASE("shared: the same name twice, the inner one letting calls through: the outer one's cap holds",
          "[core][store]") {
  const Fixture fixture;
  set_log_handler([](LogLevel, std::string_view) {});
  Budget outer(daily_named("twice with Warn", 0.02_usd));
  Budget inner({.name = "twice with Warn", .usd = 0.005_usd, .on_exceed = Warn{}, .window = Window::day()});
  spend_a_cent();
  spend_a_cent();
  set_log_handler({});
  const Result<Call> refused = try_call(cent_request());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason() == errc::budget_exceeded);
  CHECK(outer.spent().usd == 0.02_usd);
}

TEST_CASE("shared: observe mode counts in the store and refuses nothing", "[core][store]") {
  const Fixture fixture({.observe = true});
  Budget day(daily_named("observed", 0.01_usd));
  spend_a_cent();
  spend_a_cent();
  CHECK(day.spent().usd == 0.02_usd);
  CHECK(actions(fixture.ledger) == std::vector{Action::observed});
}

TEST_CASE("shared: the kill switch of a shared budget refuses in this process", "[core][store]") {
  const Fixture fixture;
  Budget day(daily_named("closed", 1_usd));
  day.close_to_new_calls("stop");
  CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);
}

TEST_CASE("shared: raise_cap raises this opener's cap", "[core][store]") {
  const Fixture fixture;
  Budget day(daily_named("raised", 0.01_usd));
  spend_a_cent();
  CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);
  day.raise_cap(0.01_usd, "one more");
  spend_a_cent();
  CHECK(day.limits().usd == 0.02_usd);
}

TEST_CASE("shared: a raised or lowered cap of a window outlives its scope, until the ledger is reset",
          "[core][store]") {
  Fixture fixture;
  const auto open = [] { return daily_named("changed", 0.01_usd); };
  {
    Budget day(open());
    Budget other(daily_named("another", 0.05_usd));
    spend_a_cent();
    day.raise_cap(0.02_usd, "a launch");
  }
  {
    Budget day(open());
    CHECK(day.limits().usd == 0.03_usd);
    spend_a_cent();
    day.lower_cap(0.01_usd, "enough");
  }
  {
    // What was changed is of that cap, and of its name and window.
    Budget larger(daily_named("changed", 0.05_usd));
    CHECK(larger.limits().usd == 0.05_usd);
    Budget other(daily_named("another", 0.05_usd));
    CHECK(other.limits().usd == 0.05_usd);
    Budget month(BudgetOptions{.name = "changed", .usd = 0.01_usd, .window = Window::month()});
    CHECK(month.limits().usd == 0.01_usd);
    larger.lower_cap(0.04_usd, "much less");
  }
  {
    Budget day(open());
    CHECK(day.limits().usd == 0.02_usd);
    day.lower_cap(0.02_usd, "all of it");
  }
  {
    Budget day(open());
    CHECK(day.limits().usd == 0_usd);
  }
  fixture.ledger.reset();
  Budget day(open());
  CHECK(day.limits().usd == 0.01_usd);
}

TEST_CASE("shared: changes of a cap by several that have its name open add up for the next", "[core][store]") {
  const Fixture fixture;
  const auto store = outlay::memory_store();
  {
    Budget first(daily_named("held by a store", 0.05_usd, store));
    Budget second(daily_named("held by a store", 0.05_usd, store));
    first.lower_cap(0.02_usd, "less");
    CHECK(first.limits().usd == 0.03_usd);
    CHECK(second.limits().usd == 0.05_usd);  // is open already
    second.raise_cap(0.01_usd, "more");
  }
  Budget day(daily_named("held by a store", 0.05_usd, store));
  CHECK(day.limits().usd == 0.04_usd);
}

TEST_CASE("shared: what is on its way to a store that was never reached is seen, and counts once when it is there",
          "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::allow_and_mark());
  Budget day(daily_named("never reached", 1_usd, store));
  weather->down();
  for (int i = 0; i < 3; ++i) spend_a_cent();
  CHECK(day.spent().usd == 0.03_usd);
  weather->down(false);
  store->flush();
  CHECK(day.spent().usd == 0.03_usd);
  spend_a_cent();
  CHECK(day.spent().usd == 0.04_usd);
}

TEST_CASE("shared: lost data is found out although no scope that has counted there is open any more", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  weather->set_clock(fixture.clock);
  const auto store = stormy(weather, OnUnreachable::deny());
  const auto open = [&] { return daily_named("opened for each request", 0.02_usd, store); };
  {
    Budget day(open());
    spend_a_cent();
  }
  store->flush();
  CHECK(store->losses().count == 0);
  weather->forget();
  CHECK_FALSE(store->losses().until);  // it is not asked
  {
    Budget day(open());
    CHECK_THROWS_AS(Call(cent_request()), StoreUnavailable);
  }
  CHECK(store->losses().count == 1);
  CHECK(store->losses().until == Window::day().at(fixture.clock->now()).end);
  store->accept_lost_data();
  CHECK(store->losses().count == 1);
  CHECK_FALSE(store->losses().until);
  Budget day(open());
  spend_a_cent();
  CHECK(day.spent().usd == 0.01_usd);
}

TEST_CASE("shared: a store whose last owner goes on the store's own thread ends there", "[core][store]") {
  const auto weather = std::make_shared<Weather>();
  std::weak_ptr<Store> gone;
  {
    auto store = stormy(weather, OnUnreachable::deny());
    gone = store;
    Ledger ledger({.prices = outlay::testing::fixture_prices()});
    const LedgerScope scope(ledger);
    ledger.add_rule({.usd = 1_usd, .notify_at = {0.01}, .store = std::move(store)});
    Call call(cent_request());
    call.sent();
    weather->hang();
    call.settle(Usage{});
  }
  // What is left of the ledger is the announcement of the threshold, on its way with the settlement.
  CHECK_FALSE(gone.expired());
  weather->hang(false);
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!gone.expired() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  CHECK(gone.expired());
}

TEST_CASE("shared: a log handler may ask the budget that it is told about", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  Budget day(daily_named("is asked about", 1_usd, stormy(weather, OnUnreachable::deny())));
  spend_a_cent();
  std::atomic<int> asked{0};
  const LogHandler previous = set_log_handler([&](LogLevel, std::string_view) {
    (void)day.spent();
    ++asked;
  });
  weather->down();
  CHECK_THROWS_AS(Call(cent_request()), StoreUnavailable);
  weather->down(false);
  weather->forget();
  CHECK_THROWS_AS(Call(cent_request()), StoreUnavailable);
  set_log_handler(previous);
  CHECK(asked == 2);
}

TEST_CASE("shared: a cap may be raised while calls that announce thresholds settle", "[core][store]") {
  const Fixture fixture;
  BudgetOptions options = daily_named("raised meanwhile", 1_usd, memory_store());
  options.notify_at = {1.0};
  Budget day(std::move(options));
  std::thread raising([&] {
    for (int i = 0; i < 50; ++i) day.raise_cap(0.01_usd, "more");
  });
  for (int i = 0; i < 50; ++i) spend_a_cent();
  raising.join();
  CHECK(day.limits().usd == 1.5_usd);
  CHECK(day.spent().usd == 0.5_usd);
}

namespace {

/// A store that does what a case says.
class ScriptedBackend final : public StoreBackend {
 public:
  using Script = std::function<std::vector<Result<StoreReply>>(StoreBackend&, std::span<const StoreCommand>)>;
  explicit ScriptedBackend(Script script) : script_(std::move(script)) {}
  std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands, std::chrono::milliseconds) override {
    return script_(*backend_, commands);
  }
  [[nodiscard]] Distance distance() const noexcept override { return Distance::remote; }
  [[nodiscard]] std::string description() const override { return "a scripted store"; }

 private:
  std::unique_ptr<StoreBackend> backend_ = memory_backend();
  Script script_;
};

std::shared_ptr<Store> scripted(ScriptedBackend::Script script, OnUnreachable choice) {
  return std::make_shared<Store>(std::make_unique<ScriptedBackend>(std::move(script)),
                                 StoreOptions{.on_unreachable = choice});
}

}  // namespace

TEST_CASE("shared: observed, a call that its store and a budget would refuse leaves one event", "[core][store]") {
  const Fixture fixture({.observe = true});
  const auto store = scripted(
      [](StoreBackend&, std::span<const StoreCommand>) -> std::vector<Result<StoreReply>> {
        throw std::runtime_error("down");
      },
      OnUnreachable::deny());
  Budget day(daily_named("unreachable", 1_usd, store));
  Budget run({.name = "run", .usd = 0.001_usd});
  CHECK(try_call(cent_request()));
  CHECK(actions(fixture.ledger) == std::vector{Action::observed});
}

TEST_CASE("shared: a reset ledger counts a correction again", "[core][store]") {
  const Fixture fixture;
  Ledger ledger = Ledger::current();
  const auto adjust = [&] {
    return ledger.store()
        ->adjust({.name = "x", .window = Window::forever(), .amounts = {.usd = 1_usd}, .id = "bill 1", .create = true})
        .spent.usd;
  };
  CHECK(adjust() == 1_usd);
  CHECK(adjust() == 1_usd);
  fixture.clock->advance(59 * 24h);
  CHECK(adjust() == 1_usd);
  ledger.reset();
  CHECK(adjust() == 1_usd);
  CHECK(adjust() == 1_usd);
}

TEST_CASE("shared: a backend that throws, or answers too little, is one that cannot be reached", "[core][store]") {
  const Fixture fixture;
  std::atomic<bool> throws{true};
  const auto store = scripted(
      [&](StoreBackend&, std::span<const StoreCommand>) -> std::vector<Result<StoreReply>> {
        if (throws) throw std::runtime_error("it was not written with care");
        return {};
      },
      OnUnreachable::deny());
  Budget day(daily_named("careless", 1_usd, store));
  CHECK_THROWS_AS(Call(cent_request()), StoreUnavailable);
  throws = false;
  CHECK_THROWS_AS(Call(cent_request()), StoreUnavailable);
}

TEST_CASE("shared: the lease of a call is renewed as long as it runs, and no longer", "[core][store]") {
  const Fixture fixture;
  std::mutex mutex;
  std::condition_variable told;
  std::vector<std::string> reserved, renewed;
  const auto listen = [&](StoreBackend& backend, std::span<const StoreCommand> commands) {
    {
      const std::lock_guard lock(mutex);
      for (const StoreCommand& command : commands) {
        if (command.op == StoreCommand::Op::reserve) reserved.push_back(command.id);
        if (command.op == StoreCommand::Op::renew)
          renewed.insert(renewed.end(), command.ids.begin(), command.ids.end());
      }
    }
    told.notify_all();
    return backend.execute(commands, 1s);
  };
  const auto store = std::make_shared<Store>(std::make_unique<ScriptedBackend>(listen),
                                             StoreOptions{.on_unreachable = OnUnreachable::deny(), .lease = 1s});
  const auto next_renewals = [&] {
    std::unique_lock lock(mutex);
    renewed.clear();
    told.wait_for(lock, 30s, [&] { return renewed.size() >= 2; });
    return std::set(renewed.begin(), renewed.end());
  };
  Budget day(daily_named("renewed", 1_usd, store));
  Call running(cent_request());
  std::vector<std::string> both;
  {
    Call ends(cent_request());
    {
      const std::lock_guard lock(mutex);
      both = reserved;
    }
    REQUIRE(both.size() == 2);
    CHECK(next_renewals() == std::set(both.begin(), both.end()));
    ends.settle({.input = 1'000});
  }
  store->flush(10s);
  CHECK(next_renewals() == std::set{both.front()});
}

TEST_CASE("shared: an ending that a store can never take does not stop those behind it", "[core][store]") {
  const Fixture fixture;
  std::atomic<bool> first{true};
  const auto store = scripted(
      [&](StoreBackend& backend, std::span<const StoreCommand> commands) {
        std::vector<Result<StoreReply>> results = backend.execute(commands, 1s);
        for (std::size_t i = 0; i < commands.size(); ++i)
          if (commands[i].op == StoreCommand::Op::settle &&
              (first.exchange(false) || commands[i].counters.at(0).name == "poison"))
            results[i] = Failure(errc::overflow, "the sum is no number");
        return results;
      },
      OnUnreachable::deny());
  {
    Budget day(daily_named("poison", 1_usd, store));
    spend_a_cent();
  }
  Budget day(daily_named("healthy", 1_usd, store));
  spend_a_cent();
  CHECK_NOTHROW(store->flush(2s));
}

TEST_CASE("shared: of a call whose use is too much to be counted its store counts what was reserved, and holds nothing",
          "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  for (const auto& store : {memory_store(), stormy(weather, OnUnreachable::deny())}) {
    Budget day(daily_named("full", 1_usd, store));
    const Amounts almost{.tokens = INT64_MAX - 1'000};
    store->adjust({.name = "full", .window = Window::day(), .amounts = almost, .create = true});
    {
      Call call({.model = "unit", .input_tokens = 100, .max_output_tokens = 100});
      CHECK(call.settle({.input = 2'000, .output = 50}).usd == 0.00205_usd);
    }
    store->flush();
    CHECK(day.reserved() == Amounts{});
    const Amounts spent = store->state("full", Window::day()).spent;
    CHECK(spent ==
          Amounts{
              .usd = 0.0002_usd, .tokens = almost.tokens + 200, .input_tokens = 100, .output_tokens = 50, .calls = 1});
    // The store has answered: it is not out of reach.
    CHECK(try_call(cent_request()));
  }
}

TEST_CASE("shared: out of reach, observe mode lets everything through and says what it would have done",
          "[core][store]") {
  const Fixture fixture({.observe = true});
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::deny());
  Budget day(daily_named("observed from afar", 1_usd, store));
  Call stream({.model = "gpt-4o", .input_tokens = 10});
  weather->down();
  spend_a_cent();
  CHECK(stream.extend_output(1'000).extension == Extension::granted);
  stream.release();
  weather->down(false);
  store->flush();
  CHECK(spent_in(*store, "observed from afar") == 0.01_usd);
  REQUIRE(actions(fixture.ledger) == std::vector{Action::observed});
  CHECK(fixture.ledger.events().at(0).reason == "observed: would have been blocked");
}

TEST_CASE("shared: a store that is there and will not agree is no reason to let a call through", "[core][store]") {
  const Fixture fixture;
  const auto store = scripted(
      [](StoreBackend& backend, std::span<const StoreCommand> commands) {
        std::vector<Result<StoreReply>> results = backend.execute(commands, 1s);
        for (Result<StoreReply>& result : results) result.value().outcome = StoreReply::Outcome::turned;
        return results;
      },
      OnUnreachable::allow_and_mark());
  Budget day(daily_named("disagrees", 1_usd, store));
  CHECK_THROWS_AS(Call(cent_request()), StoreUnavailable);
}

TEST_CASE("shared: local() gets back what a call did not spend", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::local(0.02_usd));
  Budget day(daily_named("spends little", 1_usd, store));
  weather->down();
  for (int i = 0; i < 5; ++i) {
    Call call(large_request());  // $0.0125
    call.sent();
    call.settle({.input = 10});
    Call unsent(large_request());
  }
  Call first(large_request());
  CHECK_THROWS_AS(Call(large_request()), StoreUnavailable);
}

TEST_CASE("shared: a store that answers too late is not back, and local() stays used", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store =
      std::make_shared<Store>(std::make_unique<WeatheredBackend>(weather, StoreBackend::Distance::remote),
                              StoreOptions{.on_unreachable = OnUnreachable::local(0.01_usd), .timeout = 20ms});
  Budget day(daily_named("late", 1_usd, store));
  weather->hang();
  spend_a_cent();
  weather->hang(false);
  store->flush();  // its answer has come by now
  weather->hang();
  CHECK_THROWS_AS(Call(cent_request()), StoreUnavailable);
  weather->hang(false);
}

TEST_CASE("shared: a call whose lease ran out is no overrun for what was charged for it", "[core][store]") {
  const Fixture fixture;
  const auto store = std::make_shared<Store>(
      std::make_unique<WeatheredBackend>(std::make_shared<Weather>(), StoreBackend::Distance::local),
      StoreOptions{.on_unreachable = OnUnreachable::deny()});
  const Budget budget({.name = "k", .usd = 100_usd, .window = Window::forever(), .store = store});
  Call call({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = 60_usd});
  call.sent();
  fixture.clock->advance(1h);
  REQUIRE(store->state("k", Window::forever()).spent.usd == 60_usd);
  CHECK_FALSE(call.settle({.usage = {}, .provider_cost = 70_usd}).over_cap);
  CHECK(budget.state().spent.usd == 70_usd);
  store->flush();
  CHECK(budget.state().spent.usd == 70_usd);
}

TEST_CASE("shared: a stream whose lease ran out is given what there is room for, and more is an overrun",
          "[core][store]") {
  const Fixture fixture;
  const auto distance = GENERATE(StoreBackend::Distance::local, StoreBackend::Distance::remote);
  const OnExpiry expiry = GENERATE(OnExpiry::charge, OnExpiry::release);
  const auto weather = std::make_shared<Weather>();
  weather->set_clock(fixture.clock);
  const auto store = std::make_shared<Store>(
      std::make_unique<WeatheredBackend>(weather, distance),
      StoreOptions{.on_unreachable = OnUnreachable::deny(), .timeout = 2s, .on_expiry = expiry});
  const Budget budget({.name = "k", .output_tokens = 1'000, .window = Window::forever(), .store = store});
  Call call({.model = "m", .input_tokens = 0, .max_output_tokens = 100, .usd = 0_usd});
  call.sent();
  fixture.clock->advance(1h);
  REQUIRE(store->state("k", Window::forever()).spent.output_tokens == (expiry == OnExpiry::charge ? 100 : 0));
  CHECK(call.extend_output(1'000'000).extension == Extension::cut);
  CHECK(call.extend_output(600).extension == Extension::granted);
  CHECK(call.extend_output(1'001).extension == Extension::cut);
  CHECK(call.extend_output(1'000).extension == Extension::granted);
  const Settled settled = call.settle({.output = 1'500});
  CHECK(settled.over_cap);
  CHECK(actions(fixture.ledger).back() == Action::overrun);
  store->flush();
  CHECK(store->state("k", Window::forever()).spent.output_tokens == 1'500);
  CHECK(budget.state().spent.output_tokens == 1'500);
}

TEST_CASE("shared: what calls hold that the store could not be told is seen, and keeps local() from being whole again",
          "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto distance = GENERATE(StoreBackend::Distance::local, StoreBackend::Distance::remote);
  const auto store = stormy(weather, OnUnreachable::local(5_usd), distance);
  const Budget budget({.name = "k", .usd = 100_usd, .concurrent = 50, .window = Window::forever(), .store = store});
  const auto ask = [](Usd usd) {
    return try_call({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = usd});
  };
  std::vector<Result<Call>> running;
  weather->down();
  running.push_back(ask(3_usd));
  REQUIRE(running.back());
  CHECK(budget.reserved().usd == 3_usd);
  CHECK(budget.state().reserved.concurrent == 1);
  CHECK_FALSE(ask(3_usd));
  for (int again = 0; again < 3; ++again) {  // a store that comes and goes
    weather->down(false);
    CHECK(store->state("k", Window::forever()).reserved.usd == 0_usd);
    CHECK(budget.reserved().usd == 3_usd);
    weather->down();
    CHECK_FALSE(ask(3_usd));
  }
  running.back()->settle({.usage = {}, .provider_cost = 4_usd});
  CHECK(budget.state().spent.usd == 4_usd);
  CHECK(budget.reserved() == Amounts{});
  CHECK_FALSE(ask(2_usd));
  weather->down(false);
  store->flush();
  CHECK(store->state("k", Window::forever()).spent.usd == 4_usd);
  CHECK(budget.state().spent.usd == 4_usd);
  weather->down();
  CHECK(ask(5_usd));
}

TEST_CASE("shared: out of reach, local() lets no call through whose price is not known", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::local(5_usd));
  const Budget budget({.name = "tokens", .tokens = 1'000, .window = Window::day(), .store = store});
  weather->down();
  const Result<Call> refused = try_call({.model = "not-known", .input_tokens = 900, .max_output_tokens = 100});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message().find("cannot be kept for a model without a price. Register it") != std::string::npos);
  CHECK(try_call({.model = "m", .input_tokens = 900, .max_output_tokens = 100, .usd = 0_usd}));
}

TEST_CASE("shared: a cap that is set is data that a store can lose, though nothing was spent", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::deny());
  const Budget day(daily_named("day", 100_usd, store));
  store->set_cap({.name = "day", .window = Window::day(), .limits = {.usd = 0_usd}});
  CHECK(try_call(cent_request()).error().reason() == errc::budget_exceeded);
  weather->forget();
  CHECK(try_call(cent_request()).error().reason() == errc::store_unavailable);
}

TEST_CASE("shared: a cap that was taken back is no data that a store can lose", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::deny());
  const Budget day(daily_named("day", 100_usd, store));
  store->set_cap({.name = "day", .window = Window::day(), .limits = {.usd = 0_usd}});
  store->set_cap({.name = "day", .window = Window::day()});
  weather->forget();
  CHECK(try_call(cent_request()));
}

TEST_CASE("shared: a stream finds out as a new call does that its store has lost what it held", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::deny());
  const Budget budget({.name = "k", .output_tokens = 1'000, .window = Window::forever(), .store = store});
  Call({.model = "m", .input_tokens = 0, .max_output_tokens = 850, .usd = 0_usd}).settle({.output = 850});
  Call stream({.model = "m", .input_tokens = 0, .max_output_tokens = 100, .usd = 0_usd});
  stream.sent();
  store->flush();
  weather->forget();
  CHECK(stream.extend_output(150).extension == Extension::cut);
}

TEST_CASE("shared: what a store has confirmed is no longer of the allowance of local()", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::local(5_usd), StoreBackend::Distance::local);
  const Budget budget({.name = "k", .usd = 1'000_usd, .window = Window::forever(), .store = store});
  Call stream({.model = "gpt-4o", .input_tokens = 0, .max_output_tokens = 100'000});  // $1
  stream.sent();
  weather->down();
  CHECK(stream.extend_output(500'000).extension == Extension::granted);  // of $5, $4 are the allowance's
  CHECK_FALSE(try_call({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = 2_usd}));
  weather->down(false);
  CHECK(stream.extend_output(600'000).extension == Extension::granted);
  weather->down();
  CHECK(try_call({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = 5_usd}));
}

TEST_CASE("shared: what is booked beside a call is judged by what the store knows", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::deny(), StoreBackend::Distance::local);
  // Another process has spent it.
  (void)stormy(weather, OnUnreachable::deny(), StoreBackend::Distance::local)
      ->adjust({.name = "k", .window = Window::day(), .amounts = {.usd = 9_usd}, .create = true});
  BudgetHandle budget({.name = "k", .usd = 10_usd, .window = Window::day(), .store = store});
  CHECK_THROWS_AS(budget.book(Settlement{.provider_cost = 5_usd}, "gpt-4o"), BudgetExceeded);
  CHECK(store->state("k", Window::day()).spent.usd == 14_usd);
  // Not only the first time.
  BudgetHandle second({.name = "second", .usd = 10_usd, .window = Window::day(), .store = store});
  second.book(Settlement{.provider_cost = 1_usd}, "gpt-4o");
  store->flush();
  (void)stormy(weather, OnUnreachable::deny(), StoreBackend::Distance::local)
      ->adjust({.name = "second", .window = Window::day(), .amounts = {.usd = 8_usd}});
  CHECK_THROWS_AS(second.book(Settlement{.provider_cost = 5_usd}, "gpt-4o"), BudgetExceeded);
}

TEST_CASE("shared: a record says the day that was counted, also where it turns while the call is admitted",
          "[core][store]") {
  struct Ticking final : Clock {
    [[nodiscard]] Time now() const noexcept override { return start + 1ms * ticks++; }
    Time start{};
    mutable std::atomic<int> ticks{0};
  };
  for (int before = 0; before < 12; ++before) {
    const auto clock = std::make_shared<Ticking>();
    clock->start = midnight - 1ms * before;
    Ledger ledger({.clock = clock});
    const LedgerScope scope(ledger);
    const Budget day({.name = "day", .usd = 1_usd, .window = Window::day()});
    Call({.model = "gpt-4o", .input_tokens = 0, .max_output_tokens = 0, .usd = 0.01_usd}).settle({});
    INFO(before << " ms before midnight");
    CHECK(ledger.store()->state("day", Window::day(), ledger.records().back().started).spent.usd == 0.01_usd);
  }
}

TEST_CASE("shared: a ledger's store keeps its clock for all who ask it", "[core][store]") {
  const Fixture fixture;
  Ledger ledger = Ledger::current();
  const Budget day(daily_named("k", 1_usd));
  spend_a_cent();
  std::thread([&] { CHECK(ledger.store()->state("k", Window::day()).spent.usd == 0.01_usd); }).join();
  CHECK(day.spent().usd == 0.01_usd);
}

TEST_CASE("shared: a call that its store has forgotten is booked at its end, and gives nothing back", "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, OnUnreachable::deny(), StoreBackend::Distance::local);
  const Budget budget({.name = "k", .usd = 100_usd, .window = Window::forever(), .store = store});
  const auto ask = [](Usd usd) { return Call({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = usd}); };
  Call call = ask(60_usd);
  weather->forget();
  (void)store->state("k", Window::forever());
  store->accept_lost_data();
  ask(40_usd).settle({.usage = {}, .provider_cost = 40_usd});
  store->flush();
  CHECK(call.settle({.usage = {}, .provider_cost = 70_usd}).over_cap);
  CHECK(budget.state().spent.usd == 110_usd);
  store->flush();
  CHECK(budget.state().spent.usd == 110_usd);
}

TEST_CASE("shared: in a rolling window, a call that settles in a later slot is seen as settled", "[core][store]") {
  const Fixture fixture;
  SECTION("far away") {
    const auto weather = std::make_shared<Weather>();
    const auto clock = std::make_shared<outlay::testing::ManualClock>(midnight);
    weather->set_clock(clock);
    const auto store = stormy(weather, OnUnreachable::deny());
    (void)store->state("any", Window::day());  // learns its clock
    Budget hour({.name = "rolls on", .usd = 1_usd, .window = Window::rolling(1h), .store = store});
    Call call(cent_request());
    clock->set(midnight + 2min);
    (void)store->state("any", Window::day());
    call.settle(Usage{});
    store->flush();
    CHECK(hour.spent().usd == 0.01_usd);
    CHECK(hour.reserved() == Amounts{});
  }
  SECTION("in memory, where Raise looks") {
    fixture.clock->set(midnight);
    Budget hour({.name = "rolls and raises",
                 .usd = 0.005_usd,
                 .on_exceed = Raise{},
                 .window = Window::rolling(1h),
                 .store = memory_store()});
    Call crossing(cent_request());
    fixture.clock->set(midnight + 2min);
    CHECK_THROWS_AS(crossing.settle(Usage{}), BudgetExceeded);
  }
}

TEST_CASE("shared: a store in memory forgets a call as soon as it has ended", "[core][store]") {
  // As a Store asks it: in its own process nothing is asked twice, and the lease is as long as the call.
  const auto backend = memory_backend();
  StoreCommand command;
  command.id = std::string(32, 'a');
  command.counters = {{.name = "x", .window = "forever", .end = Time::max()}};
  command.amount = {.usd = 0.01_usd};
  command.lease = std::chrono::milliseconds::max();
  for (const auto end : {StoreCommand::Op::settle, StoreCommand::Op::release})
    for (const auto op : {StoreCommand::Op::reserve, end}) {
      command.op = op;
      CHECK(backend->execute({&command, 1}, 1s).at(0).value().outcome == StoreReply::Outcome::done);
    }
}

TEST_CASE("shared: what a stream was given while its store was down is counted when the store is back",
          "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  Budget day({.name = "back",
              .output_tokens = 600,
              .window = Window::day(),
              .store = stormy(weather, OnUnreachable::allow_and_mark(), StoreBackend::Distance::memory)});
  Call call({.model = "gpt-4o", .input_tokens = 10});  // holds 256
  weather->down();
  REQUIRE(call.extend_output(500).extension == Extension::granted);
  weather->down(false);
  // By the numbers of the store, which knows of 256, 244 less would be in the way of it.
  const ExtensionResult cut = call.extend_output(700);
  REQUIRE(cut.extension == Extension::cut);
  REQUIRE(cut.failure->reason() == errc::budget_exceeded);
  REQUIRE(cut.failure->breaches().at(0).reserved.count() == 500);
  REQUIRE(cut.failure->breaches().at(0).requested.count() == 200);
  CHECK(call.extend_output(600).extension == Extension::granted);
}

TEST_CASE("shared: a call whose ceiling only its budgets bound is let through while their store is down",
          "[core][store]") {
  const Fixture fixture;
  const auto weather = std::make_shared<Weather>();
  Budget day({.name = "down",
              .usd = 1_usd,
              .on_exceed = Clamp{},
              .window = Window::day(),
              .store = stormy(weather, OnUnreachable::allow_and_mark(), StoreBackend::Distance::memory)});
  weather->down();
  Call call({.model = "unit", .input_tokens = 10});
  CHECK(call.max_output_tokens() == 256);
  CHECK(actions(fixture.ledger).front() == Action::unshared);
}

TEST_CASE("shared: a correction counts in every dimension, in past slots, once for an id", "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  Budget day({.name = "day", .usd = 1_usd, .tokens = 100'000, .window = Window::day(), .store = store});
  Call(large_request()).settle({.input = 1'000, .output = 1'000});
  const Time yesterday = fixture.clock->now();
  fixture.clock->advance(24h);
  const Adjustment refund{.name = "day",
                          .window = Window::day(),
                          .at = yesterday,
                          .amounts = {.usd = -0.01_usd, .tokens = -1'500, .output_tokens = -1'500, .calls = -1},
                          .id = "refund 17",
                          .reason = "billed twice"};
  for (int i = 0; i < 3; ++i) {
    const StoreReply::State state = store->adjust(refund);
    CHECK(state.spent.usd == 0.0025_usd);
    CHECK(state.spent.tokens == 500);
    CHECK(state.spent.calls == 0);
  }
  CHECK(store->state("day", Window::day(), yesterday).spent.usd == 0.0025_usd);
  CHECK(store->state("day", Window::day()).spent.usd == Usd{});
  CHECK(day.spent().usd == Usd{});
  std::size_t events = 0;
  for (const BudgetEvent& event : fixture.ledger.events()) events += event.action == Action::adjusted;
  CHECK(events == 4);  // one for each dimension, of the first alone
  Adjustment other = refund;
  other.id = "refund 18";
  CHECK(store->adjust(other).spent.usd == -0.0075_usd);
}

TEST_CASE("shared: a correction that cannot be meant is refused, and changes nothing", "[core][store]") {
  const Fixture fixture;
  const auto store = memory_store();
  const Budget day(daily_named("day", 1_usd, store));
  spend_a_cent();
  const auto reason_of = [&](const Adjustment& adjustment) {
    try {
      (void)store->adjust(adjustment);
    } catch (const Error& error) {
      return error.reason();
    }
    return errc::ok;
  };
  const Time now = fixture.clock->now();
  CHECK(reason_of({.name = "dya", .window = Window::day(), .amounts = {.usd = -1_usd}}) == errc::invalid_argument);
  CHECK(reason_of({.name = "day", .window = Window::week(), .amounts = {.usd = -1_usd}}) == errc::invalid_argument);
  CHECK(reason_of({.name = "day", .window = Window::day()}) == errc::invalid_argument);
  CHECK(reason_of({.name = "day", .window = Window::day(), .amounts = {.concurrent = 1}}) == errc::invalid_argument);
  CHECK(reason_of({.name = "day", .window = Window::day(), .at = now - 24h * 4, .amounts = {.usd = 1_usd}}) ==
        errc::invalid_argument);
  const Window rolling = Window::rolling(60s);
  CHECK(reason_of({.name = "r", .window = rolling, .at = now - 3h, .amounts = {.usd = -1_usd}, .create = true}) ==
        errc::invalid_argument);
  CHECK(reason_of({.name = "r", .window = rolling, .at = now - 10s, .amounts = {.usd = 1_usd}, .create = true}) ==
        errc::ok);
  CHECK(reason_of({.name = "day", .window = Window::day(), .at = now + 24h, .amounts = {.usd = 1_usd}}) ==
        errc::invalid_argument);
  CHECK(reason_of({.name = "", .window = Window::day(), .amounts = {.usd = 1_usd}}) == errc::config);
  CHECK(store->state("day", Window::day()).spent.usd == 0.01_usd);
  CHECK(reason_of({.name = "new", .window = Window::day(), .amounts = {.usd = 1_usd}, .create = true}) == errc::ok);
  CHECK(store->state("new", Window::day()).spent.usd == 1_usd);
}
