// What a call is booked at in the end: by its reply, whole or streamed, at the bundled prices.
#include "bill.hpp"

using namespace outlay_test;

TEST_CASE("bill: an error beside a usage does not make it free", "[json][bill]") {
  for (const char* const code : {"503", "429"}) {
    INFO(code);
    const Record routed =
        booked({Api::openrouter_chat, chat_request("openai/gpt-4.1")},
               R"({"model":"openai/gpt-4.1","error":{"code":)" + std::string(code) + R"(,"message":"upstream"},
          "choices":[{"index":0,"finish_reason":"error","message":{"content":"part of it"}}],
          "usage":{"prompt_tokens":10000,"completion_tokens":5000,"total_tokens":15000,"cost":0.06}})");
    CHECK(routed.usd == 0.06_usd);
    CHECK(routed.usage == Usage{.input = 10'000, .output = 5'000});
    CHECK(routed.status == RecordStatus::settled);
    const Record gemini = booked(
        {Api::gemini, R"({"contents":[]})", "gemini-2.5-flash"},
        R"({"candidates":[{"content":{"parts":[{"text":"part"}]}}],"error":{"code":)" + std::string(code) +
            R"(,"status":"UNAVAILABLE"},"usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":50,"totalTokenCount":150}})");
    CHECK(gemini.usage == Usage{.input = 100, .output = 50});
    CHECK(gemini.usd > 0_usd);
  }
  // Without an answer and without a usage, or with one that is empty, the status decides as before.
  for (const char* const usage : {"", R"(,"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0})"})
    CHECK(booked({Api::openrouter_chat, chat_request("openai/gpt-4.1")},
                 R"({"error":{"code":503,"message":"upstream"})" + std::string(usage) + "}")
              .status == RecordStatus::rejected);
  // An answer that was not counted may have been billed.
  CHECK(booked({Api::openrouter_chat, chat_request("openai/gpt-4.1")},
               R"({"error":{"code":503},"choices":[{"index":0,"message":{"content":"part of it"}}]})")
            .status == RecordStatus::indeterminate);
}

TEST_CASE("bill: an answer that was broken off without a usage costs what was reserved", "[json][bill]") {
  const Asked asked{Api::openai_responses, R"({"model":"gpt-4.1","max_output_tokens":1000,"input":"x"})"};
  const Asked interaction{Api::gemini, R"({"input":"x","generation_config":{"max_output_tokens":1000}})",
                          "gemini-2.5-flash"};
  for (const char* const status : {"cancelled", "incomplete", "failed"}) {
    INFO(status);
    const std::string reply =
        R"({"status":")" + std::string(status) +
        R"(","model":"gpt-4.1","output":[{"type":"message","content":[{"type":"output_text","text":"par"}]}],"usage":null})";
    for (const bool streamed : {false, true}) {
      const Record record = booked(asked, reply, streamed);
      CHECK(record.status == RecordStatus::indeterminate);
      CHECK(record.usd == record.reserved);
    }
    CHECK(booked(interaction, R"({"status":")" + std::string(status) + R"(","model":"gemini-2.5-flash"})").status ==
          RecordStatus::indeterminate);
    const Record counted = booked(asked, R"({"status":")" + std::string(status) +
                                             R"(","model":"gpt-4.1","error":{"code":"server_error"},"output":[],
        "usage":{"input_tokens":100000,"output_tokens":20000,"total_tokens":120000}})");
    CHECK(counted.usage == Usage{.input = 100'000, .output = 20'000});
    CHECK(counted.usd == 0.36_usd);
  }
  const Record cut = booked(
      asked,
      events({R"({"type":"response.output_text.delta","delta":"par"})",
              R"({"type":"response.incomplete","response":{"model":"gpt-4.1","status":"incomplete","usage":null}})"}),
      true);
  CHECK(cut.status == RecordStatus::indeterminate);
  CHECK(cut.usd == cut.reserved);
  CHECK(booked(asked,
               R"({"status":"completed","model":"gpt-4.1","output":[{"type":"message","content":[{"text":"par"}]}]})")
            .status == RecordStatus::estimated);
}

