#include "core/call/arrival.hpp"

#include "core/base/traceparent.hpp"
#include "core/budget/rules.hpp"
#include "core/call/call_events.hpp"
#include "core/call/chain.hpp"
#include "core/call/refusal.hpp"
#include "core/call/request.hpp"
#include "core/context/misuse.hpp"
#include "core/context/scopes.hpp"
#include "core/ledger/thread_cache.hpp"
#include "core/pricing/name_rules.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

constexpr const char* would_be_refused = "observed: would have been refused: ";
constexpr Terms no_terms{.unpriced = Unpriced::ignore()};  // outside every budget

}  // namespace

[[gnu::hot]] Arrival::Step Arrival::enter() {
  if (!prepare()) [[unlikely]]
    return Step::refused;
  if (budget_) {
    const Quote& quote = reservation_->quote;
    if (budget_->store || quote.open_ceiling || observing()) [[unlikely]]
      return Step::undecided;
    std::unique_lock lock = budget_->lock_tree();
    if (!fits_chain(*budget_, quote.amounts)) [[unlikely]] {
      if (!budget_->only_blocks) return Step::undecided;
      refuse_by_block(lock);
      return Step::refused;
    }
    hold_in_chain(*budget_, quote.amounts);
  }
  admitted();
  return Step::admitted;
}

const Terms* Arrival::terms() const noexcept { return budget_ ? &budget_->terms : &no_terms; }

bool Arrival::observing() const noexcept { return books_->options.observe; }

std::string_view Arrival::traceparent() const noexcept {
  return is_traceparent(request_.traceparent) ? request_.traceparent : std::string_view();
}

AttributionRef Arrival::attribution() const {
  const Attribution* around = scope_ ? scope_->attribution : nullptr;
  if (request_.tags.empty()) return AttributionRef::share(around);
  const AttributionRef outer = books_->dictionary.translate(around);
  return books_->dictionary.intern(outer.get(), {false, {}, {}, request_.tags});
}

void Arrival::refuse(errc code, std::string text) {
  failure_ = std::make_unique<FailureFacts>();
  failure_->code = code;
  failure_->model = std::string(request_.model);
  failure_->text = std::move(text);
}

void Arrival::book_outright(Action action, const std::string& reason) {
  const AttributionRef where = attribution();
  EventDraft event(*books_, action, budget_ ? budget_->attribution : nullptr);
  event.call(next_call_id(), where.get(), reservation_ ? reservation_->quote.requested : nullptr, traceparent())
      .reason(reason)
      .book();
}

void Arrival::observe_outright(const std::string& reason) {
  if (!std::exchange(refused_outright_, true)) book_outright(Action::observed, would_be_refused + reason);
}

bool Arrival::refuse_outright(errc code) {
  const std::string reason = refused_outright(request_, code, *books_->prices.present());
  if (observing() && code != errc::overflow) {
    observe_outright(reason);
    return false;
  }
  refuse(code, reason);
  book_outright(Action::blocked, reason);
  return true;
}

bool Arrival::input_is_stated() const noexcept {
  return request_.input_tokens || request_.input_text.data() != nullptr;
}

bool Arrival::counts_input(const PricedModel* priced) const noexcept {
  if (!budget_) return false;
  const bool by_price = !request_.usd && (!priced || priced->base.worst_input_long != 0);
  return terms()->caps_input || (terms()->caps_money && by_price);
}

std::int64_t Arrival::usual_output(const ModelName& model) const {
  return request_.max_output_tokens ? 0 : books_->usual_output.of(model.id);
}

[[gnu::hot]] bool Arrival::examine(errc& outright) {
  if (std::string wrong = fault_of(request_); !wrong.empty()) [[unlikely]]
    return refuse(errc::invalid_argument, std::move(wrong)), false;
  around_ = scope_ = ambient();
  books_ = &books_of(scope_);
  const ModelSlot slot = books_->prices.resolve(
      request_.model, provider_at(request_.provider));  // a copy, since the thread may resolve again below
  if (slot.name->id == ModelName::overflow_id) [[unlikely]]
    return refuse(errc::invalid_argument,
                  "the ledger has seen 65,536 names of models, providers and tiers, and takes no new ones. "
                  "Take CallRequest::model from a bounded set."),
           false;
  try {
    if (!request_.tags.empty()) validate_tags(request_.tags, scope_ ? scope_->attribution : nullptr);
    if (books_->has_rules()) rule_set_ = books_->rules();
    enter_rules({slot.name->text, slot.priced});
  } catch (const Error& wrong) {
    refuse(wrong.reason(), wrong.what());
    if (wrong.reason() == errc::tag_required) book_outright(Action::blocked, wrong.what());
    return false;
  }
  input_ = request_.input_tokens ? *request_.input_tokens : books_->count(request_.input_text);
  // Made before the amounts are held, so that a failure after that ends the reservation by itself.
  reservation_ = make_reservation();
  reservation_->call_id = next_call_id();
  reservation_->prices_uid = slot.prices_uid;
  reservation_->under = slot.under;
  outright = Quote::of(request_, input_, {slot.name, slot.priced, usual_output(*slot.name)}, *terms(), observing(),
                       reservation_->quote);
  return true;
}

