#pragma once

#include <memory>

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

inline bool same(const outlay::Amounts& a, const outlay::Amounts& b) { return a == b; }

}  // namespace outlay_test
