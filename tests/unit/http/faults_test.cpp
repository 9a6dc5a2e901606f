// What a network and a provider can do to a request. Whatever it is: a typed error within its time-out, nothing stays reserved, and what
// may have been billed is never booked as zero.

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "http_support.hpp"
#include "outlay/http/error.hpp"
#include "outlay/outlay.hpp"
#include "support/catch.hpp"
#include "support/forked.hpp"

namespace asio = boost::asio;
namespace json = boost::json;
using namespace test;
using outlay::errc;
using outlay::RecordStatus;
using std::chrono::milliseconds;

namespace {

/// How a request ended.
struct Outcome {
  errc code = errc::ok;
  std::string message{};
  std::string text{};
  int status = 0;
};

asio::awaitable<std::string> read_all(const outlay::http::Client& client, const json::object& request) {
  outlay::http::ReplyStream stream = co_await client.stream(request);
  std::string text;
  for (;;) {
    const std::optional<outlay::http::Delta> delta = co_await stream.next();
    if (!delta) break;
    text += delta->text;
  }
  co_return text;
}

/// Makes one request, and checks what holds however it ends.
Outcome make(const outlay::http::ClientOptions& options, bool streamed, const json::object& request = chat_request()) {
  asio::io_context io;
  const outlay::http::Client client(io, options);
  outlay::Budget budget({.name = "faults", .usd = 1_usd});
  Outcome outcome;
  const auto began = std::chrono::steady_clock::now();
  try {
    if (streamed) {
      outcome.text = run(io, read_all(client, request));
    } else {
      outcome.text = json::serialize(run(io, client.post(request)));
    }
  } catch (const outlay::http::ProviderError& error) {
    outcome = {error.reason(), error.what(), {}, error.status()};
  } catch (const outlay::Error& error) {
    outcome = {error.reason(), error.what(), {}, 0};
  }
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(10));
  CHECK(budget.reserved() == outlay::Amounts{});
  outlay::Usd sum;
  for (const outlay::Record& record : outlay::Ledger::current().records()) sum += record.usd;
  CHECK(budget.spent().usd == sum);
  CHECK(outcome.message.find("sk-test") == std::string::npos);
  CHECK(outcome.message.find("weather") == std::string::npos);
  return outcome;
}

Outcome make(const FaultServer& server, bool streamed) { return make(client_options(server), streamed); }

/// The only record, which must be charged.
void check_charged(const OwnBooks& books, RecordStatus status) {
  REQUIRE(books.records().size() == 1);
  CHECK(books.records()[0].status == status);
  CHECK(books.records()[0].usd > 0_usd);
}

/// A file that is gone at the end of the test.
struct TemporaryFile {
  explicit TemporaryFile(const std::string& content) {
    std::string pattern = (std::filesystem::temp_directory_path() / "outlay-XXXXXX").string();
    const int descriptor = ::mkstemp(pattern.data());
    REQUIRE(descriptor >= 0);
    ::close(descriptor);
    path = pattern;
    std::ofstream(path) << content;
  }
  ~TemporaryFile() { std::remove(path.c_str()); }
  std::string path;
};

}  // namespace

TEST_CASE("faults: a refused connection is an error of the network, and nothing is booked", "[http][faults]") {
  const OwnBooks books;
  outlay::http::ClientOptions options;
  options.base_url = "http://127.0.0.1:" + std::to_string(closed_port());
  options.api_key = "sk-test-key";
  options.retries = {.max_attempts = 3, .first_delay = milliseconds(1), .max_delay = milliseconds(1)};
  CHECK(make(options, GENERATE(true, false)).code == errc::network);
  CHECK(books.records().empty());
}

