#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

#include "json/facts.hpp"
#include "outlay/json.hpp"
#include "streams.hpp"
#include "support/catch.hpp"

using namespace outlay;
using namespace outlay_test;

namespace {

struct Collected final : StreamConsumer {
  std::string text, reasoning, arguments, tool_name, tool_id, passed_on, kept;
  int usages = 0, lasts = 0, usage_only = 0;
  std::vector<std::int32_t> choices;
  void on_delta(const StreamDelta& delta) override {
    switch (delta.kind) {
      case StreamDelta::Kind::text:
        text += delta.text;
        choices.push_back(delta.choice);
        break;
      case StreamDelta::Kind::reasoning:
        reasoning += delta.text;
        break;
      case StreamDelta::Kind::tool_arguments:
        arguments += delta.text;
        if (!delta.tool_name.empty()) tool_name = delta.tool_name;
        if (!delta.tool_id.empty()) tool_id = delta.tool_id;
        break;
      case StreamDelta::Kind::usage:
        ++usages;
        break;
    }
  }
  void on_event(const StreamEvent& event) override {
    passed_on += event.bytes;
    if (!event.usage_only) kept += event.bytes;
    usage_only += event.usage_only;
    lasts += event.last;
  }
};

std::string print(const Usage& u) {
  return std::to_string(u.input) + "/" + std::to_string(u.cache_read) + "/" + std::to_string(u.cache_write) + "/" +
         std::to_string(u.cache_write_1h) + "/" + std::to_string(u.output) + " r" + std::to_string(u.reasoning) + " a" +
         std::to_string(u.input_audio) + " w" + std::to_string(u.web_searches);
}

void check(const KnownStream& known, const StreamMeter& meter) {
  Usage expected = known.usage;
  if (expected.output == -1) {
    REQUIRE(meter.counted_output() > 0);
    expected.output = meter.counted_output();
    expected.reasoning = meter.usage().reasoning;
  }
  INFO(known.name << ": " << print(meter.usage()) << " for " << print(expected));
  REQUIRE(meter.usage() == expected);
  REQUIRE(meter.estimated() == known.estimated);
  REQUIRE(meter.served_model() == known.model);
  REQUIRE(meter.service_tier() == known.service_tier);
  REQUIRE(meter.provider_cost() == known.cost);
  REQUIRE(meter.error().has_value() == known.error);
}

StreamMeter feed_pieces(Api api, const std::string& bytes, std::mt19937& random) {
  StreamMeter meter(api);
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t size = std::min<std::size_t>(bytes.size() - at, 1 + random() % 40);
    meter.feed(std::string(bytes, at, size));  // a copy, so that a view kept too long is seen by ASan
    at += size;
  }
  meter.finish();
  return meter;
}

std::string with_line_ends(const std::string& text, const std::string& end) {
  std::string out;
  for (const char c : text) {
    if (c == '\r') continue;
    if (c == '\n')
      out += end;
    else
      out += c;
  }
  return out;
}

StreamMeter meter_all(Api api, const std::string& bytes) {
  StreamMeter meter(api);
  meter.feed(bytes);
  meter.finish();
  return meter;
}

}  // namespace

TEST_CASE("meter: reads every API's stream in one piece", "[json][meter]") {
  for (const KnownStream& known : known_streams()) check(known, meter_all(known.api, known.bytes));
}

TEST_CASE("meter: a stream cut at any byte gives the same usage", "[json][meter]") {
  for (const KnownStream& known : known_streams())
    for (std::size_t cut = 0; cut <= known.bytes.size(); ++cut) {
      StreamMeter meter(known.api);
      meter.feed(std::string(known.bytes, 0, cut));
      meter.feed(std::string(known.bytes, cut));
      meter.finish();
      check(known, meter);
    }
}

TEST_CASE("meter: a stream fed by single bytes or random pieces gives the same usage", "[json][meter]") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (const KnownStream& known : known_streams()) {
    for (int round = 0; round < 20; ++round) check(known, feed_pieces(known.api, known.bytes, random));
    StreamMeter single(known.api);
    for (const char byte : known.bytes) single.feed({&byte, 1});
    single.finish();
    check(known, single);
  }
}