TEST_CASE("bill: without a usage an answer that ended at its ceiling has the ceiling's tokens", "[json][bill]") {
  const auto whole = [](const char* choices) {
    return booked({Api::openai_compatible, chat_request("gpt-4.1")},
                  R"({"model":"gpt-4.1","choices":[)" + std::string(choices) + "]}");
  };
  CHECK(whole(R"({"index":0,"finish_reason":"length","message":{"content":""}})").usage.output == 1'000);
  CHECK(whole(R"({"index":0,"finish_reason":"length","message":{"content":"Short."}})").usage.output == 1'000);
  CHECK(whole(R"({"index":0,"finish_reason":"stop","message":{"content":"Short."}})").usage.output < 10);
  // One of two answers.
  CHECK(booked({Api::openai_compatible, chat_request("gpt-4.1", R"(,"n":2)")},
               R"({"model":"gpt-4.1","choices":[{"index":0,"finish_reason":"length","message":{"content":""}},
                                                {"index":1,"finish_reason":"stop","message":{"content":"Short."}}]})")
            .usage.output == 1'000);
  for (const char* const text : {"", "Short."}) {
    const Record streamed = booked(
        {Api::openai_compatible, chat_request("gpt-4.1", R"(,"stream":true)")},
        events({R"({"model":"gpt-4.1","choices":[{"index":0,"delta":{"content":")" + std::string(text) + R"("}}]})",
                R"({"model":"gpt-4.1","choices":[{"index":0,"delta":{},"finish_reason":"length"}]})"}),
        true);
    CHECK(streamed.usage.output == 1'000);
    CHECK(streamed.status == RecordStatus::estimated);
  }
}

TEST_CASE("bill: Bedrock's metrics of a stream are read where the vendor reports no usage", "[json][bill]") {
  const auto chunk = [](const std::string& event) {
    static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string base64;
    for (std::size_t i = 0; i < event.size(); i += 3) {
      std::uint32_t bits = 0;
      for (std::size_t j = 0; j < 3; ++j)
        bits = bits << 8 | (i + j < event.size() ? static_cast<unsigned char>(event[i + j]) : 0U);
      for (std::size_t j = 0; j < 4; ++j) base64 += i + j > event.size() ? '=' : digits[bits >> (18 - 6 * j) & 63U];
    }
    return outlay_test::event("chunk", R"({"bytes":")" + base64 + R"("})");
  };
  const std::string metrics =
      R"("amazon-bedrock-invocationMetrics":{"inputTokenCount":5000,"outputTokenCount":3000,"invocationLatency":9,
          "cacheReadInputTokenCount":700,"cacheWriteInputTokenCount":600}})";
  for (const Api api : {Api::openai_compatible, Api::mistral_chat}) {
    INFO(api.name());
    StreamMeter meter(api);
    meter.feed(chunk(R"({"choices":[{"index":0,"delta":{"content":"Hello"}}]})") +
               chunk(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],)" + metrics));
    meter.finish();
    CHECK(meter.usage() == Usage{.input = 5'000, .cache_read = 700, .cache_write = 600, .output = 3'000});
    CHECK_FALSE(meter.estimated());
    CHECK(meter.input_reported());
  }
  StreamMeter meter(Api::anthropic_messages);
  meter.feed(chunk(R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}})") +
             chunk(R"({"type":"message_stop",)" + metrics));
  meter.finish();
  CHECK(meter.usage() == Usage{.input = 5'000, .cache_read = 700, .cache_write = 600, .output = 3'000});
}

TEST_CASE("bill: a provider's cost is read in every format that carries one", "[json][bill]") {
  const auto cost = [](Api api, const std::string& usage) {
    const ReplyUsage reading =
        read_usage(api, json::parse(R"({"model":"m","status":"completed","data":[],"usage":)" + usage + "}"));
    CHECK(reading.unread_member.empty());
    return reading.provider_cost;
  };
  for (
      const std::string members :
      {R"("cost":0.0145,"is_byok":false)",
       R"("cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":0.0145})",
       R"("cost":{"currency":"USD","input_cost":0.0005,"output_cost":0.004,"tool_calls_cost":0.01,"total_cost":0.0145})"}) {
    INFO(members);
    CHECK(cost(Api::anthropic_messages, R"({"input_tokens":1000,"output_tokens":100,)" + members + "}") == 0.0145_usd);
    CHECK(cost(Api::openai_responses, R"({"input_tokens":1000,"output_tokens":100,)" + members + "}") == 0.0145_usd);
    CHECK(cost(Api::openai_embeddings, R"({"prompt_tokens":1000,"total_tokens":1000,)" + members + "}") == 0.0145_usd);
    CHECK(cost(Api::openai_compatible, R"({"prompt_tokens":1000,"completion_tokens":1,)" + members + "}") ==
          0.0145_usd);
  }
  const Record own_key =
      booked({Api::openai_embeddings,
              R"({"model":"openai/text-embedding-3-large","input":"x"})",
              {},
              "https://openrouter.ai/api/v1"},
             R"({"data":[{"embedding":[0.1]}],"model":"openai/text-embedding-3-large","usage":{"prompt_tokens":1000000,
          "total_tokens":1000000,"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":0.13}}})");
  CHECK(own_key.usd == 0.13_usd);
  CHECK(own_key.cost_source == CostSource::provider);
}

