// What the guard costs over HTTP, on loopback: each row against the same work without it, interleaved in one run, medians. Times are those
// of the client's thread alone; the server runs on another. A statement about this machine now; no test asserts one.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <ctime>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "http/connection.hpp"
#include "http/exchange.hpp"
#include "outlay/http.hpp"
#include "outlay/outlay.hpp"
#include "support/fault_server.hpp"

namespace {

namespace asio = boost::asio;
namespace json = boost::json;
namespace beast_http = boost::beast::http;
using namespace outlay::literals;
using outlay::http::Delta;
using outlay::http::detail::Connection;
using outlay::http::detail::Exchange;
using outlay::http::detail::Fault;
using outlay::http::detail::within;

constexpr int chunks = 100;      // of one stream
constexpr int streams = 1'000;   // at once
constexpr int requests = 4'000;  // one after the other

double thread_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

std::string event(int number) {
  return R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06",)"
         R"("choices":[{"index":0,"delta":{"content":" word)" +
         std::to_string(number % 10) + "\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
}

std::string stream_reply() {
  std::vector<std::string> events;
  for (int i = 0; i < chunks; ++i) events.push_back(event(i));
  events.emplace_back("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
  events.emplace_back("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":100}}\n\n");
  events.emplace_back("data: [DONE]\n\n");
  return test::chunked_reply(events);
}

json::object request_body(bool stream) {
  json::object body{
      {"model", "gpt-4o"},
      {"max_completion_tokens", 200},
      {"messages", json::array{{{"role", "system"}, {"content", "You are a helpful assistant that answers briefly."}},
                               {{"role", "user"}, {"content", "Tell me about the weather of the coming days."}}}}};
  if (stream) {
    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
  }
  return body;
}

outlay::http::ClientOptions options(const test::FaultServer& server) {
  outlay::http::ClientOptions made;
  made.base_url = server.url() + "/v1";
  made.api_key = "sk-bench";
  made.max_idle_connections = streams;
  return made;
}

void expect(bool holds) {
  if (!holds) throw std::runtime_error("http_bench: the work was not done");
}

/// The client's own parts without a budget, a call or a reservation: the same connection, the same parsers, the same deltas.
class Unguarded final : public outlay::StreamConsumer {
 public:
  Unguarded(asio::io_context& io, std::uint16_t port) : io_(io) {
    url_.host = "127.0.0.1";
    url_.port = port;
  }

  asio::awaitable<void> open(bool stream) {
    auto connection = std::make_unique<Connection>(io_.get_executor());
    expect(!co_await connection->connect(url_, nullptr, within(std::chrono::seconds(10))));
    exchange_ = std::make_unique<Exchange>(std::move(connection), outlay::http::Timeouts{}, outlay::http::SizeLimits{},
                                           within(std::chrono::minutes(10)));
    const std::string body = json::serialize(request_body(stream));
    const std::string message =
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        "Authorization: Bearer sk-bench\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body;
    expect(!co_await exchange_->send(message));
    expect(!co_await exchange_->read_head());
  }
  asio::awaitable<std::optional<Delta>> next() {
    while (ready_.empty() && meter_.complete() == false) {
      std::string_view piece;
      const Fault fault = co_await exchange_->read_some(piece);
      expect(!fault && !piece.empty());
      meter_.feed(piece, *this);
    }
    if (ready_.empty()) co_return std::nullopt;
    std::optional<Delta> delta(std::move(ready_.front()));
    ready_.pop_front();
    co_return delta;
  }

 private:
  void on_delta(const outlay::StreamDelta& delta) override {
    ready_.push_back({.kind = delta.kind,
                      .choice = delta.choice,
                      .tool = delta.tool,
                      .text = std::string(delta.text),
                      .tool_id = std::string(delta.tool_id),
                      .tool_name = std::string(delta.tool_name)});
  }

  asio::io_context& io_;
  outlay::detail::Url url_{};
  std::unique_ptr<Exchange> exchange_{};
  outlay::StreamMeter meter_{outlay::Api::openai_chat};
  std::deque<Delta> ready_{};
};

/// Counts pieces of text until the end, or until `enough` of them.
template <class Stream>
asio::awaitable<int> count(Stream& stream, int enough) {
  int pieces = 0;
  while (pieces < enough) {
    const std::optional<Delta> delta = co_await stream.next();
    if (!delta) break;
    if (delta->kind == outlay::StreamDelta::Kind::text) ++pieces;
  }
  co_return pieces;
}

