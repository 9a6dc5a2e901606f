#include <string>
#include <vector>

#include "gateway_support.hpp"
#include "outlay/outlay.hpp"
#include "support/catch.hpp"

using namespace test;

namespace {

/// The tags that a request is booked with.
outlay::Tags tags_of(const std::string& target, const std::string& body, std::vector<std::string> trusted,
                     const std::string& fields = {}, bool trust_tags = true) {
  const FaultServer upstream([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  outlay::GatewayOptions options;
  options.trust_members = std::move(trusted);
  options.trust_tags = trust_tags;
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd}, options);
  CHECK(ask(gateway, post(target, body, fields)).status == 200);
  REQUIRE(upstream.requests().size() == 1);
  CHECK(upstream.requests()[0].ends_with("\r\n\r\n" + body));  // byte for byte all the same
  return gateway.ledger().records().at(0).tags;
}

constexpr const char* chat_path = "/v1/chat/completions";

}  // namespace

TEST_CASE("gateway: tags come from the members of a request that the configuration trusts, and from no other",
          "[gateway][tags]") {
  const std::string body = chat_text(
      100, R"(,"user":"alice","safety_identifier":"s-1","metadata":{"feature":"search","n":7,"":"x","day":"monday"})");
  CHECK(tags_of(chat_path, body, {}).empty());
  CHECK(tags_of(chat_path, body, {"user"}) == outlay::Tags{{"user", "alice"}});
  CHECK(tags_of(chat_path, body, {"safety_identifier", "metadata"}) ==
        outlay::Tags{{"feature", "search"}, {"safety_identifier", "s-1"}});
  const std::string messages =
      R"({"model":"claude-sonnet-4-5","max_tokens":10,"metadata":{"user_id":"bob"},"messages":[{"role":"user","content":"Hi"}]})";
  CHECK(tags_of("/v1/messages", messages, {"metadata"}) == outlay::Tags{{"user_id", "bob"}});
  const std::string contents =
      R"({"contents":[{"parts":[{"text":"Hi"}]}],"generationConfig":{"maxOutputTokens":10},"labels":{"team":"blue"}})";
  CHECK(tags_of("/v1beta/models/gemini-2.5-flash:generateContent", contents, {"labels"}) ==
        outlay::Tags{{"team", "blue"}});
}

TEST_CASE("gateway: a field's tag goes before a member's, and only where it is trusted", "[gateway][tags]") {
  const std::string body = chat_text(100, R"(,"user":"alice")");
  const std::string field = "x-outlay-tag-user: carol\r\n";
  CHECK(tags_of(chat_path, body, {"user"}, field) == outlay::Tags{{"user", "carol"}});
  CHECK(tags_of(chat_path, body, {"user"}, field, false) == outlay::Tags{{"user", "alice"}});
}

TEST_CASE("gateway: a value that is too long for its cap is refused, not counted without it", "[gateway][tags]") {
  const FaultServer upstream([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  outlay::GatewayOptions options;
  options.trust_members = {"user"};
  RunningGateway gateway(upstream.url(), std::nullopt, options, {{.match = {"user", "*"}, .calls = 1}});
  for (const std::size_t size : {201U, 2'000U}) {
    const std::string body = chat_text(100, R"(,"user":")" + std::string(size, 'a') + "\"");
    CHECK(ask(gateway, post(chat_path, body)).status == 400);
  }
  const std::string body = chat_text(100, R"(,"user":"alice")");
  CHECK(ask(gateway, post(chat_path, body)).status == 200);
  CHECK(ask(gateway, post(chat_path, body)).status == 429);
  CHECK(upstream.requests().size() == 1);
}

TEST_CASE("gateway: a request with more tags than a call may have is refused, however many they are",
          "[gateway][tags]") {
  const FaultServer upstream([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  outlay::GatewayOptions options;
  options.trust_members = {"metadata"};
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd}, options);
  std::string members;
  for (int i = 100'000; i > 0; --i)
    members += (members.empty() ? "\"k" : ",\"k") + std::to_string(100'000 + i) + R"(":"v")";
  const WireReply refused = ask(gateway, post(chat_path, chat_text(100, ",\"metadata\":{" + members + "}")));
  CHECK(refused.status == 400);
  CHECK(upstream.requests().empty());
}

TEST_CASE("gateway: a traceparent is kept in the record, and passed on", "[gateway][tags]") {
  const FaultServer upstream([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  CHECK(ask(gateway, post(chat_path, chat_text(), "traceparent: " + trace + "\r\n")).status == 200);
  CHECK_THAT(upstream.requests().at(0), ContainsSubstring("\r\ntraceparent: " + trace + "\r\n"));
  CHECK(gateway.ledger().records().at(0).traceparent == trace);
}
