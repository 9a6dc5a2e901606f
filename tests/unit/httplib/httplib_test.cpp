#include "outlay/httplib.hpp"

#include <boost/json.hpp>
#include <chrono>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "outlay/testing.hpp"
#include "support/catch.hpp"
#include "unit/http/same_books.hpp"

using namespace outlay;
using namespace test;

namespace {

std::string host_of(const std::string& base) { return base.substr(0, base.find('/', base.find("://") + 3)); }

/// A client with the time-outs of client_options().
struct Client : httplib::Client {
  explicit Client(const std::string& base) : httplib::Client(host_of(base)) {
    set_connection_timeout(std::chrono::milliseconds(1'000));
    set_read_timeout(std::chrono::milliseconds(400));
    set_default_headers({{"Authorization", "Bearer sk-test-key"}});
  }
};

void send_by_httplib(const std::string& base, const std::string& body, std::chrono::milliseconds patience) {
  Client client(base);
  client.set_read_timeout(patience);
  httplib_post(client, Api::openai_chat, "/v1/chat/completions", body);
}

/// Whether cpp-httplib shows its program the bytes of a chunk when the connection breaks before the line that ends them.
bool shows_unended_chunk() {
  const FaultServer server([](std::size_t, std::string_view) {
    return answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nIt", Plan::Then::close);
  });
  std::string got;
  Client(server.url()).Get("/", [&](const char* data, std::size_t size) {
    got.append(data, size);
    return true;
  });
  return got == "It";
}

}  // namespace

TEST_CASE("httplib: a request is rerouted, sent and settled", "[httplib]") {
  const OwnBooks books;
  std::string seen;
  const FaultServer server([&](std::size_t, std::string_view request) {
    seen = request;
    return answer(http_reply(200, chat_reply_body()));
  });
  Client client(server.url());
  const std::string request = chat_text(false);
  //! [httplib_example]
  outlay::Budget budget({.usd = 0.0009_usd, .on_exceed = outlay::Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
  const outlay::HttplibResult result =
      outlay::httplib_post(client, outlay::Api::openai_chat, "/v1/chat/completions", request);
  if (result.status != 200) throw std::runtime_error(httplib::to_string(result.error));
  //! [httplib_example]
  CHECK(result.body == chat_reply_body());
  CHECK(result.error == httplib::Error::Success);
  CHECK(result.headers.count("Content-Length") == 1);
  CHECK(result.settled.usage == Usage{.input = 20, .output = 5});
  CHECK(seen.find(R"("model":"gpt-4o-mini")") != std::string::npos);
  CHECK(seen.find("Content-Type: application/json") != std::string::npos);
  CHECK(seen.find("Bearer sk-test-key") != std::string::npos);
}

TEST_CASE("httplib: a stream reaches the program's receiver without the report that it did not ask for", "[httplib]") {
  const OwnBooks books;
  std::string delivered;
  for (const std::string& event : chat_stream_events())
    if (event.find("usage") == std::string::npos) delivered += event;
  const FaultServer server([&](std::size_t, std::string_view) { return answer(chunked_reply(chat_stream_events())); });
  Client client(server.url());
  std::string got;
  const HttplibResult result = httplib_post(client, Api::openai_chat, "/v1/chat/completions", chat_text(true),
                                            {.receiver = [&](const char* data, std::size_t size) {
                                              got.append(data, size);
                                              return true;
                                            }});
  CHECK(got == delivered);
  CHECK(result.body.empty());
  CHECK(result.settled.usd == chat_cost);
}

TEST_CASE("httplib: a stream that a budget cuts is aborted, and says why", "[httplib]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) {
    Plan plan = answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + delta_event("one"));
    plan.endless = true;
    plan.repeat = delta_event(" two three");
    return plan;
  });
  Client client(server.url());
  const Budget budget({.tokens = 500});
  const HttplibResult result = httplib_post(client, Api::openai_chat, "/v1/chat/completions", chat_text(true, false));
  CHECK(result.error == httplib::Error::Canceled);
  CHECK(result.cut);
  REQUIRE(result.failure);
  CHECK(result.failure->reason() == errc::budget_exceeded);
  CHECK(server.wait_for_open(0));
  CHECK(budget.spent().tokens <= 500);
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("httplib: the path may name the model that was admitted", "[httplib]") {
  const OwnBooks books;
  std::string line;
  const FaultServer server([&](std::size_t, std::string_view request) {
    line = request.substr(0, request.find('\r'));
    return answer(http_reply(429, "{}"));
  });
  Client client(server.url());
  httplib_post(
      client, Api::gemini, "", R"({"contents":[{"parts":[{"text":"hi"}]}]})",
      {.guard = {.model = "gemini-2.5-flash"}, .prepare = [](httplib::Request& request, const GuardedCall& call) {
         request.path = "/v1beta/models/" + call.model() + ":generateContent";
       }});
  CHECK(line == "POST /v1beta/models/gemini-2.5-flash:generateContent HTTP/1.1");
  CHECK(books.records().at(0).status == RecordStatus::rejected);
}

TEST_CASE("httplib: what a receiver throws comes out once the call is charged", "[httplib]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t number, std::string_view) {
    return answer(number == 0 ? http_reply(200, chat_reply_body()) : chunked_reply(chat_stream_events()));
  });
  const HttplibOptions options{.receiver = [](const char*, std::size_t) -> bool { throw std::runtime_error("full"); }};
  for (const bool streamed : {false, true}) {
    Client client(server.url());
    CHECK_THROWS_AS(httplib_post(client, Api::openai_chat, "/v1/chat/completions", chat_text(streamed), options),
                    std::runtime_error);
  }
  CHECK(books.records().size() == 2);
  for (const Record& record : books.records()) CHECK(record.usd > 0_usd);
}

