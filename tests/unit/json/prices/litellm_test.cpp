#include <random>
#include <string>

#include "json/prices/formats.hpp"
#include "price_files.hpp"
#include "support/catch.hpp"

using namespace outlay;
using namespace outlay::literals;

namespace {

// Entries in LiteLLM's format with the figures of its snapshot of 2026-08-01 (BerriAI/litellm, MIT).
const char* const snapshot = R"({
  "sample_spec": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "max_tokens": "set to max output tokens",
                  "litellm_provider": "one of https://docs.litellm.ai/docs/providers"},
  "fallback_generalizations": {"rules": [{"name": "x", "pattern": "^(?:[a-z-]+\\.)?anthropic"}]},
  "gpt-5.6": {
    "cache_creation_input_token_cost": 6.25e-06, "cache_creation_input_token_cost_above_272k_tokens": 1.25e-05,
    "cache_creation_input_token_cost_above_272k_tokens_flex": 6.25e-06, "cache_creation_input_token_cost_flex": 3.125e-06,
    "cache_read_input_token_cost": 5e-07, "cache_read_input_token_cost_above_272k_tokens": 1e-06,
    "cache_read_input_token_cost_flex": 2.5e-07, "input_cost_per_token": 5e-06,
    "input_cost_per_token_above_272k_tokens": 1e-05, "input_cost_per_token_above_272k_tokens_flex": 5e-06,
    "input_cost_per_token_batches": 2.5e-06, "input_cost_per_token_flex": 2.5e-06, "input_cost_per_token_priority": 1e-05,
    "litellm_provider": "openai", "max_input_tokens": 1050000, "max_output_tokens": 128000, "max_tokens": 128000,
    "mode": "chat", "output_cost_per_token": 3e-05, "output_cost_per_token_above_272k_tokens": 4.5e-05,
    "output_cost_per_token_above_272k_tokens_flex": 2.25e-05, "output_cost_per_token_batches": 1.5e-05,
    "output_cost_per_token_flex": 1.5e-05, "output_cost_per_token_priority": 6e-05,
    "regional_processing_uplift_multiplier_eu": 1.1, "supports_vision": true, "supported_endpoints": ["/v1/responses"]},
  "claude-sonnet-4-5": {
    "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
    "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05, "cache_read_input_token_cost": 3e-07,
    "input_cost_per_token": 3e-06, "input_cost_per_token_above_200k_tokens": 6e-06,
    "output_cost_per_token_above_200k_tokens": 2.25e-05, "cache_creation_input_token_cost_above_200k_tokens": 7.5e-06,
    "cache_read_input_token_cost_above_200k_tokens": 6e-07, "litellm_provider": "anthropic", "max_tokens": 64000,
    "mode": "chat", "output_cost_per_token": 1.5e-05,
    "search_context_cost_per_query": {"search_context_size_high": 0.01, "search_context_size_low": 0.01,
                                      "search_context_size_medium": 0.01}},
  "claude-opus-5": {"input_cost_per_token": 5e-06, "output_cost_per_token": 2.5e-05, "cache_read_input_token_cost": 5e-07,
    "litellm_provider": "anthropic", "mode": "chat", "provider_specific_entry": {"us": 1.1, "fast": 2.0}},
  "xai/grok-4.5": {"input_cost_per_token": 2e-06, "input_cost_per_token_above_200k_tokens": 4e-06,
    "output_cost_per_token": 6e-06, "output_cost_per_token_above_200k_tokens": 1.2e-05,
    "cache_read_input_token_cost": 5e-07, "cache_read_input_token_cost_above_200k_tokens": 1e-06,
    "litellm_provider": "xai", "mode": "chat", "max_input_tokens": 500000.0, "max_output_tokens": 500000.0},
  "deepseek/deepseek-v4-pro": {"cache_creation_input_token_cost": 0.0, "cache_read_input_token_cost": 3.625e-09,
    "input_cost_per_token": 4.35e-07, "output_cost_per_token": 8.7e-07, "litellm_provider": "deepseek", "mode": "chat"},
  "text-embedding-3-small": {"input_cost_per_token": 2e-08, "input_cost_per_token_batches": 1e-08,
    "output_cost_per_token": 0.0, "litellm_provider": "openai", "mode": "embedding"},
  "dashscope/qwen-flash": {"litellm_provider": "dashscope", "mode": "chat", "tiered_pricing": [
    {"input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07, "range": [0, 256000.0]},
    {"input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06, "range": [256000.0, 1000000.0]}]},
  "dall-e-3": {"input_cost_per_image": 0.04, "litellm_provider": "openai", "mode": "image_generation"},
  "whisper-1": {"input_cost_per_second": 0.0001, "output_cost_per_second": 0.0001, "litellm_provider": "openai"},
  "lyria": {"input_cost_per_token": 0, "output_cost_per_token": 0, "output_cost_per_image": 0.04, "litellm_provider": "gemini"},
  "pegasus": {"output_cost_per_token": 7.5e-06, "input_cost_per_video_per_second": 0.00049, "litellm_provider": "bedrock"},
  "github_copilot/gpt-4o": {"litellm_provider": "github_copilot", "mode": "chat", "max_tokens": 4096},
  "rerank-v3.5": {"input_cost_per_query": 0.002, "input_cost_per_token": 0.0, "output_cost_per_token": 0.0,
    "litellm_provider": "cohere", "mode": "rerank"},
  "ollama/llama3": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "litellm_provider": "ollama", "mode": "chat"},
  "databricks/dusty": {"input_cost_per_token": 2.9999900000000002e-06, "input_dbu_cost_per_token": 4.2857e-05,
    "output_cost_per_token": 1.5000020000000002e-05, "litellm_provider": "databricks", "mode": "chat"},
  "openrouter/auto": {"input_cost_per_token": -1, "output_cost_per_token": -1, "litellm_provider": "openrouter"},
  "deepseek-coder": {"input_cost_per_token": 1.4e-07, "input_cost_per_token_cache_hit": 1.4e-08,
    "output_cost_per_token": 2.8e-07, "litellm_provider": "deepseek", "mode": "chat"},
  "input-only": {"input_cost_per_token": 1e-06, "litellm_provider": "x", "mode": "chat"}
})";

}  // namespace

