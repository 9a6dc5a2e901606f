#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/defer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <memory>

#include "coroutine_support.hpp"

TEST_CASE("callbacks: one started in a coroutine has the context of its start, wherever the coroutine is by then",
          "[asio][context][callback]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto coroutine = [&](std::string name) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    Track outer({{"who", name}});
    for (int i = 0; i < 10; ++i) {
      const std::string at_start = name + "/" + std::to_string(i);
      auto timer = std::make_shared<asio::steady_timer>(executor, std::chrono::seconds(0));
      {
        Track inner({{"who", at_start}});
        asio::post(executor, [&checks, at_start] { checks.is(who(), at_start); });
        asio::defer(executor, [&checks, at_start] { checks.is(who(), at_start); });
        timer->async_wait([&checks, at_start, timer](boost::system::error_code) { checks.is(who(), at_start); });
      }
      co_await hop();
      Track moved_on({{"who", name + " elsewhere"}});
      co_await hop();
      checks.is(who(), name + " elsewhere");
    }
  };
  for (int i = 0; i < 50; ++i) outlay::co_spawn(pool, coroutine(std::to_string(i)), asio::detached);
  pool.join();
  checks.report(50 * 40);
}

TEST_CASE("callbacks: a scope opened in one ends with it, and starts operations below it",
          "[asio][context][callback]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto coroutine = [&](std::string name) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    Track outer({{"who", name}});
    for (int i = 0; i < 10; ++i) {
      asio::post(executor, [&checks, executor, name] {
        Track inner({{"who", name + " callback"}});
        asio::post(executor, [&checks, name] { checks.is(who(), name + " callback"); });
        checks.is(who(), name + " callback");
      });
      co_await hop();
      checks.is(who(), name);
    }
  };
  for (int i = 0; i < 50; ++i) outlay::co_spawn(pool, coroutine(std::to_string(i)), asio::detached);
  pool.join();
  checks.report(50 * 30);
}

TEST_CASE("callbacks: on a plain executor the context is empty", "[asio][context][callback]") {
  Checks checks;
  asio::io_context io;
  Track track({{"who", "main"}});
  asio::post(io, [&] { checks.is(who(), "main"); });  // on this very thread: its own scopes are open
  io.run();
  std::thread([&] {
    io.restart();
    asio::post(io, [&] { checks.is(who(), ""); });
    io.run();
  }).join();
  checks.report(2);
}

TEST_CASE("bind_context: a handler on a plain executor runs in the context of its making",
          "[asio][context][bind_context]") {
  Checks checks;
  asio::thread_pool pool(2);
  Context elsewhere;
  {
    Track track({{"who", "elsewhere"}});
    elsewhere = Context::current();
  }
  {
    Track track({{"who", "main"}});
    for (int i = 0; i < 20; ++i) {
      asio::post(pool, outlay::bind_context([&checks] { checks.is(who(), "main"); }));
      asio::post(pool, outlay::bind_context(elsewhere, [&checks] { checks.is(who(), "elsewhere"); }));
      asio::post(pool, [&checks] { checks.is(who(), ""); });
    }
  }
  pool.join();
  checks.report(60);
}

TEST_CASE("bind_context: keeps the handler's executor, allocator and cancellation slot",
          "[asio][context][bind_context]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto strand = asio::make_strand(pool);
  asio::cancellation_signal signal;
  const std::allocator<int> allocator;
  Track track({{"who", "main"}});
  auto handler = outlay::bind_context(asio::bind_cancellation_slot(
      signal.slot(), asio::bind_executor(strand, asio::bind_allocator(allocator, [&](boost::system::error_code error) {
                                           checks.that(strand.running_in_this_thread());
                                           checks.that(error == asio::error::operation_aborted);
                                           checks.is(who(), "main");
                                         }))));
  CHECK(asio::get_associated_executor(handler) == strand);
  CHECK(asio::get_associated_executor(handler, pool.get_executor()) == strand);
  CHECK(asio::get_associated_cancellation_slot(handler) == signal.slot());
  CHECK(asio::get_associated_allocator(handler) == allocator);
  asio::steady_timer timer(pool, std::chrono::hours(1));
  timer.async_wait(std::move(handler));
  signal.emit(asio::cancellation_type::total);
  pool.join();
  checks.report(3);
}

TEST_CASE("Context::bind: carries a context into threads and into a coroutine", "[asio][context][bind]") {
  Checks checks;
  Context captured;
  {
    Track track({{"who", "captured"}});
    captured = Context::current();
  }
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back(captured.bind([&checks] {
        checks.is(who(), "captured");
        Track own({{"who", "thread"}});
        checks.is(who(), "thread");
      }));
  }
  asio::thread_pool pool(4);
  const auto coroutine = [&](std::string name) -> asio::awaitable<void> {
    Track own({{"who", name}});
    const auto bound = captured.bind([&checks] { checks.is(who(), "captured"); });
    for (int i = 0; i < 10; ++i) {
      bound();
      checks.is(who(), name);
      co_await hop();
      checks.is(who(), name);
    }
  };
  for (int i = 0; i < 20; ++i) outlay::co_spawn(pool, coroutine(std::to_string(i)), asio::detached);
  pool.join();
  checks.report(8 + 20 * 30);
}

