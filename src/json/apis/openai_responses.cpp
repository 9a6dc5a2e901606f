#include <algorithm>
#include <boost/json/array.hpp>

#include "openai_shape.hpp"

namespace json = boost::json;

namespace outlay::detail {

// openai@7.57.0 resources/responses/responses.d.ts. A reply has its members at the root, a stream's events below `response`.
#define OUTLAY_RESPONSE_RULES(at)                                                                         \
  {at "model", Field::model}, {at "service_tier", Field::service_tier}, {at "error", Field::error},       \
      {at "error.code", Field::error_code}, {at "usage.input_tokens", Field::input},                      \
      {at "usage.output_tokens", Field::output}, {at "usage.total_tokens", Field::total},                 \
      {at "usage.input_tokens_details.cached_tokens", Field::cached},                                     \
      {at "usage.input_tokens_details.cache_write_tokens", Field::cache_write},                           \
      {at "usage.input_tokens_details.cache_write_tokens_details.ttl_12h_tokens", Field::cache_write_1h}, \
      {at "usage.input_tokens_details.audio_tokens", Field::input_audio},                                 \
      {at "usage.output_tokens_details.reasoning_tokens", Field::reasoning},                              \
      {at "usage.output_tokens_details.audio_tokens", Field::output_audio},                               \
      {at "usage.cost_in_usd_ticks", Field::cost_ticks},                                                  \
      {at "tool_usage.web_search.num_requests", Field::web_searches}, {at "output", Field::output_items}, \
      {at "output.*", Field::entry}, {at "output.*.type", Field::label}, {                                \
    at "output.*.action.type", Field::action                                                              \
  }

class OpenAiResponses final : public Format {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule rules[] = {
        {"type", Field::type},
        {"delta", Field::text},  // named by the event's type
        {"output_index", Field::tool_index},
        {"item", Field::tool},
        {"item.name", Field::tool_name},
        {"item.call_id", Field::tool_id},
        {"code", Field::error_code},
        OUTLAY_RESPONSE_RULES(""),
        OUTLAY_RESPONSE_RULES("response."),
        // In a reply only: a stream has shown all this by its deltas.
        {"output.*.content.*.text", Field::text},
        {"output.*.content.*.refusal", Field::text},
        {"output.*.summary.*.text", Field::reasoning_text},
        {"output.*.arguments", Field::tool_arguments},
        {"output.*.input", Field::tool_arguments},
        {"status", Field::status},
    };
    static const Paths paths{rules};
    return paths;
  }

  [[nodiscard]] Usage usage(const Facts& facts, bool& doubt) const override {
    Facts own = facts;
    // The written tokens are reported in all and the longer-lived ones again, so the rest is the default life.
    const std::int64_t longer = std::min(facts.get(Field::cache_write_1h), facts.get(Field::cache_write));
    own.counts[static_cast<std::size_t>(Field::cache_write_1h)] = longer;
    own.counts[static_cast<std::size_t>(Field::cache_write)] -= longer;
    Usage usage = inclusive_usage(own, doubt);
    if (!facts.has(Field::web_searches)) usage.web_searches = facts.get(Field::search_items);
    return usage;
  }

  void entry(Facts& facts) const override {
    // "Discounted searches and actions such as opening a page are excluded."
    if (facts.label == "web_search_call" && (facts.action.empty() || facts.action == "search"))
      facts.add(Field::search_items, 1);
  }

  void event(Facts& facts, std::vector<Piece>& pieces) const override {
    const std::string_view type = facts.type;
    if (facts.reported()) facts.final_usage = true;  // null until the terminal event
    if (type.empty()) return;                        // a reply
    // Status words of a reply must not end a stream: there the events do.
    facts.finished = 0;
    if (type == "response.completed" || type == "response.incomplete") {
      facts.done = true;
    } else if (type == "response.failed" || type == "error") {
      facts.error = true;
    }
    if (pieces.empty()) return;
    StreamDelta::Kind kind = StreamDelta::Kind::text;
    if (type == "response.reasoning_summary_text.delta" || type == "response.reasoning_text.delta")
      kind = StreamDelta::Kind::reasoning;
    else if (type == "response.output_item.added" || type == "response.function_call_arguments.delta" ||
             type == "response.custom_tool_call_input.delta" || type == "response.mcp_call_arguments.delta" ||
             type == "response.code_interpreter_call_code.delta" || type == "response.shell_call_command.delta")
      kind = StreamDelta::Kind::tool_arguments;
    else if (type == "response.audio.delta" || !type.ends_with(".delta"))
      pieces.clear();  // sound as base64: its transcript is what can be counted
    for (Piece& piece : pieces) piece.kind = kind;
  }

  void read_request(const json::object& request, RequestFacts& facts) const override {
    facts.model = string_member(request, "model");
    facts.ceiling = integer_member(request, "max_output_tokens");
    // 400 integer_below_min_value: "Expected a value >= 16".
    facts.min_output = 16;
    facts.service_tier = string_member(request, "service_tier");
    facts.stream = bool_member(request, "stream");
    facts.asks_for_usage = true;  // it comes unasked
    facts.input.overhead(3);
    if (const json::value* const input = member(request, "input")) {
      if (input->is_array()) facts.input.overhead(4 * static_cast<std::int64_t>(input->get_array().size()));
      facts.input.content(*input);
    }
    facts.input.text(string_member(request, "instructions"));
    for (const std::string_view key : {"tools", "text"})
      if (const json::value* const value = member(request, key)) facts.input.rendered(*value);
  }

  void write_ceiling(json::object& request, std::int64_t ceiling) const override {
    write_number(request, "max_output_tokens", ceiling);
  }
};

#undef OUTLAY_RESPONSE_RULES

template const Format& the_format<OpenAiResponses>();

}  // namespace outlay::detail
