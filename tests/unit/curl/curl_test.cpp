#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "outlay/curl.hpp"
#include "outlay/testing.hpp"
#include "support/catch.hpp"
#include "unit/http/same_books.hpp"

using namespace outlay;
using namespace test;

namespace {

/// An easy handle that waits for an answer no longer than `patience`.
struct Easy {
  explicit Easy(const std::string& base, std::chrono::milliseconds patience = std::chrono::seconds(10)) {
    REQUIRE(handle != nullptr);
    fields = curl_slist_append(fields, "Content-Type: application/json");
    fields = curl_slist_append(fields, "Authorization: Bearer sk-test-key");
    curl_easy_setopt(handle, CURLOPT_URL, (base + "/chat/completions").c_str());
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(patience.count()));
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  }
  Easy(const Easy&) = delete;
  Easy& operator=(const Easy&) = delete;
  ~Easy() {
    curl_easy_cleanup(handle);
    curl_slist_free_all(fields);
  }
  CURL* handle = curl_easy_init();
  curl_slist* fields = nullptr;
};

void send_by_curl(const std::string& base, const std::string& body, std::chrono::milliseconds patience) {
  const Easy easy(base, patience);
  curl_perform(easy.handle, Api::openai_chat, body);
}

std::size_t append(char* data, std::size_t size, std::size_t count, void* to) {
  static_cast<std::string*>(to)->append(data, size * count);
  return size * count;
}

/// One of the standard streams is a file for a while.
class Redirected {
 public:
  explicit Redirected(std::FILE* stream) : stream_(stream), before_(::dup(::fileno(stream))) {
    REQUIRE(file_ != nullptr);
    std::fflush(stream_);
    ::dup2(::fileno(file_), ::fileno(stream_));
  }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;
  ~Redirected() {
    std::fflush(stream_);
    ::dup2(before_, ::fileno(stream_));
    ::close(before_);
    std::fclose(file_);
  }
  [[nodiscard]] std::FILE* file() const { return file_; }
  void to_start() const {
    if (std::fseek(file_, 0, SEEK_SET) != 0) throw std::runtime_error("a stream's file cannot be read from its start");
  }
  [[nodiscard]] std::string text() const {
    std::fflush(stream_);
    to_start();
    std::string text;
    for (int c = 0; (c = std::fgetc(file_)) != EOF;) text += static_cast<char>(c);
    return text;
  }

 private:
  std::FILE* const stream_;
  std::FILE* const file_ = std::tmpfile();
  const int before_;
};

}  // namespace

