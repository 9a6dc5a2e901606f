// Whose price a name means, and which tier of it.
#include <string>

#include "core/pricing/name_rules.hpp"
#include "outlay/outlay.hpp"
#include "support/catch.hpp"

using namespace outlay;
using namespace outlay::literals;

namespace {

Price input_price(Usd input_per_million, const char* provider) {
  Price price;
  price.rates.input = Rate::per_million(input_per_million);
  price.rates.output = Rate::per_million(input_per_million);
  price.provider = provider;
  return price;
}

constexpr Usage million_in{.input = 1'000'000};

}  // namespace

TEST_CASE("names: a provider is known by its name or by the address of its API", "[core][price]") {
  for (const auto& [address, provider] : {std::pair{"groq", "groq"},
                                          {"https://api.groq.com/openai/v1", "groq"},
                                          {"https://API.PERPLEXITY.ai", "perplexity"},
                                          {"api.moonshot.cn", "moonshot"},
                                          {"https://europe-west4-aiplatform.googleapis.com/v1", "vertex_ai"},
                                          {"https://generativelanguage.googleapis.com", "gemini"},
                                          {"https://me.openai.azure.com/openai/v1", "azure"},
                                          {"https://bedrock-runtime.us-east-1.amazonaws.com", "bedrock"},
                                          {"https://user:key@openrouter.ai:443/api/v1?x=1", "openrouter"},
                                          {"https://evilapi.groq.com.example.net", ""},
                                          {"http://localhost:8080", ""},
                                          {"http://127.0.0.1:8080/v1", ""},
                                          {"localhost:8080", ""},
                                          {"", ""}}) {
    INFO(address);
    CHECK(detail::provider_at(address) == provider);
  }
}

TEST_CASE("names: the provider that is asked says whose price a name means", "[core][price]") {
  const PriceTable table = PriceTable::bundled();
  const auto entry = [&](const char* model, const char* provider) {
    return table.cost(model, {.input = 1}, {.provider = provider}).model;
  };
  CHECK(entry("llama-3.1-8b-instant", "groq") == "groq/llama-3.1-8b-instant");
  CHECK(entry("llama-3.1-8b-instant", "https://api.groq.com/openai/v1") == "groq/llama-3.1-8b-instant");
  CHECK(entry("openai/gpt-oss-120b", "groq") == "groq/openai/gpt-oss-120b");
  CHECK(entry("anthropic/claude-sonnet-4.5", "openrouter") == "openrouter/anthropic/claude-sonnet-4.5");
  CHECK(entry("sonar-deep-research", "https://api.perplexity.ai") == "perplexity/sonar-deep-research");
  CHECK(entry("kimi-k2.5", "https://api.moonshot.ai/v1") == "moonshot/kimi-k2.5");
  CHECK(entry("gpt-4o", "openai") == "gpt-4o");
  CHECK(entry("gpt-4o", "azure") == entry("azure/gpt-4o", ""));
  CHECK(entry("gpt-4o", "") == "gpt-4o");
  // A host has prices of its own: another's do not stand in for them.
  CHECK_FALSE(table.find("gpt-4o-mini", "groq"));
  CHECK_THROWS_AS(table.cost("gpt-4o-mini", {.input = 1}, {.provider = "groq"}), PriceUnknown);
}

TEST_CASE("names: AI Studio's and Vertex AI's prices of one name are apart", "[core][price]") {
  // As a file lists them: registering would make them the program's own.
  const PriceTable bundled = PriceTable::bundled();
  for (const char* const provider : {"gemini", "vertex_ai"})
    CHECK(bundled.cost("gemini-2.5-pro", {.input = 1}, {.provider = provider}).usd > Usd{});
}

TEST_CASE("names: a price that the program registered is the price, whoever is asked", "[core][price]") {
  PriceTable table = PriceTable::bundled();
  table.register_model("llama-3.1-8b-instant", input_price(9_usd, "me"));
  CHECK(table.cost("llama-3.1-8b-instant", million_in, {.provider = "groq"}).usd == 9_usd);
  table.register_deployment("our-model", "gpt-4o");
  CHECK(table.cost("our-model", million_in, {.provider = "azure"}).model == "gpt-4o");
}

