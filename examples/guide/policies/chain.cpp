// A chain of policies: each is tried in turn, and one that cannot help passes the decision on. Links: outlay::core.
#include <outlay/outlay.hpp>

#include <iostream>

using namespace outlay::literals;

int main() {
  for (const outlay::Usd cap : {0.05_usd, 0.01_usd, 0.002_usd, 0.0003_usd}) {
    outlay::Budget budget({.name = "answers",
                           .usd = cap,
                           .on_exceed = {outlay::Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}, outlay::Clamp{}}});
    std::cout << "Under " << cap << ": ";
    const outlay::Result<outlay::Call> call =
        outlay::try_call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 4'000});
    if (call)
      std::cout << call->model() << ", at most " << *call->max_output_tokens() << " tokens\n";
    else
      std::cout << "refused\n";
  }
}
