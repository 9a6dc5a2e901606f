// What each OnUnreachable does while a store cannot be reached. Links: outlay::testing.
#include <outlay/outlay.hpp>
#include <outlay/testing.hpp>

#include <iostream>
#include <memory>
#include <string_view>
#include <utility>

using namespace outlay::literals;

int main() {
  outlay::set_log_handler([](outlay::LogLevel, std::string_view) {});
  for (const auto& [name, choice] : {std::pair{"deny()", outlay::OnUnreachable::deny()},
                                     {"local(0.01_usd)", outlay::OnUnreachable::local(0.01_usd)},
                                     {"allow_and_mark()", outlay::OnUnreachable::allow_and_mark()}}) {
    std::cout << name << '\n';
    outlay::Ledger ledger;
    outlay::LedgerScope scope(ledger);
    const auto weather = std::make_shared<outlay::testing::Weather>();
    const auto store = std::make_shared<outlay::Store>(
        std::make_unique<outlay::testing::WeatheredBackend>(weather, outlay::StoreBackend::Distance::local),
        outlay::StoreOptions{.on_unreachable = choice});
    outlay::Budget budget({.name = "team", .usd = 5_usd, .window = outlay::Window::day(), .store = store});
    weather->down();
    for (int i = 1; i <= 3; ++i) {
      outlay::Result<outlay::Call> call =
          outlay::try_call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 250});
      std::cout << "  call " << i << ": " << (call ? "admitted" : outlay::to_string(call.error().reason())) << '\n';
      if (!call) continue;
      call->sent();
      call->settle({.input = 1'000, .output = 250});
    }
    weather->down(false);
    store->flush();
    std::cout << "  the store is back, and knows of " << store->state("team", outlay::Window::day()).spent.usd << '\n';
  }
}
