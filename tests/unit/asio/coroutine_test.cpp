#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/defer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_context.hpp>
#include <boost/asio/use_future.hpp>

#include "coroutine_support.hpp"

TEST_CASE("co_spawn: coroutines interleaved on one thread keep their scopes apart", "[asio][context]") {
  Checks checks;
  asio::io_context io;
  for (int i = 0; i < 20; ++i) outlay::co_spawn(io, walk(checks, std::to_string(i), 5), asio::detached);
  io.run();
  checks.report(20 * 17);
  CHECK(Context::current().empty());
}

TEST_CASE("co_spawn: an any_io_executor carries the context", "[asio][context]") {
  Checks checks;
  asio::io_context io;
  const asio::any_io_executor executor = io.get_executor();
  for (int i = 0; i < 20; ++i) outlay::co_spawn(executor, walk(checks, std::to_string(i), 5), asio::detached);
  io.run();
  checks.report(20 * 17);
}

TEST_CASE("co_spawn: coroutines of an io_context on four threads keep their scopes", "[asio][context]") {
  Checks checks;
  asio::io_context io(4);
  for (int i = 0; i < 100; ++i) outlay::co_spawn(io, walk(checks, std::to_string(i), 10), asio::detached);
  run_on(io, 4);
  checks.report(100 * 32);
}

TEST_CASE("co_spawn: three hundred coroutines migrate over a pool of four threads with their scopes",
          "[asio][context]") {
  Checks checks;
  asio::thread_pool pool(4);
  for (int i = 0; i < 300; ++i) outlay::co_spawn(pool, walk(checks, std::to_string(i), 10), asio::detached);
  pool.join();
  checks.report(300 * 32);
}

TEST_CASE("co_spawn: strands inside carry the context, own ones and a shared one", "[asio][context]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto shared = asio::make_strand(pool);
  for (int i = 0; i < 50; ++i) {
    outlay::co_spawn(asio::make_strand(pool), walk(checks, "own " + std::to_string(i), 5), asio::detached);
    outlay::co_spawn(shared, walk(checks, "shared " + std::to_string(i), 5), asio::detached);
  }
  pool.join();
  checks.report(100 * 17);
}

TEST_CASE("co_spawn: the system executor carries the context", "[asio][context]") {
  Checks checks;
  std::vector<std::future<void>> running;
  for (int i = 0; i < 50; ++i)
    running.push_back(outlay::co_spawn(asio::system_executor(), walk(checks, std::to_string(i), 5), asio::use_future));
  for (std::future<void>& each : running) each.get();
  checks.report(50 * 17);
}

TEST_CASE("co_spawn: an executor that already carries a context is wrapped once, with the new one", "[asio][context]") {
  Checks checks;
  asio::thread_pool pool(4);
  for (int i = 0; i < 50; ++i) {
    outlay::co_spawn(
        pool,
        [&checks, i]() -> asio::awaitable<void> {
          const std::string name = "outer " + std::to_string(i);
          Track outer({{"who", name}});
          const asio::any_io_executor executor = co_await asio::this_coro::executor;
          checks.that(executor.target<outlay::ContextExecutor<asio::thread_pool::executor_type>>() != nullptr);
          outlay::co_spawn(executor, walk(checks, "child " + std::to_string(i), 5, name), asio::detached);
          outlay::co_spawn_root(executor, walk(checks, "root child " + std::to_string(i), 5), asio::detached);
          co_await hop();
          checks.is(who(), name);
        },
        asio::detached);
  }
  pool.join();
  checks.report(50 * 35);
}

TEST_CASE("co_spawn: inherits the context of the call, co_spawn_root starts empty", "[asio][context]") {
  Checks checks;
  asio::io_context io;
  {
    Track track({{"who", "main"}});
    outlay::co_spawn(io, walk(checks, "child", 3, "main"), asio::detached);
    outlay::co_spawn_root(io, walk(checks, "root", 3), asio::detached);
    auto later = outlay::co_spawn(io, walk(checks, "deferred", 3, "main"), asio::deferred);
    {
      Track other({{"who", "elsewhere"}});
      std::move(later)(asio::detached);
    }
  }
  CHECK(Context::current().empty());
  io.run();  // the scopes have closed; the coroutines have them still
  checks.report(3 * 11);
}

