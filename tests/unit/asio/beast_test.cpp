#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "coroutine_support.hpp"

namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

namespace {

/// Answers each request with its own tag, which it has set from the request.
asio::awaitable<void> session(Checks& checks, tcp::socket socket) {
  checks.is(who(), "server");
  beast::tcp_stream stream(std::move(socket));
  beast::flat_buffer buffer;
  for (;;) {
    stream.expires_after(std::chrono::seconds(30));
    http::request<http::string_body> request;
    co_await http::async_read(stream, buffer, request, asio::use_awaitable);
    const std::string name = request.body();
    Track track({{"who", name}});
    co_await hop();
    checks.is(who(), name);
    http::response<http::string_body> response(http::status::ok, request.version());
    response.keep_alive(request.keep_alive());
    response.body() = who();
    response.prepare_payload();
    co_await http::async_write(stream, response, asio::use_awaitable);
    checks.is(who(), name);
    if (!response.keep_alive()) break;
  }
}

asio::awaitable<void> server(Checks& checks, tcp::acceptor& acceptor, int connections) {
  Track track({{"who", "server"}});
  const auto executor = co_await asio::this_coro::executor;
  for (int i = 0; i < connections; ++i) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    // Asio's own: on this executor it carries the context.
    asio::co_spawn(executor, session(checks, std::move(socket)), asio::detached);
    checks.is(who(), "server");
  }
}

asio::awaitable<void> client(Checks& checks, tcp::endpoint endpoint, std::string name) {
  Track track({{"who", name}});
  beast::tcp_stream stream(co_await asio::this_coro::executor);
  stream.expires_after(std::chrono::seconds(30));
  co_await stream.async_connect(endpoint, asio::use_awaitable);
  beast::flat_buffer buffer;
  constexpr int requests = 5;
  for (int i = 0; i < requests; ++i) {
    const std::string own = name + "/" + std::to_string(i);
    Track inner({{"who", own}});
    http::request<http::string_body> request(http::verb::post, "/", 11);
    request.keep_alive(i + 1 < requests);
    request.body() = own + " served";
    request.prepare_payload();
    co_await http::async_write(stream, request, asio::use_awaitable);
    checks.is(who(), own);
    http::response<http::string_body> response;
    co_await http::async_read(stream, buffer, response, asio::use_awaitable);
    checks.is(who(), own);
    checks.is(response.body(), own + " served");
  }
  checks.is(who(), name);
}

}  // namespace

TEST_CASE("Beast: an HTTP server and forty clients on a pool keep their contexts over keep-alive connections",
          "[asio][context][beast]") {
  Checks checks;
  asio::thread_pool pool(4);
  tcp::acceptor acceptor(asio::make_strand(pool), {asio::ip::address_v4::loopback(), 0});
  constexpr int connections = 40;
  outlay::co_spawn(pool, server(checks, acceptor, connections), asio::detached);
  for (int i = 0; i < connections; ++i) {
    outlay::co_spawn(asio::make_strand(pool), client(checks, acceptor.local_endpoint(), "client " + std::to_string(i)),
                     asio::detached);
  }
  pool.join();
  checks.report(connections * (1 + 1 + 5 * 5 + 1));
}

TEST_CASE("Beast: a stream that times out ends its wait in the waiter's context", "[asio][context][beast]") {
  Checks checks;
  asio::thread_pool pool(4);
  tcp::acceptor acceptor(pool, {asio::ip::address_v4::loopback(), 0});
  const auto waiter = [&](std::string name) -> asio::awaitable<void> {
    Track track({{"who", name}});
    beast::tcp_stream stream(co_await asio::this_coro::executor);
    co_await stream.async_connect(acceptor.local_endpoint(), asio::use_awaitable);
    stream.expires_after(std::chrono::milliseconds(1));  // nobody ever answers
    beast::flat_buffer buffer;
    http::response<http::string_body> response;
    bool timed_out = false;
    try {
      co_await http::async_read(stream, buffer, response, asio::use_awaitable);
    } catch (const boost::system::system_error& e) {
      timed_out = e.code() == beast::error::timeout;
    }
    checks.that(timed_out);
    checks.is(who(), name);
  };
  for (int i = 0; i < 20; ++i) outlay::co_spawn(asio::make_strand(pool), waiter(std::to_string(i)), asio::detached);
  pool.join();
  checks.report(40);
}
