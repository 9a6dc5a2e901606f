#include "outlay/testing/prices.hpp"

namespace outlay::testing {

PriceTable fixture_prices() {
  using namespace outlay::literals;
  PriceTable table;
  Price large;
  large.rates = {.input = Rate::per_million(2.50_usd),
                 .output = Rate::per_million(10_usd),
                 .cache_read = Rate::per_million(1.25_usd)};
  large.provider = "openai";
  large.max_output_tokens = 16'384;
  Price small = large;
  small.rates = {.input = Rate::per_million(0.15_usd),
                 .output = Rate::per_million(0.60_usd),
                 .cache_read = Rate::per_million(0.075_usd)};
  Price cent;
  cent.request = 0.01_usd;
  Price unit;
  unit.rates = {.input = Rate::per_million(1_usd), .output = Rate::per_million(1_usd)};
  table.register_model("gpt-4o", large);
  table.register_model("gpt-4o-mini", small);
  table.register_model("cent", cent);
  table.register_model("unit", unit);
  table.register_model("free", Price::free());
  table.describe("fixture", "outlay::testing", {});
  return table;
}

}  // namespace outlay::testing
