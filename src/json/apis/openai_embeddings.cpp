#include "openai_shape.hpp"

namespace outlay::detail {

// openai@7.57.0 resources/embeddings.d.ts: there is no output, and nothing to clamp.
class OpenAiEmbeddings final : public Format {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule rules[] = {
        {"model", Field::model},  {"usage.prompt_tokens", Field::input}, {"usage.total_tokens", Field::total},
        {"error", Field::error},  {"error.code", Field::error_code},     {"error.type", Field::error_type},
        {"data", Field::choices},
    };
    static const Paths paths{rules};
    return paths;
  }
  [[nodiscard]] Usage usage(const Facts& facts, bool& doubt) const override {
    static_cast<void>(doubt);
    return {.input = facts.get(Field::input)};
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