TEST_CASE("faults: a host without an address is an error of the network, and nothing is booked", "[http][faults]") {
  const OwnBooks books;
  outlay::http::ClientOptions options;
  options.base_url = "http://nobody.invalid";
  options.api_key = "sk-test-key";
  options.allow_plaintext_key = true;
  options.retries.max_attempts = 1;
  options.timeouts.connect = milliseconds(3'000);
  const Outcome outcome = make(options, false);
  CHECK((outcome.code == errc::network || outcome.code == errc::timed_out));
  CHECK(books.records().empty());
}

TEST_CASE("faults: a server that never answers is timed out and the call indeterminate", "[http][faults]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer("", Plan::Then::stall); });
  const Outcome outcome = make(server, GENERATE(true, false));
  CHECK(outcome.code == errc::timed_out);
  CHECK(outcome.message.find("timed out after 0.4 s without a complete head") != std::string::npos);
  check_charged(books, RecordStatus::indeterminate);
  CHECK(server.wait_for_open(0));
}

TEST_CASE("faults: a reply that stalls in the middle is timed out and charged", "[http][faults]") {
  const OwnBooks books;
  const bool streamed = GENERATE(true, false);
  const FaultServer server([streamed](std::size_t, std::string_view) {
    Plan plan =
        answer(streamed ? chunked_reply(chat_stream_events()) : http_reply(200, chat_reply_body()), Plan::Then::stall);
    plan.stop_at = plan.bytes.find(streamed ? "data: [DONE]" : "\"usage\"") - (streamed ? 200 : 0);
    return plan;
  });
  const Outcome outcome = make(server, streamed);
  CHECK(outcome.code == errc::timed_out);
  CHECK(outcome.message.find("timed out after 0.4 s without data") != std::string::npos);
  REQUIRE(books.records().size() == 1);
  CHECK(books.records()[0].usd > 0_usd);
  CHECK(server.wait_for_open(0));
}

TEST_CASE("faults: a plain reply that is closed at any byte is charged", "[http][faults]") {
  const std::string whole = http_reply(200, chat_reply_body());
  const Plan::Then then = GENERATE(Plan::Then::close, Plan::Then::reset);
  const FaultServer server([&](std::size_t number, std::string_view) {
    Plan plan = answer(whole, then);
    plan.stop_at = number;
    return plan;
  });
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    const OwnBooks books;
    CHECK(make(server, false).code == errc::network);
    check_charged(books, RecordStatus::indeterminate);
  }
  const OwnBooks books;
  // With a reset even the whole reply may be lost on the way.
  const Outcome outcome = make(server, false);
  CHECK((outcome.code == errc::ok || then == Plan::Then::reset));
  CHECK(books.records().size() == 1);
}

TEST_CASE("faults: a stream that is closed at any byte is charged for what it had shown", "[http][faults]") {
  const std::string whole = chunked_reply(chat_stream_events());
  const auto end_of_event = [&](const char* part) { return whole.find("\n\n", whole.find(part)) + 2; };
  const std::size_t answered = end_of_event("finish_reason");      // the answer is whole, its usage has yet to come
  const std::size_t reported = end_of_event("prompt_tokens") - 2;  // the blank line may be missing
  const FaultServer server([&](std::size_t number, std::string_view) {
    Plan plan = answer(whole, Plan::Then::close);
    plan.stop_at = number;
    return plan;
  });
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    CAPTURE(size);
    const OwnBooks books;
    const Outcome outcome = make(server, true);
    REQUIRE(books.records().size() == 1);
    const outlay::Record record = books.records()[0];
    CHECK(record.usd > 0_usd);
    if (size < answered) {
      CHECK((outcome.code == errc::stream_broken || outcome.code == errc::network));
      CHECK(record.status != RecordStatus::settled);
    } else {
      CHECK(outcome.code == errc::ok);
      CHECK(outcome.text == "It rains.");
      CHECK(record.status == (size < reported ? RecordStatus::estimated : RecordStatus::settled));
      if (size >= reported) CHECK(record.usd == chat_cost);
    }
  }
}

TEST_CASE("faults: a length that promises too much or too little is noticed", "[http][faults]") {
  const OwnBooks books;
  const std::string body = chat_reply_body();
  const bool too_much = GENERATE(true, false);
  const std::size_t length = too_much ? body.size() + 7 : body.size() - 7;
  const FaultServer server([&](std::size_t, std::string_view) {
    return answer("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n" + body,
                  Plan::Then::close);
  });
  CHECK(make(server, false).code == (too_much ? errc::network : errc::bad_reply));
  check_charged(books, RecordStatus::indeterminate);
}

