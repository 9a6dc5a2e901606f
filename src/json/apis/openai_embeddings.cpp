#include <algorithm>

#include "openai_shape.hpp"

namespace outlay::detail {

// openai@7.57.0 resources/embeddings.d.ts: there is no output, and nothing to clamp.
class OpenAiEmbeddings final : public Format {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule rules[] = {
        {"model", Field::model},
        {"usage", Field::usage},
        {"usage.prompt_tokens", Field::input},
        {"usage.input_tokens", Field::input},
        {"usage.total_tokens", Field::total},  // alone at Voyage
        {"usage.prompt_tokens_details.image_tokens", Field::input_image},
        {"usage.prompt_tokens_details.text_tokens", Field::ignored},
        // Voyage's parts of the total (docs.voyageai.com, "Multimodal embeddings").
        {"usage.text_tokens", Field::ignored},
        {"usage.image_pixels", Field::ignored},
        {"usage.video_pixels", Field::ignored},
        OUTLAY_STATED_COST("usage"),
        {"usage.estimated_cost", Field::cost},
        {"error", Field::error},
        {"error.code", Field::error_code},
        {"error.type", Field::error_type},
        {"data", Field::choices},
    };
    static const Paths& paths = *new Paths{rules};
    return paths;
  }
  [[nodiscard]] Report report(const Facts& facts) const override {
    const std::int64_t input = facts.get(facts.has(Field::input) ? Field::input : Field::total);
    return {.usage = {.input = input, .input_image = std::min(facts.get(Field::input_image), input)}};
  }
  void read_request(const boost::json::object& request, RequestFacts& facts) const override {
    facts.model = string_member(request, "model");
    facts.ceiling = 0;
    facts.fixed_ceiling = true;
    if (const boost::json::value* const input = member(request, "input")) count_embeddings_input(*input, facts.input);
  }
  void write_ceiling(boost::json::object&, std::int64_t) const override {}
};

template const Format& the_format<OpenAiEmbeddings>();

}  // namespace outlay::detail
