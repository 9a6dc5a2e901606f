// The end of a call: what it held is replaced by what it has used, and that is recorded.

#include <algorithm>

#include "core/budget/failure.hpp"
#include "core/call/billing.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

/// What the end of a call meant to its budgets. It is booked when the tree's lock has been released.
struct Aftermath {
  struct Passed {  // a cap, or a threshold
    const BudgetNode* budget;
    Action action;
    Dimension dimension;
    std::int64_t projected, cap;
    double threshold;
  };
  std::vector<Passed> passed;
  bool over_cap = false;
  std::unique_ptr<FailureFacts> crossed;  // of the innermost Raise budget that went over its cap
  Wakes wakes;
};

/// What the caller learns of an ending.
struct Ending {
  Settled& settled;                         // not `first`: the call had ended before
  std::unique_ptr<FailureFacts> crossed{};  // a Raise budget went over its cap
  const char* invalid = nullptr;            // the member of the usage that is not valid
};

/// Compares a budget before and after the end of a call that may have taken it over a cap or a threshold.
void compare(const BudgetNode& budget, const Counter& before, const Counter& after, const Vector& held,
             const Vector& actual, bool observing, Aftermath& aftermath) {
  for (std::size_t d = 0; d < dimension_count; ++d)
    if (actual[d] > held[d] && after.used[d] > after.cap[d]) {
      aftermath.over_cap = true;
      aftermath.passed.push_back({&budget, Action::overrun, static_cast<Dimension>(d), after.used[d], after.cap[d], 0});
      break;
    }
  if (!budget.raises || observing) return;
  for (std::size_t d = 0; d < dimension_count; ++d) {
    if (!after.capped(d) || after.spent(d) <= after.cap[d] || before.spent(d) > after.cap[d]) continue;
    aftermath.passed.push_back({&budget, Action::raised, static_cast<Dimension>(d), after.spent(d), after.cap[d], 0});
    if (!aftermath.crossed) {
      aftermath.crossed = std::make_unique<FailureFacts>();
      aftermath.crossed->code = errc::budget_exceeded;
      aftermath.crossed->booked = true;
      aftermath.crossed->refuser = &budget;
      aftermath.crossed->text =
          "The call was booked and its reply is yours; the next call is refused. Raise the cap, or stop here.";
    }
    aftermath.crossed->add() = {
        &budget, static_cast<Dimension>(d), after.cap[d], after.spent(d), after.held[d], actual[d], {}};
  }
}

void take_thresholds(BudgetNode& budget, Aftermath& aftermath) {
  while (const auto fraction = budget.thresholds.take(budget.counter)) {
    const Dimension dimension = most_spent(budget.counter);
    aftermath.passed.push_back({&budget, Action::threshold, dimension, budget.counter.spent(index(dimension)),
                                budget.counter.cap[index(dimension)], *fraction});
  }
}

/// Ends the call in every budget that counts in its tree, in one step.
///
/// \return False: it had ended before.
bool end_in_tree(Reservation& reservation, const Vector& actual, Aftermath& aftermath) noexcept {
  using State = Reservation::State;
  if (!reservation.budget) return reservation.state.exchange(State::ended, std::memory_order_acq_rel) != State::ended;
  const auto lock = reservation.budget->lock_tree();
  if (reservation.state.load(std::memory_order_relaxed) == State::ended) return false;
  reservation.state.store(State::ended, std::memory_order_release);
  const Vector& held = reservation.quote.amounts;
  std::uint64_t more = 0;
  for (std::size_t d = 0; d < dimension_count; ++d) more |= static_cast<std::uint64_t>(actual[d] > held[d]);
  for (BudgetNode* budget = reservation.budget; budget; budget = budget->outer) {
    if (budget->outside) continue;
    Counter& counter = budget->counter;
    if (more == 0 && !budget->raises && !budget->thresholds.pending()) {
      counter.end_within(held, actual);
      continue;
    }
    const Counter before = counter;
    counter.end(held, actual);
    try {
      compare(*budget, before, counter, held, actual, reservation.books->options.observe, aftermath);
      take_thresholds(*budget, aftermath);
    } catch (...) {  // no memory to say so; the amounts are booked all the same
    }
  }
  room_released(*reservation.budget, aftermath.wakes);
  return true;
}

