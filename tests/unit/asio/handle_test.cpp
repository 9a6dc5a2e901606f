// Sessions: one budget in many coroutines, on many threads.
#include <boost/asio/use_future.hpp>
#include <future>

#include "cent.hpp"
#include "coroutine_support.hpp"
#include "outlay/outlay.hpp"

using namespace outlay::literals;
using outlay::Attach;
using outlay::BudgetHandle;
using outlay::Call;
using outlay::CallRequest;
using outlay::Result;

TEST_CASE("budget handle: coroutines on a pool share a session, and each keeps its own scopes", "[asio][handle]") {
  Checks checks;
  const BudgetHandle first({.name = "first", .usd = 1_usd}), second({.name = "second", .usd = 1_usd});
  asio::thread_pool pool(4);
  const auto task = [&](int number) -> asio::awaitable<int> {
    const BudgetHandle& session = number % 2 == 0 ? first : second;
    const Track track({{"who", std::to_string(number)}});
    co_await hop();
    int admitted = 0;
    for (int i = 0; i < 20; ++i) {
      const Attach in(session);
      co_await hop();
      checks.is(who(), std::to_string(number));
      checks.is(Context::current().budgets().at(0), session.name());
      Result<Call> call = co_await outlay::async_try_call(cent, asio::use_awaitable);
      co_await hop();
      if (!call) continue;
      call->settle(outlay::Usage{});
      ++admitted;
    }
    checks.that(Context::current().budgets().empty());
    co_return admitted;
  };
  std::vector<std::future<int>> tasks;
  for (int number = 0; number < 16; ++number) tasks.push_back(outlay::co_spawn(pool, task(number), asio::use_future));
  int admitted = 0;
  for (auto& one : tasks) admitted += one.get();
  pool.join();
  checks.report(16 * 40);
  CHECK(admitted == 200);
  CHECK(first.spent().usd == 1_usd);
  CHECK(second.spent().usd == 1_usd);
  CHECK(first.reserved() == outlay::Amounts{});
}
