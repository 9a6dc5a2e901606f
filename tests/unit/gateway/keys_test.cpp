#include <string>
#include <vector>

#include "gateway_support.hpp"
#include "outlay/outlay.hpp"
#include "support/catch.hpp"

using namespace test;

namespace {

constexpr const char* alices = "outlay-0123456789abcdef0123456789abcdef";

outlay::GatewayOptions with_keys(const FaultServer& upstream) {
  outlay::GatewayOptions options;
  options.upstreams = {
      {.name = "openai", .url = upstream.url() + "/v1", .paths = {"/v1/"}, .api_key = "sk-of-the-team"},
      {.name = "anthropic", .url = upstream.url(), .paths = {"/v1/messages"}, .api_key = "sk-ant"},
      {.name = "gemini", .url = upstream.url(), .paths = {"/v1beta/"}, .api_key = "goog"},
      {.name = "ollama", .url = upstream.url(), .paths = {"/api/"}}};
  options.keys = {{.name = "alice",
                   .sha256 = outlay::hash_of_key(alices),
                   .tags = {{"user_id", "alice"}},
                   .models = {"gpt-4o*", "claude-sonnet-4-5"}},
                  {.name = "bob", .sha256 = outlay::hash_of_key("outlay-b"), .tags = {{"user_id", "bob"}}}};
  return options;
}

std::string bearer(const std::string& key) { return "Authorization: Bearer " + key + "\r\n"; }

}  // namespace

TEST_CASE("gateway: only its own keys are answered, and each stands for its tags", "[gateway][keys]") {
  const FaultServer upstream = chat_upstream();
  RunningGateway gateway({}, std::nullopt, with_keys(upstream), {{.match = {"user_id", "*"}, .calls = 2}}, true);
  for (const std::string& fields : {std::string(), bearer("outlay-c"), bearer(""), bearer(outlay::hash_of_key(alices)),
                                    "Authorization: Basic " + std::string(alices) + "\r\n"}) {
    CAPTURE(fields);
    const WireReply reply = ask(gateway, post("/v1/chat/completions", chat_text(), fields));
    CHECK(reply.status == 401);
    CHECK_THAT(reply.body, ContainsSubstring(R"("code":"invalid_api_key")"));
  }
  CHECK(ask(gateway, get("/v1/models")).status == 401);
  CHECK(upstream.requests().empty());
  CHECK(ask(gateway, post("/v1/chat/completions", chat_text(), bearer(alices) + "x-outlay-tag-user-id: bob\r\n"))
            .status == 200);
  CHECK(ask(gateway, post("/v1/chat/completions", chat_text(), std::string("x-api-key: ") + alices + "\r\n")).status ==
        200);
  const WireReply third =
      ask(gateway, post("/v1/chat/completions", chat_text(), std::string("api-key: ") + alices + "\r\n"));
  CHECK(third.status == 429);
  CHECK(third.field("x-outlay-budget") == "user_id:alice");
  CHECK(ask(gateway, post("/v1/chat/completions", chat_text(), bearer("outlay-b"))).status == 200);
  for (const std::string& request : upstream.requests()) {
    CHECK_THAT(request, ContainsSubstring("\r\nAuthorization: Bearer sk-of-the-team\r\n"));
    CHECK(request.find("outlay-") == std::string::npos);
  }
}

TEST_CASE("gateway: a provider is given its key as it wants it", "[gateway][keys]") {
  const FaultServer upstream = chat_upstream();
  RunningGateway gateway({}, std::nullopt, with_keys(upstream), {}, true);
  const std::string messages =
      R"({"model":"claude-sonnet-4-5","max_tokens":10,"messages":[{"role":"user","content":"Hi"}]})";
  static_cast<void>(ask(gateway, post("/v1/messages", messages, std::string("x-api-key: ") + alices + "\r\n")));
  static_cast<void>(ask(gateway, get(std::string("/v1beta/models?pageSize=5&key=") + alices + "&a=b")));
  static_cast<void>(ask(gateway, get("/api/tags", bearer(alices))));
  const auto requests = upstream.requests();
  REQUIRE(requests.size() == 3);
  CHECK_THAT(requests[0], ContainsSubstring("\r\nx-api-key: sk-ant\r\n"));
  CHECK(requests[1].starts_with("GET /v1beta/models?pageSize=5&a=b HTTP/1.1\r\n"));
  CHECK_THAT(requests[1], ContainsSubstring("\r\nx-goog-api-key: goog\r\n"));
  CHECK(requests[2].find("uthorization") == std::string::npos);
  for (const std::string& request : requests) CHECK(request.find("outlay-") == std::string::npos);
}

TEST_CASE("gateway: a key is for the models that it names", "[gateway][keys]") {
  const FaultServer upstream = chat_upstream();
  RunningGateway gateway({}, std::nullopt, with_keys(upstream), {}, true);
  const std::string other = R"({"model":"o3","max_completion_tokens":10,"messages":[{"role":"user","content":"Hi"}]})";
  const WireReply refused = ask(gateway, post("/v1/chat/completions", other, bearer(alices)));
  CHECK(refused.status == 403);
  CHECK_THAT(refused.body, ContainsSubstring("The key \\\"alice\\\" is not for the model o3."));
  CHECK(ask(gateway, post("/v1/chat/completions", other, bearer("outlay-b"))).status == 200);
  CHECK(upstream.requests().size() == 1);
}