/// Announces thresholds when the store says that this settle was the first to reach them: by its thread, long after the call.
StoreQueue::Crossed announcement(const Reservation& reservation, std::span<const SharedClaim::Watched> watched) {
  struct Threshold {
    std::size_t counter;  // its place in the command
    AttributionRef budget;
    Vector caps;
  };
  struct Facts {
    Ref<Books> books;
    std::vector<Threshold> thresholds{};  // by counter, and in the order of the command's thresholds there
    AttributionRef call;
    std::uint64_t call_id = 0;
    const ModelName* model = nullptr;
    std::string traceparent{};
  };
  if (watched.empty()) return {};
  auto facts = std::make_shared<Facts>();
  facts->books = Ref<Books>::share(reservation.books);
  facts->call = AttributionRef::share(reservation.attribution);
  facts->call_id = reservation.call_id;
  facts->model = reservation.quote.model.name;
  facts->traceparent = reservation.traceparent;
  for (const SharedClaim::Watched& one : watched)
    facts->thresholds.push_back({one.place, facts->books->dictionary.translate(one.budget->attribution), one.caps});
  return [facts](const StoreReply& reply) {
    for (const StoreReply::Crossed& crossed : reply.crossed) {
      const auto of_counter = std::find_if(facts->thresholds.begin(), facts->thresholds.end(),
                                           [&](const Threshold& one) { return one.counter == crossed.counter; });
      const std::size_t at = static_cast<std::size_t>(of_counter - facts->thresholds.begin()) + crossed.threshold;
      if (at >= facts->thresholds.size() || crossed.counter >= reply.states.size()) continue;
      const Threshold& threshold = facts->thresholds[at];
      const StoreReply::State& state = reply.states[crossed.counter];
      const Counter counter = Counter::of(to_vector(state.spent), to_vector(state.reserved), threshold.caps);
      const Dimension dimension = most_spent(counter);
      const std::size_t d = index(dimension);
      EventDraft(*facts->books, Action::threshold, threshold.budget.get())
          .numbers(dimension, counter.spent(d), threshold.caps[d])
          .threshold(crossed.fraction)
          .call(facts->call_id, facts->call.get(), facts->model, facts->traceparent)
          .book();
    }
  };
}

/// The same in the store, where budgets count there. What is known of it here changes at once; when the store itself is told: StoreQueue::end().
/// Where the call was detached, the store is asked whether this is its first end.
///
/// \return False: by the store, it had ended before.
bool end_in_store(Reservation& reservation, StoreCommand::Op op, const Vector& actual, Aftermath& aftermath) noexcept {
  bool first = true;
  try {
    const bool settles = op == StoreCommand::Op::settle;
    const std::vector<SharedClaim::Watched> watched =
        settles ? reservation.claim->watched() : std::vector<SharedClaim::Watched>();
    SharedClaim& claim = *reservation.claim;
    const Time now = reservation.books->time();
    const std::optional<std::vector<SharedClaim::Change>> changes =
        claim.of_detached() ? claim.end_detached(op, actual, now, watched, announcement(reservation, watched))
                            : claim.end(op, actual, now, watched, announcement(reservation, watched));
    first = changes.has_value();
    if (settles && changes)
      for (const SharedClaim::Change& change : *changes)
        compare(*change.budget, change.before, change.after, reservation.quote.amounts, actual,
                reservation.books->options.observe, aftermath);
  } catch (...) {  // no memory: the store has its lease
  }
  const auto lock = reservation.budget->lock_tree();
  room_released(*reservation.budget, aftermath.wakes);
  return first;
}

void book_passed(const Reservation& reservation, const Aftermath& aftermath) {
  for (const Aftermath::Passed& one : aftermath.passed)
    EventDraft(*reservation.books, one.action, one.budget->attribution)
        .numbers(one.dimension, one.projected, one.cap)
        .threshold(one.threshold)
        .call(reservation.call_id, reservation.attribution, reservation.quote.model.name, reservation.traceparent)
        .book(true);
}

void say_lost_record(const char* problem) noexcept {
  try {
    log(LogLevel::error, std::string("a call was booked, and its record is lost: ") + problem);
  } catch (...) {  // no memory for a log line
  }
}

/// Says once for each model why a cap was passed that a program may have taken for a hard one.
void say_soft_cap(const Reservation& reservation, const Usage& usage) {
  if (!reservation.books->first_time("soft cap", reservation.model_name())) return;
  log(LogLevel::warning,
      "a call to \"" + reservation.model_name() + "\" without an output ceiling wrote " + std::to_string(usage.output) +
          " tokens where " + std::to_string(reservation.quote.output) +
          " were reserved, and a budget around it is over its cap. For a hard cap set max_output_tokens, "
          "or BudgetOptions::unbounded (LedgerOptions::unbounded for all) to clamp, model_max or refuse.");
}

