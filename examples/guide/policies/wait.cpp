// Wait: the call waits for running calls to give room back. Links: outlay::core.
#include <outlay/outlay.hpp>

#include <chrono>
#include <functional>
#include <iostream>
#include <thread>

using namespace outlay::literals;
using namespace std::chrono_literals;

int main() {
  outlay::Budget budget({.name = "answers", .usd = 0.02_usd, .on_exceed = outlay::Wait{.timeout = 30s}});
  const outlay::CallRequest request{.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000};

  outlay::Call first(request);
  std::cout << "The first call holds " << first.reserved().usd << " of " << *budget.limits().usd << ".\n";
  // A thread starts without scopes: bind carries those of this one over.
  std::thread other(outlay::Context::current().bind([&request] {
    outlay::Call second(request);  // waits here
    std::cout << "The second call is admitted.\n";
    second.release();
  }));
  std::cout << "The first call is settled, for less than it held.\n";
  first.sent();
  first.settle({.input = 1'000, .output = 100});
  other.join();

  std::cout << "A call that could not fit even alone does not wait:\n";
  const outlay::Result<outlay::Call> large =
      outlay::try_call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 9'000});
  std::cout << "  " << large.error().message() << '\n';
}
