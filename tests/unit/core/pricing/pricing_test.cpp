#include "core/pricing/pricing.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>

#include "core/pricing/price_book.hpp"
#include "support/catch.hpp"
#include "unit/core/pricing/rate.hpp"

using namespace outlay;
using namespace outlay::literals;
using detail::PriceTerms;
using detail::Pricing;
using outlay_test::rate;
using Kind = detail::Pricing::Kind;

namespace {

__extension__ using Wide = unsigned __int128;

/// A model priced by `price`, which it owns.
struct PricedModel {
  explicit PricedModel(Price given) : price(std::move(given)), priced("m", price, PriceRule::exact, false) {}
  PricedModel(const PricedModel&) = delete;
  PricedModel& operator=(const PricedModel&) = delete;
  [[nodiscard]] Pricing pricing() const { return Pricing::table(priced); }

  const Price price;
  const detail::PricedModel priced;
};

std::uint64_t any_seed() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes the environment
  if (const char* given = std::getenv("OUTLAY_TEST_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  bool one_in(std::uint64_t n) { return engine_() % n == 0; }
  /// Of any magnitude: as often below 2 as between 2^61 and 2^62.
  std::int64_t count(unsigned bits) {
    return static_cast<std::int64_t>(engine_() % (std::uint64_t{1} << (engine_() % bits + 1)));
  }
  std::string tier() { return tiers[engine_() % std::size(tiers)]; }
  Rates rates(unsigned bits) {
    Rates rates{.input = rate(count(bits)), .output = rate(count(bits))};
    for (auto* other : {&rates.cache_read, &rates.cache_write, &rates.cache_write_1h, &rates.reasoning,
                        &rates.output_audio, &rates.output_image})
      if (one_in(3)) *other = rate(count(bits));
    return rates;
  }
  Price price() {
    // Mostly prices as there are, sometimes ones whose sums need more than 64 bits.
    const unsigned bits = one_in(4) ? 62 : 28;
    Price price{.rates = rates(bits)};
    if (one_in(2)) price.request = Usd::from_nanos(count(one_in(4) ? 62 : 40));
    for (std::int64_t n = count(3); n > 0; --n)
      price.tiers.push_back({tier(), one_in(3) ? 0 : count(12), one_in(2), rates(bits)});
    return price;
  }

 private:
  static constexpr const char* tiers[] = {"", "flex", "priority"};
  std::mt19937_64 engine_;
};

/// The rates of the highest threshold at or below the input, of the tier or else of the default one.
const Rates& expected_rates(const Price& price, std::int64_t input, std::string_view tier) {
  const Price::Tier* best = nullptr;
  for (const std::string_view name : {tier, std::string_view()}) {
    std::int64_t best_from = -1;
    for (const auto& one : price.tiers) {
      const std::int64_t from = one.above_input_tokens + (one.above_input_tokens > 0 && !one.inclusive ? 1 : 0);
      if (one.service_tier == name && from <= input && from >= best_from) best = &one, best_from = from;
    }
    if (best) return best->rates;
  }
  return price.rates;
}

/// An independent sum: wide integers, half to even by comparing twice the remainder.
std::optional<Usd> expected_worst(const Price& price, std::int64_t input, std::int64_t output,
                                  const PriceTerms& terms) {
  const Rates& r = expected_rates(price, input, terms.tier);
  const Rate write = r.cache_write.value_or(r.input);
  Rate dearest_input = std::max(r.input, write);
  if (terms.long_cache) dearest_input = std::max(dearest_input, r.cache_write_1h.value_or(write));
  const Rate dearest_output = std::max(
      {r.output, r.reasoning.value_or(r.output), r.output_audio.value_or(r.output), r.output_image.value_or(r.output)});
  const auto wide = [](std::int64_t count) { return static_cast<Wide>(count); };
  const Wide picos = wide(input) * wide(dearest_input.picos()) + wide(output) * wide(dearest_output.picos()) +
                     wide(price.request.nanos()) * 1000;
  Wide nanos = picos / 1000;
  const Wide twice = picos % 1000 * 2;
  if (twice > 1000 || (twice == 1000 && nanos % 2 == 1)) ++nanos;
  if (nanos > wide(INT64_MAX)) return std::nullopt;
  return Usd::from_nanos(static_cast<std::int64_t>(nanos));
}

/// Whether `worst` fits: an overflow fits nowhere.
bool fits_in(std::optional<Usd> worst, Usd money) { return worst && *worst <= money; }

void check_inverse(const Pricing& pricing, std::int64_t input, Usd money, const PriceTerms& terms) {
  const std::int64_t most = pricing.affordable(input, money, terms);
  CAPTURE(input, money.nanos(), terms.tier, terms.long_cache, most);
  REQUIRE(most >= -1);
  if (most >= 0) REQUIRE(fits_in(pricing.worst(input, most, terms), money));
  if (most < INT64_MAX) REQUIRE_FALSE(fits_in(pricing.worst(input, most + 1, terms), money));
}

}  // namespace

TEST_CASE("pricing: an unpriced call costs nothing and is never in the way", "[core][pricing]") {
  constexpr Pricing none{};
  STATIC_REQUIRE(none.kind() == Kind::unpriced);
  CHECK_FALSE(none.model());
  CHECK(none.worst(INT64_MAX, INT64_MAX) == Usd{});
  CHECK(none.cost({.input = 100, .output = 100}) == Usd{});
  CHECK(none.affordable(1000, Usd{}) == INT64_MAX);
  CHECK(none.affordable(0, -0.01_usd) == -1);
}

TEST_CASE("pricing: a flat price is the same whatever the tokens", "[core][pricing]") {
  constexpr Pricing cent = Pricing::flat(0.01_usd);
  STATIC_REQUIRE(cent.kind() == Kind::flat);
  CHECK_FALSE(cent.model());
  CHECK(cent.worst(0, 0) == 0.01_usd);
  CHECK(cent.worst(INT64_MAX, INT64_MAX, {"flex", true}) == 0.01_usd);
  CHECK(cent.cost({.input = 100, .output = 100}, "flex") == 0.01_usd);
  CHECK(cent.affordable(1000, 0.01_usd) == INT64_MAX);
  CHECK(cent.affordable(1000, 0.009'999'999_usd) == -1);
  CHECK(cent.affordable(0, -0.01_usd) == -1);
}

TEST_CASE("pricing: an assumed rate is that of every token, whatever the terms", "[core][pricing]") {
  constexpr Pricing assumed = Pricing::assumed(2'500);
  STATIC_REQUIRE(assumed.kind() == Kind::assumed);
  CHECK_FALSE(assumed.model());
  CHECK(assumed.worst(100, 10)->nanos() == 275);
  CHECK(assumed.worst(100, 10, {"priority", true})->nanos() == 275);
  CHECK(assumed.worst(1, 0)->nanos() == 2);  // 2.5 and 7.5: to even
  CHECK(assumed.worst(2, 1)->nanos() == 8);
  CHECK(assumed.cost({.input = 10, .cache_read = 20, .cache_write = 30, .cache_write_1h = 40, .output = 10})->nanos() ==
        275);
  CHECK(assumed.affordable(100, Usd::from_nanos(275)) == 10);
  CHECK(assumed.affordable(100, Usd::from_nanos(249)) == -1);
  CHECK(assumed.affordable(0, -0.01_usd) == -1);
}

TEST_CASE("pricing: a table's model is priced by the terms of the call", "[core][pricing]") {
  const PricedModel model(
      {.rates = {.input = rate(3'000),
                 .output = rate(15'000),
                 .cache_write = rate(4'000),
                 .cache_write_1h = rate(6'000),
                 .reasoning = rate(20'000)},
       .tiers = {{.service_tier = "flex", .rates = {.input = rate(1'000), .output = rate(5'000)}},
                 {.above_input_tokens = 500, .rates = {.input = rate(8'000), .output = rate(30'000)}}},
       .request = Usd::from_nanos(7)});
  const Pricing pricing = model.pricing();
  CHECK(pricing.kind() == Kind::table);
  CHECK(pricing.model() == &model.priced);
  CHECK(pricing.worst(100, 10)->nanos() == 407 + 200);
  CHECK(pricing.worst(100, 10, {{}, true})->nanos() == 607 + 200);
  CHECK(pricing.worst(100, 10, {"Flex", true})->nanos() == 107 + 50);
  CHECK(pricing.worst(501, 10)->nanos() == 4'008 + 7 + 300);
  CHECK(pricing.worst(501, 10, {"unlisted"})->nanos() == 4'008 + 7 + 300);
  CHECK(pricing.worst(-1, -1)->nanos() == 7);
  CHECK(pricing.cost({.input = 100, .output = 10, .reasoning = 4})->nanos() == 307 + 90 + 80);
  CHECK(pricing.cost({.input = 100, .output = 10, .reasoning = 4}, "flex")->nanos() == 107 + 50);
  CHECK(pricing.affordable(100, Usd::from_nanos(607)) == 10);
  CHECK(pricing.affordable(100, Usd::from_nanos(606)) == 9);
  CHECK(pricing.affordable(100, Usd::from_nanos(406)) == -1);
  CHECK(pricing.affordable(100, Usd::from_nanos(157), {"flex"}) == 10);
  CHECK(pricing.affordable(100, Usd::from_nanos(-1)) == -1);
}

TEST_CASE("pricing: free output is affordable without end", "[core][pricing]") {
  const PricedModel free(Price::free());
  CHECK(free.pricing().affordable(INT64_MAX, Usd{}) == INT64_MAX);
  CHECK(free.pricing().affordable(0, -0.01_usd) == -1);
  CHECK(free.pricing().worst(INT64_MAX, INT64_MAX) == Usd{});
}

TEST_CASE("pricing: what does not fit 64 bits is empty, and affordable by no money", "[core][pricing]") {
  const PricedModel model({.rates = {.input = rate(INT64_MAX), .output = rate(INT64_MAX)}, .request = Usd::max()});
  CHECK(model.pricing().worst(0, 0) == Usd::max());
  CHECK(model.pricing().cost({}) == Usd::max());
  CHECK(model.pricing().affordable(0, Usd::max()) == 0);
  for (const Pricing& pricing : {model.pricing(), Pricing::assumed(INT64_MAX)}) {
    CHECK_FALSE(pricing.worst(INT64_MAX, INT64_MAX, {{}, true}));
    CHECK_FALSE(pricing.cost({.input = Usage::max_count, .output = Usage::max_count}));
    CHECK(pricing.affordable(INT64_MAX, Usd::max(), {{}, true}) == -1);
  }
}

TEST_CASE("pricing: 64 bits hold the largest sums that are made in them", "[core][pricing]") {
  const Rate edge = rate(detail::max_narrow_rate);
  const PricedModel model(
      {.rates = {.input = edge, .output = edge}, .request = Usd::from_nanos(1'000'000'000'000'000)});
  constexpr std::int64_t tokens = 4'000'000'000;
  CHECK(model.pricing().worst(tokens, tokens) == 3'200'000_usd + 1'000'000_usd);
  CHECK(model.pricing().worst(tokens + 1, tokens) == 3'200'000_usd + 0.0004_usd + 1'000'000_usd);
  CHECK(Pricing::assumed(edge.picos()).worst(tokens, tokens) == 3'200'000_usd);
  constexpr std::int64_t most = Usage::max_count;
  const Usage usage{.input = most, .cache_read = most, .cache_write = most, .cache_write_1h = most, .output = most};
  CHECK(model.pricing().cost(usage) == 4'000'000_usd + 1'000'000_usd);
  CHECK(Pricing::assumed(edge.picos()).cost(usage) == 4'000'000_usd);
}

TEST_CASE("pricing: the worst case agrees with wide integers for random prices", "[core][pricing]") {
  const std::uint64_t seed = any_seed();
  CAPTURE(seed);
  Random random(seed);
  for (int i = 0; i < 5'000; ++i) {
    const PricedModel model(random.price());
    const std::string tier = random.tier();
    const PriceTerms terms{tier, random.one_in(2)};
    const std::int64_t input = random.count(random.one_in(2) ? 14 : 62);
    const std::int64_t output = random.count(random.one_in(2) ? 20 : 62);
    CAPTURE(input, output, tier, terms.long_cache);
    REQUIRE(model.pricing().worst(input, output, terms) == expected_worst(model.price, input, output, terms));
  }
}

TEST_CASE("pricing: what is affordable is exactly what fits", "[core][pricing]") {
  const std::uint64_t seed = any_seed();
  CAPTURE(seed);
  Random random(seed);
  for (int i = 0; i < 5'000; ++i) {
    const PricedModel model(random.price());
    const Pricing all[] = {Pricing(), Pricing::flat(Usd::from_nanos(random.count(62))), model.pricing(),
                           Pricing::assumed(random.count(random.one_in(4) ? 62 : 28))};
    const std::string tier = random.tier();
    const PriceTerms terms{tier, random.one_in(2)};
    const std::int64_t input = random.count(random.one_in(2) ? 14 : 40);
    for (const Pricing& pricing : all) {
      CAPTURE(static_cast<int>(pricing.kind()));
      check_inverse(pricing, input, Usd::from_nanos(random.count(62)), terms);
      check_inverse(pricing, input, Usd::from_nanos(-random.count(62)), terms);
      check_inverse(pricing, input, Usd::max(), terms);
      // Exactly what an output costs, and a nano-dollar less.
      const auto exact = pricing.worst(input, random.count(40), terms);
      if (!exact) continue;
      check_inverse(pricing, input, *exact, terms);
      check_inverse(pricing, input, Usd::from_nanos(exact->nanos() - 1), terms);
    }
  }
}

TEST_CASE("pricing: an assumed rate is priced as a model of that one rate", "[core][pricing]") {
  const std::uint64_t seed = any_seed();
  CAPTURE(seed);
  Random random(seed);
  for (int i = 0; i < 5'000; ++i) {
    const std::int64_t picos = random.count(random.one_in(4) ? 62 : 28);
    const PricedModel model({.rates = {.input = rate(picos), .output = rate(picos)}});
    const Pricing assumed = Pricing::assumed(picos);
    const std::int64_t input = random.count(40), output = random.count(40);
    const Usd money = Usd::from_nanos(random.count(62));
    CAPTURE(picos, input, output, money.nanos());
    REQUIRE(assumed.worst(input, output) == model.pricing().worst(input, output));
    REQUIRE(assumed.affordable(input, money) == model.pricing().affordable(input, money));
    const Usage usage{.input = random.count(30), .cache_read = random.count(30), .output = random.count(30)};
    REQUIRE(assumed.cost(usage) == model.pricing().cost(usage));
  }
}
