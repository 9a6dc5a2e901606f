// What hosts add to the formats that they speak, where it bears on the bill.
#include <algorithm>
#include <boost/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "outlay/json.hpp"
#include "outlay/testing.hpp"
#include "support/catch.hpp"

namespace json = boost::json;
using namespace outlay;
using namespace outlay::literals;

namespace {

ReplyUsage usage_of(Api api, const std::string& reply) { return read_usage(api, json::parse(reply)); }

errc refusal_of(Api api, const std::string& reply) {
  try {
    static_cast<void>(usage_of(api, reply));
  } catch (const Error& error) {
    return error.reason();
  }
  return errc::ok;
}

StreamMeter meter_of(Api api, const std::string& bytes, StreamMeterOptions options = {}) {
  StreamMeter meter(api, options);
  meter.feed(bytes);
  meter.finish();
  return meter;
}

// One event; its JSON on one line.
std::string chunk(std::string json) {
  std::replace(json.begin(), json.end(), '\n', ' ');
  return "data: " + json + "\n\n";
}
std::string piece(const std::string& text) {
  return chunk(R"({"model":"m","choices":[{"index":0,"delta":{"content":)" + json::serialize(json::value(text)) +
               R"(},"finish_reason":null}]})");
}
const std::string done = "data: [DONE]\n\n";

std::string chat(const std::string& model, const std::string& usage) {
  return R"({"model":")" + model +
         R"(","choices":[{"index":0,"finish_reason":"stop","message":{"content":"x"}}],"usage":)" + usage + "}";
}

}  // namespace

TEST_CASE("wire: Groq reports a stream's usage below x_groq", "[json][wire]") {
  const StreamMeter meter = meter_of(
      Api::openai_compatible,
      piece("Hello") +
          chunk(R"({"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":
            {"queue_time":0.07,"prompt_tokens":31,"prompt_time":0.01,"completion_tokens":17,"total_tokens":48,"total_time":0.1}}})") +
          done);
  CHECK(meter.usage() == Usage{.input = 31, .output = 17});
  CHECK_FALSE(meter.estimated());
  CHECK(meter.unread_member().empty());
}

TEST_CASE("wire: Moonshot reports usage below the choice, and what was cached beside the details", "[json][wire]") {
  const StreamMeter meter =
      meter_of(Api::openai_compatible,
               piece("Hello") + chunk(R"({"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop",
            "usage":{"prompt_tokens":500,"completion_tokens":7,"total_tokens":507,"cached_tokens":500}}]})") +
                   done);
  CHECK(meter.usage() == Usage{.cache_read = 500, .output = 7});
  CHECK_FALSE(meter.estimated());
  CHECK(usage_of(Api::openai_compatible, chat("m", R"({"prompt_tokens":19,"completion_tokens":21,"cached_tokens":10})"))
            .usage == Usage{.input = 9, .cache_read = 10, .output = 21});
}

TEST_CASE("wire: lives of a cache that add up to more than was written are doubted, the dearer read", "[json][wire]") {
  const auto read = [](const char* lives) {
    return read_usage(
        Api::anthropic_messages,
        json::parse(R"({"model":"claude-opus-4-6","content":[],"usage":{"input_tokens":1,"output_tokens":1,
        "cache_creation_input_tokens":100,"cache_creation":)" +
                    std::string(lives) + "}}"));
  };
  const ReplyUsage more = read(R"({"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":100})");
  CHECK(more.doubtful);
  CHECK(more.usage == Usage{.input = 1, .cache_write = 100, .cache_write_1h = 100, .output = 1});
  CHECK_FALSE(read(R"({"ephemeral_5m_input_tokens":40,"ephemeral_1h_input_tokens":60})").doubtful);
}

TEST_CASE("wire: usages of several choices are added up, and the prompt counts once", "[json][wire]") {
  const auto end = [](int index, const char* usage) {
    return R"({"choices":[{"index":)" + std::to_string(index) + R"(,"delta":{},"finish_reason":"stop","usage":)" +
           usage + "}]}";
  };
  const std::string first =
      end(0, R"({"prompt_tokens":19,"completion_tokens":13,"total_tokens":32,"cached_tokens":10})");
  const std::string second = end(1, R"({"prompt_tokens":19,"completion_tokens":40,"total_tokens":59})");
  const std::string nothing = end(1, R"({"prompt_tokens":19,"completion_tokens":0,"total_tokens":0})");
  const auto streamed = [](const std::vector<std::string>& events) {
    StreamMeter meter(Api::openai_compatible);
    for (const std::string& event : events) meter.feed("data: " + event + "\n\n");
    meter.feed("data: [DONE]\n\n");
    meter.finish();
    CHECK_FALSE(meter.estimated());
    return meter.usage();
  };
  const Usage both{.input = 9, .cache_read = 10, .output = 53};
  CHECK(streamed({first, second}) == both);
  CHECK(streamed({second, first}) == both);
  CHECK(streamed({first, first, second}) == both);
  CHECK(streamed({first, second, nothing}) == both);
  CHECK(streamed({first, nothing}) == Usage{.input = 9, .cache_read = 10, .output = 13});
  // One for all of them says so last.
  CHECK(streamed({first, second,
                  R"({"choices":[],"usage":{"prompt_tokens":19,"completion_tokens":53,"total_tokens":72}})"}) == both);
  const std::string whole = R"({"choices":[{"index":0,"finish_reason":"stop","message":{"content":"a"},
      "usage":{"prompt_tokens":19,"completion_tokens":40,"total_tokens":59}},{"index":1,"finish_reason":"stop",
      "message":{"content":"b"},"usage":{"prompt_tokens":19,"completion_tokens":13,"total_tokens":32}}]})";
  CHECK(read_usage(Api::openai_compatible, json::parse(whole)).usage == Usage{.input = 19, .output = 53});
}

