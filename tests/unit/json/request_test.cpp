#include <boost/json.hpp>
#include <string>
#include <vector>

#include "json/api.hpp"
#include "outlay/json.hpp"
#include "support/catch.hpp"

namespace json = boost::json;
using namespace outlay;

namespace {

json::object parse(const char* text) { return json::parse(text).as_object(); }

detail::RequestFacts facts_of(Api api, const json::object& request) {
  detail::RequestFacts facts;
  detail::format(api).read_request(request, facts);
  return facts;
}

json::object clamped(Api api, const char* request, std::int64_t ceiling) {
  json::object copy = parse(request);
  detail::format(api).write_ceiling(copy, ceiling);
  return copy;
}

}  // namespace

TEST_CASE("request: the ceiling is read from where each API has it", "[json][request]") {
  struct Case {
    Api api;
    const char* request;
    std::optional<std::int64_t> ceiling;
    std::int64_t choices;
  };
  for (const Case& one : std::vector<Case>{
           {Api::openai_chat, R"({"model":"m","max_completion_tokens":200,"n":3})", 200, 3},
           {Api::openai_chat, R"({"model":"m","max_tokens":200.0})", 200, 1},
           {Api::openai_chat, R"({"model":"m","max_completion_tokens":null,"max_tokens":90})", 90, 1},
           {Api::openai_chat, R"({"model":"m","max_completion_tokens":100,"max_tokens":90})", 100, 1},
           {Api::openai_chat, R"({"model":"m"})", std::nullopt, 1},
           {Api::openai_compatible, R"({"model":"m","max_tokens":-1})", std::nullopt, 1},
           {Api::openai_compatible, R"({"model":"m","max_tokens":0,"best_of":4})", 1, 4},
           {Api::openai_responses, R"({"model":"m","max_output_tokens":64})", 64, 1},
           {Api::openai_embeddings, R"({"model":"m","input":"x"})", 0, 1},
           {Api::anthropic_messages, R"({"model":"m","max_tokens":4096})", 4096, 1},
           {Api::gemini, R"({"generationConfig":{"maxOutputTokens":256,"candidateCount":2}})", 256, 2},
           {Api::gemini, R"({"generation_config":{"max_output_tokens":256}})", 256, 1},
           {Api::bedrock_converse, R"({"inferenceConfig":{"maxTokens":300}})", 300, 1},
           {Api::ollama_chat, R"({"model":"m","options":{"num_predict":50}})", 50, 1},
           {Api::ollama_generate, R"({"model":"m","options":{"num_predict":-1}})", std::nullopt, 1},
           {Api::mistral_chat, R"({"model":"m","max_tokens":70,"n":2})", 70, 2},
           {Api::deepseek_chat, R"({"model":"m","max_tokens":70})", 70, 1},
           {Api::xai_chat, R"({"model":"m","max_completion_tokens":70})", 70, 1},
           {Api::cohere_chat, R"({"model":"m","max_tokens":70,"thinking":{"type":"enabled","token_budget":30}})", 100,
            1},
           {Api::openrouter_chat, R"({"models":["m","n"],"max_tokens":70})", 70, 1},
           {Api::azure_chat, R"({"max_tokens":70})", 70, 1},
       }) {
    INFO(one.api.name() << " " << one.request);
    const detail::RequestFacts facts = facts_of(one.api, parse(one.request));
    CHECK(facts.ceiling == one.ceiling);
    CHECK(facts.choices == one.choices);
  }
}

