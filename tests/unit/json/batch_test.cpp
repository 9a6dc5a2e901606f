// Answers that come in another wrapping, in the end without a model, or not at all.
#include "bill.hpp"

using namespace outlay_test;

TEST_CASE("batch: a line of its results is read as the reply in it, at the price of batches", "[json][batch]") {
  const std::string chat =
      chat_reply("gpt-4o-2024-08-06", R"({"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010})");
  const std::string claude =
      R"({"model":"claude-sonnet-4-5-20250929","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn",
          "usage":{"input_tokens":1000,"output_tokens":10,"service_tier":"batch"}})";
  const std::string gemini = R"({"modelVersion":"gemini-2.5-pro","candidates":[{"content":{"parts":[{"text":"ok"}]},
          "finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1000,"candidatesTokenCount":10,"totalTokenCount":1010}})";
  struct Case {
    Asked asked;
    std::string line;
    Usd usd;
  };
  for (const Case& one :
       {Case{{Api::openai_chat, chat_request("gpt-4o")},
             R"({"id":"b","custom_id":"a","response":{"status_code":200,"request_id":"r","body":)" + chat +
                 R"(},"error":null})",
             0.0013_usd},
        Case{{Api::anthropic_messages, R"({"model":"claude-sonnet-4-5","max_tokens":100,"messages":[]})"},
             R"({"custom_id":"a","result":{"type":"succeeded","message":)" + claude + "}}",
             0.001575_usd},
        Case{{Api::gemini, R"({"contents":[]})", "gemini-2.5-pro"},
             R"({"key":"a","response":)" + gemini + "}",
             0.000675_usd}}) {
    INFO(one.line);
    const ReplyUsage said = read_usage(one.asked.api, json::parse(one.line));
    CHECK(said.usage == Usage{.input = 1'000, .output = 10});
    CHECK(said.service_tier == "batch");
    const Record record = booked(one.asked, one.line);
    CHECK(record.usd == one.usd);
    CHECK(record.status == RecordStatus::settled);
  }
  // The status beside the body is that of the reply.
  const auto status = [&](int code, const std::string& body) {
    return booked({Api::openai_chat, chat_request("gpt-4o")},
                  R"({"custom_id":"a","response":{"status_code":)" + std::to_string(code) + R"(,"body":)" + body + "}}")
        .status;
  };
  CHECK(status(429, R"({"error":{"message":"x","type":"rate_limit_error"}})") == RecordStatus::rejected);
  CHECK(status(400, R"({"error":{"message":"x"}})") == RecordStatus::rejected);
  CHECK(status(429, "{}") == RecordStatus::rejected);
  CHECK(status(500, R"({"error":{"message":"x"}})") == RecordStatus::indeterminate);
  CHECK_THROWS_AS(
      read(Api::anthropic_messages, R"({"custom_id":"a","result":{"type":"errored","error":{"type":"error"}}})"),
      Error);
}

TEST_CASE("bill: a prompt that a guardrail has blocked costs no model", "[json][bill]") {
  const Asked asked{Api::bedrock_converse, R"({"messages":[{"role":"user","content":[{"text":"hello"}]}]})",
                    "amazon.nova-2-lite-v1:0"};
  const auto reply = [](int input, int output) {
    return R"({"output":{"message":{"content":[{"text":"Sorry, this was blocked."}]}},"stopReason":"guardrail_intervened",
        "usage":{"inputTokens":)" +
           std::to_string(input) + R"(,"outputTokens":)" + std::to_string(output) + R"(,"totalTokens":)" +
           std::to_string(input + output) + "}}";
  };
  CHECK(booked(asked, reply(0, 0)).usd == 0_usd);
  CHECK(booked(asked, reply(0, 0)).status == RecordStatus::settled);
  // The evaluation has no price here, and is billed.
  CHECK(booked(asked, reply(0, 0)).cost_source == CostSource::none);
  const std::string streamed = event("messageStop", R"({"stopReason":"guardrail_intervened"})") +
                               event("metadata", R"({"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0}})");
  CHECK(booked(asked, streamed, true).usd == 0_usd);
  CHECK(booked(asked, streamed, true).cost_source == CostSource::none);
  // Of an answer that it has blocked the model's work is billed.
  CHECK(booked(asked, reply(1'000, 1'000)).usd == 0.0028_usd);
}

