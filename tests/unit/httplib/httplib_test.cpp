#include "outlay/httplib.hpp"

#include <chrono>
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

void send_by_httplib(const std::string& base, const std::string& body) {
  Client client(base);
  httplib_post(client, Api::openai_chat, "/v1/chat/completions", body);
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

TEST_CASE("httplib: books what the HTTP client books of answers and of a cut", "[httplib][faults]") {
  check_answers(send_by_httplib);
  check_cut(send_by_httplib);
}

TEST_CASE("httplib: books what the HTTP client books of an answer that breaks off at any byte", "[httplib][faults]") {
  check_every_byte(send_by_httplib, http_reply(200, chat_reply_body()), false);
  check_every_byte(send_by_httplib, chunked_reply(chat_stream_events()), true);
  for (const bool streamed : {false, true})
    check_every_byte(send_by_httplib, http_reply(429, R"({"error":{"code":"rate_limit_exceeded"}})"), streamed);
}
