#include "cli/focus.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "cli/formats.hpp"
#include "core/base/decimal.hpp"
#include "core/base/json_writer.hpp"
#include "core/ledger/budget_path.hpp"

namespace outlay::cli {

namespace {

struct Charge {
  const Record& record;
  const std::string& account;
  Time begin, end;  // whole seconds, the end exclusive

  Charge(const Record& charged, const std::string& of) : record(charged), account(of) {
    using std::chrono::seconds;
    begin = Time(std::chrono::floor<seconds>(charged.started));
    end = std::max(begin, Time(std::chrono::floor<seconds>(charged.ended))) + seconds(1);
  }
  [[nodiscard]] std::string cost() const { return detail::decimal_usd(record.usd); }
  [[nodiscard]] std::string provider() const { return record.provider.empty() ? "unknown" : record.provider; }
  [[nodiscard]] std::string model() const { return record.model.empty() ? "unknown" : record.model; }
  [[nodiscard]] std::string month(int more) const {
    using namespace std::chrono;
    const year_month_day day(floor<days>(begin));
    const sys_days first = (day.year() / day.month() + months(more)) / 1;
    return to_iso8601(Time(first));
  }
};

std::string constant(const char* text) { return text; }
std::string count(std::int64_t number) { return std::to_string(number); }

struct Column {
  const char* name;
  std::string (*value)(const Charge&);
};

constexpr Column columns[] = {
    {"BilledCost", [](const Charge& c) { return c.cost(); }},
    {"BillingAccountId", [](const Charge& c) { return c.account; }},
    {"BillingAccountName", [](const Charge&) { return std::string(); }},
    {"BillingCurrency", [](const Charge&) { return constant("USD"); }},
    {"BillingPeriodEnd", [](const Charge& c) { return c.month(1); }},
    {"BillingPeriodStart", [](const Charge& c) { return c.month(0); }},
    {"ChargeCategory", [](const Charge&) { return constant("Usage"); }},
    {"ChargeClass", [](const Charge&) { return std::string(); }},
    {"ChargeDescription",
     [](const Charge& c) {
       return c.model() + ": " + count(c.record.usage.input_total()) + " tokens in, " + count(c.record.usage.output) +
              " tokens out";
     }},
    {"ChargeFrequency", [](const Charge&) { return constant("Usage-Based"); }},
    {"ChargePeriodEnd", [](const Charge& c) { return to_iso8601(c.end); }},
    {"ChargePeriodStart", [](const Charge& c) { return to_iso8601(c.begin); }},
    {"ConsumedQuantity", [](const Charge& c) { return count(c.record.usage.total()); }},
    {"ConsumedUnit", [](const Charge&) { return constant("Tokens"); }},
    {"ContractedCost", [](const Charge& c) { return c.cost(); }},
    {"EffectiveCost", [](const Charge& c) { return c.cost(); }},
    {"InvoiceIssuerName", [](const Charge& c) { return c.provider(); }},
    {"ListCost", [](const Charge& c) { return c.cost(); }},
    {"PricingCategory", [](const Charge&) { return constant("Standard"); }},
    {"PricingQuantity", [](const Charge&) { return constant("1"); }},
    {"PricingUnit", [](const Charge&) { return constant("Requests"); }},
    {"ProviderName", [](const Charge& c) { return c.provider(); }},
    {"PublisherName", [](const Charge& c) { return c.provider(); }},
    {"ServiceCategory", [](const Charge&) { return constant("AI and Machine Learning"); }},
    {"ServiceName", [](const Charge& c) { return c.model(); }},
    {"ServiceSubcategory", [](const Charge&) { return constant("Generative AI"); }},
    {"Tags",
     [](const Charge& c) {
       std::string json;
       detail::JsonWriter(json).tags(c.record.tags);
       // In no spreadsheet do they end a cell then, and the tags are what they were.
       std::string cell;
       for (const char character : json)
         cell += character == ';' ? "\\u003b" : character == '|' ? "\\u007c" : std::string(1, character);
       return cell;
     }},
    {"x_AdmittedModel", [](const Charge& c) { return c.record.admitted_model; }},
    {"x_Budget", [](const Charge& c) { return detail::join_path(c.record.budgets); }},
    {"x_CacheReadTokens", [](const Charge& c) { return count(c.record.usage.cache_read); }},
    {"x_CacheWriteTokens",
     [](const Charge& c) { return count(c.record.usage.cache_write + c.record.usage.cache_write_1h); }},
    {"x_CallId", [](const Charge& c) { return std::to_string(c.record.call_id); }},
    {"x_CostSource", [](const Charge& c) { return constant(to_string(c.record.cost_source)); }},
    {"x_HostProviderName", [](const Charge& c) { return c.provider(); }},
    {"x_InputTokens", [](const Charge& c) { return count(c.record.usage.input); }},
    {"x_OutputTokens", [](const Charge& c) { return count(c.record.usage.output); }},
    {"x_PriceVersion", [](const Charge& c) { return c.record.price_version; }},
    {"x_ReasoningTokens", [](const Charge& c) { return count(c.record.usage.reasoning); }},
    {"x_RequestedModel", [](const Charge& c) { return c.record.requested_model; }},
    {"x_ServiceProviderName", [](const Charge& c) { return c.provider(); }},
    {"x_ServiceTier", [](const Charge& c) { return c.record.service_tier; }},
    {"x_Status", [](const Charge& c) { return constant(to_string(c.record.status)); }},
    {"x_WebSearches", [](const Charge& c) { return count(c.record.usage.web_searches); }},
};

}  // namespace

std::string focus_header() {
  std::string line;
  for (const Column& column : columns) line.append(line.empty() ? "" : ",").append(column.name);
  return line + "\r\n";
}

std::string focus_row(const Record& record, const std::string& account) {
  if (record.status == RecordStatus::rejected && record.usd == Usd{}) return {};
  const Charge charge(record, account);
  std::string line;
  for (const Column& column : columns) {
    if (&column != columns) line += ',';
    line += csv_cell(column.value(charge));
  }
  return line + "\r\n";
}

}  // namespace outlay::cli