TEST_CASE("co_spawn: inherits with every token", "[asio][context][token]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto expect_main = [&checks]() -> asio::awaitable<int> {
    checks.is(who(), "main");
    co_await hop();
    checks.is(who(), "main");
    co_return 7;
  };
  {
    Track track({{"who", "main"}});
    CHECK(outlay::co_spawn(pool, expect_main, asio::use_future).get() == 7);
    outlay::co_spawn(pool, expect_main, asio::detached);
    std::promise<int> result;
    outlay::co_spawn(pool, expect_main, [&](std::exception_ptr, int value) {
      checks.is(who(), "main");
      result.set_value(value);
    });
    CHECK(result.get_future().get() == 7);
    const auto parent = [&]() -> asio::awaitable<void> {
      const auto executor = pool.get_executor();
      checks.that(co_await outlay::co_spawn(executor, expect_main, asio::use_awaitable) == 7);
      // Boost 1.81 cannot await a deferred operation with a value and an exception directly.
      const auto expect_main_too = [&]() -> asio::awaitable<void> {
        checks.is(who(), "main");
        co_return;
      };
      co_await outlay::co_spawn(executor, expect_main_too, asio::deferred);
      const auto [error, value] = co_await outlay::co_spawn(executor, expect_main, asio::as_tuple(asio::use_awaitable));
      checks.that(!error && value == 7);
      checks.is(who(), "main");
    };
    outlay::co_spawn(pool, parent, asio::use_future).get();
  }
  pool.join();
  checks.report(5 * 2 + 1 + 1 + 3);
}

namespace {

asio::awaitable<void> await_in_every_way(Checks& checks, std::string name) {
  Track track({{"who", name}});
  const auto executor = co_await asio::this_coro::executor;
  co_await asio::post(executor, asio::use_awaitable);
  checks.is(who(), name);
  co_await asio::post(executor, asio::deferred);
  checks.is(who(), name);
  auto operation = asio::post(executor, asio::deferred);
  co_await std::move(operation);
  checks.is(who(), name);

  asio::steady_timer timer(executor);
  timer.expires_after(std::chrono::seconds(0));
  const auto [error] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  checks.that(!error);
  checks.is(who(), name);
  timer.expires_after(std::chrono::hours(1));
  asio::post(executor, [&timer] { timer.cancel(); });
  boost::system::error_code code;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, code));
  checks.that(code == asio::error::operation_aborted);
  checks.is(who(), name);
}

}  // namespace

TEST_CASE("awaits: the context is back after use_awaitable, deferred, as_tuple and redirect_error",
          "[asio][context][token]") {
  Checks checks;
  asio::thread_pool pool(4);
  for (int i = 0; i < 50; ++i)
    outlay::co_spawn(asio::make_strand(pool), await_in_every_way(checks, std::to_string(i)), asio::detached);
  pool.join();
  checks.report(50 * 7);
}

TEST_CASE("awaits: a future made in a coroutine runs its work in the context of its start", "[asio][context][token]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto coroutine = [&]() -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    std::future<std::string> answer;
    {
      Track track({{"who", "future"}});
      answer = asio::post(executor, asio::use_future([] { return who(); }));
    }
    checks.is(answer.get(), "future");
    checks.is(who(), "");
  };
  outlay::co_spawn(pool, coroutine, asio::detached);
  pool.join();
  checks.report(2);
}