TEST_CASE("faults: what is no HTTP is a bad reply, and charged", "[http][faults]") {
  const OwnBooks books;
  const std::string bytes = GENERATE(
      as<std::string>{}, "220 smtp.example.com ESMTP\r\n\r\n", "HTTP/9.9 200 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 200 OK\r\nBad Field\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\nabc\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabc\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n");
  CAPTURE(bytes);
  const FaultServer server([&](std::size_t, std::string_view) { return answer(bytes, Plan::Then::close); });
  const Outcome outcome = make(server, GENERATE(true, false));
  CHECK(outcome.code == errc::bad_reply);
  check_charged(books, RecordStatus::indeterminate);
}

TEST_CASE("faults: headers without an end are a bad reply", "[http][faults]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) {
    Plan plan = answer("HTTP/1.1 200 OK\r\n");
    plan.endless = true;
    plan.repeat = "X-More: " + std::string(1'000, 'x') + "\r\n";
    return plan;
  });
  CHECK(make(server, GENERATE(true, false)).code == errc::bad_reply);
  check_charged(books, RecordStatus::indeterminate);
  CHECK(server.wait_for_open(0));
}

TEST_CASE("faults: a body whose framing has no end is a bad reply", "[http][faults][framing]") {
  const OwnBooks books;
  const std::string begin = GENERATE(as<std::string>{}, "4;", "4\r\n{   \r\n0\r\n", "4\r\n{   \r\n4;a=\"", "0\r\nX: ");
  CAPTURE(begin);
  const FaultServer server([&](std::size_t, std::string_view) {
    Plan plan = answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + begin);
    plan.endless = true;
    plan.repeat = begin.ends_with("0\r\n") ? "X-More: " + std::string(1'000, 'x') + "\r\n" : std::string(1'000, 'x');
    return plan;
  });
  outlay::http::ClientOptions options = client_options(server);
  options.limits.reply_bytes = 100'000;
  CHECK(make(options, GENERATE(true, false)).code == errc::bad_reply);
  check_charged(books, RecordStatus::indeterminate);
  CHECK(server.wait_for_open(0));
}

TEST_CASE("faults: a reply that ends with its connection is read to the end, and no further use made of it",
          "[http][faults]") {
  const OwnBooks books;
  const bool streamed = GENERATE(true, false);
  const bool whole = GENERATE(true, false);
  std::string body = chat_reply_body();
  if (streamed) {
    body.clear();
    for (const std::string& event : chat_stream_events()) body += event;
  }
  if (!whole) body.resize(body.size() / 2);
  const std::string version = GENERATE(as<std::string>{}, "HTTP/1.0", "HTTP/1.1");
  const FaultServer server([&](std::size_t, std::string_view) {
    return answer(version + " 200 OK\r\nContent-Type: x\r\n\r\n" + body, Plan::Then::close);
  });
  const Outcome outcome = make(server, streamed);
  CHECK(outcome.code == (whole ? errc::ok : streamed ? errc::stream_broken : errc::bad_reply));
  REQUIRE(books.records().size() == 1);
  CHECK((books.records()[0].status == RecordStatus::settled) == whole);
  CHECK(books.records()[0].usd > 0_usd);
  CHECK(server.wait_for_open(0));
}

