// Downgrade: a call that costs too much goes to a cheaper model. Links: outlay::core.
#include "policies/stream.hpp"

using namespace outlay::literals;

int main() {
  // Further routes may follow it: {"gpt-4o-mini", "gpt-5-nano"}.
  const outlay::Downgrade cheaper{{{"gpt-4o", "gpt-4o-mini"}}};
  outlay::Budget budget({.name = "answers", .usd = 0.01_usd, .on_exceed = cheaper});

  std::cout << "A call that needs up to $0.0125:\n";
  outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
  std::cout << "  send it to " << call.model() << ", " << call.requested_model() << " was asked for\n";
  call.release("not sent, in this example");

  std::cout << "A stream:\n";
  read_stream();
}
