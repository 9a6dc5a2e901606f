#include "core/call/arrival.hpp"

#include "core/base/traceparent.hpp"
#include "core/budget/rules.hpp"
#include "core/call/call_events.hpp"
#include "core/call/chain.hpp"
#include "core/call/refusal.hpp"
#include "core/context/misuse.hpp"
#include "core/context/scopes.hpp"
#include "core/ledger/thread_cache.hpp"
#include "core/pricing/name_rules.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

constexpr Terms no_terms{.unpriced = Unpriced::ignore()};  // outside every budget

/// What is wrong with a request, before anything else is looked at; empty if nothing is.
std::string fault(const CallRequest& request) {
  const auto range = [](const char* member, const char* bounds, const std::string& value) {
    return std::string("CallRequest::") + member + " must be " + bounds + ", and is " + value + '.';
  };
  const auto size = [](const char* member, std::size_t most, std::size_t bytes) {
    return std::string("CallRequest::") + member + " has " + std::to_string(bytes) + " bytes, and at most " +
           std::to_string(most) + " are allowed. Shorten it.";
  };
  constexpr const char* count = "between 0 and 2,000,000,000";
  if (request.model.empty()) return "CallRequest::model is empty. Name the model that the call goes to.";
  if (request.model.size() > 256) return size("model", 256, request.model.size());
  if (request.input_tokens && (*request.input_tokens < 0 || *request.input_tokens > Usage::max_count))
    return range("input_tokens", count, std::to_string(*request.input_tokens));
  if (request.max_output_tokens && (*request.max_output_tokens < 0 || *request.max_output_tokens > Usage::max_count))
    return range("max_output_tokens", count, std::to_string(*request.max_output_tokens));
  if (request.choices < 1 || request.choices > 1024)
    return range("choices", "between 1 and 1,024", std::to_string(request.choices));
  if (request.usd && (*request.usd < Usd{} || *request.usd > max_call_cost))
    return range("usd", "between $0.00 and $1,000,000,000", to_string(*request.usd));
  if (request.web_searches < 0 || request.web_searches > 1'000'000)
    return range("web_searches", "between 0 and 1,000,000", std::to_string(request.web_searches));
  if (request.provider.size() > 256) return size("provider", 256, request.provider.size());
  if (request.service_tier.size() > 64) return size("service_tier", 64, request.service_tier.size());
  if (request.lease && (*request.lease < std::chrono::seconds(1) || *request.lease > std::chrono::days(60)))
    return range("lease", "between 1 second and 60 days", std::to_string(request.lease->count()) + " s");
  if (request.min_output_tokens < 1)
    return range("min_output_tokens", "at least 1", std::to_string(request.min_output_tokens));
  return {};
}

}  // namespace

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

std::string Arrival::reason_of(errc code) const {
  const std::string model = '"' + printable_name(request_.model) + '"';
  switch (code) {
    case errc::outside_budget:
      return "no budget encloses the call to " + model +
             ", and the ledger is strict. Open an outlay::Budget around it.";
    case errc::invalid_argument:
      return "the request to " + model +
             " states neither input_tokens nor input_text, and a budget around it counts its input. Set one of them; "
             "input_tokens = 0 for a request without input.";
    case errc::unbounded_refused:
      return "the request to " + model +
             " has no output ceiling, and a budget around it refuses such requests. Set max_output_tokens.";
    case errc::price_unknown:
      return "no price is known for " + model +
             (request_.web_searches > 0 ? " or for the searches that it may run" : "") +
             ", and a budget around the call caps money. Register it with PriceTable::register_model or "
             "register_deployment, or set BudgetOptions::unpriced to Unpriced::assume(...) or Unpriced::ignore().";
    default:
      return "the worst case of a call to " + model +
             " costs more than $9.2 billion. Check its token counts and its price.";
  }
}

