#include <boost/json.hpp>
#include <fstream>
#include <string>

#include "price_files.hpp"
#include "support/catch.hpp"

using namespace outlay;
using namespace outlay::literals;

TEST_CASE("own prices: everything that the format has is read", "[json][price]") {
  const auto table = own(R"({
    "$schema": "price_table.schema.json", "format": "outlay-prices-1", "version": "2026-Q3", "source": "our contract",
    "as_of": "2026-07-31",
    "models": {
      "m": {"provider": "acme", "input": "2.50", "output": 10, "cache_read": 1.25, "cache_write": "3.125",
            "cache_write_1h": "5", "reasoning": "11", "input_audio": 40, "output_audio": 80, "input_image": 2,
            "output_image": 30, "cache_read_audio": 20, "web_search": "0.01", "request": 0.0001,
            "max_input_tokens": 128000, "max_output_tokens": 16384,
            "tiers": [{"service_tier": "batch", "input": "1.25", "output": "5"},
                      {"above_input_tokens": 1000, "inclusive": true, "input": 5, "output": 15}]}},
    "deployments": {"prod": "m", "prod-too": "prod"}})");
  CHECK(table.version() == "2026-Q3");
  CHECK(table.source() == "our contract");
  CHECK(table.as_of() == std::chrono::sys_days(std::chrono::year(2026) / 7 / 31));
  const auto price = table.find("m");
  REQUIRE(price);
  const auto per_million = [](Usd usd) { return Rate::per_million(usd); };
  const Rates rates{.input = per_million(2.50_usd),
                    .output = per_million(10_usd),
                    .cache_read = per_million(1.25_usd),
                    .cache_write = per_million(3.125_usd),
                    .cache_write_1h = per_million(5_usd),
                    .reasoning = per_million(11_usd),
                    .input_audio = per_million(40_usd),
                    .output_audio = per_million(80_usd),
                    .input_image = per_million(2_usd),
                    .output_image = per_million(30_usd),
                    .cache_read_audio = per_million(20_usd)};
  CHECK(price->rates == rates);
  CHECK(price->provider == "acme");
  CHECK(price->web_search == 0.01_usd);
  CHECK(price->request == 0.0001_usd);
  CHECK(price->max_input_tokens == 128'000);
  CHECK(price->max_output_tokens == 16'384);
  REQUIRE(price->tiers.size() == 2);
  CHECK(price->tiers[0].service_tier == "batch");
  CHECK(price->tiers[1].above_input_tokens == 1000);
  CHECK(price->tiers[1].inclusive);
  CHECK(price->tiers[1].rates.input == per_million(5_usd));
  CHECK(table.cost("prod-too", {}).model == "m");
  CHECK(table.cost("prod", {}).rule == PriceRule::alias);
}

TEST_CASE("own prices: a rate is read from its text, not through a double", "[json][price]") {
  const auto table = own(R"({"format":"outlay-prices-1","models":{"m":{"input":0.1,"output":1234567.890123}}})");
  CHECK(table.find("m")->rates.input.picos() == 100'000);
  CHECK(table.find("m")->rates.output.picos() == 1'234'567'890'123);
  CHECK_FALSE(table.cost("m", {}).assumed);
  const auto fine = own(R"({"format":"outlay-prices-1","models":{"m":{"input":"0.0000015","output":"0"}}})");
  CHECK(fine.find("m")->rates.input.picos() == 2);
  CHECK(fine.cost("m", {}).assumed);
}

TEST_CASE("own prices: what the format does not allow is refused by name", "[json][price]") {
  const auto with = [](const std::string& model) {
    return refused(R"({"format":"outlay-prices-1","models":{"m":)" + model + "}}", true);
  };
  CHECK_THAT(refused(R"({"models":{}})", true), ContainsSubstring("outlay-prices-1"));
  CHECK_THAT(refused(R"({"format":"outlay-prices-2","models":{}})", true), ContainsSubstring("outlay-prices-2"));
  CHECK_THAT(refused(R"({"format":"outlay-prices-1"})", true), ContainsSubstring("\"models\" is missing"));
  CHECK_THAT(refused(R"({"format":"outlay-prices-1","models":{},"extra":1})", true), ContainsSubstring("\"extra\""));
  CHECK_THAT(refused(R"({"format":"outlay-prices-1","models":{"":{"input":1,"output":1}}})", true),
             ContainsSubstring("empty name"));
  CHECK_THAT(with(R"({"output":1})"), ContainsSubstring("\"m\"") && ContainsSubstring("\"input\" is missing"));
  CHECK_THAT(with(R"({"input":1})"), ContainsSubstring("\"output\" is missing"));
  CHECK_THAT(with(R"({"input":-1,"output":1})"), ContainsSubstring("\"input\""));
  CHECK_THAT(with(R"({"input":"a lot","output":1})"), ContainsSubstring("\"input\""));
  CHECK_THAT(with(R"({"input":null,"output":1})"), ContainsSubstring("\"input\""));
  CHECK_THAT(with(R"({"input":1,"output":1e30})"), ContainsSubstring("\"output\""));
  CHECK_THAT(with(R"({"input":1,"output":1,"cached":1})"), ContainsSubstring("\"cached\""));
  CHECK_THAT(with(R"({"input":1,"output":1,"max_output_tokens":1.5})"), ContainsSubstring("max_output_tokens"));
  CHECK_THAT(with(R"({"input":1,"output":1,"max_output_tokens":"9"})"), ContainsSubstring("max_output_tokens"));
  CHECK_THAT(with(R"({"input":1,"output":1,"tiers":{}})"), ContainsSubstring("tiers"));
  CHECK_THAT(with(R"({"input":1,"output":1,"tiers":[{"input":1,"output":1}]})"), ContainsSubstring("always apply"));
  CHECK_THAT(with(R"({"input":1,"output":1,"tiers":[{"service_tier":"batch","input":1}]})"),
             ContainsSubstring("\"output\" is missing"));
  CHECK_THAT(with(R"({"input":1,"output":1,"tiers":[{"service_tier":"b","input":1,"output":1,"inclusive":1}]})"),
             ContainsSubstring("inclusive"));
  CHECK_THAT(with("7"), ContainsSubstring("must be an object"));
  for (const char* day : {"2026-13-01", "2026-02-30", "01.08.2026", "2026-8-1", "", "2026-08-01T00:00:00Z"}) {
    INFO(day);
    CHECK_THAT(refused(std::string(R"({"format":"outlay-prices-1","models":{},"as_of":")") + day + "\"}", true),
               ContainsSubstring("as_of"));
  }
  CHECK_THAT(refused(R"({"format":"outlay-prices-1","models":{},"deployments":{"d":"nothing"}})", true),
             ContainsSubstring("\"d\"") && ContainsSubstring("\"nothing\""));
}

TEST_CASE("own prices: the schema names the members that the reader knows", "[json][price]") {
  std::ifstream in(OUTLAY_TEST_DIR "/../src/json/prices/price_table.schema.json");
  REQUIRE(in);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const auto schema = boost::json::parse(text);
  // A model with every member of the schema is read, so each of them is known.
  boost::json::object model, tier;
  const auto fill = [](boost::json::object& into, const boost::json::value& properties) {
    for (const auto& member : properties.as_object()) into[member.key()] = 1;
  };
  fill(model, schema.at("$defs").at("model").at("properties"));
  fill(tier, schema.at("$defs").at("tier").at("properties"));
  CHECK(model.size() == 20);
  CHECK(tier.size() == 14);
  tier["service_tier"] = "batch";
  tier["inclusive"] = true;
  model["provider"] = "p";
  model["tiers"] = boost::json::array{tier};
  const auto table = own(boost::json::serialize(
      boost::json::object{{"format", schema.at("properties").at("format").at("const")}, {"models", {{"m", model}}}}));
  CHECK(table.find("m")->tiers.size() == 1);
}
