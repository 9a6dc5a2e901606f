// `outlay report --format focus` against the rules of the FinOps Open Cost and Usage Specification 1.2: of its columns, and of the formats
// that its attributes describe (specification/columns and specification/attributes of github.com/FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec).
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "outlay/jsonl_sink.hpp"
#include "outlay/sqlite.hpp"
#include "support/catch.hpp"
#include "unit/cli/command.hpp"

namespace cli = outlay::cli;

namespace {

using Row = std::map<std::string, std::string>;

/// RFC 4180.
std::vector<std::vector<std::string>> read_csv(const std::string& text) {
  std::vector<std::vector<std::string>> lines{{}};
  std::string cell;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') {
      for (++at; at < text.size(); ++at) {
        if (text[at] == '"') {
          if (at + 1 == text.size() || text[at + 1] != '"') break;
          ++at;
        }
        cell += text[at];
      }
    } else if (text[at] == ',' || text[at] == '\r') {
      lines.back().push_back(std::move(cell));
      cell.clear();
      if (text[at] == '\r') {
        ++at;
        lines.emplace_back();
      }
    } else {
      cell += text[at];
    }
  }
  lines.pop_back();
  return lines;
}

std::vector<Row> rows_of(const std::string& csv) {
  const auto lines = read_csv(csv);
  std::vector<Row> rows;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    REQUIRE(lines[i].size() == lines[0].size());
    Row row;
    for (std::size_t j = 0; j < lines[i].size(); ++j) row[lines[0][j]] = lines[i][j];
    rows.push_back(std::move(row));
  }
  return rows;
}

enum class Null { never, allowed };
struct Rule {
  const char* column;
  Null null;
  const char* form;  ///< A regular expression, or of a text anything.
};
constexpr const char* any_text = "[\\s\\S]+";
// NumericFormat: no sign but a minus, no exponent, one decimal point at most.
constexpr const char* decimal = "-?\\d+(\\.\\d+)?";
// DateTimeFormat: UTC, by ISO 8601.
constexpr const char* date_time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ";

/// The 21 columns whose feature level is Mandatory, then those that are conditional or recommended and given.
constexpr Rule rules[] = {
    {"BilledCost", Null::never, decimal},
    {"BillingAccountId", Null::never, any_text},
    {"BillingAccountName", Null::allowed, any_text},
    {"BillingCurrency", Null::never, "[A-Z]{3}"},  // ISO 4217
    {"BillingPeriodEnd", Null::never, date_time},
    {"BillingPeriodStart", Null::never, date_time},
    {"ChargeCategory", Null::never, "Usage|Purchase|Tax|Credit|Adjustment"},
    {"ChargeClass", Null::allowed, "Correction"},
    {"ChargeDescription", Null::allowed, any_text},
    {"ChargePeriodEnd", Null::never, date_time},
    {"ChargePeriodStart", Null::never, date_time},
    {"ContractedCost", Null::never, decimal},
    {"EffectiveCost", Null::never, decimal},
    {"InvoiceIssuerName", Null::never, any_text},
    {"ListCost", Null::never, decimal},
    {"PricingQuantity", Null::never, decimal},        // of a Usage that is no Correction
    {"PricingUnit", Null::never, "[A-Z][A-Za-z]*s"},  // UnitFormat: plural, capitalized
    {"ProviderName", Null::never, any_text},
    {"PublisherName", Null::never, any_text},
    {"ServiceCategory", Null::never, "AI and Machine Learning"},
    {"ServiceName", Null::never, any_text},
    {"ChargeFrequency", Null::never, "One-Time|Recurring|Usage-Based"},
    {"ConsumedQuantity", Null::never, decimal},
    {"ConsumedUnit", Null::never, "[A-Z][A-Za-z]*s"},
    {"PricingCategory", Null::never, "Standard|Dynamic|Committed|Other"},
    // Present where unit prices are published, and never null for a Usage that is no Correction.
    {"ListUnitPrice", Null::never, "\\d+(\\.\\d+)?"},
    {"ContractedUnitPrice", Null::never, "\\d+(\\.\\d+)?"},
    {"SkuId", Null::never, any_text},
    {"SkuPriceId", Null::never, any_text},
    {"SkuMeter", Null::never, any_text},
    {"SkuPriceDetails", Null::allowed, "\\{[\\s\\S]*\\}"},
    {"ServiceSubcategory", Null::never,
     "AI Platforms|Bots|Generative AI|Machine Learning|Natural Language Processing|Other \\(AI and Machine "
     "Learning\\)"},
    {"Tags", Null::never, "\\{[\\s\\S]*\\}"},
};

