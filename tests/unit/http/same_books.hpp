#pragma once

// What a client books, whatever a network and a provider do, against what outlay::http::Client books for the same.

#include <boost/asio.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "http_support.hpp"
#include "outlay/outlay.hpp"
#include "support/catch.hpp"

namespace test {

/// Sends a body to `<base>/chat/completions`, and waits for the answer's next byte no longer than `patience`.
using SendText =
    std::function<void(const std::string& base, const std::string& body, std::chrono::milliseconds patience)>;

/// Short where a client must lose it; else long enough for the whole answer on a busy machine, too.
inline std::chrono::milliseconds patience(const Plan& plan) {
  return std::chrono::milliseconds(plan.then == Plan::Then::stall ? 700 : 10'000);
}
inline outlay::http::ClientOptions client_options(const FaultServer& server, const Plan& plan) {
  outlay::http::ClientOptions options = client_options(server);
  options.timeouts = {
      .connect = patience(plan), .first_byte = patience(plan), .idle = patience(plan), .total = 4 * patience(plan)};
  return options;
}

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

/// Checks that `send` books for an answer what outlay::http::Client books for `like`.
inline void check_like(const SendText& send, const Plan& plan, const Plan& like, bool streamed,
                       bool with_ceiling = true, std::int64_t tokens = 10'000) {
  std::string by_client, by_other;
  {
    const FaultServer server([&](std::size_t, std::string_view) { return like; });
    by_client = booked_by_client(client_options(server, like), streamed, with_ceiling, tokens);
  }
  {
    const FaultServer server([&](std::size_t, std::string_view) { return plan; });
    by_other =
        booked_by([&] { send(server.url() + "/v1", chat_text(streamed, with_ceiling), patience(plan)); }, tokens);
  }
  CHECK(by_other == by_client);
}

/// Checks that both book the same for an answer.
inline void check_same(const SendText& send, const Plan& plan, bool streamed, bool with_ceiling = true,
                       std::int64_t tokens = 10'000) {
  check_like(send, plan, plan, streamed, with_ceiling, tokens);
}

inline void check_refused_connection(const SendText& send, bool streamed) {
  const std::string base = "http://127.0.0.1:" + std::to_string(closed_port()) + "/v1";
  outlay::http::ClientOptions options;
  options.base_url = base;
  options.api_key = "sk-test-key";
  options.retries.max_attempts = 1;
  const std::string nothing = booked_by_client(options, streamed, true, 10'000);
  CHECK(nothing == "spent $0.00");
  CHECK(booked_by([&] { send(base, chat_text(streamed), patience({})); }, 10'000) == nothing);
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

/// An answer of a network or a provider, and what is in the books after it.
struct WireCase {
  std::string name;
  Plan plan;
  bool streamed;
  std::string booked;
};

/// A gzip file of one stored block.
inline std::string gzip(std::string_view text) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc % 2 == 1 ? 0xEDB88320U : 0U);
  }
  const auto little = [](std::uint32_t number, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += static_cast<char>((number >> (8 * i)) & 0xFF);
    return out;
  };
  const auto size = static_cast<std::uint32_t>(text.size());
  return std::string("\x1f\x8b\x08\0\0\0\0\0\0\xff\x01", 11) + little(size, 2) + little(~size & 0xFFFF, 2) +
         std::string(text) + little(~crc, 4) + little(size, 4);
}

/// Of a request with a ceiling of 100 and without a retry.
inline std::vector<WireCase> wire_cases() {
  const boost::json::object asked = chat_request();
  const std::int64_t input =
      outlay::GuardedRequest(outlay::Api::openai_chat, asked).call_request().input_tokens.value();
  const auto counted = [&](const char* status, std::int64_t output) {  // at $2.50 and $10 a million
    const std::string usd = to_string(outlay::Usd::from_nanos(2'500 * input + 10'000 * output));
    return "spent " + usd + ", " + status + " " + std::to_string(input) + "/" + std::to_string(output) + " " + usd;
  };
  const std::string charged = counted("indeterminate", 100);
  const std::string settled = "spent $0.0001, settled 20/5 $0.0001";
  const std::string shown = counted("estimated", outlay::built_in_tokenizer().upper("It rains"));
  const std::string free = "spent $0.00, rejected 0/0 $0.00";
  const std::string events = [] {
    std::string all;
    for (const std::string& event : chat_stream_events()) all += event;
    return all;
  }();
  const std::string stream_head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
  const auto with_trailers = [](std::string reply) {
    return reply.insert(reply.size() - 2, "X-Checksum: 7\r\nX-Cost: 0\r\n");
  };
  const auto with_text = [](std::string reply, const char* text) { return reply.replace(reply.find("It"), 2, text); };
  const auto without_end = [](const std::string& chunks) { return chunks.substr(0, chunks.size() - 5); };
  const auto closed = [](std::string bytes) { return answer(std::move(bytes), Plan::Then::close); };
  const std::string error_event = "data: {\"error\":{\"code\":\"server_error\",\"message\":\"x\"}}\n\n";
  std::vector<WireCase> cases{
      {"whole", answer(http_reply(200, chat_reply_body())), false, settled},
      {"whole stream", answer(chunked_reply(chat_stream_events())), true, settled},
      {"chunked, not a stream", answer(chunked_reply({chat_reply_body()}, "application/json")), false, settled},
      {"trailers", answer(with_trailers(chunked_reply({chat_reply_body()}))), false, settled},
      {"trailers of a stream", answer(with_trailers(chunked_reply(chat_stream_events()))), true, settled},
      {"chunks without the last one", closed(without_end(chunked_reply({chat_reply_body()}))), false, charged},
      {"a stream's chunks without the last one", closed(without_end(chunked_reply(chat_stream_events()))), true,
       settled},
      {"a byte order mark", answer(http_reply(200, "\xEF\xBB\xBF" + chat_reply_body())), false, settled},
      {"a byte order mark of a stream", answer(chunked_reply({"\xEF\xBB\xBF" + events})), true, settled},
      {"a broken character", answer(http_reply(200, with_text(chat_reply_body(), "\xFF"))), false, settled},
      {"a broken character of a stream", answer(chunked_reply({with_text(events, "\xFF")})), true, settled},
      {"half a surrogate pair", answer(http_reply(200, with_text(chat_reply_body(), "\\ud83d"))), false, settled},
      {"half a surrogate pair of a stream", answer(chunked_reply({with_text(events, "\\ud83d")})), true, settled},
      {"100 Continue", answer("HTTP/1.1 100 Continue\r\n\r\n" + http_reply(200, chat_reply_body())), false, settled},
      {"100 Continue and 429", answer("HTTP/1.1 100 Continue\r\n\r\n" + http_reply(429, "{}")), false, free},
      {"100 Continue and no more", closed("HTTP/1.1 100 Continue\r\n\r\n"), false, charged},
      {"headers alone", answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), false, charged},
      {"headers alone of a stream", answer(stream_head + "Content-Length: 0\r\n\r\n"), true, charged},
      {"headers, and closed", closed("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"), false, charged},
      {"headers of a stream, and closed", closed(stream_head + "\r\n"), true, charged},
      {"no content", answer("HTTP/1.1 204 No Content\r\n\r\n"), false, charged},
      {"nothing, and closed", closed(""), false, charged},
      {"nothing, and reset", answer("", Plan::Then::reset), false, charged},
      {"nothing within the time-out", answer("", Plan::Then::stall), true, charged},
      {"an old version", closed("HTTP/1.0 200 OK\r\n\r\n" + chat_reply_body()), false, settled},
      {"an old version's stream", closed("HTTP/1.0 200 OK\r\n\r\n" + events), true, settled},
      {"no HTTP", closed("220 smtp.example.com ESMTP\r\n\r\n"), false, charged},
      {"too short a length", closed("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" + chat_reply_body()), false,
       charged},
      {"too long a length", closed("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + chat_reply_body()), false,
       charged},
      {"no chunk", closed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n" + chat_reply_body()), false,
       charged},
      {"a coding that was not asked for", answer(http_reply(200, "\x1f\x8b\x08", "Content-Encoding: x-new\r\n")), false,
       charged},
      {"the same of a stream", answer(http_reply(200, "\x1f\x8b\x08", "Content-Encoding: x-new\r\n")), true, charged},
      {"a coding of a refusal", answer(http_reply(429, "\x1f\x8b\x08", "Content-Encoding: x-new\r\n")), false, free},
      {"429 as a stream", answer(http_reply(429, error_event, "X-A: b\r\n")), true, free},
      {"429 in chunks, cut", closed("HTTP/1.1 429 T\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"er"), true, free},
      {"an error as a stream", answer(chunked_reply({error_event})), true, charged},
      {"an error behind text", answer(chunked_reply({delta_event("It"), delta_event(" rains"), error_event})), true,
       shown},
      {"a break behind text", closed(stream_head + "\r\n" + delta_event("It") + delta_event(" rains")), true, shown},
      {"a reset behind the end", closed(stream_head + "Content-Length: 9999\r\n\r\n" + events), true, settled},
      {"JSON to a stream", answer(http_reply(200, chat_reply_body())), true, settled},
      {"a stream to a plain request", answer(chunked_reply(chat_stream_events())), false, charged},
  };
  for (const int status : {301, 302, 303, 307, 308})
    cases.push_back({"redirect " + std::to_string(status),
                     answer(http_reply(status, "", "Location: http://127.0.0.1:1/v1\r\n")), false, charged});
  return cases;
}

/// Checks that `send` books what the table says.
inline void check_wire_case(const WireCase& one, const SendText& send, std::int64_t tokens = 10'000) {
  CAPTURE(one.name);
  const FaultServer server([&](std::size_t, std::string_view) { return one.plan; });
  CHECK(booked_by([&] { send(server.url() + "/v1", chat_text(one.streamed), patience(one.plan)); }, tokens) ==
        one.booked);
}

/// Checks that a request which is sent again because an answer says so counts by the last answer.
///
/// \param post Posts a chat and follows redirects, or answers a digest challenge; returns what it takes for the reply's body.
inline void check_sent_again(
    const std::function<std::string(const FaultServer& server, bool streamed, bool redirected)>& post) {
  using outlay::RecordStatus;
  struct Case {
    std::string name;
    Plan second;
    RecordStatus booked;
  };
  const std::vector<Case> cases{
      {"answered", answer(http_reply(200, chat_reply_body())), RecordStatus::settled},
      {"refused", answer(http_reply(429, "{}")), RecordStatus::rejected},
      {"no answer", answer("", Plan::Then::close), RecordStatus::indeterminate},
      {"a broken body", answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", Plan::Then::close),
       RecordStatus::indeterminate},
      {"half a head", answer("HTTP/1.1 200 OK\r\nContent-", Plan::Then::close), RecordStatus::indeterminate},
  };
  for (const bool streamed : {false, true})
    for (const bool redirected : {false, true})
      for (const Case& one : cases) {
        CAPTURE(streamed, redirected, one.name);
        const OwnBooks books;
        const FaultServer server([&](std::size_t number, std::string_view) {
          if (number == 1) return one.second;
          if (redirected) return answer(http_reply(307, "moved", "Location: /v2/chat/completions\r\n"));
          return answer(http_reply(401, "who?", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n"));
        });
        const std::string body = post(server, streamed, redirected);
        CHECK(server.requests().size() == 2);
        CHECK(books.records().at(0).status == one.booked);
        CHECK(body.find("moved") == std::string::npos);
        CHECK(body.find("who?") == std::string::npos);
      }
}

/// Closed after any number of bytes, in head or body.
///
/// \param shown Where a library keeps back what came: how many bytes it lets its program see of so many.
inline void check_every_byte(const SendText& send, const std::string& whole, bool streamed,
                             const std::map<std::size_t, std::size_t>& shown = {}) {
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    Plan plan = answer(whole, Plan::Then::close);
    plan.stop_at = size;
    Plan like = plan;
    if (const auto fewer = shown.find(size); fewer != shown.end()) like.stop_at = fewer->second;
    check_like(send, plan, like, streamed);
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