TEST_CASE("wire: a usage beside the choices is not erased by one within a choice, wherever it stands", "[json][wire]") {
  const auto reply = [](const std::string& first, const std::string& second, bool before) {
    const auto choice = [](int index, const std::string& usage) {
      return R"({"index":)" + std::to_string(index) + R"(,"finish_reason":"stop","message":{"content":"a"})" +
             (usage.empty() ? "" : R"(,"usage":)" + usage) + "}";
    };
    const std::string root =
        R"("usage":{"prompt_tokens":10,"completion_tokens":500,"total_tokens":510,"completion_tokens_details":{"reasoning_tokens":90}})";
    const std::string choices = R"("choices":[)" + choice(0, first) + "," + choice(1, second) + "]";
    return "{" + (before ? root + "," + choices : choices + "," + root) + "}";
  };
  const Usage all{.input = 10, .output = 500, .reasoning = 90};
  for (const bool before : {true, false})
    for (const auto& [first, second] : std::vector<std::pair<std::string, std::string>>{
             {"{}", ""},
             {"{}", "{}"},
             {R"({"prompt_tokens":10})", ""},
             {R"({"prompt_tokens":10,"completion_tokens":0,"total_tokens":10})", ""},
             {R"({"prompt_tokens":10,"completion_tokens":100,"total_tokens":110})", ""},
             {"", R"({"prompt_tokens":10,"completion_tokens":100})"},
             {R"({"completion_tokens":100})", R"({"completion_tokens":400})"}}) {
      INFO(first << " " << second << " " << before);
      CHECK(usage_of(Api::openai_compatible, reply(first, second, before)).usage == all);
      CHECK(meter_of(Api::openai_compatible, chunk(reply(first, second, before)) + done).usage() == all);
    }
  // What an earlier event has said stays where the choice says nothing of it.
  CHECK(
      meter_of(
          Api::openai_compatible,
          chunk(
              R"({"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":10,"completion_tokens":500}})") +
              chunk(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{}}]})") + done)
          .usage() == Usage{.input = 10, .output = 500});
}

TEST_CASE("wire: what was written to a cache is read under every host's name, once", "[json][wire]") {
  for (
      const char* const usage : {
          R"({"prompt_tokens":900,"completion_tokens":10,"prompt_tokens_details":{"cache_creation_input_tokens":400,"cached_tokens":300,"cache_type":"ephemeral"}})",
          R"({"prompt_tokens":900,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":300,"cache_creation_tokens":400},"cache_creation_input_tokens":400,"cache_read_input_tokens":300})",
          R"({"cache_read_input_tokens":300,"cache_creation_input_tokens":400,"completion_tokens":10,"prompt_tokens":900})",
          R"({"prompt_tokens":900,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":300,"cache_write_tokens":400}})",
          R"({"prompt_tokens":900,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":0},"cached_tokens":300,"cache_creation":{"ephemeral_5m_input_tokens":400}})",
      }) {
    INFO(usage);
    const ReplyUsage reading = usage_of(Api::openai_compatible, chat("m", usage));
    CHECK(reading.usage == Usage{.input = 200, .cache_read = 300, .cache_write = 400, .output = 10});
    CHECK_FALSE(reading.doubtful);
    CHECK(reading.unread_member.empty());
  }
  const ReplyUsage longer =
      usage_of(Api::openai_compatible,
               chat("m", R"({"prompt_tokens":900,"completion_tokens":10,"cache_creation_input_tokens":400,
                    "cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":300}})"));
  CHECK(longer.usage == Usage{.input = 500, .cache_write = 100, .cache_write_1h = 300, .output = 10});
}

TEST_CASE("wire: buckets never add up to more than the prompt", "[json][wire]") {
  const ReplyUsage reading =
      usage_of(Api::openrouter_chat, chat("m", R"({"prompt_tokens":500,"completion_tokens":10,"cost":0.0001,
                    "prompt_tokens_details":{"cached_tokens":490,"cache_write_tokens":490}})"));
  CHECK(reading.usage.input_total() == 500);
  CHECK(reading.usage.cache_write == 490);
  CHECK(reading.doubtful);
}

TEST_CASE("wire: a cost by the provider is a number or an object, and with a key of the caller's own a sum",
          "[json][wire]") {
  const auto cost = [](const char* members) {
    return usage_of(Api::openai_compatible,
                    chat("m", R"({"prompt_tokens":7,"completion_tokens":9,)" + std::string(members) + "}"))
        .provider_cost;
  };
  CHECK(cost(R"("cost":0.0125)") == 0.0125_usd);
  CHECK(cost(R"("cost":{"input_tokens_cost":0.001,"request_cost":0.006,"total_cost":0.007})") == 0.007_usd);
  CHECK(cost(R"("estimated_cost":0.002)") == 0.002_usd);
  CHECK(cost(R"("is_byok":true,"cost":0,"cost_details":{"upstream_inference_cost":0.003})") == 0.003_usd);
  CHECK(cost(R"("cost_details":{"upstream_inference_cost":0.003},"cost":0.0001,"is_byok":true)") == 0.0031_usd);
  CHECK(
      cost(
          R"("cost":0,"is_byok":true,"cost_details":{"upstream_inference_prompt_cost":0.001,"upstream_inference_completions_cost":0.002})") ==
      0.003_usd);
  CHECK(cost(R"("cost":0.002,"is_byok":false,"cost_details":{"upstream_inference_cost":0.003})") == 0.002_usd);
  CHECK(cost(R"("cost":0,"is_byok":true)") == std::nullopt);  // what the provider behind it charged is not known
}

