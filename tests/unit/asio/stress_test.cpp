#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "outlay/asio.hpp"
#include "outlay/testing.hpp"
#include "support/catch.hpp"

using namespace outlay::literals;

namespace {

/// One call of exactly $0.01, suspended between admission, sending and settling.
boost::asio::awaitable<void> one_call(std::atomic<int>& ran) {
  const auto executor = co_await boost::asio::this_coro::executor;
  co_await boost::asio::post(executor, boost::asio::use_awaitable);
  const outlay::CallRequest request{.model = "cent", .input_tokens = 0, .max_output_tokens = 0};
  auto call = outlay::try_call(request);
  if (!call) co_return;
  co_await boost::asio::post(executor, boost::asio::use_awaitable);
  call->sent();
  co_await boost::asio::post(executor, boost::asio::use_awaitable);
  call->settle(outlay::Usage{});
  ++ran;
}

void two_hundred_calls(auto& context, const auto& run) {
  outlay::LedgerOptions options;
  options.prices = outlay::testing::fixture_prices();
  const outlay::Ledger ledger(options);
  const outlay::LedgerScope scope(ledger);
  const outlay::Budget budget({.name = "batch", .usd = 1_usd});
  std::atomic<int> ran{0};
  for (int i = 0; i < 200; ++i) outlay::co_spawn(context.get_executor(), one_call(ran), boost::asio::detached);
  run(context);
  REQUIRE(ran == 100);
  REQUIRE(budget.spent().usd == 1_usd);
  REQUIRE(budget.reserved() == outlay::Amounts{});
  REQUIRE(ledger.report().total().calls == 100);
}

}  // namespace

TEST_CASE("stress: 200 coroutines of $0.01 on a pool against $1.00: exactly 100, a hundred times", "[asio][stress]") {
  for (int run = 0; run < 100; ++run) {
    boost::asio::thread_pool pool(4);
    two_hundred_calls(pool, [](auto& context) { context.join(); });
  }
}

TEST_CASE("stress: 200 coroutines of $0.01 on one thread against $1.00: exactly 100, a hundred times",
          "[asio][stress]") {
  for (int run = 0; run < 100; ++run) {
    boost::asio::io_context io(1);
    two_hundred_calls(io, [](auto& context) { context.run(); });
  }
}
