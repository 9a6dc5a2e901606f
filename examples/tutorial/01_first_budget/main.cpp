// A budget of two cents around a loop of questions.
#include <iostream>
#include <outlay/outlay.hpp>
#include <string_view>

using namespace outlay::literals;  // 0.02_usd

// Stands for the LLM client that you have: it sends the question, and returns what the provider says it used.
outlay::Usage ask(std::string_view /*model*/, std::string_view /*question*/) { return {.input = 800, .output = 350}; }

struct Question {
  const char* text;
  std::int64_t max_output_tokens;  // the longest answer that the request asks for
};

int main() {
  outlay::Budget budget({.name = "answers", .usd = 0.02_usd});

  for (const Question& question : {Question{"Where is my refund?", 1'000},
                                   {"And my invoice?", 1'000},
                                   {"Are you sure?", 1'000},
                                   {"In short: are you sure?", 600}}) {
    std::cout << question.text << '\n';
    try {
      outlay::Call call({.model = "gpt-4o", .input_tokens = 800, .max_output_tokens = question.max_output_tokens});
      std::cout << "  reserved " << call.reserved().usd;

      call.sent();  // from here on the provider may send a bill
      const outlay::Settled settled = call.settle(ask(call.model(), question.text));
      std::cout << ", cost " << settled.usd << '\n';
    } catch (const outlay::BudgetExceeded& refused) {
      std::cout << "  not sent: " << refused.what() << '\n';
    }
    std::cout << "  " << budget.state() << '\n';
  }
}
