#pragma once

// What a client books, whatever a network and a provider do, against what outlay::http::Client books for the same.

#include <boost/asio.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "http_support.hpp"
#include "outlay/outlay.hpp"
#include "support/catch.hpp"

namespace test {

/// Sends a body to `<base>/chat/completions` with time-outs as client_options() has them.
using SendText = std::function<void(const std::string& base, const std::string& body)>;

inline std::string chat_text(bool streamed, bool with_ceiling = true) {
  boost::json::object request = with_ceiling ? chat_request() : chat_request_without_ceiling();
  if (streamed) request["stream"] = true;
  return boost::json::serialize(request);
}

/// What is in the books after `send`.
inline std::string booked_by(const std::function<void()>& send, std::int64_t tokens) {
  const OwnBooks books;
  std::string booked;
  {
    outlay::Budget budget({.name = "all", .usd = 1_usd, .tokens = tokens});
    try {
      send();
    } catch (const outlay::Error&) {  // how a client says it is its own matter
    }
    booked = "spent " + to_string(budget.spent().usd) + (budget.reserved() == outlay::Amounts{} ? "" : ", leaks");
  }
  for (const outlay::Record& record : books.records())
    booked += ", " + std::string(to_string(record.status)) + " " + std::to_string(record.usage.input_total()) + "/" +
              std::to_string(record.usage.output) + " " + to_string(record.usd);
  return booked;
}

inline boost::asio::awaitable<void> read_stream(const outlay::http::Client& client,
                                                const boost::json::object& request) {
  outlay::http::ReplyStream stream = co_await client.stream(request);
  while (co_await stream.next()) {
  }
}

inline std::string booked_by_client(outlay::http::ClientOptions options, bool streamed, bool with_ceiling,
                                    std::int64_t tokens) {
  return booked_by(
      [&] {
        boost::asio::io_context io;
        const outlay::http::Client client(io, options);
        const boost::json::object request = with_ceiling ? chat_request() : chat_request_without_ceiling();
        if (streamed)
          run(io, read_stream(client, request));
        else
          run(io, client.post(request));
      },
      tokens);
}

/// Checks that both book the same for an answer.
inline void check_same(const SendText& send, const Plan& plan, bool streamed, bool with_ceiling = true,
                       std::int64_t tokens = 10'000) {
  const auto script = [&](std::size_t, std::string_view) { return plan; };
  std::string by_client, by_other;
  {
    const FaultServer server(script);
    by_client = booked_by_client(client_options(server), streamed, with_ceiling, tokens);
  }
  {
    const FaultServer server(script);
    by_other = booked_by([&] { send(server.url() + "/v1", chat_text(streamed, with_ceiling)); }, tokens);
  }
  CHECK(by_other == by_client);
}

inline void check_refused_connection(const SendText& send, bool streamed) {
  const std::string base = "http://127.0.0.1:" + std::to_string(closed_port()) + "/v1";
  outlay::http::ClientOptions options;
  options.base_url = base;
  options.api_key = "sk-test-key";
  options.retries.max_attempts = 1;
  const std::string nothing = booked_by_client(options, streamed, true, 10'000);
  CHECK(nothing == "spent $0.00");
  CHECK(booked_by([&] { send(base, chat_text(streamed)); }, 10'000) == nothing);
}

inline void check_statuses(const SendText& send, bool streamed) {
  for (const int status : {400, 401, 408, 429, 500, 503, 529})
    for (const char* const body : {R"({"error":{"code":"some_code"}})", "not JSON", ""}) {
      CAPTURE(status, body);
      check_same(send, answer(http_reply(status, body)), streamed);
    }
}

inline void check_answers(const SendText& send) {
  check_same(send, answer(http_reply(200, chat_reply_body())), false);
  check_same(send, answer(http_reply(200, "not JSON")), false);
  check_same(send, answer(http_reply(200, "")), false);
  check_same(send, answer(chunked_reply(chat_stream_events())), true);
  check_same(send, answer(http_reply(200, chat_reply_body())), true);
  check_same(send, answer(chunked_reply({"data: {broken}\n\n"})), true);
  check_same(send, answer("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + chat_reply_body(), Plan::Then::close),
             false);
}

/// Closed after any number of bytes, in head or body.
inline void check_every_byte(const SendText& send, const std::string& whole, bool streamed) {
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    Plan plan = answer(whole, Plan::Then::close);
    plan.stop_at = size;
    check_same(send, plan, streamed);
  }
}

inline void check_stalls(const SendText& send, bool streamed) {
  const std::string whole = streamed ? chunked_reply(chat_stream_events()) : http_reply(200, chat_reply_body());
  for (const std::size_t size : {std::size_t{0}, std::size_t{20}, whole.size() / 2, whole.size() - 7}) {
    CAPTURE(size);
    Plan plan = answer(whole, Plan::Then::stall);
    plan.stop_at = size;
    check_same(send, plan, streamed);
  }
}

/// A stream without a ceiling that a budget cuts.
inline void check_cut(const SendText& send) {
  Plan plan = answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + delta_event("one two three"));
  plan.endless = true;
  plan.repeat = delta_event(" four five six");
  check_same(send, plan, true, false, 600);
}

}  // namespace test