TEST_CASE("request: a clamp reuses the caller's member, and makes the API's own where there is none",
          "[json][request]") {
  struct Case {
    Api api;
    const char* request;
    const char* expected;  // at a ceiling of 40
  };
  for (const Case& one : std::vector<Case>{
           {Api::openai_chat, R"({"model":"m","max_tokens":200,"x":1})", R"({"model":"m","max_tokens":40,"x":1})"},
           {Api::openai_chat, R"({"model":"m"})", R"({"model":"m","max_completion_tokens":40})"},
           {Api::openai_chat, R"({"model":"m","max_completion_tokens":null})",
            R"({"model":"m","max_completion_tokens":40})"},
           {Api::openai_chat, R"({"model":"m","max_completion_tokens":200.0})",
            R"({"model":"m","max_completion_tokens":40.0})"},
           {Api::azure_chat, R"({"messages":[]})", R"({"messages":[],"max_completion_tokens":40})"},
           {Api::openai_compatible, R"({"model":"m"})", R"({"model":"m","max_tokens":40})"},
           {Api::mistral_chat, R"({"model":"m"})", R"({"model":"m","max_tokens":40})"},
           {Api::deepseek_chat, R"({"model":"m","max_tokens":9000})", R"({"model":"m","max_tokens":40})"},
           {Api::xai_chat, R"({"model":"m","max_completion_tokens":90})",
            R"({"model":"m","max_completion_tokens":40})"},
           {Api::openrouter_chat, R"({"model":"m"})", R"({"model":"m","max_tokens":40})"},
           {Api::openai_responses, R"({"model":"m"})", R"({"model":"m","max_output_tokens":40})"},
           {Api::gemini, R"({"contents":[]})", R"({"contents":[],"generationConfig":{"maxOutputTokens":40}})"},
           {Api::gemini, R"({"generation_config":{"temperature":1,"max_output_tokens":90}})",
            R"({"generation_config":{"temperature":1,"max_output_tokens":40}})"},
           {Api::bedrock_converse, R"({"inferenceConfig":{"temperature":0}})",
            R"({"inferenceConfig":{"temperature":0,"maxTokens":40}})"},
           {Api::ollama_chat, R"({"model":"m","options":{"num_predict":-1,"seed":3}})",
            R"({"model":"m","options":{"num_predict":40,"seed":3}})"},
           {Api::ollama_generate, R"({"model":"m"})", R"({"model":"m","options":{"num_predict":40}})"},
           {Api::cohere_chat, R"({"model":"m","max_tokens":90})", R"({"model":"m","max_tokens":40})"},
           {Api::cohere_chat, R"({"model":"m","max_tokens":90,"thinking":{"token_budget":30}})",
            R"({"model":"m","max_tokens":10,"thinking":{"token_budget":30}})"},
       }) {
    INFO(one.api.name() << " " << one.request);
    CHECK(clamped(one.api, one.request, 40) == parse(one.expected));
  }
}

TEST_CASE("request: a thinking budget stays below the ceiling, and the ceiling above its minimum", "[json][request]") {
  const char* const request = R"({"model":"m","max_tokens":8000,"thinking":{"type":"enabled","budget_tokens":4000}})";
  CHECK(facts_of(Api::anthropic_messages, parse(request)).min_output == 1'025);
  CHECK(clamped(Api::anthropic_messages, request, 3'000) ==
        parse(R"({"model":"m","max_tokens":3000,"thinking":{"type":"enabled","budget_tokens":2999}})"));
  CHECK(clamped(Api::anthropic_messages, request, 5'000) ==
        parse(R"({"model":"m","max_tokens":5000,"thinking":{"type":"enabled","budget_tokens":4000}})"));
  CHECK(facts_of(Api::anthropic_messages, parse(R"({"model":"m","max_tokens":9,"thinking":{"type":"adaptive"}})"))
            .min_output == 1);

  const char* const bedrock =
      R"({"inferenceConfig":{"maxTokens":8000},"additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":4000}}})";
  CHECK(facts_of(Api::bedrock_converse, parse(bedrock)).min_output == 1'025);
  CHECK(
      clamped(Api::bedrock_converse, bedrock, 2'000) ==
      parse(
          R"({"inferenceConfig":{"maxTokens":2000},"additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":1999}}})"));
}

TEST_CASE("request: minimums of the providers are told to the admission", "[json][request]") {
  CHECK(facts_of(Api::openai_responses, parse(R"({"model":"m"})")).min_output == 16);
  CHECK(facts_of(Api::openai_chat, parse(R"({"model":"m"})")).min_output == 16);
  CHECK(facts_of(Api::mistral_chat, parse(R"({"model":"m"})")).min_output == 1);
  CHECK(facts_of(Api::cohere_chat, parse(R"({"model":"m","thinking":{"token_budget":30}})")).min_output == 31);
  CHECK(facts_of(Api::openai_embeddings, parse(R"({"model":"m","input":"x"})")).fixed_ceiling);
}

TEST_CASE("request: a new model is written where the API has it, and nowhere else", "[json][request]") {
  const auto with_model = [](Api api, const char* request) {
    json::object copy = parse(request);
    detail::format(api).write_model(copy, "small");
    return copy;
  };
  CHECK(with_model(Api::openai_chat, R"({"model":"m","n":1})") == parse(R"({"model":"small","n":1})"));
  CHECK(with_model(Api::gemini, R"({"contents":[]})") == parse(R"({"contents":[]})"));
  CHECK(with_model(Api::bedrock_converse, R"({"messages":[]})") == parse(R"({"messages":[]})"));
  CHECK(with_model(Api::azure_chat, R"({"messages":[]})") == parse(R"({"messages":[]})"));
  CHECK(with_model(Api::azure_chat, R"({"model":"m"})") == parse(R"({"model":"small"})"));
  CHECK(with_model(Api::openrouter_chat, R"({"models":["m","n"]})") == parse(R"({"model":"small"})"));
}

TEST_CASE("request: tools, schemas and system prompts count as input", "[json][request]") {
  const auto input = [](Api api, const char* request) { return facts_of(api, parse(request)).input.upper(); };
  const std::int64_t plain =
      input(Api::openai_chat, R"({"model":"m","messages":[{"role":"user","content":"hello there"}]})");
  CHECK(plain > 3);
  CHECK(
      input(Api::openai_chat,
            R"({"model":"m","messages":[{"role":"user","content":"hello there"}],"tools":[{"type":"function","function":
                 {"name":"look_up","description":"Looks a town up","parameters":{"type":"object","properties":{"town":{"type":"string"}}}}}]})") >
      plain + 30);
  CHECK(input(Api::anthropic_messages, R"({"model":"m","system":"a long prompt of many words","messages":[]})") >
        input(Api::anthropic_messages, R"({"model":"m","messages":[]})") + 5);
  CHECK(input(Api::gemini, R"({"systemInstruction":{"parts":[{"text":"be brief please"}]},"contents":[]})") >
        input(Api::gemini, R"({"contents":[]})"));
  CHECK(input(Api::openai_embeddings, R"({"model":"m","input":[[1,2,3],[4,5]]})") == 5);
  CHECK(input(Api::cohere_embed, R"({"model":"m","texts":["one","two"]})") >= 2);
}

TEST_CASE("request: pictures and sound are not counted as text", "[json][request]") {
  const std::string blob(400'000, 'A');
  const auto upper = [&](Api api, const std::string& request) {
    return facts_of(api, json::parse(request).as_object()).input.upper();
  };
  CHECK(
      upper(
          Api::openai_chat,
          R"({"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,)" +
              blob + R"("}}]}]})") < 7'000);
  CHECK(
      upper(
          Api::anthropic_messages,
          R"({"model":"m","messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":")" +
              blob + R"("}}]}]})") < 7'000);
  CHECK(upper(Api::gemini, R"({"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":")" + blob +
                               R"("}}]}]})") < 7'000);
  CHECK(upper(Api::ollama_chat,
              R"({"model":"m","messages":[{"role":"user","content":"x","images":[")" + blob + R"("]}]})") < 7'000);
  CHECK(upper(Api::openai_chat,
              R"({"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":")" +
                  blob + R"(","format":"mp3"}}]}]})") < 4'000);
}