TEST_CASE("bill: Azure bills the input of a request that its filter stops, in whichever format", "[json][bill]") {
  const std::string text(4'000, 'x');
  const std::string responses = R"({"model":"gpt-4.1","max_output_tokens":100,"input":")" + text + R"("})";
  const std::string embeddings = R"({"model":"text-embedding-3-large","input":")" + text + R"("})";
  const char* const filtered =
      R"({"error":{"code":"content_filter","message":"m","innererror":{"code":"ResponsibleAIPolicyViolation"}}})";
  const char* const too_long = R"({"error":{"code":"context_length_exceeded","message":"m"}})";
  for (const char* const body : {filtered, too_long})
    for (const bool streamed : {false, true}) {
      for (const std::string provider : {"https://x.openai.azure.com/openai/v1", "azure"}) {
        const Record record = booked({Api::openai_responses, responses, {}, provider}, body, streamed, 400);
        CHECK(record.status == RecordStatus::estimated);
        CHECK(record.usage.input > 0);
        CHECK(record.usage.output == 0);
        CHECK(record.usd > 0_usd);
      }
      CHECK(booked({Api::openai_embeddings, embeddings, {}, "azure"}, body, streamed, 400).usage.input > 0);
      CHECK(booked({Api::openai_responses, responses}, body, streamed, 400).status == RecordStatus::rejected);
    }
  CHECK(booked({Api::openai_responses, responses, {}, "azure"}, R"({"error":{"code":"BadRequest"}})", false, 400)
            .status == RecordStatus::rejected);
  CHECK(judge_reply(Api::openai_responses, 400, json::parse(filtered), "https://x.openai.azure.com/openai/v1") ==
        ReplyVerdict::input_charged);
  CHECK(judge_reply(Api::openai_responses, 400, json::parse(filtered)) == ReplyVerdict::released);
  CHECK(judge_reply(Api::openai_responses, 429, json::parse(filtered), "azure") == ReplyVerdict::released);
}

TEST_CASE("bill: whatever a model writes is counted where no usage says how much", "[json][bill]") {
  const std::string text = "In the bustling city of Detroit a sedan rolled off the line.";
  const std::int64_t tokens = built_in_tokenizer().upper(text);
  const auto counted = [&](Api api, const std::string& head, const std::string& tail) {
    StreamMeter meter(api);
    meter.feed(events({head + text + tail}, false));
    meter.finish();
    return meter.counted_output();
  };
  const std::string delta = R"({"choices":[{"index":0,"delta":{)";
  CHECK(counted(Api::openai_chat, delta + R"("tool_calls":[{"index":0,"type":"custom","custom":{"input":")",
                R"("}}]}}]})") == tokens);
  CHECK(counted(Api::openrouter_chat, delta + R"("reasoning_details":[{"type":"reasoning.text","text":")",
                R"("}]}}]})") == tokens);
  // Nearly always it says again what stands beside it.
  CHECK(counted(Api::openrouter_chat,
                delta + R"("reasoning_details":[{"type":"reasoning.text","text":")" + text + R"("}],"reasoning":")",
                R"("}}]})") == tokens);
  CHECK(counted(Api::gemini, R"({"candidates":[{"content":{"parts":[{"executableCode":{"language":"PYTHON","code":")",
                R"("}}]}}]})") == tokens);
  const std::int64_t call = counted(
      Api::gemini, R"({"event_type":"content.delta","delta":{"type":"function_call","name":"f","arguments":{"a":")",
      R"("}}})");
  CHECK(call > tokens);
  CHECK(call < tokens + 20);

  const Record whole =
      booked({Api::openai_chat, chat_request("gpt-4.1")},
             R"({"model":"gpt-4.1","choices":[{"index":0,"finish_reason":"tool_calls","message":{"tool_calls":[
            {"id":"c","type":"custom","custom":{"name":"run","input":")" +
                 text + R"("}}]}}]})");
  CHECK(whole.usage.output >= tokens);
}

