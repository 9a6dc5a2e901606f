// Warn: the call runs, and the excess is booked and reported. Links: outlay::core.
#include "policies/stream.hpp"

using namespace outlay::literals;

int main() {
  outlay::Ledger ledger;
  outlay::LedgerScope scope(ledger);
  outlay::Budget budget({.name = "answers", .usd = 0.01_usd, .on_exceed = outlay::Warn{}});

  std::cout << "A call that needs up to $0.0125:\n";
  outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
  call.sent();
  call.settle({.input = 1'000, .output = 1'000});
  std::cout << "  " << budget.spent().usd << " of " << *budget.limits().usd << " is spent\n";

  std::cout << "A stream:\n";
  read_stream();

  std::cout << "The events:\n";
  for (const outlay::BudgetEvent& event : ledger.events())
    std::cout << "  " << outlay::to_string(event.action) << ": " << outlay::Usd::from_nanos(event.projected) << " of "
              << outlay::Usd::from_nanos(event.cap) << '\n';
}
