#include "outlay/price.hpp"
#include "outlay/detail/access.hpp"

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/pricing/price_book.hpp"
#include "core/pricing/pricing.hpp"
#include "outlay/error.hpp"
#include "outlay/log.hpp"
#include "support/catch.hpp"
#include "support/log_capture.hpp"
#include "support/reason_of.hpp"
#include "unit/core/pricing/rate.hpp"

using namespace outlay;
using namespace outlay::literals;
using detail::Pricing;
using outlay_test::LogCapture;
using outlay_test::rate;
using outlay_test::reason_of;

namespace {

__extension__ using Wide = unsigned __int128;

/// Every rate given, every one of them different.
Price full_price() {
  Price price;
  price.rates = {.input = rate(2'500'000),
                 .output = rate(10'000'000),
                 .cache_read = rate(1'250'000),
                 .cache_write = rate(3'125'001),
                 .cache_write_1h = rate(5'000'003),
                 .reasoning = rate(11'000'007),
                 .input_audio = rate(40'000'011),
                 .output_audio = rate(80'000'013),
                 .input_image = rate(2'000'017),
                 .output_image = rate(30'000'019),
                 .cache_read_audio = rate(20'000'023)};
  price.web_search = 0.035_usd;
  price.request = 0.000'000'501_usd;
  return price;
}

/// An independent sum: wide integers, half to even by comparing twice the remainder.
Usd expected_cost(const Price& price, const Usage& u) {
  const Rates& r = price.rates;
  const Rate read = r.cache_read.value_or(r.input), write = r.cache_write.value_or(r.input);
  const std::pair<std::int64_t, Rate> parts[] = {
      {u.input - u.input_audio - u.input_image, r.input},
      {u.input_audio, r.input_audio.value_or(r.input)},
      {u.input_image, r.input_image.value_or(r.input)},
      {u.cache_read - u.cache_read_audio, read},
      {u.cache_read_audio, r.cache_read_audio.value_or(read)},
      {u.cache_write, write},
      {u.cache_write_1h, r.cache_write_1h.value_or(write)},
      {u.output - u.reasoning - u.output_audio - u.output_image, r.output},
      {u.reasoning, r.reasoning.value_or(r.output)},
      {u.output_audio, r.output_audio.value_or(r.output)},
      {u.output_image, r.output_image.value_or(r.output)},
      {1'000 * u.web_searches, rate(price.web_search.value_or(Usd{}).nanos())},
      {1'000, rate(price.request.nanos())},
  };
  Wide sum = 0;
  for (const auto& [count, each] : parts) sum += static_cast<Wide>(count) * static_cast<Wide>(each.picos());
  Wide nanos = sum / 1000;
  const Wide twice = (sum % 1000) * 2;
  if (twice > 1000 || (twice == 1000 && nanos % 2 == 1)) ++nanos;
  return Usd::from_nanos(static_cast<std::int64_t>(nanos));
}

PriceTable table_of(const char* name, Price price) {
  PriceTable table;
  table.register_model(name, std::move(price));
  return table;
}

PriceRule rule_of(const PriceTable& table, std::string_view model) {
  const auto* found = outlay::detail::Access::book(table)->find(model);
  return found ? found->rule : PriceRule::none;
}

constexpr std::chrono::sys_days day(int year, unsigned month, unsigned day_of_month) {
  return std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day_of_month);
}

}  // namespace

// ---- rates

TEST_CASE("price: a rate per million is exact to a pico-dollar a token", "[core][price]") {
  CHECK(Rate::per_million(2.50_usd).picos() == 2'500'000);
  CHECK(Rate::per_million(0.003625_usd).picos() == 3'625);
  CHECK(Rate::per_million(0.000'000'5_usd).picos() == 0);  // half a pico-dollar: to even
  CHECK(Rate::per_million(0.000'001'5_usd).picos() == 2);
  CHECK(Rate::per_million(0.000'002'5_usd).picos() == 2);
  CHECK(Rate::per_million(0.000'002'501_usd).picos() == 3);
}

// ---- cost

TEST_CASE("price: a million charges of $0.00000015 are exactly $0.15", "[core][price]") {
  Price price;
  price.rates.input = Rate::per_million(0.15_usd);
  const auto table = table_of("small", price);
  const auto* model = outlay::detail::Access::book(table)->find("small");
  REQUIRE(model);
  Usd sum;
  for (int i = 0; i < 1'000'000; ++i) sum += *Pricing::table(*model).cost(Usage{.input = 1});
  CHECK(sum == 0.15_usd);
}

TEST_CASE("price: costs agree with wide integers for random usages", "[core][price]") {
  std::mt19937_64 random(11);
  const auto upto = [&](std::int64_t most) {
    return most <= 0 ? std::int64_t{0} : static_cast<std::int64_t>(random() % (static_cast<std::uint64_t>(most) + 1));
  };
  Price sparse;
  sparse.rates = {.input = rate(150'000), .output = rate(600'000), .cache_read = rate(75'000)};
  Price dear = full_price();
  dear.rates.output = rate(4'000'000'000'000);  // beyond what the short way takes
  Price fee = sparse;
  fee.request = 2'000'000_usd;
  for (const Price& price : {full_price(), sparse, dear, fee}) {
    const auto table = table_of("m", price);
    const auto* model = outlay::detail::Access::book(table)->find("m");
    REQUIRE(model);
    for (int i = 0; i < 5'000; ++i) {
      const std::int64_t scale = std::int64_t{1} << (random() % 21);
      Usage u;
      u.input = upto(scale), u.cache_read = upto(scale), u.cache_write = upto(scale), u.cache_write_1h = upto(scale);
      u.output = upto(scale), u.reasoning = upto(u.output);
      if (i % 2 == 0) {  // both the short way and the long one
        u.input_audio = upto(u.input), u.input_image = upto(u.input - u.input_audio);
        u.cache_read_audio = upto(u.cache_read);
        u.output_audio = upto(u.output - u.reasoning), u.output_image = upto(u.output - u.reasoning - u.output_audio);
        u.web_searches = upto(5);
      }
      REQUIRE(u.first_invalid() == nullptr);
      REQUIRE(Pricing::table(*model).cost(u) == expected_cost(price, u));
      REQUIRE(table.cost("m", u).usd == expected_cost(price, u));
    }
  }
}

TEST_CASE("price: the sum is rounded once, half to even", "[core][price]") {
  Price price;
  price.rates = {.input = rate(1), .output = rate(500)};
  const auto table = table_of("m", price);
  CHECK(table.cost("m", {.output = 1}).usd.nanos() == 0);
  CHECK(table.cost("m", {.output = 3}).usd.nanos() == 2);
  CHECK(table.cost("m", {.input = 1, .output = 1}).usd.nanos() == 1);
  CHECK(table.cost("m", {.input = 499, .output = 0}).usd.nanos() == 0);
  // Two halves in two buckets make a whole: they are not rounded apart.
  CHECK(table.cost("m", {.input = 500, .output = 1}).usd.nanos() == 1);
}

TEST_CASE("price: a missing cache rate is the input rate, never zero", "[core][price]") {
  Price price;
  price.rates = {.input = rate(3'000'000), .output = rate(15'000'000)};
  const auto table = table_of("m", price);
  const Usd input = table.cost("m", {.input = 1000}).usd;
  CHECK(input == 0.003_usd);
  CHECK(table.cost("m", {.cache_read = 1000}).usd == input);
  CHECK(table.cost("m", {.cache_write = 1000}).usd == input);
  CHECK(table.cost("m", {.cache_write_1h = 1000}).usd == input);
  CHECK(table.cost("m", {.input = 1000, .input_audio = 1000}).usd == input);
  CHECK(table.cost("m", {.output = 10, .reasoning = 10}).usd == table.cost("m", {.output = 10}).usd);
}

TEST_CASE("price: a missing 1-hour cache rate is the rate of a cache write", "[core][price]") {
  Price price;
  price.rates = {.input = rate(3), .output = rate(3), .cache_write = rate(5'000)};
  CHECK(table_of("m", price).cost("m", {.cache_write_1h = 1}).usd.nanos() == 5);
}

TEST_CASE("price: parts that overlap never cost more than their whole at its dearest", "[core][price]") {
  const auto table = table_of("m", full_price());
  const Usage usage{.output = 100, .reasoning = 100, .output_audio = 100, .output_image = 100};
  REQUIRE(usage.first_invalid() == nullptr);
  const auto* model = outlay::detail::Access::book(table)->find("m");
  CHECK(*Pricing::table(*model).cost(usage) <= *Pricing::table(*model).worst(0, 100));
}

TEST_CASE("price: a long-context step re-rates the whole call, above its threshold only", "[core][price]") {
  Price price;
  price.rates = {.input = rate(3'000'000), .output = rate(15'000'000), .cache_read = rate(300'000)};
  price.tiers.push_back({.above_input_tokens = 200'000,
                         .rates = {.input = rate(6'000'000), .output = rate(22'500'000), .cache_read = rate(600'000)}});
  const auto table = table_of("m", price);
  CHECK(table.cost("m", {.input = 200'000, .output = 10}).usd == 0.60015_usd);
  CHECK(table.cost("m", {.input = 200'001, .output = 10}).usd == 1.200231_usd);
  // What counts is the whole input, cached or not.
  CHECK(table.cost("m", {.input = 1, .cache_read = 200'000}).usd == 0.120006_usd);
}

TEST_CASE("price: an inclusive step applies at its threshold", "[core][price]") {
  Price price;
  price.rates = {.input = rate(2'000'000), .output = rate(6'000'000)};
  price.tiers.push_back({.above_input_tokens = 200'000,
                         .inclusive = true,
                         .rates = {.input = rate(4'000'000), .output = rate(12'000'000)}});
  const auto table = table_of("m", price);
  CHECK(table.cost("m", {.input = 199'999}).usd == 0.399998_usd);
  CHECK(table.cost("m", {.input = 200'000}).usd == 0.8_usd);
}

TEST_CASE("price: of several steps the highest below the input applies, in whatever order they are given",
          "[core][price]") {
  Price price;
  price.rates = {.input = rate(1'000), .output = rate(0)};
  for (const std::int64_t above : {1000, 10, 100})
    price.tiers.push_back({.above_input_tokens = above, .rates = {.input = rate(above * 1'000), .output = rate(0)}});
  const auto table = table_of("m", price);
  CHECK(table.cost("m", {.input = 10}).usd.nanos() == 10);
  CHECK(table.cost("m", {.input = 11}).usd.nanos() == 110);
  CHECK(table.cost("m", {.input = 101}).usd.nanos() == 10'100);
  CHECK(table.cost("m", {.input = 1001}).usd.nanos() == 1'001'000);
}

TEST_CASE("price: a service tier has its own rates and steps; one that is not listed costs the default",
          "[core][price]") {
  Price price;
  price.rates = {.input = rate(1'000'000), .output = rate(0)};
  price.tiers.push_back({.above_input_tokens = 100, .rates = {.input = rate(2'000'000), .output = rate(0)}});
  price.tiers.push_back({.service_tier = "batch", .rates = {.input = rate(500'000), .output = rate(0)}});
  price.tiers.push_back(
      {.service_tier = "batch", .above_input_tokens = 100, .rates = {.input = rate(900'000), .output = rate(0)}});
  price.tiers.push_back({.service_tier = "priority", .rates = {.input = rate(4'000'000), .output = rate(0)}});
  const auto table = table_of("m", price);
  const auto cost = [&](std::int64_t input, std::string_view tier) {
    return table.cost("m", {.input = input}, {.service_tier = tier});
  };
  CHECK(cost(10, "batch").usd.nanos() == 5'000);
  CHECK(cost(1000, "batch").usd.nanos() == 900'000);
  CHECK(cost(10, "priority").usd.nanos() == 40'000);
  CHECK(cost(1000, "priority").usd.nanos() == 4'000'000);
  CHECK(cost(10, "Priority").usd.nanos() == 40'000);
  CHECK(cost(10, "fast").usd.nanos() == 40'000);  // another name of priority where it is not listed itself
  CHECK(cost(10, "default").usd.nanos() == 10'000);
  CHECK(cost(1000, "no such tier").usd.nanos() == 2'000'000);
  CHECK(cost(10, "batch").service_tier == "batch");
  CHECK(cost(10, "default").service_tier.empty());
}

TEST_CASE("price: web searches and requests are billed beside the tokens", "[core][price]") {
  Price price;
  price.web_search = 0.01_usd;
  price.request = 0.002_usd;
  const auto table = table_of("m", price);
  CHECK(table.cost("m", {}).usd == 0.002_usd);
  CHECK(table.cost("m", {.web_searches = 3}).usd == 0.032_usd);
}

TEST_CASE("price: a cost beyond what money can hold is an error, not a wrap", "[core][price]") {
  Price price;
  price.rates = {.input = rate(INT64_MAX), .output = rate(INT64_MAX)};
  price.request = Usd::max();
  const auto table = table_of("m", price);
  const auto* model = outlay::detail::Access::book(table)->find("m");
  CHECK_FALSE(Pricing::table(*model).cost({.input = Usage::max_count, .output = Usage::max_count}));
  CHECK_FALSE(Pricing::table(*model).worst(INT64_MAX, INT64_MAX, {{}, true}));
  CHECK(Pricing::table(*model).affordable(INT64_MAX, Usd::max(), {{}, true}) == -1);
  CHECK(reason_of([&] { return table.cost("m", {.input = Usage::max_count}); }) == errc::overflow);
  CHECK(Pricing::table(*model).cost({}) == Usd::max());
}

TEST_CASE("price: an invalid usage is refused with the member's name", "[core][price]") {
  const auto table = table_of("m", Price::free());
  CHECK(reason_of([&] { return table.cost("m", {.output = -1}); }) == errc::invalid_usage);
  CHECK_THROWS_WITH(table.cost("m", {.output = 1, .reasoning = 2}), ContainsSubstring("reasoning"));
}

// ---- reservations

TEST_CASE("price: a reservation is never below the cost of what it was made for", "[core][price]") {
  std::mt19937_64 random(5);
  Price stepped = full_price();
  stepped.tiers.push_back({.above_input_tokens = 500, .rates = {.input = rate(7'000'000), .output = rate(20'000'000)}});
  for (const Price& price : {full_price(), stepped}) {
    const auto table = table_of("m", price);
    const auto* model = outlay::detail::Access::book(table)->find("m");
    for (int i = 0; i < 5'000; ++i) {
      const auto part = [&](std::int64_t most) {
        return static_cast<std::int64_t>(random() % (static_cast<std::uint64_t>(most) + 1));
      };
      Usage u;
      u.input = part(400), u.cache_read = part(400), u.cache_write = part(400), u.cache_write_1h = part(400);
      u.output = part(1000), u.reasoning = part(u.output);
      const auto worst = Pricing::table(*model).worst(u.input_total(), u.output, {{}, true});
      REQUIRE(worst);
      REQUIRE(*worst >= *Pricing::table(*model).cost(u));
    }
  }
}

TEST_CASE("price: the longer cache life is reserved only where it is asked for", "[core][price]") {
  Price price;
  price.rates = {
      .input = rate(3'000), .output = rate(15'000), .cache_write = rate(4'000), .cache_write_1h = rate(6'000)};
  const auto table = table_of("m", price);
  const auto* model = outlay::detail::Access::book(table)->find("m");
  CHECK(Pricing::table(*model).worst(100, 10)->nanos() == 550);
  CHECK(Pricing::table(*model).worst(100, 10, {{}, true})->nanos() == 750);
}

TEST_CASE("price: what is affordable is exactly what fits", "[core][price]") {
  std::mt19937_64 random(9);
  Price stepped;
  stepped.rates = {.input = rate(2'500'000), .output = rate(10'000'001), .cache_write = rate(3'125'000)};
  stepped.request = 0.000'01_usd;
  stepped.tiers.push_back(
      {.above_input_tokens = 1000, .rates = {.input = rate(5'000'000), .output = rate(15'000'000)}});
  stepped.tiers.push_back({.service_tier = "flex", .rates = {.input = rate(1'250'000), .output = rate(5'000'000)}});
  Price odd;
  odd.rates = {.input = rate(1), .output = rate(500)};
  Price finest;
  finest.rates = {.input = rate(7), .output = rate(1)};
  for (const Price& price : {stepped, odd, finest}) {
    const auto table = table_of("m", price);
    const auto* model = outlay::detail::Access::book(table)->find("m");
    for (int i = 0; i < 20'000; ++i) {
      const auto input = static_cast<std::int64_t>(random() % 3000);
      const Usd room = Usd::from_nanos(static_cast<std::int64_t>(random() % (std::uint64_t{1} << (random() % 34 + 1))));
      const std::string_view tier = i % 3 == 0 ? "flex" : "";
      const bool long_cache = i % 2 == 0;
      const auto most = Pricing::table(*model).affordable(input, room, {tier, long_cache});
      if (most < 0) {
        REQUIRE(most == -1);
        REQUIRE(*Pricing::table(*model).worst(input, 0, {tier, long_cache}) > room);
      } else {
        REQUIRE(*Pricing::table(*model).worst(input, most, {tier, long_cache}) <= room);
        REQUIRE(*Pricing::table(*model).worst(input, most + 1, {tier, long_cache}) > room);
      }
    }
  }
}

TEST_CASE("price: free output is affordable without end, and nothing is in a room below zero", "[core][price]") {
  const auto table = table_of("m", Price::free());
  const auto* model = outlay::detail::Access::book(table)->find("m");
  CHECK(Pricing::table(*model).affordable(1000, Usd{}) == INT64_MAX);
  CHECK(Pricing::table(*model).affordable(0, -0.01_usd) == -1);
  CHECK(Pricing::table(*model).worst(1000, INT64_MAX) == Usd{});
}

// ---- look-up

TEST_CASE("price: the bundled table says where it is from and of when", "[core][price]") {
  const auto table = PriceTable::bundled();
  CHECK(table.as_of() == day(2026, 8, 1));
  CHECK(table.version() == "2026-08-01");
  CHECK_THAT(table.source(), ContainsSubstring("BerriAI/litellm"));
  CHECK(table.size() > 600);
  CHECK(outlay::detail::Access::book(PriceTable::bundled()) == outlay::detail::Access::book(table));
}

TEST_CASE("price: the bundled rates of gpt-4o and gpt-4o-mini", "[core][price]") {
  const auto table = PriceTable::bundled();
  CHECK(table.cost("gpt-4o", {.input = 1'000'000}).usd == 2.50_usd);
  CHECK(table.cost("gpt-4o", {.cache_read = 1'000'000}).usd == 1.25_usd);
  CHECK(table.cost("gpt-4o", {.output = 1'000'000}).usd == 10_usd);
  CHECK(table.cost("gpt-4o-mini", {.input = 1'000'000}).usd == 0.15_usd);
  CHECK(table.cost("gpt-4o-mini", {.cache_read = 1'000'000}).usd == 0.075_usd);
  CHECK(table.cost("gpt-4o-mini", {.output = 1'000'000}).usd == 0.60_usd);
}

TEST_CASE("price: the bundled table agrees with published figures of each provider", "[core][price]") {
  struct Figure {
    const char* model;
    Usd input, output;  // a million tokens
    const char* provider;
  };
  const Figure figures[] = {
      {"gpt-5.6", 5_usd, 30_usd, "openai"},
      {"gpt-5.6-sol", 5_usd, 30_usd, "openai"},
      {"gpt-5.6-terra", 2_usd, 12_usd, "openai"},
      {"gpt-5.6-luna", 0.2_usd, 1.2_usd, "openai"},
      {"gpt-5.5", 5_usd, 30_usd, "openai"},
      {"gpt-5.5-pro", 30_usd, 180_usd, "openai"},
      {"gpt-5.4", 2.5_usd, 15_usd, "openai"},
      {"gpt-5.4-mini", 0.75_usd, 4.5_usd, "openai"},
      {"gpt-5.4-nano", 0.2_usd, 1.25_usd, "openai"},
      {"gpt-5", 1.25_usd, 10_usd, "openai"},
      {"gpt-5-mini", 0.25_usd, 2_usd, "openai"},
      {"gpt-5-nano", 0.05_usd, 0.4_usd, "openai"},
      {"gpt-4.1", 2_usd, 8_usd, "openai"},
      {"gpt-4.1-mini", 0.4_usd, 1.6_usd, "openai"},
      {"o3", 2_usd, 8_usd, "openai"},
      {"o4-mini", 1.1_usd, 4.4_usd, "openai"},
      {"text-embedding-3-small", 0.02_usd, 0_usd, "openai"},
      {"text-embedding-3-large", 0.13_usd, 0_usd, "openai"},
      {"claude-opus-5", 5_usd, 25_usd, "anthropic"},
      {"claude-opus-4-8", 5_usd, 25_usd, "anthropic"},
      {"claude-opus-4-5", 5_usd, 25_usd, "anthropic"},
      {"claude-fable-5", 10_usd, 50_usd, "anthropic"},
      {"claude-sonnet-5", 2_usd, 10_usd, "anthropic"},
      {"claude-sonnet-4-6", 3_usd, 15_usd, "anthropic"},
      {"claude-sonnet-4-5", 3_usd, 15_usd, "anthropic"},
      {"claude-haiku-4-5", 1_usd, 5_usd, "anthropic"},
      {"gemini/gemini-3.6-flash", 1.5_usd, 7.5_usd, "gemini"},
      {"gemini/gemini-3.5-flash", 1.5_usd, 9_usd, "gemini"},
      {"gemini/gemini-3.1-pro-preview", 2_usd, 12_usd, "gemini"},
      {"gemini/gemini-3.5-flash-lite", 0.3_usd, 2.5_usd, "gemini"},
      {"gemini/gemini-2.5-pro", 1.25_usd, 10_usd, "gemini"},
      {"gemini/gemini-2.5-flash", 0.3_usd, 2.5_usd, "gemini"},
      {"gemini/gemini-2.5-flash-lite", 0.1_usd, 0.4_usd, "gemini"},
      {"gemini/gemini-embedding-001", 0.15_usd, 0_usd, "gemini"},
      {"xai/grok-4.5", 2_usd, 6_usd, "xai"},
      {"xai/grok-4.3", 1.25_usd, 2.5_usd, "xai"},
      {"xai/grok-code-fast-1", 0.2_usd, 1.5_usd, "xai"},
      {"deepseek/deepseek-v4-pro", 0.435_usd, 0.87_usd, "deepseek"},
      {"deepseek/deepseek-v4-flash", 0.14_usd, 0.28_usd, "deepseek"},
      {"mistral/mistral-large-latest", 0.5_usd, 1.5_usd, "mistral"},
      {"mistral/mistral-medium-latest", 1.5_usd, 7.5_usd, "mistral"},
      {"mistral/mistral-small-latest", 0.06_usd, 0.18_usd, "mistral"},
      {"mistral/codestral-latest", 1_usd, 3_usd, "mistral"},
      {"command-a-03-2025", 2.5_usd, 10_usd, "cohere"},
      {"groq/openai/gpt-oss-120b", 0.15_usd, 0.6_usd, "groq"},
      {"amazon.nova-2-lite-v1:0", 0.3_usd, 2.5_usd, "bedrock"},
      {"openrouter/anthropic/claude-sonnet-4.5", 3_usd, 15_usd, "openrouter"},
  };
  const auto table = PriceTable::bundled();
  for (const auto& figure : figures) {
    INFO(figure.model);
    const auto price = table.find(figure.model);
    REQUIRE(price);
    CHECK(price->rates.input == Rate::per_million(figure.input));
    CHECK(price->rates.output == Rate::per_million(figure.output));
    CHECK(price->provider == figure.provider);
    // A first party's prefix may be left out.
    const std::string name = figure.model;
    if (const auto slash = name.find('/'); slash != std::string::npos && name.find('/', slash + 1) == std::string::npos)
      CHECK(table.find(name.substr(slash + 1)) == price);
  }
}

TEST_CASE("price: tiers of the bundled table", "[core][price]") {
  const auto table = PriceTable::bundled();
  CHECK(table.cost("gpt-5.6", {.input = 272'000}).usd == 1.36_usd);
  CHECK(table.cost("gpt-5.6", {.input = 272'001}).usd == 2.72001_usd);
  CHECK(table.cost("gpt-5.6", {.input = 1000, .output = 1000}, {.service_tier = "flex"}).usd == 0.0175_usd);
  CHECK(table.cost("gpt-4o", {.input = 1'000'000}, {.service_tier = "batch"}).usd == 1.25_usd);
  CHECK(table.cost("gpt-4o-2024-08-06", {.input = 1'000'000}, {.service_tier = "priority"}).usd == 4.25_usd);
  CHECK(table.cost("claude-sonnet-4-5", {.web_searches = 1}).usd == 0.01_usd);
  CHECK(table.cost("grok-4.5", {.input = 199'999}).usd == 0.399998_usd);
  CHECK(table.cost("grok-4.5", {.input = 200'000}).usd == 0.8_usd);
  CHECK(table.cost("us.anthropic.claude-sonnet-4-5-20250929-v1:0", {.input = 100'000}).usd == 0.33_usd);
}

TEST_CASE("price: a name is found as it is, and the rule says so", "[core][price]") {
  const auto cost = PriceTable::bundled().cost("gpt-4o", {});
  CHECK(cost.rule == PriceRule::exact);
  CHECK(cost.model == "gpt-4o");
  CHECK_FALSE(cost.assumed);
}

TEST_CASE("price: prefixes of providers and regions are taken off", "[core][price]") {
  const auto table = PriceTable::bundled();
  for (const char* name : {"openai/gpt-4o", "azure/gpt-4o", "openrouter/openai/gpt-4o"}) {
    INFO(name);
    const auto cost = table.cost(name, {});
    CHECK(cost.rule == PriceRule::provider_prefix);
    CHECK(cost.model == "gpt-4o");
  }
  CHECK_FALSE(table.cost("openai/gpt-4o", {}).assumed);
  CHECK(table.cost("openrouter/openai/gpt-4o", {}).assumed);
  CHECK(table.cost("models/gemini-2.5-pro", {}).model == "gemini-2.5-pro");
  CHECK(table.cost("publishers/google/models/gemini-2.5-flash", {}).model == "gemini-2.5-flash");
  CHECK(table.cost("bedrock/global.anthropic.claude-opus-4-6-v1", {}).model == "claude-opus-4-6");
  // A region's own entry comes first; where there is none, the rate is assumed.
  CHECK(table.cost("bedrock/us.anthropic.claude-opus-4-6-v1", {.input = 1'000'000}).usd == 5.50_usd);
  const auto regional = table.cost("bedrock/eu-west-1/anthropic.claude-opus-4-6-v1", {});
  CHECK(regional.rule == PriceRule::provider_prefix);
  CHECK(regional.assumed);
}

TEST_CASE("price: a provider with rates of its own is not taken for the maker of the model", "[core][price]") {
  const auto table = PriceTable::bundled();
  for (const char* name :
       {"together_ai/gpt-4o", "github_copilot/gpt-4o", "fireworks_ai/deepseek-chat", "my-gateway/gpt-4o"}) {
    INFO(name);
    CHECK_FALSE(table.find(name));
  }
}

TEST_CASE("price: a date at the end is taken off and the rate marked assumed", "[core][price]") {
  const auto table = PriceTable::bundled();
  for (const char* name : {"gpt-4o-2029-12-31", "gpt-4o-20291231", "gpt-4o@20291231", "openai/gpt-4o-2029-12-31"}) {
    INFO(name);
    const auto cost = table.cost(name, {});
    CHECK(cost.rule == PriceRule::date_suffix);
    CHECK(cost.model == "gpt-4o");
    CHECK(cost.assumed);
  }
  CHECK(table.cost("command-r-12-2029", {}).model == "command-r");
}

TEST_CASE("price: a dated snapshot at other rates is listed on its own", "[core][price]") {
  const auto cost = PriceTable::bundled().cost("gpt-4o-2024-05-13", {.input = 1'000'000, .output = 1'000'000});
  CHECK(cost.rule == PriceRule::exact);
  CHECK(cost.usd == 20_usd);
  CHECK_FALSE(cost.assumed);
}

TEST_CASE("price: what looks like a date but is none stays on", "[core][price]") {
  const auto table = PriceTable::bundled();
  for (const char* name : {"gpt-4o-2029-13-01", "gpt-4o-2029-00-10", "gpt-4o-99999999", "gpt-4o-1234", "gpt-4o-turbo",
                           "gpt-4o-", "-2029-12-31", "2029-12-31"}) {
    INFO(name);
    CHECK_FALSE(table.find(name));
  }
}

TEST_CASE("price: a fine-tuned model costs what its tuned base is listed for", "[core][price]") {
  const auto table = PriceTable::bundled();
  for (const char* name : {"ft:gpt-4o-2024-08-06:acme:support:abc123", "ft:gpt-4o-2024-08-06:acme::abc123"}) {
    INFO(name);
    const auto cost = table.cost(name, {.input = 1'000'000});
    CHECK(cost.rule == PriceRule::fine_tune);
    CHECK(cost.model == "ft:gpt-4o-2024-08-06");
    CHECK(cost.usd == 3.75_usd);
  }
  PriceTable own;
  own.register_model("ft:gpt-4o", full_price());
  CHECK(rule_of(own, "ft:gpt-4o:org:name:id") == PriceRule::fine_tune);
  CHECK(rule_of(own, "ft:gpt-4o-2024-08-06:org:name:id") == PriceRule::date_suffix);
  // Never at the untuned model's rates, which are lower.
  CHECK_FALSE(PriceTable::bundled().find("ft:gpt-5:org:name:id"));
}

TEST_CASE("price: an unknown model is an error that names it, never a default", "[core][price]") {
  const auto table = PriceTable::bundled();
  CHECK_FALSE(table.find("gpt-7"));
  CHECK(rule_of(table, "gpt-7") == PriceRule::none);
  try {
    (void)table.cost("gpt-7", {});
    FAIL("a price was made up");
  } catch (const PriceUnknown& error) {
    CHECK(error.reason() == errc::price_unknown);
    CHECK(error.model() == "gpt-7");
    CHECK_THAT(error.what(), ContainsSubstring("register_model"));
  }
  CHECK_FALSE(PriceTable().find("gpt-4o"));
}

TEST_CASE("price: hostile names are unknown and harmless", "[core][price]") {
  auto table = PriceTable::bundled();
  std::string slashes;
  for (int i = 0; i < 100'000; ++i) slashes += "openai/";
  const std::string names[] = {"",
                               "/",
                               ":",
                               "ft:",
                               "ft::",
                               "ft:::::",
                               "us.",
                               "-v1:0",
                               "publishers/",
                               "publishers/x/",
                               std::string("gpt-4o\0", 7),
                               std::string("\0", 1),
                               std::string(1 << 20, 'a'),
                               slashes,
                               slashes + "gpt-4o",
                               "\xff\xfe\n\r\t",
                               std::string(600, '-')};
  for (const auto& name : names) {
    CHECK_FALSE(table.find(name));
    CHECK(table.explain(name).size() < 1000);
    CHECK(reason_of([&] { return table.cost(name, {}); }) == errc::price_unknown);
  }
  // A name with a NUL is a name like any other once it is registered.
  const std::string nul("a\0b", 3);
  table.register_model(nul, Price::free());
  CHECK(table.find(nul));
  CHECK_FALSE(table.find("a"));
  table.register_model(std::string(100'000, 'x'), Price::free());
  CHECK(table.find(std::string(100'000, 'x')));
}

// ---- registering

TEST_CASE("price: free is a price, unlike a missing one", "[core][price]") {
  const auto table = table_of("llama-at-home", Price::free());
  CHECK(table.cost("llama-at-home", {.input = 1000, .output = 1000}).usd == Usd{});
  CHECK(table.find("llama-at-home") == Price::free());
}

TEST_CASE("price: a deployment costs what its model costs", "[core][price]") {
  auto table = PriceTable::bundled();
  table.register_deployment("prod-chat", "gpt-4o");
  const auto cost = table.cost("prod-chat", {.input = 1'000'000});
  CHECK(cost.usd == 2.50_usd);
  CHECK(cost.rule == PriceRule::alias);
  CHECK(cost.model == "gpt-4o");
  CHECK(table.cost("azure/prod-chat", {}).rule == PriceRule::alias);
  CHECK_FALSE(cost.assumed);
  table.register_deployment("dated", "gpt-4o-2029-12-31");
  CHECK(table.cost("dated", {}).assumed);
  table.register_deployment("again", "prod-chat");
  CHECK(table.cost("again", {}).model == "gpt-4o");
}

TEST_CASE("price: a deployment follows its model when that is registered anew", "[core][price]") {
  auto table = PriceTable::bundled();
  table.register_deployment("prod-chat", "gpt-4o");
  table.register_model("gpt-4o", Price::free());
  CHECK(table.cost("prod-chat", {.input = 1000}).usd == Usd{});
}

TEST_CASE("price: the last registration of a name wins", "[core][price]") {
  auto table = PriceTable::bundled();
  table.register_deployment("x", "gpt-4o");
  table.register_model("x", Price::free());
  CHECK(rule_of(table, "x") == PriceRule::exact);
  table.register_deployment("x", "gpt-4o-mini");
  CHECK(table.cost("x", {}).model == "gpt-4o-mini");
  table.register_deployment("gpt-4o", "gpt-4o");  // itself: no loop
  CHECK(table.cost("gpt-4o", {.input = 1'000'000}).usd == 2.50_usd);
}

TEST_CASE("price: registering with nonsense is refused", "[core][price]") {
  PriceTable table;
  CHECK_THROWS_AS(table.register_model("", Price::free()), ConfigError);
  Price negative;
  negative.rates.input = rate(-1);
  CHECK_THROWS_AS(table.register_model("m", negative), ConfigError);
  Price hidden;
  hidden.tiers.push_back({.service_tier = "batch", .rates = {.cache_read = rate(-5)}});
  CHECK_THROWS_WITH(table.register_model("m", hidden), ContainsSubstring("cache_read"));
  Price fee;
  fee.request = -0.01_usd;
  CHECK_THROWS_AS(table.register_model("m", fee), ConfigError);
  CHECK_THROWS_AS(table.register_deployment("d", "no-such-model"), PriceUnknown);
  CHECK_THROWS_AS(table.register_deployment("", "no-such-model"), ConfigError);
  CHECK(table.size() == 0);
}

TEST_CASE("price: a copy of a table is not changed by changing the other", "[core][price]") {
  auto table = PriceTable::bundled();
  const auto copy = table;
  const auto size = table.size();
  table.register_model("m", Price::free());
  table.register_deployment("d", "m");
  CHECK(table.size() == size + 2);
  CHECK(copy.size() == size);
  CHECK_FALSE(copy.find("m"));
  CHECK(outlay::detail::Access::book(table)->uid != outlay::detail::Access::book(copy)->uid);
  CHECK(PriceTable().size() == 0);
}

TEST_CASE("price: look-ups keep their address while the book lives, on any thread", "[core][price]") {
  const auto book = outlay::detail::Access::book(PriceTable::bundled());
  const std::vector<std::string> names = {"gpt-4o", "openai/gpt-4o", "gpt-4o-2029-12-31", "azure/o3", "unknown"};
  std::vector<const detail::PricedModel*> first;
  for (const auto& name : names) first.push_back(book->find(name));
  CHECK(first[0] != first[1]);
  CHECK(first[4] == nullptr);
  std::atomic<int> differing{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 3'000; ++i) {
        const auto at = static_cast<std::size_t>(i) % names.size();
        if (book->find(names[at]) != first[at]) ++differing;
        // Many names for few entries: the cache is emptied, the entries stay.
        const auto* other =
            book->find("gpt-4o-2029-" + std::to_string(10 + i % 3) + "-" + std::to_string(10 + t) + std::string());
        if (other != first[2]) ++differing;
        (void)book->find("azure/gpt-4o-mini-20" + std::to_string(200000 + t * 100000 + i));
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(differing == 0);
}

// ---- for people

TEST_CASE("price: explain names the entry, the rule, the rates and the table's age", "[core][price]") {
  const auto text = PriceTable::bundled().explain("azure/gpt-4o-2029-12-31");
  CHECK_THAT(text, ContainsSubstring("\"gpt-4o\"") && ContainsSubstring("date_suffix") && ContainsSubstring("assumed"));
  CHECK_THAT(text, ContainsSubstring("input $2.50") && ContainsSubstring("cache_read $1.25") &&
                       ContainsSubstring("output $10.00"));
  CHECK_THAT(text, ContainsSubstring("batch") && ContainsSubstring("2026-08-01") &&
                       ContainsSubstring("BerriAI/litellm") && ContainsSubstring("days ago"));
  CHECK_THAT(PriceTable::bundled().explain("gpt-7"), ContainsSubstring("no price"));
  CHECK_THAT(PriceTable().explain("x"), ContainsSubstring("undated"));
}

TEST_CASE("price: describe changes what a table says of itself, and nothing else", "[core][price]") {
  auto table = PriceTable::bundled();
  table.describe("v7", "our finance team", day(2030, 1, 2));
  CHECK(table.version() == "v7");
  CHECK(table.source() == "our finance team");
  CHECK(table.as_of() == day(2030, 1, 2));
  CHECK(table.cost("gpt-4o", {.input = 1'000'000}).usd == 2.50_usd);
  CHECK(PriceTable::bundled().version() == "2026-08-01");
}

TEST_CASE("price: a stale table is warned of once, an undated or fresh one never", "[core][price]") {
  auto table = PriceTable::bundled();
  LogCapture log;
  std::atomic<bool> said{false};
  table.describe("v", "s", day(2026, 8, 1));
  detail::warn_if_stale(*outlay::detail::Access::book(table), Time(day(2027, 1, 28)), said);  // 180 days
  CHECK(log.lines().empty());
  auto undated = table;
  undated.describe("v", "s", std::nullopt);
  detail::warn_if_stale(*outlay::detail::Access::book(undated), Time(day(2030, 1, 1)), said);
  CHECK(log.lines().empty());
  detail::warn_if_stale(*outlay::detail::Access::book(table), Time(day(2027, 1, 29)), said);
  REQUIRE(log.lines().size() == 1);
  CHECK_THAT(log.lines()[0].second, ContainsSubstring("2026-08-01") && ContainsSubstring("181 days"));
  detail::warn_if_stale(*outlay::detail::Access::book(table), Time(day(2027, 12, 1)), said);
  CHECK(log.lines().size() == 1);
}