TEST_CASE("meter: a stream that ends at any byte is never exact with a wrong usage", "[json][meter]") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (const KnownStream& known : known_streams()) {
    if (known.estimated) continue;
    for (std::size_t end = 0; end <= known.bytes.size(); ++end) {
      const StreamMeter meter = feed_pieces(known.api, known.bytes.substr(0, end), random);
      INFO(known.name << " up to byte " << end << ": " << meter.usage());
      if (!meter.estimated()) REQUIRE(meter.usage() == known.usage);
      if (!meter.complete()) REQUIRE(meter.estimated());
    }
  }
}

TEST_CASE("meter: LF, CRLF and CR line ends mean the same", "[json][meter]") {
  std::mt19937 random(7);
  for (const KnownStream& known : known_streams()) {
    if (known.name.find(".sse") == std::string::npos) continue;
    for (const char* const end : {"\n", "\r\n", "\r"}) {
      INFO(known.name);
      const std::string bytes = with_line_ends(known.bytes, end);
      check(known, meter_all(known.api, bytes));
      check(known, feed_pieces(known.api, bytes, random));
    }
  }
}

TEST_CASE("meter: data over several lines, without a space, or without a last blank line is read", "[json][meter]") {
  const StreamMeter meter = meter_all(Api::openai_chat,
                                      "event: x\nid: 7\nretry\ndata:{\"choices\":[{\"index\":0,\ndata: "
                                      "\"delta\":{\"content\":\"Hi\"},\ndata\n"
                                      "data: \"finish_reason\":\"stop\"}]}\n\n:comment\n\n\n"
                                      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}");
  CHECK(meter.usage() == Usage{.input = 3, .output = 1});
  CHECK_FALSE(meter.estimated());
  CHECK(meter.counted_output() > 0);
}

TEST_CASE("meter: a plain reply in place of a stream is read", "[json][meter]") {
  const std::string reply =
      "\n\n{\n \"model\": \"gpt-4o\",\n \"choices\": [{\"index\": 0, \"message\": {\"content\": \"Hi\"}, "
      "\"finish_reason\": \"stop\"}],\n"
      " \"usage\": {\"prompt_tokens\": 3.0, \"completion_tokens\": 2}\n}\n";
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    const StreamMeter meter = feed_pieces(Api::openai_chat, reply, random);
    CHECK(meter.usage() == Usage{.input = 3, .output = 2});
    CHECK(meter.complete());
    CHECK_FALSE(meter.estimated());
  }
}

TEST_CASE("meter: an error in place of a stream is seen", "[json][meter]") {
  const StreamMeter meter = meter_all(
      Api::openai_chat,
      R"({"error":{"message":"You wrote: my secret","type":"insufficient_quota","code":"insufficient_quota"}})");
  REQUIRE(meter.error());
  CHECK(meter.error()->code == "insufficient_quota");
  CHECK(meter.ended());
  CHECK_FALSE(meter.complete());
}