/// Writes the record and the events of a call that is booked. No exception may leave it, since the booking stands.
void tell(const Reservation& reservation, const Bill& bill, const Priced& priced, RecordStatus status,
          std::string_view reason, Aftermath& aftermath) noexcept {
  try {
    record(reservation, bill, priced, status, reason);
    book_passed(reservation, aftermath);
    if (aftermath.over_cap && reservation.quote.unbounded) say_soft_cap(reservation, bill.usage);
  } catch (const std::exception& problem) {
    say_lost_record(problem.what());
  } catch (...) {
    say_lost_record("an exception of an unknown type");
  }
  aftermath.wakes.tell();
}

/// What a call without a ceiling wrote is what the next one of its model is expected to write.
void learn(const Reservation& reservation, const Usage& usage) noexcept {
  try {
    const std::int64_t choices = reservation.quote.choices;
    reservation.books->usual_output.note(reservation.quote.model.name->id, (usage.output + choices - 1) / choices);
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory to remember it
  }
}

void finish(Reservation& reservation, const Vector& actual, const Bill& bill, const Priced& priced, RecordStatus status,
            std::string_view reason, Ending& ending) {
  Aftermath aftermath;
  if (!end_in_tree(reservation, actual, aftermath)) return;
  if (reservation.claim && !end_in_store(reservation, StoreCommand::Op::settle, actual, aftermath)) {
    aftermath.wakes.tell();
    return;
  }
  Settled& settled = ending.settled;
  settled.usd = priced.usd;
  settled.usage = bill.usage;
  settled.overrun = Usd::from_nanos(std::max<std::int64_t>(0, priced.usd.nanos() - reservation.quote.amounts[0]));
  settled.over_cap = aftermath.over_cap;
  settled.first = true;
  settled.status = status;
  settled.cost_source = priced.source;
  if (reservation.quote.unbounded && status != RecordStatus::indeterminate) learn(reservation, bill.usage);
  tell(reservation, bill, priced, status, reason, aftermath);
  if (aftermath.crossed) {
    aftermath.crossed->scope = reservation.scope;
    aftermath.crossed->model = reservation.requested_name();
    ending.crossed = std::move(aftermath.crossed);
  }
}

/// What is booked of a call whose usage is not known: all that it held.
Vector whole_reservation(const Reservation& reservation) noexcept {
  Vector actual = reservation.held().amounts;
  actual[index(Dimension::concurrent)] = 0;
  return actual;
}

void charge_reservation(Reservation& reservation, std::string_view reason, Ending& ending) {
  if (const std::optional<Usage> shown = reservation.shown()) {
    const Priced priced = price(reservation, {*shown});
    finish(reservation, spent_by(priced.usd, *shown), {*shown}, priced, RecordStatus::indeterminate, reason, ending);
    return;
  }
  const Reservation::Held held = reservation.held();
  const Usage usage{.input = reservation.quote.input, .output = held.output};
  Priced priced = price(reservation, {usage});
  if (priced.source != CostSource::none) priced.usd = Usd::from_nanos(held.amounts[0]);
  finish(reservation, whole_reservation(reservation), {usage}, priced, RecordStatus::indeterminate, reason, ending);
}

void settle_bill(Reservation& reservation, const Bill& bill, Ending& ending) {
  if (!reservation.open()) return;
  ending.invalid = invalid_member(bill);
  if (ending.invalid) {
    reservation.set_shown(nullptr);  // neither can be trusted
    charge_reservation(reservation, "the usage given to settle is invalid", ending);
    return;
  }
  const Priced priced = price(reservation, bill);
  finish(reservation, spent_by(priced.usd, bill.usage), bill, priced,
         bill.estimated ? RecordStatus::estimated : RecordStatus::settled, {}, ending);
}

/// For callers that must not throw. Without memory for a price or a record the reservation is charged all the same.
void charge_without_fail(Reservation& reservation, std::string_view reason, Ending& ending) noexcept {
  try {
    charge_reservation(reservation, reason, ending);
    return;
  } catch (...) {  // below
  }
  Aftermath aftermath;
  const Vector actual = whole_reservation(reservation);
  if (end_in_tree(reservation, actual, aftermath)) {
    if (reservation.claim) (void)end_in_store(reservation, StoreCommand::Op::settle, actual, aftermath);
    ending.settled = {.usd = Usd::from_nanos(reservation.quote.amounts[0]),
                      .first = true,
                      .status = RecordStatus::indeterminate,
                      .cost_source = CostSource::assumed};
  }
  aftermath.wakes.tell();
  say_lost_record("out of memory");
}

