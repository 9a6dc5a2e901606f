#include <algorithm>
#include <boost/json/array.hpp>

#include "openai_shape.hpp"

namespace json = boost::json;

namespace outlay::detail {

// openai@7.57.0 resources/responses/responses.d.ts. A reply has its members at the root, a stream's events below `response`.
#define OUTLAY_RESPONSE_RULES(at)                                                                                \
  {at "model", Field::model}, {at "service_tier", Field::service_tier}, {at "error", Field::error},              \
      {at "error.code", Field::error_code}, {at "usage", Field::usage}, {at "usage.input_tokens", Field::input}, \
      {at "usage.prompt_tokens", Field::input}, {at "usage.output_tokens", Field::output},                       \
      {at "usage.completion_tokens", Field::output}, {at "usage.total_tokens", Field::total},                    \
      {at "usage.input_tokens_details.cached_tokens", Field::cached},                                            \
      {at "usage.input_tokens_details.cache_write_tokens", Field::cache_write},                                  \
      {at "usage.input_tokens_details.cache_write_tokens_details.ttl_30m_tokens", Field::cache_write_5m},        \
      {at "usage.input_tokens_details.cache_write_tokens_details.ttl_12h_tokens", Field::cache_write_1h},        \
      {at "usage.input_tokens_details.audio_tokens", Field::input_audio},                                        \
      {at "usage.input_tokens_details.image_tokens", Field::input_image},                                        \
      {at "usage.input_tokens_details.text_tokens", Field::ignored},                                             \
      {at "usage.output_tokens_details.reasoning_tokens", Field::reasoning},                                     \
      {at "usage.output_tokens_details.audio_tokens", Field::output_audio},                                      \
      {at "usage.output_tokens_details.image_tokens", Field::output_image},                                      \
      {at "usage.output_tokens_details.text_tokens", Field::ignored},                                            \
      {at "usage.cost_in_usd_ticks", Field::cost_ticks}, OUTLAY_STATED_COST(at "usage"),                         \
      {at "usage.num_sources_used", Field::ignored}, {at "usage.num_server_side_tools_used", Field::ignored},    \
      {at "usage.server_side_tool_usage_details.web_search_calls", Field::web_searches},                         \
      {at "usage.server_side_tool_usage_details.x_search_calls", Field::other_tools},                            \
      {at "usage.server_side_tool_usage_details.code_interpreter_calls", Field::code_sessions},                  \
      {at "usage.server_side_tool_usage_details.file_search_calls", Field::file_searches},                       \
      {at "usage.server_side_tool_usage_details.document_search_calls", Field::document_searches},               \
      {at "usage.server_side_tool_usage_details.mcp_calls", Field::ignored}, {at "tool_usage", Field::usage},    \
      {at "tool_usage.web_search.num_requests", Field::web_searches},                                            \
      {at "tool_usage.image_gen.input_tokens", Field::image_input},                                              \
      {at "tool_usage.image_gen.input_tokens_details.image_tokens", Field::image_input_image},                   \
      {at "tool_usage.image_gen.input_tokens_details.text_tokens", Field::ignored},                              \
      {at "tool_usage.image_gen.cached_tokens", Field::image_cached},                                            \
      {at "tool_usage.image_gen.output_tokens", Field::image_output},                                            \
      {at "tool_usage.image_gen.output_tokens_details.image_tokens", Field::ignored},                            \
      {at "tool_usage.image_gen.output_tokens_details.text_tokens", Field::ignored},                             \
      {at "tool_usage.image_gen.total_tokens", Field::ignored}, {at "tools.*.model", Field::tool_model},         \
      {at "tools.*.type", Field::tool_type}, {at "output", Field::output_items}, {at "output.*", Field::entry},  \
      {at "output.*.type", Field::label}, {at "output.*.container_id", Field::container},                        \
      {at "output.*.environment.container_id", Field::container}, {                                              \
    at "output.*.action.type", Field::action                                                                     \
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
        {"item.type", Field::label},
        {"item.action.type", Field::action},
        {"item.container_id", Field::container},
        {"item.environment.container_id", Field::container},
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
    static const Paths& paths = *new Paths{rules};
    return paths;
  }