[[gnu::hot]] bool Arrival::prepare() {
  errc wrong{};
  if (!examine(wrong)) return false;
  if (!input_is_stated() && counts_input(reservation_->quote.model.priced) && refuse_outright(errc::invalid_argument))
    return false;
  if (!budget_) [[unlikely]] {
    if (books_->options.strict && refuse_outright(errc::outside_budget)) return false;
    note_call_outside_budgets(reservation_->quote.requested->text);
  }
  return wrong == errc::ok || !refuse_outright(wrong);
}

[[gnu::hot]] void Arrival::enter_rules(const RuledModel& model) {
  if (rule_set_) [[unlikely]] {
    try {
      check_required(*rule_set_, around_, request_.tags, model);
    } catch (const Error& wrong) {
      if (!observing()) throw;
      observe_outright(wrong.what());
    }
    rules_ = open_rules(*rule_set_, *books_, around_, request_.tags, model);
  }
  scope_ = rules_ ? rules_.get() : around_;
  budget_ = scope_ ? scope_->budget : nullptr;
}

Arrival::Step Arrival::enter_ended(errc& wrong) {
  if (!examine(wrong)) return Step::refused;
  reservation_->quote.amounts = {};
  reservation_->quote.open_ceiling = false;
  if (budget_ && budget_->store) {
    auto claim = std::make_unique<SharedClaim>(*budget_);
    claim->look(books_->time());
    (void)claim->hold_unshared({.rooms = {}, .otherwise = Room::any, .callers = books_->time()}, true);
    claim->keep();
    reservation_->claim = std::move(claim);
  }
  admitted();
  return Step::admitted;
}

void Arrival::refuse_by_block(std::unique_lock<std::mutex>& lock) {
  Notes notes;
  ChainRoom room;
  const Moment moment;
  const ChainView chain = room.look(*budget_, [](const BudgetNode& budget) { return view_of(budget, nullptr); });
  const Verdict verdict = decide(chain, reservation_->quote, Memory(), moment, notes);
  failure_ = facts_of(verdict, chain, moment, [](const BudgetNode&) { return std::optional<Time>(); });
  const Note note = note_of_refusal(verdict, chain, moment);
  lock.unlock();
  failure_->scope = NodeRef::share(scope_);
  const AttributionRef own = request_.tags.empty() ? AttributionRef() : attribution();
  book_notes({.books = *books_,
              .id = reservation_->call_id,
              .attribution = own ? own.get() : scope_->attribution,
              .traceparent = traceparent()},
             {&note, 1}, failure_.get());
}

/// The instant that has chosen its windows, so that a report by day says what the counters do. A server's clock may be another one than that of
/// the call's end, and is left out.
std::int64_t Arrival::started() const noexcept {
  const SharedClaim* const claim = reservation_->claim.get();
  const bool by_this_clock = claim && claim->store().distance() != StoreBackend::Distance::remote;
  return by_this_clock ? claim->admitted_at().time_since_epoch().count() : books_->now();
}

[[gnu::hot]] void Arrival::admitted() {
  Reservation& reservation = *reservation_;
  Books& books = *books_;
  reservation.scope = NodeRef::share(scope_);
  reservation.books = &books;
  reservation.budget = budget_;
  reservation.attribution = scope_ ? scope_->attribution : nullptr;
  reservation.started = books.recording() ? started() : 0;
  reservation.state.store(Reservation::State::admitted, std::memory_order_release);
  // From here on the reservation ends by itself, whatever is thrown below.

  reservation.tier = nullptr;
  if (!request_.service_tier.empty()) [[unlikely]] {
    reservation.tier = books.dictionary.name(request_.service_tier);
    reservation.quote.price_terms.tier = reservation.tier->text;  // the request does not outlive the call
  }
  if (!request_.tags.empty()) {
    reservation.own_attribution = attribution();
    reservation.attribution = reservation.own_attribution.get();
  }
  if (!request_.traceparent.empty()) reservation.traceparent = traceparent();
  if (reservation.quote.unbounded) [[unlikely]] {
    books.unbounded_calls.fetch_add(1, std::memory_order_relaxed);
    if (budget_ && books.first_time("unbounded", reservation.model_name()))
      log(LogLevel::warning, "a request to \"" + reservation.model_name() +
                                 "\" has no output ceiling, so its budgets are not hard caps for it. Set " +
                                 request_.ceiling_name + ", or BudgetOptions::unbounded.");
  }
}

}  // namespace outlay::detail
