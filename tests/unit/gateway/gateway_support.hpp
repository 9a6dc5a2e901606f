#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "outlay/gateway.hpp"
#include "outlay/ledger.hpp"
#include "support/fault_server.hpp"

namespace test {

using namespace outlay::literals;

/// A gateway on a thread of its own, with books of its own, that passes everything to one upstream.
class RunningGateway {
 public:
  RunningGateway(const std::string& upstream, std::optional<outlay::BudgetOptions> cap,
                 outlay::GatewayOptions options = {}, std::vector<outlay::Rule> rules = {}, bool own_upstreams = false,
                 std::chrono::milliseconds drain = std::chrono::milliseconds(0))
      : gateway_(io_.get_executor(), with_upstream(std::move(options), upstream, own_upstreams, drain)) {
    ledger_.set_rules(std::move(rules));
    outlay::co_spawn(io_, serve(gateway_, ledger_, std::move(cap)),
                     [this](std::exception_ptr error) { error_ = error; });
    thread_ = std::thread([this] { io_.run(); });
  }
  RunningGateway(const RunningGateway&) = delete;
  RunningGateway& operator=(const RunningGateway&) = delete;
  ~RunningGateway() { stop(); }

  /// Returns when everything has ended.
  void stop() {
    gateway_.stop();
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] outlay::Gateway& gateway() noexcept { return gateway_; }
  [[nodiscard]] outlay::Ledger& ledger() noexcept { return ledger_; }
  [[nodiscard]] std::uint16_t port() const noexcept { return gateway_.port(); }

 private:
  static outlay::GatewayOptions with_upstream(outlay::GatewayOptions options, const std::string& url,
                                              bool own_upstreams, std::chrono::milliseconds drain) {
    if (!own_upstreams) {
      options.upstreams.clear();
      options.upstreams.push_back({.name = "openai", .url = url + "/v1", .paths = {"/v1/"}});
      options.upstreams.push_back({.name = "anthropic", .url = url, .paths = {"/v1/messages"}});
      options.upstreams.push_back({.name = "gemini", .url = url, .paths = {"/v1beta/"}});
      options.upstreams.push_back({.name = "cohere", .url = url, .paths = {"/v2/"}});
      options.upstreams.push_back({.name = "mistral", .url = url});
      options.upstreams.push_back({.name = "ollama", .url = url, .paths = {"/api/"}});
    }
    options.drain = drain;
    return options;
  }
  static boost::asio::awaitable<void> serve(outlay::Gateway& gateway, outlay::Ledger ledger,
                                            std::optional<outlay::BudgetOptions> cap) {
    const outlay::LedgerScope books(ledger);
    std::optional<outlay::Budget> budget;
    if (cap) budget.emplace(std::move(*cap));
    co_await gateway.serve();
  }

  boost::asio::io_context io_{1};
  outlay::Ledger ledger_{};
  outlay::Gateway gateway_;
  std::exception_ptr error_{};
  std::thread thread_{};
};

struct WireReply {
  int status = 0;
  std::string head{};  // fields as lines
  std::string body{};
  [[nodiscard]] std::string field(const std::string& name) const {
    const std::string start = "\n" + name + ": ";
    const std::size_t at = head.find(start);
    if (at == head.npos) return {};
    const std::size_t begin = at + start.size();
    return head.substr(begin, head.find('\n', begin) - begin);
  }
};

/// A connection to a gateway that writes what it is told.
class Wire {
 public:
  explicit Wire(std::uint16_t port) {
    socket_.connect({boost::asio::ip::address_v4::loopback(), port});
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  void send(std::string_view text) {
    boost::system::error_code ignored;
    boost::asio::write(socket_, boost::asio::buffer(text.data(), text.size()), ignored);
  }
  /// The next reply. Status 0: the connection was closed without one, or in its middle; `body` has what had come.
  WireReply reply() {
    namespace http = boost::beast::http;
    http::response_parser<http::string_body> parser;
    parser.body_limit(std::size_t{64} << 20);
    boost::system::error_code error;
    http::read(socket_, buffer_, parser, error);
    WireReply reply;
    reply.status = static_cast<int>(parser.get().result_int());
    reply.body = parser.get().body();
    if (error) {
      reply.status = 0;
      return reply;
    }
    reply.head = "\n";
    for (const auto& field : parser.get().base())
      reply.head.append(field.name_string().data(), field.name_string().size())
          .append(": ")
          .append(field.value().data(), field.value().size())
          .append("\n");
    return reply;
  }
  /// At least one byte of what comes next, as it is on the wire; empty at the end.
  std::string some() {
    std::string text(64 << 10, '\0');
    boost::system::error_code error;
    text.resize(socket_.read_some(boost::asio::buffer(text), error));
    return text;
  }
  /// Something has come, or the end.
  [[nodiscard]] bool readable() {
    pollfd awaited{.fd = socket_.native_handle(), .events = POLLIN, .revents = 0};
    return ::poll(&awaited, 1, 0) > 0;
  }
  void close() { socket_.close(); }

 private:
  boost::asio::io_context io_{};
  boost::asio::ip::tcp::socket socket_{io_};
  boost::beast::flat_buffer buffer_{};
};

inline std::string post(std::string_view target, std::string_view body, std::string_view fields = {}) {
  std::string text("POST ");
  return text.append(target)
      .append(" HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n")
      .append(fields)
      .append("Content-Length: ")
      .append(std::to_string(body.size()))
      .append("\r\n\r\n")
      .append(body);
}
inline std::string get(std::string_view target, std::string_view fields = {}) {
  return std::string("GET ").append(target).append(" HTTP/1.1\r\nHost: 127.0.0.1\r\n").append(fields).append("\r\n");
}
inline WireReply ask(const RunningGateway& gateway, std::string_view text) {
  Wire wire(gateway.port());
  wire.send(text);
  return wire.reply();
}

inline Plan answer(std::string bytes, Plan::Then then = Plan::Then::keep_alive) {
  Plan plan;
  plan.bytes = std::move(bytes);
  plan.then = then;
  return plan;
}

/// A request with an odd layout, so that any rewriting shows.
inline std::string chat_text(int ceiling = 100, std::string_view more = {}) {
  return "{ \"model\":\"gpt-4o\" ,\n  \"max_completion_tokens\": " + std::to_string(ceiling) + std::string(more) +
         ", \"messages\":[{\"role\":\"user\",\"content\":\"Tell me \\u0061bout the weather.\"}]}";
}
/// 20 tokens in at $2.50, 5 out at $10 a million: $0.0001.
inline std::string chat_reply_body(const std::string& model = "gpt-4o-2024-08-06") {
  return R"({"id":"c","object":"chat.completion","model":")" + model +
         R"(","choices":[{"index":0,"message":{"role":"assistant",)"
         R"("content":"It rains."},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25}})";
}
/// Answers every request with that reply.
inline FaultServer chat_upstream() {
  return FaultServer([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
}
inline std::string delta_event(std::string_view text) {
  return R"(data: {"id":"chat-1","object":"chat.completion.chunk","created":7,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{"content":")" +
         std::string(text) + "\"}}]}\n\n";
}
inline std::string usage_event() {
  return "data: "
         "{\"model\":\"gpt-4o-2024-08-06\",\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":5}}"
         "\n\n";
}
inline std::vector<std::string> chat_stream_events() {
  return {delta_event("It"), delta_event(" rains"),
          delta_event("."),  "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
          usage_event(),     "data: [DONE]\n\n"};
}

}  // namespace test
