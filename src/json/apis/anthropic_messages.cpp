#include <algorithm>
#include <boost/json/array.hpp>

#include "openai_shape.hpp"

namespace json = boost::json;

namespace outlay::detail {

// @anthropic-ai/sdk@1.12.0 resources/messages/messages.d.ts. A reply and `message_delta` have the usage at the root, `message_start` below
// `message`; counts are cumulative, and a member that a later report omits keeps its value.
#define OUTLAY_MESSAGE_RULES(at)                                                                                       \
  {at "model", Field::model}, {at "usage", Field::usage}, {at "usage.input_tokens", Field::input},                     \
      {at "usage.output_tokens", Field::output}, {at "usage.cache_read_input_tokens", Field::cached},                  \
      {at "usage.cache_creation_input_tokens", Field::cache_write},                                                    \
      {at "usage.cache_creation.ephemeral_5m_input_tokens", Field::cache_write_5m},                                    \
      {at "usage.cache_creation.ephemeral_1h_input_tokens", Field::cache_write_1h},                                    \
      {at "usage.output_tokens_details.thinking_tokens", Field::reasoning},                                            \
      {at "usage.server_tool_use.web_search_requests", Field::web_searches},                                           \
      {at "usage.server_tool_use.code_execution_requests", Field::code_sessions},                                      \
      {at "usage.server_tool_use.web_fetch_requests", Field::ignored},                                                 \
      {at "usage.server_tool_use.tool_search_requests", Field::ignored}, OUTLAY_STATED_COST(at "usage"),               \
      {at "usage.service_tier", Field::service_tier}, {at "usage.speed", Field::speed},                                \
      {at "usage.inference_geo", Field::geo}, {at "usage.iterations", Field::iterations},                              \
      {at "usage.iterations.*", Field::entry}, {at "usage.iterations.*.type", Field::label},                           \
      {at "usage.iterations.*.model", Field::entry_model}, {at "usage.iterations.*.input_tokens", Field::entry_input}, \
      {at "usage.iterations.*.output_tokens", Field::entry_output},                                                    \
      {at "usage.iterations.*.cache_read_input_tokens", Field::entry_cached},                                          \
      {at "usage.iterations.*.cache_creation_input_tokens", Field::entry_count},                                       \
      {at "usage.iterations.*.cache_creation.ephemeral_5m_input_tokens", Field::entry_5m},                             \
      {at "usage.iterations.*.cache_creation.ephemeral_1h_input_tokens", Field::entry_1h}, {                           \
    at "usage.iterations.*.output_tokens_details.thinking_tokens", Field::ignored                                      \
  }

class AnthropicMessages final : public Format {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule rules[] = {
        {"type", Field::type},
        {"delta.text", Field::text},
        {"delta.thinking", Field::reasoning_text},
        {"delta.partial_json", Field::tool_arguments},
        {"delta.stop_reason", Field::finish},
        {"index", Field::tool_index},
        {"content_block", Field::tool},
        {"content_block.id", Field::tool_id},
        {"content_block.name", Field::tool_name},
        {"content_block.type", Field::label},
        OUTLAY_MESSAGE_RULES(""),
        OUTLAY_MESSAGE_RULES("message."),
        {"error", Field::error},
        {"error.type", Field::error_type},
        {"stop_reason", Field::finish},
        {"content", Field::choices},
        {"content.*", Field::tool},
        {"content.*.text", Field::text},
        {"content.*.thinking", Field::reasoning_text},
        {"content.*.id", Field::tool_id},
        {"content.*.name", Field::tool_name},
        {"content.*.input", Field::tool_arguments},
        OUTLAY_INVOCATION_METRICS,
    };
    static const Paths& paths = *new Paths{rules};
    return paths;
  }

  [[nodiscard]] Report report(const Facts& facts) const override {
    Report report;
    Usage& usage = report.usage;
    usage.input = facts.get(Field::input);
    usage.cache_read = facts.get(Field::cached);
    const std::int64_t written = written_in_all(facts);
    report.doubt = facts.has(Field::cache_write) && written > facts.get(Field::cache_write);
    usage.cache_write_1h = std::min(facts.get(Field::cache_write_1h), written);
    usage.cache_write = written - usage.cache_write_1h;
    usage.output = facts.get(Field::output);
    if (is_metered(facts)) usage = metered_usage(facts);
    usage.reasoning = facts.get(Field::reasoning);
    if (usage.reasoning > usage.output) {
      usage.reasoning = usage.output;
      report.doubt = true;
    }
    report_tools(facts, usage);
    // The count at the begin of a stream knows nothing of what follows; the last one leaves out searches that failed.
    if (!facts.all_finished()) usage.web_searches = std::max(usage.web_searches, facts.get(Field::search_items));
    add_iterations(facts, report);
    return report;
  }

