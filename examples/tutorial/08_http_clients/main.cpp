// The client that comes with outlay: HTTP in coroutines, plain and streamed, inside the budgets around it.
#include <boost/asio.hpp>
#include <boost/json.hpp>
#include <exception>
#include <iostream>
#include <outlay/http.hpp>
#include <outlay/outlay.hpp>
#include <string>

#include "local_llm/launch.hpp"

namespace asio = boost::asio;
namespace json = boost::json;
using namespace outlay::literals;

json::object question(const char* text) {
  return {{"model", "gpt-4o"}, {"messages", {{{"role", "user"}, {"content", text}}}}};
}

asio::awaitable<void> ask(const outlay::http::Client& client) {
  outlay::Budget budget({.name = "chat", .usd = 0.01_usd});

  json::object request = question("Where is my refund?");
  request["max_completion_tokens"] = 100;
  const json::value reply = co_await client.post(request);
  std::cout << reply.at("choices").at(0).at("message").at("content").as_string().c_str() << "\n  cost "
            << budget.spent().usd << '\n';

  // Without a ceiling, and a model that does not stop: the budget closes the connection before more has come than it can pay.
  const json::object story = question("[[tokens=endless]] Tell me a story.");
  outlay::http::ReplyStream stream = co_await client.stream(story);
  std::size_t pieces = 0;
  try {
    while (const std::optional<outlay::http::Delta> delta = co_await stream.next()) ++pieces;
  } catch (const outlay::BudgetExceeded& cut) {
    std::cout << (pieces > 100 ? "a long story" : "a short story") << ", cut by the budget \"" << cut.budget()
              << "\"\n";
  }
  std::cout << "  within the cap: " << std::boolalpha << (budget.spent().usd <= 0.01_usd) << '\n';
}

int main() {
  const LocalLlm model({"--ms-per-token", "0"});  // a model server on this machine, in the place of a provider
  asio::io_context io;
  outlay::http::ClientOptions options;
  options.base_url = model.url();  // left out, it is the provider's own address
  options.api_key = "none-needed";
  const outlay::http::Client client(io, options);

  outlay::co_spawn(io, ask(client), [](std::exception_ptr failed) {
    if (failed) std::rethrow_exception(failed);
  });
  io.run();
}
