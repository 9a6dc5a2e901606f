// Budgets as values: sessions and jobs that outlive a function.
#include <atomic>
#include <barrier>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "support/log_capture.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;

TEST_CASE("budget handle: a session is the budget of whatever task attaches it, on any thread", "[core][handle]") {
  const Fixture fixture;
  //! [session_example]
  const BudgetHandle session({.name = "session:42", .usd = 0.20_usd});
  const auto answer = [session] {
    const Attach in(session);
    Call call({.model = "cent", .input_tokens = 0, .max_output_tokens = 0});
    call.settle(Usage{});
  };
  //! [session_example]
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      const LedgerScope scope(fixture.ledger);
      answer();
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(session.spent().usd == 0.04_usd);
  CHECK(session.spent().calls == 4);
  CHECK(session.reserved() == Amounts{});
  CHECK(Context::current().budgets().empty());
}

TEST_CASE("budget handle: sessions made on one thread do not nest", "[core][handle]") {
  const Fixture fixture;
  std::vector<BudgetHandle> sessions;
  for (int i = 0; i < 4; ++i) sessions.emplace_back(BudgetOptions{.name = "session", .usd = 0.02_usd});
  for (const BudgetHandle& session : sessions)
    for (int i = 0; i < 3; ++i) {
      const Attach in(session);
      if (Result<Call> call = try_call(cent_request())) call->settle(Usage{});
    }
  for (const BudgetHandle& session : sessions) CHECK(session.spent().usd == 0.02_usd);
}