TEST_CASE("httplib: what has not left is released: no address, no connection", "[httplib]") {
  const OwnBooks books;
  const Budget budget({.usd = 1_usd});
  for (const std::string& base :
       {std::string("http://nobody.invalid"), "http://127.0.0.1:" + std::to_string(closed_port())}) {
    CAPTURE(base);
    Client client(base);
    const HttplibResult result = httplib_post(client, Api::openai_chat, "/v1/chat/completions", chat_text(false));
    CHECK(result.error == httplib::Error::Connection);
  }
  CHECK(books.records().empty());
  CHECK(budget.spent() == Amounts{});
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("httplib: books what the HTTP client books, whatever the answer", "[httplib][faults]") {
  const bool streamed = GENERATE(false, true);
  check_refused_connection(send_by_httplib, streamed);
  check_statuses(send_by_httplib, streamed);
  check_stalls(send_by_httplib, streamed);
}

TEST_CASE("httplib: a coding that the client reads is read", "[httplib][faults]") {
  std::string events;
  for (const std::string& event : chat_stream_events()) events += event;
  for (const bool streamed : {false, true}) {
    const OwnBooks books;
    const FaultServer server([&](std::size_t, std::string_view) {
      return answer(http_reply(200, gzip(streamed ? events : chat_reply_body()), "Content-Encoding: gzip\r\n"));
    });
    Client client(server.url());
    const HttplibResult result = httplib_post(client, Api::openai_chat, "/v1/chat/completions", chat_text(streamed));
    CHECK(result.settled.usd == chat_cost);
    CHECK(result.body.find("It") != std::string::npos);
  }
}

TEST_CASE("httplib: a connection that was kept and breaks is charged, and the request not sent again",
          "[httplib][faults]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t number, std::string_view) {
    return number == 1 ? answer("", Plan::Then::reset) : answer(http_reply(200, chat_reply_body()));
  });
  Client client(server.url());
  client.set_keep_alive(true);
  const auto post = [&] { return httplib_post(client, Api::openai_chat, "/v1/chat/completions", chat_text(false)); };
  CHECK(post().status == 200);
  CHECK(post().status == 0);
  CHECK(server.requests().size() == 2);
  CHECK(books.records().at(1).status == RecordStatus::indeterminate);
  CHECK(post().status == 200);
}

TEST_CASE("httplib: a request that is sent again by an answer counts by the last one", "[httplib][faults]") {
  check_sent_again([](const FaultServer& server, bool streamed, bool redirected) {
    Client client(server.url());
    client.set_follow_location(true);
    if (!redirected) client.set_digest_auth("user", "secret");
    return httplib_post(client, Api::openai_chat, "/v1/chat/completions", chat_text(streamed)).body;
  });
}

