// Observe mode: every call runs as it came; the events say what would have become of it. Links: outlay::core.
#include <outlay/outlay.hpp>

#include <iostream>

using namespace outlay::literals;

int main() {
  outlay::Ledger ledger({.observe = true});
  outlay::LedgerScope scope(ledger);
  outlay::Budget budget({.name = "answers", .usd = 0.01_usd});
  {
    outlay::Budget cheap(
        {.name = "cheap", .usd = 0.01_usd, .on_exceed = outlay::Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
    outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
    std::cout << "Sent: " << call.model() << '\n';
    call.settle({.input = 1'000, .output = 1'000});
  }
  outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
  std::cout << "Sent: " << call.model() << '\n';
  call.settle({.input = 1'000, .output = 1'000});

  for (const outlay::BudgetEvent& event : ledger.events())
    std::cout << "Event: " << outlay::to_string(event.action) << ", budget " << event.path << ": " << event.reason
              << '\n';
}