TEST_CASE("awaits: dispatch, post and defer nested inline leave the context as it was", "[asio][context]") {
  Checks checks;
  asio::io_context io;
  const auto coroutine = [&]() -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    Track track({{"who", "me"}});
    for (int i = 0; i < 10; ++i) {
      co_await asio::dispatch(executor, asio::use_awaitable);
      checks.is(who(), "me");
      co_await asio::defer(executor, asio::use_awaitable);
      checks.is(who(), "me");
      co_await asio::post(executor, asio::use_awaitable);
      checks.is(who(), "me");
      asio::dispatch(executor, [&] {  // runs here and now
        checks.is(who(), "me");
        Track inner({{"who", "inline"}});
        asio::dispatch(executor, [&] { checks.is(who(), "inline"); });
      });
      checks.is(who(), "me");
    }
  };
  outlay::co_spawn(io, coroutine, asio::detached);
  outlay::co_spawn(io, walk(checks, "other", 10), asio::detached);
  io.run();
  checks.report(10 * 6 + 32);
}

TEST_CASE("awaits: post to another executor with use_awaitable does not move the coroutine or its context",
          "[asio][context]") {
  Checks checks;
  asio::io_context io;
  asio::thread_pool pool(2);
  const std::thread::id here = std::this_thread::get_id();
  const auto coroutine = [&]() -> asio::awaitable<void> {
    Track track({{"who", "me"}});
    co_await asio::post(pool, asio::use_awaitable);
    checks.that(std::this_thread::get_id() == here);
    checks.is(who(), "me");
  };
  outlay::co_spawn(io, coroutine, asio::detached);
  io.run();
  pool.join();
  checks.report(2);
}

TEST_CASE("on: a hop to on(pool) keeps the context, and scopes that open there survive", "[asio][context][on]") {
  Checks checks;
  asio::io_context io;
  asio::thread_pool pool(4);
  const auto coroutine = [&](std::string name) -> asio::awaitable<void> {
    const std::thread::id here = std::this_thread::get_id();
    Track track({{"who", name}});
    for (int i = 0; i < 5; ++i) {
      const auto there = outlay::on(pool);
      co_await asio::post(asio::bind_executor(there, asio::use_awaitable));
      checks.that(std::this_thread::get_id() != here);
      checks.is(who(), name);
      const std::string inner_name = name + " inner";
      Track inner({{"who", inner_name}});
      co_await hop();
      checks.that(std::this_thread::get_id() == here);
      checks.is(who(), inner_name);
    }
  };
  for (int i = 0; i < 20; ++i) outlay::co_spawn(io, coroutine("c" + std::to_string(i)), asio::detached);
  io.run();
  pool.join();
  checks.report(20 * 5 * 4);
}

TEST_CASE("exceptions: scopes close on the way out and the caller's context is whole", "[asio][context][exception]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto thrower = [&checks](std::string name) -> asio::awaitable<void> {
    Track track({{"who", name}});
    co_await hop();
    checks.is(who(), name);
    throw std::runtime_error(name);
  };
  const auto caller = [&](int i) -> asio::awaitable<void> {
    const std::string name = std::to_string(i);
    Track track({{"who", name}});
    bool caught = false;
    try {
      co_await thrower(name + " inner");
    } catch (const std::runtime_error&) {
      caught = true;
    }
    checks.that(caught);
    checks.is(who(), name);
    caught = false;
    try {
      co_await outlay::branch(thrower(name + " branch"));
    } catch (const std::runtime_error&) {
      caught = true;
    }
    checks.that(caught);
    checks.is(who(), name);
    co_await hop();
    checks.is(who(), name);
  };
  for (int i = 0; i < 50; ++i) outlay::co_spawn(pool, caller(i), asio::detached);
  pool.join();
  checks.report(50 * 7);
}

TEST_CASE("branch: children nest, each below the context it was started in", "[asio][context][branch]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto parent = [&](std::string name) -> asio::awaitable<void> {
    Track track({{"who", name}});
    const auto child = [&checks, name]() -> asio::awaitable<int> {
      checks.is(who(), name);
      Track inner({{"who", name + " child"}});
      co_await hop();
      co_await outlay::branch(walk(checks, name + " grandchild", 3, name + " child"));
      checks.is(who(), name + " child");
      co_return 5;
    };
    checks.that(co_await outlay::branch(child) == 5);
    checks.is(who(), name);
  };
  for (int i = 0; i < 50; ++i) outlay::co_spawn(pool, parent(std::to_string(i)), asio::detached);
  pool.join();
  checks.report(50 * 15);
}