std::string invalid_text(const Reservation& reservation, const char* member) {
  return "call " + std::to_string(reservation.call_id) + " to \"" + reservation.model_name() +
         "\" was settled with an invalid " + member + ", and was charged at its reservation. " + bounds_of(member);
}

void say_late(const Reservation& reservation, const char* what) noexcept {
  try {
    log(LogLevel::debug, std::string(what) + " of call " + std::to_string(reservation.call_id) +
                             " came after the call had ended, and did nothing.");
  } catch (...) {  // no memory for a log line
  }
}

Settled settle_or_throw(Reservation& reservation, const Bill& bill) {
  Settled settled;
  Ending ending{settled};
  settle_bill(reservation, bill, ending);
  if (!settled.first) say_late(reservation, "settle");
  if (settled.first && ending.invalid) throw Error(errc::invalid_usage, invalid_text(reservation, ending.invalid));
  if (ending.crossed) throw BudgetExceeded(Access::failure(ending.crossed.release()));
  return settled;
}

}  // namespace

void mark_sent(Reservation& reservation) noexcept {
  Reservation::State admitted = Reservation::State::admitted;
  reservation.state.compare_exchange_strong(admitted, Reservation::State::sent, std::memory_order_acq_rel);
}

void note_shown(Reservation& reservation, const Usage& usage) noexcept {
  if (!usage.first_invalid()) reservation.set_shown(&usage);
}

void forget_shown(Reservation& reservation) noexcept { reservation.set_shown(nullptr); }

Settled settle(Reservation& reservation, const Usage& usage) { return settle_or_throw(reservation, {usage}); }
Settled settle(Reservation& reservation, const Settlement& settlement) {
  return settle_or_throw(reservation, bill_of(settlement));
}

Result<Settled> try_settle(Reservation& reservation, const Settlement& settlement) noexcept {
  Settled settled;
  Ending ending{settled};
  try {
    settle_bill(reservation, bill_of(settlement), ending);
  } catch (...) {
    charge_without_fail(reservation, "no memory to settle it", ending);
  }
  if (settled.first && ending.invalid) return Failure(errc::invalid_usage, invalid_text(reservation, ending.invalid));
  return settled;
}

bool release_call(Reservation& reservation, std::string_view reason) noexcept {
  const bool sent = reservation.state.load(std::memory_order_acquire) == Reservation::State::sent;
  Aftermath aftermath;
  if (!end_in_tree(reservation, {}, aftermath)) {
    say_late(reservation, "release");
    return false;
  }
  if (reservation.claim && !end_in_store(reservation, StoreCommand::Op::release, {}, aftermath)) {
    aftermath.wakes.tell();
    say_late(reservation, "release");
    return false;
  }
  if (sent)
    tell(reservation, {Usage{}}, {}, RecordStatus::rejected, reason, aftermath);
  else
    aftermath.wakes.tell();
  return true;
}

Settled end_indeterminate(Reservation& reservation, std::string_view reason) noexcept {
  Settled settled;
  Ending ending{settled};
  if (reservation.open()) charge_without_fail(reservation, reason, ending);
  return settled;
}

void end_without_verdict(Reservation& reservation) noexcept {
  // A detached call stays in its store, and may be resumed again. What was never sent is free; what was may have been billed.
  if (reservation.claim && reservation.claim->of_detached())
    reservation.state.store(Reservation::State::ended, std::memory_order_release);
  else if (reservation.state.load(std::memory_order_acquire) == Reservation::State::admitted)
    (void)release_call(reservation, {});
  else
    (void)end_indeterminate(reservation, "ended without a verdict");
}

void book_event(Reservation& reservation, Action action, std::int64_t projected, std::string_view reason) noexcept {
  if (!reservation.budget) return;
  try {
    EventDraft(*reservation.books, action, reservation.budget->attribution)
        .numbers(Dimension::calls, projected, 0)
        .call(reservation.call_id, reservation.attribution, reservation.quote.model.name, reservation.traceparent)
        .reason(reason)
        .book();
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for an event; the call itself is booked
  }
}

}  // namespace outlay::detail
