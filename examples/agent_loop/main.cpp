// An agent that would run away: its tool always promises a next page, and its model always wants to see it.
//
// Nothing in the agent's own code notices. The budget does: the call that no longer fits is refused before it is sent, and the report
// shows how each turn was dearer than the one before, since the whole conversation is sent again.
//
// With OPENAI_BASE_URL (and OPENAI_API_KEY) set it talks to that provider instead of the local model, and costs at most the cap.
// exit code: 0 if the agent was stopped or came to an end by itself, 1 for anything else.

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/json.hpp>
#include <cstdlib>
#include <exception>
#include <iomanip>
#include <iostream>
#include <optional>
#include <outlay/http.hpp>
#include <outlay/outlay.hpp>
#include <string>

#include "local_llm/launch.hpp"

namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using namespace outlay::literals;

constexpr outlay::Usd cap = 0.01_usd;

/// The tool: a search whose results never end.
std::string search_orders(const json::object& arguments) {
  const json::value* page = arguments.if_contains("page");
  const std::int64_t number = page && page->is_int64() ? page->get_int64() : 1;
  std::string text = "Page " + std::to_string(number) + ":";
  for (std::int64_t order = 10 * number; order < 10 * number + 10; ++order)
    text += " order " + std::to_string(order) + ", 2 items, paid;";
  return text + " there are more results on the next page.";
}

const json::array tools{{
    {"type", "function"},
    {"function",
     {{"name", "search_orders"},
      {"description", "Searches the orders of a customer, ten on a page."},
      {"parameters",
       {{"type", "object"},
        {"properties", {{"query", {{"type", "string"}}}, {"page", {{"type", "integer"}}}}},
        {"required", json::array{"query", "page"}}}}}},
}};

asio::awaitable<std::string> run_agent(const outlay::http::Client& client, const outlay::Budget& budget) {
  json::object request{
      {"model", "gpt-4o"},
      {"max_completion_tokens", 60},
      {"tools", tools},
      {"messages", {{{"role", "user"}, {"content", "Find the order with the blue teapot. Look at every page."}}}},
  };
  for (int turn = 1;; ++turn) {
    const std::string name = (turn < 10 ? "0" : "") + std::to_string(turn);
    outlay::Track track({{"turn", name}});
    const json::value reply = co_await client.post(request);
    const json::object& message = reply.at("choices").at(0).at("message").as_object();
    const json::value* calls = message.if_contains("tool_calls");
    if (!calls || !calls->is_array() || calls->get_array().empty()) {
      const json::value* content = message.if_contains("content");
      co_return content && content->is_string() ? std::string(content->get_string()) : std::string();
    }
    json::array& messages = request.at("messages").as_array();
    messages.push_back(message);
    for (const json::value& call : calls->get_array()) {
      const std::string arguments(call.at("function").at("arguments").as_string());
      std::cout << "turn " << name << ": search_orders(" << arguments << ")  spent " << budget.spent().usd << " of "
                << cap << '\n';
      boost::system::error_code malformed;
      const json::value parsed = json::parse(arguments, malformed);
      messages.push_back(
          {{"role", "tool"},
           {"tool_call_id", call.at("id")},
           {"content", parsed.is_object() ? search_orders(parsed.get_object()) : std::string("bad arguments")}});
    }
  }
}

}  // namespace

int main() try {
  outlay::http::ClientOptions options;
  std::optional<LocalLlm> local;
  if (const char* provider = std::getenv("OPENAI_BASE_URL"); provider == nullptr || *provider == '\0') {
    local.emplace(std::vector<std::string>{"--ms-per-token", "1"});
    options.base_url = local->url();
    options.api_key = "none-needed";
  }
  asio::io_context io(1);
  const outlay::http::Client client(io, options);

  outlay::Track track({{"feature", "agent"}});
  outlay::Budget budget({.name = "agent", .usd = cap});
  std::string answer;
  std::exception_ptr failure;
  outlay::co_spawn(io, run_agent(client, budget), [&](std::exception_ptr error, std::string text) {
    failure = error;
    answer = std::move(text);
  });
  io.run();
  try {
    if (failure) std::rethrow_exception(failure);
    std::cout << "\nThe agent came to an end by itself: " << answer << '\n';
  } catch (const outlay::BudgetExceeded& refusal) {
    std::cout << "\nStopped: " << refusal.what() << '\n';
  }

  std::cout << "\nturn   tokens in  tokens out  cost\n";
  const outlay::Report report = outlay::report({"turn"});
  // Dearest first, so the last turn leads; the loop is seen best in the order of its turns.
  std::vector<outlay::ReportRow> rows(report.begin(), report.end());
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.tags < b.tags; });
  for (const outlay::ReportRow& row : rows) {
    if (row.calls == 0) continue;
    std::cout << std::left << std::setw(5) << *row.tags.find("turn") << std::right << std::setw(11)
              << row.usage.input_total() << std::setw(12) << row.usage.output << "  " << row.usd << '\n';
  }
  const outlay::BudgetState state = budget.state();
  std::cout << "spent " << state.spent.usd << " of " << cap << " in " << state.spent.calls << " calls, reserved "
            << state.reserved.usd << '\n';
  return state.reserved == outlay::Amounts{} && state.spent.usd <= cap ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << "agent_loop: " << error.what() << '\n';
  return 1;
}