double many_streams(bool guarded) {
  const std::string whole = stream_reply();
  const test::FaultServer server([&](std::size_t, std::string_view) {
    test::Plan plan;
    plan.bytes = whole;
    plan.per_write = 1'500;  // some events at a time
    return plan;
  });
  asio::io_context io(1);
  int done = 0;
  outlay::Budget budget({.name = "bench", .usd = 10'000_usd, .output_tokens = 100'000'000});
  const outlay::http::Client client(io, options(server));
  const auto ours = [&]() -> asio::awaitable<void> {
    const json::object request = request_body(true);
    outlay::http::ReplyStream stream = co_await client.stream(request);
    done += co_await count(stream, chunks + 1) == chunks;
  };
  const auto floor = [&]() -> asio::awaitable<void> {
    Unguarded stream(io, server.port());
    co_await stream.open(true);
    done += co_await count(stream, chunks + 1) == chunks;
  };
  for (int i = 0; i < streams; ++i) {
    if (guarded) {
      outlay::co_spawn(io, ours, asio::detached);
    } else {
      asio::co_spawn(io, floor, asio::detached);
    }
  }
  const double begin = thread_time();
  io.run();
  const double time = thread_time() - begin;
  expect(done == streams);
  return time / (streams * chunks);
}

double plain_requests(bool guarded) {
  const std::string reply = test::http_reply(
      200,
      R"({"id":"c","object":"chat.completion","created":1700000000,"model":"gpt-4o-2024-08-06","choices":[{"index":0,)"
      R"("message":{"role":"assistant","content":"It rains today, and it will go on raining until the end of the week."},)"
      R"("finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":15,"total_tokens":35}})");
  const test::FaultServer server([&](std::size_t, std::string_view) {
    test::Plan plan;
    plan.bytes = reply;
    return plan;
  });
  asio::io_context io(1);
  int done = 0;
  outlay::Budget budget({.name = "bench", .usd = 10'000_usd, .output_tokens = 100'000'000});
  const json::object request = request_body(false);
  const outlay::http::Client client(io, options(server));
  const auto ours = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < requests; ++i) {
      const json::value value = co_await client.post(request);
      done += value.at("object") == "chat.completion";
    }
  };
  const auto floor = [&]() -> asio::awaitable<void> {
    boost::beast::tcp_stream stream(io);
    stream.expires_after(std::chrono::minutes(10));
    co_await stream.async_connect({asio::ip::address_v4::loopback(), server.port()}, asio::use_awaitable);
    stream.socket().set_option(asio::ip::tcp::no_delay(true));
    boost::beast::flat_buffer buffer;
    for (int i = 0; i < requests; ++i) {
      beast_http::request<beast_http::string_body> message(beast_http::verb::post, "/v1/chat/completions", 11);
      message.set(beast_http::field::host, "127.0.0.1");
      message.set(beast_http::field::content_type, "application/json");
      message.set(beast_http::field::authorization, "Bearer sk-bench");
      message.body() = json::serialize(request);
      message.prepare_payload();
      stream.expires_after(std::chrono::minutes(2));
      co_await beast_http::async_write(stream, message, asio::use_awaitable);
      beast_http::response<beast_http::string_body> response;
      co_await beast_http::async_read(stream, buffer, response, asio::use_awaitable);
      done += json::parse(response.body()).at("object") == "chat.completion";
    }
  };
  if (guarded) {
    outlay::co_spawn(io, ours, asio::detached);
  } else {
    asio::co_spawn(io, floor, asio::detached);
  }
  const double begin = thread_time();
  io.run();
  const double time = thread_time() - begin;
  expect(done == requests);
  return time / requests;
}

/// Bytes that are allocated for one stream in the middle of its answer.
double idle_stream_bytes(bool guarded) {
  const std::string whole = stream_reply();
  const test::FaultServer server([&](std::size_t, std::string_view) {
    test::Plan plan;
    plan.bytes = whole;
    plan.stop_at = whole.size() / 2;
    plan.then = test::Plan::Then::stall;
    return plan;
  });
  asio::io_context io(1);
  int reading = 0;
  outlay::Budget budget({.name = "bench", .usd = 10'000_usd, .output_tokens = 100'000'000});
  const outlay::http::Client client(io, options(server));
  const auto ours = [&]() -> asio::awaitable<void> {
    const json::object request = request_body(true);
    outlay::http::ReplyStream stream = co_await client.stream(request);
    reading += co_await count(stream, chunks / 3) == chunks / 3;
    static_cast<void>(co_await count(stream, chunks));
  };
  const auto floor = [&]() -> asio::awaitable<void> {
    Unguarded stream(io, server.port());
    co_await stream.open(true);
    reading += co_await count(stream, chunks / 3) == chunks / 3;
    static_cast<void>(co_await count(stream, chunks));
  };
  const auto open = [&](int number) {
    for (int i = 0; i < number; ++i) {
      if (guarded) {
        outlay::co_spawn(io, ours, asio::detached);
      } else {
        asio::co_spawn(io, floor, asio::detached);
      }
    }
    const int wanted = reading + number;
    while (reading < wanted) io.run_one();
    io.poll();
  };
  open(10);  // what is allocated once
  const std::size_t before = mallinfo2().uordblks;
  open(streams);
  return static_cast<double>(mallinfo2().uordblks - before) / streams;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

struct Row {
  const char* name;
  double (*measure)(bool guarded);
  double at_most;
  bool difference = false;  // rather than the ratio
};

void measure(benchmark::State& state, const Row& row) {
  for (auto _ : state) {
    std::vector<double> plain, guarded;
    for (int i = 0; i < 5; ++i) {
      plain.push_back(row.measure(false));
      guarded.push_back(row.measure(true));
    }
    const double floor = median(plain), ours = median(guarded);
    state.counters["floor"] = floor;
    state.counters["guarded"] = ours;
    state.counters[row.difference ? "difference" : "ratio"] = row.difference ? ours - floor : ours / floor;
    state.counters["at_most"] = row.at_most;
  }
}

constexpr Row rows[] = {
    {"1,000 streams at once, ns per chunk", &many_streams, 1.25},
    {"a plain request over keep-alive against raw Beast, ns", &plain_requests, 1.3},
    {"one idle stream, bytes", &idle_stream_bytes, 2'048, true},
};

}  // namespace

int main(int argc, char** argv) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  outlay::set_log_handler([](outlay::LogLevel, std::string_view) {});
  benchmark::Initialize(&argc, argv);
  for (const Row& row : rows)
    benchmark::RegisterBenchmark(row.name, [&row](benchmark::State& state) { measure(state, row); })
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
