#pragma once

#include <optional>
#include <span>

#include "define.hpp"

namespace outlay::detail {

/// What every API shares that copied Chat Completions. Each of them derives from it and says what differs.
class OpenAiShape : public Format {
 public:
  [[nodiscard]] const Paths& paths() const override;
  [[nodiscard]] Report report(const Facts& facts) const override;
  void read_request(const boost::json::object& request, RequestFacts& facts) const override;
  void write_ceiling(boost::json::object& request, std::int64_t ceiling) const override;

 protected:
  /// The member that a ceiling is written to where the request has none.
  [[nodiscard]] virtual const char* ceiling_member() const { return "max_tokens"; }
  [[nodiscard]] virtual std::int64_t min_output() const { return 1; }
};

/// The places of a chat completion and of its chunks.
[[nodiscard]] std::span<const PathRule> openai_chat_rules() noexcept;
/// Input that includes what was read from and written to a cache, and output that includes reasoning.
[[nodiscard]] Report inclusive_report(const Facts& facts);
/// Bedrock's InvokeModel, whichever vendor's body it passes on: the last chunk of a stream has them beside what the vendor says, and for
/// many vendors' models nothing else is counted (docs.aws.amazon.com, "InvokeModelWithResponseStream"). Where a prompt is cached they have
/// its counts, too.
#define OUTLAY_INVOCATION_METRICS                                                               \
  {"amazon-bedrock-invocationMetrics.inputTokenCount", Field::metered_input},                   \
      {"amazon-bedrock-invocationMetrics.cacheReadInputTokenCount", Field::metered_cached},     \
      {"amazon-bedrock-invocationMetrics.cacheWriteInputTokenCount", Field::metered_written}, { \
    "amazon-bedrock-invocationMetrics.outputTokenCount", Field::metered_output                  \
  }
/// What was charged, wherever a format has it: OpenRouter writes it into the usage of every API that it speaks (openrouter.ai/docs, "Usage
/// Accounting"; @openrouter/sdk@1.3.19), and for a call with the caller's own key (`is_byok`) what the provider behind it charged; Perplexity
/// writes an object (docs.perplexity.ai).
#define OUTLAY_STATED_COST(at)                                                                                 \
  {at ".cost", Field::cost}, {at ".cost.total_cost", Field::cost}, {at ".is_byok", Field::byok},               \
      {at ".cost_details.upstream_inference_cost", Field::upstream_cost},                                      \
      {at ".cost_details.upstream_inference_prompt_cost", Field::upstream_input_cost},                         \
      {at ".cost_details.upstream_inference_completions_cost", Field::upstream_output_cost},                   \
      {at ".cost_details.upstream_inference_input_cost", Field::upstream_input_cost},                          \
      {at ".cost_details.upstream_inference_output_cost", Field::upstream_output_cost},                        \
      {at ".cost_details.server_tool_cost", Field::ignored}, {at ".cost.currency", Field::ignored},            \
      {at ".cost.input_cost", Field::ignored}, {at ".cost.output_cost", Field::ignored},                       \
      {at ".cost.cache_creation_cost", Field::ignored}, {at ".cost.cache_read_cost", Field::ignored},          \
      {at ".cost.tool_calls_cost", Field::ignored}, {at ".cost.input_tokens_cost", Field::ignored},            \
      {at ".cost.output_tokens_cost", Field::ignored}, {at ".cost.request_cost", Field::ignored},              \
      {at ".cost.reasoning_tokens_cost", Field::ignored}, {at ".cost.citation_tokens_cost", Field::ignored}, { \
    at ".cost.search_queries_cost", Field::ignored                                                             \
  }
/// Nothing but these says what was used.
[[nodiscard]] bool is_metered(const Facts& facts) noexcept;
[[nodiscard]] Usage metered_usage(const Facts& facts) noexcept;
/// Everything written to a cache: reported in all, or by how long it lives.
[[nodiscard]] std::int64_t written_in_all(const Facts& facts) noexcept;
/// What is billed by use.
void report_tools(const Facts& facts, Usage& usage);
/// Adds `stream_options.include_usage`, keeping what else is there.
void ask_openai_for_usage(boost::json::object& request);
/// What Azure's refusal means by its body, whichever of its APIs refused; empty: what its status says.
[[nodiscard]] std::optional<ReplyVerdict> azure_judges(int status, const boost::json::value& body);
/// Reads messages, tools and a response format.
void count_openai_messages(const boost::json::object& request, InputCount& input);
/// Reads an embeddings request's `input`: text or token ids.
void count_embeddings_input(const boost::json::value& input, InputCount& count);

}  // namespace outlay::detail