TEST_CASE("request: marks for the longer-lived cache and the fast tier are seen", "[json][request]") {
  const detail::RequestFacts facts = facts_of(
      Api::anthropic_messages,
      parse(
          R"({"model":"m","max_tokens":9,"speed":"fast","system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"1h"}}]})"));
  CHECK(facts.long_cache);
  CHECK(facts.service_tier == "fast");
  CHECK_FALSE(facts_of(Api::anthropic_messages,
                       parse(R"({"model":"m","messages":[{"content":[{"cache_control":{"type":"ephemeral"}}]}]})"))
                  .long_cache);
}

TEST_CASE("request: one that is nested without end is refused, not followed", "[json][request]") {
  json::value deep = "x";
  for (int i = 0; i < 1'000; ++i) deep = json::array{deep};
  const json::object request{{"model", "m"}, {"messages", json::array{json::object{{"content", deep}}}}};
  CHECK_THROWS_AS(facts_of(Api::openai_chat, request), Error);
}

TEST_CASE("api: detect knows each API by its path, and by its host where the path is shared", "[json][api]") {
  const json::value body = json::object{{"model", "m"}, {"input", "x"}};
  const auto detect = [&](const char* target) { return Api::detect(target, body); };
  CHECK(detect("https://api.openai.com/v1/chat/completions") == Api::openai_chat);
  CHECK(detect("https://API.openai.com:443/v1/chat/completions?x=1") == Api::openai_chat);
  CHECK(detect("https://api.openai.com.evil.example/v1/chat/completions") == Api::openai_compatible);
  CHECK(detect("/v1/chat/completions") == Api::openai_compatible);
  CHECK(detect("http://localhost:8080/v1/chat/completions") == Api::openai_compatible);
  CHECK(detect("https://api.openai.com/v1/responses") == Api::openai_responses);
  CHECK(detect("/v1/embeddings") == Api::openai_embeddings);
  CHECK(detect("https://api.anthropic.com/v1/messages") == Api::anthropic_messages);
  CHECK(detect("/v1beta/models/gemini-2.5-flash:generateContent") == Api::gemini);
  CHECK(detect("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse") == Api::gemini);
  CHECK(detect("/v1beta/models/gemini-embedding-001:batchEmbedContents") == Api::gemini_embeddings);
  CHECK(detect("/model/anthropic.claude-v1%3A0/converse-stream") == Api::bedrock_converse);
  CHECK(detect("/api/chat") == Api::ollama_chat);
  CHECK(detect("/api/generate/") == Api::ollama_generate);
  CHECK(detect("https://api.mistral.ai/v1/chat/completions") == Api::mistral_chat);
  CHECK(detect("https://api.deepseek.com/chat/completions") == Api::deepseek_chat);
  CHECK(detect("https://api.x.ai/v1/chat/completions") == Api::xai_chat);
  CHECK(detect("/v2/chat") == Api::cohere_chat);
  CHECK(detect("/v2/embed") == Api::cohere_embed);
  CHECK(detect("https://openrouter.ai/api/v1/chat/completions") == Api::openrouter_chat);
  CHECK(detect("https://x.openai.azure.com/openai/v1/chat/completions") == Api::azure_chat);
  CHECK(detect("/openai/deployments/d/chat/completions?api-version=1") == Api::azure_chat);
  CHECK(detect("/") == std::nullopt);
  CHECK(detect("") == std::nullopt);
  CHECK(detect("https://") == std::nullopt);
}

TEST_CASE("api: names lead back to their API", "[json][api]") {
  CHECK(Api::all().size() == 17);
  for (const Api api : Api::all()) CHECK(Api::from_name(api.name()) == api);
  CHECK(Api::from_name("nothing") == std::nullopt);
}

TEST_CASE("usage: replies of each API are read as the provider means them", "[json][usage]") {
  const auto usage = [](Api api, const char* reply) { return read_usage(api, json::parse(reply)); };
  CHECK(
      usage(Api::openai_chat, R"({"usage":{"prompt_tokens":2048,"completion_tokens":130,"total_tokens":2178,
      "prompt_tokens_details":{"cached_tokens":1024,"cache_write_tokens":512,"image_tokens":85},"completion_tokens_details":{"reasoning_tokens":128}}})") ==
      Usage{.input = 512, .cache_read = 1024, .cache_write = 512, .output = 130, .reasoning = 128, .input_image = 85});
  CHECK(
      usage(
          Api::xai_chat,
          R"({"usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}})") ==
      Usage{.input = 32, .output = 103, .reasoning = 94});
  CHECK(
      usage(
          Api::openai_responses,
          R"({"output":[{"type":"web_search_call","action":{"type":"search"}},{"type":"web_search_call","action":{"type":"open_page"}}],
      "usage":{"input_tokens":100,"output_tokens":20},"tool_usage":{"web_search":{"num_requests":2}}})") ==
      Usage{.input = 100, .output = 20, .web_searches = 2});
  CHECK(usage(Api::anthropic_messages,
              R"({"usage":{"input_tokens":50,"cache_creation_input_tokens":2300,"cache_read_input_tokens":10000,
      "cache_creation":null,"output_tokens":420}})") ==
        Usage{.input = 50, .cache_read = 10000, .cache_write = 2300, .output = 420});
  CHECK(
      usage(
          Api::gemini,
          R"({"usageMetadata":{"promptTokenCount":13,"candidatesTokenCount":10,"thoughtsTokenCount":61,"toolUsePromptTokenCount":5}})") ==
      Usage{.input = 18, .output = 71, .reasoning = 61});
  CHECK(usage(Api::gemini_embeddings, R"({"embedding":{},"usageMetadata":{"promptTokenCount":7}})") ==
        Usage{.input = 7});
  CHECK(
      usage(
          Api::bedrock_converse,
          R"({"usage":{"inputTokens":458,"outputTokens":4,"cacheReadInputTokens":2098,"cacheReadInputTokenCount":2098}})") ==
      Usage{.input = 458, .cache_read = 2098, .output = 4});
  CHECK(usage(Api::ollama_chat, R"({"done":true,"prompt_eval_count":26,"eval_count":237})") ==
        Usage{.input = 26, .output = 237});
  CHECK(
      usage(
          Api::cohere_chat,
          R"({"usage":{"billed_units":{"input_tokens":431,"output_tokens":661},"tokens":{"input_tokens":2190,"output_tokens":1257}}})") ==
      Usage{.input = 431, .output = 661});
  CHECK(usage(Api::cohere_embed, R"({"meta":{"billed_units":{"input_tokens":3,"image_tokens":4}}})") ==
        Usage{.input = 7, .input_image = 4});
  CHECK(usage(Api::openai_embeddings, R"({"usage":{"prompt_tokens":4,"total_tokens":4}})") == Usage{.input = 4});
}

