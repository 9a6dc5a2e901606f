// What things take in memory, by the C library's own count of what is allocated (glibc): the table of examples/guide/costs.md. The mean of
// many, so that tables which grow by doubling are in it.
#include <malloc.h>

#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "outlay/outlay.hpp"

namespace {

using namespace outlay::literals;

outlay::CallRequest request() { return {.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000}; }

std::size_t allocated() {
  const struct mallinfo2 now = mallinfo2();
  return now.uordblks + now.hblkhd;
}

/// Prints what `make` of the n-th keeps, in a ledger of its own.
void row(const char* name, std::size_t count, std::size_t max_records, const std::function<void(std::size_t)>& make) {
  const outlay::Ledger ledger({.max_records = max_records});
  const outlay::LedgerScope scope(ledger);
  make(count);  // what is allocated once
  const std::size_t before = allocated();
  for (std::size_t i = 0; i < count; ++i) make(i);
  std::printf("%-60s %8.0f bytes\n", name, static_cast<double>(allocated() - before) / static_cast<double>(count));
}

}  // namespace

int main() {
  constexpr std::size_t many = 100'000;
  const outlay::BudgetOptions named{.name = "session", .usd = 1_usd};
  {
    std::vector<outlay::BudgetHandle> held;
    held.reserve(many + 1);
    row("a session: a BudgetHandle of a name that is known, its budget", many, 0,
        [&](std::size_t) { held.emplace_back(named); });
  }
  {
    std::vector<outlay::BudgetHandle> held;
    held.reserve(many + 1);
    row("a session with a name of its own", many, 0, [&](std::size_t i) {
      held.emplace_back(outlay::BudgetOptions{.name = "session " + std::to_string(i), .usd = 1_usd});
    });
  }
  {
    std::vector<outlay::BudgetHandle> held;
    held.reserve(many + 1);
    row("a session with a name of its own, used once", many, 0, [&](std::size_t i) {
      held.emplace_back(outlay::BudgetOptions{.name = "session " + std::to_string(i), .usd = 1_usd});
      const outlay::Attach in(held.back());
      outlay::Call(request()).settle({.input = 1'000, .output = 100});
    });
  }
  row("what a session leaves that is gone, with a name of its own", many, 0, [&](std::size_t i) {
    const outlay::BudgetHandle gone({.name = "session " + std::to_string(i), .usd = 1_usd});
    const outlay::Attach in(gone);
    outlay::Call(request()).settle({.input = 1'000, .output = 100});
  });
  {
    std::vector<outlay::Call> calls;
    calls.reserve(many + 1);
    const outlay::Budget budget({.name = "all", .usd = 1'000'000_usd});
    row("a call under way", many, 0, [&](std::size_t) { calls.emplace_back(request()); });
  }
  const outlay::Budget budget({.name = "all", .usd = 1'000'000_usd});
  row("a record whose tags, model and budgets are known", many, many + 1, [&](std::size_t) {
    const outlay::Track track({{"feature", "search"}});
    outlay::Call(request()).settle({.input = 1'000, .output = 100});
  });
  row("a record with tags of its own", many, many + 1, [&](std::size_t i) {
    const outlay::Track track({{"user_id", "user " + std::to_string(i)}});
    outlay::Call(request()).settle({.input = 1'000, .output = 100});
  });
}