TEST_CASE("litellm: the golden costs agree to the nano-dollar", "[json][price]") {
  const auto table = litellm(snapshot);
  // Computed apart from this library, in decimals, by LiteLLM's formula.
  CHECK(cost(table, "gpt-5.6",
             {.input = 476, .cache_read = 1024, .cache_write = 1500, .output = 220, .reasoning = 200}) == 0.018867_usd);
  CHECK(cost(table, "gpt-5.6", {.input = 1000, .output = 1000}, "flex") == 0.0175_usd);
  CHECK(cost(table, "claude-sonnet-4-5",
             {.input = 50,
              .cache_read = 10000,
              .cache_write = 300,
              .cache_write_1h = 2000,
              .output = 420,
              .reasoning = 300}) == 0.022575_usd);
  CHECK(cost(table, "claude-sonnet-4-5", {.input = 200001, .output = 10}) == 1.200231_usd);
  CHECK(cost(table, "xai/grok-4.5", {.input = 26, .cache_read = 6, .output = 103, .reasoning = 94}) == 0.000673_usd);
  CHECK(cost(table, "deepseek/deepseek-v4-pro", {.input = 360, .cache_read = 640, .output = 500, .reasoning = 450}) ==
        0.00059392_usd);
  CHECK(cost(table, "text-embedding-3-small", {.input = 3}) == 0.00000006_usd);
  // The edges of the thresholds: above for most, at for xAI.
  CHECK(cost(table, "claude-sonnet-4-5", {.input = 200000, .output = 10}) == 0.60015_usd);
  CHECK(cost(table, "claude-sonnet-4-5", {.cache_write_1h = 200001}) == 2.400012_usd);
  CHECK(cost(table, "gpt-5.6", {.input = 272000}) == 1.36_usd);
  CHECK(cost(table, "gpt-5.6", {.input = 272001}) == 2.72001_usd);
  CHECK(cost(table, "gpt-5.6", {.input = 272001}, "flex") == 1.360005_usd);
  CHECK(cost(table, "xai/grok-4.5", {.input = 199999}) == 0.399998_usd);
  CHECK(cost(table, "xai/grok-4.5", {.input = 200000}) == 0.8_usd);
}

TEST_CASE("litellm: a service tier without a long-context rate changes the step by its own factor", "[json][price]") {
  const auto table = litellm(snapshot);
  CHECK(cost(table, "gpt-5.6", {.input = 300000}, "priority") == 6_usd);
  CHECK(cost(table, "gpt-5.6", {.input = 300000}, "batch") == 1.5_usd);
  CHECK(cost(table, "gpt-5.6", {.cache_read = 300000}, "flex") == 0.15_usd);
}

TEST_CASE("litellm: batches never make cached input dearer than it is, nor free", "[json][price]") {
  const auto table = litellm(snapshot);
  CHECK(cost(table, "gpt-5.6", {.cache_read = 1000}, "batch") == 0.0025_usd);     // the batch's input rate
  CHECK(cost(table, "gpt-5.6", {.cache_write = 1000}, "batch") == 0.003125_usd);  // the surcharge stays
}

