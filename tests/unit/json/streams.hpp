#pragma once

#include <cstdint>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "json/framing.hpp"
#include "outlay/json.hpp"

namespace outlay_test {

inline std::string read_data(const std::string& name) {
  std::ifstream file(std::string(OUTLAY_TEST_DATA "/streams/") + name, std::ios::binary);
  if (!file) throw std::runtime_error("no test data: " + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void put_u32(std::string& out, std::uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift & 0xFFU);
}

/// One message of AWS's event stream, as its format is documented.
inline std::string event_message(const std::vector<std::pair<std::string, std::string>>& headers,
                                 const std::string& payload) {
  std::string head;
  for (const auto& [name, value] : headers) {
    head += static_cast<char>(name.size());
    head += name;
    head += '\7';
    head += static_cast<char>(value.size() >> 8);
    head += static_cast<char>(value.size() & 0xFFU);
    head += value;
  }
  std::string message;
  put_u32(message, static_cast<std::uint32_t>(16 + head.size() + payload.size()));
  put_u32(message, static_cast<std::uint32_t>(head.size()));
  put_u32(message, outlay::detail::crc32(message));
  message += head + payload;
  put_u32(message, outlay::detail::crc32(message));
  return message;
}

inline std::string event(const std::string& type, const std::string& payload) {
  return event_message({{":message-type", "event"}, {":event-type", type}, {":content-type", "application/json"}},
                       payload);
}

inline std::string bedrock_stream() {
  return event("messageStart", R"({"role":"assistant"})") +
         event("contentBlockDelta", R"({"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"thinking"}}})") +
         event("contentBlockStart", R"({"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t1","name":"f"}}})") +
         event("contentBlockDelta", R"({"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"a\":1}"}}})") +
         event("contentBlockDelta", R"({"contentBlockIndex":2,"delta":{"text":"Hi"}})") +
         event("messageStop", R"({"stopReason":"end_turn"})") +
         event(
             "metadata",
             R"({"metrics":{"latencyMs":8},"serviceTier":{"type":"flex"},"usage":{"inputTokens":30,"outputTokens":12,)"
             R"("totalTokens":5042,"cacheReadInputTokens":4000,"cacheReadInputTokenCount":4000,)"
             R"("cacheWriteInputTokens":1000,"cacheDetails":[{"ttl":"1h","inputTokens":600},{"ttl":"5m","inputTokens":400}]}})");
}

inline std::string bedrock_throttled() {
  return event("contentBlockDelta", R"({"contentBlockIndex":0,"delta":{"text":"Hi there"}})") +
         event_message({{":message-type", "exception"}, {":exception-type", "throttlingException"}},
                       R"({"message":"Too many tokens"})");
}

/// A stream and what must be read from it, however it is cut.
struct KnownStream {
  std::string name;
  outlay::Api api;
  std::string bytes;
  outlay::Usage usage;  // with output -1: what was counted
  bool estimated = false;
  std::string model;
  std::string service_tier{};
  std::optional<outlay::Usd> cost{};
  bool error = false;
};

