#include "outlay/gateway.hpp"

#include <unistd.h>

#include <atomic>
#include <boost/asio.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gateway_support.hpp"
#include "outlay/outlay.hpp"
#include "outlay/testing.hpp"
#include "support/catch.hpp"

namespace asio = boost::asio;
using namespace test;

namespace {

FaultServer::Script always(const Plan& plan) {
  return [plan](std::size_t, std::string_view) { return plan; };
}

std::string body_of(const std::string& request) { return request.substr(request.find("\r\n\r\n") + 4); }

}  // namespace

TEST_CASE("gateway: a program embeds one, and the scopes around serve() hold for all requests", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  outlay::Usd spent;
  asio::io_context io;
  outlay::GatewayOptions options;
  options.upstreams = {{.name = "openai", .url = upstream.url() + "/v1", .paths = {"/v1/"}}};
  //! [serve_example]
  outlay::Gateway gateway(io.get_executor(), options);
  auto serve = [&]() -> asio::awaitable<void> {
    outlay::Budget budget({.name = "all of them", .usd = 5_usd});
    co_await gateway.serve();
    spent = budget.spent().usd;
  };
  outlay::co_spawn(io, serve(), asio::detached);
  //! [serve_example]
  std::thread program([&] {
    Wire wire(gateway.port());
    wire.send(post("/v1/chat/completions", chat_text()));
    CHECK(wire.reply().status == 200);
    gateway.stop();
  });
  io.run();
  program.join();
  CHECK(spent == 0.0001_usd);
}

TEST_CASE("gateway: a client and its upstream connection stay on one of the strands that the program names",
          "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  outlay::GatewayOptions options;
  options.upstreams = {{.name = "openai", .url = upstream.url() + "/v1", .paths = {"/v1/"}}};
  std::mutex mutex;
  std::map<std::string, std::vector<std::thread::id>> served_by;
  options.on_exchange = [&](const outlay::GatewayExchange& seen) {
    const std::lock_guard lock(mutex);
    served_by[seen.path].push_back(std::this_thread::get_id());
  };
  CHECK_THROWS_AS(outlay::Gateway(std::vector<asio::any_io_executor>{}, options), outlay::ConfigError);

  asio::io_context first(1);
  asio::io_context second(1);
  std::vector<asio::any_io_executor> strands{first.get_executor(), second.get_executor()};
  std::vector<asio::executor_work_guard<asio::any_io_executor>> open;
  for (const asio::any_io_executor& strand : strands) open.emplace_back(strand);
  outlay::Gateway gateway(strands, options);
  outlay::co_spawn(first, gateway.serve(), [&](const std::exception_ptr&) { open.clear(); });
  std::thread one([&] { first.run(); });
  std::thread other([&] { second.run(); });
  Wire left(gateway.port());
  Wire right(gateway.port());
  const std::string path = "/v1/chat/completions";
  for (int round = 0; round < 2; ++round) {
    left.send(post(path, chat_text()));
    right.send(post("/to/openai" + path, chat_text()));
    CHECK(left.reply().status == 200);
    CHECK(right.reply().status == 200);
  }
  left.close();
  right.close();
  gateway.stop();
  const std::vector<std::thread::id> both{one.get_id(), other.get_id()};
  // Nothing keeps them running when the gateway has stopped: no timer of a connection that is idle.
  one.join();
  other.join();
  const std::vector<std::thread::id> of_left = served_by[path];
  const std::vector<std::thread::id> of_right = served_by["/to/openai" + path];
  REQUIRE(of_left.size() == 2);
  REQUIRE(of_right.size() == 2);
  CHECK(of_left[0] == of_left[1]);
  CHECK(of_right[0] == of_right[1]);
  CHECK(std::set{of_left[0], of_right[0]} == std::set{both[0], both[1]});
  CHECK(upstream.connections() == 2);
}

