#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>

#include "cent.hpp"
#include "coroutine_support.hpp"
#include "outlay/testing.hpp"

using namespace std::chrono_literals;
using namespace outlay::literals;
using outlay::Budget;
using outlay::Call;
using outlay::CallRequest;
using outlay::OnUnreachable;
using outlay::Result;
using outlay::StoreBackend;
using outlay::Window;
using outlay::testing::Weather;
using outlay::testing::WeatheredBackend;

namespace {

std::shared_ptr<outlay::Store> stormy(const std::shared_ptr<Weather>& weather, StoreBackend::Distance distance,
                                      std::chrono::milliseconds timeout = 10s) {
  return std::make_shared<outlay::Store>(
      std::make_unique<WeatheredBackend>(weather, distance),
      outlay::StoreOptions{.on_unreachable = OnUnreachable::deny(), .timeout = timeout});
}

outlay::BudgetOptions a_dollar(const std::shared_ptr<outlay::Store>& store) {
  return {.name = "a dollar", .usd = 1_usd, .window = Window::forever(), .store = store};
}

}  // namespace

TEST_CASE("async_call: a store that takes its time holds up no thread", "[asio][store]") {
  for (const auto distance : {StoreBackend::Distance::local, StoreBackend::Distance::remote}) {
    const auto weather = std::make_shared<Weather>();
    const auto store = stormy(weather, distance);
    asio::io_context io;  // one thread
    weather->hang();
    bool admitted = false, others_ran = false;
    const auto caller = [&]() -> asio::awaitable<void> {
      Budget budget(a_dollar(store));
      Call call = co_await outlay::async_call(cent, asio::use_awaitable);
      admitted = true;
      CHECK(others_ran);
      call.settle(outlay::Usage{});
      CHECK(budget.spent().usd == 0.01_usd);
    };
    const auto other = [&]() -> asio::awaitable<void> {
      others_ran = true;
      CHECK_FALSE(admitted);
      weather->hang(false);
      co_return;
    };
    outlay::co_spawn(io, caller, asio::detached);
    outlay::co_spawn(io, other, asio::detached);
    io.run();
    CHECK(admitted);
    store->flush();
    CHECK(store->state("a dollar", Window::forever()).reserved == outlay::Amounts{});
  }
}

TEST_CASE("async_call: a store that never answers is unreachable after its timeout", "[asio][store]") {
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, StoreBackend::Distance::remote, 20ms);
  weather->hang();
  const auto caller = [&]() -> asio::awaitable<void> {
    Budget budget(a_dollar(store));
    bool refused = false;
    try {
      Call call = co_await outlay::async_call(cent, asio::use_awaitable);
    } catch (const outlay::StoreUnavailable&) {
      refused = true;
    }
    CHECK(refused);
  };
  asio::io_context io;
  outlay::co_spawn(io, caller, asio::detached);
  io.run();
  weather->hang(false);
  store->flush();
  CHECK(store->state("a dollar", Window::forever()).reserved == outlay::Amounts{});
}

TEST_CASE("async_call: cancelled while the store is asked, nothing stays reserved", "[asio][store]") {
  const auto weather = std::make_shared<Weather>();
  const auto store = stormy(weather, StoreBackend::Distance::remote);
  asio::io_context io;
  asio::cancellation_signal signal;
  weather->hang();
  bool cancelled = false;
  const auto caller = [&]() -> asio::awaitable<void> {
    Budget budget(a_dollar(store));
    const Result<Call> result =
        co_await outlay::async_try_call(cent, asio::bind_cancellation_slot(signal.slot(), asio::use_awaitable));
    cancelled = !result && result.error().reason() == outlay::errc::cancelled;
  };
  outlay::co_spawn(io, caller, asio::detached);
  asio::post(io, [&] { signal.emit(asio::cancellation_type::terminal); });
  io.run();
  CHECK(cancelled);
  weather->hang(false);
  store->flush();
  const auto state = store->state("a dollar", Window::forever());
  CHECK(state.reserved == outlay::Amounts{});
  CHECK(state.spent == outlay::Amounts{});
}

TEST_CASE("async_call: two hundred coroutines against a dollar in a store: exactly a hundred", "[asio][store]") {
  for (const auto distance :
       {StoreBackend::Distance::memory, StoreBackend::Distance::local, StoreBackend::Distance::remote}) {
    const auto store = stormy(std::make_shared<Weather>(), distance);
    asio::thread_pool pool(4);
    std::atomic<int> admitted{0};
    {
      Budget budget(a_dollar(store));
      const auto caller = [&]() -> asio::awaitable<void> {
        Result<Call> call = co_await outlay::async_try_call(cent, asio::use_awaitable);
        if (!call) co_return;
        call->sent();
        call->settle(outlay::Usage{});
        ++admitted;
      };
      for (int i = 0; i < 200; ++i) outlay::co_spawn(pool, caller, asio::detached);
      pool.join();
    }
    CHECK(admitted == 100);
    store->flush();
    CHECK(store->state("a dollar", Window::forever()).spent.usd == 1_usd);
  }
}

TEST_CASE("async_call: waits for room in a store without holding a thread", "[asio][store]") {
  const auto store = stormy(std::make_shared<Weather>(), StoreBackend::Distance::remote);
  asio::io_context io;
  int done = 0;
  Budget budget({.name = "one at a time",
                 .concurrent = 1,
                 .on_exceed = outlay::Wait{1min},
                 .window = Window::forever(),
                 .store = store});
  const auto caller = [&]() -> asio::awaitable<void> {
    Call call = co_await outlay::async_call(cent, asio::use_awaitable);
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    call.settle(outlay::Usage{});
    ++done;
  };
  for (int i = 0; i < 5; ++i) outlay::co_spawn(io, caller, asio::detached);
  io.run();
  CHECK(done == 5);
}
