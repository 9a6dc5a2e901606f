// Calls that leave their process, and come back in another.

#include "core/call/detached.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "core/call/reservation.hpp"
#include "core/ledger/books.hpp"
#include "core/pricing/price_book.hpp"
#include "outlay/call.hpp"
#include "outlay/context.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/ledger.hpp"
#include "outlay/track.hpp"

namespace outlay {

namespace detail {

namespace {

[[noreturn]] void cannot_detach(const Reservation& reservation, const std::string& why) {
  throw Error(errc::invalid_argument, "call " + std::to_string(reservation.call_id) + " to \"" +
                                          reservation.model_name() + "\" cannot be detached: " + why);
}

DetachedCall::CountedBy described(const BudgetNode& budget) {
  Vector caps{};
  {
    const auto lock = budget.lock_tree();
    caps = budget.counter.cap;
  }
  return {budget.name, budget.description, budget.window.id(), to_limits(caps, caps), budget.notify_at};
}

void describe_price(const Reservation& reservation, DetachedCall& call) {
  const PricedAgain again = priced_again(reservation);
  const Pricing& pricing = again.quote.pricing;
  switch (pricing.kind()) {
    case Pricing::Kind::table:
      call.price = *pricing.model()->price;
      call.price_is_assumed = pricing.model()->assumed;
      call.prices = again.prices->version;
      break;
    case Pricing::Kind::flat:
      call.flat = pricing.worst(0, 0).value_or(Usd{}).nanos();
      break;
    case Pricing::Kind::assumed:
      call.assumed = pricing.worst(picos_per_nano, 0).value_or(Usd{}).nanos();
      break;
    case Pricing::Kind::unpriced:
      break;
  }
}

std::string detach(Reservation& reservation) {
  if (!reservation.open()) cannot_detach(reservation, "it has ended.");
  DetachedCall call;
  for (const BudgetNode* budget = reservation.budget; budget; budget = budget->outer) {
    if (!budget->outside)
      cannot_detach(reservation, "the budget \"" + budget->shown_name() +
                                     "\" around it counts in this process alone. Give it a window and the store, or "
                                     "open the call outside of it.");
    call.budgets.insert(call.budgets.begin(), described(*budget));
  }
  if (!reservation.claim) cannot_detach(reservation, "no budget around it counts in a store. Open one that does.");
  call.requested = reservation.requested_name();
  call.model = reservation.model_name();
  if (reservation.tier) call.tier = reservation.tier->text;
  if (reservation.under) call.under = reservation.under->text;
  call.traceparent = reservation.traceparent;
  call.started = reservation.started != 0 ? reservation.started : reservation.books->now();
  const Quote& quote = reservation.quote;
  call.input = quote.input, call.choices = quote.choices, call.ceiling = quote.ceiling;
  call.output = reservation.held().output;
  call.unbounded = quote.unbounded;
  if (reservation.attribution) call.tags = reservation.attribution->tags;
  describe_price(reservation, call);
  if (reservation.claim->unshared())
    throw StoreUnavailable(
        "the store could not be reached when the call was admitted, so it does not hold it, and the call cannot be "
        "detached. Admit it again when the store answers.");
  std::optional<DetachedHold> hold = reservation.claim->detachable();
  if (!hold)
    cannot_detach(reservation,
                  "it was admitted without a lease, or was resumed. Set CallRequest::lease to how long it "
                  "may take.");
  call.hold = std::move(*hold);
  std::string text = to_text(call);
  // Whatever is wrong with a text is found before the call has left.
  (void)read_detached(text);
  if (const Result<void> left = reservation.claim->leave(reservation.books->time()); !left)
    throw StoreUnavailable(left.error().message());
  const auto lock = reservation.budget->lock_tree();
  if (reservation.state.exchange(Reservation::State::ended, std::memory_order_acq_rel) == Reservation::State::ended)
    cannot_detach(reservation, "it has ended meanwhile.");
  return text;
}

/// The price of its admission, under the one name that will be looked up.
std::shared_ptr<const PriceBook> prices_of(const DetachedCall& call) {
  std::vector<PriceEntry> entries;
  if (call.price) {
    entries.push_back({call.model, *call.price, call.price_is_assumed, true});
  }
  return make_price_book(std::move(entries), call.prices, "a detached call", std::nullopt);
}

/// The budgets of the call inside `scope`.
NodeRef open_budgets(const DetachedCall& call, Books& books, const std::shared_ptr<Store>& store, NodeRef scope) {
  for (const DetachedCall::CountedBy& budget : call.budgets) {
    auto node = std::make_unique<BudgetNode>(BudgetOptions{.name = budget.name,
                                                           .description = budget.description,
                                                           .usd = budget.caps.usd,
                                                           .tokens = budget.caps.tokens,
                                                           .input_tokens = budget.caps.input_tokens,
                                                           .output_tokens = budget.caps.output_tokens,
                                                           .calls = budget.caps.calls,
                                                           .concurrent = budget.caps.concurrent,
                                                           .notify_at = budget.notify_at,
                                                           .window = Window::parse(budget.window),
                                                           .store = store},
                                             scope.get()->budget, books);
    node->budget = node.get();
    node->books = scope.get()->books;
    node->attribute(books.dictionary.intern(scope.get()->attribution, {true, node->name, node->description, {}}));
    node->parent = scope.detach();
    scope = NodeRef::adopt(node.release());
  }
  return scope;
}

/// The call in the innermost budget.
Ref<Reservation> make_held(const DetachedCall& call, Books& books, NodeRef scope) {
  Ref<Reservation> held = make_reservation();
  held->call_id = next_call_id();
  held->own_prices = prices_of(call);
  held->prices_uid = held->own_prices->uid;
  if (!call.under.empty()) held->under = books.dictionary.name(call.under);
  held->tier = call.tier.empty() ? nullptr : books.dictionary.name(call.tier);
  held->budget = scope.get()->budget;
  held->attribution = scope.get()->attribution;
  held->books = &books;
  held->started = call.started;
  held->traceparent = call.traceparent;
  Quote& quote = held->quote;
  quote = Quote();
  quote.terms = &held->budget->terms;
  quote.requested = books.dictionary.name(call.requested);
  quote.model = {books.dictionary.name(call.model), held->own_prices->find(call.model)};
  quote.pricing = call.flat            ? Pricing::flat(Usd::from_nanos(*call.flat))
                  : call.assumed       ? Pricing::assumed(*call.assumed)
                  : quote.model.priced ? Pricing::table(*quote.model.priced)
                                       : Pricing();
  if (held->tier) quote.price_terms.tier = held->tier->text;
  quote.input = call.input, quote.choices = call.choices, quote.ceiling = call.ceiling, quote.output = call.output;
  quote.unbounded = call.unbounded;
  quote.amounts = call.hold.amount;
  held->claim = std::make_unique<SharedClaim>(*held->budget, call.hold);
  held->scope = std::move(scope);
  held->state.store(Reservation::State::sent, std::memory_order_release);
  return held;
}

}  // namespace

}  // namespace detail

std::string Call::detach() {
  if (!reservation_) throw Error(errc::invalid_argument, "Call::detach: the call was moved from.");
  return detail::detach(*reservation_);
}

Call Call::resume(std::string_view text, const std::shared_ptr<Store>& store) {
  if (!store) throw ConfigError("Call::resume was given no store. Pass the one that the call's budgets count in.");
  const detail::DetachedCall call = detail::read_detached(text);
  const Ledger ledger = Ledger::current();
  const detail::Install apart{detail::NodeRef()};  // the budgets are those of its admission, not those around us
  const LedgerScope scope(ledger);
  const Track tags(call.tags);
  detail::Books& books = detail::Access::books(ledger);
  return detail::Access::call(
      detail::make_held(call, books, detail::open_budgets(call, books, store, detail::capture())));
}

}  // namespace outlay