TEST_CASE("gateway: a request that no policy changes leaves byte for byte, and the reply arrives so", "[gateway]") {
  const std::string reply_body = " " + chat_reply_body() + "\n\n";
  const FaultServer upstream(
      always(answer(http_reply(200, reply_body, "x-request-id: r1\r\nConnection: X-Own\r\nX-Own: 1\r\n"))));
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  const std::string text = chat_text();
  const WireReply reply =
      ask(gateway, post("/v1/chat/completions?beta=1", text,
                        "Authorization: Bearer sk-secret\r\nAccept-Encoding: gzip, br\r\nX-Kept: a\r\nTE: trailers\r\n"
                        "Connection: X-Hop\r\nX-Hop: 1\r\nx-outlay-tag-user: alice\r\n"));
  CHECK(reply.status == 200);
  CHECK(reply.body == reply_body);
  CHECK(reply.field("x-request-id") == "r1");
  CHECK(reply.field("X-Own").empty());
  CHECK(reply.field("x-outlay-cost") == "$0.0001");
  REQUIRE(upstream.requests().size() == 1);
  const std::string sent = upstream.requests()[0];
  CHECK(sent.starts_with("POST /v1/chat/completions?beta=1 HTTP/1.1\r\nHost: 127.0.0.1:"));
  CHECK(body_of(sent) == text);
  CHECK(sent.find("\r\nAuthorization: Bearer sk-secret\r\n") != sent.npos);
  CHECK(sent.find("\r\nX-Kept: a\r\n") != sent.npos);
  CHECK(sent.find("\r\nAccept-Encoding: identity\r\n") != sent.npos);
  for (const char* gone : {"gzip", "X-Hop", "TE:", "x-outlay", "Transfer-Encoding"})
    CHECK(sent.find(gone) == sent.npos);
  const auto records = gateway.ledger().records();
  REQUIRE(records.size() == 1);
  CHECK(records[0].usd == 0.0001_usd);
  CHECK(records[0].tags.at("user") == "alice");
  CHECK(records[0].status == outlay::RecordStatus::settled);
}

TEST_CASE("gateway: where a policy changes the model or the ceiling, nothing else of the request changes",
          "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  RunningGateway gateway(
      upstream.url(),
      outlay::BudgetOptions{.usd = 0.006_usd, .on_exceed = outlay::Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
  CHECK(ask(gateway, post("/v1/chat/completions", chat_text(1000))).status == 200);
  REQUIRE(upstream.requests().size() == 1);
  std::string expected = chat_text(1000);
  expected.replace(expected.find("gpt-4o"), 6, "gpt-4o-mini");
  CHECK(body_of(upstream.requests()[0]) == expected);
  // A model in the path changes there.
  RunningGateway small(
      upstream.url(),
      outlay::BudgetOptions{.usd = 0.006_usd,
                            .on_exceed = outlay::Downgrade{{{"gemini-2.5-pro", "gemini-2.5-flash-lite"}}}});
  const std::string contents =
      R"({"contents":[{"parts":[{"text":"Hi"}]}],"generationConfig":{"maxOutputTokens":1000}})";
  static_cast<void>(ask(small, post("/v1beta/models/gemini-2.5-pro:generateContent?key=k", contents)));
  REQUIRE(upstream.requests().size() == 2);
  CHECK(upstream.requests()[1].starts_with(
      "POST /v1beta/models/gemini-2.5-flash-lite:generateContent?key=k HTTP/1.1\r\n"));
  CHECK(body_of(upstream.requests()[1]) == contents);
}

TEST_CASE("gateway: a request that cannot be read is refused with what is wrong", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  for (const char* body :
       {"", "[]", "{", R"({"model":"gpt-4o"} {})", R"({"messages":[]})", R"({"model":7,"messages":[]})"}) {
    CAPTURE(body);
    const WireReply reply = ask(gateway, post("/v1/chat/completions", body));
    CHECK(reply.status == 400);
    CHECK_THAT(reply.body, ContainsSubstring(R"("code":"invalid_argument")"));
  }
  CHECK(ask(gateway, post("/v1/chat/completions", chat_text(), "Content-Encoding: gzip\r\n")).status == 415);
  CHECK(ask(gateway, post("/v1/chat/completions",
                          R"({"model":"no-such-model","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]})"))
            .status == 400);
  CHECK(upstream.requests().empty());
}