bool Arrival::refuse_outright(errc code) {
  const std::string reason = reason_of(code);
  if (observing() && code != errc::overflow) {
    book_outright(Action::observed, "observed: would have been refused: " + reason);
    refused_outright_ = true;
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

bool Arrival::price(errc& priced) {
  if (std::string wrong = fault(request_); !wrong.empty())
    return refuse(errc::invalid_argument, std::move(wrong)), false;
  around_ = scope_ = ambient();
  books_ = &books_of(scope_);
  const ModelSlot slot = books_->prices.resolve(
      request_.model, provider_at(request_.provider));  // a copy, since the thread may resolve again below
  if (slot.name->id == ModelName::overflow_id)
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
  priced = Quote::of(request_, input_, {slot.name, slot.priced, usual_output(*slot.name)}, *terms(), observing(),
                     reservation_->quote);
  return true;
}

bool Arrival::prepare() {
  errc wrong{};
  if (!price(wrong)) return false;
  if (!input_is_stated() && counts_input(reservation_->quote.model.priced) && refuse_outright(errc::invalid_argument))
    return false;
  if (!budget_) {
    if (books_->options.strict && refuse_outright(errc::outside_budget)) return false;
    note_call_outside_budgets(reservation_->quote.requested->text);
  }
  return wrong == errc::ok || !refuse_outright(wrong);
}

void Arrival::enter_rules(const RuledModel& model) {
  NodeRef opened;
  if (rule_set_) opened = open_rules(*rule_set_, *books_, around_, request_.tags, model);
  rules_ = std::move(opened);
  scope_ = rules_ ? rules_.get() : around_;
  budget_ = scope_ ? scope_->budget : nullptr;
}

Arrival::Step Arrival::enter() {
  if (!prepare()) return Step::refused;
  if (budget_) {
    const Quote& quote = reservation_->quote;
    if (budget_->store || quote.open || observing()) return Step::undecided;
    std::unique_lock lock = budget_->lock_tree();
    if (!fits_chain(*budget_, quote.amounts)) {
      if (!budget_->only_blocks) return Step::undecided;
      refuse_by_block(lock);
      return Step::refused;
    }
    hold_in_chain(*budget_, quote.amounts);
  }
  admitted();
  return Step::admitted;
}

Arrival::Step Arrival::enter_ended(errc& wrong) {
  if (!price(wrong)) return Step::refused;
  reservation_->quote.amounts = {};
  reservation_->quote.open = false;
  if (budget_ && budget_->store) {
    auto claim = std::make_unique<SharedClaim>(*budget_);
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
  const AttributionRef own = attribution();
  book_notes({.books = *books_, .id = reservation_->call_id, .attribution = own.get(), .traceparent = traceparent()},
             {&note, 1}, failure_.get());
}

void Arrival::admitted() {
  Reservation& reservation = *reservation_;
  Books& books = *books_;
  reservation.scope = NodeRef::share(scope_);
  reservation.books = &books;
  reservation.budget = budget_;
  reservation.attribution = scope_ ? scope_->attribution : nullptr;
  reservation.started = books.recording() ? books.now() : 0;
  reservation.state.store(Reservation::State::admitted, std::memory_order_release);
  // From here on the reservation ends by itself, whatever is thrown below.

  reservation.tier = nullptr;
  if (!request_.service_tier.empty()) {
    reservation.tier = books.dictionary.name(request_.service_tier);
    reservation.quote.price_terms.tier = reservation.tier->text;  // the request does not outlive the call
  }
  if (!request_.tags.empty()) {
    reservation.own_attribution = attribution();
    reservation.attribution = reservation.own_attribution.get();
  }
  if (!request_.traceparent.empty()) reservation.traceparent = traceparent();
  if (reservation.quote.unbounded) {
    books.unbounded_calls.fetch_add(1, std::memory_order_relaxed);
    if (budget_ && books.first_time("unbounded", reservation.model_name()))
      log(LogLevel::warning, "a request to \"" + reservation.model_name() +
                                 "\" has no output ceiling, so its budgets are not hard caps for it. Set "
                                 "max_output_tokens, or BudgetOptions::unbounded.");
  }
}

}  // namespace outlay::detail
