// A client without a helper of its own, here Boost.Beast: guard() around the call that the program makes anyway, with text on both sides.
//
// exit code: 0 if the answer came, 1 for anything else.
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <iostream>
#include <outlay/json.hpp>
#include <string>

#include "local_llm/launch.hpp"

namespace http = boost::beast::http;
using boost::asio::ip::tcp;
using namespace outlay::literals;

int main() try {
  const LocalLlm model;
  const std::string url = model.url(), address = url.substr(7, url.rfind('/') - 7);  // between http:// and /v1
  const std::size_t colon = address.find(':');
  const auto post = [&](const std::string& body) -> outlay::TextReply {
    boost::asio::io_context io;
    tcp::socket socket(io);
    boost::system::error_code failed;
    const auto found = tcp::resolver(io).resolve(address.substr(0, colon), address.substr(colon + 1), failed);
    if (!failed) boost::asio::connect(socket, found, failed);
    if (failed) throw outlay::NotBilled();  // nothing has left: the call is released
    http::request<http::string_body> message(http::verb::post, "/v1/chat/completions", 11, body);
    message.set(http::field::host, address);
    message.set(http::field::content_type, "application/json");
    message.prepare_payload();
    http::write(socket, message);  // what is thrown from here on charges the reservation: it may have been billed
    boost::beast::flat_buffer buffer;
    http::response<http::string_body> reply;
    http::read(socket, buffer, reply);
    return {static_cast<int>(reply.result_int()), reply.body()};  // the status says what is billed
  };

  outlay::Budget budget({.name = "beast", .usd = 0.01_usd});
  const outlay::TextReply reply = outlay::guard(outlay::Api::openai_chat, R"({
    "model": "gpt-4o", "max_completion_tokens": 100, "messages": [{"role": "user", "content": "Where is my refund?"}]})",
                                                post);
  std::cout << reply.body << "\nspent " << budget.spent().usd << '\n';
  return reply.status == 200 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
