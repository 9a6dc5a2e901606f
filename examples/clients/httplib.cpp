// An answer over cpp-httplib inside a budget, with nlohmann::json on both sides: a request goes in as its dump().
//
// exit code: 0 if the answer came, 1 for anything else.
#include <iostream>
#include <nlohmann/json.hpp>
#include <outlay/httplib.hpp>
#include <stdexcept>
#include <string>

#include "local_llm/launch.hpp"

using namespace outlay::literals;

int main() try {
  const LocalLlm model;
  const std::string url = model.url();
  httplib::Client client(url.substr(0, url.rfind('/')));

  outlay::Budget budget({.name = "httplib", .usd = 0.01_usd});
  const nlohmann::json request{{"model", "gpt-4o"},
                               {"max_completion_tokens", 100},
                               {"messages", {{{"role", "user"}, {"content", "Where is my refund?"}}}}};
  const outlay::HttplibResult result =
      outlay::httplib_post(client, outlay::Api::openai_chat, "/v1/chat/completions", request.dump());
  if (result.status != 200) throw std::runtime_error(httplib::to_string(result.error));
  const nlohmann::json reply = nlohmann::json::parse(result.body);
  std::cout << reply["choices"][0]["message"]["content"].get<std::string>() << "\nspent " << budget.spent().usd << '\n';
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