TEST_CASE("faults: a slow drip is timed out, in the head and in the body", "[http][faults]") {
  const OwnBooks books;
  const bool in_head = GENERATE(true, false);
  const FaultServer server([in_head](std::size_t, std::string_view) {
    Plan plan = answer(in_head ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    plan.endless = true;
    plan.repeat = in_head ? "X-A: b\r\n" : " ";
    plan.per_write = in_head ? 1 : 43;
    plan.pause = milliseconds(20);
    return plan;
  });
  outlay::http::ClientOptions options = client_options(server);
  options.timeouts.total = milliseconds(900);
  CHECK(make(options, false).code == errc::timed_out);
  check_charged(books, RecordStatus::indeterminate);
}

TEST_CASE("faults: a reply over the limit is a bad reply, and charged", "[http][faults]") {
  const OwnBooks books;
  const bool streamed = GENERATE(true, false);
  const FaultServer server([streamed](std::size_t, std::string_view) {
    if (!streamed) return answer(http_reply(200, std::string(5'000, ' ')));
    Plan plan = answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    plan.endless = true;
    plan.repeat = ": a comment that costs nothing\n\n";
    return plan;
  });
  outlay::http::ClientOptions options = client_options(server);
  options.limits.reply_bytes = 4'000;
  CHECK(make(options, streamed).code == errc::bad_reply);
  check_charged(books, RecordStatus::indeterminate);
}

TEST_CASE("faults: a reply that is no JSON is a bad reply, and charged", "[http][faults]") {
  const OwnBooks books;
  const std::string body =
      GENERATE(as<std::string>{}, "", "<html></html>", "{\"usage\":{\"prompt_tok", "[1,2", "{\"hello\":1}");
  const FaultServer server([&](std::size_t, std::string_view) { return answer(http_reply(200, body)); });
  CHECK(make(server, false).code == errc::bad_reply);
  check_charged(books, RecordStatus::indeterminate);
}

TEST_CASE("faults: a reply without usage is returned and charged by an estimate", "[http][faults]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) {
    return answer(http_reply(200, R"({"choices":[{"index":0,"message":{"role":"assistant","content":"It rains."}}]})"));
  });
  CHECK(make(server, false).code == errc::ok);
  check_charged(books, RecordStatus::estimated);
}

TEST_CASE("faults: a compressed reply, which was not asked for, is a bad reply", "[http][faults]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) {
    return answer(http_reply(200, chat_reply_body(), "Content-Encoding: gzip\r\n"));
  });
  CHECK(make(server, GENERATE(true, false)).code == errc::bad_reply);
  check_charged(books, RecordStatus::indeterminate);
}

