#include <outlay/otel.hpp>
#include <outlay/outlay.hpp>

int main() {
  outlay::Ledger ledger;
  outlay::LedgerScope scope(ledger);
  // Port 9 is discard's: nobody listens there, and nothing waits for an answer.
  const auto sink = outlay::otel_sink({.endpoint = "http://127.0.0.1:9", .tags = {"feature"}});
  ledger.add_sink(sink);
  {
    outlay::Budget budget({.name = "consumer", .calls = 1});
    outlay::Call call({.model = "gpt-4o-mini", .input_tokens = 10, .max_output_tokens = 10});
    call.settle({.input = 10, .output = 5});
  }
  ledger.flush();
  return ledger.sink_stats(sink).written == 1 && sink->stats().exports == 0 ? 0 : 1;
}
