#include "core/call/billing.hpp"

#include <algorithm>
#include <new>

#include "core/pricing/name_rules.hpp"
#include "core/pricing/price_book.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

[[gnu::hot]] Vector spent_by(Usd usd, const Usage& usage) noexcept {
  return {usd.nanos(), usage.total(), usage.input_total(), usage.output, 1, 0};
}

Bill bill_of(const Settlement& settlement) noexcept {
  return {settlement.usage,         settlement.served_model, settlement.service_tier,
          settlement.provider_cost, settlement.estimated,    settlement.parts};
}

namespace {

[[gnu::noinline]] const char* invalid_part(std::span<const UsagePart> parts) noexcept {
  for (const UsagePart& part : parts)
    if (const char* member = part.usage.first_invalid()) return member;
  return nullptr;
}

}  // namespace

[[gnu::hot]] const char* invalid_member(const Bill& bill) noexcept {
  if (const char* member = bill.usage.first_invalid()) return member;
  if (bill.provider_cost && (*bill.provider_cost < Usd{} || *bill.provider_cost > max_call_cost))
    return "provider_cost";
  return bill.parts.empty() ? nullptr : invalid_part(bill.parts);
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

/// What the call's own model has used; never below zero, whatever a caller's parts add up to.
Usage without_parts(const Bill& bill) noexcept {
  Usage whole = bill.usage;
  for (const UsagePart& part : bill.parts) {
    for (const auto member : {&Usage::input, &Usage::cache_read, &Usage::cache_write, &Usage::cache_write_1h,
                              &Usage::output, &Usage::reasoning, &Usage::input_audio, &Usage::input_image,
                              &Usage::cache_read_audio, &Usage::output_audio, &Usage::output_image,
                              &Usage::web_searches, &Usage::file_searches, &Usage::code_sessions, &Usage::other_tools})
      whole.*member = std::max<std::int64_t>(0, whole.*member - part.usage.*member);
    // The parts' reasoning and modalities are not always told apart from the answer's.
    whole.reasoning = std::min(whole.reasoning, whole.output);
  }
  return whole;
}

/// What a usage costs, and on whose word.
struct Share {
  Usd usd{};
  CostSource source = CostSource::none;
};

[[gnu::hot]] Share share_of(const Pricing& pricing, const Usage& usage, std::string_view tier) noexcept {
  bool listed = true;
  const Usd usd = pricing.cost(usage, tier, listed).value_or(Usd::max());
  switch (pricing.kind()) {
    case Pricing::Kind::flat:
      return {usd, CostSource::flat};
    case Pricing::Kind::assumed:
      return {usd, CostSource::assumed};
    case Pricing::Kind::unpriced:
      break;
    case Pricing::Kind::table: {
      const PricedModel& model = *pricing.model();
      if (!model.prices_tools(usage)) break;
      return {usd, listed && !model.assumed ? CostSource::table : CostSource::assumed};
    }
  }
  return {usd, CostSource::none};
}

/// The less certain of two sources of one sum.
CostSource weaker(CostSource a, CostSource b) noexcept {
  if (a == CostSource::none || b == CostSource::none) return CostSource::none;
  return a == CostSource::assumed ? a : b;
}

/// Whose price a call has, in the table that it was admitted by.
struct Basis {
  const PricedModel* priced = nullptr;
  const ModelName* served = nullptr;
  const ModelName* provider = nullptr;    // null: its name is to be looked up
  std::shared_ptr<const PriceBook> book;  // null: the ledger's present one
  bool guessed = false;                   // the reply names another model, of which no price is known
};

/// The reply names the admitted model without the host or the region that it was asked by, and that its price may depend on:
/// `claude-sonnet-4-5-20250929` for `us.anthropic.claude-sonnet-4-5-20250929-v1:0`, `gpt-4o` for `azure/eu/gpt-4o`.
bool says_less(std::string_view admitted, std::string_view served) noexcept {
  const NameCandidates candidates(admitted);
  return std::any_of(candidates.begin(), candidates.end(),
                     [&](const NameCandidate& candidate) { return candidate.name == served; });
}

/// The served model as it was asked: `azure/eu/gpt-4o-2024-08-06` where `gpt-4o-2024-08-06` answers for `azure/eu/gpt-4o`. Empty where the
/// admitted name has no host or region in front, or another model answered.
std::string as_asked(std::string_view admitted, std::string_view served) {
  const std::string_view undated = without_date(served);
  if (undated.empty() || !admitted.ends_with(undated) || admitted.size() == undated.size()) return {};
  const NameCandidates candidates(admitted);
  const bool in_front = std::any_of(candidates.begin(), candidates.end(),
                                    [&](const NameCandidate& candidate) { return candidate.name == undated; });
  return in_front ? std::string(admitted.substr(0, admitted.size() - undated.size())).append(served) : std::string();
}

/// A deployment costs what the program says, whatever the reply calls itself, and so does a model that it registered, unless it has
/// registered the served one, too. A name that says less than the admitted one decides nothing. Otherwise the price is that of the served
/// model under the same provider; and where that is not known, that of the admitted one.
bool admitted_decides(const PricedModel* admitted, const PricedModel* served, const Reservation& reservation,
                      const Bill& bill) noexcept {
  if (!admitted || !served) return !served;
  if (!admitted->own) return !served->own && says_less(reservation.model_name(), bill.served_model);
  return admitted->rule == PriceRule::alias || !(served->own && served->rule == PriceRule::exact);
}

/// A model of the table, and the reply says that another one has answered.
bool is_guess(const PricedModel* admitted, const PricedModel* served) noexcept {
  return admitted && !admitted->own && !served;
}

/// Where another model may have answered, or the table was replaced meanwhile.
[[gnu::noinline]] Basis basis_of_other(const Reservation& reservation, const Bill& bill) {
  PricesInUse& prices = reservation.books->prices;
  const ModelName* const under = reservation.under;
  const std::string_view under_text = under ? std::string_view(under->text) : std::string_view();
  const auto admitted = [&]() -> const ModelSlot& {
    return prices.resolve(*reservation.quote.model.name, reservation.model_name(), under);
  };
  const bool as_admitted = bill.served_model.empty() || bill.served_model.size() > 256;
  const ModelSlot* slot = &admitted();
  const ModelName* served = slot->name;
  bool guessed = false;
  if (!as_admitted) {
    const PricedModel* const own = slot->priced;
    slot = &prices.resolve(bill.served_model, under_text, NameOrigin::reply);
    served = slot->name;
    guessed = is_guess(own, slot->priced);
    const std::string asked = own && own->own ? std::string() : as_asked(reservation.model_name(), bill.served_model);
    if (!asked.empty()) {
      const ModelSlot& regional = prices.resolve(asked, under_text, NameOrigin::reply);
      const bool listed = regional.priced && !regional.priced->assumed;
      slot = listed ? &regional : &prices.resolve(bill.served_model, under_text, NameOrigin::reply);
    }
    // Again, since a slot is safe until the thread's next look-up.
    if (admitted_decides(own, slot->priced, reservation, bill)) slot = &admitted();
  }
  Basis basis{slot->priced, served, slot->provider, nullptr, guessed};
  if (slot->prices_uid == reservation.prices_uid) return basis;
  // The table was replaced meanwhile, and a call keeps the table that it was admitted by.
  basis.book = reservation.own_prices ? reservation.own_prices : prices.find(reservation.prices_uid);
  if (!basis.book) return basis;
  basis.provider = nullptr;
  basis.priced = basis.book->find(reservation.model_name(), under_text);
  if (as_admitted) return basis;
  const PricedModel* other = basis.book->find(bill.served_model, under_text);
  if (!basis.priced || !basis.priced->own)
    if (const std::string asked = as_asked(reservation.model_name(), bill.served_model); !asked.empty())
      if (const PricedModel* const regional = basis.book->find(asked, under_text); regional && !regional->assumed)
        other = regional;
  basis.guessed = is_guess(basis.priced, other);
  if (!admitted_decides(basis.priced, other, reservation, bill)) basis.priced = other;
  return basis;
}

Basis basis_of(const Reservation& reservation, const Bill& bill) {
  if (bill.served_model.empty()) {
    const ModelSlot& slot =
        reservation.books->prices.resolve(*reservation.quote.model.name, reservation.model_name(), reservation.under);
    if (slot.prices_uid == reservation.prices_uid) return {slot.priced, slot.name, slot.provider, nullptr, false};
  }
  return basis_of_other(reservation, bill);
}

/// What a call is priced by at its end: as it was admitted, or by the table where that has its model.
Pricing pricing_of(const Reservation& reservation, const Basis& basis) noexcept {
  const Pricing& admitted = reservation.quote.pricing;
  if (admitted.kind() == Pricing::Kind::flat) return admitted;
  if (basis.priced) return Pricing::table(*basis.priced);
  return admitted.kind() == Pricing::Kind::table ? Pricing() : admitted;
}

/// Adds what other models have done inside the call, each at its own price.
void add_parts(const Reservation& reservation, const Bill& bill, const Basis& basis, const Pricing& pricing,
               std::string_view tier, Priced& result) {
  const std::shared_ptr<const PriceBook> book =
      basis.book && !reservation.own_prices ? basis.book : reservation.books->prices.present();
  const std::string_view under = reservation.under ? std::string_view(reservation.under->text) : std::string_view();
  for (const UsagePart& part : bill.parts) {
    RecordPart& priced_part = result.parts.emplace_back(RecordPart{part.model, part.usage, {}});
    if (pricing.kind() == Pricing::Kind::flat) continue;
    Share share;
    // A tool that has a price of its own where a table lists it, as a name beside the models; the program's word on the call's goes before.
    const bool tool_alone = part.usage.total() == 0;
    const bool own = tool_alone && basis.priced && basis.priced->own;
    const PricedModel* model = own ? nullptr : book->find(part.model, under);
    if (!own && !model && tool_alone) model = book->tool(part.model, under);
    if (model)
      share = share_of(Pricing::table(*model), part.usage, tier);
    else if (tool_alone || pricing.kind() == Pricing::Kind::assumed)
      share = share_of(pricing, part.usage, tier);
    priced_part.usd = share.usd;
    std::int64_t sum = 0;
    if (__builtin_add_overflow(result.usd.nanos(), share.usd.nanos(), &sum)) sum = INT64_MAX;
    result.usd = Usd::from_nanos(sum);
    result.source = weaker(result.source, share.source);
  }
}

}  // namespace

