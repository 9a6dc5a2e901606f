#include "openai_shape.hpp"

namespace outlay::detail {

// The shape of OpenAI's, but for reasoning beside the completion, the exact charge in ticks of 10^-10 USD, and tools that are billed by use
// (@ai-sdk/xai; docs.x.ai, "Tools": web and X search, code, file search).
class XaiChat final : public OpenAiShape {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule own[] = {
        {"usage.server_side_tool_usage_details.web_search_calls", Field::web_searches},
        {"usage.server_side_tool_usage_details.x_search_calls", Field::other_tools},
        {"usage.server_side_tool_usage_details.code_interpreter_calls", Field::code_sessions},
        {"usage.server_side_tool_usage_details.file_search_calls", Field::file_searches},
        {"usage.server_side_tool_usage_details.document_search_calls", Field::document_searches},
        {"usage.server_side_tool_usage_details.mcp_calls", Field::ignored},  // by their tokens
        {"usage.num_server_side_tools_used", Field::ignored},                // their sum
        {"usage.num_sources_used", Field::search_items},
    };
    static const Paths& paths = *new Paths{openai_chat_rules(), own};
    return paths;
  }
  [[nodiscard]] Report report(const Facts& facts) const override {
    Report report = inclusive_report(facts);
    // Without a total that says otherwise the reasoning is beside the completion.
    if (!facts.has(Field::total) && report.usage.reasoning <= facts.get(Field::output))
      report.usage.output += report.usage.reasoning;
    return report;
  }
  void ask_for_usage(boost::json::object& request) const override { ask_openai_for_usage(request); }
};

template const Format& the_format<XaiChat>();

}  // namespace outlay::detail
