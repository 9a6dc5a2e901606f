#include "outlay/json/rules.hpp"

#include <string>

#include "outlay/ledger.hpp"
#include "outlay/outlay.hpp"
#include "support/catch.hpp"

using namespace outlay::literals;
using outlay::read_rules;
using outlay::Rule;

namespace {

std::string error_of(const std::string& json) {
  try {
    static_cast<void>(read_rules(json));
  } catch (const outlay::ConfigError& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("rules: each member is read under its own name", "[json][rules]") {
  const auto rules = read_rules(R"([
    { "match": {"user_id": "*"}, "usd": 10 },
    { "name": "dear", "match": {"model": ["gpt-5", "o3"], "plan": "free"}, "usd": "99.50", "tokens": 1000, "input_tokens": 1, "output_tokens": 2,
      "calls": 3, "concurrent": 4, "window": "month@Europe/Berlin+15d6h",
      "on_exceed": [{"downgrade": {"gpt-5": "gpt-5-mini"}}, {"clamp": {"max_output_tokens": 500}}, {"wait": {"timeout_ms": 5}}, "truncate"],
      "notify_at": [0.5, 1], "also": true, "required": true },
    { "usd": 0.1, "window": "rolling3600s", "on_exceed": "warn" }
  ])");
  REQUIRE(rules.size() == 3);
  CHECK(rules[0].match == Rule::Match("user_id", "*"));
  CHECK(rules[0].usd == 10_usd);
  CHECK(rules[0].window == outlay::Window::day());
  const Rule& dear = rules[1];
  CHECK(dear.name == "dear");
  CHECK(dear.match == Rule::Match({{"model", {"gpt-5", "o3"}}, {"plan", "free"}}));
  CHECK(dear.usd == 99.5_usd);
  CHECK((dear.tokens == 1000 && dear.input_tokens == 1 && dear.output_tokens == 2 && dear.calls == 3 &&
         dear.concurrent == 4));
  CHECK(dear.window.id() == outlay::Window::month("Europe/Berlin", {.day = 15, .hour = 6}).id());
  REQUIRE(dear.on_exceed.chain() != nullptr);
  const auto& chain = *dear.on_exceed.chain();
  REQUIRE(chain.size() == 4);
  CHECK(std::get<outlay::Downgrade>(chain[0]).map.at(0).to == "gpt-5-mini");
  CHECK(std::get<outlay::Clamp>(chain[1]).max_output_tokens == 500);
  CHECK(std::get<outlay::Wait>(chain[2]).timeout == std::chrono::milliseconds(5));
  CHECK(std::holds_alternative<outlay::Truncate>(chain[3]));
  CHECK(dear.notify_at == std::vector<double>{0.5, 1.0});
  CHECK((dear.also && dear.required));
  CHECK(rules[2].usd == 0.1_usd);
  CHECK(rules[2].window.kind() == outlay::Window::Kind::rolling);
  CHECK(read_rules("[]").empty());
  outlay::Ledger ledger;
  ledger.set_rules(rules);
  CHECK(ledger.rules().size() == 3);
}

TEST_CASE("rules: what is not valid is named by its place, with what to write", "[json][rules]") {
  CHECK_THAT(error_of("[\n{\"usd\": 1},\n}"), ContainsSubstring("rules: line 3 is not valid JSON (syntax error"));
  CHECK_THAT(error_of("[] []"), ContainsSubstring("rules: line 1 is not valid JSON"));
  CHECK(error_of("{}") == "rules: must be a list: [ ... ].");
  CHECK(error_of("[7]") == "rules[0]: must be an object: { ... }.");
  CHECK_THAT(error_of(R"([{"usd":1},{"usdd":1}])"),
             ContainsSubstring("rules[1].usdd: is not known. Write one of name, match, usd"));
  CHECK_THAT(error_of(R"([{"match":{"user_id":"*"}}])"), ContainsSubstring("rules[0]: has no cap"));
  for (const char* amount : {"-1", "\"much\"", "1e-10", "null", "1e300"})
    CHECK_THAT(error_of(R"([{"usd":)" + std::string(amount) + "}]"),
               ContainsSubstring("rules[0].usd: must be an amount of US dollars"));
  CHECK_THAT(error_of(R"([{"calls":0}])"), ContainsSubstring("rules[0].calls: must be a whole number from 1"));
  CHECK_THAT(error_of(R"([{"calls":1.5}])"), ContainsSubstring("rules[0].calls: must be a whole number from 1"));
  CHECK_THAT(error_of(R"([{"usd":1,"match":{"user_id":7}}])"),
             ContainsSubstring("rules[0].match.user_id: must be text or a list of texts"));
  CHECK_THAT(error_of(R"([{"usd":1,"window":"fortnight"}])"),
             ContainsSubstring("rules[0].window: cannot be read: \"fortnight\" is no window. Write minute, hour, day"));
  CHECK_THAT(error_of(R"([{"usd":1,"window":"day@Mars/Olympus"}])"),
             ContainsSubstring("rules[0].window: cannot be read"));
  CHECK_THAT(error_of(R"([{"usd":1,"window":"scope"}])"),
             ContainsSubstring("rules[0].window: must be a window in time"));
  CHECK_THAT(error_of(R"([{"usd":1,"window":{"kind":"day"}}])"), ContainsSubstring("rules[0].window: must be text"));
  CHECK_THAT(error_of(R"([{"usd":1,"on_exceed":"explode"}])"), ContainsSubstring("rules[0].on_exceed: must be block"));
  CHECK_THAT(error_of(R"([{"usd":1,"on_exceed":[]}])"), ContainsSubstring("rules[0].on_exceed: is an empty list"));
  CHECK_THAT(error_of(R"([{"usd":1,"on_exceed":{"clamp":{"least":1}}}])"),
             ContainsSubstring("rules[0].on_exceed.clamp.least: is not known"));
  CHECK_THAT(error_of(R"([{"usd":1,"notify_at":[2]}])"),
             ContainsSubstring("rules[0].notify_at[0]: must be a number above 0"));
  CHECK_THAT(error_of(std::string(17 << 20, ' ')), ContainsSubstring("rules: is longer than 16 MiB"));
}
