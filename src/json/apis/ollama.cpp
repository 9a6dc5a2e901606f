#include "ollama.hpp"

#include "openai_shape.hpp"

namespace json = boost::json;

namespace outlay::detail {

// ollama@0.6.4 dist/browser.d.ts.
std::span<const PathRule> ollama_rules() noexcept {
  static constexpr PathRule rules[] = {
      {"model", Field::model},        {"done", Field::done},
      {"error", Field::error},        {"prompt_eval_count", Field::input},
      {"done_reason", Field::finish}, {"eval_count", Field::output},
  };
  return rules;
}

Report OllamaShape::report(const Facts& facts) const {
  return {.usage = {.input = facts.get(Field::input), .output = facts.get(Field::output)}};
}

void OllamaShape::event(Facts& facts, std::vector<Piece>&) const {
  if (facts.done && facts.usage_now) facts.final_usage = true;
}

void OllamaShape::read_request(const json::object& request, RequestFacts& facts) const {
  facts.model = string_member(request, "model");
  facts.ceiling_name = "options.num_predict";
  if (const json::object* const options = object_member(request, "options"))
    if (const auto ceiling = integer_member(*options, "num_predict"); ceiling && *ceiling >= 0)
      facts.ceiling = ceiling;  // -1 is no ceiling, -2 fills the context
  facts.stream = bool_member(request, "stream", true);
  facts.asks_for_usage = true;  // it comes unasked
  facts.input.overhead(8);
  facts.input.count_for(facts.model);
  if (const json::value* const input = member(request, "input")) {  // /api/embed: there is no output
    facts.ceiling = 0;
    facts.fixed_ceiling = true;
    count_embeddings_input(*input, facts.input);
  } else {
    facts.input.own_prompt();
  }
  for (const std::string_view key : {"messages", "prompt", "suffix", "system", "images"})
    if (const json::value* const value = member(request, key)) facts.input.content(json::object{{key, *value}});
  if (const json::value* const context = member(request, "context")) count_embeddings_input(*context, facts.input);
  for (const std::string_view key : {"tools", "format"})
    if (const json::value* const value = member(request, key)) facts.input.schema(*value);
}

void OllamaShape::write_ceiling(json::object& request, std::int64_t ceiling) const {
  write_number(nested(request, "options"), "num_predict", ceiling);
}

}  // namespace outlay::detail