TEST_CASE("stream: one that is an error in place of an answer ends as a reply that is one", "[json][stream]") {
  const Asked openai{Api::openai_chat, chat_request("gpt-4o", R"(,"stream":true)")};
  const Asked claude{Api::anthropic_messages,
                     R"({"model":"claude-sonnet-4-5","max_tokens":100,"stream":true,"messages":[]})"};
  const Asked azure{Api::azure_chat, chat_request("gpt-4o", R"(,"stream":true)")};
  const std::string limited = R"({"error":{"message":"x","code":429}})";
  const std::string overloaded = R"({"type":"error","error":{"type":"overloaded_error","message":"x"}})";
  CHECK(booked(openai, limited, true).status == RecordStatus::rejected);
  CHECK(booked(openai, events({limited}), true).status == RecordStatus::rejected);
  CHECK(booked(claude, events({overloaded}, false), true).status == RecordStatus::rejected);
  // Behind a beginning it says nothing of what that has cost.
  CHECK(booked(claude,
               events({R"({"type":"message_start","message":{"model":"claude-sonnet-4-5",
      "usage":{"input_tokens":1000,"output_tokens":1}}})",
                       overloaded},
                      false),
               true)
            .usd > 0.003_usd);
  CHECK(booked(openai, events({R"({"choices":[{"index":0,"delta":{"content":"a"}}]})", limited}), true).usd > 0_usd);
  // So it is behind what has no pieces: reasoning that is sealed, or a beginning alone.
  const Asked responses{Api::openai_responses,
                        R"({"model":"gpt-5","stream":true,"max_output_tokens":20000,"input":"x"})"};
  const std::string created = R"({"type":"response.created","response":{"model":"gpt-5","usage":null}})";
  const std::string thought =
      R"({"type":"response.output_item.done","output_index":0,"item":{"id":"rs","type":"reasoning","summary":[]}})";
  CHECK(booked(responses, events({created, thought, limited}, false), true).status == RecordStatus::indeterminate);
  CHECK(booked(responses, events({created, limited}, false), true).status == RecordStatus::indeterminate);
  CHECK(booked(responses, ": waiting\n\n" + events({limited}, false), true).status == RecordStatus::rejected);
  CHECK(booked(openai, R"({"choices":[]})" + limited, true).status == RecordStatus::indeterminate);
  const Asked converse{Api::bedrock_converse, R"({"messages":[{"role":"user","content":[{"text":"hello"}]}]})",
                       "amazon.nova-2-lite-v1:0"};
  const std::string throttled =
      event_message({{":message-type", "exception"}, {":exception-type", "throttlingException"}}, "{}");
  CHECK(booked(converse, throttled, true).status == RecordStatus::rejected);
  CHECK(booked(converse, event("messageStart", R"({"role":"assistant"})") + throttled, true).status ==
        RecordStatus::indeterminate);
  // An error that names no status, or one that says nothing of whether a model ran.
  CHECK(booked(openai, events({R"({"error":{"message":"x","type":"server_error"}})"}), true).status ==
        RecordStatus::indeterminate);
  CHECK(booked(openai, events({R"({"error":{"message":"x","code":500}})"}), true).status ==
        RecordStatus::indeterminate);
}

TEST_CASE("wire: an error that has no object of its own is seen", "[json][wire]") {
  const Asked asked{Api::openai_compatible, chat_request("gpt-oss", R"(,"stream":true)")};
  const std::string flat =
      R"({"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400})";
  StreamMeter meter(Api::openai_compatible);
  meter.feed(events({R"({"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]})", flat}));
  meter.finish();
  REQUIRE(meter.error());
  CHECK(meter.error()->code == "400");
  CHECK(meter.error()->status == 400);
  CHECK_FALSE(meter.complete());
  CHECK(booked(asked, events({flat}), true).status == RecordStatus::rejected);
  CHECK(booked({Api::mistral_chat, chat_request("mistral-small-latest")},
               R"({"object":"error","message":{"detail":[]},"type":"invalid_request_error","code":null})")
            .status == RecordStatus::indeterminate);
  CHECK(booked(asked, chat_reply("m", R"({"prompt_tokens":1,"completion_tokens":1,"total_tokens":2})")).status ==
        RecordStatus::settled);
}

TEST_CASE("bill: a dated answer to an undated name of a region costs what it does there", "[json][bill]") {
  const std::string usage = R"({"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010})";
  const auto usd = [&](const std::string& asked, const std::string& served) {
    return booked({Api::azure_chat, chat_request(asked), asked, "azure"}, chat_reply(served, usage)).usd;
  };
  const Usd here = usd("azure/gpt-4o", "gpt-4o-2024-08-06"),
            there = usd("azure/eu/gpt-4o-2024-08-06", "gpt-4o-2024-08-06");
  CHECK(there > here);
  CHECK(usd("azure/eu/gpt-4o", "gpt-4o-2024-08-06") == there);
  CHECK(usd("azure/eu/gpt-4o", "gpt-4o-mini-2024-07-18") < here);
}

TEST_CASE("meter: says why an answer of Responses or Ollama has ended", "[json][meter]") {
  const auto finish = [](Api api, const std::string& bytes) {
    StreamMeter meter(api);
    meter.feed(bytes);
    meter.finish();
    CHECK(meter.complete());
    return std::string(meter.finish_reason());
  };
  const std::string counts = R"("usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15}}})";
  CHECK(finish(Api::openai_responses, events({R"({"type":"response.completed","response":{)" + counts}, false)) ==
        "completed");
  CHECK(finish(Api::openai_responses, events({R"({"type":"response.incomplete","response":{)" + counts}, false)) ==
        "incomplete");
  CHECK(finish(Api::ollama_chat,
               R"({"message":{"content":"a"},"done":false})"
               "\n"
               R"({"done":true,"done_reason":"length","prompt_eval_count":5,"eval_count":3})") == "length");
}

TEST_CASE("wire: of what was cached the sound is a part", "[json][wire]") {
  CHECK(read(Api::openai_chat,
             chat_reply("gpt-audio",
                        R"({"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,"prompt_tokens_details":
        {"audio_tokens":80,"text_tokens":20,"cached_tokens":64,"cached_tokens_details":{"text_tokens":10,"audio_tokens":54}}})")) ==
        Usage{.input = 36, .cache_read = 64, .output = 50, .input_audio = 26, .cache_read_audio = 54});
}
