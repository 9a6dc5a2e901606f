#pragma once

#include <utility>
#include <vector>

#include "outlay/outlay.hpp"
#include "outlay/testing.hpp"
#include "support/catch.hpp"

namespace outlay_test {

/// A ledger of its own, with fixed prices, current for the case.
struct Books {
  explicit Books(outlay::PriceTable prices = outlay::testing::fixture_prices())
      : ledger({.prices = std::move(prices)}), scope(ledger) {}
  [[nodiscard]] outlay::Record last() const {
    const std::vector<outlay::Record> records = ledger.records();
    REQUIRE_FALSE(records.empty());
    return records.back();
  }
  outlay::Ledger ledger;
  outlay::LedgerScope scope;
};

}  // namespace outlay_test
