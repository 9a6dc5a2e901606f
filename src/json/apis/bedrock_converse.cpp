#include <algorithm>
#include <boost/json/array.hpp>

#include "openai_shape.hpp"

namespace json = boost::json;

namespace outlay::detail {

// @aws-sdk/client-bedrock-runtime dist-types/models/models_0.d.ts. The wire repeats the cache counts under a second name.
class BedrockConverse final : public Format {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule rules[] = {
        {"delta.text", Field::text},
        {"delta.reasoningContent.text", Field::reasoning_text},
        {"delta.toolUse.input", Field::tool_arguments},
        {"contentBlockIndex", Field::tool_index},
        {"start.toolUse", Field::tool},
        {"start.toolUse.toolUseId", Field::tool_id},
        {"start.toolUse.name", Field::tool_name},
        {"stopReason", Field::finish},
        {"usage", Field::usage},
        {"usage.inputTokens", Field::input},
        {"usage.outputTokens", Field::output},
        {"usage.totalTokens", Field::total},
        {"usage.cacheReadInputTokens", Field::cached},
        {"usage.cacheReadInputTokenCount", Field::cached},
        {"usage.cacheWriteInputTokens", Field::cache_write},
        {"usage.cacheWriteInputTokenCount", Field::cache_write},
        {"usage.cacheDetails", Field::cache_details},
        {"usage.cacheDetails.*", Field::entry},
        {"usage.cacheDetails.*.ttl", Field::label},
        {"usage.cacheDetails.*.inputTokens", Field::entry_count},
        {"usage.serverToolUsage", Field::usage},
        {"usage.serverToolUsage.webSearchRequests", Field::web_searches},
        {"serviceTier.type", Field::service_tier},
        {"performanceConfig.latency", Field::speed},
        {"output.message.content", Field::choices},
        {"output.message.content.*.text", Field::text},
        {"output.message.content.*.reasoningContent.reasoningText.text", Field::reasoning_text},
        {"output.message.content.*.toolUse", Field::tool},
        {"output.message.content.*.toolUse.toolUseId", Field::tool_id},
        {"output.message.content.*.toolUse.name", Field::tool_name},
        {"output.message.content.*.toolUse.input", Field::tool_arguments},
        {"__type", Field::error},
    };
    static const Paths& paths = *new Paths{rules};
    return paths;
  }

  [[nodiscard]] Report report(const Facts& facts) const override {
    Report report;
    Usage& usage = report.usage;
    usage.input = facts.get(Field::input);  // without the cache
    usage.cache_read = facts.get(Field::cached);
    const std::int64_t written = written_in_all(facts);
    report.doubt = facts.has(Field::cache_write) && written > facts.get(Field::cache_write);
    usage.cache_write_1h = std::min(facts.get(Field::cache_write_1h), written);
    usage.cache_write = written - usage.cache_write_1h;
    usage.output = facts.get(Field::output);
    // What one of the counts leaves out, the total says.
    const std::int64_t rest = facts.get(Field::total) - usage.total();
    if (rest > 0 && !facts.has(Field::output)) usage.output = rest;
    if (rest > 0 && facts.has(Field::output) && !facts.has(Field::input)) usage.input = rest;
    report_tools(facts, usage);
    return report;
  }

  void entry(Facts& facts) const override {
    if (facts.list != Field::cache_details) return;
    if (facts.label == "1h") facts.add(Field::cache_write_1h, facts.entry_count);
    if (facts.label == "5m") facts.add(Field::cache_write_5m, facts.entry_count);
  }

  void event(Facts& facts, std::vector<Piece>&) const override {
    if (!facts.usage_now) return;
    // "If a guardrail blocks the input prompt" no inference is charged, and the evaluation, by units that Usage does not have, is
    // (docs.aws.amazon.com/bedrock, "How Amazon Bedrock Guardrails works").
    facts.free = facts.finish == "guardrail_intervened" && facts.has(Field::input) && !facts.used();
    // So that the cost is not taken for whole: no table has a fee for it.
    if (facts.free) facts.set(Field::other_tools, 1);
    facts.final_usage = true;  // only `metadata` carries it, and nothing follows
    facts.done = true;
  }

  void read_request(const json::object& request, RequestFacts& facts) const override {
    facts.model = string_member(request, "modelId");  // not on the wire, but where the SDKs keep it
    facts.ceiling_name = "inferenceConfig.maxTokens";
    if (const json::object* const config = object_member(request, "inferenceConfig"))
      facts.ceiling = integer_member(*config, "maxTokens");
    if (const json::object* const extra = object_member(request, "additionalModelRequestFields"))
      read_thinking(object_member(*extra, "thinking"), facts);
    if (const json::object* const tier = object_member(request, "serviceTier"))
      facts.service_tier = string_member(*tier, "type");
    facts.asks_for_usage = true;  // it comes unasked
    facts.input.count_for(facts.model);
    // A stored prompt has text of its own: its variables, or its name in place of the model's (docs.aws.amazon.com/bedrock, "Prompt management").
    find_open_input(request, {"promptVariables"}, facts);
    facts.input.overhead(8);
    facts.input.own_prompt();
    for (const std::string_view key : {"system", "messages"})
      if (const json::value* const value = member(request, key)) {
        find_cache_marks(*value, facts);
        if (value->is_array()) facts.input.overhead(5 * static_cast<std::int64_t>(value->get_array().size()));
        facts.input.content(*value);
      }
    if (const json::value* const tools = member(request, "toolConfig")) {
      find_cache_marks(*tools, facts);
      const json::object* const config = object_member(request, "toolConfig");
      const json::value* const list = config != nullptr ? member(*config, "tools") : nullptr;
      static_cast<void>(facts.input.tools(list != nullptr ? *list : *tools));
      if (list != nullptr && list->is_array())
        for (const json::value& tool : list->get_array())
          facts.open_input |= tool.is_object() && tool.get_object().contains("systemTool");  // that Bedrock runs itself
    }
    if (const json::value* const config = member(request, "outputConfig")) facts.input.schema(*config);
    // Tools that a vendor has defined are passed on as its own API has them.
    if (const json::object* const extra = object_member(request, "additionalModelRequestFields"))
      if (const json::value* const tools = member(*extra, "tools")) facts.open_input |= facts.input.tools(*tools);
  }

  void write_ceiling(json::object& request, std::int64_t ceiling) const override {
    write_number(nested(request, "inferenceConfig"), "maxTokens", ceiling);
    if (const json::object* const extra = object_member(request, "additionalModelRequestFields");
        extra != nullptr && object_member(*extra, "thinking") != nullptr)
      lower_thinking(nested(nested(request, "additionalModelRequestFields"), "thinking"), ceiling);
  }

  void write_model(json::object& request, std::string_view model) const override {
    if (request.contains("modelId")) request["modelId"] = model;
  }
};

template const Format& the_format<BedrockConverse>();

}  // namespace outlay::detail
