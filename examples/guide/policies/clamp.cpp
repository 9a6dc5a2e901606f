// Clamp: the output ceiling becomes the largest one that fits. Links: outlay::core.
#include "policies/stream.hpp"

using namespace outlay::literals;

int main() {
  outlay::Budget answers({.name = "answers", .usd = 0.01_usd, .on_exceed = outlay::Clamp{.min_output_tokens = 100}});

  std::cout << "A call that needs up to $0.0125:\n";
  {
    outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
    std::cout << "  send it with max_tokens = " << *call.max_output_tokens() << '\n';
  }
  std::cout << "A call without a ceiling, and so each stream without one, gets the largest that fits:\n";
  {
    outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000});
    std::cout << "  send it with max_tokens = " << *call.max_output_tokens() << '\n';
  }
  std::cout << "Fewer than 100 tokens would fit:\n";
  const outlay::Result<outlay::Call> call =
      outlay::try_call({.model = "gpt-4o", .input_tokens = 3'700, .max_output_tokens = 1'000});
  std::cout << "  " << call.error().message() << '\n';
}
