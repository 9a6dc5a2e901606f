#include <algorithm>

#include "define.hpp"

namespace json = boost::json;

namespace outlay::detail {

#define OUTLAY_COHERE_USAGE(at)                                                                                 \
  {at ".billed_units", Field::usage}, {at ".billed_units.input_tokens", Field::input},                          \
      {at ".billed_units.output_tokens", Field::output}, {at ".billed_units.search_units", Field::other_tools}, \
      {at ".tokens.input_tokens", Field::server_input}, {                                                       \
    at ".tokens.output_tokens", Field::server_output                                                            \
  }

// cohere-ai@8.1.0. `billed_units` is what is paid for and can be far from `tokens`. A reply has its usage at the root, `message-end`
// below `delta`.
class CohereChat final : public Format {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule rules[] = {
        {"type", Field::type},
        {"index", Field::tool_index},
        {"delta.message.content.text", Field::text},
        {"delta.message.content.thinking", Field::reasoning_text},
        {"delta.message.tool_plan", Field::text},
        {"delta.message.tool_calls", Field::tool},
        {"delta.message.tool_calls.id", Field::tool_id},
        {"delta.message.tool_calls.function.name", Field::tool_name},
        {"delta.message.tool_calls.function.arguments", Field::tool_arguments},
        {"delta.finish_reason", Field::finish},
        {"delta.error", Field::error},
        OUTLAY_COHERE_USAGE("delta.usage"),
        {"model", Field::model},
        {"message.content.*.text", Field::text},
        {"message.content.*.thinking", Field::reasoning_text},
        {"message.tool_plan", Field::text},
        {"message.tool_calls.*", Field::tool},
        {"message.tool_calls.*.id", Field::tool_id},
        {"message.tool_calls.*.function.name", Field::tool_name},
        {"message.tool_calls.*.function.arguments", Field::tool_arguments},
        {"message.content", Field::choices},
        {"finish_reason", Field::finish},
        OUTLAY_COHERE_USAGE("usage"),
        // The first version of the API: /v1/chat.
        {"event_type", Field::type},
        {"text", Field::text},
        {"is_finished", Field::done},
        OUTLAY_COHERE_USAGE("meta"),
        OUTLAY_COHERE_USAGE("response.meta"),
    };
    static const Paths& paths = *new Paths{rules};
    return paths;
  }

  [[nodiscard]] Report report(const Facts& facts) const override {
    // Without what is billed, what was counted says as much as there is to know.
    const bool is_billed = facts.has(Field::input) || facts.has(Field::output);
    Report report;
    report.usage.input = facts.get(is_billed ? Field::input : Field::server_input);
    report.usage.output = facts.get(is_billed ? Field::output : Field::server_output);
    report.usage.other_tools = facts.get(Field::other_tools);
    report.doubt = !is_billed;
    return report;
  }

  void event(Facts& facts, std::vector<Piece>& pieces) const override {
    if (facts.type == "stream-end") pieces.clear();
    if (facts.type != "message-end") return;
    pieces.clear();
    facts.done = !facts.error;
    if (facts.reported()) facts.final_usage = true;
  }

  void read_request(const json::object& request, RequestFacts& facts) const override {
    facts.model = string_member(request, "model");
    facts.ceiling_name = "max_tokens";
    facts.ceiling = integer_member(request, "max_tokens");
    // The budget for thinking is a ceiling of its own beside max_tokens: the sum is what may be generated.
    facts.min_output = 1 + thinking_budget(request);
    if (facts.ceiling) *facts.ceiling += thinking_budget(request);
    facts.stream = bool_member(request, "stream");
    facts.asks_for_usage = true;  // it comes unasked
    facts.input.count_for(facts.model);
    facts.input.overhead(8);
    for (const std::string_view key : {"messages", "documents", "message", "chat_history", "preamble"})
      if (const json::value* const value = member(request, key)) facts.input.content(*value);
    if (member(request, "connectors") != nullptr) facts.open_input = true;  // what they find is input too
    for (const std::string_view key : {"tools", "response_format", "tool_results"})
      if (const json::value* const value = member(request, key)) facts.input.schema(*value);
  }

  void write_ceiling(json::object& request, std::int64_t ceiling) const override {
    write_number(request, "max_tokens", std::max<std::int64_t>(1, ceiling - thinking_budget(request)));
  }

 private:
  static std::int64_t thinking_budget(const json::object& request) {
    const json::object* const thinking = object_member(request, "thinking");
    if (thinking == nullptr || string_member(*thinking, "type") == "disabled") return 0;
    const std::int64_t budget = integer_member(*thinking, "token_budget").value_or(0);
    return std::clamp<std::int64_t>(budget, 0, Usage::max_count);
  }
};

#undef OUTLAY_COHERE_USAGE

template const Format& the_format<CohereChat>();

}  // namespace outlay::detail