void check(const std::vector<std::string>& columns, const std::vector<Row>& rows) {
  CHECK(std::set<std::string>(columns.begin(), columns.end()).size() == columns.size());
  for (const Rule& rule : rules) {
    INFO(rule.column);
    CHECK(std::find(columns.begin(), columns.end(), rule.column) != columns.end());
    const std::regex form(rule.form);
    for (const Row& row : rows) {
      const std::string& value = row.at(rule.column);
      CHECK((value.empty() ? rule.null == Null::allowed : std::regex_match(value, form)));
    }
  }
  // Any other column is a custom one: its name begins with x_, and is Pascal case behind that.
  for (const std::string& column : columns) {
    const bool known =
        std::any_of(std::begin(rules), std::end(rules), [&](const Rule& rule) { return column == rule.column; });
    CHECK((known || std::regex_match(column, std::regex("x_[A-Z][A-Za-z]*"))));
  }
  // SkuPriceId has one and only one parent, and one set of details.
  std::map<std::string, std::pair<std::string, std::string>> parents;
  for (const Row& row : rows) {
    const auto parent = std::pair{row.at("SkuId"), row.at("SkuPriceDetails")};
    CHECK(parents.try_emplace(row.at("SkuPriceId"), parent).first->second == parent);
    const boost::json::value details = boost::json::parse(row.at("SkuPriceDetails"));
    for (const auto& property : details.as_object()) CHECK_FALSE(property.key().starts_with("F_"));
    // A unit price times the quantity is the cost.
    const std::int64_t quantity = std::stoll(row.at("PricingQuantity"));
    const auto usd = [&](const char* column) { return outlay::Usd::parse(row.at(column)); };
    CHECK(usd("ListUnitPrice") * quantity == usd("ListCost"));
    CHECK(usd("ContractedUnitPrice") * quantity == usd("ContractedCost"));
    // Of a Usage that no commitment covers, a valid positive value.
    CHECK(std::stoll(row.at("ConsumedQuantity")) > 0);
    // Nothing is prepaid here, and no charge is one for the future.
    CHECK(row.at("EffectiveCost") == row.at("BilledCost"));
    // Inclusive begin, exclusive end; the billing period has the charge in it.
    CHECK(row.at("ChargePeriodStart") < row.at("ChargePeriodEnd"));
    CHECK(row.at("BillingPeriodStart") <= row.at("ChargePeriodStart"));
    CHECK(row.at("ChargePeriodStart") < row.at("BillingPeriodEnd"));
    // KeyValueFormat: an object whose values are no objects or lists.
    const boost::json::value tags = boost::json::parse(row.at("Tags"));
    for (const auto& tag : tags.as_object()) CHECK(tag.value().is_string());
    CHECK(row.at("BillingCurrency") == "USD");
  }
}

}  // namespace