TEST_CASE("usage: none, or one that cannot be, is a typed error", "[json][usage]") {
  const auto reason = [](const char* reply) {
    try {
      static_cast<void>(read_usage(Api::openai_chat, json::parse(reply)));
    } catch (const Error& error) {
      return error.reason();
    }
    return errc::ok;
  };
  CHECK(reason("{}") == errc::bad_reply);
  CHECK(reason("null") == errc::bad_reply);
  CHECK(reason(R"({"usage":null})") == errc::bad_reply);
  CHECK(reason(R"({"usage":{"prompt_tokens":-1}})") == errc::invalid_usage);
  CHECK(reason(R"({"usage":{"prompt_tokens":2.5}})") == errc::invalid_usage);
  CHECK(reason(R"({"usage":{"prompt_tokens":5,"completion_tokens":3000000000}})") == errc::invalid_usage);
}

TEST_CASE("request: images are bounded by their model's own rule", "[json][request]") {
  const auto upper = [](const char* model, const char* detail) {
    const json::value request = json::parse(
        R"({"model":")" + std::string(model) +
        R"(","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.org/a.png","detail":")" +
        detail + R"("}}]}]})");
    return *GuardedRequest(Api::openai_chat, request.as_object()).call_request().input_tokens;
  };
  CHECK(upper("gpt-4o-mini", "low") >= 2'833);
  CHECK(upper("gpt-4o-mini", "low") < 3'000);
  CHECK(upper("gpt-4o-mini", "high") >= 2'833 + 4 * 5'667);  // a square
  CHECK(upper("gpt-4o", "low") >= 85);
  CHECK(upper("gpt-4o", "low") < 120);
  CHECK(upper("gpt-4o", "high") >= 1'105);
  CHECK(upper("gpt-4o", "high") < 1'600);
}

TEST_CASE("request: tool definitions are bounded as Claude sees them, as JSON", "[json][request]") {
  const json::value tools = json::parse(
      R"([{"name":"look_up","description":"Looks up a town.","input_schema":{"type":"object","properties":
          {"town":{"type":"string","description":"Its name."},"country":{"type":"string","enum":["no","se"]}},"required":["town"]}}])");
  const auto upper = [&](const json::object& request) {
    return *GuardedRequest(Api::anthropic_messages, request).call_request().input_tokens;
  };
  const json::object plain{{"model", "claude-sonnet-5"}, {"max_tokens", 10}, {"messages", json::array{}}};
  json::object with = plain;
  with["tools"] = tools;
  // What explains tools to the model, and every byte pair of the definitions at the least.
  CHECK(upper(with) - upper(plain) >= 804 + static_cast<std::int64_t>(json::serialize(tools).size()) / 4);
}

