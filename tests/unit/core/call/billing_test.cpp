// Whose price is booked, what has none, and what a call of several models costs.
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "outlay/jsonl_sink.hpp"
#include "outlay/outlay.hpp"
#include "outlay/testing.hpp"
#include "support/catch.hpp"

using namespace outlay;
using namespace outlay::literals;

namespace {

Price price(std::int64_t input_picos, std::int64_t output_picos, const char* provider = "") {
  Price price;
  price.rates.input = Rate::from_picos(input_picos);
  price.rates.output = Rate::from_picos(output_picos);
  price.provider = provider;
  return price;
}

struct Books {
  explicit Books(PriceTable prices) : ledger({.prices = std::move(prices)}), scope(ledger) {}
  Settled settle(const CallRequest& request, const Settlement& settlement) {
    Call call(request);
    call.sent();
    return call.settle(settlement);
  }
  Ledger ledger;
  LedgerScope scope;
};

constexpr Usage million{.input = 1'000'000, .output = 1'000'000};

}  // namespace

TEST_CASE("billing: a price that the program registered counts, whatever the reply calls itself", "[core][billing]") {
  PriceTable table = PriceTable::bundled();
  table.register_model("contract", price(10'000'000, 30'000'000, "azure"));
  table.register_deployment("our-4o", "gpt-4o");
  Books books(table);
  const Settled settled =
      books.settle({.model = "contract", .provider = "azure"}, {.usage = million, .served_model = "gpt-4"});
  CHECK(settled.usd == 40_usd);
  CHECK(settled.cost_source == CostSource::table);
  CHECK(settled.status == RecordStatus::settled);
  CHECK(books.ledger.records().back().model == "gpt-4");
  CHECK(books.settle({.model = "our-4o", .provider = "azure"}, {.usage = million, .served_model = "gpt-4"}).usd ==
        12.5_usd);
}

TEST_CASE("billing: of a served model without a price, the admitted one's is an assumption", "[core][billing]") {
  PriceTable table = PriceTable::bundled();
  table.register_deployment("our-4o", "gpt-4o");
  Books books(table);
  const Settled settled = books.settle({.model = "gpt-4o"}, {.usage = million, .served_model = "mystery-9"});
  CHECK(settled.usd == 12.5_usd);
  CHECK(settled.cost_source == CostSource::assumed);
  CHECK(books.settle({.model = "gpt-4o"}, {.usage = million, .served_model = "gpt-4o"}).cost_source ==
        CostSource::table);
  CHECK(books.settle({.model = "our-4o"}, {.usage = million, .served_model = "mystery-9"}).cost_source ==
        CostSource::table);
}