TEST_CASE("wire: Perplexity bills citations, searches and reasoning beside its totals", "[json][wire]") {
  const ReplyUsage deep =
      usage_of(Api::openai_compatible,
               chat("sonar-deep-research",
                    R"({"prompt_tokens":100,"completion_tokens":300,"total_tokens":400,"citation_tokens":700,
                                      "num_search_queries":7,"reasoning_tokens":200})"));
  CHECK(deep.usage == Usage{.input = 800, .output = 500, .reasoning = 200, .web_searches = 7});
  CHECK_FALSE(deep.doubtful);
  const ReplyUsage plain =
      usage_of(Api::openai_compatible,
               chat("sonar", R"({"prompt_tokens":8,"completion_tokens":9,"search_context_size":"low"})"));
  CHECK(plain.usage == Usage{.input = 8, .output = 9, .web_searches = 1});
}

TEST_CASE("wire: in a stream only what is new is text", "[json][wire]") {
  const auto both = [](const char* whole, const char* delta, const char* finish) {
    return chunk(R"({"model":"sonar","choices":[{"index":0,"finish_reason":)" + std::string(finish) +
                 R"(,"message":{"role":"assistant","content":")" + whole + R"("},"delta":{"content":")" + delta +
                 R"("}}]})");
  };
  struct Text final : StreamConsumer {
    std::string text;
    void on_delta(const StreamDelta& delta) override { text += delta.text; }
  } seen;
  StreamMeter meter(Api::openai_compatible);
  meter.feed(both("Rain", "Rain", "null") + both("Rain falls.", " falls.", "null"), seen);
  // The last event of some hosts has no delta any more.
  meter.feed(chunk(R"({"choices":[{"index":0,"finish_reason":"stop","message":{"content":"Rain falls."}}]})"), seen);
  meter.finish();
  CHECK(seen.text == "Rain falls.");
  CHECK(meter.counted_output() == built_in_tokenizer().upper("Rain falls."));
}

TEST_CASE("wire: a later zero never replaces a count", "[json][wire]") {
  const StreamMeter meter = meter_of(
      Api::anthropic_messages,
      chunk(
          R"({"type":"message_start","message":{"model":"c","usage":{"input_tokens":700,"cache_read_input_tokens":50,"output_tokens":1}}})") +
          chunk(
              R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":0,"cache_read_input_tokens":0,"output_tokens":9}})") +
          chunk(R"({"type":"message_stop"})"));
  CHECK(meter.usage() == Usage{.input = 700, .cache_read = 50, .output = 9});
  CHECK_FALSE(meter.estimated());
  const StreamMeter chat_meter = meter_of(
      Api::openai_compatible,
      piece("Hi") + chunk(R"({"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":5,"total_tokens":45}})") +
          chunk(
              R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}})") +
          done);
  CHECK(chat_meter.usage() == Usage{.input = 40, .output = 5});
}

TEST_CASE("wire: what one of three counts leaves out, the other two say", "[json][wire]") {
  CHECK(usage_of(Api::openai_embeddings, R"({"data":[{}],"usage":{"total_tokens":7}})").usage == Usage{.input = 7});
  CHECK(usage_of(Api::openai_compatible, chat("m", R"({"prompt_tokens":5,"total_tokens":12})")).usage ==
        Usage{.input = 5, .output = 7});
  CHECK(usage_of(Api::openai_compatible, chat("m", R"({"completion_tokens":5,"total_tokens":12})")).usage ==
        Usage{.input = 7, .output = 5});
  const ReplyUsage total = usage_of(Api::openai_compatible, chat("m", R"({"total_tokens":12})"));
  CHECK(total.usage == Usage{.input = 12});
  CHECK(total.doubtful);
}

TEST_CASE("wire: what a total has beyond its parts was generated", "[json][wire]") {
  const ReplyUsage thought =
      usage_of(Api::openai_compatible,
               chat("gemini-2.5-flash", R"({"prompt_tokens":20,"completion_tokens":30,"total_tokens":90})"));
  CHECK(thought.usage == Usage{.input = 20, .output = 70, .reasoning = 40});
  CHECK(thought.doubtful);
  // Cached tokens beside the prompt explain a total.
  CHECK(usage_of(Api::openai_compatible,
                 chat("m", R"({"prompt_tokens":20,"completion_tokens":30,"total_tokens":550,"cached_tokens":500})"))
            .usage == Usage{.input = 20, .cache_read = 500, .output = 30});
  CHECK(usage_of(Api::gemini,
                 R"({"usageMetadata":{"promptTokenCount":20,"candidatesTokenCount":30,"totalTokenCount":90}})")
            .usage == Usage{.input = 20, .output = 70, .reasoning = 40});
}