TEST_CASE("frames: an awaitable that never starts holds nothing", "[asio][context][frames]") {
  const outlay::MisuseCounts before = outlay::misuse_counts();
  Checks checks;
  {
    Track track({{"who", "main"}});
    static_cast<void>(outlay::branch(walk(checks, "never", 3)));
    asio::io_context io;
    outlay::co_spawn(io, walk(checks, "never run", 3, "main"), asio::detached);
  }
  CHECK(Context::current().empty());
  CHECK(outlay::misuse_counts().closed_elsewhere == before.closed_elsewhere);
}

TEST_CASE("frames: an io_context destroyed on another thread destroys suspended scopes without a word",
          "[asio][context][frames]") {
  const outlay::MisuseCounts before = outlay::misuse_counts();
  Checks checks;
  auto io = std::make_unique<asio::io_context>();
  int suspended = 0;
  const auto sleeper = [&](std::string name) -> asio::awaitable<void> {
    Track outer({{"who", name}});
    co_await hop();
    Track inner({{"who", name + " inner"}});
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::hours(1));
    ++suspended;
    co_await timer.async_wait(asio::use_awaitable);
  };
  {
    Track track({{"who", "spawner"}});
    for (int i = 0; i < 20; ++i) outlay::co_spawn(*io, sleeper(std::to_string(i)), asio::detached);
  }
  while (suspended < 20) io->run_one();
  std::thread([&] {
    Track own({{"who", "destroyer"}});
    io.reset();
    checks.is(who(), "destroyer");
  }).join();
  checks.report(1);
  const outlay::MisuseCounts after = outlay::misuse_counts();
  CHECK(after.closed_elsewhere == before.closed_elsewhere);
  CHECK(after.closed_out_of_order == before.closed_out_of_order);
}

TEST_CASE("inline completion: a coroutine resumed inside another's run has its own context, and so has the other",
          "[asio][context]") {
  Checks checks;
  asio::io_context io;
  Gate gate;
  const auto waiter = [&]() -> asio::awaitable<void> {
    Track track({{"who", "waiter"}});
    co_await gate.async_wait(asio::use_awaitable);
    checks.is(who(), "waiter");
    Track inner({{"who", "waiter inner"}});
    co_await hop();
    checks.is(who(), "waiter inner");
  };
  const auto opener = [&]() -> asio::awaitable<void> {
    Track track({{"who", "opener"}});
    const auto root_child = [&]() -> asio::awaitable<void> {
      checks.is(who(), "");
      Track child({{"who", "root child"}});
      co_return;
    };
    // On one thread a child starts inline.
    outlay::co_spawn_root(co_await asio::this_coro::executor, root_child, asio::detached);
    checks.is(who(), "opener");
    gate.complete();
    checks.is(who(), "opener");
    co_await hop();
    checks.is(who(), "opener");
  };
  outlay::co_spawn(io, waiter, asio::detached);
  io.poll();
  REQUIRE(gate.taken());
  outlay::co_spawn(io, opener, asio::detached);
  io.restart();
  io.run();
  checks.report(6);
}

TEST_CASE("homes: an operation without a tracked executor resumes in the innermost open scope",
          "[asio][context][home]") {
  Checks checks;
  asio::io_context io;
  Gate gate;
  const auto waiter = [&]() -> asio::awaitable<void> {
    Track outer({{"who", "outer"}});
    {
      Track inner({{"who", "inner"}});
      co_await gate.async_wait(asio::use_awaitable);
      checks.is(who(), "inner");
    }
    co_await gate.async_wait(asio::use_awaitable);
    checks.is(who(), "outer");
  };
  outlay::co_spawn(io, waiter, asio::detached);
  for (int i = 0; i < 2; ++i) {
    io.restart();
    io.poll();
    REQUIRE(gate.taken());
    Track stranger({{"who", "stranger"}});
    gate.complete();
  }
  io.restart();
  io.run();
  checks.report(2);
}

