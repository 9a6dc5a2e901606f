// A cap a day that every process of this machine counts in: run it as often as you like, at the same time, too.
//
// usage: 07_shared_caps <calls>
#include <cstdlib>
#include <iostream>
#include <outlay/outlay.hpp>
#include <outlay/sqlite.hpp>

using namespace outlay::literals;

int main(int argc, char** argv) {
  const int calls = argc > 1 ? std::atoi(argv[1]) : 1;
  const auto store = outlay::sqlite_store({.path = "caps.db"});

  outlay::Budget team({.name = "team", .usd = 0.10_usd, .window = outlay::Window::day(), .store = store});
  for (int i = 0; i < calls; ++i) {
    try {
      outlay::Call call({.model = "gpt-4o", .input_tokens = 2'000, .max_output_tokens = 500});
      call.sent();
      call.settle({.input = 2'000, .output = 500});  // $0.01
      std::cout << "admitted\n";
    } catch (const outlay::BudgetExceeded& refused) {
      std::cout << "refused: " << refused.spent() << " of " << refused.limit() << " is spent today\n";
      break;  // refused.retry_at() says when the day ends
    }
  }
}
