// Tests of what code costs, with Catch2: no network, prices that never change, and a clock that the test moves.
#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_test_macros.hpp>
#else  // Catch2 2
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
#include <chrono>
#include <memory>
#include <outlay/outlay.hpp>
#include <outlay/testing.hpp>
#include <string_view>

using namespace outlay::literals;
using namespace std::chrono_literals;

// The code under test: a draft by the cheap model, and a final text by the good one.
void summarize(std::string_view text) {
  outlay::Track track({{"feature", "summarize"}});
  for (const char* model : {"gpt-4o-mini", "gpt-4o"}) {
    outlay::Call call({.model = model, .input_text = text, .max_output_tokens = 200});
    call.sent();
    call.settle({.input = 1'000, .output = 200});  // here the provider is asked; a test has a stand-in for it
  }
}

TEST_CASE("a summary costs less than half a cent") {
  outlay::Ledger ledger({.prices = outlay::testing::fixture_prices()});
  outlay::LedgerScope scope(ledger);

  summarize("...");

  ledger.report().assert_under(0.005_usd, {{"feature", "summarize"}});
  CHECK_THROWS_AS(ledger.report().assert_under(0.004_usd, {{"feature", "summarize"}}), outlay::Error);
}

TEST_CASE("where the final text does not fit, the draft is all that is paid for") {
  outlay::Ledger ledger({.prices = outlay::testing::fixture_prices()});
  outlay::LedgerScope scope(ledger);
  const auto sink = std::make_shared<outlay::testing::RecordingSink>();
  ledger.add_sink(sink);

  outlay::Budget budget({.name = "test", .usd = 0.001_usd});
  CHECK_THROWS_AS(summarize("..."), outlay::BudgetExceeded);

  ledger.flush();
  REQUIRE(sink->records().size() == 1);
  CHECK(sink->records().at(0).model == "gpt-4o-mini");
  REQUIRE(sink->events().size() == 1);
  CHECK(sink->events().at(0).action == outlay::Action::blocked);
}

TEST_CASE("a user has room again the next day") {
  const auto clock = std::make_shared<outlay::testing::ManualClock>();
  outlay::Ledger ledger({.prices = outlay::testing::fixture_prices(), .clock = clock});
  outlay::LedgerScope scope(ledger);
  ledger.add_rule({.match = {"user_id", "*"}, .calls = 2});
  outlay::Track track({{"user_id", "alice"}});

  summarize("...");
  CHECK_THROWS_AS(summarize("..."), outlay::BudgetExceeded);
  clock->advance(24h);
  CHECK_NOTHROW(summarize("..."));
}
