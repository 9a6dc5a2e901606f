#include <boost/json.hpp>
#include <outlay/json.hpp>

int main() {
  const boost::json::object request{{"model", "gpt-4o-mini"},
                                    {"max_completion_tokens", 20},
                                    {"messages", {{{"role", "user"}, {"content", "Hello"}}}}};
  outlay::Budget budget({.name = "consumer", .calls = 1});
  const auto post = [](const boost::json::object&) {
    return boost::json::parse(
        R"({"model": "gpt-4o-mini", "choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 4}})");
  };
  outlay::guard(outlay::Api::openai_chat, request, post);
  return budget.spent().tokens == 12 ? 0 : 1;
}
