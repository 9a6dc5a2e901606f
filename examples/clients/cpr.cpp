// guard() around cpr. Built where cpr is installed.
//
// exit code: 0 if the answer came, 1 for anything else.
#include <cpr/cpr.h>

#include <iostream>
#include <outlay/json.hpp>
#include <stdexcept>
#include <string>

#include "local_llm/launch.hpp"

using namespace outlay::literals;

int main() try {
  const LocalLlm model;
  const cpr::Url url{model.url() + "/chat/completions"};
  const cpr::Header headers{{"Content-Type", "application/json"}};
  const auto post = [&](const std::string& body) -> outlay::TextReply {
    const cpr::Response response = cpr::Post(url, headers, cpr::Body{body});
    if (response.status_code == 0 && response.uploaded_bytes == 0) throw outlay::NotBilled();
    if (response.error) throw std::runtime_error(response.error.message);
    return {static_cast<int>(response.status_code), response.text};
  };

  outlay::Budget budget({.name = "cpr", .usd = 0.01_usd});
  const std::string question =
      R"({"model": "gpt-4o", "max_completion_tokens": 100, "messages": [{"role": "user", "content": "Where is my refund?"}]})";
  const outlay::TextReply reply = outlay::guard(outlay::Api::openai_chat, question, post);
  std::cout << reply.body << "\nspent " << budget.spent().usd << '\n';
  return reply.status == 200 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
