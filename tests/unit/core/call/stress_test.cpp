#include <atomic>
#include <barrier>
#include <thread>

#include "core/call/reservation.hpp"
#include "outlay/detail/access.hpp"
#include "support/sanitizer.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;

namespace {

void on_threads(int count, const std::function<void(int)>& work) {
  std::barrier start(count);
  std::vector<std::thread> threads;
  const Context context = Context::current();
  for (int i = 0; i < count; ++i)
    threads.emplace_back(context.bind([&, i] {
      start.arrive_and_wait();
      work(i);
    }));
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("stress: 200 calls of $0.01 on many threads against $1.00: exactly 100, a hundred times", "[core][stress]") {
  for (int run = 0; run < 100; ++run) {
    const Fixture fixture;
    Budget budget({.name = "batch", .usd = 1_usd});
    std::atomic<int> ran{0};
    on_threads(8, [&](int) {
      for (int i = 0; i < 25; ++i)
        if (auto call = try_call(cent_request())) {
          call->sent();
          call->settle(Usage{});
          ++ran;
        }
    });
    REQUIRE(ran == 100);
    REQUIRE(budget.spent().usd == 1_usd);
    REQUIRE(budget.reserved() == Amounts{});
    REQUIRE(fixture.ledger.report().total().calls == 100);
    REQUIRE(fixture.ledger.audit().verdict == Audit::Verdict::agrees);
  }
}

TEST_CASE("stress: a call that always fits is never refused beside calls that never can", "[core][stress]") {
  // A rollback, or a check of one dimension or budget after another was reserved, fails this at once.
  const Fixture fixture({.max_records = 10, .max_events = 10});
  Budget outer({.usd = 1_usd, .tokens = 1'000'000'000});
  Budget inner({.usd = 0.50_usd, .tokens = 100'000});
  std::atomic<int> refused{0}, admitted{0};
  constexpr int rounds = outlay_test::rounds(500'000);
  on_threads(4, [&](int thread) {
    for (int i = 0; i < rounds; ++i) {
      if (thread % 2 == 0) {
        auto call = try_call({.model = "unit", .input_tokens = 10, .max_output_tokens = 10});
        if (!call) ++refused;
      } else {
        // Fits by tokens and not by money, or the other way round.
        const auto call =
            i % 2 == 0 ? try_call({.model = "unit", .input_tokens = 99'000, .max_output_tokens = 0, .usd = 0.60_usd})
                       : try_call({.model = "free", .input_tokens = 100'001, .max_output_tokens = 0});
        if (call) ++admitted;
      }
    }
  });
  REQUIRE(refused == 0);
  REQUIRE(admitted == 0);
  REQUIRE(outer.reserved() == Amounts{});
}

TEST_CASE("stress: every reading of a budget shows spent + reserved within its cap", "[core][stress]") {
  const Fixture fixture({.max_records = 100});
  Budget budget({.usd = 0.50_usd, .concurrent = 3});
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::thread watcher([&] {
    while (!done) {
      const BudgetState state = budget.state();
      if (state.spent.usd + state.reserved.usd > 0.50_usd || state.reserved.concurrent > 3) ++wrong;
    }
  });
  on_threads(4, [&](int thread) {
    Budget own({.usd = 0.30_usd});
    for (int i = 0; i < 20'000; ++i)
      if (auto call = try_call({.model = "unit", .input_tokens = 500, .max_output_tokens = 500})) {
        if ((i + thread) % 3 == 0) call->sent();
        if ((i + thread) % 3 == 1) call->settle({.input = 5});
      }
  });
  done = true;
  watcher.join();
  REQUIRE(wrong == 0);
  REQUIRE(budget.reserved() == Amounts{});
}

TEST_CASE("stress: threads that wait for one place all get it, one at a time", "[core][stress]") {
  const Fixture fixture;
  Budget budget({.concurrent = 1, .on_exceed = Wait{.timeout = std::chrono::minutes(5)}});
  std::atomic<int> inside{0}, most{0}, ran{0};
  on_threads(6, [&](int) {
    for (int i = 0; i < 200; ++i) {
      Call call(cent_request());
      const int now = ++inside;
      if (now > most) most = now;
      --inside;
      ++ran;
    }
  });
  REQUIRE(most == 1);
  REQUIRE(ran == 1'200);
}

TEST_CASE("stress: prices are replaced while calls run", "[core][stress]") {
  const Fixture fixture({.max_records = 100});
  Budget budget({.usd = 1'000_usd});
  std::atomic<bool> done{false};
  Ledger ledger = fixture.ledger;
  std::thread changer([&] {
    while (!done) ledger.set_prices(testing::fixture_prices());
  });
  on_threads(3, [&](int) {
    for (int i = 0; i < 5'000; ++i) {
      Call call(large_request());
      call.settle({.usage = {.input = 10, .output = 10}, .served_model = "gpt-4o-mini"});
    }
  });
  done = true;
  changer.join();
  REQUIRE(fixture.ledger.audit().verdict == Audit::Verdict::agrees);
  REQUIRE(budget.reserved() == Amounts{});
}

TEST_CASE("stress: tags by the million do not grow the dictionary without bound", "[core][stress]") {
  const Fixture fixture({.max_records = 100});
  Budget budget({.usd = 1'000_usd});
  for (int i = 0; i < 100'000; ++i) {
    Track track({{"user_id", std::to_string(i)}});
    Call(cent_request()).settle(Usage{});
  }
  REQUIRE(fixture.ledger.report({"user_id"}).size() == 100);
  REQUIRE(detail::Access::books(fixture.ledger).dictionary.attribution_count() < 20'000);
}

TEST_CASE("stress: a call that ends on one thread while its stream asks for more on another holds nothing",
          "[core][stress]") {
  for (const bool windowed : {false, true}) {
    const Fixture fixture;
    Budget budget({.name = "both", .usd = 1'000_usd, .window = windowed ? Window::day() : Window::scope()});
    std::int64_t ended_by_itself = 0;
    for (int run = 0; run < 300; ++run) {
      Call call({.model = "gpt-4o", .input_tokens = 10, .max_output_tokens = 10});
      call.sent();
      on_threads(2, [&](int thread) {
        if (thread == 0) {
          for (std::int64_t tokens = 20; tokens <= 400; tokens += 20) {
            detail::note_shown(*detail::Access::reservation(call), {.input = 10, .output = tokens});
            (void)call.extend_output(tokens);
          }
        } else if (run % 3 == 0) {
          call.release("free of charge");
        } else if (run % 3 == 1) {
          call.settle({.input = 10, .output = 10});
        } else {
          ended_by_itself += call.indeterminate("torn").first ? 1 : 0;
        }
      });
    }
    CHECK(ended_by_itself == 100);
    CHECK(budget.reserved() == Amounts{});
    CHECK(fixture.ledger.records().size() == 300);
  }
}
