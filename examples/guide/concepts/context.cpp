// Which budget a thread sees. Links: outlay::core.
#include <outlay/outlay.hpp>

#include <iostream>
#include <string>
#include <thread>

using namespace outlay::literals;

int main() {
  const auto here = [] {
    std::string names;
    for (const std::string& name : outlay::Context::current().budgets()) names += '/' + name;
    return names.empty() ? std::string("no budget") : names;
  };
  outlay::Budget run({.name = "run", .usd = 5_usd});
  outlay::Budget answer({.name = "answer", .usd = 1_usd});
  std::cout << "here: " << here() << '\n';

  std::thread([&] { std::cout << "on a plain thread: " << here() << '\n'; }).join();
  // Carried over, for one function:
  std::thread(outlay::Context::current().bind([&] { std::cout << "bound: " << here() << '\n'; })).join();
  // Or for a scope:
  std::thread([&, context = outlay::Context::current()] {
    const outlay::Attach in(context);
    std::cout << "attached: " << here() << '\n';
  }).join();
}
