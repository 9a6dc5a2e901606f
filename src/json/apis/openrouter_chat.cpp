#include "openai_shape.hpp"

namespace outlay::detail {

// @openrouter/sdk@1.3.19. Usage comes unasked and carries the charge in USD.
class OpenRouterChat final : public OpenAiShape {
 public:
  void read_request(const boost::json::object& request, RequestFacts& facts) const override {
    OpenAiShape::read_request(request, facts);
    // A list of fallbacks names no model of its own: the first is tried first.
    const boost::json::value* const models = member(request, "models");
    if (facts.model.empty() && models != nullptr && models->is_array() && !models->get_array().empty() &&
        models->get_array().front().is_string())
      facts.model = models->get_array().front().get_string();
  }
  void write_model(boost::json::object& request, std::string_view model) const override {
    request["model"] = model;
    // Fallbacks could be dearer than what was admitted.
    request.erase("models");
  }
  [[nodiscard]] std::int64_t min_output() const override { return 16; }  // "some providers enforce a minimum of 16"
};

template const Format& the_format<OpenRouterChat>();

}  // namespace outlay::detail