TEST_CASE("wire: read_usage says all that a reply says, and never an empty usage", "[json][wire]") {
  const ReplyUsage reading = usage_of(
      Api::openai_chat,
      R"({"model":"gpt-4o-2024-08-06","service_tier":"flex","choices":[{"finish_reason":"length","message":{"content":"x"}}],
               "usage":{"prompt_tokens":3,"completion_tokens":2,"cost":0.5}})");
  CHECK(reading.usage == Usage{.input = 3, .output = 2});
  CHECK(reading.model == "gpt-4o-2024-08-06");
  CHECK(reading.service_tier == "flex");
  CHECK(reading.finish == "length");
  CHECK(reading.provider_cost == 0.5_usd);
  CHECK_FALSE(reading.doubtful);
  CHECK(refusal_of(Api::openai_responses,
                   R"({"status":"queued","model":"m","usage":null,"tool_usage":{"web_search":{"num_requests":0}}})") ==
        errc::bad_reply);
  CHECK(refusal_of(Api::openai_responses, R"({"status":"completed","model":"m","output":[]})") == errc::bad_reply);
  CHECK(refusal_of(Api::openai_chat, chat("m", R"({"prompt_tokens":0,"completion_tokens":0,"total_tokens":0})")) ==
        errc::bad_reply);
}

TEST_CASE("wire: counts from outside are added up without a fault", "[json][wire]") {
  const std::string huge = "9223372036854775807";
  CHECK(
      refusal_of(
          Api::gemini,
          R"({"usageMetadata":{"promptTokenCount":5,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":1},{"modality":"AUDIO","tokenCount":)" +
              huge + "}]}}") == errc::invalid_usage);
  CHECK(
      refusal_of(
          Api::gemini,
          R"({"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2000000000,"thoughtsTokenCount":2000000000}})") ==
      errc::invalid_usage);
  CHECK(
      refusal_of(
          Api::anthropic_messages,
          R"({"model":"c","usage":{"input_tokens":1,"output_tokens":1,"iterations":[{"type":"compaction","input_tokens":-4000}]}})") ==
      errc::invalid_usage);
  CHECK(refusal_of(Api::openai_chat, chat("m", R"({"prompt_tokens":"12","completion_tokens":2})")) ==
        errc::invalid_usage);
  const StreamMeter meter =
      meter_of(Api::gemini, chunk(R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],
        "usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2000000000,"thoughtsTokenCount":2000000000}})"));
  CHECK(meter.estimated());
  CHECK(meter.invalid_member() == "output");
  CHECK(meter.usage().output == meter.counted_output());
}

TEST_CASE("wire: whole numbers of any JSON kind are read", "[json][wire]") {
  json::value reply = json::parse(chat("m", "{}"));
  reply.at("usage").as_object() = {{"prompt_tokens", std::uint64_t{12}}, {"completion_tokens", 3.0}};
  CHECK(read_usage(Api::openai_chat, reply).usage == Usage{.input = 12, .output = 3});
  for (const json::value& ceiling : {json::value(std::uint16_t{200}), json::value(200), json::value(200.0)}) {
    const json::object request{{"model", "gpt-4o"}, {"max_tokens", ceiling}, {"n", std::uint64_t{2}}};
    const GuardedRequest guarded(Api::openai_chat, request);
    CHECK(guarded.call_request().max_output_tokens == 200);
    CHECK(guarded.call_request().choices == 2);
  }
}

TEST_CASE("wire: a usage member that the library does not know is named", "[json][wire]") {
  const auto unread = [](const std::string& usage) {
    return usage_of(Api::openai_chat, chat("m", usage)).unread_member;
  };
  CHECK(unread(R"({"prompt_tokens":3,"completion_tokens":2,"hologram_tokens":9})") == "hologram_tokens");
  CHECK(unread(R"({"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":{"smell_tokens":1}})") ==
        "smell_tokens");
  CHECK(unread(R"({"prompt_tokens":3,"completion_tokens":2,"holograms":{"count":[0,4]}})") == "holograms");
  CHECK(
      unread(
          R"({"prompt_tokens":3,"completion_tokens":2,"hologram_tokens":0,"holograms":null,"more":{"x":[],"y":false,"z":""}})")
          .empty());
  const StreamMeter meter =
      meter_of(Api::openai_chat,
               chunk(R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"hologram_tokens":9}})") + done);
  CHECK(meter.unread_member() == "hologram_tokens");
  CHECK(meter.usage() == Usage{.input = 3, .output = 2});
}

TEST_CASE("wire: an Anthropic call computed in one place or fast is priced so, in any order of members",
          "[json][wire]") {
  const auto tier = [](const char* members) {
    return usage_of(Api::anthropic_messages, R"({"model":"claude-opus-4-8","usage":{)" + std::string(members) +
                                                 R"("input_tokens":10,"output_tokens":5}})")
        .service_tier;
  };
  CHECK(tier(R"("service_tier":"standard","inference_geo":"us",)") == "us");
  CHECK(tier(R"("service_tier":"standard","inference_geo":"global",)") == "standard");
  CHECK(tier(R"("inference_geo":"not_available",)").empty());
  CHECK(tier(R"("speed":"fast","inference_geo":"us","service_tier":"standard",)") == "fast+us");
  CHECK(tier(R"("service_tier":"batch","inference_geo":"us",)") == "batch+us");
  CHECK(tier(R"("speed":"fast","iterations":[{"type":"message","input_tokens":10,"output_tokens":5}],)") == "fast");
  CHECK(tier(R"("iterations":[{"type":"message","input_tokens":10,"output_tokens":5}],"speed":"fast",)") == "fast");
}

