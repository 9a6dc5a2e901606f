#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "outlay/http.hpp"
#include "outlay/ledger.hpp"
#include "support/fault_server.hpp"

namespace test {

using namespace outlay::literals;

/// Runs a coroutine to its end on an io_context of this thread.
template <class T>
T run(boost::asio::io_context& io, boost::asio::awaitable<T> task) {
  std::exception_ptr failure;
  io.restart();
  if constexpr (std::is_void_v<T>) {
    outlay::co_spawn(io, std::move(task), [&](std::exception_ptr error) { failure = error; });
    io.run();
    if (failure) std::rethrow_exception(failure);
  } else {
    std::optional<T> result;
    outlay::co_spawn(io, std::move(task), [&](std::exception_ptr error, T value) {
      failure = error;
      if (!error) result.emplace(std::move(value));
    });
    io.run();
    if (failure) std::rethrow_exception(failure);
    return std::move(result.value());
  }
}

/// A ledger of the test's own, so that its records are all there are.
struct OwnBooks {
  outlay::Ledger ledger{};
  outlay::LedgerScope scope{ledger};
  [[nodiscard]] std::vector<outlay::Record> records() const { return ledger.records(); }
};

inline boost::json::object chat_request(std::int64_t ceiling = 100) {
  return {{"model", "gpt-4o"},
          {"max_completion_tokens", ceiling},
          {"messages", {{{"role", "user"}, {"content", "Tell me about the weather."}}}}};
}
inline boost::json::object chat_request_without_ceiling() {
  return {{"model", "gpt-4o"}, {"messages", {{{"role", "user"}, {"content", "Tell me about the weather."}}}}};
}

/// What OpenAI answers: 20 tokens in, 5 out.
inline std::string chat_reply_body() {
  return R"({"id":"c","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant",)"
         R"("content":"It rains."},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25}})";
}
inline std::string data_event(std::string_view data) { return "data: " + std::string(data) + "\n\n"; }
inline std::string delta_event(std::string_view text) {
  return data_event(R"({"choices":[{"index":0,"delta":{"content":")" + std::string(text) + "\"}}]}");
}
/// The same as a stream.
inline std::vector<std::string> chat_stream_events() {
  return {
      delta_event("It"),
      delta_event(" rains"),
      delta_event("."),
      data_event(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"),
      data_event(R"({"model":"gpt-4o-2024-08-06","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":5}})"),
      data_event("[DONE]")};
}
/// 20 tokens at $2.50 and 5 at $10 a million.
inline constexpr outlay::Usd chat_cost = 0.0001_usd;

inline outlay::http::ClientOptions client_options(const FaultServer& server) {
  using std::chrono::milliseconds;
  outlay::http::ClientOptions options;
  options.base_url = server.url() + "/v1";
  options.api_key = "sk-test-key";
  // Long enough for a busy machine, short enough for a test that waits for them.
  options.timeouts = {.connect = milliseconds(1'000),
                      .first_byte = milliseconds(400),
                      .idle = milliseconds(400),
                      .total = milliseconds(4'000)};
  options.retries.max_attempts = 1;
  options.retries.first_delay = milliseconds(0);
  return options;
}

inline Plan answer(std::string bytes, Plan::Then then = Plan::Then::keep_alive) {
  Plan plan;
  plan.bytes = std::move(bytes);
  plan.then = then;
  return plan;
}

}  // namespace test
