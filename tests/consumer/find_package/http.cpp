#include <boost/asio/awaitable.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <outlay/http.hpp>
#include <outlay/outlay.hpp>

namespace asio = boost::asio;

asio::awaitable<void> ask(const outlay::http::Client& client, bool& refused) {
  outlay::Budget budget({.name = "consumer", .calls = 1});
  const boost::json::object request{{"model", "gpt-4o-mini"},
                                    {"max_completion_tokens", 20},
                                    {"messages", {{{"role", "user"}, {"content", "Hello"}}}}};
  try {
    co_await client.post(request);
  } catch (const outlay::Error& error) {
    refused = error.code() == outlay::errc::network && budget.spent().calls == 0 && budget.reserved().calls == 0;
  }
}

int main() {
  asio::io_context io;
  // Port 9 is discard's: nobody listens there.
  outlay::http::ClientOptions options;
  options.base_url = "http://127.0.0.1:9/v1";
  options.api_key = "none";
  options.retries.max_attempts = 1;
  const outlay::http::Client client(io, options);
  bool refused = false;
  outlay::co_spawn(io.get_executor(), ask(client, refused), asio::detached);
  io.run();
  return refused ? 0 : 1;
}