TEST_CASE("gateway: connections are kept on both sides", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  Wire wire(gateway.port());
  for (int i = 0; i < 3; ++i) {
    wire.send(post("/v1/chat/completions", chat_text()));
    REQUIRE(wire.reply().status == 200);
  }
  // Two at once, and each in small pieces.
  wire.send(post("/v1/chat/completions", chat_text()) + post("/v1/chat/completions", chat_text()));
  CHECK(wire.reply().status == 200);
  CHECK(wire.reply().status == 200);
  for (const char c : post("/v1/chat/completions", chat_text())) wire.send({&c, 1});
  CHECK(wire.reply().status == 200);
  CHECK(upstream.connections() == 1);
  CHECK(gateway.gateway().stats().connections == 1);
}

TEST_CASE("gateway: chunked uploads arrive whole, and 100-continue is answered", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  const std::string text = chat_text();
  Wire wire(gateway.port());
  wire.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
  CHECK(wire.some() == "HTTP/1.1 100 Continue\r\n\r\n");
  wire.send("5\r\n" + text.substr(0, 5) + "\r\n");
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size() - 5);
  wire.send(size + text.substr(5) + "\r\n0\r\n\r\n");
  CHECK(wire.reply().status == 200);
  REQUIRE(upstream.requests().size() == 1);
  CHECK(body_of(upstream.requests()[0]) == text);
}

TEST_CASE("gateway: what comes behind the chunks of a body is no field of the request", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  const std::string text = chat_text();
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  Wire wire(gateway.port());
  wire.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nx-outlay-tag-user: alice\r\nTransfer-Encoding: "
      "chunked\r\n\r\n" +
      (size + text) + "\r\n0\r\nx-outlay-tag-user: bob\r\nX-Late: yes\r\n\r\n");
  CHECK(wire.reply().status == 200);
  REQUIRE(upstream.requests().size() == 1);
  CHECK(upstream.requests()[0].find("X-Late") == std::string::npos);
  CHECK(gateway.ledger().records().at(0).tags == outlay::Tags{{"user", "alice"}});
}