[[gnu::hot]] Priced price(const Reservation& reservation, const Bill& bill) {
  Books& books = *reservation.books;
  const Basis basis = basis_of(reservation, bill);
  const Pricing pricing = pricing_of(reservation, basis);
  const std::string_view tier = !bill.service_tier.empty() ? bill.service_tier
                                : reservation.tier         ? std::string_view(reservation.tier->text)
                                                           : std::string_view();
  Priced result;
  result.served = basis.served;
  if (basis.book) [[unlikely]]
    result.prices = books.dictionary.name(basis.book->version)->id;
  const Share own = bill.parts.empty() ? share_of(pricing, bill.usage, tier)  // without a copy
                                       : share_of(pricing, without_parts(bill), tier);
  result.usd = own.usd;
  result.source = own.source == CostSource::table && basis.guessed ? CostSource::assumed : own.source;
  if (pricing.kind() == Pricing::Kind::unpriced) [[unlikely]] {
    // If it had a price when it was admitted, that table is not kept any more, so the cost is what was reserved.
    result.usd = Usd::from_nanos(reservation.held().amounts[0]);
    if (result.usd > Usd{}) result.source = CostSource::assumed;
  }
  if (!bill.parts.empty()) [[unlikely]]
    add_parts(reservation, bill, basis, pricing, tier, result);
  if (pricing.kind() == Pricing::Kind::table) {
    books.warn_if_prices_are_stale();
    const std::string& provider = basis.priced->price->provider;
    if (!provider.empty()) result.provider = basis.provider ? basis.provider : books.dictionary.name(provider);
    result.table = result.usd;
  }
  if (bill.provider_cost && *bill.provider_cost >= Usd{}) [[unlikely]] {
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
[[gnu::cold]] void note_unpriced(const Reservation& reservation, const Priced& priced) noexcept {
  Books& books = *reservation.books;
  books.unpriced_calls.fetch_add(1, std::memory_order_relaxed);
  try {
    const std::string& model = reservation.model_name();
    const bool has_model = priced.table.has_value();
    if (!has_model && priced.usd == Usd{} && books.first_time("unpriced", model))
      log(LogLevel::warning, "no price is known for \"" + printable_name(model) +
                                 "\", so its calls are booked at $0.00 and counted as unpriced. Register it with "
                                 "PriceTable::register_model.");
    if ((has_model || priced.usd != Usd{}) && books.first_time("unpriced tool", model))
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

[[gnu::hot, gnu::noinline]] void write_row(const Reservation& reservation, const Bill& bill, const Priced& priced,
                                           RecordStatus status, std::string_view reason) {
  Books& books = *reservation.books;
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
  if (rare || bill.provider_cost || !reason.empty() || !reservation.traceparent.empty()) [[unlikely]] {
    try {
      row.extra = std::make_shared<const RowExtra>(
          RowExtra{usage, bill.provider_cost, bill.provider_cost ? priced.table : std::nullopt,
                   std::string(reason.substr(0, max_reason)), reservation.traceparent, priced.parts});
    } catch (const std::bad_alloc&) {  // better a record without these than none
    }
  }
  books.book(std::move(row));
}

}  // namespace

[[gnu::hot]] void record(const Reservation& reservation, const Bill& bill, const Priced& priced, RecordStatus status,
                         std::string_view reason) {
  if (priced.source == CostSource::none && status != RecordStatus::rejected) note_unpriced(reservation, priced);
  if (reservation.books->recording()) write_row(reservation, bill, priced, status, reason);
}

}  // namespace outlay::detail