TEST_CASE("curl: a request is rerouted, sent and settled, and the program's buffer filled", "[curl]") {
  const OwnBooks books;
  std::string seen;
  const FaultServer server([&](std::size_t, std::string_view request) {
    seen = request;
    return answer(http_reply(200, chat_reply_body()));
  });
  const Easy prepared(server.url() + "/v1");
  CURL* const easy = prepared.handle;
  const std::string request = chat_text(false);
  //! [curl_example]
  outlay::Budget budget({.usd = 0.0009_usd, .on_exceed = outlay::Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
  std::string reply;
  const outlay::CurlResult result =
      outlay::curl_perform(easy, outlay::Api::openai_chat, request, {.write = append, .write_data = &reply});
  if (result.code != CURLE_OK || result.status != 200) throw std::runtime_error("no answer");
  //! [curl_example]
  CHECK(reply == chat_reply_body());
  CHECK(result.settled.usage == Usage{.input = 20, .output = 5});
  CHECK(seen.find(R"("model":"gpt-4o-mini")") != std::string::npos);
  CHECK(books.records().at(0).status == RecordStatus::settled);
}

TEST_CASE("curl: a stream fills the program's buffer without the report that it did not ask for", "[curl]") {
  const OwnBooks books;
  std::string whole, delivered, seen;
  for (const std::string& event : chat_stream_events()) {
    whole += event;
    if (event.find("usage") == std::string::npos) delivered += event;
  }
  const FaultServer server([&](std::size_t, std::string_view request) {
    seen = request;
    Plan plan = answer(chunked_reply({whole}));
    plan.per_write = 7;
    return plan;
  });
  const Easy easy(server.url() + "/v1");
  std::string got, head;
  const CurlResult result = curl_perform(easy.handle, Api::openai_chat, chat_text(true),
                                         {.write = append, .write_data = &got, .header = append, .header_data = &head});
  CHECK(got == delivered);
  CHECK(head.find("text/event-stream") != std::string::npos);
  CHECK(seen.find("include_usage") != std::string::npos);
  CHECK(result.settled.usd == chat_cost);
  CHECK_FALSE(result.failure);
  CHECK(curl_perform(easy.handle, Api::openai_chat, chat_text(true)).body == delivered);
  CHECK(curl_perform(easy.handle, Api::openai_chat, chat_text(true), {.guard = {.ask_for_usage = false}}).body ==
        whole);
}

TEST_CASE("curl: a request that does not fit is refused before anything is sent", "[curl]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  const Easy easy(server.url() + "/v1");
  const Budget budget({.usd = 0.00001_usd});
  CHECK_THROWS_AS(curl_perform(easy.handle, Api::openai_chat, chat_text(false)), BudgetExceeded);
  CHECK(server.connections() == 0);
}

TEST_CASE("curl: a stream that a budget cuts is aborted, and says why", "[curl]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) {
    Plan plan = answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + delta_event("one"));
    plan.endless = true;
    plan.repeat = delta_event(" two three");
    return plan;
  });
  const Easy easy(server.url() + "/v1");
  curl_easy_setopt(easy.handle, CURLOPT_TIMEOUT_MS, 10'000L);
  const Budget budget({.tokens = 500});
  const CurlResult result = curl_perform(easy.handle, Api::openai_chat, chat_text(true, false));
  CHECK(result.code == CURLE_WRITE_ERROR);
  CHECK(result.cut);
  REQUIRE(result.failure);
  CHECK(result.failure->reason() == errc::budget_exceeded);
  CHECK(server.wait_for_open(0));
  CHECK(budget.spent().tokens <= 500);
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("curl: nothing is thrown through libcurl, and what a callback throws comes out at the end", "[curl]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t number, std::string_view) {
    return answer(number % 2 == 0 ? http_reply(200, chat_reply_body()) : chunked_reply(chat_stream_events()));
  });
  const curl_write_callback throws = [](char*, std::size_t, std::size_t, void*) -> std::size_t {
    throw std::runtime_error("full");
  };
  struct Consumer final : StreamConsumer {
    void on_delta(const StreamDelta&) override { throw std::runtime_error("full"); }
  } consumer;
  const auto perform = [&](bool streamed, const CurlOptions& options) {
    const Easy easy(server.url() + "/v1");
    CHECK_THROWS_AS(curl_perform(easy.handle, Api::openai_chat, chat_text(streamed), options), std::runtime_error);
  };
  const Budget budget({.usd = 1_usd});
  perform(false, {.write = throws});
  perform(true, {.write = throws});
  perform(false, {.header = throws});
  perform(true, {.transfer = {.consumer = &consumer}});
  CHECK(books.records().size() == 4);
  for (const Record& record : books.records()) CHECK(record.usd > 0_usd);
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("curl: a handle is used again, with a URL for the model that was admitted", "[curl]") {
  const OwnBooks books;
  std::vector<std::string> lines;
  const FaultServer server([&](std::size_t, std::string_view request) {
    lines.emplace_back(request.substr(0, request.find('\r')));
    return answer(http_reply(200, R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],
                 "usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":2}})"));
  });
  const Easy easy(server.url());
  const std::string request = R"({"contents":[{"parts":[{"text":"hi"}]}]})";
  for (const char* const model : {"gemini-2.5-flash", "gemini-2.5-pro"})
    curl_perform(easy.handle, Api::gemini, request,
                 {.guard = {.model = model}, .prepare = [&](CURL* handle, const GuardedCall& call) {
                    const std::string url = server.url() + "/v1beta/models/" + call.model() + ":generateContent";
                    curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
                  }});
  CHECK(lines == std::vector<std::string>{"POST /v1beta/models/gemini-2.5-flash:generateContent HTTP/1.1",
                                          "POST /v1beta/models/gemini-2.5-pro:generateContent HTTP/1.1"});
  CHECK(server.connections() == 1);
}

