// Many streams at once, each a piece every 20 ms, for `run`: who sends them, and who reads them.
//
//   outlay_gateway_streams upstream SECONDS         listens, prints its port; each stream goes on for so long
//   outlay_gateway_streams client PORT STREAMS      reads them as a program does, with outlay's own client
//   outlay_gateway_streams drain PORT STREAMS PATH  reads them and looks at nothing but their ends
//
// The readers print how many pieces arrived, and the processor time that they took in seconds.
#include <sys/resource.h>
#include <sys/socket.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/http.hpp"
#include "outlay/outlay.hpp"

namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using asio::ip::tcp;
using namespace std::chrono_literals;
using namespace outlay::literals;

constexpr auto between_pieces = 20ms;
constexpr int groups = 20;  // one after the other, so that pieces come evenly

std::string chunk(std::string_view data) {
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", data.size());
  return std::string(size).append(data).append("\r\n");
}
const std::string& piece() {
  static const std::string text = chunk(
      R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06",)"
      R"("choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]})"
      "\n\n");
  return text;
}
const std::string& end() {
  static const std::string text =
      chunk("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":100}}\n\n") +
      chunk("data: [DONE]\n\n") + "0\r\n\r\n";
  return text;
}

json::object request_body() {
  return {{"model", "gpt-4o"},
          {"max_completion_tokens", 2'000},
          {"stream", true},
          {"stream_options", {{"include_usage", true}}},
          {"messages", json::array{{{"role", "user"}, {"content", "Tell me about the weather of the coming days."}}}}};
}

// ---- upstream

struct Sent {
  tcp::socket socket;
  int left;
};

class Upstream {
 public:
  explicit Upstream(int seconds) : pieces_(seconds * static_cast<int>(1s / between_pieces)) {
    std::printf("%u\n", acceptor_.local_endpoint().port());
    std::fflush(stdout);
    asio::co_spawn(io_, accept(), asio::detached);
    asio::co_spawn(io_, tick(), asio::detached);
  }
  void run() { io_.run(); }

 private:
  asio::awaitable<void> accept() {
    for (;;) {
      tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
      asio::co_spawn(io_, begin(std::move(socket)), asio::detached);
    }
  }
  asio::awaitable<void> begin(tcp::socket socket) {
    socket.set_option(tcp::no_delay(true));
    std::string request;
    // Of our own requests, which end with their messages.
    co_await asio::async_read_until(socket, asio::dynamic_buffer(request), "}]}", asio::use_awaitable);
    const std::string_view head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    co_await asio::async_write(socket, asio::buffer(head), asio::use_awaitable);
    sent_[next_++ % groups].push_back({std::move(socket), pieces_});
  }
  asio::awaitable<void> tick() {
    asio::steady_timer timer(io_);
    auto at = std::chrono::steady_clock::now();
    for (std::size_t group = 0;; group = (group + 1) % groups) {
      at += between_pieces / groups;
      timer.expires_at(at);
      co_await timer.async_wait(asio::use_awaitable);
      std::erase_if(sent_[group], [](Sent& one) {
        const std::string& text = one.left-- > 0 ? piece() : end();
        const ssize_t size = ::send(one.socket.native_handle(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        return size != static_cast<ssize_t>(text.size()) || one.left < 0;
      });
    }
  }

  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_, {asio::ip::address_v4::loopback(), 0}};
  const int pieces_;
  std::vector<Sent> sent_[groups];
  std::size_t next_ = 0;
};

// ---- readers

void say(std::int64_t pieces) {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  std::printf("%lld %.3f\n", static_cast<long long>(pieces), seconds(used.ru_utime) + seconds(used.ru_stime));
}

void client(std::uint16_t port, int streams) {
  asio::io_context io(1);
  outlay::http::ClientOptions options;
  options.base_url = "http://127.0.0.1:" + std::to_string(port) + "/v1";
  options.api_key = "sk-bench";
  const outlay::http::Client client(io, options);
  const outlay::Budget budget({.name = "bench", .usd = 10'000_usd});
  const json::object request = request_body();
  std::int64_t pieces = 0;
  const auto read = [&]() -> asio::awaitable<void> {
    outlay::http::ReplyStream stream = co_await client.stream(request);
    while (co_await stream.next()) ++pieces;
  };
  std::exception_ptr failure;
  for (int i = 0; i < streams; ++i)
    outlay::co_spawn(io, read, [&](std::exception_ptr error) {
      if (error) failure = error;
    });
  io.run();
  if (failure) std::rethrow_exception(failure);
  say(pieces);
}

void drain(std::uint16_t port, int streams, const std::string& path) {
  asio::io_context io(1);
  const std::string body = json::serialize(request_body());
  const std::string request = "POST " + path +
                              " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                              "Authorization: Bearer sk-bench\r\nx-outlay-tag-user: alice\r\nContent-Length: " +
                              std::to_string(body.size()) + "\r\n\r\n" + body;
  std::int64_t bytes = 0;
  int whole = 0;
  const auto read = [&]() -> asio::awaitable<void> {
    tcp::socket socket(io);
    co_await socket.async_connect({asio::ip::address_v4::loopback(), port}, asio::use_awaitable);
    co_await asio::async_write(socket, asio::buffer(request), asio::use_awaitable);
    std::vector<char> buffer(16 << 10);
    for (std::string_view got; !got.ends_with("0\r\n\r\n");) {
      got = {buffer.data(), co_await socket.async_read_some(asio::buffer(buffer), asio::use_awaitable)};
      bytes += static_cast<std::int64_t>(got.size());
    }
    ++whole;
  };
  for (int i = 0; i < streams; ++i) asio::co_spawn(io, read, asio::detached);
  io.run();
  if (whole != streams) throw std::runtime_error(std::to_string(streams - whole) + " streams were not whole");
  say(bytes / static_cast<std::int64_t>(piece().size()));
}

}  // namespace

int main(int argc, char** argv) try {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const std::string_view role = argc > 1 ? argv[1] : "";
  if (role == "upstream" && argc == 3)
    Upstream(std::atoi(argv[2])).run();
  else if (role == "client" && argc == 4)
    client(static_cast<std::uint16_t>(std::atoi(argv[2])), std::atoi(argv[3]));
  else if (role == "drain" && argc == 5)
    drain(static_cast<std::uint16_t>(std::atoi(argv[2])), std::atoi(argv[3]), argv[4]);
  else
    throw std::runtime_error(
        "usage: outlay_gateway_streams upstream SECONDS | client PORT STREAMS | drain PORT STREAMS PATH");
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
