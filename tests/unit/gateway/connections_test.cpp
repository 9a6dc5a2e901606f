#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <string>
#include <thread>

#include "gateway_support.hpp"
#include "outlay/outlay.hpp"
#include "support/catch.hpp"

namespace asio = boost::asio;
using namespace test;
using asio::ip::tcp;

namespace {

outlay::GatewayOptions options_to(const std::string& upstream) {
  outlay::GatewayOptions options;
  options.upstreams.clear();
  options.upstreams.push_back({.name = "openai", .url = upstream + "/v1", .paths = {"/v1/"}});
  return options;
}

std::size_t count_of(const std::string& text, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++count;
  return count;
}

std::string numbers(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += std::to_string(i) + ",";
  return text;
}

}  // namespace

TEST_CASE("gateway: what a peer takes in small pieces reaches it byte for byte", "[gateway]") {
  // More than any socket holds at once, both ways, to peers that announce room for little.
  const std::string body = R"({"model":"gpt-4o","max_completion_tokens":10,"messages":[{"role":"user","content":")" +
                           numbers(500'000) + "\"}]}";
  std::string reply_body = chat_reply_body();
  reply_body.insert(reply_body.size() - 1, ",\"pad\":\"" + numbers(800'000) + "\"");

  asio::io_context io;
  tcp::acceptor upstream(io);
  upstream.open(tcp::v4());
  upstream.set_option(asio::socket_base::receive_buffer_size(4096));
  upstream.bind({asio::ip::address_v4::loopback(), 0});
  upstream.listen();
  std::future<std::string> asked = std::async(std::launch::async, [&] {
    tcp::socket socket(io);
    upstream.accept(socket);
    std::string request;
    boost::system::error_code error;
    for (std::string piece(20'000, '\0'); !error && !request.ends_with(body);)
      request.append(piece, 0, socket.read_some(asio::buffer(piece), error));
    asio::write(socket,
                asio::buffer("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                             std::to_string(reply_body.size()) + "\r\n\r\n" + reply_body),
                error);
    return request;
  });

  RunningGateway gateway("http://127.0.0.1:" + std::to_string(upstream.local_endpoint().port()), std::nullopt);
  tcp::socket client(io);
  client.open(tcp::v4());
  client.set_option(asio::socket_base::receive_buffer_size(4096));
  client.connect({asio::ip::address_v4::loopback(), gateway.port()});
  asio::write(client, asio::buffer(post("/v1/chat/completions", body)));
  std::string reply;
  boost::system::error_code error;
  for (std::string piece(9'000, '\0'); !error && !reply.ends_with(reply_body);)
    reply.append(piece, 0, client.read_some(asio::buffer(piece), error));

  const std::string request = asked.get();
  CHECK(request.substr(request.find("\r\n\r\n") + 4) == body);
  CHECK(reply.starts_with("HTTP/1.1 200"));
  CHECK(reply.substr(reply.find("\r\n\r\n") + 4) == reply_body);
}

TEST_CASE("gateway: a client that asks on and on leaves the others their turn", "[gateway]") {
  constexpr std::size_t asks = 200;
  asio::io_context io{1};
  outlay::Gateway gateway(io.get_executor(), options_to("http://127.0.0.1:1"));
  outlay::co_spawn(io, gateway.serve(), asio::detached);

  asio::io_context own;
  tcp::socket client(own);
  client.connect({asio::ip::address_v4::loopback(), gateway.port()});
  std::string all;
  for (std::size_t i = 0; i < asks; ++i) all += get("/nothing/is/here");
  asio::write(client, asio::buffer(all));

  std::string replies;
  std::size_t most = 0;
  while (count_of(replies, "HTTP/1.1 404") < asks) {
    REQUIRE(io.run_one() == 1);  // one turn
    std::string piece(client.available(), '\0');
    asio::read(client, asio::buffer(piece));
    most = std::max(most, count_of(piece, "HTTP/1.1 404"));
    replies += piece;
  }
  CAPTURE(most);
  CHECK(most <= 17);
  client.close();
  gateway.stop();
  io.run();
}

TEST_CASE("gateway: a cancelled serve() leaves nothing behind that its io_context would wait for", "[gateway]") {
  const FaultServer upstream = chat_upstream();
  asio::io_context io{1};
  outlay::Ledger ledger;
  outlay::Gateway gateway(io.get_executor(), options_to(upstream.url()));
  asio::cancellation_signal signal;
  outlay::co_spawn(io, gateway.serve(), asio::bind_cancellation_slot(signal.slot(), [](const std::exception_ptr&) {}));
  std::thread thread([&io] { io.run(); });
  // It goes on to be connected, and one connection to the upstream is kept for its next request.
  Wire client(gateway.port());
  client.send(post("/v1/chat/completions", chat_text()));
  CHECK(client.reply().status == 200);
  asio::post(io, [&signal] { signal.emit(asio::cancellation_type::terminal); });
  thread.join();  // while the gateway is still there
  CHECK(client.some().empty());
}