TEST_CASE("wire: passes of other models are parts of their own", "[json][wire]") {
  const ReplyUsage advised = usage_of(
      Api::anthropic_messages,
      R"({"model":"claude-sonnet-4-6","usage":{"input_tokens":2,"output_tokens":60,"cache_read_input_tokens":300,"cache_creation_input_tokens":40,
          "iterations":[{"type":"message","input_tokens":1,"output_tokens":20,"cache_read_input_tokens":100},
                        {"type":"advisor_message","model":"claude-opus-4-7","input_tokens":1000,"output_tokens":90},
                        {"type":"message","input_tokens":1,"output_tokens":40,"cache_read_input_tokens":200,"cache_creation_input_tokens":40}]}})");
  CHECK(advised.usage == Usage{.input = 1'002, .cache_read = 300, .cache_write = 40, .output = 150});
  CHECK(advised.parts == std::vector<UsagePart>{{"claude-opus-4-7", {.input = 1'000, .output = 90}}});

  // The one that declined is beside the totals of the one that answered.
  const ReplyUsage fallen_back = usage_of(Api::anthropic_messages,
                                          R"({"model":"claude-sonnet-5","usage":{"input_tokens":50,"output_tokens":6,
          "iterations":[{"type":"message","model":"claude-opus-5","input_tokens":50,"output_tokens":3},
                        {"type":"fallback_message","model":"claude-sonnet-5","input_tokens":50,"output_tokens":6}]}})");
  CHECK(fallen_back.usage == Usage{.input = 100, .output = 9});
  CHECK(fallen_back.parts == std::vector<UsagePart>{{"claude-opus-5", {.input = 50, .output = 3}}});

  const ReplyUsage drawn = usage_of(
      Api::openai_responses,
      R"({"status":"completed","model":"gpt-5","tools":[{"type":"image_generation","model":"gpt-image-1-mini"}],
          "usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15},
          "tool_usage":{"image_gen":{"input_tokens":30,"output_tokens":400,"input_tokens_details":{"image_tokens":0,"text_tokens":30}}}})");
  CHECK(drawn.usage == Usage{.input = 40, .output = 405, .output_image = 400});
  CHECK(drawn.parts == std::vector<UsagePart>{{"gpt-image-1-mini", {.input = 30, .output = 400, .output_image = 400}}});
}

TEST_CASE("wire: tools that are billed by use are counted", "[json][wire]") {
  const ReplyUsage reading = usage_of(Api::openai_responses,
                                      R"({"status":"completed","model":"gpt-5","output":[
            {"type":"web_search_call","action":{"type":"search"}},{"type":"web_search_call","action":{"type":"open_page"}},
            {"type":"file_search_call"},{"type":"file_search_call"},{"type":"image_generation_call"},
            {"type":"code_interpreter_call","container_id":"c1"},{"type":"code_interpreter_call","container_id":"c1"},
            {"type":"code_interpreter_call","container_id":"c2"}],
          "usage":{"input_tokens":10,"output_tokens":5}})");
  CHECK(reading.usage ==
        Usage{.input = 10, .output = 5, .web_searches = 1, .file_searches = 2, .code_sessions = 2, .other_tools = 1});
  CHECK(usage_of(Api::xai_chat, chat("grok-4.5", R"({"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,
          "server_side_tool_usage_details":{"web_search_calls":2,"x_search_calls":1,"code_interpreter_calls":1,"file_search_calls":3,"mcp_calls":9}})"))
            .usage ==
        Usage{.input = 3, .output = 2, .web_searches = 2, .file_searches = 3, .code_sessions = 1, .other_tools = 1});
}

TEST_CASE("wire: Gemini counts a query once, whichever answer asked it, and an empty one never", "[json][wire]") {
  const auto searches = [](const char* model, const char* queries) {
    return usage_of(Api::gemini,
                    R"({"candidates":[)" + std::string(queries) + R"(],"modelVersion":")" + model +
                        R"(","usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":9,"totalTokenCount":19}})")
        .usage.web_searches;
  };
  const char* const twice = R"({"groundingMetadata":{"webSearchQueries":["a","b","a",""]}})";
  const char* const two_answers =
      R"({"index":0,"groundingMetadata":{"webSearchQueries":["a","b"]}},{"index":1,"groundingMetadata":{"webSearchQueries":["c","a"]}})";
  CHECK(searches("gemini-3-flash-preview", twice) == 2);
  CHECK(searches("gemini-3-flash-preview", two_answers) == 3);
  CHECK(searches("gemini-2.5-flash", two_answers) == 1);
  CHECK(searches("gemini-2.5-flash", R"({"groundingMetadata":{"webSearchQueries":[""]}})") == 0);
}

TEST_CASE("wire: Gemini's thoughts are inside the candidates where the total says so", "[json][wire]") {
  CHECK(
      usage_of(
          Api::gemini,
          R"({"usageMetadata":{"promptTokenCount":64,"candidatesTokenCount":93,"totalTokenCount":157,"thoughtsTokenCount":80}})")
          .usage == Usage{.input = 64, .output = 93, .reasoning = 80});
  CHECK(
      usage_of(
          Api::gemini,
          R"({"usageMetadata":{"promptTokenCount":64,"candidatesTokenCount":93,"totalTokenCount":237,"thoughtsTokenCount":80}})")
          .usage == Usage{.input = 64, .output = 173, .reasoning = 80});
}