TEST_CASE("litellm: multipliers become service tiers of their names", "[json][price]") {
  const auto table = litellm(snapshot);
  CHECK(cost(table, "claude-opus-5", {.input = 1000, .cache_read = 1000, .output = 1000}, "fast") == 0.061_usd);
  CHECK(cost(table, "claude-opus-5", {.input = 1000, .output = 1000}, "us") == 0.033_usd);
  CHECK(cost(table, "gpt-5.6", {.input = 1000}, "eu") == 0.0055_usd);
  CHECK(cost(table, "gpt-5.6", {.input = 300000}, "eu") == 3.3_usd);
}

TEST_CASE("litellm: tiered_pricing becomes a base and steps", "[json][price]") {
  const auto table = litellm(snapshot);
  CHECK(cost(table, "dashscope/qwen-flash", {.input = 256000}) == 0.0128_usd);
  CHECK(cost(table, "dashscope/qwen-flash", {.input = 256001}) == 0.06400025_usd);
  CHECK(cost(table, "dashscope/qwen-flash", {.output = 1000}) == 0.0004_usd);
}

TEST_CASE("litellm: what is not priced by tokens or requests is unknown, not free", "[json][price]") {
  const auto table = litellm(snapshot);
  for (const char* model : {"dall-e-3", "whisper-1", "lyria", "pegasus", "github_copilot/gpt-4o", "openrouter/auto",
                            "sample_spec", "fallback_generalizations"}) {
    INFO(model);
    CHECK_FALSE(table.find(model));
  }
  CHECK(table.size() == 12);
  CHECK(cost(table, "ollama/llama3", {.input = 1000, .output = 1000}) == Usd{});
  CHECK(cost(table, "rerank-v3.5", {}) == 0.002_usd);
}

TEST_CASE("litellm: missing rates fall back to dearer ones, never to zero", "[json][price]") {
  const auto table = litellm(snapshot);
  CHECK(cost(table, "input-only", {.output = 1000}) == 0.001_usd);
  CHECK(cost(table, "text-embedding-3-small", {.cache_read = 1'000'000}) == 0.02_usd);
  CHECK(cost(table, "deepseek-coder", {.cache_read = 1'000'000}) == 0.014_usd);  // by its older name
}

