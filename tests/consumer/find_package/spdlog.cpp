#include <spdlog/spdlog.h>

#include <memory>
#include <outlay/outlay.hpp>
#include <outlay/spdlog.hpp>

int main() {
  outlay::set_log_handler(outlay::spdlog_handler(spdlog::default_logger()));
  outlay::Ledger ledger;
  outlay::LedgerScope scope(ledger);
  const auto sink = outlay::spdlog_sink({.logger = spdlog::default_logger()});
  ledger.add_sink(sink);
  {
    outlay::Call call({.model = "gpt-4o-mini", .input_tokens = 10, .max_output_tokens = 10});
    call.settle({.input = 10, .output = 5});
  }
  ledger.flush();
  return ledger.sink_stats(sink).written == 1 ? 0 : 1;
}