TEST_CASE("curl: afterwards the program sends and reads by the handle as it always has", "[curl]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  const Easy easy(server.url() + "/v1");
  SECTION("a body of its own, without its size") {
    std::string got;
    curl_perform(easy.handle, Api::openai_chat, chat_text(false), {.write = append, .write_data = &got});
    got.clear();
    curl_easy_setopt(easy.handle, CURLOPT_POSTFIELDS, R"({"mine":true})");
    CHECK(curl_easy_perform(easy.handle) == CURLE_OK);
    CHECK(got == chat_reply_body());
    CHECK(server.requests().back().ends_with("\r\n\r\n{\"mine\":true}"));
  }
  SECTION("to standard output and from standard input, which are libcurl's own") {
    curl_perform(easy.handle, Api::openai_chat, chat_text(false));
    curl_slist_append(easy.fields, "Expect:");  // the server does not say that it wants the body
    curl_easy_setopt(easy.handle, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy.handle, CURLOPT_INFILESIZE, 11L);
    std::string printed;
    CURLcode code = CURLE_OK;
    {  // what Catch2 prints would go to the file, too
      const Redirected out(stdout), in(stdin);
      std::fputs("from a file", in.file());
      in.to_start();
      code = curl_easy_perform(easy.handle);
      printed = out.text();
    }
    CHECK(code == CURLE_OK);
    CHECK(printed == chat_reply_body());
    CHECK(server.requests().back().ends_with("\r\n\r\nfrom a file"));
  }
}