TEST_CASE("meter: delivers text, reasoning, tool arguments and usage", "[json][meter]") {
  SECTION("OpenAI") {
    Collected got;
    StreamMeter meter(Api::openai_chat);
    meter.feed(read_data("openai_chat.sse"), got);
    CHECK(got.text ==
          "Gr\xC3\xBC\xC3\x9F"
          "e, \xE4\xB8\x96\xE7\x95\x8C \"quoted\"\n");
    CHECK(got.usages == 1);
    CHECK(got.lasts == 1);
    CHECK(got.passed_on == read_data("openai_chat.sse"));
  }
  SECTION("OpenAI's tools") {
    Collected got;
    StreamMeter meter(Api::openai_chat);
    meter.feed(read_data("openai_chat_tools.sse"), got);
    CHECK(got.arguments == R"({"town":"Oslo"})");
    CHECK(got.tool_name == "look_up");
    CHECK(got.tool_id == "call_a");
  }
  SECTION("Responses") {
    Collected got;
    StreamMeter meter(Api::openai_responses);
    meter.feed(read_data("openai_responses.sse"), got);
    CHECK(got.text == "Hello there");
    CHECK(got.reasoning == "brief");
    CHECK(got.arguments == "{}");
    CHECK(got.tool_name == "look_up");
  }
  SECTION("Anthropic") {
    Collected got;
    StreamMeter meter(Api::anthropic_messages);
    meter.feed(read_data("anthropic_messages.sse"), got);
    CHECK(got.text == "Hello!");
    CHECK(got.reasoning == "Let me see");
    CHECK(got.arguments == R"({"a":1})");
    CHECK(got.tool_name == "look_up");
    CHECK(got.tool_id == "tu1");
  }
  SECTION("Gemini") {
    Collected got;
    StreamMeter meter(Api::gemini);
    std::string bytes = read_data("gemini_array.json");
    for (const char byte : bytes) meter.feed({&byte, 1}, got);
    CHECK(got.text == "Hi there");
    CHECK(got.reasoning == "thinking about it");
    CHECK(got.arguments == R"({"x":[1,"two",null,true],"y":{"z":2.5}})");
    CHECK(got.tool_name == "f");
  }
  SECTION("Bedrock") {
    Collected got;
    StreamMeter meter(Api::bedrock_converse);
    meter.feed(bedrock_stream(), got);
    CHECK(got.text == "Hi");
    CHECK(got.reasoning == "thinking");
    CHECK(got.arguments == R"({"a":1})");
    CHECK(got.lasts == 1);
  }
  SECTION("Ollama") {
    Collected got;
    StreamMeter meter(Api::ollama_chat);
    meter.feed(read_data("ollama_chat.ndjson"), got);
    CHECK(got.text == "Hi");
    CHECK(got.reasoning == "hm");
    CHECK(got.arguments == R"({"a":1})");
  }
  SECTION("Mistral") {
    Collected got;
    StreamMeter meter(Api::mistral_chat);
    meter.feed(read_data("mistral_chat.sse"), got);
    CHECK(got.text == "Bonjour");
    CHECK(got.reasoning == "let me think");
  }
}

TEST_CASE("meter: tells answers apart by their index", "[json][meter]") {
  Collected got;
  StreamMeter meter(Api::openai_chat);
  meter.feed(read_data("openai_chat_two_choices.sse"), got);
  CHECK(got.choices == std::vector<std::int32_t>{0, 1});
}

TEST_CASE("meter: is complete only when every answer has finished", "[json][meter]") {
  StreamMeter meter(Api::openai_chat);
  meter.feed("data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"a\"}}]}\n\n");
  meter.feed("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
  CHECK_FALSE(meter.complete());
  meter.feed("data: {\"choices\":[{\"finish_reason\":\"stop\",\"index\":1,\"delta\":{}}]}\n\n");
  CHECK(meter.complete());
}

TEST_CASE("meter: marks the chunk that only carries the usage, so that a proxy can drop it", "[json][meter]") {
  Collected openai, azure, vllm, mistral;
  StreamMeter(Api::openai_chat).feed(read_data("openai_chat.sse"), openai);
  CHECK(openai.usage_only == 1);
  CHECK(openai.kept.find("prompt_tokens") == std::string::npos);
  CHECK(openai.kept.find("[DONE]") != std::string::npos);
  StreamMeter(Api::azure_chat).feed(read_data("azure_chat.sse"), azure);
  CHECK(azure.usage_only == 1);  // not the first chunk, whose choices are empty too
  StreamMeter(Api::mistral_chat).feed(read_data("mistral_chat.sse"), mistral);
  CHECK(mistral.usage_only == 0);
}

TEST_CASE("meter: a stream that is cut short is estimated by what it showed", "[json][meter]") {
  SECTION("Anthropic reports one token at the start") {
    const std::string bytes = read_data("anthropic_messages.sse");
    StreamMeter meter(Api::anthropic_messages);
    meter.feed(std::string_view(bytes).substr(0, bytes.find("event: message_delta")));
    meter.finish();
    CHECK(meter.estimated());
    CHECK(meter.usage().input == 25);
    CHECK(meter.usage().output == meter.counted_output());
    CHECK(meter.usage().output > 1);
    CHECK_FALSE(meter.complete());
  }
  SECTION("Gemini reports as it goes") {
    const std::string bytes = read_data("gemini.sse");
    StreamMeter meter(Api::gemini);
    meter.feed(std::string_view(bytes).substr(0, bytes.find("\r\n\r\n") + 4));
    CHECK(meter.estimated());
    CHECK(meter.usage().output >= 20);
  }
}

TEST_CASE("meter: a report behind which more of the answer comes is not the last word", "[json][meter]") {
  const auto usage = [](Api api, const std::string& first, const std::string& second) {
    StreamMeter meter(api);
    meter.feed("data: " + first + "\n\n");
    meter.feed("data: " + second + "\n\n");
    meter.feed(api == Api::gemini ? "" : "data: [DONE]\n\n");
    meter.finish();
    CHECK(meter.complete());
    CHECK(meter.estimated());
    CHECK(meter.usage().input == 5);
    return meter.usage().output;
  };
  const std::string text = "Hello there, my friend, and more of it follows here";
  CHECK(
      usage(
          Api::gemini,
          R"({"candidates":[{"content":{"parts":[{"text":"H"}]}}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":1,"totalTokenCount":6}})",
          R"({"candidates":[{"content":{"parts":[{"text":")" + text + R"("}]},"finishReason":"STOP"}]})") >= 11);
  CHECK(
      usage(
          Api::openai_compatible,
          R"({"choices":[{"index":0,"delta":{"content":"H"}}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}})",
          R"({"choices":[{"index":0,"delta":{"content":")" + text + R"("},"finish_reason":"stop"}]})") >= 11);
}

