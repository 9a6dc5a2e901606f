#include <boost/asio/awaitable.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <outlay/asio.hpp>

namespace asio = boost::asio;

asio::awaitable<void> tagged(bool& kept) {
  outlay::Track track({{"user_id", "alice"}});
  co_await asio::post(asio::use_awaitable);
  kept = outlay::Context::current().tag("user_id") == "alice";
}

int main() {
  asio::io_context io;
  bool kept = false;
  outlay::co_spawn(io.get_executor(), tagged(kept), asio::detached);
  io.run();
  return kept && outlay::Context::current().empty() ? 0 : 1;
}
