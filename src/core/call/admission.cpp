#include "core/call/admission.hpp"

#include <algorithm>

#include "core/call/call_events.hpp"
#include "core/call/refusal.hpp"
#include "core/pricing/price_book.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

using Point = std::chrono::steady_clock::time_point;

/// How often a store may contradict what it has just said before the call is refused.
constexpr int max_rounds = 16;
/// How often a call that waits for room in a store asks it, beside each time that a call in its tree of budgets ends.
constexpr std::chrono::milliseconds look_again_after{200};

Point later(Point now, std::chrono::nanoseconds by) noexcept {
  return by >= Point::max() - now ? Point::max() : now + by;
}

}  // namespace

Admission::Admission(Arrival& arrival, Caller caller)
    : arrival_(&arrival),
      reservation_(*arrival.reservation_),
      books_(*arrival.books_),
      budget_(arrival.budget_),
      caller_(std::move(caller)),
      request_(reservation_.quote) {
  memory_.ask_program = !observing();  // an answer could have effects
  memory_.may_wait = caller_.may_wait && !observing();
  prices_ = books_.prices.find(reservation_.prices_uid);
  if (!prices_) {  // replaced many times since: the present one counts
    prices_ = books_.prices.present();
    if (const auto again = request_.with_model(model_of(request_.model.name->text))) request_ = *again;
  }
  prepare_chain();
}

void Admission::prepare_chain() {
  ruled_ = request_.model.name;
  own_claim_ = budget_->store ? std::make_unique<SharedClaim>(*budget_, arrival_->lease()) : nullptr;
  claim_ = own_claim_.get();
  memory_.models.add(request_.model);
  for (const BudgetNode* budget = budget_; budget; budget = budget->outer)
    for (const Policy& policy : budget->policy_list())
      if (const auto* downgrade = std::get_if<Downgrade>(&policy))
        for (const Downgrade::Route& route : downgrade->map) memory_.models.add(model_of(route.to));
}

Model Admission::model_of(const std::string& text) const {
  if (const Model* known = memory_.models.find(text)) return *known;
  const ModelName* const name = books_.dictionary.name(text);
  return {name, find_price(text), arrival_ ? arrival_->usual_output(*name) : 0};
}

const PricedModel* Admission::find_price(const std::string& model) const {
  // A policy may name another provider's model.
  const PricedModel* const own = reservation_.under ? prices_->find(model, reservation_.under->text) : nullptr;
  return own ? own : prices_->find(model);
}

Admission::Admission(Reservation& stream, PricedAgain wanted, Caller caller)
    : arrival_(nullptr),
      reservation_(stream),
      books_(*stream.books),
      budget_(stream.budget),
      caller_(std::move(caller)),
      prices_(std::move(wanted.prices)),
      request_(wanted.quote),
      claim_(stream.claim.get()) {
  memory_.may_wait = false;
  memory_.ask_program = !observing();
  if (claim_) claim_->forget();
  moment_ = {.stream = true, .held = stream.quote.amounts};
}

Admission::~Admission() {
  if (ticket_.at) {
    const auto lock = budget_->lock_tree();
    leave_line();
  }
  wakes_.tell();  // before the release in a store, which may take long
}

Point Admission::deadline() const noexcept {
  switch (state_) {
    case State::asking_store:
      return claim_->answer_by();
    case State::in_line:
      return deadline_;
    default:
      return Point::max();
  }
}

Admission::State Admission::advance(Event event) {
  moment_.now = std::chrono::steady_clock::now();
  switch (event) {
    case Event::start:
      if (!observing()) return decide_and_act();
      return claim_ && ask_store(request_, Room::any) != State::deciding ? state_ : observe();
    case Event::woken:
    case Event::timer:
      if (state_ == State::asking_store) {
        std::optional<SharedClaim::Outcome> outcome = claim_->answer();
        if (!outcome && event == Event::woken) return state_;  // by room that was released; the answer is still to come
        if (store_answered(outcome ? *outcome : claim_->give_up()) != State::deciding) return state_;
        return observing() ? observe() : decide_and_act();
      }
      if (state_ != State::in_line) return state_;
      if (event == Event::timer) moment_.now = std::max(moment_.now, deadline_);
      if (claim_) claim_->forget();
      rounds_ = 0;
      return decide_and_act();
    case Event::answered:
      return decide_and_act();
  }
  return state_;
}