TEST_CASE("meter: later reports win member by member, and null changes nothing", "[json][meter]") {
  StreamMeter meter(Api::anthropic_messages);
  meter.feed(
      "data: "
      "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,"
      "\"output_tokens\":1}}}\n\n");
  meter.feed(
      "data: "
      "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":30,"
      "\"cache_read_input_tokens\":null,\"output_tokens\":7}}\n\n");
  CHECK(meter.usage() == Usage{.input = 30, .cache_read = 5, .output = 7});
}

TEST_CASE("meter: counts that cannot be are not believed", "[json][meter]") {
  for (const char* const count :
       {"-1", "1.5", "1e300", "99999999999999999999", "9223372036854775807", "\"12\"", "3000000000"}) {
    INFO(count);
    const StreamMeter meter =
        meter_all(Api::openai_chat,
                  "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}\n\n"
                  "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":" +
                      std::string(count) + "}}\n\ndata: [DONE]\n\n");
    CHECK(meter.estimated());
    CHECK(meter.invalid_member() == "output tokens");
    CHECK(meter.usage().output == meter.counted_output());
  }
}

TEST_CASE("meter: a report of zeros beside an answer is estimated", "[json][meter]") {
  const StreamMeter meter =
      meter_all(Api::openai_compatible,
                "data: "
                "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}],"
                "\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}\n\n");
  CHECK(meter.estimated());
  CHECK(meter.usage().output > 0);
}

TEST_CASE("meter: a count that a broken connection tore is not believed", "[json][meter]") {
  const std::string answer =
      "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"It "
      "rains.\"},\"finish_reason\":\"stop\"}]}\n\n";
  const std::string usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":5";  // or 57
  outlay::StreamMeter torn(outlay::Api::openai_chat);
  torn.feed(answer + usage);
  torn.finish();
  CHECK(torn.estimated());
  CHECK_FALSE(torn.reported());
  CHECK(torn.usage().output == torn.counted_output());

  outlay::StreamMeter whole(outlay::Api::openai_chat);
  whole.feed(answer + usage + "}}");  // only the blank line is missing
  whole.finish();
  CHECK_FALSE(whole.estimated());
  CHECK(whole.usage().output == 5);

  outlay::StreamMeter plain(outlay::Api::openai_chat);
  plain.feed(
      R"({"choices":[{"index":0,"message":{"content":"It rains."},"finish_reason":"stop"}],"usage":{"prompt_tokens":2)");
  plain.finish();
  CHECK(plain.estimated());
}