  [[nodiscard]] Report report(const Facts& facts) const override {
    Report report = inclusive_report(facts);
    // Pictures are made by a model of their own; without its counts the number of pictures is all there is.
    if (facts.has(Field::image_input) || facts.has(Field::image_output)) {
      Usage usage;
      usage.cache_read = std::min(facts.get(Field::image_cached), facts.get(Field::image_input));
      usage.input = facts.get(Field::image_input) - usage.cache_read;
      usage.input_image = std::min(facts.get(Field::image_input_image), usage.input);
      usage.output = usage.output_image = facts.get(Field::image_output);
      if (usage != Usage{}) {
        report.usage += usage;
        report.parts.push_back({facts.tool_model.empty() ? "gpt-image-1" : facts.tool_model, usage});
      }
    } else {
      report.usage.other_tools += facts.get(Field::image_items);
    }
    const std::string& model = facts.model.empty() ? facts.admitted_model : facts.model;
    if (facts.preview_search && report.usage.web_searches > 0 && !reasons(model))
      report.parts.push_back({"web_search_preview", {.web_searches = report.usage.web_searches}});
    return report;
  }

  void entry(Facts& facts) const override {
    if (const Field item = billed_item(facts); item != Field::none) facts.add(item, 1);
  }

  void event(Facts& facts, std::vector<Piece>& pieces) const override {
    const std::string_view type = facts.type;
    if (facts.reported()) facts.final_usage = true;  // null until the terminal event
    if (type.empty()) return;                        // a reply
    // Status words of a reply must not end a stream: there the events do.
    facts.finished = 0;
    if (type == "response.completed" || type == "response.incomplete") {
      facts.done = true;
      facts.finish = type.substr(9);
      facts.broken_off = type == "response.incomplete";
    } else if (type == "response.failed" || type == "error") {
      facts.error = true;
    }
    // An end lists them all again, or counts them; until it comes these are all that is known.
    if (type == "response.output_item.done")
      if (const Field item = billed_item(facts); item != Field::none) facts.count_up(item);
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
    facts.input.count_for(facts.model);
    find_open_input(request, {"previous_response_id", "conversation", "prompt", "context_management"}, facts);
    facts.input.overhead(3);
    if (const json::value* const input = member(request, "input")) {
      if (input->is_array()) facts.input.overhead(4 * static_cast<std::int64_t>(input->get_array().size()));
      facts.input.content(*input);
    }
    facts.input.text(string_member(request, "instructions"));
    if (const json::value* const text = member(request, "text")) facts.input.schema(*text);
    if (const json::value* const tools = member(request, "tools")) {
      facts.open_input |= facts.input.tools(*tools);
      if (has_tool(*tools, "web_search"))
        facts.web_searches =
            std::clamp<std::int64_t>(integer_member(request, "max_tool_calls").value_or(1), 1, 100'000);
      // Its price is not held by itself: three searches cost as much at least.
      if (has_tool(*tools, "web_search_preview") && !reasons(facts.model)) facts.web_searches *= 3;
    }
  }

  void write_ceiling(json::object& request, std::int64_t ceiling) const override {
    write_number(request, "max_output_tokens", ceiling);
  }

 private:
  // "Web search preview" costs $10 a thousand calls of reasoning models, "including gpt-5, o-series", and $25 of others (openai.com/api/pricing,
  // "Built-in tools").
  static bool reasons(std::string_view model) noexcept { return model.find("gpt-4") == model.npos; }

  // "Discounted searches and actions such as opening a page are excluded." Code is billed by its container, and
  // hosted shells run in the same ones (developers.openai.com/api/docs: "Shell", its data retention and container lifecycle, and "Changelog",
  // its container sessions).
  static Field billed_item(const Facts& facts) noexcept {
    if (facts.label == "web_search_call" && (facts.action.empty() || facts.action == "search"))
      return Field::search_items;
    if (facts.label == "file_search_call") return Field::file_items;
    return facts.label == "image_generation_call" ? Field::image_items : Field::none;
  }
};

#undef OUTLAY_RESPONSE_RULES

template const Format& the_format<OpenAiResponses>();

}  // namespace outlay::detail
