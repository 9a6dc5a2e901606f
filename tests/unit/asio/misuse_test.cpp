#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/strand.hpp>
#include <deque>
#include <memory>
#include <optional>

#include "coroutine_support.hpp"

namespace {

/// What was counted and logged during a case.
class Watch {
 public:
  Watch() : before_(outlay::misuse_counts()) {
    previous_ = outlay::set_log_handler([this](outlay::LogLevel, std::string_view message) {
      const std::scoped_lock lock(mutex_);
      messages_.emplace_back(message);
    });
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() { outlay::set_log_handler(previous_); }

  [[nodiscard]] outlay::MisuseCounts counts() const {
    const outlay::MisuseCounts now = outlay::misuse_counts();
    return {.closed_out_of_order = now.closed_out_of_order - before_.closed_out_of_order,
            .no_context_executor = now.no_context_executor - before_.no_context_executor,
            .closed_elsewhere = now.closed_elsewhere - before_.closed_elsewhere,
            .ambiguous_home = now.ambiguous_home - before_.ambiguous_home,
            .calls_outside_budgets = now.calls_outside_budgets - before_.calls_outside_budgets};
  }
  [[nodiscard]] std::size_t logged(std::string_view text) {
    const std::scoped_lock lock(mutex_);
    return static_cast<std::size_t>(std::count_if(
        messages_.begin(), messages_.end(), [&](const std::string& m) { return m.find(text) != std::string::npos; }));
  }

 private:
  outlay::MisuseCounts before_;
  outlay::LogHandler previous_;
  std::mutex mutex_;
  std::deque<std::string> messages_;
};

}  // namespace

TEST_CASE("misuse: scopes closed out of order are repaired, counted, and reported once a place", "[asio][misuse]") {
  Watch watch;
  Checks checks;
  asio::io_context io;
  const auto coroutine = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      Track base({{"who", "base"}});
      auto outer = std::make_unique<outlay::Budget>(outlay::BudgetOptions{.name = "out of order", .tokens = 1'000});
      auto inner = std::make_unique<Track>(std::initializer_list<outlay::Tag>{{"who", "inner"}});
      co_await hop();
      outer.reset();
      checks.is(who(), "inner");
      checks.that(Context::current().budgets().size() ==
                  1);  // spend goes to what is still open and everything above it
      co_await hop();
      checks.is(who(), "inner");
      inner.reset();
      checks.is(who(), "base");
      checks.that(Context::current().budgets().empty());  // the closed one is passed over
      co_await hop();
      checks.is(who(), "base");
    }
  };
  outlay::co_spawn(io, coroutine, asio::detached);
  io.run();
  checks.report(18);
  CHECK(watch.counts().closed_out_of_order == 3);
  CHECK(watch.logged("Close scopes in reverse order") == 1);
  CHECK(watch.logged("\"out of order\"") == 1);
}

TEST_CASE("misuse: what is spent after its scope has closed counts there", "[asio][context]") {
  asio::io_context io;
  std::optional<Context> captured;
  outlay::Budget outer({.name = "outer", .tokens = 1'000});
  const auto coroutine = [&]() -> asio::awaitable<void> {
    outlay::Budget inner({.name = "inner", .tokens = 100});
    captured = Context::current();
    co_await hop();
  };
  outlay::co_spawn(io, coroutine, asio::detached);
  io.run();
  captured->bind([&] {
    outlay::Call call({.model = "gpt-4o", .input_tokens = 30, .max_output_tokens = 30});
    call.settle({.input = 30, .output = 30});
    // The closed budget still holds: 60 of its 100 are gone.
    CHECK_THROWS_AS(outlay::Call({.model = "gpt-4o", .input_tokens = 30, .max_output_tokens = 30}),
                    outlay::BudgetExceeded);
  })();
  CHECK(outer.spent().tokens == 60);
}

TEST_CASE("misuse: a scope in a coroutine on a plain executor is reported when it opens", "[asio][misuse]") {
  Watch watch;
  asio::io_context io;
  const auto coroutine = []() -> asio::awaitable<void> {
    outlay::Budget budget({.name = "on a plain executor", .tokens = 10});
    co_await hop();
  };
  asio::co_spawn(io, coroutine, asio::detached);
  io.run();
  CHECK(watch.counts().no_context_executor == 1);
  CHECK(watch.logged("outlay::co_spawn") >= 1);
  CHECK(watch.logged("\"on a plain executor\"") >= 1);
  CHECK(Context::current().empty());
}

TEST_CASE("misuse: scopes on the stack of plain handlers, and members of handlers' objects on it, are none",
          "[asio][misuse]") {
  Watch watch;
  asio::io_context io;
  asio::post(io, [] {
    outlay::Budget budget({.name = "local", .tokens = 10});
    std::optional<Track> member;
    member.emplace(std::initializer_list<outlay::Tag>{{"who", "member"}});
  });
  io.run();
  CHECK(watch.counts().no_context_executor == 0);
  static_cast<void>(std::make_unique<Track>(std::initializer_list<outlay::Tag>{{"who", "heap, but in no loop"}}));
  CHECK(watch.counts().no_context_executor == 0);
}

TEST_CASE("misuse: after a hop to a plain executor the context is empty until the next suspension", "[asio][misuse]") {
  Watch watch;
  Checks checks;
  asio::io_context io;
  asio::thread_pool pool(1);
  const auto coroutine = [&]() -> asio::awaitable<void> {
    Track track({{"who", "me"}});
    co_await asio::post(asio::bind_executor(pool.get_executor(), asio::use_awaitable));
    checks.is(who(), "");
    {
      outlay::Budget there({.name = "opened in a plain hop", .tokens = 10});
      co_await hop();
      checks.is(who(), "me");
    }
    co_await hop();
    checks.is(who(), "me");
  };
  outlay::co_spawn(io, coroutine, asio::detached);
  io.run();
  pool.join();
  checks.report(3);
  CHECK(watch.counts().no_context_executor == 1);
  CHECK(watch.counts().closed_elsewhere >= 1);
}

TEST_CASE(
    "misuse: a coroutine that Asio starts inline on the plain executor leaves its scope on the caller, until "
    "it closes",
    "[asio][misuse]") {
  Watch watch;
  Checks checks;
  asio::io_context io;
  const auto child = []() -> asio::awaitable<void> {
    Track track({{"who", "child"}});
    co_await hop();
    co_await hop();
  };
  const auto parent = [&]() -> asio::awaitable<void> {
    auto base = std::make_unique<outlay::Budget>(outlay::BudgetOptions{.name = "under a stray child", .tokens = 10});
    Track own({{"who", "parent"}});
    asio::co_spawn(io, child, asio::detached);
    checks.is(who(), "child");
    base.reset();  // under the child's scope: reported
    for (int i = 0; i < 5; ++i) co_await hop();
    checks.is(who(), "parent");
    co_await hop();
    checks.is(who(), "parent");
  };
  outlay::co_spawn(io, parent, asio::detached);
  io.run();
  checks.report(3);
  CHECK(watch.counts().closed_out_of_order >= 1);
  CHECK(Context::current().empty());
}

TEST_CASE("misuse: a strand made from this_coro::executor is reported when scopes close", "[asio][misuse]") {
  Watch watch;
  asio::thread_pool pool(4);
  std::atomic<int> ended{0};
  const auto child = [&](int i) -> asio::awaitable<void> {
    outlay::Budget budget({.name = "strand outside", .tokens = 10 + i});
    for (int n = 0; n < 10; ++n) co_await hop();
    ++ended;
  };
  const auto parent = [&]() -> asio::awaitable<void> {
    const auto strand = asio::make_strand(co_await asio::this_coro::executor);
    for (int i = 0; i < 20; ++i) asio::co_spawn(strand, child(i), asio::detached);
  };
  outlay::co_spawn(pool, parent, asio::detached);
  pool.join();
  CHECK(ended == 20);
  CHECK(watch.counts().closed_elsewhere + watch.counts().closed_out_of_order >= 1);
  CHECK(watch.logged("outlay::co_spawn") + watch.logged("Close scopes") >= 1);
}

TEST_CASE("misuse: our co_spawn on such a strand is right", "[asio][context]") {
  Watch watch;
  Checks checks;
  asio::thread_pool pool(4);
  const auto parent = [&]() -> asio::awaitable<void> {
    Track track({{"who", "parent"}});
    const auto strand = asio::make_strand(co_await asio::this_coro::executor);
    for (int i = 0; i < 20; ++i) outlay::co_spawn(strand, walk(checks, std::to_string(i), 5, "parent"), asio::detached);
    co_await hop();
    checks.is(who(), "parent");
  };
  outlay::co_spawn(pool, parent, asio::detached);
  pool.join();
  checks.report(20 * 17 + 1);
  CHECK(watch.counts().closed_elsewhere == 0);
  CHECK(watch.counts().closed_out_of_order == 0);
}

TEST_CASE("misuse: a stranger that resumes one of several coroutines in a home finds the home, and it is reported",
          "[asio][misuse]") {
  using namespace asio::experimental::awaitable_operators;
  Watch watch;
  Checks checks;
  asio::io_context io;
  Gate first;
  Gate second;
  const auto child = [&](Gate& gate, std::string name) -> asio::awaitable<void> {
    Track track({{"who", name}});
    co_await gate.async_wait(asio::use_awaitable);
    checks.is(who(), "base");  // the home's own context: outer budgets still bind
    Track inner({{"who", name + " inner"}});
    co_await hop();
    checks.is(who(), name + " inner");
  };
  const auto parent = [&]() -> asio::awaitable<void> {
    co_await (child(first, "a") && child(second, "b"));
    checks.is(who(), "base");
  };
  {
    Track base({{"who", "base"}});
    outlay::co_spawn(io, parent, asio::detached);
  }
  io.poll();
  REQUIRE(first.taken());
  REQUIRE(second.taken());
  first.complete();
  second.complete();
  io.restart();
  io.run();
  checks.report(5);
  CHECK(watch.counts().ambiguous_home >= 1);
  CHECK(watch.logged("outlay::branch") == 1);
}

TEST_CASE("misuse: a handler called through no executor runs in the caller's context until its next suspension",
          "[asio][misuse]") {
  Checks checks;
  asio::io_context io;
  Gate gate;
  const auto waiter = [&]() -> asio::awaitable<void> {
    Track track({{"who", "waiter"}});
    co_await gate.async_wait(asio::use_awaitable);
    checks.is(who(), "caller");
    co_await hop();
    checks.is(who(), "waiter");
  };
  const auto caller = [&]() -> asio::awaitable<void> {
    Track track({{"who", "caller"}});
    co_await hop();
    gate.call_directly();
    checks.is(who(), "caller");
    co_await hop();
    checks.is(who(), "caller");
  };
  outlay::co_spawn(io, waiter, asio::detached);
  outlay::co_spawn(io, caller, asio::detached);
  io.run();
  checks.report(4);
}

TEST_CASE("misuse: a thread may end with a scope that it never closed", "[asio][misuse]") {
  std::unique_ptr<Track> leaked;
  std::thread([&] { leaked = std::make_unique<Track>(std::initializer_list<outlay::Tag>{{"who", "leaked"}}); }).join();
  CHECK(who().empty());
  leaked.reset();
  CHECK(Context::current().empty());
}

TEST_CASE("misuse: a scope of a plain thread closed by another is passed over by its thread, and reported",
          "[asio][misuse]") {
  Watch watch;
  Track base({{"who", "base"}});
  auto moved =
      std::make_unique<outlay::Budget>(outlay::BudgetOptions{.name = "closed by another thread", .tokens = 10});
  std::thread([&] { moved.reset(); }).join();
  CHECK(Context::current().budgets().empty());
  CHECK(who() == "base");
  CHECK(watch.counts().closed_elsewhere == 1);
}