TEST_CASE("faults: a key never follows a redirect", "[http][faults]") {
  const OwnBooks books;
  const FaultServer other([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  const int status = GENERATE(301, 302, 303, 307, 308);
  const FaultServer server([&](std::size_t, std::string_view) {
    return answer(http_reply(status, "", "Location: " + other.url() + "/v1/chat/completions\r\n"));
  });
  const Outcome outcome = make(server, GENERATE(true, false));
  CHECK(outcome.code == errc::provider_error);
  CHECK(outcome.status == status);
  CHECK(other.connections() == 0);
  check_charged(books, RecordStatus::indeterminate);  // no provider says that a redirect is free
}

TEST_CASE("faults: a server that speaks no TLS, an old one or a strange one gets no request", "[http][faults]") {
  const OwnBooks books;
  const auto script = [](std::size_t, std::string_view) {
    return answer(http_reply(200, chat_reply_body()), Plan::Then::close);
  };
  SECTION("it answers in plain text") {
    const FaultServer server(script, {.blind = true});
    outlay::http::ClientOptions options = client_options(server);
    options.base_url = "https://localhost:" + std::to_string(server.port());
    CHECK(make(options, false).code == errc::network);
  }
  SECTION("it says nothing") {
    const FaultServer server([](std::size_t, std::string_view) { return answer("", Plan::Then::stall); },
                             {.blind = true});
    outlay::http::ClientOptions options = client_options(server);
    options.base_url = "https://localhost:" + std::to_string(server.port());
    options.timeouts.connect = milliseconds(300);
    CHECK(make(options, false).code == errc::timed_out);
  }
  SECTION("nobody vouches for its certificate") {
    const FaultServer server(script, {.tls = true});
    const Outcome outcome = make(server, false);
    CHECK(outcome.code == errc::network);
    CHECK(outcome.message.find("certificate") != std::string::npos);
  }
  SECTION("its certificate is another host's") {
    const FaultServer server(script, {.tls = true, .certificate_host = "example.com"});
    const TemporaryFile authority(server.certificate());
    outlay::http::ClientOptions options = client_options(server);
    options.ca_file = authority.path;
    CHECK(make(options, false).code == errc::network);
  }
  SECTION("it speaks TLS 1.1 at most") {
    const FaultServer server(script, {.tls = true, .only_old_tls = true});
    const TemporaryFile authority(server.certificate());
    outlay::http::ClientOptions options = client_options(server);
    options.ca_file = authority.path;
    CHECK(make(options, false).code == errc::network);
  }
  CHECK(books.records().empty());
}

TEST_CASE("client: TLS with a certificate that is trusted and fits the host works, streamed and kept alive",
          "[http][client]") {
  const OwnBooks books;
  const FaultServer server(
      [](std::size_t number, std::string_view) {
        return answer(number % 2 == 0 ? http_reply(200, chat_reply_body()) : chunked_reply(chat_stream_events()));
      },
      {.tls = true});
  const TemporaryFile authority(server.certificate());
  outlay::http::ClientOptions options = client_options(server);
  options.ca_file = authority.path;
  asio::io_context io;
  const outlay::http::Client client(io, options);
  for (int i = 0; i < 2; ++i) {
    static_cast<void>(run(io, client.post(chat_request())));
    CHECK(run(io, read_all(client, chat_request())) == "It rains.");
  }
  CHECK(server.connections() == 1);
  CHECK(books.records().size() == 4);
}

TEST_CASE("faults: a refusal is booked by what its status means, and its words are kept out", "[http][faults]") {
  struct Case {
    int status;
    RecordStatus booked;
  };
  const Case c =
      GENERATE(Case{400, RecordStatus::rejected}, Case{401, RecordStatus::rejected}, Case{404, RecordStatus::rejected},
               Case{429, RecordStatus::rejected}, Case{503, RecordStatus::rejected}, Case{529, RecordStatus::rejected},
               Case{408, RecordStatus::indeterminate}, Case{500, RecordStatus::indeterminate},
               Case{502, RecordStatus::indeterminate}, Case{504, RecordStatus::indeterminate},
               Case{418, RecordStatus::indeterminate});
  CAPTURE(c.status);
  const OwnBooks books;
  const FaultServer server([&](std::size_t, std::string_view) {
    return answer(http_reply(
        c.status, R"({"error":{"message":"Bad key sk-test-key for: Tell me about the weather.","code":"some_code"}})",
        "x-request-id: req_7\r\n"));
  });
  std::string seen;
  outlay::http::ClientOptions options = client_options(server);
  options.on_refusal_body = [&](int status, std::string_view body) {
    seen = std::to_string(status) + std::string(body);
  };
  const Outcome outcome = make(options, GENERATE(true, false));
  CHECK(outcome.code == errc::provider_error);
  CHECK(outcome.status == c.status);
  CHECK(outcome.message.find("some_code") != std::string::npos);
  CHECK(outcome.message.find("req_7") != std::string::npos);
  CHECK(seen.find("Tell me about the weather.") != std::string::npos);
  REQUIRE(books.records().size() == 1);
  CHECK(books.records()[0].status == c.booked);
  CHECK((books.records()[0].usd > 0_usd) == (c.booked == RecordStatus::indeterminate));
  CHECK(books.records()[0].reason.find("weather") == std::string::npos);
}

TEST_CASE("faults: an answer that comes before the request has been read is understood", "[http][faults]") {
  const OwnBooks books;
  const FaultServer server(
      [](std::size_t, std::string_view) {
        return answer(http_reply(413, R"({"error":{"code":"too_large"}})"), Plan::Then::close);
      },
      {.blind = true});
  json::object request = chat_request();
  request["padding"] = std::string(20'000'000, 'x');  // NOLINT(bugprone-string-constructor): more than a socket holds
  const Outcome outcome = make(client_options(server), false, request);
  CHECK(outcome.code == errc::provider_error);
  CHECK(outcome.status == 413);
  REQUIRE(books.records().size() == 1);
  CHECK(books.records()[0].status == RecordStatus::rejected);
}

TEST_CASE("retries: each attempt is a call of its own, and Retry-After is kept", "[http][retries]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t number, std::string_view) {
    if (number == 0) return answer(http_reply(429, "{}", "retry-after-ms: 60\r\n"));
    if (number == 1) return answer(http_reply(503, "{}", "Retry-After: 0\r\n"));
    return answer(http_reply(200, chat_reply_body()));
  });
  outlay::http::ClientOptions options = client_options(server);
  options.retries.max_attempts = 3;
  const auto began = std::chrono::steady_clock::now();
  CHECK(make(options, false).code == errc::ok);
  CHECK(std::chrono::steady_clock::now() - began >= milliseconds(60));
  REQUIRE(books.records().size() == 3);
  CHECK(books.records()[0].status == RecordStatus::rejected);
  CHECK(books.records()[1].status == RecordStatus::rejected);
  CHECK(books.records()[2].status == RecordStatus::settled);
  CHECK(books.records()[0].call_id != books.records()[1].call_id);
}