TEST_CASE("curl: what has not left is released: no address, no connection, no TLS, no URL", "[curl]") {
  const OwnBooks books;
  const Budget budget({.usd = 1_usd});
  const FaultServer plain([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  for (const std::string& base :
       {std::string("http://nobody.invalid"), "http://127.0.0.1:" + std::to_string(closed_port()),
        "https://127.0.0.1:" + std::to_string(plain.port()), std::string("no-scheme://x")}) {
    CAPTURE(base);
    const Easy easy(base, std::chrono::milliseconds(700));  // plain HTTP never answers a TLS handshake
    const CurlResult result = curl_perform(easy.handle, Api::openai_chat, chat_text(false));
    CHECK(result.code != CURLE_OK);
    CHECK(result.status == 0);
  }
  CHECK(books.records().empty());
  CHECK(budget.spent() == Amounts{});
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("curl: with CURLOPT_FAILONERROR a status is judged all the same", "[curl]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(429, "{}")); });
  const Easy easy(server.url() + "/v1");
  curl_easy_setopt(easy.handle, CURLOPT_FAILONERROR, 1L);
  CHECK(curl_perform(easy.handle, Api::openai_chat, chat_text(false)).code == CURLE_HTTP_RETURNED_ERROR);
  CHECK(books.records().at(0).status == RecordStatus::rejected);
}

TEST_CASE("curl: books what the HTTP client books, whatever the answer", "[curl][faults]") {
  const bool streamed = GENERATE(false, true);
  check_refused_connection(send_by_curl, streamed);
  check_statuses(send_by_curl, streamed);
  check_stalls(send_by_curl, streamed);
}

TEST_CASE("curl: a coding that the program asked for is read", "[curl][faults]") {
  std::string events;
  for (const std::string& event : chat_stream_events()) events += event;
  for (const bool streamed : {false, true}) {
    const OwnBooks books;
    const FaultServer server([&](std::size_t, std::string_view) {
      return answer(http_reply(200, gzip(streamed ? events : chat_reply_body()), "Content-Encoding: gzip\r\n"));
    });
    const Easy easy(server.url() + "/v1");
    curl_easy_setopt(easy.handle, CURLOPT_ACCEPT_ENCODING, "");
    const CurlResult result = curl_perform(easy.handle, Api::openai_chat, chat_text(streamed));
    CHECK(result.settled.usd == chat_cost);
    CHECK(result.body.find("It") != std::string::npos);
  }
}

TEST_CASE("curl: a request is not sent a second time over a connection that breaks", "[curl][faults]") {
  // libcurl would do so of itself where the connection was kept from an earlier transfer: it may be billed twice, and is one call.
  const bool streamed = GENERATE(false, true);
  const OwnBooks books;
  const FaultServer server([](std::size_t number, std::string_view) {
    return number == 1 ? answer("", Plan::Then::reset) : answer(http_reply(200, chat_reply_body()));
  });
  const Easy easy(server.url() + "/v1");
  CHECK(curl_perform(easy.handle, Api::openai_chat, chat_text(false)).code == CURLE_OK);
  CHECK(curl_perform(easy.handle, Api::openai_chat, chat_text(streamed)).code != CURLE_OK);
  CHECK(server.requests().size() == 2);
  CHECK(books.records().at(1).status == RecordStatus::indeterminate);
  CHECK(curl_perform(easy.handle, Api::openai_chat, chat_text(false)).code == CURLE_OK);
}

TEST_CASE("curl: a request that is sent again by an answer counts by the last one", "[curl][faults]") {
  check_sent_again([](const FaultServer& server, bool streamed, bool redirected) {
    const Easy easy(server.url() + "/v1");
    curl_easy_setopt(easy.handle, CURLOPT_FOLLOWLOCATION, 1L);
    if (!redirected) {
      curl_easy_setopt(easy.handle, CURLOPT_HTTPHEADER, nullptr);
      curl_easy_setopt(easy.handle, CURLOPT_HTTPAUTH, CURLAUTH_DIGEST | CURLAUTH_BASIC);
      curl_easy_setopt(easy.handle, CURLOPT_USERPWD, "user:secret");
    }
    return curl_perform(easy.handle, Api::openai_chat, chat_text(streamed)).body;
  });
}

TEST_CASE("curl: what a proxy keeps from leaving is released", "[curl][faults]") {
  const OwnBooks books;
  const Budget budget({.usd = 1_usd});
  for (const char* const answered : {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
                                     "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", ""}) {
    CAPTURE(answered);
    const FaultServer proxy([&](std::size_t, std::string_view) { return answer(answered, Plan::Then::close); });
    const Easy easy("https://api.example.com/v1");
    curl_easy_setopt(easy.handle, CURLOPT_PROXY, proxy.url().c_str());
    CHECK(curl_perform(easy.handle, Api::openai_chat, chat_text(false)).code != CURLE_OK);
    CHECK(proxy.requests().at(0).starts_with("CONNECT "));
  }
  CHECK(books.records().empty());
  CHECK(budget.spent() == Amounts{});
}

TEST_CASE("curl: an answer before the request has left is understood", "[curl][faults]") {
  const OwnBooks books;
  const FaultServer server(
      [](std::size_t, std::string_view) {
        return answer(http_reply(413, R"({"error":{"code":"too_large"}})"), Plan::Then::close);
      },
      {.blind = true});
  boost::json::object request = chat_request();
  request["padding"] = std::string(20'000'000, 'x');  // NOLINT(bugprone-string-constructor): more than a socket holds
  const Easy easy(server.url() + "/v1");
  const CurlResult result = curl_perform(easy.handle, Api::openai_chat, boost::json::serialize(request));
  CHECK(result.status == 413);
  CHECK(books.records().at(0).status == RecordStatus::rejected);
}

TEST_CASE("curl: books what the table says of each answer", "[curl][faults]") {
  for (const WireCase& one : wire_cases()) check_wire_case(one, send_by_curl);
}

TEST_CASE("curl: books what the HTTP client books of answers and of a cut", "[curl][faults]") {
  check_answers(send_by_curl);
  check_cut(send_by_curl);
}

TEST_CASE("curl: books what the HTTP client books of an answer that breaks off at any byte", "[curl][faults]") {
  check_every_byte(send_by_curl, http_reply(200, chat_reply_body()), false);
  check_every_byte(send_by_curl, chunked_reply(chat_stream_events()), true);
  for (const bool streamed : {false, true})
    check_every_byte(send_by_curl, http_reply(429, R"({"error":{"code":"rate_limit_exceeded"}})"), streamed);
}
