#include "define.hpp"
#include "openai_shape.hpp"

namespace json = boost::json;

namespace outlay::detail {

// cohere-ai@8.1.0, /v2/embed.
class CohereEmbed final : public Format {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule rules[] = {
        {"meta.billed_units", Field::usage},
        {"meta.billed_units.input_tokens", Field::input},
        {"meta.billed_units.image_tokens", Field::input_image},
        {"meta.billed_units.images", Field::ignored},  // by their tokens
        {"embeddings", Field::choices},
    };
    static const Paths& paths = *new Paths{rules};
    return paths;
  }
  [[nodiscard]] Report report(const Facts& facts) const override {
    const std::int64_t images = facts.get(Field::input_image);  // beside the text
    return {.usage = {.input = facts.get(Field::input) + images, .input_image = images}};
  }
  void read_request(const json::object& request, RequestFacts& facts) const override {
    facts.model = string_member(request, "model");
    facts.ceiling = 0;
    facts.fixed_ceiling = true;
    if (const json::value* const texts = member(request, "texts")) count_embeddings_input(*texts, facts.input);
    for (const std::string_view key : {"inputs", "images"})
      if (const json::value* const value = member(request, key)) facts.input.content(json::object{{key, *value}});
  }
  void write_ceiling(json::object&, std::int64_t) const override {}
};

template const Format& the_format<CohereEmbed>();

}  // namespace outlay::detail
