#include <boost/json/value.hpp>

#include "openai_shape.hpp"

namespace json = boost::json;

namespace outlay::detail {

// Azure OpenAI: the shape of OpenAI's, at a deployment that the path (classic) or the body (v1) names.
class AzureChat final : public OpenAiShape {
 public:
  [[nodiscard]] std::string_view ceiling_member() const override { return "max_completion_tokens"; }
  [[nodiscard]] std::int64_t min_output() const override { return 16; }
  void ask_for_usage(json::object& request) const override { ask_openai_for_usage(request); }
  void write_model(json::object& request, std::string_view model) const override {
    // The classic path ignores the body's model: a body without one stays without.
    if (request.contains("model")) request["model"] = model;
  }
  [[nodiscard]] std::optional<ReplyVerdict> judge(int status, const json::value& body) const override {
    // A prompt that the content filter stops, or that exceeds the model's input, has been read: its input is billed.
    if (status == 400 && body.is_object()) {
      const json::value* const error = body.get_object().if_contains("error");
      if (error != nullptr && error->is_object()) {
        const json::value* const code = error->get_object().if_contains("code");
        const std::string_view name =
            code != nullptr && code->is_string() ? std::string_view(code->get_string()) : std::string_view{};
        if (name == "content_filter" || name == "context_length_exceeded" || error->get_object().contains("innererror"))
          return ReplyVerdict::input_charged;
      }
    }
    return std::nullopt;
  }
};

template const Format& the_format<AzureChat>();

}  // namespace outlay::detail
