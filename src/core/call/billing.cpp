#include "core/call/billing.hpp"

#include <algorithm>
#include <new>

#include "core/pricing/price_book.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

Vector spent_by(Usd usd, const Usage& usage) noexcept {
  return {usd.nanos(), usage.total(), usage.input_total(), usage.output, 1, 0};
}

Bill bill_of(const Settlement& settlement) noexcept {
  return {settlement.usage,         settlement.served_model, settlement.service_tier,
          settlement.provider_cost, settlement.estimated,    settlement.parts};
}

const char* invalid_member(const Bill& bill) noexcept {
  if (const char* member = bill.usage.first_invalid()) return member;
  if (bill.provider_cost && (*bill.provider_cost < Usd{} || *bill.provider_cost > max_call_cost))
    return "provider_cost";
  for (const UsagePart& part : bill.parts)
    if (const char* member = part.usage.first_invalid()) return member;
  return nullptr;
}

const char* bounds_of(const char* member) noexcept {
  return std::string_view(member) == "provider_cost"
             ? "Pass a cost between $0.00 and $1,000,000,000."
             : "Pass counts between 0 and 2,000,000,000, and no part larger than its whole.";
}

namespace {

std::uint32_t narrow(std::int64_t count) noexcept {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(count, 0, UINT32_MAX));
}

/// `whole` without `part`; never below zero, whatever a caller's parts add up to.
Usage without(Usage whole, const Usage& part) noexcept {
  for (const auto member :
       {&Usage::input, &Usage::cache_read, &Usage::cache_write, &Usage::cache_write_1h, &Usage::output,
        &Usage::reasoning, &Usage::input_audio, &Usage::input_image, &Usage::cache_read_audio, &Usage::output_audio,
        &Usage::output_image, &Usage::web_searches, &Usage::file_searches, &Usage::code_sessions, &Usage::other_tools})
    whole.*member = std::max<std::int64_t>(0, whole.*member - part.*member);
  // The parts' reasoning and modalities are not always told apart from the answer's.
  whole.reasoning = std::min(whole.reasoning, whole.output);
  return whole;
}

struct Share {
  std::optional<Usd> usd;
  CostSource source = CostSource::table;
};

Share share_of(const PricedModel& model, const Usage& usage, std::string_view tier) noexcept {
  const bool as_listed = !model.assumed && model.rating(usage.input_total(), tier).listed;
  return {Pricing::table(model).cost(usage, tier), !model.prices_tools(usage) ? CostSource::none
                                                   : as_listed                ? CostSource::table
                                                                              : CostSource::assumed};
}

/// The less certain of two sources of one sum.
CostSource weaker(CostSource a, CostSource b) noexcept {
  if (a == CostSource::none || b == CostSource::none) return CostSource::none;
  return a == CostSource::assumed ? a : b;
}

}  // namespace