TEST_CASE("litellm: limits and providers are read, and web searches", "[json][price]") {
  const auto table = litellm(snapshot);
  const auto gpt = table.find("gpt-5.6");
  REQUIRE(gpt);
  CHECK(gpt->provider == "openai");
  CHECK(gpt->max_input_tokens == 1'050'000);
  CHECK(gpt->max_output_tokens == 128'000);
  CHECK(table.find("claude-sonnet-4-5")->max_output_tokens == 64'000);
  CHECK(table.find("xai/grok-4.5")->max_input_tokens == 500'000);
  CHECK(cost(table, "claude-sonnet-4-5", {.web_searches = 2}) == 0.02_usd);
}

TEST_CASE("litellm: a rate finer than a pico-dollar is rounded and its costs are marked", "[json][price]") {
  const auto table = litellm(snapshot);
  const auto dusty = table.cost("databricks/dusty", {.input = 1'000'000});
  CHECK(dusty.usd == 2.99999_usd);
  CHECK(dusty.assumed);
  CHECK(dusty.rule == PriceRule::exact);
  CHECK_FALSE(table.cost("gpt-5.6", {}).assumed);
}

TEST_CASE("litellm: a first party's model is found under its bare name", "[json][price]") {
  const auto table = litellm(snapshot);
  CHECK(table.cost("grok-4.5", {}).model == "xai/grok-4.5");
  CHECK(table.cost("grok-4.5", {}).rule == PriceRule::provider_prefix);
  CHECK(table.cost("deepseek-v4-pro-2029-01-01", {}).rule == PriceRule::date_suffix);
  CHECK_FALSE(table.find("llama3"));
}

TEST_CASE("litellm: the table is undated and its version tells two files apart", "[json][price]") {
  const auto one = litellm(snapshot), same = litellm(snapshot), other = litellm(std::string(snapshot) + "\n");
  CHECK_FALSE(one.as_of());
  CHECK(one.version() == same.version());
  CHECK(one.version() != other.version());
  CHECK_THAT(one.source(), ContainsSubstring("litellm"));
}

TEST_CASE("litellm: the last of two members of one name counts", "[json][price]") {
  const auto table = litellm(R"({"m":{"input_cost_per_token":1e-06,"output_cost_per_token":0},
                                 "m":{"input_cost_per_token":2e-06,"output_cost_per_token":0}})");
  CHECK(table.size() == 1);
  CHECK(cost(table, "m", {.input = 1000}) == 0.002_usd);
}

TEST_CASE("litellm: escapes in names and strings as numbers are read", "[json][price]") {
  const auto table = litellm(
      "{\"m\\u006fdel\\n\":{\"input_cost_per_token\":\"0.000001\",\"output_cost_per_token\":null,"
      "\"litellm_provider\":\"a\\u0062c\"}}");
  REQUIRE(table.find("model\n"));
  CHECK(table.find("model\n")->provider == "abc");
  CHECK(cost(table, "model\n", {.input = 1000, .output = 1000}) == 0.002_usd);
}

TEST_CASE("litellm: a file that is none is refused with its name and the place", "[json][price]") {
  CHECK_THAT(refused(""), ContainsSubstring("not JSON"));
  CHECK_THAT(refused("{\"a\": "), ContainsSubstring("not JSON at byte"));
  CHECK_THAT(refused("{\"a\": {}} x"), ContainsSubstring("not JSON"));
  CHECK_THAT(refused("[]"), ContainsSubstring("not a JSON object"));
  CHECK_THAT(refused("{}"), ContainsSubstring("none of its 0 models"));
  CHECK_THAT(refused(R"({"m":{"mode":"chat"}})"), ContainsSubstring("none of its 1 models"));
  CHECK_THAT(refused("{\"m\":{\"input_cost_per_token\":1e-6,\"x\":\"\xff\"}}"), ContainsSubstring("not JSON"));
  CHECK_THAT(refused(std::string(100'000, '[')), ContainsSubstring("not JSON"));
  CHECK_THAT(refused("{\"a\":" + std::string(100'000, '[') + "}"), ContainsSubstring("not JSON"));
  CHECK_THAT(refused("nonsense"), ContainsSubstring("outlay-prices-"));
}

TEST_CASE("litellm: a price that is no price is refused with the model and the member", "[json][price]") {
  CHECK_THAT(refused(R"({"m":{"input_cost_per_token":"cheap"}})"),
             ContainsSubstring("\"m\"") && ContainsSubstring("input_cost_per_token"));
  CHECK_THAT(refused(R"({"m":{"input_cost_per_token":true}})"), ContainsSubstring("input_cost_per_token"));
  CHECK_THAT(refused(R"({"m":{"input_cost_per_token":1e300}})"), ContainsSubstring("input_cost_per_token"));
  CHECK_THAT(refused(R"({"m":{"input_cost_per_token":[1]}})"), ContainsSubstring("input_cost_per_token"));
  const auto long_name = refused("{\"" + std::string(60'000, 'n') + "\":{\"input_cost_per_token\":\"cheap\"}}");
  CHECK(long_name.size() < 500);
}

TEST_CASE("litellm: fees for a request that cannot be added up are refused with the model", "[json][price]") {
  CHECK_THAT(refused(R"({"m":{"input_cost_per_request":9e9,"input_cost_per_query":9e9}})"),
             ContainsSubstring("\"m\"") && ContainsSubstring("fees for a request"));
}

TEST_CASE("litellm: a model with more steps than any has is refused, not worked through", "[json][price]") {
  std::string steps;
  for (int i = 1; i <= 100'000; ++i)
    steps += R"({"range":[)" + std::to_string(i) + R"(],"input_cost_per_token":1e-6},)";
  CHECK_THAT(refused(R"({"m":{"tiered_pricing":[)" + steps + "{}]}}"),
             ContainsSubstring("\"m\"") && ContainsSubstring("more than 64"));
}

TEST_CASE("litellm: one entry that varies does not spoil the next", "[json][price]") {
  const auto table = litellm(R"({"varies":{"input_cost_per_token":-1,"output_cost_per_token":-1},
    "varies-too":{"input_cost_per_token":1e-6,"output_cost_per_token":1e-6,"search_context_cost_per_query":{"a":-1},
                  "provider_specific_entry":{"fast":-2}},
    "good":{"input_cost_per_token":1e-6,"output_cost_per_token":1e-6}})");
  CHECK_FALSE(table.find("varies"));
  CHECK_FALSE(table.find("varies-too"));
  CHECK(table.find("good"));
}

TEST_CASE("litellm: any cut of a file is refused, and any change of a byte is read or refused", "[json][price]") {
  const std::string text = snapshot;
  for (std::size_t size = 0; size + 1 < text.size(); size += 7)
    REQUIRE_THROWS_AS(detail::read_litellm(text.substr(0, size), "cut"), ConfigError);
  std::mt19937 random(17);
  for (int i = 0; i < 2'000; ++i) {
    std::string changed = text;
    for (int n = 0; n < 3; ++n) changed[random() % changed.size()] = static_cast<char>(random());
    try {
      (void)detail::read_litellm(changed, "changed");
    } catch (const Error&) {
    }
  }
}
