#include <boost/json/array.hpp>

#include "gemini.hpp"

namespace json = boost::json;

namespace outlay::detail {

// embedContent and batchEmbedContents. Usage is often absent: then the estimate is booked.
class GeminiEmbeddings final : public Format {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule rules[] = {
        {"usageMetadata", Field::usage},
        {"usageMetadata.promptTokenCount", Field::input},
        {"usageMetadata.totalTokenCount", Field::total},
        {"usageMetadata.promptTokenDetails", Field::modalities_input},
        {"usageMetadata.promptTokenDetails.*", Field::entry},
        {"usageMetadata.promptTokenDetails.*.modality", Field::label},
        {"usageMetadata.promptTokenDetails.*.tokenCount", Field::entry_count},
        {"embedding", Field::choices},
        {"embeddings", Field::choices},
        {"error", Field::error},
        {"error.code", Field::error_code},
        {"error.status", Field::error_type},
    };
    static const Paths& paths = *new Paths{rules};
    return paths;
  }
  [[nodiscard]] Report report(const Facts& facts) const override {
    Report report;
    Usage& usage = report.usage;
    usage.input = facts.get(facts.has(Field::input) ? Field::input : Field::total);
    usage.input_audio = facts.get(Field::input_audio);
    usage.input_image = facts.get(Field::input_image);
    if (usage.input_audio + usage.input_image > usage.input) {
      usage.input_audio = usage.input_image = 0;
      report.doubt = true;
    }
    return report;
  }
  void entry(Facts& facts) const override { gemini_modality(facts); }
  void read_request(const json::object& request, RequestFacts& facts) const override {
    facts.model = string_member(request, "model");
    facts.ceiling = 0;
    facts.fixed_ceiling = true;
    if (const json::value* const content = member(request, "content")) facts.input.content(*content);
    const json::value* const requests = member(request, "requests");
    if (requests == nullptr || !requests->is_array()) return;
    for (const json::value& one : requests->get_array()) {
      if (!one.is_object()) continue;
      if (facts.model.empty()) facts.model = string_member(one.get_object(), "model");
      if (const json::value* const content = member(one.get_object(), "content")) facts.input.content(*content);
    }
  }
  void write_ceiling(json::object&, std::int64_t) const override {}
  void write_model(json::object& request, std::string_view model) const override {
    if (request.contains("model")) request["model"] = model;
    json::value* const requests = request.if_contains("requests");
    if (requests == nullptr || !requests->is_array()) return;
    for (json::value& one : requests->get_array())
      if (one.is_object() && one.get_object().contains("model")) one.get_object()["model"] = model;
  }
};

template const Format& the_format<GeminiEmbeddings>();

}  // namespace outlay::detail
