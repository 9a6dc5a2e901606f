#include "gemini.hpp"

#include <algorithm>
#include <boost/json/array.hpp>

#include "openai_shape.hpp"

namespace json = boost::json;

namespace outlay::detail {

// proto3's JSON takes both spellings of a member; which one a request uses is kept.
std::string_view gemini_spelling(const json::object& object, std::string_view camel, std::string_view snake) {
  return member(object, camel) == nullptr && member(object, snake) != nullptr ? snake : camel;
}

void gemini_modality(Facts& facts) {
  // MediaModality of Vertex AI: an integer where enumerators are asked for as such.
  const bool audio = facts.label == "AUDIO" || facts.label == "audio" || facts.label == "4";
  const bool image = facts.label == "IMAGE" || facts.label == "image" || facts.label == "2";
  if (facts.list == Field::modalities_input && audio) facts.add(Field::input_audio, facts.entry_count);
  if (facts.list == Field::modalities_input && image) facts.add(Field::input_image, facts.entry_count);
  if (facts.list == Field::modalities_cached && audio) facts.add(Field::cached_audio, facts.entry_count);
  if (facts.list == Field::modalities_output && audio) facts.add(Field::output_audio, facts.entry_count);
  if (facts.list == Field::modalities_output && image) facts.add(Field::output_image, facts.entry_count);
}

#define OUTLAY_INTERACTION_USAGE(at)                                                                                 \
  {at, Field::usage}, {at ".total_input_tokens", Field::input}, {at ".total_output_tokens", Field::output},          \
      {at ".total_tokens", Field::total}, {at ".total_cached_tokens", Field::cached},                                \
      {at ".total_thought_tokens", Field::reasoning}, {at ".total_tool_use_tokens", Field::tool_input},              \
      OUTLAY_INTERACTION_MODALITIES(at ".input_tokens_by_modality", Field::modalities_input),                        \
      OUTLAY_INTERACTION_MODALITIES(at ".cached_tokens_by_modality", Field::modalities_cached),                      \
      OUTLAY_INTERACTION_MODALITIES(at ".output_tokens_by_modality", Field::modalities_output),                      \
      {at ".grounding_tool_count", Field::tool_counts}, {at ".grounding_tool_count.*", Field::entry},                \
      {at ".grounding_tool_count.*.type", Field::label}, {at ".grounding_tool_count.*.count", Field::entry_count}, { \
    at ".tool_use_tokens_by_modality.*.tokens", Field::ignored                                                       \
  }
#define OUTLAY_INTERACTION_MODALITIES(at, field) \
  {at, field}, {at ".*", Field::entry}, {at ".*.modality", Field::label}, { at ".*.tokens", Field::entry_count }

// What an interaction did, under its older and its newer name. A call of a search lists what it searched for, as calls of the program's own
// functions may list anything.
#define OUTLAY_INTERACTION_STEPS(at)                                                                               \
  {at, Field::output_items}, {at ".*", Field::entry}, {at ".*.type", Field::label}, {at ".*.text", Field::text}, { \
    at ".*.arguments.queries.*", Field::entry_query                                                                \
  }

// @google/genai@3.1.0 dist/genai.d.ts. A whole reply and a stream's chunks have one shape; counts are cumulative.
class Gemini final : public Format {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule rules[] = {
        {"candidates", Field::choices},
        {"candidates.*", Field::choice},
        {"candidates.*.index", Field::choice_index},
        {"candidates.*.finishReason", Field::finish},
        {"candidates.*.content.parts.*", Field::part},
        {"candidates.*.content.parts.*.text", Field::text},
        {"candidates.*.content.parts.*.thought", Field::thought},
        {"candidates.*.content.parts.*.functionCall", Field::tool},
        {"candidates.*.content.parts.*.functionCall.id", Field::tool_id},
        {"candidates.*.content.parts.*.functionCall.name", Field::tool_name},
        {"candidates.*.content.parts.*.functionCall.args", Field::tool_arguments},
        {"candidates.*.content.parts.*.executableCode.code", Field::tool_arguments},
        // Every query once over all candidates, and no empty one.
        {"candidates.*.groundingMetadata.webSearchQueries.*", Field::query},
        {"candidates.*.groundingMetadata.imageSearchQueries.*", Field::image_query},
        {"candidates.*.groundingMetadata.groundingChunks.*.maps", Field::maps},
        {"promptFeedback.blockReason", Field::finish},
        {"modelVersion", Field::model},
        {"usageMetadata", Field::usage},
        {"usageMetadata.promptTokenCount", Field::input},
        {"usageMetadata.candidatesTokenCount", Field::output},
        {"usageMetadata.totalTokenCount", Field::total},
        {"usageMetadata.cachedContentTokenCount", Field::cached},
        {"usageMetadata.thoughtsTokenCount", Field::reasoning},
        {"usageMetadata.toolUsePromptTokenCount", Field::tool_input},
        {"usageMetadata.serviceTier", Field::service_tier},
        {"usageMetadata.trafficType", Field::type},
        {"usageMetadata.promptTokensDetails", Field::modalities_input},
        {"usageMetadata.promptTokensDetails.*", Field::entry},
        {"usageMetadata.promptTokensDetails.*.modality", Field::label},
        {"usageMetadata.promptTokensDetails.*.tokenCount", Field::entry_count},
        {"usageMetadata.cacheTokensDetails", Field::modalities_cached},
        {"usageMetadata.cacheTokensDetails.*", Field::entry},
        {"usageMetadata.cacheTokensDetails.*.modality", Field::label},
        {"usageMetadata.cacheTokensDetails.*.tokenCount", Field::entry_count},
        {"usageMetadata.candidatesTokensDetails", Field::modalities_output},
        {"usageMetadata.candidatesTokensDetails.*", Field::entry},
        {"usageMetadata.candidatesTokensDetails.*.modality", Field::label},
        {"usageMetadata.candidatesTokensDetails.*.tokenCount", Field::entry_count},
        // Counted in toolUsePromptTokenCount and thoughtsTokenCount, whatever they are made of.
        {"usageMetadata.toolUsePromptTokensDetails.*.modality", Field::ignored},
        {"usageMetadata.toolUsePromptTokensDetails.*.tokenCount", Field::ignored},
        {"usageMetadata.thoughtsTokensDetails.*.modality", Field::ignored},
        {"usageMetadata.thoughtsTokensDetails.*.tokenCount", Field::ignored},
        {"error", Field::error},
        {"error.code", Field::error_code},
        {"error.status", Field::error_type},
        // Interactions: the same counts under other names, in the reply and in a stream's last event.
        {"model", Field::model},
        {"status", Field::status},
        OUTLAY_INTERACTION_STEPS("outputs"),
        OUTLAY_INTERACTION_STEPS("steps"),
        {"delta.text", Field::text},
        {"delta.type", Field::label},
        {"delta", Field::tool},
        {"delta.id", Field::tool_id},
        {"delta.name", Field::tool_name},
        {"delta.arguments", Field::tool_arguments},
        {"event_type", Field::type},
        OUTLAY_INTERACTION_USAGE("usage"),
        OUTLAY_INTERACTION_USAGE("interaction.usage"),
        {"interaction.model", Field::model},
    };
    static const Paths& paths = *new Paths{rules};
    return paths;
  }