TEST_CASE("gateway: an answer to HEAD has no body", "[gateway]") {
  const FaultServer upstream(always(answer("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-Own: a\r\n\r\n")));
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  Wire wire(gateway.port());
  wire.send("HEAD /outlay/health HTTP/1.1\r\nHost: g\r\n\r\n");
  const std::string head = wire.some();
  CHECK(head.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(head.ends_with("\r\n\r\n"));
  // Ollama's own program asks for the head of "/" before each command (Heartbeat in api/client.go of github.com/ollama/ollama).
  for (const char* path : {"/v1/models", "/to/ollama", "/to/ollama/"}) {
    CAPTURE(path);
    wire.send(std::string("HEAD ") + path + " HTTP/1.1\r\nHost: g\r\n\r\n");
    const std::string passed = wire.some();
    CHECK(passed.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK_THAT(passed, ContainsSubstring("Content-Length: 1234\r\n") && ContainsSubstring("X-Own: a\r\n"));
    CHECK(passed.ends_with("\r\n\r\n"));
  }
  REQUIRE(upstream.requests().size() == 3);
  CHECK(upstream.requests()[0].starts_with("HEAD /v1/models HTTP/1.1\r\n"));
  CHECK(upstream.requests()[2].starts_with("HEAD / HTTP/1.1\r\n"));
  for (const char* path : {"/v1/chat/completions", "/to/openai/", "/v1/audio/speech"}) {
    wire.send(std::string("HEAD ") + path + " HTTP/1.1\r\nHost: g\r\n\r\n");
    CHECK(wire.some().starts_with("HTTP/1.1 403 "));
  }
  CHECK(upstream.requests().size() == 3);
}

TEST_CASE("gateway: heads that may be read in two ways are refused, and the connection is closed", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  const std::string line = "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\n";
  for (const std::string& bad :
       {line + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        line + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", line + "Content-Length: 2\n\r\n{}",
        line + "X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}"}) {
    CAPTURE(bad);
    Wire wire(gateway.port());
    wire.send(bad);
    CHECK(wire.reply().status == 400);
    CHECK(wire.some().empty());
  }
  CHECK(upstream.requests().empty());
}

TEST_CASE("gateway: each limit is answered by its status", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  outlay::GatewayOptions options;
  options.limits.head_bytes = 1'000;
  options.limits.body_bytes = 500;
  options.limits.connections = 1;
  options.limits.head = std::chrono::milliseconds(100);
  options.limits.body = std::chrono::milliseconds(100);
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd}, options);
  const auto status = [&](const std::string& text) {
    while (gateway.gateway().stats().connections != 0) std::this_thread::yield();
    const WireReply reply = ask(gateway, text);
    CAPTURE(reply.body);
    CHECK(reply.field("Connection") == "close");
    return reply.status;
  };
  CHECK(status(get("/v1/models", "X-Long: " + std::string(2'000, 'x') + "\r\n")) == 431);
  CHECK(status(post("/v1/chat/completions", std::string(501, ' '))) == 413);
  CHECK(status("POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n1f5\r\n" +
               std::string(501, ' ')) == 413);
  CHECK(status("GET /v1/models HT") == 408);
  CHECK(status("POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nContent-Length: 10\r\n\r\n{") == 408);
  CHECK(status("POST / HTTP/1.1\r\nHost: g\r\nExpect: 200-ok\r\nContent-Length: 10\r\n\r\n") == 417);
  while (gateway.gateway().stats().connections != 0) std::this_thread::yield();
  Wire first(gateway.port());
  first.send(get("/v1/models"));
  CHECK(first.reply().status == 200);
  CHECK(ask(gateway, get("/v1/models")).status == 503);
}

TEST_CASE("gateway: a head that is too slow is refused also where its next byte is there already", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  outlay::GatewayOptions options;
  options.limits.head_bytes = std::size_t{1} << 30;
  options.limits.head = std::chrono::milliseconds(20);
  RunningGateway gateway(upstream.url(), std::nullopt, options);
  for (int i = 0; i < 10; ++i) {
    Wire wire(gateway.port());
    wire.send("POST /");
    for (int most = 1'000'000; most > 0 && !wire.readable(); --most) wire.send("a");
    CHECK(wire.reply().status == 408);
  }
}

TEST_CASE("gateway: what no cap can count is refused, with what would let it pass", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, "[]"))));
  outlay::GatewayOptions options;
  options.pass = {"POST /v1/audio/*"};
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd}, options);
  CHECK(ask(gateway, get("/v1/models")).body == "[]");
  CHECK(ask(gateway, get("/v1/models/gpt-4o")).status == 200);
  // As OpenAI's SDK for JavaScript writes the slash of a name.
  CHECK(ask(gateway, get("/v1/models/meta-llama%2FLlama-3.1-8B")).status == 200);
  CHECK(ask(gateway, post("/v1/audio/speech", "{}")).status == 200);
  const std::size_t passed = upstream.requests().size();
  CHECK(passed == 4);
  CHECK(upstream.requests()[2].starts_with("GET /v1/models/meta-llama%2FLlama-3.1-8B HTTP/1.1\r\n"));
  for (const char* path : {"/v1/models%2F..%2Fbatches", "/v1/models/a%2F%2E%2E%2F%2E%2E%2Fbatches", "/v1/models/a%00",
                           "/v1/models/a%3Fb", "/v1/models/a%252Fb"})
    CHECK(ask(gateway, get(path)).status == 403);
  const WireReply refused = ask(gateway, post("/v1/images/generations", R"({"model":"dall-e-3"})"));
  CHECK(refused.status == 403);
  CHECK_THAT(refused.body, ContainsSubstring(R"(add \"POST /v1/images/generations\" to \"pass\")"));
  for (const char* path : {"/v1/models/../chat/completions", "/v1/models/%2e%2e/batches", "/v1//models", "/nowhere",
                           "/to/unknown/v1/models"})
    CHECK(ask(gateway, get(path)).status == 404);
  CHECK(ask(gateway, post("/v1/models", "{}")).status == 403);
  CHECK(ask(gateway, get("/v1/realtime", "Connection: Upgrade\r\nUpgrade: websocket\r\n")).status == 400);
  CHECK(upstream.requests().size() == passed);
}

