#include <chrono>
#include <outlay/outlay.hpp>
#include <outlay/testing.hpp>

int main() {
  outlay::testing::ManualClock clock;
  const auto before = clock.now();
  clock.advance(std::chrono::hours(1));
  const outlay::Cost cost = outlay::testing::fixture_prices().cost("gpt-4o", {.input = 1'000'000});
  return clock.now() - before == std::chrono::hours(1) && cost.usd == outlay::Usd::parse("2.50") ? 0 : 1;
}