const std::shared_ptr<Waiter>& Admission::waiter() {
  if (!waiter_) waiter_ = caller_.waiter();
  return waiter_;
}

ChainView Admission::look(bool ignore_grant) {
  return chain_.look(*budget_, [&](const BudgetNode& budget) {
    BudgetView view = view_of(budget, &ticket_);
    if (!budget.outside) return view;
    const Counter* numbers = claim_->numbers(budget, budget.counter.cap);
    view.source = numbers ? Source::answered : Source::unasked;
    if (numbers) view.counter = numbers;
    view.set_caps = claim_->set_caps(budget);
    if (granted_ && (!ignore_grant || !numbers)) view.source = Source::granted;
    if (budget.waits) view.turns_in = claim_->may_fit_in(budget, books_.time());
    return view;
  });
}

Admission::State Admission::decide_and_act() {
  for (;;) {
    state_ = State::deciding;
    std::unique_lock lock = budget_->lock_tree();
    if (moment_.stream && !reservation_.open()) return state_ = State::admitted;  // it has ended meanwhile
    // Woken while the store answered: what it said may be older than what woke this call.
    stale_ |= ticket_.signalled && claim_ && claim_->answered();
    ticket_.signalled = false;
    if (moment_.stream) {
      // Another stream of the same call may have asked for room meanwhile.
      if (request_.output <= reservation_.quote.output) return state_ = State::admitted;
      moment_.held = reservation_.quote.amounts;
      memory_.answers = reservation_.answers;
    }
    if (granted_ && asked_blindly_ && claim_->answered() && asked_of_store_.quote.open_ceiling &&
        !asked_of_store_.quote.bounded_above()) {
      // The ceiling was chosen without knowing what the store has; now it has told.
      asked_blindly_ = false;
      lock.unlock();
      release_grant();
      continue;
    }
    const ChainView chain = look(false);
    Notes notes;
    if (granted_) {
      // The store holds the quote. It is kept only if the budgets here let it pass as it is.
      Quote pinned = asked_of_store_.quote;
      pinned.open_ceiling = false;
      const Verdict verdict = decide(chain, pinned, memory_, moment_, notes);
      const bool unpriced = pinned.pricing.kind() == Pricing::Kind::unpriced && claim_->caps_money_by_hand();
      if (verdict.kind == Verdict::Kind::admit && verdict.quote.holds_as(pinned) && !unpriced)
        return admit(lock, chain, pinned, notes);
      lock.unlock();
      if (unpriced)
        return refuse_by_store(errc::price_unknown,
                               unpriced_under_set_cap(pinned.model.name->text, claim_->store().description()));
      release_grant();
      continue;
    }
    const Verdict verdict = decide(chain, request_, memory_, moment_, notes);
    switch (verdict.kind) {
      case Verdict::Kind::admit:
        if (arrival_ && verdict.quote.model.name != ruled_ && arrival_->rule_set_ && arrival_->rule_set_->by_model) {
          if (!change_rules(lock, verdict.quote, notes)) return state_;
          break;
        }
        asked_of_store_notes_.clear();
        if (!claim_) return admit(lock, chain, verdict.quote, notes);
        asked_of_store_ = verdict;
        asked_of_store_notes_ = notes;
        lock.unlock();
        if (ask_store(verdict.quote, Room::fits) != State::deciding) return state_;
        break;
      case Verdict::Kind::refuse:
        return refuse(lock, chain, verdict, notes);
      case Verdict::Kind::ask:
        return prepare_callback(lock, chain, verdict);
      case Verdict::Kind::wait:
        if (stale_ && claim_ && claim_->answered()) {
          stale_ = false;
          claim_->forget();
          rounds_ = 0;
          moment_.now = std::chrono::steady_clock::now();
          break;
        }
        return wait_in_line(lock, verdict);
    }
  }
}

