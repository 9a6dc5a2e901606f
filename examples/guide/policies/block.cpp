// Block: a call that does not fit is refused before it is sent. Links: outlay::core.
#include "policies/stream.hpp"

using namespace outlay::literals;

int main() {
  outlay::Budget budget({.name = "answers", .usd = 0.01_usd, .on_exceed = outlay::Block{}});  // the default

  std::cout << "A call that needs up to $0.0125:\n";
  try {
    outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
  } catch (const outlay::BudgetExceeded& refused) {
    std::cout << "  " << refused.what() << '\n';
  }

  std::cout << "A stream:\n";
  read_stream();
}