TEST_CASE("gateway: with a secret, only paths below it are answered", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, "[]"))));
  outlay::GatewayOptions options;
  options.secret = "0123456789abcdef";
  RunningGateway gateway(upstream.url(), std::nullopt, options);
  CHECK(ask(gateway, get("/0123456789abcdef/v1/models")).status == 200);
  for (const char* path :
       {"/v1/models", "/0123456789abcdee/v1/models", "/0123456789abcdefv1/models", "/0123456789abcdef"}) {
    const WireReply reply = ask(gateway, get(path));
    CHECK(reply.status == 404);
    CHECK(reply.body.find("0123456789") == std::string::npos);
  }
  CHECK(upstream.requests().size() == 1);
  CHECK(upstream.requests()[0].starts_with("GET /v1/models HTTP/1.1\r\n"));
}

TEST_CASE("gateway: an upstream is reached by its name, below its own path", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  CHECK(ask(gateway, post("/to/openai/chat/completions", chat_text())).status == 200);
  CHECK(ask(gateway, post("/to/openai/v1/chat/completions", chat_text())).status == 200);
  for (const std::string& request : upstream.requests())
    CHECK(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
  CHECK(gateway.ledger().records().size() == 2);
}

TEST_CASE("gateway: a refusal has the provider's shape, and nothing is sent", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.name = "team", .usd = 0.0001_usd});
  const WireReply openai = ask(gateway, post("/v1/chat/completions", chat_text(1000)));
  CHECK(openai.status == 429);
  CHECK(openai.field("x-should-retry") == "false");
  CHECK(openai.field("x-outlay-budget") == "team");
  CHECK(openai.field("x-outlay-limit") == "$0.0001");
  CHECK(openai.field("x-outlay-spent") == "$0.00");
  CHECK(openai.field("Retry-After").empty());
  CHECK_THAT(openai.body, ContainsSubstring(R"({"error":{"message":"budget \"team\" refused gpt-4o)"));
  CHECK_THAT(openai.body, ContainsSubstring(R"("code":"budget_exceeded")"));
  const WireReply anthropic = ask(
      gateway, post("/v1/messages",
                    R"({"model":"claude-sonnet-4-5","max_tokens":1000,"messages":[{"role":"user","content":"Hi"}]})"));
  CHECK(anthropic.status == 429);
  CHECK_THAT(anthropic.body,
             ContainsSubstring(R"({"type":"error","error":{"type":"rate_limit_error","message":"budget)"));
  const WireReply gemini =
      ask(gateway, post("/v1beta/models/gemini-2.5-pro:generateContent",
                        R"({"contents":[{"parts":[{"text":"Hi"}]}],"generationConfig":{"maxOutputTokens":1000}})"));
  CHECK(gemini.status == 429);
  CHECK_THAT(gemini.body, ContainsSubstring(R"("status":"RESOURCE_EXHAUSTED")"));
  CHECK(upstream.requests().empty());
  CHECK(gateway.gateway().stats().refused == 3);
}