TEST_CASE("httplib: what aborts an answer behind a redirect or a challenge is said", "[httplib][faults]") {
  const bool redirected = GENERATE(true, false);
  const bool too_large = GENERATE(true, false);
  CAPTURE(redirected, too_large);
  const OwnBooks books;
  const FaultServer server([&](std::size_t number, std::string_view) {
    if (number == 0 && redirected) return answer(http_reply(307, "moved", "Location: /v2/chat/completions\r\n"));
    if (number == 0)
      return answer(http_reply(401, "who?", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n"));
    if (too_large) return answer(http_reply(200, chat_reply_body()));
    Plan plan = answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + delta_event("one"));
    plan.endless = true;
    plan.repeat = delta_event(" two three");
    return plan;
  });
  Client client(server.url());
  client.set_follow_location(true);
  if (!redirected) client.set_digest_auth("user", "secret");
  const Budget budget({.tokens = 500});
  const HttplibResult result =
      httplib_post(client, Api::openai_chat, "/v1/chat/completions", chat_text(!too_large, false),
                   {.transfer = {.reply_bytes = too_large ? 50U : 1U << 20U}});
  CHECK(result.status == 200);
  CHECK(result.cut == !too_large);
  REQUIRE(result.failure);
  CHECK(result.failure->reason() == (too_large ? errc::bad_reply : errc::budget_exceeded));
  CHECK(books.records().at(0).reason.find("HTTP 307") == std::string::npos);
}

TEST_CASE("httplib: a redirect to where nothing listens is charged", "[httplib][faults]") {
  const OwnBooks books;
  const FaultServer server([&](std::size_t, std::string_view) {
    return answer(http_reply(307, "", "Location: http://127.0.0.1:" + std::to_string(closed_port()) + "/v1\r\n"));
  });
  Client client(server.url());
  client.set_follow_location(true);
  httplib_post(client, Api::openai_chat, "/v1/chat/completions", chat_text(false));
  REQUIRE(books.records().size() == 1);
  CHECK(books.records().at(0).status == RecordStatus::indeterminate);
}

TEST_CASE("httplib: an answer before the request has left is understood where the client reads it",
          "[httplib][faults]") {
  const OwnBooks books;
  const FaultServer server(
      [](std::size_t, std::string_view) {
        return answer(http_reply(413, R"({"error":{"code":"too_large"}})"), Plan::Then::close);
      },
      {.blind = true});
  boost::json::object request = chat_request();
  request["padding"] = std::string(20'000'000, 'x');  // NOLINT(bugprone-string-constructor): more than a socket holds
  Client client(server.url());
  const HttplibResult result =
      httplib_post(client, Api::openai_chat, "/v1/chat/completions", boost::json::serialize(request));
  // Some versions do not look for an answer where they cannot write.
  CHECK(books.records().at(0).status == (result.status == 413 ? RecordStatus::rejected : RecordStatus::indeterminate));
}

#ifdef CPPHTTPLIB_OPENSSL_SUPPORT
TEST_CASE("httplib: what TLS or a proxy keeps from leaving is released", "[httplib][faults]") {
  const OwnBooks books;
  const Budget budget({.usd = 1_usd});
  const auto post = [](httplib::SSLClient& client) {
    client.set_connection_timeout(std::chrono::milliseconds(1'000));
    client.set_read_timeout(std::chrono::milliseconds(400));
    CHECK(httplib_post(client, Api::openai_chat, "/v1/chat/completions", chat_text(false)).status == 0);
  };
  const auto script = [](std::size_t, std::string_view) {
    return answer(http_reply(200, chat_reply_body()), Plan::Then::close);
  };
  SECTION("no TLS") {
    const FaultServer server(script, {.blind = true});
    httplib::SSLClient client("localhost", server.port());
    post(client);
  }
  SECTION("a certificate that is not vouched for") {
    const FaultServer server(script, {.tls = true});
    httplib::SSLClient client("localhost", server.port());
    post(client);
  }
  SECTION("a proxy that refuses") {
    const FaultServer proxy([](std::size_t, std::string_view) {
      return answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", Plan::Then::close);
    });
    httplib::SSLClient client("api.example.com", 443);
    client.set_proxy("127.0.0.1", proxy.port());
    httplib_post(client, Api::openai_chat, "/v1/chat/completions", chat_text(false));
  }
  CHECK(books.records().empty());
  CHECK(budget.spent() == Amounts{});
}
#endif

TEST_CASE("httplib: books what the table says of each answer", "[httplib][faults]") {
  for (const WireCase& one : wire_cases()) {
    // Some versions take a trailer for a fault, so that a plain reply has broken off.
    if (one.name != "trailers") check_wire_case(one, send_by_httplib);
  }
}

TEST_CASE("httplib: books what the HTTP client books of answers and of a cut", "[httplib][faults]") {
  check_answers(send_by_httplib);
  check_cut(send_by_httplib);
}

TEST_CASE("httplib: books what the HTTP client books of an answer that breaks off at any byte", "[httplib][faults]") {
  check_every_byte(send_by_httplib, http_reply(200, chat_reply_body()), false);
  const std::string stream = chunked_reply(chat_stream_events());
  std::map<std::size_t, std::size_t> shown;
  if (!shows_unended_chunk())
    for (const std::string& event : chat_stream_events()) {
      const std::size_t begin = stream.find(event);
      shown[begin + event.size()] = shown[begin + event.size() + 1] = begin;
    }
  check_every_byte(send_by_httplib, stream, true, shown);
  for (const bool streamed : {false, true})
    check_every_byte(send_by_httplib, http_reply(429, R"({"error":{"code":"rate_limit_exceeded"}})"), streamed);
}
