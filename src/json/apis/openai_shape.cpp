#include "openai_shape.hpp"

#include <algorithm>
#include <boost/json/array.hpp>

namespace json = boost::json;

namespace outlay::detail {

// openai@7.57.0 resources/chat/completions/completions.d.ts, and what hosts add to it:
// - caches: `cached_tokens` beside the details (Moonshot, Anthropic's own layer), prompt_cache_hit_tokens (DeepSeek), num_cached_tokens and
//   prompt_token_details (Mistral); what was written as Alibaba's DashScope, OpenRouter and LiteLLM's proxy name it, inside or beside them;
// - OpenRouter (@openrouter/sdk@1.3.19): `cost` in USD, and with a key of the caller's own (`is_byok`) what the provider behind it charged;
// - Perplexity (docs.perplexity.ai, "Chat Completions"): `cost` as an object, citations, searches and reasoning beside the totals;
// - DeepInfra: `estimated_cost`, which is what it bills.
// Counts that are parts of what is billed at one rate, and times, are named so that they are not reported as unread.
#define OUTLAY_CHAT_USAGE(at)                                                                                          \
  {at, Field::usage}, {at ".prompt_tokens", Field::input}, {at ".input_tokens", Field::input},                         \
      {at ".completion_tokens", Field::output}, {at ".output_tokens", Field::output},                                  \
      {at ".total_tokens", Field::total}, {at ".cached_tokens", Field::cached},                                        \
      {at ".num_cached_tokens", Field::cached}, {at ".prompt_cache_hit_tokens", Field::cached},                        \
      {at ".cache_read_input_tokens", Field::cached}, {at ".prompt_token_details.cached_tokens", Field::cached},       \
      {at ".cache_creation_input_tokens", Field::cache_write}, {at ".cache_creation_tokens", Field::cache_write},      \
      {at ".cache_write_tokens", Field::cache_write},                                                                  \
      {at ".cache_creation.ephemeral_5m_input_tokens", Field::cache_write_5m},                                         \
      {at ".cache_creation.ephemeral_1h_input_tokens", Field::cache_write_1h},                                         \
      OUTLAY_CHAT_PROMPT_DETAILS(at ".prompt_tokens_details"), OUTLAY_CHAT_PROMPT_DETAILS(at ".input_tokens_details"), \
      OUTLAY_CHAT_OUTPUT_DETAILS(at ".completion_tokens_details"),                                                     \
      OUTLAY_CHAT_OUTPUT_DETAILS(at ".output_tokens_details"), {at ".reasoning_tokens", Field::reasoning_beside},      \
      {at ".citation_tokens", Field::citations}, {at ".num_search_queries", Field::web_searches},                      \
      {at ".server_tool_use.web_search_requests", Field::web_searches},                                                \
      {at ".server_tool_use_details.web_search_requests", Field::web_searches},                                        \
      {at ".server_tool_use_details.tool_calls_requested", Field::ignored},                                            \
      {at ".server_tool_use_details.tool_calls_executed", Field::ignored},                                             \
      {at ".search_context_size", Field::search_size}, {at ".service_tier", Field::service_tier},                      \
      {at ".estimated_cost", Field::cost}, {at ".cost_in_usd_ticks", Field::cost_ticks}, OUTLAY_STATED_COST(at),       \
      {at ".prompt_cache_miss_tokens", Field::ignored}, {at ".prompt_audio_seconds", Field::heard},                    \
      {at ".queue_time", Field::ignored}, {at ".prompt_time", Field::ignored},                                         \
      {at ".completion_time", Field::ignored}, OUTLAY_SAMBANOVA_TIMES(at), {                                           \
    at ".total_time", Field::ignored                                                                                   \
  }
// docs.sambanova.ai, "Chat Completions": how long it took.
#define OUTLAY_SAMBANOVA_TIMES(at)                                                                                   \
  {at ".is_last_response", Field::ignored}, {at ".stop_reason", Field::ignored}, {at ".start_time", Field::ignored}, \
      {at ".end_time", Field::ignored}, {at ".time_to_first_token", Field::ignored},                                 \
      {at ".time_to_first_token_ms", Field::ignored}, {at ".total_latency", Field::ignored},                         \
      {at ".total_tokens_per_sec", Field::ignored}, {at ".completion_tokens_per_sec", Field::ignored},               \
      {at ".completion_tokens_after_first_per_sec", Field::ignored},                                                 \
      {at ".completion_tokens_after_first_per_sec_first_ten", Field::ignored},                                       \
      {at ".completion_tokens_after_first_per_sec_graph", Field::ignored}, {                                         \
    at ".acceptance_rate", Field::ignored                                                                            \
  }
#define OUTLAY_CHAT_PROMPT_DETAILS(at)                                                                   \
  {at ".cached_tokens", Field::cached}, {at ".cache_read_input_tokens", Field::cached},                  \
      {at ".cache_write_tokens", Field::cache_write}, {at ".cache_creation_tokens", Field::cache_write}, \
      {at ".cache_creation_input_tokens", Field::cache_write},                                           \
      {at ".cache_creation.ephemeral_5m_input_tokens", Field::cache_write_5m},                           \
      {at ".cache_creation.ephemeral_1h_input_tokens", Field::cache_write_1h},                           \
      {at ".cache_creation_token_details.ephemeral_5m_input_tokens", Field::cache_write_5m},             \
      {at ".cache_creation_token_details.ephemeral_1h_input_tokens", Field::cache_write_1h},             \
      {at ".audio_tokens", Field::input_audio}, {at ".image_tokens", Field::input_image},                \
      {at ".cached_tokens_details.audio_tokens", Field::cached_audio},                                   \
      {at ".cached_tokens_details.text_tokens", Field::ignored},                                         \
      {at ".cached_tokens_details.image_tokens", Field::ignored}, {at ".text_tokens", Field::ignored},   \
      {at ".video_tokens", Field::ignored}, {                                                            \
    at ".cache_type", Field::ignored                                                                     \
  }
#define OUTLAY_CHAT_OUTPUT_DETAILS(at)                                                   \
  {at ".reasoning_tokens", Field::reasoning}, {at ".audio_tokens", Field::output_audio}, \
      {at ".image_tokens", Field::output_image}, {at ".text_tokens", Field::ignored},    \
      {at ".accepted_prediction_tokens", Field::ignored}, {                              \
    at ".rejected_prediction_tokens", Field::ignored                                     \
  }

std::span<const PathRule> openai_chat_rules() noexcept {
  // Reasoning by DeepSeek, xAI (reasoning_content), OpenRouter and vLLM (reasoning), at OpenRouter in parts (reasoning_details), too, and at
  // times in these alone; llama.cpp's timings as measured on its server. Groq
  // reports a stream's usage below `x_groq`, Moonshot below the choice that it ends with. Perplexity's chunks have the whole answer so far
  // beside the delta.
  static constexpr PathRule rules[] = {
      {"choices", Field::choices},
      {"choices.*", Field::choice},
      {"choices.*.delta", Field::delta},
      {"choices.*.delta.content", Field::text},
      {"choices.*.delta.content.*.text", Field::text},  // Mistral's chunks
      {"choices.*.delta.content.*.thinking.*.text", Field::reasoning_text},
      {"choices.*.delta.refusal", Field::text},
      {"choices.*.delta.reasoning_content", Field::reasoning_text},
      {"choices.*.delta.reasoning", Field::reasoning_text},
      {"choices.*.delta.reasoning_details.*.text", Field::reasoning_again},
      {"choices.*.delta.reasoning_details.*.summary", Field::reasoning_again},
      {"choices.*.delta.tool_calls.*", Field::tool},
      {"choices.*.delta.tool_calls.*.index", Field::tool_index},
      {"choices.*.delta.tool_calls.*.id", Field::tool_id},
      {"choices.*.delta.tool_calls.*.function.name", Field::tool_name},
      {"choices.*.delta.tool_calls.*.function.arguments", Field::tool_arguments},
      {"choices.*.delta.tool_calls.*.custom.name", Field::tool_name},
      {"choices.*.delta.tool_calls.*.custom.input", Field::tool_arguments},
      {"choices.*.delta.function_call.arguments", Field::tool_arguments},
      {"choices.*.delta.audio.transcript", Field::text},
      {"choices.*.finish_reason", Field::finish},
      {"choices.*.index", Field::choice_index},
      {"model", Field::model},
      OUTLAY_CHAT_USAGE("usage"),
      OUTLAY_CHAT_USAGE("x_groq.usage"),
      OUTLAY_CHAT_USAGE("choices.*.usage"),
      {"x_groq.error", Field::error},
      {"service_tier", Field::service_tier},
      {"error", Field::error},
      {"error.code", Field::error_code},
      {"error.type", Field::error_type},
      // Without an object of their own: vLLM's earlier errors and Mistral's (docs.mistral.ai, "Errors").
      {"message", Field::error},
      {"code", Field::error_code},
      {"type", Field::error_type},
      {"timings.cache_n", Field::server_cached},
      {"timings.prompt_n", Field::server_input},
      {"timings.predicted_n", Field::server_output},
      OUTLAY_INVOCATION_METRICS,
      {"choices.*.message", Field::whole},
      {"choices.*.message.content", Field::text},
      {"choices.*.message.content.*.text", Field::text},
      {"choices.*.message.content.*.thinking.*.text", Field::reasoning_text},
      {"choices.*.message.refusal", Field::text},
      {"choices.*.message.reasoning_content", Field::reasoning_text},
      {"choices.*.message.reasoning", Field::reasoning_text},
      {"choices.*.message.reasoning_details.*.text", Field::reasoning_again},
      {"choices.*.message.reasoning_details.*.summary", Field::reasoning_again},
      {"choices.*.message.tool_calls.*", Field::tool},
      {"choices.*.message.tool_calls.*.id", Field::tool_id},
      {"choices.*.message.tool_calls.*.function.name", Field::tool_name},
      {"choices.*.message.tool_calls.*.function.arguments", Field::tool_arguments},
      {"choices.*.message.tool_calls.*.custom.name", Field::tool_name},
      {"choices.*.message.tool_calls.*.custom.input", Field::tool_arguments},
      {"choices.*.message.function_call.arguments", Field::tool_arguments},
      {"choices.*.message.audio.transcript", Field::text},
      {"choices.*.text", Field::text},  // legacy completions
  };
  return rules;
}

#undef OUTLAY_CHAT_USAGE
#undef OUTLAY_SAMBANOVA_TIMES
#undef OUTLAY_CHAT_PROMPT_DETAILS
#undef OUTLAY_CHAT_OUTPUT_DETAILS

std::int64_t written_in_all(const Facts& facts) noexcept {
  return std::max(facts.get(Field::cache_write), facts.get(Field::cache_write_5m) + facts.get(Field::cache_write_1h));
}

bool is_metered(const Facts& facts) noexcept {
  return !facts.has(Field::input) && !facts.has(Field::output) && !facts.has(Field::total) &&
         (facts.has(Field::metered_input) || facts.has(Field::metered_output));
}

Usage metered_usage(const Facts& facts) noexcept {
  return {.input = facts.get(Field::metered_input),
          .cache_read = facts.get(Field::metered_cached),
          .cache_write = facts.get(Field::metered_written),
          .output = facts.get(Field::metered_output)};
}

Report inclusive_report(const Facts& facts) {
  Report report;
  if (is_metered(facts)) {
    report.usage = metered_usage(facts);
    report_tools(facts, report.usage);
    return report;
  }
  Usage& usage = report.usage;
  const bool has_total = facts.has(Field::total);
  const std::int64_t total = facts.get(Field::total);
  std::int64_t prompt = facts.get(Field::input);
  std::int64_t completion = facts.get(Field::output);
  // What one of three counts leaves out, the other two say. A total alone is input, as embeddings report it; of an answer nothing is known
  // then.
  if (!facts.has(Field::input) && !facts.has(Field::output)) {
    prompt = total;
    report.doubt = true;
  } else if (!facts.has(Field::input)) {
    prompt = std::max<std::int64_t>(0, total - completion);
  } else if (!facts.has(Field::output)) {
    completion = std::max<std::int64_t>(0, total - prompt);
  }

  const std::int64_t cached = facts.get(Field::cached);
  const std::int64_t written = written_in_all(facts);
  const std::int64_t reasoning = std::max(facts.get(Field::reasoning), facts.get(Field::reasoning_beside));
  // Portkey passes on Anthropic's counts, whose input is without the cache, and its total adds up all of them (Portkey-AI/gateway,
  // src/providers/anthropic/chatComplete.ts).
  const bool beside_prompt = has_total && facts.has(Field::input) && facts.has(Field::output) && cached + written > 0 &&
                             total == prompt + completion + cached + written && reasoning != cached + written;
  if (beside_prompt || cached > prompt || written > prompt) {
    usage.input = prompt;  // if nothing says that they are beside it, they cannot be inside: the dearer reading
    usage.cache_read = cached;
    usage.cache_write = written;
    report.doubt = !beside_prompt;
  } else {
    // Where both name the same tokens, as OpenRouter does for Gemini's cache, they are a part of the prompt once: as written, which is
    // dearer.
    report.doubt |= cached + written > prompt;
    usage.cache_write = written;
    usage.input = prompt - (cached + written > prompt ? std::max(cached, written) : cached + written);
    usage.cache_read = prompt - written - usage.input;
  }
  usage.cache_write_1h = std::min(facts.get(Field::cache_write_1h), usage.cache_write);
  usage.cache_write -= usage.cache_write_1h;
  usage.input += facts.get(Field::citations);

  const bool perplexity = facts.has(Field::citations) || facts.has(Field::web_searches);
  // xAI's chat reports reasoning beside the completion (@ai-sdk/xai, convertXaiChatUsage); its total then says so. So does Perplexity's deep
  // research, whose total does not. Nowhere else can reasoning exceed the completion that it is a part of.
  const bool beside = reasoning > 0 && ((has_total && total == prompt + completion + reasoning) ||
                                        (facts.has(Field::reasoning_beside) && perplexity));
  usage.output = completion;
  usage.reasoning = reasoning;
  if (beside || reasoning > completion) {
    report.doubt |= !beside;
    usage.output += reasoning;
  }
  // What a total has beyond its parts: Mistral's Voxtral counts a prompt's sound there alone, beside its seconds (docs.mistral.ai, "Audio &
  // Transcription"); otherwise it was generated, as Google's layer counts a model's thoughts.
  const std::int64_t rest = total - prompt - completion;
  const bool has_rest = has_total && facts.has(Field::input) && facts.has(Field::output) && !beside && rest > 0 &&
                        rest != cached + written && rest != facts.get(Field::citations);
  std::int64_t sound = facts.get(Field::input_audio);
  if (has_rest && facts.heard) {
    usage.input += rest;
    sound = std::max(sound, rest);
  } else if (has_rest && usage.output < total - prompt) {
    usage.output = total - prompt;
    usage.reasoning = std::max(usage.reasoning, rest);
    report.doubt = true;
  }
  // Audio and images may overlap with the cached part, of which its own details may say so: they are parts of what is left at most.
  usage.cache_read_audio = std::min(facts.get(Field::cached_audio), usage.cache_read);
  sound = std::max<std::int64_t>(0, sound - usage.cache_read_audio);
  usage.input_audio = std::min(sound, usage.input);
  usage.input_image = std::min(facts.get(Field::input_image), usage.input - usage.input_audio);
  usage.output_audio = std::min(facts.get(Field::output_audio), usage.output);
  usage.output_image = std::min(facts.get(Field::output_image), usage.output - usage.output_audio);
  report_tools(facts, usage);
  return report;
}

void report_tools(const Facts& facts, Usage& usage) {
  // What a reply counts is what it bills; its list of what was done is for replies that do not.
  usage.web_searches = facts.get(facts.has(Field::web_searches) ? Field::web_searches : Field::search_items);
  const bool files_counted = facts.has(Field::file_searches) || facts.has(Field::document_searches);
  usage.file_searches = files_counted ? facts.get(Field::file_searches) + facts.get(Field::document_searches)
                                      : facts.get(Field::file_items);
  usage.code_sessions = facts.has(Field::code_sessions) ? facts.get(Field::code_sessions)
                                                        : static_cast<std::int64_t>(facts.containers.size());
  usage.other_tools = facts.get(Field::other_tools);
}

std::optional<ReplyVerdict> azure_judges(int status, const json::value& body) {
  // A prompt that the content filter stops, or that exceeds the model's input, has been read: its input is billed (learn.microsoft.com,
  // "Content filtering", and the filter's `innererror`).
  if (status != 400 || !body.is_object()) return std::nullopt;
  const json::value* const error = body.get_object().if_contains("error");
  if (error == nullptr || !error->is_object()) return std::nullopt;
  const json::value* const code = error->get_object().if_contains("code");
  const std::string_view name =
      code != nullptr && code->is_string() ? std::string_view(code->get_string()) : std::string_view{};
  if (name == "content_filter" || name == "context_length_exceeded" || error->get_object().contains("innererror"))
    return ReplyVerdict::input_charged;
  return std::nullopt;
}

void ask_openai_for_usage(json::object& request) { nested(request, "stream_options")["include_usage"] = true; }

void count_openai_messages(const json::object& request, InputCount& input) {
  // Each message is framed by about three tokens and each name by one more; the answer is primed by three (OpenAI's cookbook on
  // counting tokens). Tools and schemas are part of the prompt.
  if (const json::value* const messages = member(request, "messages"); messages != nullptr && messages->is_array()) {
    input.own_prompt();
    for (const json::value& message : messages->get_array()) {
      input.overhead(4);
      input.content(message);
    }
  }
  for (const std::string_view key : {"prompt", "suffix"})
    if (const json::value* const text = member(request, key)) count_embeddings_input(*text, input);
  if (const json::value* const documents = member(request, "documents")) input.content(*documents);  // vLLM
  for (const std::string_view key : {"functions", "response_format"})
    if (const json::value* const value = member(request, key)) {
      input.overhead(12);
      input.schema(*value);
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
  static const Paths& paths = *new Paths{openai_chat_rules()};
  return paths;
}

Report OpenAiShape::report(const Facts& facts) const { return inclusive_report(facts); }

void OpenAiShape::read_request(const json::object& request, RequestFacts& facts) const {
  facts.model = string_member(request, "model");
  // Both members at once are an error at OpenAI, and elsewhere one of them wins: the larger is the safe one.
  facts.ceiling_name = ceiling_member();
  for (const char* const key : {"max_completion_tokens", "max_tokens"}) {
    const auto ceiling = integer_member(request, key);
    if (ceiling) facts.ceiling_name = key;
    if (!ceiling || *ceiling < 0) continue;  // -1 is no ceiling at llama.cpp
    // 0 still yields a token at llama.cpp, and is an error elsewhere.
    facts.ceiling = std::max({facts.ceiling.value_or(1), *ceiling, std::int64_t{1}});
  }
  facts.choices = std::max<std::int64_t>(1, integer_member(request, "n").value_or(1));
  if (const auto best = integer_member(request, "best_of")) facts.choices = std::max(facts.choices, *best);
  // Legacy completions: each of several prompts is answered.
  if (const json::value* const prompt = member(request, "prompt"); prompt && prompt->is_array()) {
    const json::array& prompts = prompt->get_array();
    const bool one = prompts.empty() || prompts.front().is_number();  // of token ids
    if (!one && facts.choices <= 1'024) facts.choices *= static_cast<std::int64_t>(prompts.size());
  }
  facts.min_output = min_output();
  facts.service_tier = string_member(request, "service_tier");
  facts.stream = bool_member(request, "stream");
  if (const json::object* const options = object_member(request, "stream_options"))
    facts.asks_for_usage = bool_member(*options, "include_usage");
  facts.input.count_for(facts.model);
  if (const json::value* const tools = member(request, "tools")) facts.open_input |= facts.input.tools(*tools);
  // What is found on the web becomes input: OpenAI's search models, OpenRouter's plugin and variant.
  if (member(request, "web_search_options") != nullptr || member(request, "plugins") != nullptr ||
      facts.model.ends_with(":online")) {
    facts.open_input = true;
    facts.web_searches = 1;
  }
  // Perplexity searches for each answer; for its deep research as often as it sees fit, and bills what it reads (docs.perplexity.ai, "Pricing").
  // Alibaba's models and xAI's live search are asked to.
  const std::size_t slash = facts.model.rfind('/');
  const std::string_view name = std::string_view(facts.model).substr(slash == facts.model.npos ? 0 : slash + 1);
  if (name.starts_with("sonar")) {
    facts.open_input |= name.find("deep-research") != name.npos;
    facts.web_searches = 1;
  }
  if (const json::value* const asked = member(request, "enable_search"); asked != nullptr && *asked == true) {
    facts.open_input = true;
    facts.web_searches = 1;
  }
  if (const json::object* const search = object_member(request, "search_parameters");
      search != nullptr && string_member(*search, "mode") != "off") {
    facts.open_input = true;
    // "The default is 20" (docs.x.ai, "Live Search").
    facts.web_searches =
        std::clamp<std::int64_t>(integer_member(*search, "max_search_results").value_or(20), 1, 100'000);
  }
  // Input that the request does not show: Azure's own data, OpenRouter's presets; Groq's compound systems call tools and models that no
  // request lists.
  find_open_input(request, {"data_sources", "preset"}, facts);
  facts.open_input |= facts.model.starts_with("@preset/") || facts.model.find("compound") != facts.model.npos;
  if (const json::value* const messages = member(request, "messages")) find_cache_marks(*messages, facts);
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
