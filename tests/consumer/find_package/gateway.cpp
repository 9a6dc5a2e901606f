#include <boost/asio/awaitable.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <outlay/gateway.hpp>
#include <outlay/outlay.hpp>

namespace asio = boost::asio;

asio::awaitable<void> serve(outlay::Gateway& gateway, bool& served) {
  outlay::Budget budget({.name = "consumer", .calls = 1});
  co_await gateway.serve();
  served = budget.spent().calls == 0;
}

int main() {
  asio::io_context io;
  outlay::Gateway gateway(io.get_executor(), {});
  bool served = false;
  outlay::co_spawn(io.get_executor(), serve(gateway, served), asio::detached);
  gateway.stop();
  io.run();
  return served && gateway.port() != 0 ? 0 : 1;
}