TEST_CASE("wire: enumerators may be integers", "[json][wire]") {
  const StreamMeter meter = meter_of(
      Api::gemini,
      R"([{"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":1}],"modelVersion":"gemini-2.5-flash",
          "usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":1,"totalTokenCount":12,"trafficType":4,
                           "promptTokensDetails":[{"modality":4,"tokenCount":10},{"modality":1,"tokenCount":1}]}}])");
  CHECK(meter.complete());
  CHECK_FALSE(meter.estimated());
  CHECK(meter.usage() == Usage{.input = 11, .output = 1, .input_audio = 10});
  CHECK(meter.service_tier() == "flex");
  const StreamMeter unspecified =
      meter_of(Api::gemini, chunk(R"({"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":0}]})"));
  CHECK_FALSE(unspecified.complete());
}

TEST_CASE("wire: an array that breaks off is torn, and its numbers are not believed", "[json][wire]") {
  const std::string first = R"([{"candidates":[{"content":{"parts":[{"text":"a"}]},"index":0}],
    "usageMetadata":{"promptTokenCount":32,"totalTokenCount":74,"thoughtsTokenCount":42}})";
  const std::string second =
      R"(,{"candidates":[{"content":{"parts":[{"text":"and more"}]},"finishReason":"STOP","index":0}],
    "usageMetadata":{"promptTokenCount":32,"candidatesTokenCount":5)";  // or 57
  for (const std::string& bytes : {first, first + second, first + second + "7", first + second + "7,"}) {
    const StreamMeter meter = meter_of(Api::gemini, bytes);
    INFO(bytes);
    CHECK(meter.estimated());
    CHECK_FALSE(meter.complete());
    CHECK(meter.usage().output >= 42);
    CHECK(meter.usage().output != 47);
  }
}

TEST_CASE("wire: an answer that is whole stays complete where the usage behind it is torn", "[json][wire]") {
  const std::string answer =
      chunk(R"({"choices":[{"index":0,"delta":{"content":"It rains."},"finish_reason":"stop"}]})");
  const StreamMeter meter =
      meter_of(Api::openai_chat, answer + R"(data: {"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":5)");
  CHECK(meter.complete());
  CHECK(meter.estimated());
  CHECK(meter.usage().output == meter.counted_output());
}

TEST_CASE("wire: an error that follows a stream as it is, is seen", "[json][wire]") {
  const std::string event = chunk(
      R"({"candidates":[{"content":{"parts":[{"text":"Hello"}]},"index":0}],"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":1,"totalTokenCount":13}})");
  const std::string error =
      "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"busy\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n";
  for (const std::string& bytes : {event + error, event + error + "\n", event + error.substr(0, error.size() - 1)}) {
    for (std::size_t cut = event.size(); cut <= bytes.size(); cut += 7) {
      StreamMeter meter(Api::gemini);
      meter.feed(bytes.substr(0, cut));
      meter.feed(bytes.substr(cut));
      meter.finish();
      REQUIRE(meter.error());
      CHECK(meter.error()->status == 503);
      CHECK_FALSE(meter.complete());
    }
  }
}

TEST_CASE("wire: an error's name does not depend on the order of its members", "[json][wire]") {
  for (const char* const error : {R"({"error":{"type":"tokens","code":"rate_limit_exceeded"}})",
                                  R"({"error":{"code":"rate_limit_exceeded","type":"tokens"}})"}) {
    const StreamMeter meter = meter_of(Api::openai_chat, error);
    REQUIRE(meter.error());
    CHECK(meter.error()->code == "tokens");
  }
}

TEST_CASE("wire: without a report text is counted joined, and not above the ceiling", "[json][wire]") {
  const std::string sentence = "In the bustling city of Detroit, a sleek, metallic blue sedan rolled off the line.";
  std::string bytes;
  for (std::size_t i = 0; i < sentence.size(); i += 3) bytes += piece(sentence.substr(i, 3));
  bytes += chunk(R"({"choices":[{"index":0,"delta":{},"finish_reason":"length"}]})") + done;
  const StreamMeter joined = meter_of(Api::openai_chat, bytes);
  CHECK(joined.estimated());
  CHECK(joined.counted_output() == built_in_tokenizer().upper(sentence));
  const StreamMeter bounded = meter_of(Api::openai_chat, bytes, {.max_output_tokens = 16});
  CHECK(bounded.counted_output() == 16);
  CHECK(bounded.usage().output == 16);

  Ledger ledger({.prices = testing::fixture_prices()});
  LedgerScope scope(ledger);
  const json::object request{
      {"model", "gpt-4o"}, {"max_completion_tokens", 16}, {"stream", true}, {"messages", json::array{}}};
  GuardedCall call(Api::openai_chat, request);
  Stream stream = call.stream();
  stream.feed(bytes);
  const Settled settled = stream.finish();
  CHECK(settled.usage.output == 16);
  CHECK(settled.status == RecordStatus::estimated);
}

TEST_CASE("wire: a reported count above the ceiling stays as it is", "[json][wire]") {
  const StreamMeter meter =
      meter_of(Api::openai_chat,
               piece("Hello") + chunk(R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":20}})") + done,
               {.max_output_tokens = 16});
  CHECK(meter.usage().output == 20);
}

