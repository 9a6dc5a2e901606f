#include "core/call/admission.hpp"

#include <algorithm>
#include <utility>

#include "core/budget/rules.hpp"
#include "core/call/reservation_pool.hpp"
#include "core/context/misuse.hpp"
#include "outlay/log.hpp"
#include "outlay/tokens.hpp"

namespace outlay::detail {

namespace {

/// The callbacks that run on this thread, innermost first.
struct CallbackFrame {
  const BudgetNode* budget;
  CallbackFrame* outer;
};
constinit thread_local CallbackFrame* callback_frames = nullptr;

bool in_the_way(const BudgetNode& budget, const Vector& request, std::size_t d) noexcept {
  return request[d] > budget.cap[d] - budget.used[d];
}

std::chrono::steady_clock::time_point later(std::chrono::nanoseconds by) noexcept {
  using Point = std::chrono::steady_clock::time_point;
  const Point now = std::chrono::steady_clock::now();
  return by >= Point::max() - now ? Point::max() : now + by;
}

}  // namespace

/// What only a call needs that does not fit at once.
struct Admission::Slow {
  // Copies of what the request only lent, for a call that outlives the function it came in by.
  NodeRef scope;
  std::shared_ptr<const PriceBook> prices;
  std::string tier;
  std::string traceparent;
  std::vector<Tags::value_type> tags;

  Draft original;
  bool may_wait = false;
  Ticket ticket;
  std::shared_ptr<Waiter> waiter;
  BudgetNode* waiting_at = nullptr;
  std::optional<std::chrono::steady_clock::time_point> deadline;
  std::vector<BudgetNode*> waited_out;  // budgets whose Wait has handed on
  bool waited = false;
  bool cannot_wait = false;  // to be said: a Wait policy was passed over

  // Callbacks: asked once for each model and ceiling.
  struct Asked {
    const BudgetNode* budget;
    std::size_t policy;
    const ModelName* model;
    std::optional<std::int64_t> ceiling;
    Decision::Kind answer;
  };
  std::vector<Asked> asked;
  BudgetNode* ask_budget = nullptr;
  std::size_t ask_policy = 0;

  std::vector<Pending> events;
  std::vector<std::shared_ptr<Waiter>> wakes;
  std::vector<const BudgetNode*> warned;
  std::vector<const BudgetNode*> allowed;

