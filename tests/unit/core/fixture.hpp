#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "outlay/outlay.hpp"
#include "outlay/testing.hpp"
#include "support/catch.hpp"

namespace outlay_test {

using namespace outlay::literals;

/// A ledger of its own, with fixed prices and a clock that stands still, current for the case.
struct Fixture {
  std::shared_ptr<outlay::testing::ManualClock> clock = std::make_shared<outlay::testing::ManualClock>();
  outlay::Ledger ledger;
  outlay::LedgerScope scope;

  explicit Fixture(outlay::LedgerOptions options = {}) : ledger(with_defaults(std::move(options))), scope(ledger) {}

  outlay::LedgerOptions with_defaults(outlay::LedgerOptions options) {
    options.prices = outlay::testing::fixture_prices();
    if (!options.clock) options.clock = clock;
    return options;
  }
};

/// gpt-4o with 1,000 tokens in and 1,000 out: reserves $0.0125.
inline outlay::CallRequest large_request() {
  return {.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000};
}
/// Exactly $0.01, no tokens.
inline outlay::CallRequest cent_request() { return {.model = "cent", .input_tokens = 0, .max_output_tokens = 0}; }

/// Spends a cent in a call that is sent and answered. Returns its id.
inline std::uint64_t spend_a_cent() {
  outlay::Call call(cent_request());
  const std::uint64_t id = call.id();
  call.sent();
  call.settle(outlay::Usage{});
  return id;
}
/// The same by a call that never says that it is sent.
inline std::uint64_t book_cent() {
  outlay::Call call(cent_request());
  const std::uint64_t id = call.id();
  call.settle(outlay::Usage{});
  return id;
}

/// A budget of each day, counted in `store`.
inline outlay::BudgetOptions daily(const std::shared_ptr<outlay::Store>& store, outlay::Usd cap = 1_usd) {
  return {.name = "daily", .usd = cap, .window = outlay::Window::day(), .store = store};
}

/// What the budgets have done, in order.
inline std::vector<outlay::Action> actions(const outlay::Ledger& ledger) {
  std::vector<outlay::Action> found;
  for (const outlay::BudgetEvent& event : ledger.events()) found.push_back(event.action);
  return found;
}

inline bool same(const outlay::Amounts& a, const outlay::Amounts& b) { return a == b; }

}  // namespace outlay_test