TEST_CASE("bill: a call of a tool is counted with what frames it, in replies and streams", "[json][bill]") {
  // As recorded: the reply reported 54 tokens of output, of which name and arguments are 8.
  const Asked claude{Api::anthropic_messages, R"({"model":"claude-opus-4-6","max_tokens":4096,"messages":[]})"};
  CHECK(booked(claude, R"({"model":"claude-opus-4-6","stop_reason":"tool_use",
            "content":[{"type":"tool_use","id":"t","name":"add_one","input":{"x":5}}]})")
            .usage.output >= 54);
  CHECK(booked(claude,
               events({R"({"type":"message_start","message":{"model":"claude-opus-4-6"}})",
                       R"({"type":"content_block_start","index":0,
            "content_block":{"type":"tool_use","id":"t","name":"add_one","input":{}}})",
                       R"({"type":"content_block_delta","index":0,
            "delta":{"type":"input_json_delta","partial_json":"{\"x\":5}"}})",
                       R"({"type":"content_block_stop","index":0})"},
                      false),
               true)
            .usage.output >= 54);

  const auto counted = [](Api api, const std::vector<std::string>& all) {
    StreamMeter meter(api);
    meter.feed(events(all, false));
    meter.finish();
    return meter.counted_output();
  };
  // Calls that are numbered alike, or not at all, are calls of their own; pieces of one are not, whatever they repeat.
  const std::string gemini = R"({"modelVersion":"gemini-3-pro","candidates":[{"content":{"parts":[)";
  const std::string f = R"({"functionCall":{"name":"f","args":{}}})", g = R"({"functionCall":{"name":"g","args":{}}})";
  const std::int64_t one = counted(Api::gemini, {gemini + f + "]}}]}"});
  CHECK(counted(Api::gemini, {gemini + f + "," + f + "]}}]}"}) >= 2 * one - 4);
  CHECK(counted(Api::gemini, {gemini + f + "]}}]}", gemini + g + "]}}]}", gemini + f + "]}}]}"}) >= 3 * one - 8);
  const std::string chunk = R"({"model":"gpt-4.1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":")";
  const auto piece = [&](const std::string& id, const std::string& arguments) {
    return chunk + id + R"(","function":{"name":"f","arguments":")" + arguments + R"("}}]}}]})";
  };
  CHECK(counted(Api::openai_compatible, {piece("a", "{}"), piece("b", "{}")}) >=
        2 * counted(Api::openai_compatible, {piece("a", "{}")}) - 4);
  CHECK(counted(Api::openai_compatible, {piece("a", "{"), piece("a", "}")}) ==
        counted(Api::openai_compatible, {piece("a", "{}")}));
}

