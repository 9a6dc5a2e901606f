#include <filesystem>
#include <outlay/outlay.hpp>
#include <outlay/sqlite.hpp>

int main() {
  outlay::Ledger ledger;
  outlay::LedgerScope scope(ledger);
  const auto sink = outlay::sqlite_sink({.path = "spend.db"});
  ledger.add_sink(sink);
  {
    outlay::Budget budget({.name = "consumer", .calls = 1});
    outlay::Call call({.model = "gpt-4o-mini", .input_tokens = 10, .max_output_tokens = 10});
    call.settle({.input = 10, .output = 5});
  }
  ledger.flush();
  return ledger.sink_stats(sink).written == 1 && std::filesystem::exists("spend.db") ? 0 : 1;
}