TEST_CASE("gateway: a refusal of Cohere's API is 402, since its SDKs try again after any 429", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.name = "team", .tokens = 10});
  for (const char* more : {R"("max_tokens":1000)", R"("max_tokens":1000,"stream":true)"}) {
    const WireReply reply = ask(
        gateway,
        post("/v2/chat",
             std::string(R"({"model":"command-a-03-2025","messages":[{"role":"user","content":"Hi"}],)") + more + "}"));
    CHECK(reply.status == 402);
    CHECK(reply.field("x-outlay-budget") == "team");
    CHECK(reply.body.starts_with(R"({"message":"budget \"team\" refused command-a-03-2025)"));
  }
  CHECK(upstream.requests().empty());
}

TEST_CASE("gateway: a refusal says when the window turns, and may be 402", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  outlay::GatewayOptions options;
  options.refusal_status = 402;
  RunningGateway gateway(upstream.url(), std::nullopt, options,
                         {{.match = {"user", "*"}, .calls = 1, .window = outlay::Window::day()}});
  const std::string text = post("/v1/chat/completions", chat_text(), "X-Outlay-Tag-User: alice\r\n");
  CHECK(ask(gateway, text).status == 200);
  const WireReply reply = ask(gateway, text);
  CHECK(reply.status == 402);
  CHECK(reply.field("x-outlay-budget") == "user:alice");
  CHECK(std::stoi("0" + reply.field("Retry-After")) >= 1);
  CHECK(reply.field("x-outlay-reset").ends_with("T00:00:00Z"));
  CHECK(ask(gateway, post("/v1/chat/completions", chat_text(), "X-Outlay-Tag-User: bob\r\n")).status == 200);
}

TEST_CASE("gateway: a request may bring a cap of its own", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  CHECK(ask(gateway, post("/v1/chat/completions", chat_text(1000), "x-outlay-usd: 0.001\r\n")).status == 429);
  CHECK(ask(gateway, post("/v1/chat/completions", chat_text(1000), "x-outlay-tokens: 100\r\n")).status == 429);
  CHECK(ask(gateway, post("/v1/chat/completions", chat_text(10), "x-outlay-usd: 0.001\r\n")).status == 200);
  CHECK(ask(gateway, post("/v1/chat/completions", chat_text(10), "x-outlay-usd: much\r\n")).status == 400);
  CHECK(ask(gateway, post("/v1/chat/completions", chat_text(10), "x-outlay-tokens: -1\r\n")).status == 400);
  // One that is empty, since a program's variable was, is no request for none; and what SDKs would send again is no 500.
  const std::size_t sent = upstream.requests().size();
  for (const char* field : {"x-outlay-usd:", "x-outlay-tokens:", "x-outlay-usd: 99999999999999999", "x-outlay-usd: -1",
                            "x-outlay-usd: much", "x-outlay-tokens: 1.5", "x-outlay-tokens: 0"}) {
    CAPTURE(field);
    const WireReply refused = ask(gateway, post("/v1/chat/completions", chat_text(10), std::string(field) + "\r\n"));
    CHECK(refused.status == 400);
    CHECK_THAT(refused.body, ContainsSubstring(std::string(field).substr(0, std::string(field).find(':'))));
  }
  CHECK(upstream.requests().size() == sent);
}

TEST_CASE("gateway: a model without a price is refused with what its operator can do", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  const WireReply refused =
      ask(gateway, post("/v1/chat/completions", R"({"model":"own-7b","max_completion_tokens":5,"messages":[]})"));
  CHECK(refused.status == 400);
  CHECK_THAT(refused.body, ContainsSubstring(R"(no price is known for \"own-7b\")") && ContainsSubstring("price file"));
  CHECK(refused.body.find("::") == std::string::npos);
  CHECK(upstream.requests().empty());
}

