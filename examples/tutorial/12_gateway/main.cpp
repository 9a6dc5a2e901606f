// Asks a model the same question again and again. This program knows nothing of outlay.
//
// exit code: 0 once the provider refuses to answer.
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <cstdlib>
#include <iostream>
#include <string>

namespace http = boost::beast::http;
using boost::asio::ip::tcp;

int main() {
  const char* base = std::getenv("OPENAI_BASE_URL");  // http://HOST:PORT/PATH, as every SDK reads it
  if (!base) return 1;
  const std::string url = base, rest = url.substr(url.find("://") + 3);
  const std::string address = rest.substr(0, rest.find('/')), path = rest.substr(rest.find('/')) + "/chat/completions";
  const std::size_t colon = address.find(':');

  for (int answers = 0;; ++answers) {
    boost::asio::io_context io;
    tcp::socket socket(io);
    boost::asio::connect(socket, tcp::resolver(io).resolve(address.substr(0, colon), address.substr(colon + 1)));
    http::request<http::string_body> request(http::verb::post, path, 11, R"({
      "model": "gpt-4o", "max_completion_tokens": 100, "messages": [{"role": "user", "content": "Where is my refund?"}]})");
    request.set(http::field::host, address);
    request.set(http::field::content_type, "application/json");
    request.prepare_payload();
    http::write(socket, request);
    boost::beast::flat_buffer buffer;
    http::response<http::string_body> reply;
    http::read(socket, buffer, reply);
    if (reply.result() == http::status::ok) continue;

    std::cout << answers << " answers, then " << reply.result_int() << ": "
              << boost::json::parse(reply.body()).at("error").at("message").as_string().c_str() << '\n';
    return 0;
  }
}