TEST_CASE("retries: a provider that asks for more patience than allowed is not asked again", "[http][retries]") {
  const OwnBooks books;
  const FaultServer server(
      [](std::size_t, std::string_view) { return answer(http_reply(429, "{}", "Retry-After: 3600\r\n")); });
  outlay::http::ClientOptions options = client_options(server);
  options.retries.max_attempts = 5;
  const Outcome outcome = make(options, false);
  CHECK(outcome.status == 429);
  CHECK(outcome.message.find("3600 s") != std::string::npos);
  CHECK(books.records().size() == 1);
}

TEST_CASE("retries: what may have been billed is tried again only with leave", "[http][retries]") {
  const bool leave = GENERATE(true, false);
  const int status = GENERATE(502, 504);
  const OwnBooks books;
  const FaultServer server([&](std::size_t number, std::string_view) {
    return answer(number == 0 ? http_reply(status, "{}") : http_reply(200, chat_reply_body()));
  });
  outlay::http::ClientOptions options = client_options(server);
  options.retries.max_attempts = 3;
  options.retries.may_bill_twice = leave;
  const Outcome outcome = make(options, false);
  CHECK(outcome.code == (leave ? errc::ok : errc::provider_error));
  CHECK(books.records().size() == (leave ? 2 : 1));
  CHECK(books.records()[0].status == RecordStatus::indeterminate);
  CHECK(books.records()[0].usd > 0_usd);
}

TEST_CASE("retries: none follows the first byte of a reply", "[http][retries]") {
  const OwnBooks books;
  const bool streamed = GENERATE(true, false);
  const std::size_t stop_at = GENERATE(1U, 90U);
  const FaultServer server([streamed, stop_at](std::size_t, std::string_view) {
    Plan plan =
        answer(streamed ? chunked_reply(chat_stream_events()) : http_reply(200, chat_reply_body()), Plan::Then::close);
    plan.stop_at = stop_at;
    return plan;
  });
  outlay::http::ClientOptions options = client_options(server);
  options.retries.max_attempts = 5;
  options.retries.may_bill_twice = true;
  CHECK(make(options, streamed).code != errc::ok);
  CHECK(server.requests().size() == 1);
  CHECK(books.records().size() == 1);
}

TEST_CASE("retries: an attempt that no longer fits is refused", "[http][retries]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(502, "{}")); });
  outlay::http::ClientOptions options = client_options(server);
  options.retries.max_attempts = 10;
  options.retries.may_bill_twice = true;
  asio::io_context io;
  const outlay::http::Client client(io, options);
  outlay::Budget budget({.calls = 3});
  CHECK_THROWS_AS(run(io, client.post(chat_request())), outlay::BudgetExceeded);
  CHECK(server.requests().size() == 3);
  CHECK(budget.spent().calls == 3);
  CHECK(budget.reserved() == outlay::Amounts{});
}

TEST_CASE("retries: failures in a row are reported as a storm, once", "[http][retries]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(503, "{}")); });
  outlay::http::ClientOptions options = client_options(server);
  options.retries.storm_after = 3;
  asio::io_context io;
  const outlay::http::Client client(io, options);
  outlay::Budget budget({.name = "stormy", .usd = 1_usd});
  outlay::Track track({{"feature", "weather"}});
  std::mutex mutex;
  int storms = 0;
  const outlay::LogHandler before = outlay::set_log_handler([&](outlay::LogLevel, std::string_view message) {
    const std::lock_guard lock(mutex);
    if (message.find("retry storm") != message.npos) ++storms;
  });
  for (int i = 0; i < 6; ++i) CHECK_THROWS_AS(run(io, client.post(chat_request())), outlay::http::ProviderError);
  outlay::set_log_handler(before);
  CHECK(storms == 1);
  std::vector<outlay::BudgetEvent> events = books.ledger.events();
  std::erase_if(events, [](const outlay::BudgetEvent& event) { return event.action != outlay::Action::retry_storm; });
  REQUIRE(events.size() == 1);
  CHECK(events[0].projected == 3);
  CHECK(events[0].model == "gpt-4o");
  CHECK(events[0].tags.at("feature") == "weather");
  CHECK(events[0].budget == "stormy");
}