TEST_CASE("ContextExecutor: fits any_io_executor's own storage, whatever it is made of", "[asio][context]") {
  // 1.81's holds a shared_ptr and one word more.
  constexpr std::size_t own_storage = sizeof(std::shared_ptr<void>) + sizeof(void*);
  using outlay::ContextExecutor;
  using outlay::detail::Compact;
  STATIC_REQUIRE(sizeof(ContextExecutor<asio::io_context::executor_type>) == 2 * sizeof(void*));
  STATIC_REQUIRE(sizeof(ContextExecutor<asio::thread_pool::executor_type>) <= own_storage);
  STATIC_REQUIRE(sizeof(ContextExecutor<Compact<asio::strand<asio::any_io_executor>>>) <= own_storage);
  STATIC_REQUIRE(sizeof(ContextExecutor<Compact<asio::any_io_executor>>) <= own_storage);
}

TEST_CASE("homes: a stranger may submit work while the owner opens and closes scopes", "[asio][context][home]") {
  Checks checks;
  asio::thread_pool pool(2);
  std::promise<asio::any_io_executor> executor;
  std::atomic<bool> done{false};
  const auto owner = [&]() -> asio::awaitable<void> {
    executor.set_value(co_await asio::this_coro::executor);
    for (int i = 0; i < 5'000; ++i) {
      Track outer({{"who", "outer"}});
      checks.is(who(), "outer");
      {
        Track inner({{"who", "inner"}});
        checks.is(who(), "inner");
      }
      if (i % 100 == 0) co_await hop();
    }
    done = true;
  };
  outlay::co_spawn(pool, owner, asio::detached);
  const asio::any_io_executor theirs = executor.get_future().get();
  int submitted = 0;
  while (!done && submitted < 20'000) {
    asio::post(theirs, [&checks] {
      const std::string found = who();
      checks.that(found.empty() || found == "outer" || found == "inner");
    });
    ++submitted;
  }
  pool.join();
  checks.report(10'000);
}

namespace {

/// Its end says that nothing holds the ledger any more.
class Witness final : public outlay::Sink {
 public:
  explicit Witness(std::atomic<bool>& gone) : gone_(gone) {}
  ~Witness() override { gone_ = true; }
  void write(const outlay::Record&) override {}

 private:
  std::atomic<bool>& gone_;
};

}  // namespace

TEST_CASE("references: a ledger whose scope has closed ends with the next suspension at the latest",
          "[asio][context][references]") {
  Checks checks;
  asio::io_context io;
  const auto coroutine = [&]() -> asio::awaitable<void> {
    std::atomic<bool> gone = false;
    {
      outlay::Ledger ledger;
      ledger.add_sink(std::make_shared<Witness>(gone));
      const outlay::LedgerScope scope(ledger);
      for (int i = 0; i < 3; ++i) co_await hop();
      checks.that(!gone);
    }
    co_await hop();
    checks.that(gone);
  };
  outlay::co_spawn(io, coroutine, asio::detached);
  io.run();
  checks.report(2);
}

TEST_CASE("references: what coroutines held is given back when their last run ends, though the threads go on",
          "[asio][context][references]") {
  Checks checks;
  std::atomic<bool> gone = false;
  std::atomic<int> running = 50;
  asio::thread_pool pool(4);
  auto work = asio::make_work_guard(pool);
  const auto until = [deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30)](auto done) {
    while (!done() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return done();
  };
  {
    outlay::Ledger ledger;
    ledger.add_sink(std::make_shared<Witness>(gone));
    const outlay::LedgerScope scope(ledger);
    for (int i = 0; i < 50; ++i)
      outlay::co_spawn(pool, walk(checks, std::to_string(i), 5), [&](std::exception_ptr) { --running; });
    CHECK(until([&] { return running == 0; }));
    CHECK_FALSE(gone);
  }
  CHECK(until([&] { return gone.load(); }));
  work.reset();
  pool.join();
  checks.report(50 * 17);
}