TEST_CASE("meter: nothing behind the end is read, however the stream is cut", "[json][meter]") {
  const std::string ollama_end = R"({"done":true,"prompt_eval_count":4,"eval_count":5})";
  for (const auto& [api, end, behind] : std::vector<std::tuple<Api, std::string, std::string>>{
           {Api::openai_chat, "data: {\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n",
            "data: {broken\n\n"},
           {Api::ollama_chat, ollama_end, "{broken"},
           {Api::ollama_chat, "[" + ollama_end, R"(,{"prompt_eval_count":400,"eval_count":500}])"},
           {Api::ollama_chat, "[" + ollama_end, ",<html>"},
           {Api::gemini, R"([{"error":{"code":429}})", R"(,{"usageMetadata":{"promptTokenCount":400}}])"},
           {Api::gemini, R"([{"error":{"code":429}})", ",{broken"},
           {Api::bedrock_converse, bedrock_stream(), event("messageStop", "{broken")}}) {
    CAPTURE(api.name(), end);
    StreamMeter alone(api);
    alone.feed(end);
    StreamMeter whole(api);
    whole.feed(end + behind);
    StreamMeter split(api);
    for (const char byte : end + behind) split.feed({&byte, 1});
    for (const StreamMeter* const meter : {&whole, &split}) {
      CHECK(meter->ended());
      CHECK(meter->complete() == alone.complete());
      CHECK(meter->usage() == alone.usage());
    }
  }
}