TEST_CASE("client: a cancelled request is indeterminate, and its connection closed", "[http][client]") {
  const OwnBooks books;
  asio::io_context io;
  asio::cancellation_signal signal;
  const bool streamed = GENERATE(true, false);
  const FaultServer server([&](std::size_t, std::string_view) {
    asio::post(io, [&] { signal.emit(asio::cancellation_type::terminal); });  // it has been sent
    return answer("", Plan::Then::stall);
  });
  outlay::http::ClientOptions options = client_options(server);
  options.timeouts = {};
  const outlay::http::Client client(io, options);
  outlay::Budget budget({.usd = 1_usd});
  std::exception_ptr failure;
  const json::object request = chat_request();
  const auto work = [&]() -> asio::awaitable<void> {
    if (streamed) {
      static_cast<void>(co_await client.stream(request));
    } else {
      static_cast<void>(co_await client.post(request));
    }
  };
  outlay::co_spawn(io, work,
                   asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr error) { failure = error; }));
  io.run();
  REQUIRE(failure);
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& error) {
    CHECK(error.code() == asio::error::operation_aborted);
  }
  CHECK(server.wait_for_open(0));
  CHECK(budget.reserved() == outlay::Amounts{});
  check_charged(books, RecordStatus::indeterminate);
}

TEST_CASE("client: a stream that is cancelled after any number of pieces is charged for what it had shown",
          "[http][client]") {
  const OwnBooks books;
  const std::size_t pieces = GENERATE(0U, 1U, 2U, 3U);
  asio::io_context io;
  const FaultServer server([&](std::size_t, std::string_view) {
    std::vector<std::string> events = chat_stream_events();
    events.resize(pieces);
    std::string bytes = chunked_reply(events);
    bytes.resize(bytes.size() - 5);  // the last chunk is to come
    return answer(bytes, Plan::Then::stall);
  });
  outlay::http::ClientOptions options = client_options(server);
  options.timeouts = {.idle = std::chrono::seconds(10)};
  const outlay::http::Client client(io, options);
  outlay::Budget budget({.usd = 1_usd});
  std::optional<outlay::http::ReplyStream> stream;
  std::size_t seen = 0;
  std::string shown;
  const auto read = [&]() -> asio::awaitable<void> {
    const json::object request = chat_request();
    stream.emplace(co_await client.stream(request));
    for (; seen < pieces; ++seen) {
      const std::optional<outlay::http::Delta> delta = co_await stream->next();
      shown += delta->text;
    }
  };
  outlay::co_spawn(io, read, asio::detached);
  io.run();
  io.restart();
  asio::cancellation_signal signal;
  std::exception_ptr failure;
  stream->async_next(asio::bind_cancellation_slot(
      signal.slot(), [&](std::exception_ptr error, const std::optional<outlay::http::Delta>&) { failure = error; }));
  io.poll();
  signal.emit(asio::cancellation_type::terminal);
  while (!failure) REQUIRE(io.run_one() == 1);
  CHECK_THROWS_AS(std::rethrow_exception(failure), boost::system::system_error);
  CHECK_FALSE(stream->open());
  CHECK(server.wait_for_open(0));
  CHECK(budget.reserved() == outlay::Amounts{});
  check_charged(books, pieces == 0 ? RecordStatus::indeterminate : RecordStatus::estimated);
  CHECK(stream->charged() == books.records()[0].usd);
  if (pieces > 0) CHECK(books.records()[0].usage.output == outlay::built_in_tokenizer().upper(shown));
}

