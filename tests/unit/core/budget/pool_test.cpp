#include "outlay/pool.hpp"

#include <thread>
#include <vector>

#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;

TEST_CASE("pool: several tasks share it by handle", "[core][pool]") {
  const Fixture fixture;
  //[pool
  Pool pool({.name = "crawl", .usd = 1_usd, .output_tokens = 100'000});
  const auto task = [pool]() mutable { pool.record({.input = 1'000, .output = 500}, "gpt-4o"); };
  //]
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(task);
  for (std::thread& thread : threads) thread.join();
  CHECK(pool.totals().usd == 0.03_usd);
  CHECK(pool.totals().output_tokens == 2'000);
  CHECK(pool.totals().calls == 4);
  CHECK(pool.limits().usd == 1_usd);
}

TEST_CASE("pool: what crosses a cap is booked, and every cap that it crossed is named", "[core][pool]") {
  const Fixture fixture;
  Pool pool({.name = "small", .tokens = 100, .output_tokens = 50});
  CHECK(pool.record({.input = 50, .output = 50}).tokens == 100);  // an exact hit is within
  const Result<Amounts> over = pool.try_record({.input = 0, .output = 1});
  REQUIRE_FALSE(over);
  CHECK(over.error().breaches().size() == 2);
  CHECK(over.error().budget() == "small");
  const std::string text = over.error().message();
  for (const char* part : {"\"small\" is over its cap after the call: 101 of 100 tokens are spent, 1 by this call.",
                           "51 of 50 are spent", "booked"})
    CHECK(text.find(part) != std::string::npos);
  CHECK(pool.totals().tokens == 101);
  CHECK_THROWS_AS(pool.record({.output = 1}), BudgetExceeded);
}

TEST_CASE("pool: reset keeps the caps", "[core][pool]") {
  const Fixture fixture;
  Pool pool({.tokens = 10});
  (void)pool.try_record({.input = 20});
  pool.reset();
  CHECK(pool.totals() == Amounts{});
  CHECK(pool.limits().tokens == 10);
}

TEST_CASE("pool: a usage that cannot be believed is refused, an unknown price is said", "[core][pool]") {
  const Fixture fixture;
  Pool pool({.usd = 1_usd});
  CHECK_THROWS_AS(pool.record({.input = -1}), Error);
  CHECK(pool.totals() == Amounts{});
  CHECK_THROWS_AS(pool.record({.input = 7}, "nobody-knows"), PriceUnknown);
  CHECK(pool.totals().tokens == 7);
  CHECK(pool.record({.input = 1}, 0.25_usd).usd == 0.25_usd);
  CHECK_THROWS_AS(Pool({.tokens = -1}), ConfigError);
}

TEST_CASE("pool: without caps it only counts", "[core][pool]") {
  const Fixture fixture;
  Pool pool{PoolOptions{}};
  for (int i = 0; i < 3; ++i) pool.record({.input = 1'000'000'000, .output = 500'000}, 100_usd);
  CHECK(pool.totals().input_tokens == 3'000'000'000);
  CHECK(pool.totals().output_tokens == 1'500'000);
  CHECK(pool.totals().usd == 300_usd);
  CHECK(pool.totals().calls == 3);
}

TEST_CASE("pool: a cost that cannot be believed is refused", "[core][pool]") {
  const Fixture fixture;
  Pool pool({.usd = 1_usd});
  CHECK_THROWS_AS(pool.record({.input = 1}, Usd::from_nanos(-1)), Error);
  CHECK_THROWS_AS(pool.record({.input = 1}, Usd::max()), Error);
  CHECK(pool.totals() == Amounts{});
}

TEST_CASE("pool: money under a cap is never booked as nothing for want of a model", "[core][pool]") {
  const Fixture fixture;
  Pool pool({.usd = 1_usd});
  CHECK_THROWS_AS(pool.record({.input = 7}), PriceUnknown);
  CHECK(pool.totals().tokens == 7);
}