TEST_CASE("names: ARNs, variants and OpenRouter's spelling lead to the model", "[core][price]") {
  const PriceTable table = PriceTable::bundled();
  const auto input_of = [&](const char* model) {
    INFO(model);
    const Cost cost = table.cost(model, million_in);
    return cost.usd;
  };
  const Usd haiku = table.cost("claude-haiku-4-5", million_in).usd;
  CHECK(input_of("anthropic/claude-haiku-4.5") == haiku);
  CHECK(input_of("anthropic/claude-4.5-haiku-20251001") == haiku);
  CHECK(input_of("anthropic/claude-haiku-4.5:nitro") == haiku);
  CHECK(input_of("openai/gpt-4o:free") == table.cost("gpt-4o", million_in).usd);
  CHECK(table.cost("openai/gpt-4o:free", million_in).assumed);
  CHECK(input_of("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-8") ==
        table.cost("us.anthropic.claude-opus-4-8", million_in).usd);
  CHECK(input_of("bedrock/arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0") ==
        table.cost("anthropic.claude-haiku-4-5-20251001-v1:0", million_in).usd);
  CHECK_FALSE(table.find("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"));
}

TEST_CASE("tiers: one that is not listed is assumed, and flex and batch cost half", "[core][price]") {
  PriceTable table;
  table.register_model("m", input_price(3_usd, "gemini"));
  const auto cost = [&](const char* tier) { return table.cost("m", million_in, {.service_tier = tier}); };
  for (const char* const standard : {"", "standard", "default", "auto", "ON_DEMAND"}) {
    CHECK(cost(standard).usd == 3_usd);
    CHECK_FALSE(cost(standard).assumed);
  }
  for (const char* const half : {"flex", "batch", "ON_DEMAND_FLEX", "SERVICE_TIER_FLEX"}) {
    CHECK(cost(half).usd == 1.5_usd);
    CHECK(cost(half).assumed);
  }
  CHECK(cost("priority").usd == 3_usd);
  CHECK(cost("priority").assumed);
  // Half of an odd sum is rounded once, half to even.
  Price odd;
  odd.provider = "openai";
  odd.rates.input = Rate::from_picos(1'001);
  odd.request = 1_usd;
  table.register_model("odd", odd);
  CHECK(table.cost("odd", {.input = 1}, {.service_tier = "flex"}).usd == Usd::from_nanos(1'000'000'001));
  CHECK(table.cost("odd", {.input = 1'000}, {.service_tier = "flex"}).usd == Usd::from_nanos(1'000'000'500));
}

TEST_CASE("tiers: flex costs half only where a provider sells it so", "[core][price]") {
  PriceTable table = PriceTable::bundled();
  const Usd plain = table.cost("groq/llama-3.3-70b-versatile", million_in).usd;
  CHECK(table.cost("groq/llama-3.3-70b-versatile", million_in, {.service_tier = "flex"}).usd == plain);
  CHECK(table.cost("llama-3.3-70b-versatile", million_in, {.service_tier = "flex", .provider = "groq"}).usd == plain);
  for (const char* const provider : {"", "anthropic", "mistral", "openrouter", "xai"}) {
    INFO(provider);
    table.register_model("m", input_price(3_usd, provider));
    CHECK(table.cost("m", million_in, {.service_tier = "flex"}).usd == 3_usd);
    CHECK(table.cost("m", million_in, {.service_tier = "flex"}).assumed);
    CHECK(table.cost("m", million_in, {.service_tier = "batch"}).usd == 1.5_usd);
  }
  for (const char* const provider : {"openai", "gemini", "vertex_ai", "bedrock"}) {
    INFO(provider);
    table.register_model("m", input_price(3_usd, provider));
    CHECK(table.cost("m", million_in, {.service_tier = "flex"}).usd == 1.5_usd);
  }
}

TEST_CASE("tiers: a place raises a tier as it raises the default rates", "[core][price]") {
  const PriceTable table = PriceTable::bundled();
  const auto cost = [&](const char* tier) { return table.cost("claude-opus-4-8", million_in, {.service_tier = tier}); };
  CHECK(cost("us").usd == 5.5_usd);
  CHECK(cost("fast").usd == 10_usd);
  CHECK(cost("fast+us").usd == 11_usd);
  CHECK_FALSE(cost("fast+us").assumed);
  CHECK(cost("batch+us").usd == 2.75_usd);
  CHECK(cost("batch+us").assumed);
  CHECK(cost("fast+mars").usd == 10_usd);
  CHECK(cost("fast+mars").assumed);
}

TEST_CASE("tools: what has no fee leaves the cost incomplete, and the bundled table has the providers' fees",
          "[core][price]") {
  const PriceTable table = PriceTable::bundled();
  const auto fee = [&](const char* model, const Usage& usage) { return table.cost(model, usage).usd; };
  CHECK(fee("gpt-5", {.web_searches = 4}) == 0.04_usd);
  CHECK(fee("gpt-5-mini-2025-08-07", {.web_searches = 4}) == 0.04_usd);
  CHECK(fee("gpt-5", {.file_searches = 2}) == 0.005_usd);
  CHECK(fee("gpt-5", {.code_sessions = 1}) == 0.03_usd);
  CHECK(fee("claude-haiku-4-5", {.web_searches = 1}) == 0.01_usd);
  CHECK(table.cost("gpt-5", {.other_tools = 1}).incomplete);
  PriceTable own;
  own.register_model("m", input_price(1_usd, "x"));
  CHECK(own.cost("m", {.input = 1, .web_searches = 1}).incomplete);
  CHECK_FALSE(own.cost("m", {.input = 1}).incomplete);
  own.register_model("free", Price::free());
  CHECK_FALSE(
      own.cost("free", {.web_searches = 1, .file_searches = 1, .code_sessions = 1, .other_tools = 1}).incomplete);
}

TEST_CASE("names: for a model without a price the nearest name of the table is offered", "[core][price]") {
  const Ledger ledger;
  const LedgerScope scope(ledger);
  const auto offered = [](const char* model) {
    const Budget budget({.usd = 1_usd});
    const Result<Call> refused = try_call({.model = model, .input_tokens = 1, .max_output_tokens = 1});
    if (refused) return std::string("has a price");
    std::string text = refused.error().message();
    const std::size_t at = text.find("Did you mean \"");
    if (at == std::string::npos) return std::string();
    text.erase(0, at + 14);
    return text.substr(0, text.find('"'));
  };
  CHECK(offered("gpt-4o-mni") == "gpt-4o-mini");
  CHECK(offered("gpt4o-mini") == "gpt-4o-mini");
  CHECK(offered("GPT-4o-Mini") == "gpt-4o-mini");
  CHECK(offered("gtp-4o") == "gpt-4o");
  CHECK(offered("claude-sonet-4-5") == "claude-sonnet-4-5");
  CHECK(offered("gemini-2.5-flsh") == "gemini-2.5-flash");
  CHECK(offered("gpt-4o-mini-turbo") == "gpt-4o-mini");
  CHECK(offered("my-own-model").empty());
  CHECK(offered("x").empty());
  CHECK(offered("----").empty());
  CHECK(offered(std::string(200, 'g').c_str()).empty());
  CHECK_THROWS_WITH(ledger.prices().cost("gpt-4o-mni", {.input = 1}),
                    ContainsSubstring("Did you mean \"gpt-4o-mini\"? If not, add"));

  PriceTable table;
  table.register_model("acme/large-7", input_price(1_usd, "acme"));
  table.register_model("acme/large-8", input_price(1_usd, "acme"));
  table.register_deployment("prod-summaries", "acme/large-7");
  Ledger(ledger).set_prices(table);
  CHECK(offered("acme/lrge-8") == "acme/large-8");
  CHECK(offered("acme/large-9").empty());  // another model, for all that is known
  CHECK(offered("prod-sumaries") == "prod-summaries");
}

TEST_CASE("tools: one that has a price of its own is no model", "[core][price]") {
  const PriceTable table = PriceTable::bundled();
  CHECK_FALSE(table.find("web_search_preview"));
  CHECK_FALSE(table.find("web_search_preview", "openai"));
  CHECK_FALSE(table.find("openai/web_search_preview"));
  CHECK_THROWS_AS(table.cost("web_search_preview", {.web_searches = 1}), PriceUnknown);
  CHECK_THROWS_WITH(table.cost("web_search_previe", {.input = 1}), !ContainsSubstring("web_search_preview\""));
  Ledger ledger({.prices = table});
  LedgerScope scope(ledger);
  const Budget budget({.usd = 0.01_usd});
  CHECK_FALSE(try_call({.model = "web_search_preview", .input_tokens = 1'000'000, .max_output_tokens = 1'000'000}));
}

TEST_CASE("tiers: a model that the program registers has the places that it names", "[core][price]") {
  PriceTable table = PriceTable::bundled();
  table.register_model("my-claude", input_price(3_usd, "anthropic"));
  const Cost cost = table.cost("my-claude", {.input = 1'000'000}, {.service_tier = "us", .provider = "anthropic"});
  CHECK(cost.usd == 3_usd);
  CHECK(cost.assumed);
  Price named = input_price(3_usd, "anthropic");
  named.tiers = {{.service_tier = "us", .rates = input_price(4_usd, "anthropic").rates}};
  table.register_model("my-claude", named);
  CHECK(table.cost("my-claude", {.input = 1'000'000}, {.service_tier = "us"}).usd == 4_usd);
  // As the bundled table's own: it says what they cost there.
  const Cost bundled = table.cost("claude-opus-4-6", {.input = 1'000'000}, {.service_tier = "us"});
  CHECK(bundled.usd == 5.5_usd);
  CHECK_FALSE(bundled.assumed);
}
