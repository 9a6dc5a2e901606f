#include <algorithm>
#include <boost/json/array.hpp>

#include "define.hpp"

namespace json = boost::json;

namespace outlay::detail {

// @anthropic-ai/sdk@1.12.0 resources/messages/messages.d.ts. A reply and `message_delta` have the usage at the root, `message_start` below
// `message`; counts are cumulative, and a member that a later report omits keeps its value.
#define OUTLAY_MESSAGE_RULES(at)                                                                                  \
  {at "model", Field::model}, {at "usage.input_tokens", Field::input}, {at "usage.output_tokens", Field::output}, \
      {at "usage.cache_read_input_tokens", Field::cached},                                                        \
      {at "usage.cache_creation_input_tokens", Field::cache_write},                                               \
      {at "usage.cache_creation.ephemeral_1h_input_tokens", Field::cache_write_1h},                               \
      {at "usage.output_tokens_details.thinking_tokens", Field::reasoning},                                       \
      {at "usage.server_tool_use.web_search_requests", Field::web_searches},                                      \
      {at "usage.service_tier", Field::service_tier}, {at "usage.speed", Field::action},                          \
      {at "usage.iterations", Field::iterations}, {at "usage.iterations.*", Field::entry},                        \
      {at "usage.iterations.*.type", Field::label}, {at "usage.iterations.*.input_tokens", Field::entry_input},   \
      {at "usage.iterations.*.output_tokens", Field::entry_output},                                               \
      {at "usage.iterations.*.cache_read_input_tokens", Field::entry_cached}, {                                   \
    at "usage.iterations.*.cache_creation_input_tokens", Field::entry_count                                       \
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
    };
    static const Paths paths{rules};
    return paths;
  }

  [[nodiscard]] Usage usage(const Facts& facts, bool& doubt) const override {
    Usage usage;
    usage.input = facts.get(Field::input) + facts.get(Field::extra_input);
    usage.cache_read = facts.get(Field::cached) + facts.get(Field::extra_cached);
    const std::int64_t written = facts.get(Field::cache_write);
    usage.cache_write_1h = facts.get(Field::cache_write_1h);
    if (usage.cache_write_1h > written && facts.has(Field::cache_write)) doubt = true;
    usage.cache_write = std::max<std::int64_t>(0, written - usage.cache_write_1h) + facts.get(Field::extra_write);
    usage.output = facts.get(Field::output) + facts.get(Field::extra_output);
    usage.reasoning = facts.get(Field::reasoning);
    if (usage.reasoning > usage.output) usage.reasoning = usage.output, doubt = true;
    usage.web_searches = facts.get(Field::web_searches);
    return usage;
  }

  void entry(Facts& facts) const override {
    // "A `compaction` entry's tokens are NOT included in the top-level `usage` fields."
    if (facts.label != "compaction") return;
    facts.add(Field::extra_input, facts.entry_input);
    facts.add(Field::extra_cached, facts.entry_cached);
    facts.add(Field::extra_write, facts.entry_count);
    facts.add(Field::extra_output, facts.entry_output);
  }

  void event(Facts& facts, std::vector<Piece>&) const override {
    if (facts.type == "message_stop") facts.done = true;
    if (facts.type == "error") {
      facts.error = true;
      facts.error_status = status_of(facts.error_code);
    }
    // The fast mode is a price of its own, whatever the tier.
    if (facts.action == "fast") facts.service_tier = "fast";
  }

  void read_request(const json::object& request, RequestFacts& facts) const override {
    facts.model = string_member(request, "model");
    facts.ceiling = integer_member(request, "max_tokens");
    read_thinking(object_member(request, "thinking"), facts);
    facts.service_tier = string_member(request, "speed") == "fast" ? "fast" : string_member(request, "service_tier");
    facts.stream = bool_member(request, "stream");
    facts.asks_for_usage = true;  // it comes unasked
    for (const std::string_view key : {"cache_control", "system", "messages", "tools"})
      if (const json::value* const value = member(request, key)) find_cache_marks(json::object{{key, *value}}, facts);
    facts.input.overhead(8);
    if (const json::value* const system = member(request, "system")) facts.input.content(*system);
    if (const json::value* const messages = member(request, "messages"); messages && messages->is_array()) {
      facts.input.overhead(5 * static_cast<std::int64_t>(messages->get_array().size()));
      facts.input.content(*messages);
    }
    if (const json::value* const tools = member(request, "tools")) {
      // The prompt that explains tool use to the model: 313 to 346 tokens by Anthropic's documentation.
      facts.input.overhead(346);
      facts.input.rendered(*tools);
    }
  }

  void write_ceiling(json::object& request, std::int64_t ceiling) const override {
    write_number(request, "max_tokens", ceiling);
    if (object_member(request, "thinking") != nullptr) lower_thinking(nested(request, "thinking"), ceiling);
  }

 private:
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
