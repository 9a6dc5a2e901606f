// refused: Give the options a name first
// g++ 12 destroys such a temporary twice.
#include <outlay/asio.hpp>

boost::asio::awaitable<int> work();

boost::asio::awaitable<void> f() {
#ifdef MUST_FAIL
  co_await outlay::async_run({.name = "answer", .calls = 1}, work);
#else
  const outlay::BudgetOptions options{.name = "answer", .calls = 1};
  co_await outlay::async_run(options, work);
#endif
}
