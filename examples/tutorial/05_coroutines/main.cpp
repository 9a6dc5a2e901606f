// Ten coroutines on a pool of threads share one budget: at most three calls at a time, and eight cents in all.
#include <atomic>
#include <boost/asio.hpp>
#include <chrono>
#include <iostream>
#include <outlay/asio.hpp>
#include <string>

namespace asio = boost::asio;
using namespace outlay::literals;

std::atomic<int> answered{0}, refused{0}, mixed_up{0};

// Stands for an HTTP client in coroutines.
asio::awaitable<outlay::Usage> ask(std::string /*model*/) {
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(2));
  co_await timer.async_wait(asio::use_awaitable);  // other coroutines run meanwhile, on this thread, too
  co_return outlay::Usage{.input = 2'000, .output = 500};
}

asio::awaitable<void> session(std::string user) {
  outlay::Track track({{"user_id", user}});
  try {
    // Waits its turn without holding up the thread.
    outlay::Call call = co_await outlay::async_call(
        {.model = "gpt-4o", .input_tokens = 2'000, .max_output_tokens = 500}, asio::use_awaitable);
    call.sent();
    const std::string model = call.model();
    const outlay::Usage usage = co_await ask(model);
    call.settle(usage);  // $0.01
    ++answered;
  } catch (const outlay::BudgetExceeded&) {
    ++refused;
  }
  if (outlay::Context::current().tag("user_id") != user) ++mixed_up;  // the tags are still this session's own
}

int main() {
  outlay::Budget budget({.name = "sessions", .usd = 0.08_usd});
  outlay::Budget queue({.name = "queue", .concurrent = 3, .on_exceed = outlay::Wait{}});

  asio::thread_pool pool(2);
  for (int i = 0; i < 10; ++i)
    outlay::co_spawn(pool, session("user " + std::to_string(i)), asio::detached);  // inside the two budgets
  pool.join();

  std::cout << answered << " answered, " << refused << " refused, " << mixed_up << " with the tags of another\n"
            << budget.state() << '\n'
            << queue.state() << '\n';
}