  [[nodiscard]] Report report(const Facts& facts) const override {
    Report report;
    Usage& usage = report.usage;
    const bool has_total = facts.has(Field::total);
    const std::int64_t total = facts.get(Field::total);
    const std::int64_t prompt = facts.get(Field::input) + facts.get(Field::tool_input);
    usage.cache_read = facts.get(Field::cached);
    usage.input = prompt - usage.cache_read;
    if (usage.input < 0) {
      usage.input = prompt;
      report.doubt = true;
    }
    // Thoughts are beside the candidates, but where the total says that they are inside, as Vertex has reported them.
    std::int64_t candidates = facts.get(Field::output);
    usage.reasoning = facts.get(Field::reasoning);
    const bool inside =
        has_total && usage.reasoning > 0 && usage.reasoning <= candidates && total == prompt + candidates;
    if (!facts.has(Field::output) && !facts.has(Field::reasoning) && total > prompt) candidates = total - prompt;
    usage.output = candidates + (inside ? 0 : usage.reasoning);
    if (const std::int64_t rest = total - prompt - usage.output; has_total && facts.has(Field::input) && rest > 0) {
      usage.output += rest;  // thoughts that the total alone counts
      usage.reasoning += rest;
      report.doubt = true;
    }
    // The prompt's modalities include the cached ones.
    usage.cache_read_audio = std::min(facts.get(Field::cached_audio), usage.cache_read);
    usage.input_audio =
        std::clamp<std::int64_t>(facts.get(Field::input_audio) - usage.cache_read_audio, 0, usage.input);
    usage.input_image = std::min(facts.get(Field::input_image), usage.input - usage.input_audio);
    usage.output_audio = std::min(facts.get(Field::output_audio), usage.output - usage.reasoning);
    usage.output_image = std::min(facts.get(Field::output_image), usage.output - usage.reasoning - usage.output_audio);
    // Grounding is billed by the request up to 2.x and by the query from 3 on (ai.google.dev, "Gemini API pricing").
    report_tools(facts, usage);
    // A name without a number, as "gemini-flash-latest", does not say which it is; the one that was asked may.
    const auto numbered = [](const std::string& name) {
      const std::size_t at = name.find("gemini-");
      return at != std::string::npos && at + 7 < name.size() && name[at + 7] >= '0' && name[at + 7] <= '9';
    };
    const std::string& name = numbered(facts.model) ? facts.model : facts.admitted_model;
    const bool by_request = name.find("gemini-1") != std::string::npos || name.find("gemini-2") != std::string::npos;
    if (by_request) usage.web_searches = std::min<std::int64_t>(usage.web_searches, 1);
    return report;
  }