  void entry(Facts& facts) const override {
    facts.iterations_now.push_back({.type = facts.label,
                                    .model = facts.entry_model,
                                    .input = facts.entry_input,
                                    .cached = facts.entry_cached,
                                    .written = std::max(facts.entry_count, facts.entry_5m + facts.entry_1h),
                                    .written_1h = facts.entry_1h,
                                    .output = facts.entry_output});
  }

  void event(Facts& facts, std::vector<Piece>&) const override {
    if (facts.type == "message_stop") facts.done = true;
    if (facts.type == "content_block_start" && facts.label == "server_tool_use" && facts.called == "web_search")
      facts.count_up(Field::search_items);
    if (facts.type == "error") {
      facts.error = true;
      facts.error_status = status_of(facts.error_code());
    }
  }

  void read_request(const json::object& request, RequestFacts& facts) const override {
    facts.model = string_member(request, "model");
    facts.ceiling_name = "max_tokens";
    facts.ceiling = integer_member(request, "max_tokens");
    read_thinking(object_member(request, "thinking"), facts);
    facts.service_tier = string_member(request, "speed") == "fast" ? "fast" : string_member(request, "service_tier");
    add_place(string_member(request, "inference_geo"), facts);
    facts.stream = bool_member(request, "stream");
    facts.asks_for_usage = true;  // it comes unasked
    for (const std::string_view key : {"cache_control", "system", "messages", "tools"})
      if (const json::value* const value = member(request, key)) find_cache_marks(json::object{{key, *value}}, facts);
    facts.input.count_for(facts.model);
    facts.input.overhead(8);
    if (const json::value* const system = member(request, "system")) facts.input.content(*system);
    if (const json::value* const messages = member(request, "messages"); messages && messages->is_array()) {
      facts.input.overhead(5 * static_cast<std::int64_t>(messages->get_array().size()));
      facts.input.content(*messages);
    }
    if (const json::value* const tools = member(request, "tools")) {
      facts.open_input |= facts.input.tools(*tools);
      if (tools->is_array())
        for (const json::value& tool : tools->get_array())
          if (tool.is_object() && string_member(tool.get_object(), "type").starts_with("web_search"))
            facts.web_searches +=
                std::clamp<std::int64_t>(integer_member(tool.get_object(), "max_uses").value_or(1), 0, 100'000);
    }
    if (const json::value* const format = member(request, "output_format")) facts.input.schema(*format);
    if (const json::value* const config = member(request, "output_config")) facts.input.schema(*config);
    find_open_input(request, {"container", "mcp_servers", "context_management", "compaction"}, facts);
  }

  void write_ceiling(json::object& request, std::int64_t ceiling) const override {
    write_number(request, "max_tokens", ceiling);
    if (object_member(request, "thinking") != nullptr) lower_thinking(nested(request, "thinking"), ceiling);
  }

 private:
  // "A `compaction` entry's tokens are NOT included in the top-level `usage` fields." Neither are those of an advisor. The passes of the
  // reply's own model are, and those of a model that declined before a fallback answered are where the sums say so. Each is billed at the
  // rates of the model that it names.
  static void add_iterations(const Facts& facts, Report& report) {
    const auto within = [](const Iteration& one) { return one.type == "message" || one.type == "fallback_message"; };
    std::int64_t input = 0, output = 0;
    for (const Iteration& one : facts.iterations)
      if (within(one)) input += one.input, output += one.output;
    const bool all_within = input == facts.get(Field::input) && output == facts.get(Field::output);
    for (const Iteration& one : facts.iterations) {
      const bool other_model = !one.model.empty() && one.model != facts.model;
      const bool beside = within(one) ? other_model && !all_within
                                      : one.type == "compaction" || one.type == "advisor_message" || all_within;
      const std::int64_t longer = std::min(one.written_1h, one.written);
      const Usage usage{.input = one.input,
                        .cache_read = one.cached,
                        .cache_write = one.written - longer,
                        .cache_write_1h = longer,
                        .output = one.output};
      if (beside) report.usage += usage;
      if (other_model) report.parts.push_back({one.model, usage});
    }
  }

  static int status_of(std::string_view type) noexcept {
    if (type == "overloaded_error") return 529;
    if (type == "rate_limit_error") return 429;
    if (type == "invalid_request_error") return 400;
    if (type == "authentication_error") return 401;
    if (type == "permission_error") return 403;
    if (type == "not_found_error") return 404;
    return 500;
  }
};

#undef OUTLAY_MESSAGE_RULES

template const Format& the_format<AnthropicMessages>();

}  // namespace outlay::detail