TEST_CASE("client: a stream whose io_context goes away is charged for what it had shown", "[http][client]") {
  const OwnBooks books;
  auto io = std::make_unique<asio::io_context>();
  const FaultServer server([](std::size_t, std::string_view) {
    Plan plan = answer(chunked_reply(chat_stream_events()), Plan::Then::stall);
    plan.stop_at = plan.bytes.find("data: {\"choices\":[{\"index\":0,\"delta\":{},");
    return plan;
  });
  outlay::Budget budget({.usd = 1_usd});
  {
    outlay::http::ClientOptions options = client_options(server);
    options.timeouts = {};
    const auto client = std::make_shared<outlay::http::Client>(*io, options);
    const auto work = [client, context = io.get()]() -> asio::awaitable<void> {
      const json::object request = chat_request();
      outlay::http::ReplyStream stream = co_await client->stream(request);
      int pieces = 0;
      for (;;) {
        if (pieces == 3) context->stop();
        static_cast<void>(co_await stream.next());
        ++pieces;
      }
    };
    outlay::co_spawn(*io, work, asio::detached);
  }
  io->run();
  CHECK(budget.reserved().calls == 1);
  io.reset();
  CHECK(budget.reserved() == outlay::Amounts{});
  REQUIRE(books.records().size() == 1);
  CHECK(books.records()[0].usd > 0_usd);
  CHECK(server.wait_for_open(0));
}

TEST_CASE("client: options that make no sense are refused, and the key is not repeated", "[http][client]") {
  asio::io_context io;
  const auto refused = [&](const outlay::http::ClientOptions& options) {
    try {
      const outlay::http::Client client(io, options);
    } catch (const outlay::ConfigError& error) {
      return std::string(error.what()).find("sk-test") == std::string::npos;
    }
    return false;
  };
  outlay::http::ClientOptions good;
  good.base_url = "http://127.0.0.1:1";
  good.api_key = "sk-test-key";
  CHECK_FALSE(refused(good));
  auto options = good;
  options.base_url = "http://example.com/v1";  // the key would travel unencrypted
  CHECK(refused(options));
  options.allow_plaintext_key = true;
  CHECK_FALSE(refused(options));
  options = good;
  options.api_key = "sk-test-key\n";
  CHECK(refused(options));
  options = good;
  options.headers = {{"Host", "example.com"}};
  CHECK(refused(options));
  options = good;
  options.headers = {{"X-A", "b\r\nX-C: d"}};
  CHECK(refused(options));
  options = good;
  options.headers = {{"X A", "b"}};
  CHECK(refused(options));
  options = good;
  options.retries.max_attempts = 0;
  CHECK(refused(options));
  options = good;
  options.timeouts.idle = milliseconds(-1);
  CHECK(refused(options));
  options = good;
  options.base_url = "https://127.0.0.1:1";
  options.ca_file = "/nonexistent/authorities.pem";
  CHECK(refused(options));
}

TEST_CASE("client: a request over the limit is refused and releases its reservation", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  outlay::http::ClientOptions options = client_options(server);
  options.limits.request_bytes = 200;
  CHECK(make(options, GENERATE(true, false)).code == errc::invalid_argument);
  CHECK(server.connections() == 0);
  CHECK(books.records().empty());
}

TEST_CASE("client: the child of a fork speaks on connections of its own, and the parent goes on with its own",
          "[http][client][fork]") {
  NEEDS_FORK();
  const OwnBooks books;
  const bool tls = GENERATE(false, true);
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); },
                           FaultServer::Options{.tls = tls});
  outlay::http::ClientOptions options = client_options(server);
  const TemporaryFile authority(tls ? server.certificate() : std::string());
  if (tls) options.ca_file = authority.path;
  options.timeouts.first_byte = std::chrono::seconds(3);
  auto io = std::make_unique<asio::io_context>();
  std::optional<outlay::http::Client> client(std::in_place, *io, options);
  static_cast<void>(run(*io, client->post(chat_request())));
  REQUIRE(client->idle_connections() == 1);
  for (const bool by_inherited : {true, false}) {
    io->notify_fork(asio::execution_context::fork_prepare);
    outlay_test::ForkedChild child([&] {
      io->notify_fork(asio::execution_context::fork_child);
      if (by_inherited) static_cast<void>(run(*io, client->post(chat_request())));
      client.reset();
      io.reset();
      asio::io_context own;
      static_cast<void>(run(own, outlay::http::Client(own, options).post(chat_request())));
      return 0;
    });
    io->notify_fork(asio::execution_context::fork_parent);
    CHECK(child.wait() == 0);
    static_cast<void>(run(*io, client->post(chat_request())));
  }
  // The parent's, three of the children, and no more.
  CHECK(server.connections() == 4);
  CHECK(server.requests().size() == 6);
  CHECK(books.records().size() == 3);
}
