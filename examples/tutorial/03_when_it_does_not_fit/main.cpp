// Six calls, a budget with room for two of them at their full length, and what each policy makes of the others.
#include <iostream>
#include <outlay/outlay.hpp>
#include <utility>

using namespace outlay::literals;

void six_calls(const char* title, outlay::Policies on_exceed) {
  outlay::Budget budget({.name = title, .usd = 0.02_usd, .on_exceed = std::move(on_exceed)});
  std::cout << title << '\n';
  for (int i = 0; i < 6; ++i) {
    // Reserves up to $0.01025: 100 tokens at $2.50 a million, and 1,000 at $10.
    outlay::Result<outlay::Call> call =
        outlay::try_call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'000});
    if (!call) {
      std::cout << "  refused by \"" << call.error().budget() << "\"\n";
      continue;
    }
    const std::int64_t ceiling = *call->max_output_tokens();
    std::cout << "  " << call->model() << ", at most " << ceiling << " tokens\n";
    call->sent();
    call->settle({.input = 100, .output = ceiling / 2});  // it writes half as much as it may
  }
  std::cout << "  " << budget.state() << '\n';
}

int main() {
  const outlay::Downgrade cheaper{{{"gpt-4o", "gpt-4o-mini"}}};
  const outlay::Clamp shorter{.min_output_tokens = 300};

  six_calls("Block", outlay::Block{});
  six_calls("Downgrade", cheaper);
  six_calls("Clamp", shorter);
  six_calls("Clamp, then Downgrade", {shorter, cheaper});
}