inline std::vector<KnownStream> known_streams() {
  using outlay::Api;
  using outlay::Usd;
  const std::string gpt = "gpt-4o-2024-08-06";
  const std::string claude = "claude-sonnet-4-5-20250929";
  std::vector<KnownStream> streams{
      {"openai_chat.sse",
       Api::openai_chat,
       {},
       {.input = 388, .cache_read = 512, .output = 60, .reasoning = 16},
       false,
       gpt,
       "flex"},
      {"openai_chat_tools.sse", Api::openai_chat, {}, {.input = 70, .output = 21}, false, gpt},
      {"openai_chat_no_usage.sse", Api::openai_chat, {}, {.output = -1}, true, gpt},
      {"openai_chat_error.sse", Api::openai_chat, {}, {.output = -1}, true, gpt, {}, {}, true},
      {"openai_chat_two_choices.sse", Api::openai_chat, {}, {.input = 5, .output = 8}, false, gpt},
      {"azure_chat.sse", Api::azure_chat, {}, {.input = 31, .output = 6}, false, gpt},
      {"vllm_continuous.sse", Api::openai_compatible, {}, {.input = 12, .output = 3}, false, "local/qwen"},
      {"llama_cpp_timings.sse",
       Api::openai_compatible,
       {},
       {.input = 3, .cache_read = 20, .output = 5},
       false,
       "tiny.gguf"},
      {"mistral_chat.sse",
       Api::mistral_chat,
       {},
       {.input = 56, .cache_read = 64, .output = 9},
       false,
       "magistral-medium-latest"},
      {"deepseek_chat.sse",
       Api::deepseek_chat,
       {},
       {.input = 360, .cache_read = 640, .output = 500, .reasoning = 450},
       false,
       "deepseek-v4-pro"},
      {"xai_chat.sse",
       Api::xai_chat,
       {},
       {.input = 26, .cache_read = 6, .output = 103, .reasoning = 94},
       false,
       "grok-4.5",
       {},
       Usd::from_nanos(673'000)},
      {"openrouter_chat.sse",
       Api::openrouter_chat,
       {},
       {.input = 44, .cache_read = 100, .cache_write = 50, .output = 202, .reasoning = 100, .web_searches = 1},
       false,
       "anthropic/claude-sonnet-4.5",
       {},
       Usd::from_nanos(950'000)},
      {"openrouter_chat_error.sse", Api::openrouter_chat, {}, {.output = -1}, true, "m", {}, {}, true},
      {"openai_responses.sse",
       Api::openai_responses,
       {},
       {.input = 476,
        .cache_read = 1024,
        .cache_write = 1000,
        .cache_write_1h = 500,
        .output = 220,
        .reasoning = 200,
        .web_searches = 1},
       false,
       "gpt-5.6-2026-06-18",
       "default"},
      {"openai_responses_failed.sse",
       Api::openai_responses,
       {},
       {.output = -1},
       true,
       "gpt-5.6-2026-06-18",
       {},
       {},
       true},
      {"anthropic_messages.sse",
       Api::anthropic_messages,
       {},
       {.input = 25,
        .cache_read = 1000,
        .cache_write = 300,
        .cache_write_1h = 2000,
        .output = 420,
        .reasoning = 300,
        .web_searches = 2},
       false,
       claude,
       "standard"},
      {"anthropic_messages_error.sse",
       Api::anthropic_messages,
       {},
       {.input = 25, .cache_read = 1000, .output = -1},
       true,
       claude,
       {},
       {},
       true},
      {"anthropic_messages_compaction.sse", Api::anthropic_messages, {}, {.input = 110, .output = 45}, false, claude},
      {"gemini.sse",
       Api::gemini,
       {},
       {.input = 39,
        .cache_read = 8,
        .output = 71,
        .reasoning = 61,
        .input_audio = 12,
        .cache_read_audio = 8,
        .web_searches = 1},
       false,
       "gemini-2.5-flash",
       "standard"},
      {"gemini_array.json",
       Api::gemini,
       {},
       {.input = 39,
        .cache_read = 8,
        .output = 71,
        .reasoning = 61,
        .input_audio = 12,
        .cache_read_audio = 8,
        .web_searches = 1},
       false,
       "gemini-2.5-flash",
       "standard"},
      {"gemini_blocked.sse", Api::gemini, {}, {.input = 10}, false, "gemini-2.5-flash"},
      {"gemini_error.sse", Api::gemini, {}, {.input = 10, .output = -1}, true, "gemini-2.5-flash", {}, {}, true},
      {"ollama_chat.ndjson", Api::ollama_chat, {}, {.input = 26, .output = 237}, false, "qwen3:8b"},
      {"ollama_chat_error.ndjson", Api::ollama_chat, {}, {.output = -1}, true, "q", {}, {}, true},
      {"ollama_generate.ndjson", Api::ollama_generate, {}, {.input = 26, .output = 128}, false, "qwen3:8b"},
      {"cohere_chat.sse", Api::cohere_chat, {}, {.input = 2, .output = 9}, false, ""},
      {"cohere_chat_error.sse", Api::cohere_chat, {}, {.output = -1}, true, "", {}, {}, true},
  };
  for (KnownStream& stream : streams) stream.bytes = read_data(stream.name);
  streams.push_back({"bedrock",
                     Api::bedrock_converse,
                     bedrock_stream(),
                     {.input = 30, .cache_read = 4000, .cache_write = 400, .cache_write_1h = 600, .output = 12},
                     false,
                     "",
                     "flex"});
  streams.push_back(
      {"bedrock_throttled", Api::bedrock_converse, bedrock_throttled(), {.output = -1}, true, "", {}, {}, true});
  return streams;
}

}  // namespace outlay_test
