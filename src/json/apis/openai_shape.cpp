#include "openai_shape.hpp"

#include <algorithm>
#include <boost/json/array.hpp>

namespace json = boost::json;

namespace outlay::detail {

std::span<const PathRule> openai_chat_rules() noexcept {
  // openai@7.57.0 resources/chat/completions/completions.d.ts; reasoning by DeepSeek, xAI (reasoning_content), OpenRouter and vLLM
  // (reasoning); llama.cpp's timings as measured on its server.
  static constexpr PathRule rules[] = {
      {"choices", Field::choices},
      {"choices.*", Field::choice},
      {"choices.*.delta.content", Field::text},
      {"choices.*.delta.content.*.text", Field::text},  // Mistral's chunks
      {"choices.*.delta.content.*.thinking.*.text", Field::reasoning_text},
      {"choices.*.delta.refusal", Field::text},
      {"choices.*.delta.reasoning_content", Field::reasoning_text},
      {"choices.*.delta.reasoning", Field::reasoning_text},
      {"choices.*.delta.tool_calls.*", Field::tool},
      {"choices.*.delta.tool_calls.*.index", Field::tool_index},
      {"choices.*.delta.tool_calls.*.id", Field::tool_id},
      {"choices.*.delta.tool_calls.*.function.name", Field::tool_name},
      {"choices.*.delta.tool_calls.*.function.arguments", Field::tool_arguments},
      {"choices.*.delta.function_call.arguments", Field::tool_arguments},
      {"choices.*.delta.audio.transcript", Field::text},
      {"choices.*.finish_reason", Field::finish},
      {"choices.*.index", Field::choice_index},
      {"model", Field::model},
      {"usage.prompt_tokens", Field::input},
      {"usage.completion_tokens", Field::output},
      {"usage.total_tokens", Field::total},
      {"usage.prompt_tokens_details.cached_tokens", Field::cached},
      {"usage.prompt_tokens_details.cache_write_tokens", Field::cache_write},
      {"usage.prompt_tokens_details.audio_tokens", Field::input_audio},
      {"usage.prompt_tokens_details.image_tokens", Field::input_image},
      {"usage.completion_tokens_details.reasoning_tokens", Field::reasoning},
      {"usage.completion_tokens_details.audio_tokens", Field::output_audio},
      {"usage.completion_tokens_details.image_tokens", Field::output_image},
      {"service_tier", Field::service_tier},
      {"error", Field::error},
      {"error.code", Field::error_code},
      {"error.type", Field::error_type},
      {"timings.cache_n", Field::server_cached},
      {"timings.prompt_n", Field::server_input},
      {"timings.predicted_n", Field::server_output},
      {"choices.*.message.content", Field::text},
      {"choices.*.message.content.*.text", Field::text},
      {"choices.*.message.content.*.thinking.*.text", Field::reasoning_text},
      {"choices.*.message.refusal", Field::text},
      {"choices.*.message.reasoning_content", Field::reasoning_text},
      {"choices.*.message.reasoning", Field::reasoning_text},
      {"choices.*.message.tool_calls.*", Field::tool},
      {"choices.*.message.tool_calls.*.id", Field::tool_id},
      {"choices.*.message.tool_calls.*.function.name", Field::tool_name},
      {"choices.*.message.tool_calls.*.function.arguments", Field::tool_arguments},
      {"choices.*.message.function_call.arguments", Field::tool_arguments},
      {"choices.*.message.audio.transcript", Field::text},
      {"choices.*.text", Field::text},  // legacy completions
  };
  return rules;
}

Usage inclusive_usage(const Facts& facts, bool& doubt) {
  Usage usage;
  const std::int64_t prompt = facts.get(Field::input);
  const std::int64_t written = facts.get(Field::cache_write) + facts.get(Field::cache_write_1h);
  usage.cache_read = facts.get(Field::cached);
  usage.cache_write = facts.get(Field::cache_write);
  usage.cache_write_1h = facts.get(Field::cache_write_1h);
  if (usage.cache_read > prompt) {
    usage.input = prompt;  // the cached part cannot be inside: as if it were outside, the dearer reading
    doubt = true;
  } else {
    usage.input = prompt - usage.cache_read - written;
    if (usage.input < 0) usage.input = 0, doubt = true;
  }
  usage.output = facts.get(Field::output);
  usage.reasoning = facts.get(Field::reasoning);
  // xAI's chat reports reasoning beside the completion (@ai-sdk/xai, convertXaiChatUsage); its total then says so. Nowhere else can
  // reasoning exceed the completion that it is a part of.
  const bool beside = usage.reasoning > 0 && facts.has(Field::total) &&
                      facts.get(Field::total) == prompt + usage.output + usage.reasoning;
  if (beside || usage.reasoning > usage.output) {
    doubt = doubt || !beside;
    usage.output += usage.reasoning;
  }
  // Audio and images may overlap with the cached part: they are parts of what is left at most.
  usage.input_audio = std::min(facts.get(Field::input_audio), usage.input);
  usage.input_image = std::min(facts.get(Field::input_image), usage.input - usage.input_audio);
  usage.output_audio = std::min(facts.get(Field::output_audio), usage.output);
  usage.output_image = std::min(facts.get(Field::output_image), usage.output - usage.output_audio);
  usage.web_searches = facts.get(Field::web_searches);
  return usage;
}

void ask_openai_for_usage(json::object& request) { nested(request, "stream_options")["include_usage"] = true; }

void count_openai_messages(const json::object& request, InputCount& input) {
  // Each message is framed by about three tokens and each name by one more; the answer is primed by three (OpenAI's cookbook on
  // counting tokens). Tools and schemas are part of the prompt.
  if (const json::value* const messages = member(request, "messages"); messages != nullptr && messages->is_array()) {
    for (const json::value& message : messages->get_array()) {
      input.overhead(4);
      input.content(message);
    }
  }
  if (const json::value* const prompt = member(request, "prompt")) input.content(*prompt);
  for (const std::string_view key : {"tools", "functions", "response_format"})
    if (const json::value* const value = member(request, key)) {
      input.overhead(12);
      input.rendered(*value);
    }
  input.overhead(3);
}

void count_embeddings_input(const json::value& input, InputCount& count) {
  if (input.is_string()) {
    count.text(input.get_string());
  } else if (input.is_array()) {
    for (const json::value& inner : input.get_array()) {
      if (inner.is_number())
        count.overhead(1);  // a token's id: counted exactly
      else
        count_embeddings_input(inner, count);
    }
  } else if (input.is_object()) {
    count.content(input);
  }
}

const Paths& OpenAiShape::paths() const {
  static const Paths paths{openai_chat_rules()};
  return paths;
}

Usage OpenAiShape::usage(const Facts& facts, bool& doubt) const { return inclusive_usage(facts, doubt); }

void OpenAiShape::read_request(const json::object& request, RequestFacts& facts) const {
  facts.model = string_member(request, "model");
  // Both members at once are an error at OpenAI, and elsewhere one of them wins: the larger is the safe one.
  for (const std::string_view key : {"max_completion_tokens", "max_tokens"}) {
    const auto ceiling = integer_member(request, key);
    if (!ceiling || *ceiling < 0) continue;  // -1 is no ceiling at llama.cpp
    // 0 still yields a token at llama.cpp, and is an error elsewhere.
    facts.ceiling = std::max({facts.ceiling.value_or(1), *ceiling, std::int64_t{1}});
  }
  facts.choices = std::max<std::int64_t>(1, integer_member(request, "n").value_or(1));
  if (const auto best = integer_member(request, "best_of")) facts.choices = std::max(facts.choices, *best);
  facts.min_output = min_output();
  facts.service_tier = string_member(request, "service_tier");
  facts.stream = bool_member(request, "stream");
  if (const json::object* const options = object_member(request, "stream_options"))
    facts.asks_for_usage = bool_member(*options, "include_usage");
  find_cache_marks(member(request, "messages") ? *member(request, "messages") : json::value{}, facts);
  count_openai_messages(request, facts.input);
}

void OpenAiShape::write_ceiling(json::object& request, std::int64_t ceiling) const {
  bool written = false;
  for (const std::string_view key : {"max_completion_tokens", "max_tokens"})
    if (member(request, key) != nullptr) {
      write_number(request, key, ceiling);
      written = true;
    }
  if (!written) write_number(request, ceiling_member(), ceiling);
}

}  // namespace outlay::detail