Priced price(const Reservation& reservation, const Bill& bill) {
  Books& books = *reservation.books;
  const ModelName* const under = reservation.under;
  const std::string_view under_text = under ? std::string_view(under->text) : std::string_view();
  Priced result;
  const bool as_admitted = bill.served_model.empty() || bill.served_model.size() > 256;
  // A deployment costs what the program says, whatever the reply calls itself, and so does a model that it registered, unless it has
  // registered the served one, too. Otherwise the price is that of the served model under the same provider; and where that is not known,
  // that of the admitted one.
  const auto decides = [](const PricedModel* asked, const PricedModel* answered) {
    if (!asked || !answered) return !answered;
    if (!asked->own || asked->rule == PriceRule::alias) return asked->own;
    return !(answered->own && answered->rule == PriceRule::exact);
  };
  const auto admitted = [&]() -> const ModelSlot& {
    return books.prices.resolve(*reservation.quote.model.name, reservation.model_name(), under);
  };
  const auto served = [&]() -> const ModelSlot& {
    return books.prices.resolve(bill.served_model, under_text, NameOrigin::reply);
  };
  ModelSlot slot = admitted();
  result.served = slot.name;
  if (!as_admitted) {
    const ModelSlot other = served();
    result.served = other.name;
    // Again, since a slot is safe until the thread's next look-up.
    slot = decides(slot.priced, other.priced) ? admitted() : served();
  }
  const ModelName* provider = slot.provider;
  const PricedModel* priced = slot.priced;
  std::shared_ptr<const PriceBook> book;  // of the admission, where the ledger has another one now
  if (slot.prices_uid != reservation.prices_uid &&
      (book = reservation.own_prices ? reservation.own_prices : books.prices.find(reservation.prices_uid))) {
    // The table was replaced meanwhile, and a call keeps the table that it was admitted by.
    result.prices = books.dictionary.name(book->version)->id;
    provider = nullptr;
    priced = book->find(reservation.model_name(), under_text);
    if (!as_admitted)
      if (const PricedModel* const other = book->find(bill.served_model, under_text); !decides(priced, other))
        priced = other;
  }
  Pricing pricing = reservation.quote.pricing;
  if (pricing.kind() != Pricing::Kind::flat && priced)
    pricing = Pricing::table(*priced);
  else if (pricing.kind() == Pricing::Kind::table)
    pricing = Pricing();

  const std::string_view tier = !bill.service_tier.empty() ? bill.service_tier
                                : reservation.tier         ? std::string_view(reservation.tier->text)
                                                           : std::string_view();
  Usage own_share = bill.usage;
  for (const UsagePart& part : bill.parts) own_share = without(own_share, part.usage);
  result.usd = pricing.cost(own_share, tier).value_or(Usd::max());
  switch (pricing.kind()) {
    case Pricing::Kind::flat:
      result.source = CostSource::flat;
      break;
    case Pricing::Kind::table:
      books.warn_if_prices_are_stale();
      result.source = share_of(*priced, own_share, tier).source;
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
  if (!bill.parts.empty()) {
    if (!book || reservation.own_prices) book = books.prices.present();
    for (const UsagePart& part : bill.parts) {
      RecordPart& priced_part = result.parts.emplace_back(RecordPart{part.model, part.usage, {}});
      if (pricing.kind() == Pricing::Kind::flat) continue;
      const PricedModel* const model = book->find(part.model, under_text);
      Share share{Usd{}, CostSource::none};
      if (model)
        share = share_of(*model, part.usage, tier);
      else if (pricing.kind() == Pricing::Kind::assumed)
        share = {pricing.cost(part.usage), CostSource::assumed};
      priced_part.usd = share.usd.value_or(Usd::max());
      std::int64_t sum = 0;
      if (__builtin_add_overflow(result.usd.nanos(), priced_part.usd.nanos(), &sum)) sum = INT64_MAX;
      result.usd = Usd::from_nanos(sum);
      result.source = weaker(result.source, share.source);
    }
  }
  if (pricing.kind() == Pricing::Kind::table) result.table = result.usd;
  if (bill.provider_cost && *bill.provider_cost >= Usd{}) {
    result.usd = *bill.provider_cost;
    result.source = CostSource::provider;
  }
  return result;
}

void note_unread_usage(const Reservation& reservation, std::string_view api, std::string_view member) noexcept {
  try {
    Books& books = *reservation.books;
    books.unread_usage.fetch_add(1, std::memory_order_relaxed);
    if (books.first_time("unread usage", std::string(api)))
      log(LogLevel::warning, std::string(api) + ": the reply's usage has a member \"" + printable_name(member) +
                                 "\" that this version does not know. If it is billed, costs are too low: compare them "
                                 "with the provider's bill, and report the member.");
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for a log line; the call itself is booked
  }
}

namespace {

/// Counts a call without a price, and says once a model what is to be done. What cannot be said costs no record.
void note_unpriced(const Reservation& reservation, const Priced& priced) noexcept {
  Books& books = *reservation.books;
  books.unpriced_calls.fetch_add(1, std::memory_order_relaxed);
  try {
    const std::string& model = reservation.model_name();
    if (priced.usd == Usd{} && books.first_time("unpriced", model))
      log(LogLevel::warning, "no price is known for \"" + printable_name(model) +
                                 "\", so its calls are booked at $0.00 and counted as unpriced. Register it with "
                                 "PriceTable::register_model.");
    if (priced.usd != Usd{} && books.first_time("unpriced tool", model))
      log(LogLevel::warning,
          "a call to \"" + printable_name(model) +
              "\" used something that is billed by use and has no price, so it is booked at the cost "
              "of the rest and counted as unpriced. Register the model with Price::web_search and "
              "the fees beside it.");
  } catch (...) {  // no memory for a log line
  }
}

/// The tier of a record: what the reply says, else what was asked for.
std::uint32_t tier_of(const Reservation& reservation, const Bill& bill) noexcept {
  const std::uint32_t asked = reservation.tier ? reservation.tier->id : 0;
  if (bill.service_tier.empty() || bill.service_tier.size() > 64) return asked;
  try {
    return reservation.books->dictionary.name(bill.service_tier, NameOrigin::reply)->id;
  } catch (...) {  // no memory for a name
    return asked;
  }
}

}  // namespace

void record(const Reservation& reservation, const Bill& bill, const Priced& priced, RecordStatus status,
            std::string_view reason) {
  Books& books = *reservation.books;
  if (priced.source == CostSource::none && status != RecordStatus::rejected) note_unpriced(reservation, priced);
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
  row.tier = tier_of(reservation, bill);
  row.prices = priced.prices.value_or(books.prices.version_id());
  row.status = status;
  row.source = priced.source;
  row.unbounded = reservation.quote.unbounded;
  const bool rare = usage.input_audio != 0 || usage.input_image != 0 || usage.cache_read_audio != 0 ||
                    usage.output_audio != 0 || usage.output_image != 0 || usage.web_searches != 0 ||
                    usage.file_searches != 0 || usage.code_sessions != 0 || usage.other_tools != 0 ||
                    !priced.parts.empty();
  if (rare || bill.provider_cost || !reason.empty() || !reservation.traceparent.empty()) {
    try {
      row.extra = std::make_shared<const RowExtra>(
          RowExtra{usage, bill.provider_cost, bill.provider_cost ? priced.table : std::nullopt,
                   std::string(reason.substr(0, max_reason)), reservation.traceparent, priced.parts});
    } catch (const std::bad_alloc&) {  // better a record without these than none
    }
  }
  books.book(std::move(row));
}

}  // namespace outlay::detail