TEST_CASE("wire: Cohere's first version and Gemini's interactions are read", "[json][wire]") {
  CHECK(
      usage_of(
          Api::cohere_chat,
          R"({"text":"x","meta":{"billed_units":{"input_tokens":4,"output_tokens":6},"tokens":{"input_tokens":40,"output_tokens":6}}})")
          .usage == Usage{.input = 4, .output = 6});
  const ReplyUsage counted =
      usage_of(Api::cohere_chat, R"({"usage":{"tokens":{"input_tokens":40,"output_tokens":6}}})");
  CHECK(counted.usage == Usage{.input = 40, .output = 6});
  CHECK(counted.doubtful);
  CHECK(usage_of(Api::gemini, R"({"model":"gemini-3-pro","status":"completed","outputs":[{"type":"text","text":"x"}],
          "usage":{"total_input_tokens":20,"total_cached_tokens":5,"total_output_tokens":7,"total_thought_tokens":3,"total_tokens":30}})")
            .usage == Usage{.input = 15, .cache_read = 5, .output = 10, .reasoning = 3});
}

TEST_CASE("wire: a reply that has a member nobody reads is counted, and logged once for each API", "[json][wire]") {
  std::vector<std::string> lines;
  set_log_handler([&](LogLevel, std::string_view text) {
    if (text.find("hologram_tokens") != std::string_view::npos) lines.emplace_back(text);
  });
  Ledger ledger({.prices = testing::fixture_prices()});
  LedgerScope scope(ledger);
  const json::object request{{"model", "gpt-4o"}, {"max_completion_tokens", 600}, {"messages", json::array{}}};
  const json::value reply =
      json::parse(chat("gpt-4o", R"({"prompt_tokens":3,"completion_tokens":2,"hologram_tokens":9})"));
  const auto answer = [&](const json::object&) { return json::value(reply); };
  for (int i = 0; i < 3; ++i) guard(Api::openai_chat, request, answer);
  guard(Api::openai_compatible, request, answer);
  set_log_handler({});
  CHECK(ledger.unread_usage() == 4);
  CHECK(lines.size() == 2);
}

TEST_CASE("wire: routes that pass a vendor's own body through are detected", "[json][api]") {
  const auto detect = [](const char* target, const json::value& body = nullptr) { return Api::detect(target, body); };
  const json::value claude = json::object{{"anthropic_version", "bedrock-2023-05-31"}};
  CHECK(detect("/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-5:rawPredict") ==
        Api::anthropic_messages);
  CHECK(detect("/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-5:streamRawPredict") ==
        Api::anthropic_messages);
  CHECK(detect("/v1/projects/p/locations/l/publishers/mistralai/models/m:rawPredict") == Api::mistral_chat);
  CHECK(detect("https://api.perplexity.ai/v1/sonar") == Api::openai_compatible);
  CHECK(detect("/model/us.anthropic.claude-sonnet-5/invoke") == Api::anthropic_messages);
  CHECK(detect("/model/arn/invoke-with-response-stream", claude) == Api::anthropic_messages);
  CHECK(detect("https://api.openai.com/v1/responses/compact") == Api::openai_responses);
  CHECK(detect("https://generativelanguage.googleapis.com/v1beta/interactions") == Api::gemini);
  CHECK(detect("https://api.cohere.com/v1/chat") == Api::cohere_chat);
  CHECK(detect("http://localhost:11434/api/embed") == Api::ollama_generate);
  CHECK(detect("https://api.openai.com/v1/completions") == Api::openai_chat);
  CHECK(detect("http://localhost:8000/v1/completions") == Api::openai_compatible);
  CHECK(detect("/openai/deployments/d/completions?api-version=1") == Api::azure_chat);
}