TEST_CASE("meter: broken bytes are a typed error that names no text", "[json][meter]") {
  const auto refused = [](Api api, const std::string& bytes) {
    StreamMeter meter(api);
    try {
      meter.feed(bytes);
    } catch (const Error& error) {
      CHECK(error.reason() == errc::bad_reply);
      CHECK(std::string(error.what()).find("secret") == std::string::npos);
      CHECK(meter.ended());
      CHECK_NOTHROW(meter.feed("data: {}\n\n"));
      return true;
    }
    return false;
  };
  CHECK(refused(Api::openai_chat, "data: {\"choices\": secret}\n\n"));
  CHECK(refused(Api::openai_chat, "data: {} secret\n\n"));
  CHECK(refused(Api::openai_chat, "data: " + std::string(100'000, '[') + "\n\n"));
  CHECK(refused(Api::ollama_chat, "{\"message\":{\"content\":\"a\"}}\n{secret\n"));
  CHECK(refused(Api::gemini, "[{}, {}} secret"));
  std::string message = bedrock_stream();
  message[20] = static_cast<char>(message[20] ^ 1);
  CHECK(refused(Api::bedrock_converse, message));
  message = bedrock_stream();
  message[5] = static_cast<char>(message[5] ^ 1);
  CHECK(refused(Api::bedrock_converse, message));
}

TEST_CASE("meter: the chunks of InvokeModel are unwrapped", "[json][meter]") {
  // {"type":"message_start","message":{"model":"c","usage":{"input_tokens":9,"output_tokens":1}}} and so on, as base64.
  const auto chunk = [](const char* base64) {
    return event("chunk", R"({"bytes":")" + std::string(base64) + R"(","p":"abc"})");
  };
  const std::string bytes = chunk(
                                "eyJ0eXBlIjoibWVzc2FnZV9zdGFydCIsIm1lc3NhZ2UiOnsibW9kZWwiOiJjIiwidXNhZ2UiOnsiaW5wdXRfdG"
                                "9rZW5zIjo5LCJvdXRwdXRfdG9rZW5zIjoxfX19") +
                            chunk(
                                "eyJ0eXBlIjoibWVzc2FnZV9kZWx0YSIsImRlbHRhIjp7InN0b3BfcmVhc29uIjoiZW5kX3R1cm4ifSwidXNhZ2"
                                "UiOnsib3V0cHV0X3Rva2VucyI6NX19") +
                            chunk("eyJ0eXBlIjoibWVzc2FnZV9zdG9wIn0=");
  std::mt19937 random(5);
  for (int round = 0; round < 10; ++round) {
    const StreamMeter meter = feed_pieces(Api::anthropic_messages, bytes, random);
    CHECK(meter.usage() == Usage{.input = 9, .output = 5});
    CHECK(meter.complete());
    CHECK_FALSE(meter.estimated());
  }
}

TEST_CASE("meter: an event over the limit is a typed error", "[json][meter]") {
  const StreamMeterOptions small{.max_event_bytes = 1'000};
  const std::string fill(2'000, 'a');
  for (const auto& [api, bytes] : std::vector<std::pair<Api, std::string>>{
           {Api::openai_chat, "data: {\"x\":\"" + fill},
           {Api::openai_chat, ": " + fill + "\n\n"},
           {Api::ollama_chat, "{\"x\":\"" + fill},
           {Api::gemini, "[{\"x\":\"" + fill},
           {Api::bedrock_converse, event("metadata", "{\"x\":\"" + fill + "\"}")}}) {
    INFO(bytes.substr(0, 10));
    StreamMeter whole(api, small);
    CHECK_THROWS_AS(whole.feed(bytes), Error);
    StreamMeter split(api, small);
    CHECK_THROWS_AS(
        [&] {
          for (const char byte : bytes) split.feed({&byte, 1});
        }(),
        Error);
  }
}

TEST_CASE("meter: text that is not UTF-8 does not cost the report", "[json][meter]") {
  const StreamMeter meter =
      meter_all(Api::openai_chat,
                "data: "
                "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xFF\xC3\"},\"finish_reason\":\"stop\"}]}\n\n"
                "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3}}\n\n");
  CHECK(meter.usage() == Usage{.input = 10, .output = 3});
}

TEST_CASE("meter: several answers of llama.cpp are counted by their number", "[json][meter]") {
  const StreamMeter meter = meter_all(
      Api::openai_compatible,
      R"({"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"},{"index":1,"message":{"content":"b"},"finish_reason":"stop"}],)"
      R"("usage":{"prompt_tokens":5,"completion_tokens":3},"timings":{"prompt_n":5,"predicted_n":3}})");
  CHECK(meter.usage().output == 6);
  CHECK(meter.estimated());
}

TEST_CASE("framing: the checksum is CRC-32", "[json][framing]") {
  CHECK(detail::crc32("123456789") == 0xCBF43926U);
  CHECK(detail::crc32("") == 0U);
}

TEST_CASE("facts: a cost's text is read exactly", "[json][facts]") {
  const auto nanos = [](std::string_view text, int scale = 0) {
    const auto usd = detail::read_cost(text, scale);
    return usd ? usd->nanos() : -1;
  };
  CHECK(nanos("0.00095") == 950'000);
  CHECK(nanos("9.5e-4") == 950'000);
  CHECK(nanos("1") == 1'000'000'000);
  CHECK(nanos("0") == 0);
  CHECK(nanos("0.0000000005") == 0);  // half to even
  CHECK(nanos("0.0000000015") == 2);
  CHECK(nanos("0.00000000050000001") == 1);
  CHECK(nanos("1e-300") == 0);
  CHECK(nanos("0.1234567890123456789012345") == 123'456'789);
  CHECK(nanos("6730000", 10) == 673'000);
  CHECK(nanos("318319000", 10) == 31'831'900);
  CHECK(nanos("1e30") == -1);
  CHECK(nanos("-1") == -1);
  CHECK(nanos("") == -1);
  CHECK(nanos("1.2.3") == -1);
  CHECK(nanos("0x10") == -1);
}

TEST_CASE("meter: half of a surrogate pair is U+FFFD to a consumer, and its event counts once", "[json][meter]") {
  StreamMeter meter(Api::openai_chat);
  Collected to;
  const std::string wire =
      "data: {\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":6},\"choices\":[{\"index\":0,\"delta\":{\"content\":"
      "\"\\ud83d\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\ude00\"},\"finish_reason\":"
      "\"stop\"}]}\n\ndata: [DONE]\n\n";
  for (const char byte : wire) meter.feed({&byte, 1}, to);
  meter.finish();
  CHECK(to.text == "\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(to.passed_on == wire);
  CHECK(meter.usage() == Usage{.input = 9, .output = 6});
  CHECK(meter.complete());
}
