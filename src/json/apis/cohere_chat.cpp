#include <algorithm>

#include "define.hpp"

namespace json = boost::json;

namespace outlay::detail {

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
        {"delta.usage.billed_units.input_tokens", Field::input},
        {"delta.usage.billed_units.output_tokens", Field::output},
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
        {"usage.billed_units.input_tokens", Field::input},
        {"usage.billed_units.output_tokens", Field::output},
    };
    static const Paths paths{rules};
    return paths;
  }

  [[nodiscard]] Usage usage(const Facts& facts, bool& doubt) const override {
    static_cast<void>(doubt);
    return {.input = facts.get(Field::input), .output = facts.get(Field::output)};
  }

  void event(Facts& facts, std::vector<Piece>& pieces) const override {
    if (facts.type != "message-end") return;
    pieces.clear();
    facts.done = !facts.error;
    if (facts.reported()) facts.final_usage = true;
  }

  void read_request(const json::object& request, RequestFacts& facts) const override {
    facts.model = string_member(request, "model");
    facts.ceiling = integer_member(request, "max_tokens");
    // The budget for thinking is a ceiling of its own beside max_tokens: the sum is what may be generated.
    facts.min_output = 1 + thinking_budget(request);
    if (facts.ceiling) *facts.ceiling += thinking_budget(request);
    facts.stream = bool_member(request, "stream");
    facts.asks_for_usage = true;  // it comes unasked
    facts.input.overhead(8);
    for (const std::string_view key : {"messages", "documents"})
      if (const json::value* const value = member(request, key)) facts.input.content(*value);
    for (const std::string_view key : {"tools", "response_format"})
      if (const json::value* const value = member(request, key)) facts.input.rendered(*value);
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

template const Format& the_format<CohereChat>();

}  // namespace outlay::detail