TEST_CASE("Attach: inside a coroutine it survives suspensions and ends with its scope", "[asio][context][attach]") {
  Checks checks;
  Context captured;
  {
    Track track({{"who", "captured"}});
    captured = Context::current();
  }
  asio::thread_pool pool(4);
  const auto coroutine = [&](std::string name) -> asio::awaitable<void> {
    Track own({{"who", name}});
    for (int i = 0; i < 10; ++i) {
      {
        outlay::Attach attach(captured);
        checks.is(who(), "captured");
        co_await hop();
        checks.is(who(), "captured");
        Track inner({{"who", name + " inner"}});
        co_await hop();
        checks.is(who(), name + " inner");
      }
      checks.is(who(), name);
      co_await hop();
      checks.is(who(), name);
    }
  };
  for (int i = 0; i < 50; ++i) outlay::co_spawn(pool, coroutine(std::to_string(i)), asio::detached);
  pool.join();
  checks.report(50 * 50);
}

TEST_CASE("channels: both ends keep their own context", "[asio][context][channel]") {
  Checks checks;
  const auto exchange = [&checks](auto& executor, auto make_channel) {
    for (int pair = 0; pair < 20; ++pair) {
      auto channel = make_channel();
      const std::string id = std::to_string(pair);
      outlay::co_spawn(
          executor,
          [&checks, channel, id]() -> asio::awaitable<void> {
            Track track({{"who", "sender " + id}});
            for (int i = 0; i < 20; ++i) {
              co_await channel->async_send(boost::system::error_code(), i, asio::use_awaitable);
              checks.is(who(), "sender " + id);
            }
          },
          asio::detached);
      outlay::co_spawn(
          executor,
          [&checks, channel, id]() -> asio::awaitable<void> {
            for (int i = 0; i < 20; ++i) {
              Track track({{"who", "receiver " + id}});
              checks.that(co_await channel->async_receive(asio::use_awaitable) == i);
              checks.is(who(), "receiver " + id);
            }
          },
          asio::detached);
    }
  };
  {
    using Channel = asio::experimental::channel<void(boost::system::error_code, int)>;
    asio::io_context io;
    exchange(io, [&] { return std::make_shared<Channel>(io.get_executor(), 2); });
    io.run();
  }
  {
    using Channel = asio::experimental::concurrent_channel<void(boost::system::error_code, int)>;
    asio::thread_pool pool(4);
    exchange(pool, [&] { return std::make_shared<Channel>(pool.get_executor(), 2); });
    pool.join();
  }
  checks.report(2 * 20 * 60);
}

TEST_CASE("parallel groups: of timers and posts come back with the context", "[asio][context][parallel_group]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto coroutine = [&](std::string name) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    Track track({{"who", name}});
    for (int i = 0; i < 5; ++i) {
      asio::steady_timer soon(executor, std::chrono::seconds(0));
      asio::steady_timer later(executor, std::chrono::milliseconds(1));
      co_await asio::experimental::make_parallel_group(
          soon.async_wait(asio::deferred), later.async_wait(asio::deferred), asio::post(executor, asio::deferred))
          .async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
      checks.is(who(), name);
      Track inner({{"who", name + " inner"}});
      co_await hop();
      checks.is(who(), name + " inner");
    }
  };
  for (int i = 0; i < 20; ++i) outlay::co_spawn(asio::make_strand(pool), coroutine(std::to_string(i)), asio::detached);
  pool.join();
  checks.report(20 * 10);
}

TEST_CASE("timers: cancelling another coroutine's wait leaves both contexts alone", "[asio][context][timer]") {
  Checks checks;
  asio::io_context io;
  asio::steady_timer timer(io, std::chrono::hours(1));
  const auto sleeper = [&]() -> asio::awaitable<void> {
    Track track({{"who", "sleeper"}});
    boost::system::error_code code;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, code));
    checks.that(code == asio::error::operation_aborted);
    checks.is(who(), "sleeper");
  };
  const auto canceller = [&]() -> asio::awaitable<void> {
    Track track({{"who", "canceller"}});
    co_await hop();
    timer.cancel();
    checks.is(who(), "canceller");
    co_await hop();
    checks.is(who(), "canceller");
  };
  outlay::co_spawn(io, sleeper, asio::detached);
  outlay::co_spawn(io, canceller, asio::detached);
  io.run();
  checks.report(4);
}

