#include "cli/focus.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "cli/formats.hpp"
#include "core/base/decimal.hpp"
#include "core/base/json_writer.hpp"
#include "core/ledger/budget_path.hpp"
#include "outlay/error.hpp"

namespace outlay::cli {

namespace {

std::optional<Usd> cost_by(const PriceTable& prices, const std::string& model, const Record& record) {
  if (model.empty()) return std::nullopt;
  try {
    const Cost cost =
        prices.cost(model, record.usage, {.service_tier = record.service_tier, .provider = record.provider});
    if (!cost.incomplete) return cost.usd;
  } catch (const Error&) {  // NOLINT(bugprone-empty-catch): no price there
  }
  return std::nullopt;
}

Usd contracted_cost(const Record& record) {
  return record.cost_source == CostSource::provider && record.table_cost ? *record.table_cost : record.usd;
}

/// Empty where the table has no price of it.
std::optional<Usd> list_cost(const Record& record, const PriceTable& list) {
  // Booked by its reservation, or at a price of its own: its usage does not make its cost.
  if (record.status == RecordStatus::indeterminate || record.cost_source == CostSource::flat) return std::nullopt;
  const std::optional<Usd> served = cost_by(list, record.model, record);
  const std::optional<Usd> admitted = cost_by(list, record.admitted_model, record);
  // A call is priced by the model that was served, or by the one that was admitted where the reply names it without its host.
  const bool by_admitted = admitted && (!served || (*served != record.usd && *admitted == record.usd));
  return by_admitted ? admitted : served;
}

struct Charge {
  const Record& record;
  const std::string& account;
  const PriceTable& prices;
  Usd contracted;
  std::optional<Usd> listed;
  Time begin, end;  // whole seconds, the end exclusive

  Charge(const Record& charged, const std::string& of, const PriceTable& list)
      : record(charged),
        account(of),
        prices(list),
        contracted(contracted_cost(charged)),
        listed(list_cost(charged, list)) {
    using std::chrono::seconds;
    begin = Time(std::chrono::floor<seconds>(charged.started));
    end = std::max(begin, Time(std::chrono::floor<seconds>(charged.ended))) + seconds(1);
  }
  [[nodiscard]] std::string cost() const { return detail::decimal_usd(record.usd); }
  // Unit prices are not negative: what is given back is a negative quantity of requests.
  [[nodiscard]] bool returned() const { return contracted < Usd{}; }
  [[nodiscard]] Usd list() const { return listed && (*listed < Usd{}) == returned() ? *listed : contracted; }
  [[nodiscard]] static std::string unit_price(Usd usd) { return detail::decimal_usd(usd < Usd{} ? -usd : usd); }
  [[nodiscard]] std::string tier() const { return record.service_tier.empty() ? "default" : record.service_tier; }
  [[nodiscard]] std::string provider() const { return record.provider.empty() ? "unknown" : record.provider; }
  [[nodiscard]] std::string model() const { return record.model.empty() ? "unknown" : record.model; }
  [[nodiscard]] std::string month(int more) const {
    using namespace std::chrono;
    const year_month_day day(floor<days>(begin));
    const sys_days first = (day.year() / day.month() + months(more)) / 1;
    return to_iso8601(Time(first));
  }
};

/// In no spreadsheet does JSON end a cell then, and it is what it was.
std::string one_cell(const std::string& json) {
  if (std::none_of(json.begin(), json.end(), [](char c) { return c == ';' || c == '|'; })) return json;
  std::string cell;
  for (const char character : json)
    cell += character == ';' ? "\\u003b" : character == '|' ? "\\u007c" : std::string(1, character);
  return cell;
}

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
    // It must be positive: an image may have no tokens.
    {"ConsumedQuantity", [](const Charge& c) { return count(std::max<std::int64_t>(1, c.record.usage.total())); }},
    {"ConsumedUnit", [](const Charge& c) { return constant(c.record.usage.total() > 0 ? "Tokens" : "Requests"); }},
    {"ContractedCost", [](const Charge& c) { return detail::decimal_usd(c.contracted); }},
    {"ContractedUnitPrice", [](const Charge& c) { return Charge::unit_price(c.contracted); }},
    {"EffectiveCost", [](const Charge& c) { return c.cost(); }},
    {"InvoiceIssuerName", [](const Charge& c) { return c.provider(); }},
    {"ListCost", [](const Charge& c) { return detail::decimal_usd(c.list()); }},
    {"ListUnitPrice", [](const Charge& c) { return Charge::unit_price(c.list()); }},
    {"PricingCategory", [](const Charge&) { return constant("Standard"); }},
    {"PricingQuantity", [](const Charge& c) { return constant(c.returned() ? "-1" : "1"); }},
    {"PricingUnit", [](const Charge&) { return constant("Requests"); }},
    {"ProviderName", [](const Charge& c) { return c.provider(); }},
    {"PublisherName", [](const Charge& c) { return c.provider(); }},
    {"ServiceCategory", [](const Charge&) { return constant("AI and Machine Learning"); }},
    {"ServiceName", [](const Charge& c) { return c.model(); }},
    {"ServiceSubcategory", [](const Charge&) { return constant("Generative AI"); }},
    {"SkuId", [](const Charge& c) { return c.model(); }},
    {"SkuMeter", [](const Charge&) { return constant("Model Requests"); }},
    {"SkuPriceDetails",
     [](const Charge& c) {
       std::string json;
       detail::JsonWriter(json).begin_object().key("ServiceTier").text(c.tier()).end_object();
       return one_cell(json);
     }},
    {"SkuPriceId", [](const Charge& c) { return c.model() + ' ' + c.tier(); }},
    {"Tags",
     [](const Charge& c) {
       std::string json;
       detail::JsonWriter(json).tags(c.record.tags);
       return one_cell(json);
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
    {"x_ListPriceVersion",
     [](const Charge& c) {
       return !c.listed ? std::string() : c.prices.version().empty() ? "unnamed" : c.prices.version();
     }},
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

std::string focus_row(const Record& record, const std::string& account, const PriceTable& list) {
  if (record.status == RecordStatus::rejected && record.usd == Usd{}) return {};
  const Charge charge(record, account, list);
  std::string line;
  for (const Column& column : columns) {
    if (&column != columns) line += ',';
    line += csv_cell(column.value(charge));
  }
  return line + "\r\n";
}

}  // namespace outlay::cli