TEST_CASE("focus: the file keeps the rules of FOCUS 1.2, and its sum is the report's", "[cli][report][focus]") {
  const command::Directory directory;
  const std::string file = directory.file("spend.db");
  {
    const auto sink = outlay::sqlite_sink({.path = file});
    outlay::Record record;
    record.started = cli::parse_time("2026-12-31T23:59:59Z", {}).value();
    record.ended = record.started + std::chrono::milliseconds(2'500);
    record.model = "gpt-4o";
    record.provider = "openai";
    record.usage = {.input = 100, .cache_read = 7, .output = 20};
    record.usd = outlay::Usd::from_nanos(1'234'567'891);
    record.tags = {{"user_id", "ali\"ce, =1+1\r\n"}, {"=feature", "\xF0\x9F\x92\xB8"}};
    record.budgets = {"team", "a/b"};
    sink->write(record);
    record.status = outlay::RecordStatus::rejected;  // no charge
    record.usd = {};
    sink->write(record);
    record.status = outlay::RecordStatus::indeterminate;
    record.usd = outlay::Usd::from_nanos(-5);
    record.model.clear();
    record.provider.clear();
    record.ended = record.started;
    record.tags = {};
    record.cost_source = outlay::CostSource::none;
    sink->write(record);
    sink->close();
  }
  const command::Result result = command::run_outlay("report " + file + " --format focus --account acct-1");
  CHECK(result.status == 0);
  const std::vector<Row> rows = rows_of(result.out);
  REQUIRE(rows.size() == 2);
  check(read_csv(result.out).front(), rows);
  outlay::Usd sum;
  for (const Row& row : rows) sum += outlay::Usd::parse(row.at("BilledCost"));
  CHECK(sum == outlay::report_sqlite(file).total().usd);
  CHECK(rows[0].at("BillingAccountId") == "acct-1");
  CHECK(rows[0].at("BillingPeriodEnd") == "2027-01-01T00:00:00Z");
  CHECK(rows[0].at("ChargePeriodEnd") == "2027-01-01T00:00:02Z");
  CHECK(rows[0].at("ConsumedQuantity") == "127");
  CHECK(rows[0].at("ContractedCost") == rows[0].at("BilledCost"));
  CHECK(rows[0].at("ListCost") == "0.00045875");  // 100 at $2.50, 7 at $1.25 and 20 at $10 a million
  CHECK(rows[1].at("ListCost") == rows[1].at("BilledCost"));
  CHECK(rows[1].at("PricingQuantity") == "-1");
  CHECK(rows[0].at("x_Budget") == "team/a\\/b");
  CHECK(rows[1].at("x_Status") == "indeterminate");
}

TEST_CASE("focus: list prices are the published ones, contracted prices the program's, billed is what was booked",
          "[cli][report][focus]") {
  const command::Directory directory;
  const std::string file = directory.file("spend.jsonl"), prices = directory.file("prices.json");
  {
    const auto sink = outlay::jsonl_sink({.path = file, .sync = false});
    outlay::Record record;
    record.started = record.ended = cli::parse_time("2026-11-01T00:00:00Z", {}).value();
    record.model = record.admitted_model = record.requested_model = "gpt-4o";
    record.provider = "openai";
    record.usage = {.input = 1'000, .output = 100};
    // A negotiated price, half of the published one.
    record.usd = outlay::Usd::from_nanos(1'750'000);
    sink->write(record);
    // The provider says what it charges, beside what the table says.
    record.cost_source = outlay::CostSource::provider;
    record.usd = outlay::Usd::from_nanos(1'000'000);
    record.provider_cost = record.usd;
    record.table_cost = outlay::Usd::from_nanos(3'500'000);
    sink->write(record);
    // Nothing is published of this one, and of the last it is not known what it used.
    record.provider_cost.reset();
    record.table_cost.reset();
    record.cost_source = outlay::CostSource::table;
    record.model = record.admitted_model = "house-model";
    sink->write(record);
    record.model = record.admitted_model = "gpt-4o";
    record.status = outlay::RecordStatus::indeterminate;
    record.usage = {};
    sink->write(record);
    sink->close();
  }
  const auto costs = [&](const std::string& options) {
    const command::Result result = command::run_outlay("report " + file + " --format focus" + options);
    INFO(result.err);
    CHECK(result.status == 0);
    const std::vector<Row> rows = rows_of(result.out);
    check(read_csv(result.out).front(), rows);
    std::vector<std::string> all;
    for (const Row& row : rows)
      all.push_back(row.at("ListCost") + ' ' + row.at("ContractedCost") + ' ' + row.at("BilledCost") +
                    (row.at("x_ListPriceVersion").empty() ? " no list price" : ""));
    return all;
  };
  using List = std::vector<std::string>;
  CHECK(costs("") == List{"0.0035 0.00175 0.00175", "0.0035 0.0035 0.001", "0.001 0.001 0.001 no list price",
                          "0.001 0.001 0.001 no list price"});
  command::write_file(
      prices, R"({"format":"outlay-prices-1","version":"list-7","models":{"house-model":{"input":1,"output":2}}})");
  CHECK(costs(" --prices " + prices).at(2) == "0.0012 0.001 0.001");
}

TEST_CASE("focus: rows are charges, so that no grouping is asked for", "[cli][report][focus]") {
  const command::Directory directory;
  const command::Result result =
      command::run_outlay("report " + directory.file("spend.db") + " --format focus --by model");
  CHECK(result.status == cli::usage);
  CHECK(result.err == "outlay: --format focus has a row for each charge. Leave --by and --limit out.\n");
}

TEST_CASE("focus: a charge is in the month in which it began, whenever it ended", "[cli][report][focus]") {
  const command::Directory directory;
  const std::string file = directory.file("spend.db");
  {
    const auto sink = outlay::sqlite_sink({.path = file});
    for (const char* began : {"2026-10-31T23:59:59Z", "2026-11-30T23:59:59Z"}) {
      outlay::Record record;
      record.started = cli::parse_time(began, {}).value();
      record.ended = record.started + std::chrono::minutes(10);
      record.usd = outlay::Usd::from_nanos(1);
      sink->write(record);
    }
    sink->close();
  }
  const auto begins = [&](const std::string& options) {
    std::vector<std::string> all;
    for (const Row& row : rows_of(command::run_outlay("report " + file + " --format focus " + options).out))
      all.push_back(row.at("ChargePeriodStart"));
    return all;
  };
  using List = std::vector<std::string>;
  CHECK(begins("--since 2026-10-01 --until 2026-11-01") == List{"2026-10-31T23:59:59Z"});
  CHECK(begins("--since 2026-11-01 --until 2026-12-01") == List{"2026-11-30T23:59:59Z"});
}

TEST_CASE("focus: tags survive the spreadsheet that reads them", "[cli][report][focus]") {
  const command::Directory directory;
  const std::string file = directory.file("spend.db");
  {
    const auto sink = outlay::sqlite_sink({.path = file});
    outlay::Record record;
    record.usd = outlay::Usd::from_nanos(1);
    record.tags = {{"note", "x;=cmd|'/C calc'!A0"}};
    sink->write(record);
    sink->close();
  }
  const std::vector<Row> rows = rows_of(command::run_outlay("report " + file + " --format focus").out);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("Tags").find_first_of(";|") == std::string::npos);
  CHECK(boost::json::parse(rows[0].at("Tags")).at("note") == "x;=cmd|'/C calc'!A0");
}