TEST_CASE("gateway: a session has a cap of its own, unless clients are not trusted to name it", "[gateway][keys]") {
  const FaultServer upstream = chat_upstream();
  for (const bool trusted : {true, false}) {
    outlay::GatewayOptions options;
    options.trust_tags = trusted;
    RunningGateway gateway(upstream.url(), std::nullopt, options, {{.match = {"session", "*"}, .calls = 1}});
    const auto status = [&](const std::string& fields) {
      return ask(gateway, post("/v1/chat/completions", chat_text(), fields)).status;
    };
    CHECK(status("x-outlay-session: s1\r\n") == 200);
    CHECK(status("x-outlay-session: s1\r\n") == (trusted ? 429 : 200));
    CHECK(status("x-outlay-session: s2\r\n") == 200);
  }
}

TEST_CASE("gateway: reload() changes all or nothing, and a running request keeps what it began with",
          "[gateway][keys]") {
  const FaultServer upstream = chat_upstream();
  outlay::GatewayOptions options = with_keys(upstream);
  options.drain = std::chrono::milliseconds(0);
  RunningGateway gateway({}, std::nullopt, options, {}, true);
  Wire wire(gateway.port());
  const auto status = [&](const std::string& key) {
    wire.send(post("/v1/chat/completions", chat_text(), bearer(key)));
    return wire.reply().status;
  };
  CHECK(status("outlay-b") == 200);
  outlay::GatewayOptions next = options;
  next.keys.pop_back();
  outlay::GatewayOptions wrong = next;
  wrong.upstreams[0].url = "ftp://x";
  CHECK_THROWS_AS(gateway.gateway().reload(wrong), outlay::ConfigError);
  CHECK(status("outlay-b") == 200);
  gateway.gateway().reload(next);
  CHECK(status("outlay-b") == 401);
  CHECK(status(alices) == 200);
  next.port = 1;
  CHECK_THROWS_AS(gateway.gateway().reload(next), outlay::ConfigError);
}

TEST_CASE("gateway: keys that are not valid are named", "[gateway][keys]") {
  boost::asio::io_context io;
  const auto message = [&](std::vector<outlay::GatewayKey> keys) -> std::string {
    try {
      outlay::GatewayOptions options;
      options.keys = std::move(keys);
      const outlay::Gateway gateway(io.get_executor(), options);
    } catch (const outlay::ConfigError& error) {
      return error.what();
    }
    return {};
  };
  const std::string hash = outlay::hash_of_key("a");
  CHECK(hash == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
  CHECK_THAT(message({{.name = "", .sha256 = hash}}), ContainsSubstring("a key's name must have"));
  CHECK_THAT(message({{.name = "a", .sha256 = "abc"}}), ContainsSubstring("key \"a\": sha256 must be 64"));
  CHECK_THAT(message({{.name = "a", .sha256 = hash}, {.name = "b", .sha256 = hash}}),
             ContainsSubstring("is the same key as \"a\""));
  CHECK_THAT(message({{.name = "a", .sha256 = hash}, {.name = "a", .sha256 = outlay::hash_of_key("b")}}),
             ContainsSubstring("two keys of this name"));
}

TEST_CASE("gateway: it says how it does", "[gateway][status]") {
  const FaultServer upstream = chat_upstream();
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.name = "three", .calls = 2});
  for (int i = 0; i < 3; ++i)
    static_cast<void>(ask(gateway, post("/v1/chat/completions", chat_text(), "x-outlay-tag-user: alice\r\n")));
  gateway.ledger().flush();
  CHECK(ask(gateway, get("/outlay/health")).body == "{\"status\":\"ok\"}\n");
  CHECK(ask(gateway, get("/outlay/ready")).body == "{\"status\":\"ready\"}\n");
  const std::string metrics = ask(gateway, get("/outlay/metrics")).body;
  for (const char* line :
       {"outlay_admitted_total 2\n", "outlay_refused_total 1\n", "outlay_calls_total{model=\"gpt-4o-2024-08-06\"} 2\n",
        "outlay_cost_usd_total{model=\"gpt-4o-2024-08-06\"} 0.0002\n",
        "outlay_input_tokens_total{model=\"gpt-4o-2024-08-06\"} 40\n", "# TYPE outlay_streams gauge\n"})
    CHECK_THAT(metrics, ContainsSubstring(line));
  CHECK_THAT(
      ask(gateway, get("/outlay/report?by=user,model")).body,
      ContainsSubstring(R"("rows":[{"tags":{"model":"gpt-4o-2024-08-06","user":"alice"},"usd":"0.0002","calls":2)"));
  const std::string id = std::to_string(gateway.ledger().records()[0].call_id);
  CHECK_THAT(ask(gateway, get("/outlay/calls/" + id)).body,
             ContainsSubstring("{\"call\":" + id + ",\"status\":\"settled\""));
  CHECK(ask(gateway, get("/outlay/calls/77777777")).status == 404);
  CHECK(ask(gateway, get("/outlay/calls/x")).status == 404);
  CHECK(ask(gateway, get("/outlay/nothing")).status == 404);
  CHECK(ask(gateway, post("/outlay/report", "{}")).status == 405);
}

TEST_CASE("gateway: with keys, only the admin token sees what was spent", "[gateway][status]") {
  const FaultServer upstream = chat_upstream();
  outlay::GatewayOptions options = with_keys(upstream);
  {
    RunningGateway gateway({}, std::nullopt, options, {}, true);
    CHECK(ask(gateway, get("/outlay/health")).status == 200);
    CHECK(ask(gateway, get("/outlay/metrics", bearer(alices))).status == 403);
  }
  options.admin_sha256 = outlay::hash_of_key("admin-token");
  RunningGateway gateway({}, std::nullopt, options, {}, true);
  CHECK(ask(gateway, get("/outlay/metrics")).status == 401);
  CHECK(ask(gateway, get("/outlay/metrics", bearer(alices))).status == 401);
  CHECK(ask(gateway, get("/outlay/metrics", bearer("admin-token"))).status == 200);
}