TEST_CASE("gateway: a reply says what is left of the cap that is nearest to its end", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body()))));
  const auto remaining = [&](std::optional<outlay::BudgetOptions> cap, std::vector<outlay::Rule> rules,
                             const std::string& fields = {}) {
    RunningGateway gateway(upstream.url(), std::move(cap), {}, std::move(rules));
    const WireReply reply = ask(gateway, post("/v1/chat/completions", chat_text(), fields));
    CHECK(reply.status == 200);
    CHECK(reply.field("x-outlay-cost") == "$0.0001");
    return reply.field("x-outlay-remaining");
  };
  CHECK_THAT(remaining(std::nullopt, {}), Catch::Matchers::Equals(""));
  CHECK(remaining(outlay::BudgetOptions{.usd = 1_usd, .concurrent = 1}, {}) == "$0.9999");
  CHECK(remaining(outlay::BudgetOptions{.usd = 1_usd, .tokens = 1'000}, {}) == "975 tokens");
  CHECK(remaining(outlay::BudgetOptions{.usd = 1_usd}, {{.match = {"user", "*"}, .calls = 4}},
                  "x-outlay-tag-user: alice\r\n") == "3 calls");
  CHECK(remaining(outlay::BudgetOptions{.usd = 1_usd}, {}, "x-outlay-usd: 0.01\r\n") == "$0.0099");
}

TEST_CASE("gateway: 200 calls of a cent at once under a dollar are 100 answers and 100 refusals", "[gateway]") {
  const FaultServer upstream(always(answer(http_reply(200, chat_reply_body("cent")))));
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.name = "dollar", .usd = 1_usd});
  gateway.ledger().set_prices(outlay::testing::fixture_prices());
  std::atomic<int> answered = 0, refused = 0, other = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 20; ++t)
    threads.emplace_back([&] {
      std::vector<std::unique_ptr<Wire>> wires;
      for (int i = 0; i < 10; ++i) {
        wires.push_back(std::make_unique<Wire>(gateway.port()));
        wires.back()->send(
            post("/v1/chat/completions",
                 R"({"model":"cent","max_completion_tokens":1000,"messages":[{"role":"user","content":"Hi"}]})"));
      }
      for (const auto& wire : wires) {
        const int status = wire->reply().status;
        ++(status == 200 ? answered : status == 429 ? refused : other);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(answered == 100);
  CHECK(refused == 100);
  CHECK(other == 0);
  CHECK(upstream.requests().size() == 100);
  CHECK(gateway.ledger().report().total().usd == 1_usd);
}

TEST_CASE("gateway: a provider's errors arrive as they are, and cost nothing where they are free of charge",
          "[gateway]") {
  const FaultServer upstream([](std::size_t number, std::string_view) {
    return number == 0 ? answer(http_reply(429, R"({"error":{"code":"rate_limit_exceeded"}})", "Retry-After: 7\r\n"))
                       : answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", Plan::Then::close);
  });
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  const WireReply limited = ask(gateway, post("/v1/chat/completions", chat_text()));
  CHECK(limited.status == 429);
  CHECK(limited.field("Retry-After") == "7");
  CHECK(limited.field("x-should-retry").empty());
  CHECK(limited.body == R"({"error":{"code":"rate_limit_exceeded"}})");
  CHECK(gateway.ledger().report().total().usd == 0_usd);
  const WireReply broken = ask(gateway, post("/v1/chat/completions", chat_text()));
  CHECK(broken.status == 502);
  CHECK_THAT(broken.body, ContainsSubstring("the connection was closed"));
  CHECK(gateway.ledger().report().total().usd > 0_usd);  // it may have been billed
}

TEST_CASE("gateway: an upstream that is not there is 502, and nothing is charged", "[gateway]") {
  RunningGateway gateway("http://127.0.0.1:" + std::to_string(closed_port()), outlay::BudgetOptions{.usd = 1_usd});
  const WireReply reply = ask(gateway, post("/v1/chat/completions", chat_text()));
  CHECK(reply.status == 502);
  CHECK(reply.field("x-outlay-cost") == "$0.00");
  CHECK(ask(gateway, get("/v1/models")).status == 502);
  CHECK(gateway.ledger().report().total().usd == 0_usd);
}

TEST_CASE("gateway: an answer names its call and what that cost also where no reply came, or none that can be read",
          "[gateway]") {
  const Plan plan = GENERATE(answer(http_reply(200, "<html>Come back later.</html>")), answer(http_reply(200, "")),
                             answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\"", Plan::Then::close),
                             answer("nonsense\r\n\r\n"));
  const FaultServer upstream(always(plan));
  std::optional<outlay::GatewayExchange> seen;
  outlay::GatewayOptions options;
  options.on_exchange = [&](const outlay::GatewayExchange& exchange) { seen = exchange; };
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd}, options);
  const WireReply reply = ask(gateway, post("/v1/chat/completions", chat_text()));
  gateway.stop();
  const std::vector<outlay::Record> records = gateway.ledger().records();
  REQUIRE(records.size() == 1);
  CHECK(records[0].usd > 0_usd);
  CHECK(reply.field("x-outlay-call") == std::to_string(records[0].call_id));
  CHECK(reply.field("x-outlay-cost") == outlay::to_string(records[0].usd));
  CHECK(reply.field("x-outlay-remaining") == outlay::to_string(1_usd - records[0].usd));
  REQUIRE(seen);
  CHECK(seen->usd == records[0].usd);
}