TEST_CASE("cancellation: from another thread, through the coroutine's strand, it unwinds in its own context",
          "[asio][context][cancel]") {
  Checks checks;
  asio::thread_pool pool(4);
  constexpr int count = 50;
  std::vector<asio::cancellation_signal> signals(count);
  std::vector<asio::strand<asio::thread_pool::executor_type>> strands;
  std::atomic<int> waiting{0};
  std::atomic<int> aborted{0};
  const auto sleeper = [&](std::string name) -> asio::awaitable<void> {
    Track track({{"who", name}});
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::hours(1));
    ++waiting;
    try {
      co_await timer.async_wait(asio::use_awaitable);
    } catch (const boost::system::system_error&) {
      checks.is(who(), name);
      ++aborted;
    }
  };
  for (int i = 0; i < count; ++i) {
    const auto index = static_cast<std::size_t>(i);
    strands.push_back(asio::make_strand(pool));
    outlay::co_spawn(strands[index], sleeper(std::to_string(i)),
                     asio::bind_cancellation_slot(signals[index].slot(), asio::detached));
  }
  std::jthread canceller([&] {
    Track own({{"who", "canceller"}});
    while (waiting < count) std::this_thread::yield();
    for (std::size_t i = 0; i < count; ++i)
      asio::dispatch(strands[i], [&signals, i] { signals[i].emit(asio::cancellation_type::terminal); });
    checks.is(who(), "canceller");
  });
  canceller.join();
  pool.join();
  CHECK(aborted == count);
  checks.report(count + 1);
}

namespace {

asio::awaitable<void> use_asios_own(Checks& checks, std::string name) {
  using namespace asio::experimental::awaitable_operators;
  const auto executor = co_await asio::this_coro::executor;
  Track outer({{"who", name}});
  co_await (walk(checks, name + " a", 3, name) && walk(checks, name + " b", 3, name));
  checks.is(who(), name);
  const auto endless = [&checks](std::string own) -> asio::awaitable<void> {
    Track track({{"who", own}});
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::hours(1));
    try {
      co_await timer.async_wait(asio::use_awaitable);
    } catch (...) {
      checks.is(who(), own);
      throw;
    }
  };
  const auto winner = co_await (walk(checks, name + " c", 3, name) || endless(name + " d"));
  checks.that(winner.index() == 0);
  checks.is(who(), name);
  {
    Track inner({{"who", name + " inner"}});
    asio::co_spawn(executor, walk(checks, name + " detached", 3, name + " inner"), asio::detached);
  }
  checks.is(who(), name);
  co_await asio::co_spawn(executor, walk(checks, name + " awaited", 3, name), asio::use_awaitable);
  checks.is(who(), name);
  co_await hop();
  checks.is(who(), name);
}

}  // namespace

TEST_CASE("Asio's own operators and co_spawn: right on one thread", "[asio][context][own]") {
  const outlay::MisuseCounts before = outlay::misuse_counts();
  Checks checks;
  asio::io_context io;
  for (int i = 0; i < 10; ++i) outlay::co_spawn(io, use_asios_own(checks, std::to_string(i)), asio::detached);
  io.run();
  checks.report(10 * 62);
  const outlay::MisuseCounts after = outlay::misuse_counts();
  CHECK(after.closed_elsewhere == before.closed_elsewhere);
  CHECK(after.closed_out_of_order == before.closed_out_of_order);
}

TEST_CASE("Asio's own operators and co_spawn: right on strands of a pool", "[asio][context][own]") {
  const outlay::MisuseCounts before = outlay::misuse_counts();
  Checks checks;
  asio::thread_pool pool(4);
  for (int i = 0; i < 50; ++i)
    outlay::co_spawn(asio::make_strand(pool), use_asios_own(checks, std::to_string(i)), asio::detached);
  pool.join();
  checks.report(50 * 62);
  const outlay::MisuseCounts after = outlay::misuse_counts();
  CHECK(after.closed_elsewhere == before.closed_elsewhere);
  CHECK(after.closed_out_of_order == before.closed_out_of_order);
}

TEST_CASE("Asio's own co_spawn: children on a pool share the home and keep their scopes", "[asio][context][own]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto parent = [&](std::string name) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    Track outer({{"who", name}});
    for (int i = 0; i < 5; ++i)
      asio::co_spawn(executor, walk(checks, name + "/" + std::to_string(i), 5, name), asio::detached);
    for (int i = 0; i < 5; ++i) {
      Track inner({{"who", name + " inner"}});
      co_await hop();
      checks.is(who(), name + " inner");
    }
    checks.is(who(), name);
  };
  for (int i = 0; i < 50; ++i) outlay::co_spawn(pool, parent(std::to_string(i)), asio::detached);
  pool.join();
  checks.report(50 * (5 * 17 + 6));
}
