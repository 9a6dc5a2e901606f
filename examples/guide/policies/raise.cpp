// Raise: the call that crosses the cap runs, and its settle throws; the next one is refused. Links: outlay::core.
#include "policies/stream.hpp"

using namespace outlay::literals;

int main() {
  {
    outlay::Budget budget({.name = "answers", .usd = 0.01_usd, .on_exceed = outlay::Raise{}});
    std::cout << "A call that needs up to $0.0125:\n";
    outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
    call.sent();
    try {
      call.settle({.input = 1'000, .output = 1'000});
    } catch (const outlay::BudgetExceeded& over) {
      std::cout << "  " << over.what() << '\n';
    }
    std::cout << "The next call:\n";
    const outlay::Result<outlay::Call> next =
        outlay::try_call({.model = "gpt-4o", .input_tokens = 10, .max_output_tokens = 10});
    std::cout << "  " << next.error().message() << '\n';
  }
  outlay::Budget budget({.name = "stream", .usd = 0.01_usd, .on_exceed = outlay::Raise{}});
  std::cout << "A stream:\n";
  read_stream();
}
