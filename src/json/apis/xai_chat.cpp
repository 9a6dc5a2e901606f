#include "openai_shape.hpp"

namespace outlay::detail {

// The shape of OpenAI's, but for reasoning beside the completion, and the exact charge in ticks of 10^-10 USD (@ai-sdk/xai).
class XaiChat final : public OpenAiShape {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule own[] = {
        {"usage.cost_in_usd_ticks", Field::cost_ticks},
        {"usage.server_side_tool_usage_details.web_search_calls", Field::web_searches},
    };
    static const Paths paths{openai_chat_rules(), own};
    return paths;
  }
  [[nodiscard]] Usage usage(const Facts& facts, bool& doubt) const override {
    Usage usage = inclusive_usage(facts, doubt);
    // Without a total that says otherwise the reasoning is beside the completion.
    if (!facts.has(Field::total) && usage.reasoning <= facts.get(Field::output)) usage.output += usage.reasoning;
    return usage;
  }
  void ask_for_usage(boost::json::object& request) const override { ask_openai_for_usage(request); }
};

template const Format& the_format<XaiChat>();

}  // namespace outlay::detail