namespace {

struct Template {
  Api api;
  const char* reply;
};

// Replies that have nearly every member that is read.
const Template templates[] = {
    {Api::openai_compatible,
     R"({"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"content":"x"},"usage":{"prompt_tokens":5,"cached_tokens":1}}],
         "usage":{"prompt_tokens":50,"completion_tokens":20,"total_tokens":70,"citation_tokens":3,"num_search_queries":2,"reasoning_tokens":4,
         "prompt_tokens_details":{"cached_tokens":10,"cache_write_tokens":5,"audio_tokens":2,"image_tokens":3,"cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":4}},
         "completion_tokens_details":{"reasoning_tokens":6,"audio_tokens":1,"image_tokens":1},"cost":0.5,"is_byok":true,"cost_details":{"upstream_inference_cost":0.1}},
         "x_groq":{"usage":{"prompt_tokens":50,"completion_tokens":20}},"timings":{"cache_n":1,"prompt_n":4,"predicted_n":7}})"},
    {Api::xai_chat,
     R"({"model":"m","usage":{"prompt_tokens":50,"completion_tokens":20,"total_tokens":76,"completion_tokens_details":{"reasoning_tokens":6},
         "cost_in_usd_ticks":673000,"num_sources_used":3,"server_side_tool_usage_details":{"web_search_calls":2,"x_search_calls":1,"code_interpreter_calls":1,"file_search_calls":1}}})"},
    {Api::openai_responses,
     R"({"status":"completed","model":"m","output":[{"type":"web_search_call"},{"type":"file_search_call"}],
         "usage":{"input_tokens":50,"output_tokens":20,"total_tokens":70,"input_tokens_details":{"cached_tokens":10,"cache_write_tokens":9,"cache_write_tokens_details":{"ttl_30m_tokens":5,"ttl_12h_tokens":4}},
         "output_tokens_details":{"reasoning_tokens":6}},
         "tool_usage":{"web_search":{"num_requests":2},"image_gen":{"input_tokens":7,"output_tokens":8,"cached_tokens":1,"input_tokens_details":{"image_tokens":2}}}})"},
    {Api::anthropic_messages,
     R"({"model":"m","usage":{"input_tokens":50,"output_tokens":20,"cache_read_input_tokens":10,"cache_creation_input_tokens":9,
         "cache_creation":{"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":4},"output_tokens_details":{"thinking_tokens":6},
         "server_tool_use":{"web_search_requests":2,"code_execution_requests":1},
         "iterations":[{"type":"message","input_tokens":50,"output_tokens":20},{"type":"compaction","input_tokens":5,"output_tokens":2,"cache_read_input_tokens":1,"cache_creation_input_tokens":1},
                       {"type":"advisor_message","model":"n","input_tokens":5,"output_tokens":2,"cache_creation":{"ephemeral_1h_input_tokens":4}}]}})"},
    {Api::gemini,
     R"({"modelVersion":"m","candidates":[{"finishReason":1,"groundingMetadata":{"webSearchQueries":["a"],"groundingChunks":[{"maps":{}}]}}],
         "usageMetadata":{"promptTokenCount":50,"candidatesTokenCount":20,"totalTokenCount":80,"cachedContentTokenCount":10,"thoughtsTokenCount":6,"toolUsePromptTokenCount":4,
         "trafficType":1,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":9},{"modality":"IMAGE","tokenCount":8},{"modality":4,"tokenCount":1}],
         "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":2}],"candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":3}]}})"},
    {Api::bedrock_converse,
     R"({"usage":{"inputTokens":50,"outputTokens":20,"totalTokens":89,"cacheReadInputTokens":10,"cacheWriteInputTokens":9,
         "cacheDetails":[{"ttl":"1h","inputTokens":4},{"ttl":"5m","inputTokens":5}]}})"},
    {Api::cohere_chat,
     R"({"usage":{"billed_units":{"input_tokens":50,"output_tokens":20,"search_units":1},"tokens":{"input_tokens":60,"output_tokens":20}}})"},
    {Api::cohere_embed, R"({"embeddings":{},"meta":{"billed_units":{"input_tokens":50,"image_tokens":20}}})"},
    {Api::openai_embeddings, R"({"data":[],"usage":{"prompt_tokens":50,"total_tokens":50}})"},
    {Api::gemini_embeddings,
     R"({"embedding":{},"usageMetadata":{"promptTokenCount":50,"promptTokenDetails":[{"modality":"IMAGE","tokenCount":8}]}})"},
    {Api::ollama_chat, R"({"model":"m","done":true,"prompt_eval_count":50,"eval_count":20})"},
};

/// Every scalar of a value.
void collect(json::value& value, std::vector<json::value*>& scalars) {
  if (value.is_object())
    for (auto& member : value.get_object()) collect(member.value(), scalars);
  else if (value.is_array())
    for (json::value& inner : value.get_array()) collect(inner, scalars);
  else
    scalars.push_back(&value);
}

}  // namespace

TEST_CASE("wire: whatever stands in the members that are read, a usage is valid or refused", "[json][wire]") {
  Ledger ledger({.prices = testing::fixture_prices()});
  LedgerScope scope(ledger);
  const LogHandler before = set_log_handler([](LogLevel, std::string_view) {});
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const std::vector<json::value> hostile{json::value(-1),
                                         json::value(0),
                                         json::value(1),
                                         json::value(1'999'999'999),
                                         json::value(INT64_MAX),
                                         json::value(INT64_MIN),
                                         json::value(UINT64_MAX),
                                         json::value(1e300),
                                         json::value(-0.0),
                                         json::value(2.5),
                                         json::value(2'000'000'000.0),
                                         json::value(nullptr),
                                         json::value("x"),
                                         json::value(""),
                                         json::value(true),
                                         json::value(json::array{}),
                                         json::value(json::array{7}),
                                         json::value(json::object{{"total_cost", 1}})};
  const auto any = [&](std::size_t size) { return std::size_t{random()} % size; };
  for (const Template& one : templates) {
    for (int round = 0; round < 600; ++round) {
      json::value reply = json::parse(one.reply);
      std::vector<json::value*> scalars;
      collect(reply, scalars);
      // Without a change first: every template is a reply.
      for (std::size_t changes = round == 0 ? 0 : 1 + any(4); changes > 0; --changes)
        *scalars[any(scalars.size())] = hostile[any(hostile.size())];
      INFO(one.api.name() << ": " << json::serialize(reply));
      try {
        const ReplyUsage reading = read_usage(one.api, reply);
        REQUIRE(reading.usage.first_invalid() == nullptr);
        REQUIRE(reading.usage != Usage{});
        for (const UsagePart& part : reading.parts) REQUIRE(part.usage.first_invalid() == nullptr);
        if (round == 0) REQUIRE(reading.unread_member.empty());
      } catch (const Error& error) {
        REQUIRE(round != 0);
        REQUIRE((error.reason() == errc::invalid_usage || error.reason() == errc::bad_reply));
      }
      const json::object request{{"model", "gpt-4o"}, {"max_tokens", 100}};
      GuardedCall call(one.api, request, {.model = "gpt-4o"});
      call.sent();
      try {
        static_cast<void>(call.reply(reply));
      } catch (const Error& error) {
        REQUIRE(error.reason() == errc::bad_reply);
      }
      REQUIRE_FALSE(call.call().open());
      // A meter makes of the text what the reader makes of the value.
      StreamMeter meter(one.api);
      meter.feed(json::serialize(reply));
      meter.finish();
      REQUIRE(meter.usage().first_invalid() == nullptr);
    }
  }
  set_log_handler(before);
}