bool Admission::change_rules(std::unique_lock<std::mutex>& lock, const Quote& quote, const Notes& notes) {
  leave_line();
  lock.unlock();
  for (const Note& note : notes)
    if (note.changes_call()) before_.push_back(note);
  if (arrival_->rules_) left_.push_back(NodeRef::share(arrival_->rules_.get()));
  own_claim_.reset();
  claim_ = nullptr;
  asked_of_store_notes_.clear();
  const auto refused = [&](errc code, std::string why) {
    failure_ = std::make_unique<FailureFacts>();
    failure_->code = code;
    failure_->model = request_.requested->text;
    failure_->text = std::move(why);
    said_.clear();
    book_events();
    state_ = State::refused;
    return false;
  };
  if (left_.size() >= max_rounds)
    return refused(errc::config,
                   "policies have rerouted the call to \"" + request_.requested->text + "\" " +
                       std::to_string(max_rounds) +
                       " times, from the rules of one model to those of another. Let them lead to a model that "
                       "its rules have room for.");
  try {
    arrival_->enter_rules({quote.model.name->text, quote.model.priced});
  } catch (const Error& wrong) {
    return refused(wrong.reason(), wrong.what());
  }
  request_ = quote;
  request_.terms = arrival_->terms();
  budget_ = arrival_->budget_;
  if (budget_) {
    prepare_chain();
    return true;
  }
  // Only the rules of the other model were around it.
  said_ = before_;
  reservation_.quote = request_;
  reservation_.quote.open_ceiling = false;
  arrival_->admitted();
  book_events();
  state_ = State::admitted;
  return false;
}

Admission::State Admission::observe() {
  while (claim_ && !granted_)
    if (ask_store(request_, Room::any) != State::deciding) return state_;
  std::unique_lock lock = budget_->lock_tree();
  if (moment_.stream && !reservation_.open()) return state_ = State::admitted;
  // Judged as it would be enforced, held as it came.
  Quote judged = request_;
  if (arrival_) (void)Quote::of(arrival_->request_, arrival_->input_, request_.model, budget_->terms, false, judged);
  const ChainView chain = look(true);
  Notes notes;
  const Verdict verdict = decide(chain, judged, memory_, moment_, notes);
  if (verdict.kind == Verdict::Kind::refuse) {
    const bool by_store = !said_.empty() && said_.front().kind == Note::Kind::blocked;
    notes.clear();
    if (!by_store) said_ = {note_of_refusal(verdict, chain, moment_)};
  }
  if (arrival_ && arrival_->refused_outright_) {  // that was its one event
    notes.clear();
    said_.clear();
  }
  asked_of_store_notes_.clear();
  return admit(lock, chain, request_, notes);
}

Admission::State Admission::admit(std::unique_lock<std::mutex>& lock, ChainView chain, const Quote& quote,
                                  const Notes& notes) {
  said_.insert(said_.end(), before_.begin(), before_.end());
  // What changed the call, and what let it through in the store, was decided when the store was asked.
  for (const Note& note : asked_of_store_notes_)
    if (note.changes_call() || note.budget->outside) said_.push_back(note);
  said_.insert(said_.end(), notes.begin(), notes.end());
  if (waited_at_)
    for (const BudgetView& view : chain)
      if (view.budget == waited_at_) said_.push_back(note_of(Note::Kind::waited, view, quote, moment_));
  // Nothing is thrown from here until the reservation ends by itself.
  hold_in_chain(*budget_, minus(quote.amounts, moment_.held));
  if (arrival_) {
    reservation_.quote = quote;
    reservation_.quote.open_ceiling = false;
  } else {  // its end may be priced on another thread meanwhile: the rest stays as it is
    reservation_.quote.amounts = quote.amounts;
    reservation_.quote.output = quote.output;
  }
  leave_line();
  lock.unlock();
  granted_ = false;
  if (arrival_) {
    reservation_.claim = std::move(own_claim_);
    arrival_->admitted();
    if (claim_) claim_->keep();
  }
  book_events();
  return state_ = State::admitted;
}