TEST_CASE("gateway: an upstream's certificate is checked", "[gateway]") {
  FaultServer::Options tls;
  tls.tls = true;
  const FaultServer upstream(always(answer(http_reply(200, "[]"))), tls);
  const std::string authority =
      std::filesystem::temp_directory_path() / ("outlay_gateway_" + std::to_string(::getpid()) + ".pem");
  std::ofstream(authority) << upstream.certificate();
  outlay::GatewayOptions options;
  options.upstreams = {{.name = "trusted", .url = upstream.url(), .ca_file = authority},
                       {.name = "unknown", .url = upstream.url()}};
  RunningGateway gateway({}, std::nullopt, options, {}, true);
  CHECK(ask(gateway, get("/to/trusted/v1/models")).status == 200);
  const WireReply refused = ask(gateway, get("/to/unknown/v1/models"));
  CHECK(refused.status == 502);
  CHECK_THAT(refused.body, ContainsSubstring("the certificate was not accepted"));
}

TEST_CASE("gateway: options that are not valid are named", "[gateway]") {
  asio::io_context io;
  const auto message = [&](outlay::GatewayOptions options) -> std::string {
    try {
      const outlay::Gateway gateway(io.get_executor(), std::move(options));
    } catch (const outlay::Error& error) {
      return error.what();
    }
    return {};
  };
  CHECK_THAT(message({.address = "localhost"}), ContainsSubstring("\"localhost\" is not an IP address"));
  CHECK_THAT(message({.address = "0.0.0.0"}), ContainsSubstring("so keys are needed"));
  CHECK_THAT(message({.secret = "short"}), ContainsSubstring("secret must be 16"));
  CHECK_THAT(message({.upstreams = {{.name = "a b", .url = "http://x"}}}),
             ContainsSubstring("an upstream's name must be"));
  CHECK_THAT(message({.upstreams = {{.name = "a", .url = "ftp://x"}}}), ContainsSubstring("upstream \"a\": url"));
  CHECK_THAT(message({.upstreams = {{.name = "a", .url = "http://x"}, {.name = "a", .url = "http://y"}}}),
             ContainsSubstring("two upstreams named \"a\""));
  CHECK_THAT(message({.pass = {"/v1/audio"}}), ContainsSubstring("must be a method and a path"));
  CHECK_THAT(message({.refusal_status = 500}), ContainsSubstring("refusal_status must be"));
  CHECK_THAT(message({.limits = {.body_bytes = 0}}), ContainsSubstring("body_bytes must be above 0"));
  CHECK_THAT(message({.admin_sha256 = outlay::hash_of_key("")}), ContainsSubstring("is the hash of nothing"));
  const outlay::Gateway first(io.get_executor(), {});
  CHECK_THAT(message({.port = first.port()}), ContainsSubstring("cannot listen on 127.0.0.1 port"));
}