TEST_CASE("request: an input that grows beyond the request is marked", "[json][request]") {
  const auto bounded = [](Api api, const char* request) {
    const json::value value = json::parse(request);
    const GuardOptions options{.model = "m"};
    return GuardedRequest(api, value.as_object(), options).input_bounded();
  };
  CHECK(bounded(Api::openai_responses, R"({"model":"m","input":"x","tools":[{"type":"function","name":"f"}]})"));
  CHECK_FALSE(bounded(Api::openai_responses, R"({"model":"m","input":"x","previous_response_id":"r"})"));
  CHECK_FALSE(bounded(Api::openai_responses, R"({"model":"m","input":"x","conversation":"c"})"));
  CHECK_FALSE(bounded(Api::openai_responses, R"({"model":"m","prompt":{"id":"p"}})"));
  CHECK_FALSE(bounded(Api::openai_responses, R"({"model":"m","input":"x","tools":[{"type":"file_search"}]})"));
  CHECK_FALSE(bounded(Api::openai_responses,
                      R"({"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_id":"f"}]}]})"));
  CHECK(bounded(Api::anthropic_messages,
                R"({"max_tokens":9,"messages":[],"tools":[{"name":"f"},{"type":"bash_20250124","name":"bash"}]})"));
  CHECK_FALSE(
      bounded(Api::anthropic_messages,
              R"({"max_tokens":9,"messages":[],"tools":[{"type":"web_search_20250305","name":"web_search"}]})"));
  CHECK_FALSE(bounded(
      Api::anthropic_messages,
      R"({"max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"url","url":"https://example.org/a.pdf"}}]}]})"));
  CHECK(bounded(Api::gemini, R"({"contents":[],"tools":[{"functionDeclarations":[]}]})"));
  CHECK_FALSE(bounded(Api::gemini, R"({"contents":[],"tools":[{"googleSearch":{}}]})"));
  CHECK_FALSE(bounded(Api::gemini, R"({"contents":[],"cachedContent":"c"})"));
  CHECK_FALSE(bounded(Api::openai_chat, R"({"model":"m","messages":[],"web_search_options":{}})"));
}

