// guard() over raw Boost.Beast. usage: shim_beast PORT (of a local_llm: plain HTTP on the loopback address)
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <cstdlib>
#include <iostream>
#include <outlay/json.hpp>
#include <outlay/outlay.hpp>
namespace http = boost::beast::http;
namespace json = boost::json;
using namespace outlay::literals;

int main(int argc, char** argv) {
  const auto port = static_cast<std::uint16_t>(argc == 2 ? std::atoi(argv[1]) : 0);
  const auto post = [port](const json::object& body) {
    boost::asio::io_context io;
    boost::beast::tcp_stream stream(io);
    stream.connect({boost::asio::ip::address_v4::loopback(), port});
    http::request<http::string_body> message(http::verb::post, "/v1/chat/completions", 11, json::serialize(body));
    message.set(http::field::host, "127.0.0.1");
    message.set(http::field::content_type, "application/json");
    message.prepare_payload();
    http::write(stream, message);
    boost::beast::flat_buffer buffer;
    http::response<http::string_body> reply;
    http::read(stream, buffer, reply);
    return outlay::HttpReply{static_cast<int>(reply.result_int()), json::parse(reply.body())};
  };
  outlay::Budget budget({.name = "shim", .usd = 0.01_usd});
  const json::value message{{"role", "user"}, {"content", "Where is my refund?"}};
  const json::object request{{"model", "gpt-4o"}, {"max_completion_tokens", 100}, {"messages", {message}}};
  const outlay::HttpReply reply = outlay::guard(outlay::Api::openai_chat, request, post);
  std::cout << json::serialize(reply.body) << "\nspent " << budget.spent().usd << '\n';
  return reply.status == 200 ? 0 : 1;
}
