// What a budget holds and has spent at each step of a call, for each of the four ways in which a call ends. Links: outlay::core.
#include <outlay/outlay.hpp>

#include <iostream>
#include <string_view>

using namespace outlay::literals;

int main() {
  outlay::Ledger ledger;
  outlay::LedgerScope scope(ledger);
  outlay::Budget budget({.name = "answers", .usd = 1_usd});
  const auto show = [&budget](std::string_view step) { std::cout << step << ": " << budget.state() << '\n'; };
  const outlay::CallRequest request{.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000};
  show("nothing yet");
  {
    outlay::Call call(request);
    show("admitted");
    call.sent();
    call.settle({.input = 1'000, .output = 200});
    show("settled");
  }
  {
    outlay::Call call(request);
    // Not sent: an exception comes in between, say.
  }
  show("never sent");
  {
    outlay::Call call(request);
    call.sent();
    call.release("HTTP 429");
  }
  show("rejected by the provider");
  {
    outlay::Call call(request);
    call.sent();
    // The connection breaks before there is an answer.
  }
  show("sent, and without an answer");

  std::cout << "The records:\n";
  for (const outlay::Record& record : ledger.records())
    std::cout << "  " << outlay::to_string(record.status) << ' ' << record.usd << '\n';
}