TEST_CASE("bill: a total says that the cache is beside the prompt", "[json][bill]") {
  const auto usage = [](const std::string& counts) {
    return read(Api::openai_compatible, chat_reply("claude-sonnet-4-6", "{" + counts + "}"));
  };
  CHECK(
      usage(
          R"("prompt_tokens":10000,"completion_tokens":100,"total_tokens":19100,"cache_read_input_tokens":8000,"cache_creation_input_tokens":1000)") ==
      Usage{.input = 10'000, .cache_read = 8'000, .cache_write = 1'000, .output = 100});
  CHECK(
      usage(
          R"("prompt_tokens":10000,"completion_tokens":100,"total_tokens":18100,"prompt_tokens_details":{"cached_tokens":8000})") ==
      Usage{.input = 10'000, .cache_read = 8'000, .output = 100});
  CHECK(
      usage(
          R"("prompt_tokens":10000,"completion_tokens":100,"total_tokens":10100,"cache_read_input_tokens":8000,"cache_creation_input_tokens":1000)") ==
      Usage{.input = 1'000, .cache_read = 8'000, .cache_write = 1'000, .output = 100});
}

TEST_CASE("bill: what a total has beyond a prompt with sound is the sound", "[json][bill]") {
  const auto usage = [](const char* seconds) {
    return read(
        Api::mistral_chat,
        chat_reply("voxtral-small-latest", R"({"prompt_audio_seconds":)" + std::string(seconds) +
                                               R"(,"prompt_tokens":4,"completion_tokens":635,"total_tokens":3264})"));
  };
  CHECK(usage("203") == Usage{.input = 2'629, .output = 635, .input_audio = 2'625});
  CHECK(usage("203.4") == Usage{.input = 2'629, .output = 635, .input_audio = 2'625});
  CHECK(usage("null").output == 3'260);
  CHECK(usage("0").output == 3'260);
}

TEST_CASE("bill: what makes a call dearer is held before it leaves", "[json][bill]") {
  const auto claude = [](const char* more) {
    return reserved({Api::anthropic_messages,
                     R"({"model":"claude-opus-4-6","max_tokens":1000,"messages":[{"role":"user","content":"hi"}])" +
                         std::string(more) + "}"});
  };
  const Usd plain = claude("");
  CHECK(claude(R"(,"inference_geo":"us")") > plain);
  CHECK(claude(R"(,"inference_geo":"us","service_tier":"auto")") == claude(R"(,"inference_geo":"us")"));
  CHECK(claude(R"(,"inference_geo":"global")") == plain);
  const auto gemini = [](const char* model, const char* more) {
    return reserved({Api::gemini,
                     R"({"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":1000})" +
                         std::string(more) + "}",
                     model});
  };
  CHECK(gemini("gemini-3-pro-preview", R"(,"service_tier":"priority")") ==
        gemini("gemini-3-pro-preview", R"(,"serviceTier":"priority")"));
  CHECK(gemini("gemini-3-pro-preview", R"(,"service_tier":"priority")") > gemini("gemini-3-pro-preview", ""));
  for (const char* const model : {"gemini-2.5-flash", "gemini-3-pro-preview"}) {
    INFO(model);
    const Usd maps = *PriceTable::bundled().find(model)->other_tool;
    CHECK(gemini(model, R"(,"tools":[{"googleMaps":{}}])") > maps);
    CHECK(gemini(model, R"(,"tools":[{"google_maps":{}}])") > maps);
  }
}

TEST_CASE("bill: what Converse wrote to a cache is counted by its details, too", "[json][bill]") {
  CHECK(read(Api::bedrock_converse, R"({"usage":{"inputTokens":100,"outputTokens":10,"totalTokens":5110,
        "cacheDetails":[{"ttl":"5m","inputTokens":5000}]}})") ==
        Usage{.input = 100, .cache_write = 5'000, .output = 10});
  CHECK(read(Api::bedrock_converse, R"({"usage":{"inputTokens":100,"outputTokens":10,"totalTokens":5110,
        "cacheWriteInputTokens":5000,"cacheDetails":[{"ttl":"5m","inputTokens":4000},{"ttl":"1h","inputTokens":1000}]}})") ==
        Usage{.input = 100, .cache_write = 4'000, .cache_write_1h = 1'000, .output = 10});
}

TEST_CASE("bill: an error without any member is none", "[json][bill]") {
  const std::string usage = R"("usage":{"prompt_tokens":100000,"completion_tokens":20000,"total_tokens":120000})";
  const Record whole = booked(
      {Api::openai_compatible, chat_request("gpt-4.1")},
      R"({"model":"gpt-4.1","error":{},"choices":[{"index":0,"finish_reason":"stop","message":{"content":"ok"}}],)" +
          usage + "}");
  CHECK(whole.status == RecordStatus::settled);
  CHECK(whole.usage == Usage{.input = 100'000, .output = 20'000});
  const Record streamed = booked(
      {Api::openai_compatible, chat_request("gpt-4.1", R"(,"stream":true)")},
      events(
          {R"({"model":"gpt-4.1","error":{},"choices":[{"index":0,"delta":{"content":"ok"},"finish_reason":"stop"}]})",
           R"({"choices":[],)" + usage + "}"}),
      true);
  CHECK(streamed.usage == Usage{.input = 100'000, .output = 20'000});
}
