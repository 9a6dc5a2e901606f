#include "gemini.hpp"

#include <algorithm>
#include <boost/json/array.hpp>

namespace json = boost::json;

namespace outlay::detail {

// proto3's JSON takes both spellings of a member; which one a request uses is kept.
std::string_view gemini_spelling(const json::object& object, std::string_view camel, std::string_view snake) {
  return member(object, camel) == nullptr && member(object, snake) != nullptr ? snake : camel;
}

void gemini_modality(Facts& facts) {
  const bool audio = facts.label == "AUDIO";
  const bool image = facts.label == "IMAGE";
  if (facts.list == Field::modalities_input && audio) facts.add(Field::input_audio, facts.entry_count);
  if (facts.list == Field::modalities_input && image) facts.add(Field::input_image, facts.entry_count);
  if (facts.list == Field::modalities_cached && audio) facts.add(Field::cached_audio, facts.entry_count);
  if (facts.list == Field::modalities_output && audio) facts.add(Field::output_audio, facts.entry_count);
  if (facts.list == Field::modalities_output && image) facts.add(Field::output_image, facts.entry_count);
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
        {"candidates.*.groundingMetadata.webSearchQueries", Field::searches},
        {"candidates.*.groundingMetadata.webSearchQueries.*", Field::web_searches},
        {"promptFeedback.blockReason", Field::finish},
        {"modelVersion", Field::model},
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
        {"error", Field::error},
        {"error.code", Field::error_code},
        {"error.status", Field::error_type},
    };
    static const Paths paths{rules};
    return paths;
  }

  [[nodiscard]] Usage usage(const Facts& facts, bool& doubt) const override {
    Usage usage;
    const std::int64_t prompt = facts.get(Field::input) + facts.get(Field::tool_input);
    usage.cache_read = facts.get(Field::cached);
    usage.input = prompt - usage.cache_read;
    if (usage.input < 0) usage.input = prompt, doubt = true;
    usage.reasoning = facts.get(Field::reasoning);  // beside the candidates
    usage.output = facts.get(Field::output) + usage.reasoning;
    // The prompt's modalities include the cached ones.
    usage.cache_read_audio = std::min(facts.get(Field::cached_audio), usage.cache_read);
    usage.input_audio =
        std::clamp<std::int64_t>(facts.get(Field::input_audio) - usage.cache_read_audio, 0, usage.input);
    usage.input_image = std::min(facts.get(Field::input_image), usage.input - usage.input_audio);
    usage.output_audio = std::min(facts.get(Field::output_audio), usage.output - usage.reasoning);
    usage.output_image = std::min(facts.get(Field::output_image), usage.output - usage.reasoning - usage.output_audio);
    // Grounding is billed by the request up to 2.x and by the query from 3 on.
    usage.web_searches = facts.get(Field::web_searches);
    const bool by_query =
        facts.model.find("gemini-3") != std::string::npos || facts.model.find("gemini-4") != std::string::npos;
    if (!by_query) usage.web_searches = std::min<std::int64_t>(usage.web_searches, 1);
    return usage;
  }

  void entry(Facts& facts) const override { gemini_modality(facts); }

  void event(Facts& facts, std::vector<Piece>&) const override {
    if (facts.type == "ON_DEMAND_PRIORITY") facts.service_tier = "priority";
    if (facts.type == "ON_DEMAND_FLEX") facts.service_tier = "flex";
  }

  void read_request(const json::object& request, RequestFacts& facts) const override {
    facts.model = string_member(request, "model");  // not on the wire, but some programs keep it here
    if (const json::object* const config = object_member(request, config_of(request))) {
      facts.ceiling = integer_member(*config, gemini_spelling(*config, "maxOutputTokens", "max_output_tokens"));
      facts.choices = std::max<std::int64_t>(
          1, integer_member(*config, gemini_spelling(*config, "candidateCount", "candidate_count")).value_or(1));
    }
    facts.service_tier = string_member(request, "serviceTier");
    facts.asks_for_usage = true;  // it comes unasked
    facts.input.overhead(4);
    for (const std::string_view key : {"systemInstruction", "system_instruction", "contents"})
      if (const json::value* const value = member(request, key)) {
        if (value->is_array()) facts.input.overhead(3 * static_cast<std::int64_t>(value->get_array().size()));
        facts.input.content(*value);
      }
    if (const json::value* const tools = member(request, "tools")) facts.input.rendered(*tools);
    if (const json::object* const config = object_member(request, config_of(request)))
      for (const std::string_view key : {"responseSchema", "responseJsonSchema", "response_schema"})
        if (const json::value* const schema = member(*config, key)) facts.input.rendered(*schema);
  }

  void write_ceiling(json::object& request, std::int64_t ceiling) const override {
    json::object& config = nested(request, config_of(request));
    write_number(config, gemini_spelling(config, "maxOutputTokens", "max_output_tokens"), ceiling);
  }

  void write_model(json::object& request, std::string_view model) const override {
    if (request.contains("model")) request["model"] = model;
  }

 private:
  static std::string_view config_of(const json::object& request) {
    return gemini_spelling(request, "generationConfig", "generation_config");
  }
};

template const Format& the_format<Gemini>();

}  // namespace outlay::detail