TEST_CASE("request: what brings input that the request does not show is marked in every format", "[json][request]") {
  const auto bounded = [](Api api, const std::string& members) {
    const json::value value = json::parse("{" + members + "}");
    const GuardOptions options{.model = "m"};
    return GuardedRequest(api, value.as_object(), options).input_bounded();
  };
  const auto responses = [&](const std::string& tool) {
    return bounded(Api::openai_responses, R"("model":"m","input":"x","tools":[)" + tool + "]");
  };
  CHECK_FALSE(responses(R"({"type":"shell","environment":{"type":"container_auto"}})"));
  CHECK_FALSE(responses(R"({"type":"shell"})"));
  CHECK(responses(R"({"type":"shell","environment":{"type":"local"}})"));
  CHECK(responses(R"({"type":"local_shell"})"));
  CHECK_FALSE(bounded(Api::openai_responses, R"("model":"m","input":[{"type":"item_reference","id":"msg_1"}])"));
  // What a tool's schema or a call's arguments are called says nothing.
  CHECK(responses(R"({"type":"function","name":"f","parameters":{"properties":{"source":{"type":["string","null"]},
                      "file_id":{"type":"string"}}}})"));
  CHECK(bounded(Api::anthropic_messages, R"("messages":[{"role":"assistant","content":[
                      {"type":"tool_use","id":"t","name":"f","input":{"file_id":"a"}}]}])"));
  CHECK(
      bounded(Api::openai_responses, R"("input":[{"type":"message","role":"assistant","content":[{"type":"output_text",
                      "text":"x","annotations":[{"type":"url_citation","url":"https://example.org"}]}]}])"));

  const auto chat = [&](Api api, const std::string& members) {
    return bounded(api, R"("messages":[{"role":"user","content":"x"}],)" + members);
  };
  CHECK_FALSE(chat(Api::xai_chat, R"("search_parameters":{"mode":"auto"})"));
  CHECK(chat(Api::xai_chat, R"("search_parameters":{"mode":"off"})"));
  CHECK_FALSE(chat(Api::openai_compatible, R"("model":"qwen-plus","enable_search":true)"));
  CHECK(chat(Api::openai_compatible, R"("model":"qwen-plus","enable_search":false)"));
  CHECK_FALSE(chat(Api::openai_compatible, R"("model":"sonar-deep-research")"));
  CHECK(chat(Api::openai_compatible, R"("model":"sonar-pro")"));
  CHECK_FALSE(chat(Api::azure_chat, R"("data_sources":[{"type":"azure_search"}])"));
  CHECK_FALSE(chat(Api::openai_compatible, R"("model":"groq/compound")"));
  CHECK_FALSE(chat(Api::openrouter_chat, R"("model":"@preset/p")"));
  CHECK(chat(Api::openrouter_chat, R"("model":"openai/gpt-5")"));
  const auto part = [&](Api api, const std::string& one) {
    return bounded(api, R"("messages":[{"role":"user","content":[)" + one + "]}]");
  };
  CHECK_FALSE(part(Api::openai_chat, R"({"type":"file","file":{"file_id":"f"}})"));
  CHECK_FALSE(part(Api::openrouter_chat, R"({"type":"file","file":{"file_data":"https://example.org/a.pdf"}})"));
  CHECK_FALSE(part(Api::mistral_chat, R"({"type":"document_url","document_url":"https://example.org/a.pdf"})"));
  CHECK_FALSE(part(Api::openrouter_chat, R"({"type":"video_url","video_url":{"url":"https://example.org/a.mp4"}})"));
  CHECK(part(Api::openai_chat, R"({"type":"image_url","image_url":{"url":"https://example.org/a.png"}})"));
  CHECK_FALSE(bounded(Api::openai_chat, R"("messages":[{"role":"assistant","audio":{"id":"audio_1"}}])"));

  const auto converse = [&](const std::string& block, const std::string& more = {}) {
    return bounded(Api::bedrock_converse, R"("messages":[{"role":"user","content":[)" + block + "]}]" + more);
  };
  CHECK(converse(R"({"text":"x"})"));
  CHECK_FALSE(converse(R"({"document":{"format":"pdf","name":"d","source":{"s3Location":{"uri":"s3://b/k"}}}})"));
  CHECK_FALSE(converse(R"({"video":{"format":"mp4","source":{"bytes":"AAAA"}}})"));
  CHECK(converse(R"({"image":{"format":"png","source":{"bytes":"AAAA"}}})"));
  CHECK_FALSE(converse(R"({"text":"x"})", R"(,"toolConfig":{"tools":[{"systemTool":{"name":"nova_grounding"}}]})"));
  CHECK_FALSE(converse(R"({"text":"x"})",
                       R"(,"additionalModelRequestFields":{"tools":[{"type":"web_search_20250305","name":"w"}]})"));

  CHECK(bounded(Api::gemini, R"("input":"x","tools":[{"type":"function","name":"f","parameters":{}}])"));
  CHECK_FALSE(bounded(Api::gemini, R"("input":"x","tools":[{"type":"google_search"}])"));
}

TEST_CASE("request: documents, sound and what is sealed count as what they are", "[json][request]") {
  const auto request = [](Api api, const std::string& part) {
    const std::string text = api == Api::gemini ? R"({"contents":[{"parts":[)" + part + "]}]}"
                                                : R"({"messages":[{"role":"user","content":[)" + part + "]}]}";
    return GuardedRequest(api, text, {.model = "m"});
  };
  const auto upper = [](const GuardedRequest& guarded) { return *guarded.call_request().input_tokens; };
  std::string plain;
  for (int i = 0; i < 1'000; ++i) plain += "a b ";
  const std::string text_as_base64 = [] {
    std::string all;
    for (int i = 0; i < 500; ++i) all += "YSBiIGMgZCBlIGYg";  // "a b c d e f "
    return all;
  }();
  const GuardedRequest converse =
      request(Api::bedrock_converse,
              R"({"document":{"format":"txt","name":"d","source":{"bytes":")" + text_as_base64 + R"("}}})");
  CHECK(converse.input_bounded());
  CHECK(upper(converse) >= 3'000);
  const GuardedRequest gemini =
      request(Api::gemini, R"({"inlineData":{"mimeType":"text/csv","data":")" + text_as_base64 + R"("}})");
  CHECK(gemini.input_bounded());
  CHECK(upper(gemini) >= 3'000);
  const GuardedRequest address = request(
      Api::openai_chat, R"({"type":"file","file":{"file_data":"data:text/plain;base64,)" + text_as_base64 + R"("}})");
  CHECK(address.input_bounded());
  CHECK(upper(address) >= 3'000);
  // Mail and tools break it into lines, some without the padding. What stops in between is bounded by its length.
  std::string broken, stopped = text_as_base64;
  for (std::size_t at = 0; at < text_as_base64.size(); at += 76) broken += text_as_base64.substr(at, 76) + "\\r\\n";
  stopped.insert(4, "=");
  for (const std::string& data : {broken, " " + text_as_base64, stopped, "*" + text_as_base64}) {
    const GuardedRequest lines =
        request(Api::gemini, R"({"inlineData":{"mimeType":"text/plain","data":")" + data + R"("}})");
    CHECK(lines.input_bounded());
    CHECK(upper(lines) >= 3'000);
  }
  const GuardedRequest document =
      request(Api::anthropic_messages,
              R"({"type":"document","source":{"type":"text","media_type":"text/plain","data":")" + plain + R"("}})");
  CHECK(document.input_bounded());
  CHECK(upper(document) >= 2'000);

  // Nothing bounds what a page or a compressed second has. It was taken for one image.
  const std::string blob(400'000, 'A');
  for (const GuardedRequest& guarded :
       {request(Api::anthropic_messages,
                R"({"type":"document","source":{"type":"base64","media_type":"application/pdf","data":")" + blob +
                    R"("}})"),
        request(Api::bedrock_converse,
                R"({"document":{"format":"pdf","name":"d","source":{"bytes":")" + blob + R"("}}})")}) {
    CHECK_FALSE(guarded.input_bounded());
    CHECK(upper(guarded) > 70'000);
  }
  CHECK_FALSE(
      request(Api::openai_chat, R"({"type":"input_audio","input_audio":{"format":"mp3","data":")" + blob + R"("}})")
          .input_bounded());
  CHECK(request(Api::openai_chat, R"({"type":"input_audio","input_audio":{"format":"wav","data":")" + blob + R"("}})")
            .input_bounded());

  // What a model thought is read again, though only its provider can read it here.
  const std::string sealed = R"({"model":"m","input":[{"type":"reasoning","summary":[],"encrypted_content":")";
  const auto responses = [&](std::size_t size) {
    return upper(GuardedRequest(Api::openai_responses, sealed + std::string(size, 'A') + R"("}]})", {}));
  };
  CHECK(responses(6'000) >= responses(0) + 1'500);
  CHECK(responses(6'000) <= responses(0) + 4'500);
}

TEST_CASE("request: what an open model's template writes by itself counts", "[json][request]") {
  const auto upper = [](const std::string& model) {
    return *GuardedRequest(Api::openai_compatible,
                           R"({"model":")" + model + R"(","messages":[{"role":"user","content":"hi"}]})", {})
                .call_request()
                .input_tokens;
  };
  // Of which the system message that the model was trained with has 65.
  CHECK(upper("openai/gpt-oss-120b") >= 72);
  CHECK(upper("llama-3.3-70b-versatile") >= 36);
  CHECK(upper("gpt-4.1") < 20);
}

TEST_CASE("request: schemas and tools count wherever a format has them", "[json][request]") {
  const auto upper = [](Api api, const std::string& members) {
    return *GuardedRequest(api, "{" + members + "}", {.model = "m"}).call_request().input_tokens;
  };
  const std::string schema = R"({"type":"object","properties":{"city":{"type":"string"},"country":{"type":"string"}}})";
  const std::string quoted = json::serialize(json::value(schema));
  const std::string converse = R"("messages":[])", contents = R"("contents":[])";
  CHECK(upper(Api::bedrock_converse,
              converse + R"(,"outputConfig":{"textFormat":{"structure":{"jsonSchema":{"schema":)" + quoted + "}}}}") >=
        upper(Api::bedrock_converse, converse) + 30);
  CHECK(upper(Api::gemini, contents + R"(,"generationConfig":{"response_json_schema":)" + schema + "}") >=
        upper(Api::gemini, contents) + 20);
  CHECK(upper(Api::gemini, R"("input":"x","response_format":)" + schema) >= upper(Api::gemini, R"("input":"x")") + 20);
  CHECK(upper(Api::openai_compatible, R"("prompt":"x","suffix":"one two three four")") >=
        upper(Api::openai_compatible, R"("prompt":"x")") + 4);
  CHECK(upper(Api::openai_compatible, R"("messages":[],"documents":[{"text":"one two three four"}])") >=
        upper(Api::openai_compatible, R"("messages":[])") + 4);
  CHECK(upper(Api::ollama_generate, R"("prompt":"x","context":[1,2,3,4,5,6])") ==
        upper(Api::ollama_generate, R"("prompt":"x")") + 6);
}

TEST_CASE("request: searches that the request bounds are asked for", "[json][request]") {
  const auto searches = [](Api api, const char* request) {
    const json::value value = json::parse(request);
    const GuardOptions options{.model = "m"};
    return GuardedRequest(api, value.as_object(), options).call_request().web_searches;
  };
  CHECK(searches(Api::anthropic_messages,
                 R"({"max_tokens":9,"messages":[],"tools":[{"type":"web_search_20250305","max_uses":5}]})") == 5);
  CHECK(searches(Api::anthropic_messages,
                 R"({"max_tokens":9,"messages":[],"tools":[{"type":"web_search_20250305"}]})") == 1);
  CHECK(searches(Api::anthropic_messages, R"({"max_tokens":9,"messages":[]})") == 0);
  CHECK(searches(Api::openai_responses, R"({"input":"x","tools":[{"type":"web_search"}],"max_tool_calls":3})") == 3);
  CHECK(searches(Api::openai_chat, R"({"messages":[],"web_search_options":{}})") == 1);
  CHECK(searches(Api::gemini, R"({"contents":[],"tools":[{"googleSearch":{}}]})") == 1);
  CHECK(searches(Api::openai_compatible, R"({"model":"sonar","messages":[]})") == 1);
  CHECK(searches(Api::openrouter_chat, R"({"model":"perplexity/sonar-pro","messages":[]})") == 1);
  CHECK(searches(Api::openai_compatible, R"({"model":"qwen-plus","messages":[],"enable_search":true})") == 1);
  CHECK(searches(Api::xai_chat, R"({"messages":[],"search_parameters":{"max_search_results":5}})") == 5);
  CHECK(searches(Api::xai_chat, R"({"messages":[],"search_parameters":{"mode":"off"}})") == 0);
}

TEST_CASE("request: legacy completions are answered once for each prompt", "[json][request]") {
  const json::value request = json::parse(R"({"model":"m","prompt":["a","b","c"],"n":2,"max_tokens":10})");
  CHECK(GuardedRequest(Api::openai_compatible, request.as_object()).call_request().choices == 6);
  const json::value ids = json::parse(R"({"model":"m","prompt":[1,2,3],"max_tokens":10})");
  CHECK(GuardedRequest(Api::openai_compatible, ids.as_object()).call_request().choices == 1);
}
