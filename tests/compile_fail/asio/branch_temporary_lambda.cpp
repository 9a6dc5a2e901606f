// refused: Give it a name first
// g++ 12 destroys such a temporary twice.
#include <outlay/asio.hpp>
#include <string>

boost::asio::awaitable<void> f(std::string name) {
#ifdef MUST_FAIL
  co_await outlay::branch([name]() -> boost::asio::awaitable<void> { co_return; });
#else
  auto child = [name]() -> boost::asio::awaitable<void> { co_return; };
  co_await outlay::branch(child);
  co_await outlay::branch([&name]() -> boost::asio::awaitable<void> {
    name.clear();
    co_return;
  });
#endif
}
