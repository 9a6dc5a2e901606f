#include <boost/json/value.hpp>

#include "openai_shape.hpp"

namespace json = boost::json;

namespace outlay::detail {

// Azure OpenAI: the shape of OpenAI's, at a deployment that the path (classic) or the body (v1) names.
class AzureChat final : public OpenAiShape {
 public:
  [[nodiscard]] const char* ceiling_member() const override { return "max_completion_tokens"; }
  [[nodiscard]] std::int64_t min_output() const override { return 16; }
  void ask_for_usage(json::object& request) const override { ask_openai_for_usage(request); }
  void write_model(json::object& request, std::string_view model) const override {
    // The classic path ignores the body's model: a body without one stays without.
    if (request.contains("model")) request["model"] = model;
  }
  [[nodiscard]] std::optional<ReplyVerdict> judge(int status, const json::value& body) const override {
    return azure_judges(status, body);
  }
};

template const Format& the_format<AzureChat>();

}  // namespace outlay::detail
