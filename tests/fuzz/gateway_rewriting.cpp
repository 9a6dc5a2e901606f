// Requests on their way through the gateway. What leaves as text is, read as JSON, what leaves as an object, with the model and the ceiling that
// were admitted; where neither changed, it is the same bytes. A path leaves as it came, but for the model that it names.
#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <optional>
#include <string>

#include "fuzz_input.hpp"
#include "gateway/routes.hpp"
#include "outlay/json.hpp"
#include "outlay/outlay.hpp"

using outlay::Api;
using outlay_fuzz::check;
namespace gateway = outlay::gateway::detail;
namespace json = boost::json;

namespace {

struct Known {
  Api api;
  const char* path;
  const char* model;
};
const Known apis[] = {{Api::openai_chat, "/v1/chat/completions", "gpt-4o"},
                      {Api::openai_responses, "/v1/responses", "gpt-4o"},
                      {Api::anthropic_messages, "/v1/messages", "claude-sonnet-4-5"},
                      {Api::gemini, "/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro"},
                      {Api::ollama_chat, "/api/chat", "llama3"}};

/// What stands in requests, apart and together.
constexpr const char* pieces[] = {R"("model":)",
                                  R"("gpt-4o")",
                                  R"("max_tokens":)",
                                  R"("stream":true)",
                                  R"("messages":[)",
                                  R"({"role":"user","content":"Hi"})",
                                  R"("contents":[)",
                                  R"({"parts":[{"text":"Hi"}]})",
                                  R"("max_completion_tokens":)",
                                  R"("max_output_tokens":)",
                                  R"("generationConfig":{)",
                                  R"("maxOutputTokens":)",
                                  R"("stream_options":{"include_usage":false})",
                                  R"("options":{"num_predict":)",
                                  R"("input":"Hi")",
                                  R"("n":2)",
                                  R"("\u006dodel":)",
                                  R"("claude-sonnet-4-5")",
                                  "100",
                                  "1e2",
                                  "null",
                                  "{",
                                  "}",
                                  "[",
                                  "]",
                                  ",",
                                  " ",
                                  "\n"};

std::string body_of(outlay_fuzz::Choices& input, const Known& known) {
  if (input.byte() < 32) return input.remainder();
  std::string text = std::string(R"({"model":")") + known.model + "\"";
  if (input.flag()) text += R"(,"messages":[{"role":"user","content":"Hi"}])";
  if (input.flag()) text += R"( , "contents":[{"parts":[{"text":"Hi"}]}])";
  while (!input.empty() && text.size() < 4'096)
    text += input.byte() < 230 ? pieces[input.below(std::size(pieces))] : input.text(20);
  return text + "}";
}

outlay::BudgetOptions budget_of(outlay_fuzz::Choices& input) {
  outlay::BudgetOptions options;
  options.usd = outlay::Usd::from_nanos(1'000 * static_cast<std::int64_t>(1 + input.below(20'000)));
  options.unpriced = outlay::Unpriced::ignore();
  const outlay::Downgrade cheaper{{{"gpt-4o", "gpt-4o-mini"},
                                   {"claude-sonnet-4-5", "claude-haiku-4-5"},
                                   {"gemini-2.5-pro", "gemini-2.5-flash-lite"}}};
  if (input.flag()) options.on_exceed = {cheaper, outlay::Clamp{}};
  return options;
}

/// The same values. A number with a fraction may differ in its last bits, since Boost.JSON rounds it otherwise near the end of its input.
bool alike(const json::value& a, const json::value& b) {
  if (a.is_double() && b.is_double())
    return std::abs(a.get_double() - b.get_double()) <= std::abs(a.get_double()) * 1e-14 || a == b;
  if (a.is_array() && b.is_array()) return std::ranges::equal(a.get_array(), b.get_array(), alike);
  if (!a.is_object() || !b.is_object()) return a == b;
  return a.get_object().size() == b.get_object().size() && std::ranges::all_of(a.get_object(), [&](const auto& member) {
           const json::value* const other = b.get_object().if_contains(member.key());
           return other && alike(member.value(), *other);
         });
}

void check_path(const Known& known, outlay_fuzz::Choices& input) {
  std::vector<outlay::Upstream> upstreams{{.name = "here", .url = "http://127.0.0.1:1", .paths = {"/"}}};
  static const gateway::Upstreams made = gateway::make_upstreams(upstreams, {}, 1);
  std::string target = input.flag() ? known.path : "/" + input.text(60);
  if (input.flag()) target += "?" + input.text(20);
  std::string why;
  const std::optional<gateway::Route> route = gateway::find_route(made, "POST", target, why);
  if (!route) {
    check(!why.empty());
    return;
  }
  constexpr std::string_view own = "/to/here";  // what names the upstream stays here
  std::string asked = target.starts_with(own) ? target.substr(own.size()) : target;
  if (!asked.starts_with('/')) asked.insert(0, "/");
  check(route->target(std::nullopt, {}) == asked);
  const std::string named = gateway::model_in_path(known.api, route->to);
  check(route->target(known.api, named) == asked);
  const std::string other = "a/model of:another?name";
  const std::string changed = route->target(known.api, other);
  if (named.empty())
    check(changed == asked || !gateway::model_in_path(known.api, changed.substr(0, changed.find('?'))).empty());
  else
    check(gateway::model_in_path(known.api, changed.substr(0, changed.find('?'))) == other);
}

void check_body(const Known& known, outlay_fuzz::Choices& input) {
  const outlay::BudgetOptions options = budget_of(input);
  outlay::GuardOptions guard;
  guard.ask_for_usage = input.flag();
  const std::string text = body_of(input, known);
  static const outlay::Ledger books = outlay::Ledger(outlay::LedgerOptions{.max_records = 16, .max_events = 16});
  const outlay::LedgerScope scope(books);
  const outlay::Budget budget(options);
  try {
    guard.model = known.api.model_in_path() ? known.model : "";
    const outlay::GuardedRequest request(known.api, std::string_view(text), guard);
    const outlay::CallRequest wanted = request.call_request();
    const outlay::Call call(wanted);
    const std::string sent = request.body_text(call);
    json::parse_options deep;
    deep.max_depth = 128;
    boost::system::error_code failed;
    const json::value read = json::parse(sent, failed, {}, deep);
    check(!failed && read.is_object());
    check(alike(read, request.body(call)));
    const bool same = call.model() == wanted.model && call.max_output_tokens() == wanted.max_output_tokens;
    if (same && !request.drop_usage_event()) check(sent == text);
  } catch (const outlay::Error&) {  // refused: nothing leaves
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  outlay_fuzz::Choices input(data, size);
  const Known& known = apis[input.below(std::size(apis))];
  if (input.flag())
    check_path(known, input);
  else
    check_body(known, input);
  return 0;
}