  // Of budgets in a store.
  bool may_block = true;
  bool views = false;  // the store has refused, and the budgets' numbers are those that it gave
  std::vector<std::pair<const SharedCounter*, SharedCounter::View>> seen;
  std::vector<std::pair<const BudgetNode*, Room>> let_through;
  std::unique_ptr<SharedHold> hold;  // granted
  std::unique_ptr<SharedHold> asked_for;
  std::shared_ptr<StoreQueue::Question> question;
  std::optional<std::chrono::steady_clock::time_point> answer_by;
  std::optional<std::chrono::steady_clock::time_point> look_again;  // others may give room back without our knowing
  int rounds = 0;
};

/// How often the store may contradict what it has just said before the call is refused.
constexpr int max_rounds = 16;
/// How often a call that waits for room in a store asks it, beside each time that a call of this process ends.
constexpr std::chrono::milliseconds look_again_after{200};

/// An event noted under the lock.
struct Admission::Pending {
  const BudgetNode* budget;
  Action action;
  Dimension dimension;
  std::int64_t projected, cap;
  const ModelName* model;
  const ModelName* new_model;
  std::int64_t ceiling = -1;
  Action would;  // what observe mode did not do; else `action`
};

Admission::Admission(const CallRequest& request) noexcept : request_(&request) {}

Admission::~Admission() {
  if (slow_ && slow_->ticket.at) {
    {
      const auto lock = draft_.budget->lock_tree();
      leave_line();
    }
  }
  wake_others();
  if (slow_) {
    if (slow_->question) draft_.budget->chain_store->abandon(*slow_->question);
    give_back();
  }
  if (reservation_) release(reservation_);
}

Admission::Step Admission::refuse(errc code, std::string text) {
  failure_ = std::make_unique<FailureFacts>();
  failure_->code = code;
  failure_->model = std::string(request_ ? request_->model : std::string_view());
  failure_->text = std::move(text);
  return Step::refused;
}

namespace {

/// What is wrong with a request, before anything else is looked at; null if nothing is.
const char* fault(const CallRequest& request) noexcept {
  if (request.model.empty()) return "CallRequest::model is empty: name the model that will be asked";
  if (request.model.size() > 256) return "CallRequest::model has more than 256 bytes";
  if (request.input_tokens && (*request.input_tokens < 0 || *request.input_tokens > Usage::max_count))
    return "CallRequest::input_tokens is negative or above 2,000,000,000";
  if (request.max_output_tokens && (*request.max_output_tokens < 0 || *request.max_output_tokens > Usage::max_count))
    return "CallRequest::max_output_tokens is negative or above 2,000,000,000";
  if (request.choices < 1 || request.choices > 1024) return "CallRequest::choices is not between 1 and 1,024";
  if (request.usd && (*request.usd < Usd{} || *request.usd > max_call_cost))
    return "CallRequest::usd is negative or above $1,000,000,000";
  if (request.service_tier.size() > 64) return "CallRequest::service_tier has more than 64 bytes";
  if (request.min_output_tokens < 1) return "CallRequest::min_output_tokens is below 1";
  return nullptr;
}

}  // namespace

bool Admission::allow_unpriced(Draft& draft) const {
  draft.assumed_rate = -1;
  if (draft.flat || !draft.budget || !draft.budget->usd_capped) return true;
  const Unpriced& unpriced = draft.budget->unpriced;
  if (unpriced.kind() == Unpriced::Kind::assume)
    draft.assumed_rate = Rate::per_million(unpriced.per_million_tokens()).picos();
  return unpriced.kind() != Unpriced::Kind::refuse;
}

bool Admission::price(Draft& draft, const ModelName* model, const PricedModel* priced) const {
  std::int64_t output = draft.output;
  bool unbounded = draft.unbounded;
  if (!draft.ceiling) {
    const bool by_model =
        draft.budget && draft.budget->unbounded == Unbounded::model_max && priced && priced->price->max_output_tokens;
    output = (by_model ? *priced->price->max_output_tokens : draft.reserve) * draft.choices;
    unbounded = !by_model;
  }
  std::int64_t nanos = 0;
  if (draft.flat) {
    nanos = draft.flat->nanos();
  } else if (priced) {
    const std::optional<Usd> worst = worst_cost(*priced, draft.input, output, draft.tier, draft.long_cache);
    if (!worst) return false;
    nanos = worst->nanos();
  } else if (draft.assumed_rate >= 0) {
    const std::optional<Usd> worst = worst_cost(AssumedPrice(draft.assumed_rate).model, draft.input, output, {}, false);
    if (!worst) return false;
    nanos = worst->nanos();
  }
  draft.model = model;
  draft.priced = priced;
  draft.output = output;
  draft.unbounded = unbounded;
  draft.request = request_vector(nanos, draft.input, output);
  return true;
}

bool Admission::prepare() {
  const CallRequest& request = *request_;
  if (const char* wrong = fault(request)) return refuse(errc::invalid_argument, wrong), false;
  if (!request.tags.empty()) {
    try {
      const Node* scope = ambient();
      validate_tags(request.tags, scope ? scope->attribution : nullptr);
    } catch (const ConfigError& wrong) {
      return refuse(errc::config, wrong.what()), false;
    }
  }
  draft_.scope = ambient();
  draft_.books = draft_.scope && draft_.scope->books ? draft_.scope->books : &Books::default_books();
  Books& books = *draft_.books;
  if (const auto rules = books.has_rules() ? books.rules() : nullptr) {
    try {
      rules_ = open_rules(*rules, books, draft_.scope, request.tags);
    } catch (const ConfigError& wrong) {
      return refuse(errc::config, wrong.what()), false;
    }
    if (rules_) draft_.scope = rules_.get();
  }
  draft_.budget = draft_.scope ? draft_.scope->budget : nullptr;
  const ModelSlot slot = books.prices.resolve(request.model);  // a copy: the thread may resolve again below
  draft_.requested = slot.name;
  draft_.input = request.input_tokens ? *request.input_tokens : built_in_tokenizer().upper(request.input_text);
  draft_.choices = request.choices;
  draft_.flat = request.usd;
  draft_.tier = request.service_tier;
  draft_.long_cache = request.long_cache;
  draft_.fixed_ceiling = request.fixed_ceiling;
  draft_.min_ceiling = request.min_output_tokens;
  draft_.ceiling = request.max_output_tokens;

  if (slot.name->id == ModelName::overflow_id)
    return refuse(errc::invalid_argument,
                  "the ledger has seen 65,536 names of models, providers and tiers, and takes no new ones: "
                  "CallRequest::model must come from a bounded set"),
           false;
  const bool observing = books.options.observe;
  const BudgetNode* budget = draft_.budget;
  if (!budget) {
    if (books.options.strict) {
      std::string text = "no budget encloses the call to \"" + slot.name->text +
                         "\", and the ledger is strict: open an outlay::Budget around it";
      if (!observing) return refuse(errc::outside_budget, std::move(text)), false;
      observe_outright(text);
    }
    note_call_outside_budgets(slot.name->text);
  }
  if (!draft_.ceiling) {
    draft_.reserve = budget ? budget->output_reserve + budget->reasoning_reserve : 256;
    const Unbounded mode = budget ? budget->unbounded : Unbounded::estimate;
    if (mode == Unbounded::refuse) {
      std::string text = "the request to \"" + slot.name->text +
                         "\" has no output ceiling, and a budget around it refuses such: set "
                         "max_output_tokens";
      if (!observing) return refuse(errc::unbounded_refused, std::move(text)), false;
      observe_outright(text);
    }
    if (mode == Unbounded::clamp && !draft_.fixed_ceiling && !observing)
      draft_.ceiling = std::max(draft_.reserve, draft_.min_ceiling);
  }
  if (draft_.ceiling) draft_.output = *draft_.ceiling * draft_.choices;

  if (!slot.priced && !allow_unpriced(draft_)) {
    std::string text = "no price is known for \"" + printable_name(request.model) +
                       "\", and a budget around the call caps money: register it "
                       "(PriceTable::register_model, register_deployment), or set unpriced to "
                       "Unpriced::assume(...) or Unpriced::ignore()";
    if (!observing) return refuse(errc::price_unknown, std::move(text)), false;
    observe_outright(text);
  }
  if (!price(draft_, slot.name, slot.priced))
    return refuse(errc::overflow, "the worst case of a call to \"" + slot.name->text +
                                      "\" costs more than $9.2 billion: check its token counts and its price"),
           false;
  return true;
}

bool Admission::fits_vector(const BudgetNode& budget, const Vector& request) const noexcept {
  if (budget.gate != 0) {
    if (budget.gate & BudgetNode::gate_closed) return false;
    // Somebody waits: only the first in line is judged by the amounts.
    if (!slow_ || slow_->ticket.at != &budget || budget.first_waiting != &slow_->ticket) return false;
  }
  if (budget.shared && (!slow_ || !slow_->views)) return true;  // the store will say
  std::uint64_t over = 0;
  for (std::size_t d = 0; d < dimension_count; ++d)
    over |= static_cast<std::uint64_t>(budget.cap[d] - budget.used[d] < request[d]);
  return over == 0;
}

bool Admission::fits(const BudgetNode& budget) const noexcept { return fits_vector(budget, draft_.request); }

void Admission::take_room() noexcept {
  for (BudgetNode* budget = draft_.budget; budget; budget = budget->outer) {
    if (budget->shared) continue;
    for (std::size_t d = 0; d < dimension_count; ++d) {
      budget->used[d] = saturating_add(budget->used[d], draft_.request[d]);
      budget->held[d] = saturating_add(budget->held[d], draft_.request[d]);
    }
  }
}

Admission::Step Admission::start(bool may_wait, bool may_block) {
  if (!prepare()) {
    emit_refused_outright();
    return Step::refused;
  }
  // Made before the room is taken: after that a failure ends it by itself.
  reservation_ = take_spare_reservation();
  reservation_->call_id = next_call_id();
  if (draft_.budget && draft_.budget->chain_store) {
    slow_ = std::make_unique<Slow>();
    slow_->original = draft_;
    slow_->may_wait = may_wait;
    slow_->may_block = may_block;
    return judge();
  }
  if (draft_.budget) {
    std::unique_lock lock(draft_.budget->root->mutex);
    bool all = true;
    for (const BudgetNode* budget = draft_.budget; budget && all; budget = budget->outer) all = fits(*budget);
    if (all) {
      take_room();
    } else if (draft_.budget->only_block && !draft_.budget->any_gate() && !draft_.books->options.observe) {
      return refuse_plainly(lock);
    } else {
      lock.unlock();
      slow_ = std::make_unique<Slow>();
      slow_->original = draft_;
      slow_->may_wait = may_wait;
      return judge();
    }
  }
  return admit();
}

Admission::Step Admission::admit() {
  Reservation& reservation = *reservation_;
  Books& books = *draft_.books;
  reservation.scope = NodeRef::share(draft_.scope);
  reservation.books = &books;
  reservation.budget = draft_.budget;
  reservation.attribution = draft_.scope ? draft_.scope->attribution : nullptr;
  reservation.requested = draft_.requested;
  reservation.model = draft_.model;
  reservation.input = draft_.input;
  reservation.output = draft_.output;
  reservation.has_ceiling = draft_.ceiling.has_value();
  reservation.ceiling = draft_.ceiling.value_or(0);
  reservation.unbounded = draft_.unbounded;
  reservation.has_flat = draft_.flat.has_value();
  reservation.flat = draft_.flat.value_or(Usd{}).nanos();
  reservation.assumed_rate = draft_.assumed_rate;
  reservation.long_cache = draft_.long_cache;
  reservation.request = draft_.request;
  reservation.prices_uid = slow_ && slow_->prices ? slow_->prices->uid : books.prices.uid();
  reservation.started = books.recording() ? books.now() : 0;
  if (slow_) reservation.hold = std::move(slow_->hold);
  reservation.state.store(Reservation::State::admitted, std::memory_order_release);
  // From here on the reservation ends by itself, whatever is thrown below.

  reservation.tier = draft_.tier.empty() ? nullptr : books.dictionary.name(draft_.tier);
  const auto add_tags = [&](std::span<const Tag> tags) {
    const AttributionRef outer = books.dictionary.translate(reservation.attribution);
    reservation.own_attribution = books.dictionary.intern(outer.get(), {false, {}, {}, tags});
    reservation.attribution = reservation.own_attribution.get();
  };
  if (request_) {
    if (!request_->tags.empty()) add_tags(request_->tags);
    if (is_traceparent(request_->traceparent)) reservation.traceparent = request_->traceparent;
  } else if (slow_) {
    std::vector<Tag> tags;
    for (const auto& [key, value] : slow_->tags) tags.push_back({key, value});
    if (!tags.empty()) add_tags(tags);
    reservation.traceparent = slow_->traceparent;
  }
  if (draft_.unbounded) {
    books.unbounded_calls.fetch_add(1, std::memory_order_relaxed);
    if (draft_.budget && books.first_time("unbounded", draft_.model->text))
      log(LogLevel::warning, "a request to \"" + draft_.model->text +
                                 "\" has no output ceiling, so its budgets are not hard caps for it: set "
                                 "max_output_tokens, or Budget's unbounded");
  }
  if (reservation.hold && !reservation.hold->unshared) draft_.budget->chain_store->keep_alive(reservation.hold->id);
  if (slow_) emit();
  return Step::admitted;
}

Dimension dimension_in_the_way(const BudgetNode& budget, const Vector& request) noexcept {
  for (std::size_t d = 0; d < dimension_count; ++d)
    if (in_the_way(budget, request, d)) return static_cast<Dimension>(d);
  return Dimension::usd;
}

void Admission::note(Action action, BudgetNode& budget) {
  const Dimension dimension = dimension_in_the_way(budget, draft_.request);
  const std::size_t d = index(dimension);
  slow_->events.push_back({&budget, action, dimension, saturating_add(budget.used[d], draft_.request[d]), budget.cap[d],
                           draft_.model, nullptr, -1, action});
}

void add_breaches(FailureFacts& facts, const BudgetNode* innermost, const Vector& request, Time now) {
  for (const BudgetNode* budget = innermost; budget; budget = budget->outer)
    for (std::size_t d = 0; d < dimension_count; ++d)
      if (in_the_way(*budget, request, d)) {
        RawBreach breach{
            budget, static_cast<Dimension>(d), budget->cap[d], budget->spent(d), budget->held[d], request[d], {}};
        // Where it would fit an empty window, and time empties it: calls in flight only end by ending.
        if (budget->shared && request[d] <= budget->cap[d] && d != index(Dimension::concurrent))
          breach.retry_at = budget->window.at(budget->chain_store->now(now)).end;
        facts.add(breach);
      }
}

Admission::Outcome Admission::refuse_by(BudgetNode& budget, errc code) {
  failure_ = std::make_unique<FailureFacts>();
  failure_->code = code;
  failure_->scope = NodeRef::share(draft_.scope);
  failure_->refuser = &budget;
  failure_->model = draft_.requested->text;
  if (code == errc::closed_to_new_calls) {
    failure_->text = "budget \"" + budget.shown_name() + "\" is closed to new calls";
  } else {
    add_breaches(*failure_, draft_.budget, draft_.request, draft_.books->time());
    if (failure_->count == 0)
      failure_->text = "budget \"" + budget.shown_name() + "\" refuses \"" + draft_.requested->text +
                       "\": other calls are already waiting for its room";
  }
  if (code == errc::truncated && !draft_.books->options.observe)
    budget.truncated.store(true, std::memory_order_relaxed);
  // What was decided on the way did not come to be: the refusal is all that happened.
  if (!draft_.books->options.observe) slow_->events.clear();
  note(code == errc::truncated ? Action::truncated : Action::blocked, budget);
  return Outcome::refuse;
}

bool Admission::try_downgrade(BudgetNode& budget, const Downgrade& downgrade) {
  // "In the way" is money here; more tokens or calls are not saved by a cheaper model.
  if (!in_the_way(budget, draft_.request, index(Dimension::usd)) || draft_.flat) return false;
  std::string_view from = draft_.model->text;
  const auto leads_from = [&](std::string_view name) {
    return std::find_if(downgrade.map.begin(), downgrade.map.end(),
                        [&](const Downgrade::Route& candidate) { return candidate.from == name; });
  };
  // A prefixed or dated name goes the way of the entry that prices it.
  if (leads_from(from) == downgrade.map.end() && draft_.priced) from = draft_.priced->name;
  for (std::size_t steps = 0; steps < downgrade.map.size(); ++steps) {
    const auto route = leads_from(from);
    if (route == downgrade.map.end()) return false;
    from = route->to;
    const ModelName* name = draft_.books->dictionary.name(from);
    const PricedModel* priced = slow_->prices->find(from);
    Draft cheaper = draft_;
    if (!priced || name->id == ModelName::overflow_id || !price(cheaper, name, priced)) continue;
    cheaper.assumed_rate = -1;
    if (cheaper.request[0] >= draft_.request[0] || !fits_vector(budget, cheaper.request)) continue;
    note(Action::downgraded, budget);
    slow_->events.back().new_model = name;
    draft_ = cheaper;
    return true;
  }
  return false;
}

bool Admission::try_clamp(BudgetNode& budget, std::int64_t min_tokens) {
  if (draft_.fixed_ceiling) return false;
  std::int64_t affordable = INT64_MAX;  // over all choices
  for (const BudgetNode* at = draft_.budget; at; at = at->outer) {
    if (!at->enforcing && at != &budget) continue;  // its own Clamp stands in front of what lets calls through
    const auto room = [&](Dimension dimension) {
      const std::size_t d = index(dimension);
      return at->cap[d] == no_cap ? INT64_MAX : at->cap[d] - at->used[d];
    };
    if (at->shared && !slow_->views) continue;  // the store has not been asked about this call yet
    if (at->gate != 0 && !(slow_->ticket.at == at && at->first_waiting == &slow_->ticket)) return false;
    if (room(Dimension::calls) < 1 || room(Dimension::concurrent) < 1 || room(Dimension::input_tokens) < draft_.input)
      return false;
    if (room(Dimension::tokens) != INT64_MAX) affordable = std::min(affordable, room(Dimension::tokens) - draft_.input);
    affordable = std::min(affordable, room(Dimension::output_tokens));
    if (room(Dimension::usd) == INT64_MAX) continue;
    const Usd money = Usd::from_nanos(room(Dimension::usd));
    if (draft_.flat || (!draft_.priced && draft_.assumed_rate < 0)) {
      if (draft_.request[0] > money.nanos()) return false;
    } else if (draft_.priced) {
      affordable =
          std::min(affordable, affordable_output(*draft_.priced, draft_.input, money, draft_.tier, draft_.long_cache));
    } else {
      affordable = std::min(affordable,
                            affordable_output(AssumedPrice(draft_.assumed_rate).model, draft_.input, money, {}, false));
    }
  }
  const std::int64_t ceiling = affordable / draft_.choices;
  const std::int64_t present = draft_.ceiling ? *draft_.ceiling : INT64_MAX;
  if (affordable < 0 || ceiling >= present || ceiling < std::max(min_tokens, draft_.min_ceiling)) return false;
  Draft smaller = draft_;
  smaller.ceiling = ceiling;
  smaller.unbounded = false;
  smaller.output = ceiling * draft_.choices;
  if (!price(smaller, draft_.model, draft_.priced)) return false;
  note(Action::clamped, budget);
  if (slow_->events.back().projected <= slow_->events.back().cap) {
    // Asked on behalf of an enclosing budget: that one's numbers are the reason.
    for (const BudgetNode* at = budget.outer; at; at = at->outer)
      if (!fits(*at)) {
        const std::size_t d = index(dimension_in_the_way(*at, draft_.request));
        Pending& event = slow_->events.back();
        event.dimension = static_cast<Dimension>(d);
        event.projected = saturating_add(at->used[d], draft_.request[d]);
        event.cap = at->cap[d];
        break;
      }
  }
  slow_->events.back().ceiling = ceiling;
  draft_ = smaller;
  return true;
}

Admission::Outcome Admission::evaluate() {
  Slow& slow = *slow_;
  slow.let_through.clear();
  for (BudgetNode* budget = draft_.budget; budget; budget = budget->outer)
    if (budget->gate & BudgetNode::gate_closed) return refuse_by(*budget, errc::closed_to_new_calls);
restart:
  for (BudgetNode* budget = draft_.budget; budget; budget = budget->outer) {
    const bool own = fits(*budget);
    bool around = true;  // every enforcing budget outside has room
    if (budget->has_clamp)
      for (const BudgetNode* at = budget->outer; at && around; at = at->outer) around = !at->enforcing || fits(*at);
    if (own && around) continue;
    if (!own && in_callback_of(*budget)) return refuse_by(*budget, errc::budget_exceeded);

    bool through = own;
    const std::vector<Policy>* chain = budget->chain();
    const std::size_t length = chain ? chain->size() : 0;
    for (std::size_t i = 0; i < length; ++i) {
      const Policy& policy = (*chain)[i];
      if (const auto* clamp = std::get_if<Clamp>(&policy)) {
        if (try_clamp(*budget, clamp->min_output_tokens)) goto restart;
        continue;
      }
      if (own) continue;  // only Clamp looks outward
      if (const auto* downgrade = std::get_if<Downgrade>(&policy)) {
        if (try_downgrade(*budget, *downgrade)) goto restart;
      } else if (std::holds_alternative<Block>(policy)) {
        return refuse_by(*budget, errc::budget_exceeded);
      } else if (std::holds_alternative<Truncate>(policy)) {
        return refuse_by(*budget, errc::truncated);
      } else if (std::holds_alternative<Raise>(policy)) {
        for (std::size_t d = 0; d < dimension_count; ++d)
          if (in_the_way(*budget, draft_.request, d) && budget->used[d] >= budget->cap[d])
            return refuse_by(*budget, errc::budget_exceeded);
        through = true;
        if (budget->shared) slow.let_through.emplace_back(budget, Room::below);
      } else if (std::holds_alternative<Warn>(policy)) {
        if (std::find(slow.warned.begin(), slow.warned.end(), budget) == slow.warned.end()) {
          note(Action::warned, *budget);
          slow.warned.push_back(budget);
        }
        through = true;
        if (budget->shared) slow.let_through.emplace_back(budget, Room::any);
      } else if (std::holds_alternative<Callback>(policy)) {
        const auto known = std::find_if(slow.asked.begin(), slow.asked.end(), [&](const Slow::Asked& asked) {
          return asked.budget == budget && asked.policy == i && asked.model == draft_.model &&
                 asked.ceiling == draft_.ceiling;
        });
        if (known == slow.asked.end()) {
          slow.ask_budget = budget;
          slow.ask_policy = i;
          return Outcome::ask;
        }
        if (known->answer == Decision::Kind::allow) {
          if (std::find(slow.allowed.begin(), slow.allowed.end(), budget) == slow.allowed.end()) {
            note(Action::allowed, *budget);
            slow.allowed.push_back(budget);
          }
          through = true;
          if (budget->shared) slow.let_through.emplace_back(budget, Room::any);
        } else if (known->answer == Decision::Kind::truncate) {
          return refuse_by(*budget, errc::truncated);
        } else if (known->answer != Decision::Kind::next) {
          return refuse_by(*budget, errc::budget_exceeded);  // block, or a change that has led here again
        }
      } else if (const auto* wait = std::get_if<Wait>(&policy)) {
        if (std::find(slow.waited_out.begin(), slow.waited_out.end(), budget) != slow.waited_out.end()) continue;
        bool hopeless = false, never = false;
        for (std::size_t d = 0; d < dimension_count; ++d) {
          hopeless |= budget->cap[d] - budget->spent(d) < draft_.request[d];
          never |= budget->cap[d] < draft_.request[d];
        }
        if (hopeless && budget->shared && !never) {
          const Time now = store_time();
          const std::optional<Time> turns = budget->window.at(now).end;
          hopeless = !turns || *turns - now > wait->timeout;
        }
        if (hopeless) continue;
        if (!slow.may_wait) {
          slow.waited_out.push_back(budget);
          if (draft_.books->first_time("wait", budget->name)) slow.cannot_wait = true;
          continue;
        }
        slow.waiting_at = budget;
        if (!slow.deadline || slow.ticket.at != budget) slow.deadline = later(wait->timeout);
        if (budget->shared) slow.look_again = later(look_again_after);
        return Outcome::wait;
      }
      if (through) break;
    }
    if (!through || !can_count(budget->used, draft_.request)) return refuse_by(*budget, errc::budget_exceeded);
  }
  return Outcome::admit;
}

void Admission::leave_line() {
  if (!slow_->ticket.at) return;
  BudgetNode* const budget = slow_->ticket.at;
  dequeue(slow_->ticket);
  signal_first(*budget, slow_->wakes);
}

Admission::Step Admission::judge() {
  Slow& slow = *slow_;
  if (!slow.prices) {
    // The thread's cache held the table until now; a call that waits holds it itself. Should it have been replaced meanwhile, by one
    // that does not know the model, then the first one's worst case stands.
    slow.prices = draft_.books->prices.present();
    draft_.priced = slow.prices->find(draft_.model->text);
    if (draft_.priced) price(draft_, draft_.model, draft_.priced);
    slow.original = draft_;
  }
  if (slow.question) {
    std::optional<Result<StoreReply>> answer = draft_.budget->chain_store->answer(*slow.question);
    if (!answer) return Step::waiting;
    if (take_answer(std::move(*answer)) == Asked::refused) return refuse_without_store();
  }
  if (draft_.books->options.observe) return observe();
  for (;;) {
    std::unique_lock lock(draft_.budget->root->mutex);
    slow.ticket.signalled = false;
    if (slow.views) load_views();
    const Outcome outcome = evaluate();
    switch (outcome) {
      case Outcome::admit: {
        if (draft_.budget->chain_store && !(slow.hold && slow.hold->amount == draft_.request)) {
          lock.unlock();
          give_back();  // it was for another model or ceiling
          const Asked asked = reserve_in_store();
          if (asked == Asked::waiting) return Step::waiting;
          if (asked == Asked::refused) return refuse_without_store();
          break;
        }
        if (slow.waited) note(Action::waited, *(slow.ticket.at ? slow.ticket.at : draft_.budget));
        take_room();
        leave_line();
        lock.unlock();
        return admit();
      }
      case Outcome::refuse:
        leave_line();
        lock.unlock();
        give_back();
        emit();
        return Step::refused;
      case Outcome::ask:
        if (!ask(lock)) {
          leave_line();
          lock.unlock();
          give_back();
          emit();
          return Step::refused;
        }
        break;
      case Outcome::wait:
        if (slow.ticket.at != slow.waiting_at) {
          leave_line();
          if (slow.waiter) {
            slow.ticket.waiter = slow.waiter;
            enqueue(*slow.waiting_at, slow.ticket);
            slow.waited = true;
          }
        }
        lock.unlock();
        give_back();  // who waits holds nothing
        emit();
        return Step::waiting;
    }
  }
}

bool Admission::ask(std::unique_lock<std::mutex>& lock) {
  Slow& slow = *slow_;
  BudgetNode& budget = *slow.ask_budget;
  auto facts = std::make_unique<FailureFacts>();
  facts->code = errc::budget_exceeded;
  facts->scope = NodeRef::share(draft_.scope);
  facts->refuser = &budget;
  facts->model = draft_.requested->text;
  add_breaches(*facts, draft_.budget, draft_.request, draft_.books->time());
  lock.unlock();

  Tags tags = draft_.scope->attribution ? draft_.scope->attribution->tags : Tags();
  if (request_)
    for (const Tag& tag : request_->tags) tags.set(tag.key, tag.value);
  for (const auto& [key, value] : slow.tags) tags.set(key, value);
  const Exceeded exceeded(Failure(facts.release()), draft_.requested->text, draft_.model->text, draft_.ceiling,
                          std::move(tags), false);
  const auto& callback = std::get<Callback>((*budget.chain())[slow.ask_policy]);
  const Decision decision = ask_callback(budget, callback, exceeded);
  slow.asked.push_back({&budget, slow.ask_policy, draft_.model, draft_.ceiling, decision.kind()});

  Draft changed = draft_;
  bool ok = false;
  if (decision.kind() == Decision::Kind::reroute && !decision.model().empty() && decision.model().size() <= 256) {
    const PricedModel* priced = slow.prices->find(decision.model());
    const ModelName* name = draft_.books->dictionary.name(decision.model());
    changed.assumed_rate = -1;
    if (name->id == ModelName::overflow_id || (!priced && !allow_unpriced(changed))) {
      refuse(errc::price_unknown, "a callback of budget \"" + budget.shown_name() + "\" reroutes to \"" +
                                      printable_name(decision.model()) + "\", whose price is unknown: register it");
      lock.lock();
      note(Action::blocked, budget);
      return false;
    }
    ok = price(changed, name, priced);
  } else if (decision.kind() == Decision::Kind::clamp && decision.max_output_tokens() >= draft_.min_ceiling &&
             !draft_.fixed_ceiling && (!draft_.ceiling || decision.max_output_tokens() < *draft_.ceiling)) {
    changed.ceiling = decision.max_output_tokens();
    changed.unbounded = false;
    changed.output = decision.max_output_tokens() * draft_.choices;
    ok = price(changed, draft_.model, draft_.priced);
  }
  lock.lock();
  if (ok) {
    note(decision.kind() == Decision::Kind::reroute ? Action::downgraded : Action::clamped, budget);
    if (decision.kind() == Decision::Kind::reroute)
      slow.events.back().new_model = changed.model;
    else
      slow.events.back().ceiling = *changed.ceiling;
    draft_ = changed;
  }
  return true;
}

Admission::Step Admission::observe() {
  // What enforcing would have done is found out on a copy; what is admitted is the call as it came.
  Slow& slow = *slow_;
  slow.may_wait = false;
  while (draft_.budget->chain_store && !slow.hold) {
    const Asked asked = reserve_in_store();
    if (asked == Asked::waiting) return Step::waiting;
    if (asked == Asked::refused) return refuse_without_store();
  }
  {
    std::unique_lock lock(draft_.budget->root->mutex);
    if (slow.hold) {
      // The numbers before this call.
      slow.views = true;
      load_views();
      for (BudgetNode* budget = draft_.budget; budget; budget = budget->outer)
        for (std::size_t d = 0; d < dimension_count && budget->shared && !slow.hold->unshared; ++d) {
          budget->used[d] -= draft_.request[d];
          budget->held[d] -= draft_.request[d];
        }
    }
    Outcome outcome = evaluate();
    while (outcome == Outcome::ask) {  // a callback is not asked: its answer could have effects
      slow.asked.push_back({slow.ask_budget, slow.ask_policy, draft_.model, draft_.ceiling, Decision::Kind::next});
      outcome = evaluate();
    }
    draft_ = slow.original;
    for (Pending& event : slow.events)
      if (event.would = event.action; event.action == Action::blocked || event.action == Action::truncated ||
                                      event.action == Action::downgraded || event.action == Action::clamped)
        event.action = Action::observed;  // `would` keeps what
    take_room();
  }
  failure_.reset();
  return admit();
}

Admission::Step Admission::queue(std::shared_ptr<Waiter> waiter) {
  Slow& slow = *slow_;
  slow.waiter = std::move(waiter);
  if (!slow.scope) {
    slow.scope = NodeRef::share(draft_.scope);
    slow.tier = draft_.tier;
    draft_.tier = slow.tier;
    slow.original.tier = slow.tier;
    if (request_) {
      for (const Tag& tag : request_->tags) slow.tags.emplace_back(tag.key, tag.value);
      slow.traceparent = is_traceparent(request_->traceparent) ? std::string(request_->traceparent) : std::string();
      request_ = nullptr;
    }
  }
  return judge();
}

Admission::Step Admission::retry() {
  if (!slow_->question) {
    slow_->views = false;
    slow_->rounds = 0;
  }
  return judge();
}

Admission::Step Admission::time_out() {
  Slow& slow = *slow_;
  if (slow.question) {
    StoreQueue& store = *draft_.budget->chain_store;
    if (!store.answer(*slow.question)) {
      store.abandon(*std::exchange(slow.question, nullptr));
      if (without_store("it has not answered within " + std::to_string(store.options.timeout.count()) + " ms") ==
          Asked::refused)
        return refuse_without_store();
    }
    return judge();
  }
  slow.views = false;
  slow.rounds = 0;
  if (slow.look_again && slow.deadline && std::chrono::steady_clock::now() < *slow.deadline) {
    slow.look_again.reset();
    return judge();
  }
  if (slow.waiting_at) slow.waited_out.push_back(slow.waiting_at);
  slow.deadline.reset();
  slow.look_again.reset();
  return judge();
}

std::chrono::steady_clock::time_point Admission::deadline() const noexcept {
  auto next = std::chrono::steady_clock::time_point::max();
  if (!slow_) return next;
  if (slow_->question) return slow_->answer_by.value_or(next);
  if (slow_->deadline) next = *slow_->deadline;
  if (slow_->look_again) next = std::min(next, *slow_->look_again);
  return next;
}

Time Admission::store_time() const noexcept { return draft_.budget->chain_store->now(draft_.books->time()); }

void Admission::load_views() noexcept {
  for (BudgetNode* budget = draft_.budget; budget; budget = budget->outer)
    for (const auto& [counter, view] : slow_->seen)
      if (counter == budget->shared.get()) {
        budget->used = view.used;
        budget->held = view.held;
      }
}

Admission::Asked Admission::reserve_in_store() {
  Slow& slow = *slow_;
  StoreQueue& store = *draft_.budget->chain_store;
  const Time now = store_time();
  if (store.data_lost(now)) return without_store("it was restarted without its data");
  if (++slow.rounds > max_rounds) {
    if (draft_.books->options.observe) return without_store("it contradicts itself");
    refuse(errc::store_unavailable, "a budget around the call to \"" + draft_.requested->text + "\" is kept in " +
                                        store.description() + ", which has contradicted itself " +
                                        std::to_string(max_rounds) +
                                        " times: too many others ask it at once, so try again");
    failure_->model = draft_.requested->text;
    return Asked::refused;
  }
  auto hold = std::make_unique<SharedHold>();
  hold->id = store.new_id();
  hold->amount = draft_.request;
  for (BudgetNode* budget = draft_.budget; budget; budget = budget->outer) {
    if (!budget->shared) continue;
    Vector cap;
    {
      const auto lock = budget->lock_tree();
      cap = budget->cap;
    }
    Room room = draft_.books->options.observe ? Room::any : Room::fits;
    for (const auto& [through, how] : slow.let_through)
      if (through == budget) room = how;
    const auto again = std::find(hold->counters.begin(), hold->counters.end(), budget->shared);
    if (again != hold->counters.end()) {
      // The same name twice in one chain is one counter, under the tighter caps.
      StoreCounter& slot = hold->slots[static_cast<std::size_t>(again - hold->counters.begin())];
      Vector tighter = to_vector(slot.limits);
      for (std::size_t d = 0; d < dimension_count; ++d) tighter[d] = std::min(tighter[d], cap[d]);
      slot.limits = to_limits(tighter, tighter);
      slot.room = std::min(slot.room, room);
      continue;
    }
    const Window::Span span = budget->window.at(now);
    hold->counters.push_back(budget->shared);
    hold->slots.push_back({budget->name, budget->window.id(), span.begin, span.end.value_or(Time::max()),
                           span.counted_from, to_limits(cap, cap), room, thresholds_of(budget->notify_at, cap)});
  }
  StoreCommand command = store.command(StoreCommand::Op::reserve, hold->id, hold->slots, hold->amount, now);
  slow.asked_for = std::move(hold);
  if (store.distance() == StoreBackend::Distance::memory ||
      (store.distance() == StoreBackend::Distance::local && slow.may_block))
    return take_answer(store.execute(command, slow.asked_for->counters));
  if (!slow.waiter) {
    slow.asked_for.reset();
    --slow.rounds;
    return Asked::waiting;  // queue() brings the waiter
  }
  slow.answer_by = later(store.options.timeout);
  slow.question = std::make_shared<StoreQueue::Question>(
      StoreQueue::Question{std::move(command), slow.asked_for->counters, slow.waiter});
  store.ask(slow.question);
  return Asked::waiting;
}

Admission::Asked Admission::take_answer(Result<StoreReply> answer) {
  Slow& slow = *slow_;
  slow.question.reset();
  std::unique_ptr<SharedHold> hold = std::move(slow.asked_for);
  if (!answer) {
    draft_.budget->chain_store->forget(*hold, store_time());
    return without_store(answer.error().message());
  }
  slow.seen.clear();
  for (std::size_t i = 0; i < hold->counters.size() && i < answer->states.size(); ++i) {
    const Vector held = to_vector(answer->states[i].reserved);
    Vector used = to_vector(answer->states[i].spent);
    for (std::size_t d = 0; d < dimension_count; ++d) used[d] = saturating_add(used[d], held[d]);
    slow.seen.push_back({hold->counters[i].get(), {used, held}});
  }
  switch (answer->outcome) {
    case StoreReply::Outcome::done:
      slow.hold = std::move(hold);
      slow.views = false;
      if (draft_.budget->chain_store->data_lost(answer->now)) {
        give_back();
        return without_store("it was restarted without its data");
      }
      break;
    case StoreReply::Outcome::refused:
      slow.views = true;
      break;
    case StoreReply::Outcome::turned:  // the windows are told anew, by the store's clock
    case StoreReply::Outcome::ended:   // under another id
      break;
  }
  return Asked::again;
}

Admission::Asked Admission::without_store(const std::string& why) {
  Slow& slow = *slow_;
  StoreQueue& store = *draft_.budget->chain_store;
  slow.asked_for.reset();
  BudgetNode* first = draft_.budget;
  while (!first->shared) first = first->outer;
  const OnUnreachable& choice = store.options.on_unreachable;
  auto hold = std::make_unique<SharedHold>();
  const bool allowed = choice.kind() == OnUnreachable::Kind::allow_and_mark ||
                       (choice.kind() == OnUnreachable::Kind::local && store.take_local(*hold, draft_.request[0]));
  const bool observing = draft_.books->options.observe;
  if (!allowed && !observing) {
    refuse(errc::store_unavailable,
           "budget \"" + first->shown_name() + "\" is kept in " + store.description() + ", which cannot be asked (" +
               why + "), and " +
               (choice.kind() == OnUnreachable::Kind::deny
                    ? std::string("its OnUnreachable is deny(): try again when it is back")
                    : "the " + to_string(choice.at_most()) +
                          " of its OnUnreachable::local() have no room for this call: try again when it is "
                          "back"));
    failure_->model = draft_.requested->text;
    return Asked::refused;
  }
  const Time now = store_time();
  hold->id = store.new_id();
  hold->amount = draft_.request;
  hold->unshared = true;
  for (BudgetNode* budget = draft_.budget; budget; budget = budget->outer) {
    if (!budget->shared ||
        std::find(hold->counters.begin(), hold->counters.end(), budget->shared) != hold->counters.end())
      continue;
    const Window::Span span = budget->window.at(now);
    hold->counters.push_back(budget->shared);
    hold->slots.push_back({budget->name,
                           budget->window.id(),
                           span.begin,
                           span.end.value_or(Time::max()),
                           span.counted_from,
                           {},
                           Room::any,
                           {}});
  }
  slow.hold = std::move(hold);
  slow.views = false;
  const auto lock = draft_.budget->lock_tree();
  note(allowed ? Action::unshared : Action::blocked, *first);
  return Asked::again;
}

void Admission::give_back() noexcept {
  if (!slow_ || !slow_->hold) return;
  const std::unique_ptr<SharedHold> hold = std::move(slow_->hold);
  draft_.budget->chain_store->end(*hold, StoreCommand::Op::release, {}, store_time(), {});
}

Admission::Step Admission::refuse_without_store() {
  {
    const auto lock = draft_.budget->lock_tree();
    leave_line();
    BudgetNode* first = draft_.budget;
    while (!first->shared) first = first->outer;
    slow_->events.clear();
    note(Action::blocked, *first);
  }
  give_back();
  emit();
  return Step::refused;
}

/// Says what has happened: after the lock is gone.
void Admission::emit() {
  Slow& slow = *slow_;
  Books& books = *draft_.books;
  const std::uint64_t call_id = reservation_->call_id;
  const AttributionRef where = slow.events.empty() ? AttributionRef() : attribution();
  for (const Pending& event : std::exchange(slow.events, {})) {
    EventDraft out(books, event.action, event.budget->attribution);
    out.numbers(event.dimension, event.projected, event.cap)
        .call(call_id, where.get(), event.model, traceparent())
        .new_model(event.new_model)
        .ceiling(event.ceiling);
    if (event.would != event.action)
      out.reason(std::string("observed: would have been ") + to_string(event.would));
    else if (event.action == Action::blocked && failure_ && failure_->count == 0)
      out.reason(failure_->text);
    out.book();
    if (event.action == Action::warned && !event.budget->said_warn.exchange(true))
      log(LogLevel::warning, "budget \"" + event.budget->path() + "\" is over its cap of " +
                                 format_amount(event.dimension, event.cap) + ": calls go on, since its policy is Warn");
  }
  if (std::exchange(slow.cannot_wait, false))
    log(LogLevel::warning,
        "a Wait policy was passed over, since a blocking call in a coroutine would hold its thread: use "
        "co_await outlay::async_call(...)");
  wake_others();
}

void Admission::wake_others() noexcept {
  if (slow_)
    for (const auto& waiter : std::exchange(slow_->wakes, {})) waiter->wake();
}

std::string Admission::traceparent() const {
  if (!request_) return slow_->traceparent;
  return is_traceparent(request_->traceparent) ? std::string(request_->traceparent) : std::string();
}

bool is_traceparent(std::string_view text) noexcept {
  if (text.size() != 55) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool dash = i == 2 || i == 35 || i == 52;
    if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return text.substr(0, 2) == "00";
}

AttributionRef Admission::attribution() const {
  const Attribution* around = draft_.scope ? draft_.scope->attribution : nullptr;
  std::vector<Tag> own;
  if (request_)
    own.assign(request_->tags.begin(), request_->tags.end());
  else
    for (const auto& [key, value] : slow_->tags) own.push_back({key, value});
  if (own.empty()) return AttributionRef::share(around);
  return draft_.books->dictionary.intern(around, {false, {}, {}, own});
}

void Admission::emit_refused_outright() {
  // An unknown price, no ceiling, outside every budget: no policy was asked.
  if (failure_->code == errc::invalid_argument || failure_->code == errc::config) return;
  book_outright(Action::blocked, failure_->text);
}

void Admission::observe_outright(const std::string& what) {
  book_outright(Action::observed, "observed: would have been refused: " + what);
}

void Admission::book_outright(Action action, const std::string& reason) {
  EventDraft(*draft_.books, action, draft_.budget ? draft_.budget->attribution : nullptr)
      .call(next_call_id(), attribution().get(), draft_.requested, traceparent())
      .reason(reason)
      .book();
}

Admission::Step Admission::refuse_plainly(std::unique_lock<std::mutex>& lock) {
  // Nobody but Block will be asked: the short way to the same refusal.
  BudgetNode* refuser = draft_.budget;
  while (fits(*refuser)) refuser = refuser->outer;
  failure_ = std::make_unique<FailureFacts>();
  failure_->code = errc::budget_exceeded;
  failure_->refuser = refuser;
  add_breaches(*failure_, draft_.budget, draft_.request, draft_.books->time());
  lock.unlock();
  failure_->scope = NodeRef::share(draft_.scope);
  failure_->model = draft_.requested->text;
  const RawBreach& breach = *failure_->primary();
  EventDraft(*draft_.books, Action::blocked, refuser->attribution)
      .numbers(breach.dimension, saturating_add(breach.spent + breach.reserved, breach.requested), breach.limit)
      .call(reservation_->call_id, attribution().get(), draft_.requested, traceparent())
      .book();
  return Step::refused;
}

bool in_callback_of(const BudgetNode& budget) noexcept {
  for (const CallbackFrame* frame = callback_frames; frame; frame = frame->outer)
    if (frame->budget == &budget) return true;
  return false;
}

Decision ask_callback(const BudgetNode& budget, const Callback& callback, const Exceeded& exceeded) noexcept {
  CallbackFrame frame{&budget, callback_frames};
  callback_frames = &frame;
  Decision decision = Decision::block();
  try {
    decision = callback.decide(exceeded);
  } catch (const std::exception& problem) {
    log(LogLevel::error,
        "the callback of budget \"" + budget.shown_name() + "\" threw, which counts as block: " + problem.what());
  } catch (...) {
    log(LogLevel::error, "the callback of budget \"" + budget.shown_name() + "\" threw, which counts as block");
  }
  callback_frames = frame.outer;
  return decision;
}

}  // namespace outlay::detail