  void entry(Facts& facts) const override {
    if (facts.list == Field::tool_counts) {
      // GroundingToolCount (googleapis.github.io/js-genai, Interactions.Usage): "google_search", "google_maps", "retrieval". The last has no
      // fee of its own that is published by the use.
      if (facts.label == "google_search") facts.add(Field::web_searches, facts.entry_count);
      if (facts.label == "google_maps") facts.add(Field::other_tools, facts.entry_count);
    } else if (facts.list == Field::output_items) {
      if (facts.label == search_call) facts.search_by_entry();
    } else {
      gemini_modality(facts);
    }
  }

  void event(Facts& facts, std::vector<Piece>&) const override {
    // TrafficType of Vertex AI, as a name or as an integer. What was bought beforehand has no price by the token.
    if (facts.type == "ON_DEMAND_PRIORITY" || facts.type == "3") facts.tier = "priority";
    if (facts.type == "ON_DEMAND_FLEX" || facts.type == "4") facts.tier = "flex";
    if (facts.type == "ON_DEMAND_OFFPEAK") facts.tier = "offpeak";
    if (facts.type == "PROVISIONED_THROUGHPUT" || facts.type == "2") facts.tier = "provisioned_throughput";
    if (facts.label == search_call) facts.search_by_entry();
    if (facts.type == "interaction.complete" || facts.type == "interaction.completed") facts.done = true;
  }

  void read_request(const json::object& request, RequestFacts& facts) const override {
    facts.model = string_member(request, "model");  // not on the wire, but some programs keep it here
    facts.ceiling_name = config_of(request) == "generation_config" ? "generation_config.max_output_tokens"
                                                                   : "generationConfig.maxOutputTokens";
    if (const json::object* const config = object_member(request, config_of(request))) {
      facts.ceiling = integer_member(*config, gemini_spelling(*config, "maxOutputTokens", "max_output_tokens"));
      facts.choices = std::max<std::int64_t>(
          1, integer_member(*config, gemini_spelling(*config, "candidateCount", "candidate_count")).value_or(1));
    }
    facts.service_tier = string_member(request, gemini_spelling(request, "serviceTier", "service_tier"));
    facts.asks_for_usage = true;  // it comes unasked
    facts.input.count_for(facts.model);
    facts.input.overhead(4);
    for (const std::string_view key : {"systemInstruction", "system_instruction", "contents"})
      if (const json::value* const value = member(request, key)) {
        if (value->is_array()) facts.input.overhead(3 * static_cast<std::int64_t>(value->get_array().size()));
        facts.input.content(*value);
      }
    if (const json::value* const tools = member(request, "tools")) {
      static_cast<void>(facts.input.tools(*tools));
      read_tools(*tools, facts);
    }
    for (const std::string_view key : {"cachedContent", "cached_content", "previous_interaction_id"})
      facts.open_input |= member(request, key) != nullptr;
    // Interactions.
    if (const json::value* const input = member(request, "input")) facts.input.content(*input);
    if (const json::value* const format = member(request, "response_format")) facts.input.schema(*format);
    find_open_input(request, {"agent"}, facts);
    if (const json::object* const config = object_member(request, config_of(request)))
      for (const std::string_view key :
           {"responseSchema", "responseJsonSchema", "response_schema", "response_json_schema"})
        if (const json::value* const schema = member(*config, key)) facts.input.schema(*schema);
  }

  void write_ceiling(json::object& request, std::int64_t ceiling) const override {
    json::object& config = nested(request, config_of(request));
    write_number(config, gemini_spelling(config, "maxOutputTokens", "max_output_tokens"), ceiling);
  }

  void write_model(json::object& request, std::string_view model) const override {
    if (request.contains("model")) request["model"] = model;
  }

 private:
  static constexpr std::string_view search_call = "google_search_call";

  // Everything but functions is run by the provider, and what it finds is input.
  static void read_tools(const json::value& tools, RequestFacts& facts) {
    if (!tools.is_array()) return;
    for (const json::value& tool : tools.get_array()) {
      if (!tool.is_object()) continue;
      bool searched = false, mapped = false;
      const json::value* const type = tool.get_object().if_contains("type");
      if (type != nullptr && *type == "function") continue;  // an interaction's
      for (const auto& [key, value] : tool.get_object()) {
        if (key == "functionDeclarations" || key == "function_declarations") continue;
        facts.open_input = true;
        if (key.starts_with("googleSearch") || key.starts_with("google_search")) searched = true;
        if (key == "googleMaps" || key == "google_maps") mapped = true;
        // Interactions name a tool by its type.
        if (key == "type" && value.is_string()) {
          searched |= value.get_string() == "google_search";
          mapped |= value.get_string() == "google_maps";
        }
      }
      // A use of Maps is not held by itself. Two searches cost as much at least: $0.028 and $0.07 against $0.025 (ai.google.dev, "Gemini API
      // pricing").
      facts.web_searches += (searched ? 1 : 0) + (mapped ? 2 : 0);
    }
  }

  static std::string_view config_of(const json::object& request) {
    return gemini_spelling(request, "generationConfig", "generation_config");
  }
};

#undef OUTLAY_INTERACTION_USAGE
#undef OUTLAY_INTERACTION_STEPS
#undef OUTLAY_INTERACTION_MODALITIES

template const Format& the_format<Gemini>();

}  // namespace outlay::detail