TEST_CASE("billing: a reply that leaves out the host or region of its model changes no price", "[core][billing]") {
  Books books(PriceTable::bundled());
  CHECK(books
            .settle({.model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", .provider = "bedrock"},
                    {.usage = {.input = 100'000, .output = 10'000}, .served_model = "claude-sonnet-4-5-20250929"})
            .usd == 0.495_usd);
  CHECK(books
            .settle({.model = "azure/eu/gpt-4o-2024-08-06"},
                    {.usage = {.input = 100'000, .output = 10'000}, .served_model = "gpt-4o-2024-08-06"})
            .usd == 0.385_usd);
  // What only begins alike is another model.
  CHECK(books.settle({.model = "gpt-4o-mini"}, {.usage = million, .served_model = "gpt-4o"}).usd == 12.5_usd);
}

TEST_CASE("billing: otherwise the served name counts, under the provider that was asked", "[core][billing]") {
  Books books(PriceTable::bundled());
  CHECK(
      books.settle({.model = "gpt-4o", .provider = "openai"}, {.usage = million, .served_model = "gpt-4o-mini"}).usd ==
      0.75_usd);
  // Groq's own model, not one of another provider that has the name.
  CHECK(books
            .settle({.model = "llama-3.3-70b-versatile", .provider = "groq"},
                    {.usage = million, .served_model = "llama-3.1-8b-instant"})
            .usd == 0.13_usd);
  CHECK(books
            .settle({.model = "llama-3.3-70b-versatile", .provider = "groq"},
                    {.usage = million, .served_model = "gpt-4o"})
            .usd == 1.38_usd);
}

TEST_CASE("billing: a tool without a fee is unpriced, never $0 in silence", "[core][billing]") {
  PriceTable table;
  table.register_model("m", price(1'000'000, 1'000'000));
  Price with_fee = price(1'000'000, 1'000'000);
  with_fee.web_search = 0.01_usd;
  table.register_model("searcher", with_fee);
  Books books(table);
  const Settled without = books.settle({.model = "m"}, {.usage = {.input = 1'000, .web_searches = 5}});
  CHECK(without.usd == 0.001_usd);
  CHECK(without.cost_source == CostSource::none);
  CHECK(books.ledger.unpriced_calls() == 1);
  CHECK(books.ledger.records().back().cost_source == CostSource::none);
  const Settled with = books.settle({.model = "searcher"}, {.usage = {.input = 1'000, .web_searches = 5}});
  CHECK(with.usd == 0.051_usd);
  CHECK(with.cost_source == CostSource::table);
  CHECK(books.ledger.unpriced_calls() == 1);
  // The provider's word settles it.
  CHECK(books.settle({.model = "m"}, {.usage = {.input = 1'000, .web_searches = 5}, .provider_cost = 0.06_usd})
            .cost_source == CostSource::provider);
  CHECK(books.ledger.unpriced_calls() == 1);
}

TEST_CASE("billing: searches that the request bounds are reserved, and refused where they have no fee",
          "[core][billing]") {
  PriceTable table;
  Price with_fee = price(0, 0);
  with_fee.web_search = 0.01_usd;
  table.register_model("searcher", with_fee);
  table.register_model("m", price(0, 0));
  Books books(table);
  Budget budget({.usd = 0.05_usd});
  {
    const Call call({.model = "searcher", .input_tokens = 0, .max_output_tokens = 10, .web_searches = 5});
    CHECK(budget.reserved().usd == 0.05_usd);
  }
  CHECK_THROWS_AS(Call({.model = "searcher", .input_tokens = 0, .max_output_tokens = 10, .web_searches = 6}),
                  BudgetExceeded);
  CHECK_THROWS_AS(Call({.model = "m", .input_tokens = 0, .max_output_tokens = 10, .web_searches = 1}), PriceUnknown);
  CHECK_NOTHROW(Call({.model = "m", .input_tokens = 0, .max_output_tokens = 10}));
  CHECK_THROWS_AS(Call({.model = "m", .web_searches = -1}), Error);
}

TEST_CASE("billing: a tier that the table does not list is assumed", "[core][billing]") {
  PriceTable table;
  table.register_model("m", price(2'000'000, 2'000'000, "openai"));
  Books books(table);
  const Settled flex = books.settle({.model = "m"}, {.usage = million, .service_tier = "flex"});
  CHECK(flex.usd == 2_usd);
  CHECK(flex.cost_source == CostSource::assumed);
  CHECK(books.settle({.model = "m"}, {.usage = million, .service_tier = "default"}).cost_source == CostSource::table);
}

TEST_CASE("billing: the parts of other models are priced at their own rates, and kept", "[core][billing]") {
  Books books(PriceTable::bundled());
  const std::vector<UsagePart> parts{{"claude-opus-4-7", {.input = 159'419, .output = 7'805}}};
  const Settled settled =
      books.settle({.model = "claude-sonnet-4-6", .provider = "anthropic"},
                   {.usage = {.input = 159'421, .cache_read = 226'584, .cache_write = 7'853, .output = 8'296},
                    .served_model = "claude-sonnet-4-6",
                    .parts = parts});
  // 2 x $3 + 226,584 x $0.30 + 7,853 x $3.75 + 491 x $15, and 159,419 x $5 + 7,805 x $25, a million each.
  CHECK(settled.usd == 0.10479495_usd + 0.99222_usd);
  const Record record = books.ledger.records().back();
  REQUIRE(record.parts.size() == 1);
  CHECK(record.parts[0] == RecordPart{"claude-opus-4-7", parts[0].usage, 0.99222_usd});
  CHECK(record.usage.output == 8'296);
  CHECK(to_json_line(record).find(R"("parts":[{"model":"claude-opus-4-7","usd_nanos":992220000,)") !=
        std::string::npos);

  const std::vector<UsagePart> unknown{{"nobody-knows", {.output = 5}}};
  CHECK(books.settle({.model = "claude-sonnet-4-6"}, {.usage = {.output = 10}, .parts = unknown}).cost_source ==
        CostSource::none);
}

TEST_CASE("billing: each record's cost is the exact sum over its parts", "[core][billing]") {
  // Computed another way: in whole pico-dollars by 128 bits, each model's share rounded once, half to even.
  __extension__ using Wide = __int128;
  struct Model {
    std::string name;
    std::int64_t in, read, write, out, search_nanos;
  };
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const auto upto = [&](std::int64_t most) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most + 1));
  };
  std::vector<Model> models;
  PriceTable table;
  for (int i = 0; i < 5; ++i) {
    const Model model{"m" + std::to_string(i), upto(30'000'000), upto(3'000'000),
                      upto(40'000'000),        upto(90'000'000), upto(20'000'000)};
    Price entry = price(model.in, model.out);
    entry.rates.cache_read = Rate::from_picos(model.read);
    entry.rates.cache_write = Rate::from_picos(model.write);
    entry.web_search = Usd::from_nanos(model.search_nanos);
    table.register_model(model.name, entry);
    models.push_back(model);
  }
  const auto nanos_of = [](const Model& m, const Usage& u) {
    const Wide picos = Wide{u.input} * m.in + Wide{u.cache_read} * m.read + Wide{u.cache_write} * m.write +
                       Wide{u.output} * m.out + Wide{u.web_searches} * m.search_nanos * 1'000;
    Wide nanos = picos / 1'000;
    const Wide twice = picos % 1'000 * 2;
    if (twice > 1'000 || (twice == 1'000 && nanos % 2 != 0)) ++nanos;
    return static_cast<std::int64_t>(nanos);
  };
  const auto some = [&] {
    return Usage{.input = upto(300'000),
                 .cache_read = upto(90'000),
                 .cache_write = upto(9'000),
                 .output = upto(50'000),
                 .web_searches = upto(9)};
  };
  Books books(table);
  std::vector<std::int64_t> costs;
  std::int64_t all = 0;
  for (int round = 0; round < 2'000; ++round) {
    const Model& asked = models[static_cast<std::size_t>(upto(4))];
    Usage usage = some();
    std::int64_t expected = nanos_of(asked, usage);
    std::vector<UsagePart> parts;
    for (std::int64_t n = upto(3); n > 0; --n) {
      const Model& other = models[static_cast<std::size_t>(upto(4))];
      parts.push_back({other.name, some()});
      expected += nanos_of(other, parts.back().usage);
      usage += parts.back().usage;
    }
    books.settle({.model = asked.name}, {.usage = usage, .parts = parts});
    costs.push_back(expected);
    all += expected;
  }
  const std::vector<Record> records = books.ledger.records();
  REQUIRE(records.size() == costs.size());
  for (std::size_t i = 0; i < costs.size(); ++i) REQUIRE(records[i].usd.nanos() == costs[i]);
  CHECK(books.ledger.report().total().usd.nanos() == all);
}

TEST_CASE("billing: a usage prints what it has", "[core][usage]") {
  std::ostringstream out;
  out << Usage{.input = 388, .output = 60, .web_searches = 2} << ", " << Usage{};
  CHECK(out.str() == "input=388 output=60 web_searches=2, nothing");
}