Admission::State Admission::refuse(std::unique_lock<std::mutex>& lock, ChainView chain, const Verdict& verdict,
                                   const Notes& notes) {
  failure_ = facts_of(verdict, chain, moment_, [&](const BudgetNode& budget) -> std::optional<Time> {
    return budget.outside ? claim_->may_fit_at(budget, books_.time()) : std::nullopt;
  });
  if (verdict.reason == errc::truncated && !moment_.stream)
    verdict.budget->truncated.store(true, std::memory_order_relaxed);
  said_.clear();
  for (const Note& note : notes)
    if (note.kind == Note::Kind::passed_wait) said_.push_back(note);  // no event: it is for the log
  said_.push_back(note_of_refusal(verdict, chain, moment_));
  leave_line();
  lock.unlock();
  failure_->scope = NodeRef::share(arrival_ ? arrival_->scope_ : reservation_.scope.get());
  book_events();
  return state_ = State::refused;
}

Admission::State Admission::wait_in_line(std::unique_lock<std::mutex>& lock, const Verdict& verdict) {
  const bool known = std::any_of(memory_.stood.begin(), memory_.stood.end(),
                                 [&](const Stood& stood) { return stood.budget == verdict.budget; });
  if (!known) memory_.stood.push_back({verdict.budget, verdict.until});
  BudgetNode* at = budget_;
  while (at != verdict.budget) at = at->outer;
  if (ticket_.at != at) {
    leave_line();
    ticket_.waiter = waiter();
    ticket_.looks_outward = budget_->terms.clamps;
    enter_line(*at, ticket_);
  }
  waited_at_ = at;
  deadline_ = verdict.until;
  // The decision rests on numbers of a store, which does not report changes that other processes make.
  if (claim_ && claim_->answered()) {
    deadline_ = std::min(deadline_, later(moment_.now, look_again_after));
    if (at->outside) deadline_ = std::min(deadline_, later(moment_.now, claim_->may_fit_in(*at, books_.time())));
  }
  lock.unlock();
  wakes_.tell();
  return state_ = State::in_line;
}

SharedClaim::Question Admission::store_question(const Quote& quote, Room otherwise) const noexcept {
  return {.amounts = quote.amounts,
          .rooms = rooms_,
          .otherwise = otherwise,
          .callers = books_.time(),
          .priced = quote.pricing.kind() != Pricing::Kind::unpriced};
}

Admission::State Admission::ask_store(const Quote& quote, Room otherwise) {
  if (observing()) asked_of_store_ = Verdict(quote);
  rooms_.clear();
  for (const Note& note : asked_of_store_notes_)
    if (note.lets_through()) rooms_.emplace_back(note.budget, note.kind == Note::Kind::below ? Room::below : Room::any);
  stale_ = false;
  asked_blindly_ = !claim_->answered();
  if (++rounds_ > max_rounds) {
    if (observing()) {
      granted_ = true;
      (void)claim_->hold_unshared(store_question(quote, otherwise), true);
      return state_;
    }
    return store_unavailable("which has contradicted itself " + std::to_string(max_rounds) +
                             " times, since too many processes ask it at once. Try again.");
  }
  if (claim_->answers_here(caller_.may_block))
    return store_answered(claim_->ask_here(store_question(quote, otherwise)));
  claim_->ask(store_question(quote, otherwise), waiter());
  return state_ = State::asking_store;
}