TEST_CASE("budget handle: 8 threads in one session never exceed its cap", "[core][handle][stress]") {
  const Fixture fixture;
  const BudgetHandle session({.name = "shared", .usd = 1_usd});
  std::atomic<int> admitted{0}, refused{0};
  std::vector<std::thread> threads;
  std::barrier start(8);
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] {
      start.arrive_and_wait();
      for (int i = 0; i < 25; ++i) {
        const Attach in(session);
        if (Result<Call> call = try_call(cent_request())) {
          call->settle(Usage{});
          ++admitted;
        } else {
          ++refused;
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(admitted == 100);
  CHECK(refused == 100);
  CHECK(session.spent().usd == 1_usd);
}

TEST_CASE("budget handle: 100,000 sessions, each used by 8 threads at once, keep their caps",
          "[core][handle][stress]") {
  constexpr std::size_t sessions = 100'000;
  constexpr int threads = 8, each = 5;  // calls that fit
  const Fixture fixture;
  std::vector<BudgetHandle> held;
  held.reserve(sessions);
  for (std::size_t i = 0; i < sessions; ++i)
    held.emplace_back(BudgetOptions{.name = "session " + std::to_string(i), .usd = 0.05_usd});
  std::atomic<std::int64_t> admitted{0}, elsewhere{0};
  std::barrier together(threads);
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t)
    all.emplace_back([&] {
      for (std::size_t i = 0; i < sessions; ++i) {
        if (i % 100 == 0) together.arrive_and_wait();  // all of them in the same few sessions
        const Attach in(held[i]);
        Result<Call> call = try_call(cent_request());
        if (!call) {
          elsewhere += call.error().budget() != held[i].name() ? 1 : 0;
          continue;
        }
        call->settle(Usage{});
        ++admitted;
      }
    });
  for (std::thread& thread : all) thread.join();
  CHECK(admitted == each * static_cast<std::int64_t>(sessions));
  CHECK(elsewhere == 0);
  std::size_t wrong = 0;
  for (const BudgetHandle& session : held)
    wrong +=
        session.spent().calls != each || session.spent().usd != 0.05_usd || session.reserved() != Amounts{} ? 1 : 0;
  CHECK(wrong == 0);
}

TEST_CASE(
    "budget handle: it counts in the budgets that were open where it was made, also after their scopes have closed",
    "[core][handle]") {
  const Fixture fixture;
  const auto store = memory_store();
  std::optional<BudgetHandle> session;
  {
    const Budget day({.name = "day", .usd = 0.03_usd, .window = Window::day(), .store = store});
    session.emplace(BudgetOptions{.name = "session", .usd = 1_usd});
  }
  for (int i = 0; i < 5; ++i) {
    const Attach in(*session);
    if (Result<Call> call = try_call(cent_request()))
      call->settle(Usage{});
    else
      CHECK(call.error().budget() == "day");
  }
  CHECK(session->spent().usd == 0.03_usd);
  store->flush();
  CHECK(store->state("day", Window::day()).spent.usd == 0.03_usd);
}

TEST_CASE("budget handle: the budget lives as long as a call in it", "[core][handle]") {
  const Fixture fixture;
  std::optional<Call> call;
  {
    const BudgetHandle session({.name = "gone", .usd = 1_usd});
    const Attach in(session);
    call.emplace(cent_request());
  }
  CHECK(call->settle(Usage{}).usd == 0.01_usd);
  REQUIRE(fixture.ledger.records().size() == 1);
  CHECK(fixture.ledger.records().front().budgets == std::vector<std::string>{"gone"});
}

TEST_CASE("budget handle: the task's tags stay, in front of those with which it was made", "[core][handle]") {
  const Fixture fixture;
  std::optional<BudgetHandle> session;
  {
    const Track user({{"user_id", "alice"}, {"feature", "login"}});
    session.emplace(BudgetOptions{.name = "session", .usd = 1_usd});
  }
  const Track task({{"feature", "chat"}});
  const Attach in(*session);
  CHECK(Context::current().tag("feature") == "chat");
  CHECK(Context::current().tag("user_id") == "alice");
  CHECK(Context::current().budgets() == std::vector<std::string>{"session"});
  Call(cent_request()).settle(Usage{});
  CHECK(fixture.ledger.records().back().tags == Tags{{"user_id", "alice"}, {"feature", "chat"}});
}

TEST_CASE("budget handle: book counts a bill in every budget around it, with a record and what it passed",
          "[core][handle]") {
  const Fixture fixture;
  const Budget outer({.name = "outer", .usd = 0.03_usd, .notify_at = {0.5}});
  BudgetHandle session({.name = "session", .usd = 1_usd});
  const Track task({{"feature", "chat"}});
  CHECK(session.book({.input = 1'000, .output = 1'000}, "gpt-4o").usd == 0.0125_usd);
  CHECK(session.spent().usd == 0.0125_usd);
  CHECK(session.spent().calls == 1);
  CHECK(session.spent().output_tokens == 1'000);
  CHECK(outer.spent().usd == 0.0125_usd);
  REQUIRE(fixture.ledger.records().size() == 1);
  CHECK(fixture.ledger.records().front().tags == Tags{{"feature", "chat"}});
  CHECK(fixture.ledger.records().front().budgets == std::vector<std::string>{"outer", "session"});
  CHECK(session.book({.usage = {.input = 5}, .provider_cost = 0.01_usd}, "mystery").usd == 0.01_usd);

  const Result<Settled> over = session.try_book({.usage = {.input = 1'000, .output = 1'000}}, "gpt-4o");
  REQUIRE_FALSE(over);
  CHECK(over.error().budget() == "outer");
  CHECK(over.error().reason() == errc::budget_exceeded);
  CHECK(over.error().message().find("booked") != std::string::npos);
  CHECK(outer.spent().usd == 0.035_usd);
  CHECK(outer.reserved() == Amounts{});
  CHECK_THROWS_AS(session.book({.input = 1'000, .output = 1'000}, "gpt-4o"), BudgetExceeded);
  std::size_t overruns = 0, thresholds = 0;
  for (const BudgetEvent& event : fixture.ledger.events()) {
    overruns += event.action == Action::overrun;
    thresholds += event.action == Action::threshold;
  }
  CHECK(overruns == 2);
  CHECK(thresholds == 1);
  CHECK((fixture.ledger.audit().verdict == Audit::Verdict::agrees));
}

TEST_CASE("budget handle: book counts in a store, and under the rules that its tags meet", "[core][handle]") {
  Fixture fixture;
  fixture.ledger.add_rule({.match = {"user_id", "*"}, .usd = 1_usd});
  const auto store = fixture.ledger.store();
  const Track user({{"user_id", "alice"}});
  BudgetHandle daily({.name = "daily", .usd = 0.02_usd, .window = Window::day()});
  daily.book(Usage{}, "cent");
  daily.book(Usage{}, "cent");
  CHECK_FALSE(daily.try_book({}, "cent"));
  store->flush();
  CHECK(store->state("daily", Window::day()).spent.usd == 0.03_usd);
  CHECK(store->state("user_id:alice", Window::day()).spent.usd == 0.03_usd);
  CHECK(store->state("daily", Window::day()).reserved == Amounts{});
  CHECK(daily.spent().usd == 0.03_usd);
}

TEST_CASE("budget handle: no store is asked while the budgets are locked", "[core][handle]") {
  // A store on this machine that looks at a budget whenever it is asked, from another thread.
  class Looking final : public StoreBackend {
   public:
    std::function<void()> look;
    std::vector<std::future<void>> looks;
    std::atomic<bool> blocked{false};
    std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands,
                                            std::chrono::milliseconds timeout) override {
      looks.push_back(std::async(std::launch::async, [this] { look(); }));
      if (looks.back().wait_for(std::chrono::seconds(5)) != std::future_status::ready) blocked = true;
      return memory_->execute(commands, timeout);
    }
    [[nodiscard]] Distance distance() const noexcept override { return Distance::local; }
    [[nodiscard]] std::string description() const override { return "a store that looks"; }

   private:
    std::unique_ptr<StoreBackend> memory_ = memory_backend();
  };
  const Fixture fixture;
  auto backend = std::make_unique<Looking>();
  Looking& looking = *backend;
  const Budget outer({.name = "outer", .usd = 1_usd});
  looking.look = [&outer] { (void)outer.state(); };
  const auto store = std::make_shared<Store>(std::move(backend), StoreOptions{.on_unreachable = OnUnreachable::deny()});
  BudgetHandle daily({.name = "daily", .usd = 0_usd, .window = Window::day(), .store = store});
  CHECK_FALSE(daily.try_book({}, "cent"));
  CHECK_FALSE(looking.blocked);
  store->flush();
}

TEST_CASE("budget handle: a bill that cannot be right is not booked, an unknown price is said", "[core][handle]") {
  const Fixture fixture;
  BudgetHandle session({.name = "session", .usd = 1_usd});
  CHECK_THROWS_AS(session.book({.input = -1}, "cent"), Error);
  CHECK_THROWS_AS(session.book({.usage = {.input = 1}, .provider_cost = Usd::from_nanos(-1)}, "cent"), Error);
  CHECK_THROWS_AS(session.book({.usage = {.input = 1}, .provider_cost = Usd::max()}, "cent"), Error);
  CHECK_THROWS_AS(session.book({.input = 1}, ""), Error);
  CHECK(session.spent() == Amounts{});
  CHECK_THROWS_AS(session.book({.input = 7}, "mystery"), PriceUnknown);
  CHECK(session.spent().tokens == 7);
  BudgetHandle tokens({.name = "tokens", .tokens = 100});
  CHECK(tokens.book({.input = 7}, "mystery").usd == 0_usd);
}

TEST_CASE("budget handle: reset keeps the caps and what runs, and announces thresholds anew", "[core][handle]") {
  const Fixture fixture;
  BudgetHandle session({.name = "session", .usd = 0.03_usd, .notify_at = {0.3}});
  const Attach in(session);
  Call(cent_request()).settle(Usage{});
  Call running(cent_request());
  session.reset();
  CHECK(session.spent() == Amounts{});
  CHECK(session.reserved().usd == 0.01_usd);
  CHECK(session.limits().usd == 0.03_usd);
  running.settle(Usage{});
  CHECK(session.spent().usd == 0.01_usd);
  std::size_t thresholds = 0;
  for (const BudgetEvent& event : fixture.ledger.events()) thresholds += event.action == Action::threshold;
  CHECK(thresholds == 2);
  BudgetHandle daily({.name = "daily", .usd = 1_usd, .window = Window::day()});
  CHECK_THROWS_AS(daily.reset(), ConfigError);
}

TEST_CASE("budget: lower_cap takes off a cap, and what is above it is refused", "[core][budget]") {
  const Fixture fixture;
  Budget budget({.name = "b", .usd = 0.05_usd});
  Call running(cent_request());
  budget.lower_cap(0.04_usd, "less");
  CHECK(budget.limits().usd == 0.01_usd);
  CHECK_FALSE(try_call(cent_request()));
  running.settle(Usage{});
  CHECK_THROWS_AS(budget.lower_cap(0.02_usd, "too much"), ConfigError);
  CHECK_THROWS_AS(budget.lower_cap(0_usd, "nothing"), ConfigError);
  CHECK_THROWS_AS(budget.lower_cap(Dimension::tokens, 1, "no such cap"), ConfigError);
  bool said = false;
  for (const BudgetEvent& event : fixture.ledger.events())
    said |= event.action == Action::cap_lowered && event.reason == "less" && event.cap == 10'000'000;
  CHECK(said);
}

TEST_CASE("misuse: a scope that is no local variable is reported, with the handle as the remedy", "[core][misuse]") {
  const Fixture fixture;
  const LogCapture log;
  const auto before = misuse_counts().scopes_off_stack;
  struct Session {
    Budget budget{{.name = "member of a session on the heap", .usd = 1_usd}};
  };
  {
    const auto session = std::make_unique<Session>();
    const Session local;  // on the stack, as a member of a local variable
  }
  CHECK(misuse_counts().scopes_off_stack == before + 1);
  CHECK(log.contains("BudgetHandle"));
}

TEST_CASE("misuse: a handle that is attached inside a budget which does not enclose it is reported", "[core][misuse]") {
  const Fixture fixture;
  const LogCapture log;
  const auto before = misuse_counts().attached_apart;
  const BudgetHandle session({.name = "apart", .usd = 1_usd});
  {
    const Budget request({.name = "request", .usd = 0.01_usd});
    const BudgetHandle within({.name = "within", .usd = 1_usd});
    const Attach fine(within);
    const Attach again(within);
    CHECK(misuse_counts().attached_apart == before);
  }
  const Budget request({.name = "request", .usd = 0.01_usd});
  const Attach in(session);
  CHECK(misuse_counts().attached_apart == before + 1);
  CHECK(log.contains("Make the BudgetHandle inside"));
}
