#include "core/call/billing.hpp"

#include <algorithm>
#include <new>

#include "core/pricing/price_book.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

std::uint32_t narrow(std::int64_t count) noexcept {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(count, 0, UINT32_MAX));
}

}  // namespace

Priced price(const Reservation& reservation, const Bill& bill) {
  Books& books = *reservation.books;
  Priced result;
  const bool as_admitted = bill.served_model.empty() || bill.served_model.size() > 256;
  const ModelSlot* slot = as_admitted ? &books.prices.resolve(*reservation.quote.model.name, reservation.model_name())
                                      : &books.prices.resolve(bill.served_model, NameOrigin::reply);
  result.served = slot->name;
  const ModelName* provider = slot->provider;
  const PricedModel* priced = slot->priced;
  std::shared_ptr<const PriceBook> admitted_by;
  if (slot->prices_uid != reservation.prices_uid && (admitted_by = books.prices.find(reservation.prices_uid))) {
    // The table was replaced meanwhile, and a call keeps the table that it was admitted by.
    result.prices = books.dictionary.name(admitted_by->version)->id;
    provider = nullptr;
    priced = admitted_by->find(as_admitted ? std::string_view(reservation.model_name()) : bill.served_model);
    if (!priced) priced = admitted_by->find(reservation.model_name());
  } else if (!priced && !as_admitted) {
    priced = books.prices.resolve(*reservation.quote.model.name, reservation.model_name()).priced;
  }
  Pricing pricing = reservation.quote.pricing;
  if (pricing.kind() != Pricing::Kind::flat && priced)
    pricing = Pricing::table(*priced);
  else if (pricing.kind() == Pricing::Kind::table)
    pricing = Pricing();

  const std::string_view tier = !bill.service_tier.empty() ? bill.service_tier
                                : reservation.tier         ? std::string_view(reservation.tier->text)
                                                           : std::string_view();
  result.usd = pricing.cost(bill.usage, tier).value_or(Usd::max());
  switch (pricing.kind()) {
    case Pricing::Kind::flat:
      result.source = CostSource::flat;
      break;
    case Pricing::Kind::table:
      result.table = result.usd;
      result.source = priced->assumed ? CostSource::assumed : CostSource::table;
      if (!priced->price->provider.empty())
        result.provider = provider ? provider : books.dictionary.name(priced->price->provider);
      break;
    case Pricing::Kind::assumed:
      result.source = CostSource::assumed;
      break;
    case Pricing::Kind::unpriced:
      // It had a price when it was admitted, and that table is not kept any more, so the cost is what was reserved.
      result.usd = Usd::from_nanos(reservation.held().amounts[0]);
      result.source = result.usd > Usd{} ? CostSource::assumed : CostSource::none;
  }
  if (bill.provider_cost && *bill.provider_cost >= Usd{}) {
    result.usd = *bill.provider_cost;
    result.source = CostSource::provider;
  }
  return result;
}

void record(const Reservation& reservation, const Bill& bill, const Priced& priced, RecordStatus status,
            std::string_view reason) {
  Books& books = *reservation.books;
  if (priced.source == CostSource::none && status != RecordStatus::rejected) {
    books.unpriced_calls.fetch_add(1, std::memory_order_relaxed);
    if (books.first_time("unpriced", reservation.model_name()))
      log(LogLevel::warning, "no price is known for \"" + printable_name(reservation.model_name()) +
                                 "\", so its calls are booked at $0.00 and counted as unpriced. Register it with "
                                 "PriceTable::register_model.");
  }
  if (!books.recording()) return;
  const Usage& usage = bill.usage;
  Row row;
  row.call_id = reservation.call_id;
  row.started = reservation.started;
  row.ended = books.now();
  row.usd = priced.usd.nanos();
  row.reserved = reservation.quote.amounts[0];
  row.input = narrow(usage.input);
  row.cache_read = narrow(usage.cache_read);
  row.cache_write = narrow(usage.cache_write);
  row.cache_write_1h = narrow(usage.cache_write_1h);
  row.output = narrow(usage.output);
  row.reasoning = narrow(usage.reasoning);
  row.attribution = reservation.attribution ? reservation.attribution->id : 0;
  row.requested = reservation.quote.requested->id;
  row.admitted = reservation.quote.model.name->id;
  row.served = priced.served ? priced.served->id : reservation.quote.model.name->id;
  row.provider = priced.provider ? priced.provider->id : 0;
  if (!bill.service_tier.empty() && bill.service_tier.size() <= 64)
    row.tier = books.dictionary.name(bill.service_tier, NameOrigin::reply)->id;
  else
    row.tier = reservation.tier ? reservation.tier->id : 0;
  row.prices = priced.prices.value_or(books.prices.version_id());
  row.status = status;
  row.source = priced.source;
  row.unbounded = reservation.quote.unbounded;
  const bool rare = usage.input_audio != 0 || usage.input_image != 0 || usage.cache_read_audio != 0 ||
                    usage.output_audio != 0 || usage.output_image != 0 || usage.web_searches != 0;
  if (rare || bill.provider_cost || !reason.empty() || !reservation.traceparent.empty()) {
    try {
      row.extra = std::make_shared<const RowExtra>(
          RowExtra{usage, bill.provider_cost, bill.provider_cost ? priced.table : std::nullopt,
                   std::string(reason.substr(0, max_reason)), reservation.traceparent});
    } catch (const std::bad_alloc&) {  // better a record without these than none
    }
  }
  books.book(std::move(row));
}

}  // namespace outlay::detail
