#include <outlay/outlay.hpp>

#include <iostream>

using namespace outlay::literals;

// Stands for the LLM client that a program has anyway: it returns the usage that it was billed for.
outlay::Usage ask(std::string_view /*model*/, std::string_view /*question*/) { return {.input = 800, .output = 350}; }

int main() try {
  outlay::Budget budget({.name = "answers", .usd = 0.02_usd});
  outlay::Track track({{"feature", "support"}, {"user_id", "alice"}});
  for (const char* question : {"Where is my refund?", "And my invoice?", "Are you sure?"}) {
    // Reserves the worst case in every enclosing budget, or throws before anything is sent.
    outlay::Call call({.model = "gpt-4o", .input_tokens = 800, .max_output_tokens = 1'000});
    call.sent();                               // from here on it may be billed
    call.settle(ask(call.model(), question));  // what was not used is returned
    std::cout << question << " Spent so far: " << budget.spent().usd << '\n';
  }
} catch (const outlay::BudgetExceeded& refused) {
  std::cout << "Not sent: " << refused.what() << '\n';
}