Admission::State Admission::store_answered(SharedClaim::Outcome outcome) {
  state_ = State::deciding;
  switch (outcome) {
    case SharedClaim::Outcome::granted:
      granted_ = true;
      break;
    case SharedClaim::Outcome::refused:
    case SharedClaim::Outcome::again:
      break;
    case SharedClaim::Outcome::unreachable: {
      const bool allowed = claim_->hold_unshared(store_question(asked_of_store_.quote, Room::any), observing());
      if (!allowed && !observing()) {
        const OnUnreachable& choice = claim_->store().options.on_unreachable;
        return store_unavailable(
            "which is unavailable (" + claim_->why() + "), and " +
            (choice.kind() == OnUnreachable::Kind::deny
                 ? std::string("its OnUnreachable is deny(). Try again later.")
                 : "the " + to_string(choice.at_most()) +
                       (asked_of_store_.quote.pricing.kind() == Pricing::Kind::unpriced
                            ? " of its OnUnreachable::local() cannot be kept for a model without a price. Register it, "
                              "or try again later."
                            : " of its OnUnreachable::local() has no room for this call. Try again later.")));
      }
      granted_ = true;
      if (!moment_.stream) {
        const auto lock = budget_->lock_tree();
        said_ = {note_of_store(allowed ? Note::Kind::unshared : Note::Kind::blocked, asked_of_store_.quote)};
      }
      break;
    }
  }
  return state_;
}

Note Admission::note_of_store(Note::Kind kind, const Quote& quote) {
  const BudgetView* view = look(false).data();
  while (view->budget != &claim_->first()) ++view;
  return note_of(kind, *view, quote, moment_);
}

Admission::State Admission::store_unavailable(const std::string& what) {
  return refuse_by_store(errc::store_unavailable, "budget \"" + claim_->first().shown_name() + "\" counts " +
                                                      (moment_.stream ? "the stream of \"" : "the call to \"") +
                                                      request_.model.name->text + "\" in " +
                                                      claim_->store().description() + ", " + what);
}

Admission::State Admission::refuse_by_store(errc code, std::string text) {
  failure_ = std::make_unique<FailureFacts>();
  failure_->code = code;
  failure_->model = request_.requested->text;
  failure_->text = std::move(text);
  release_grant();
  claim_->forget();  // what it said before is not the reason
  {
    const auto lock = budget_->lock_tree();
    leave_line();
    if (!moment_.stream) said_ = {note_of_store(Note::Kind::blocked, request_)};
  }
  book_events();
  return state_ = State::refused;
}

void Admission::leave_line() { detail::leave_line(ticket_, wakes_); }

void Admission::release_grant() noexcept {
  granted_ = false;
  said_.clear();
  if (claim_) claim_->release();
}

void Admission::book_events() {
  if (moment_.stream) {
    // Once for each stream, since a stream that is over a cap asks again and again.
    std::erase_if(said_, [&](const Note& note) {
      const bool over = note.lets_through() || (observing() && note.kind == Note::Kind::cut);
      return over && (reservation_.said_over || (reservation_.said_over = true, false));
    });
  }
  if (!said_.empty()) {
    const AttributionRef own = arrival_ ? arrival_->attribution() : AttributionRef();
    const CallFacts call{
        .books = books_,
        .id = reservation_.call_id,
        .attribution = arrival_ ? own.get() : reservation_.attribution,
        .traceparent = arrival_ ? arrival_->traceparent() : std::string_view(reservation_.traceparent)};
    book_notes(call, std::exchange(said_, {}), failure_.get());
  }
  wakes_.tell();
}

Admission::State BlockingCaller::run(Admission& admission) {
  Admission::State state = admission.advance(Admission::Event::start);
  for (;;) {
    switch (state) {
      case Admission::State::asking_program:
        admission.ask_program();
        state = admission.advance(Admission::Event::answered);
        break;
      case Admission::State::asking_store:
      case Admission::State::in_line:
        state = admission.advance(waiter_->wait_until(admission.deadline()) ? Admission::Event::woken
                                                                            : Admission::Event::timer);
        break;
      default:
        return state;
    }
  }
}

}  // namespace outlay::detail
