#include "core/call/aftermath.hpp"

#include <algorithm>
#include <optional>

namespace outlay::detail {

namespace {

/// Compares a budget before and after the end of a call that may have taken it over a cap or a threshold.
///
/// \param turns_at When the budget's window turns; empty where that does not empty its counter.
void compare(const BudgetNode& budget, const Counter& before, const Counter& after, const Vector& held,
             const Vector& actual, bool observing, std::optional<Time> turns_at, Aftermath& aftermath) {
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
        &budget, static_cast<Dimension>(d), after.cap[d], after.spent(d), after.held[d], actual[d], turns_at};
  }
}

void take_thresholds(BudgetNode& budget, Aftermath& aftermath) {
  while (const auto fraction = budget.thresholds.take(budget.counter)) {
    const Dimension dimension = most_spent(budget.counter);
    aftermath.passed.push_back({&budget, Action::threshold, dimension, budget.counter.spent(index(dimension)),
                                budget.counter.cap[index(dimension)], *fraction});
  }
}

/// Ends a call in a budget whose caps or thresholds it may pass.
[[gnu::noinline]] void end_and_compare(BudgetNode& budget, const Vector& held, const Vector& actual, bool observing,
                                       Aftermath& aftermath) noexcept {
  const Counter before = budget.counter;
  budget.counter.end(held, actual);
  try {
    compare(budget, before, budget.counter, held, actual, observing, {}, aftermath);
    take_thresholds(budget, aftermath);
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory to say so; the amounts are booked all the same
  }
}

/// When a window turns in which a call was admitted. Empty for a rolling one, of which a turn empties a part.
std::optional<Time> turn_of(const Window& window, Time admitted) {
  return window.kind() == Window::Kind::rolling ? std::nullopt : window.at(admitted).end;
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

}  // namespace

[[gnu::hot]] bool end_in_tree(Reservation& reservation, const Vector& actual, Aftermath& aftermath) noexcept {
  using State = Reservation::State;
  if (!reservation.budget) return reservation.state.exchange(State::ended, std::memory_order_acq_rel) != State::ended;
  const auto lock = reservation.budget->lock_tree();
  if (reservation.state.load(std::memory_order_relaxed) == State::ended) return false;
  reservation.state.store(State::ended, std::memory_order_release);
  // Copies, which no counter can be part of: the compiler may then take several dimensions at once.
  const Vector held = reservation.quote.amounts;
  const Vector change = minus(actual, held);
  const bool within = none_above_zero(change);
  for (BudgetNode* budget = reservation.budget; budget; budget = budget->outer) {
    if (budget->outside) continue;
    if (within && !budget->raises && !budget->thresholds.pending())
      budget->counter.end_within(held, change);
    else
      end_and_compare(*budget, held, actual, reservation.books->options.observe, aftermath);
  }
  room_released(*reservation.budget, aftermath.wakes);
  return true;
}

bool end_in_store(Reservation& reservation, StoreCommand::Op op, const Vector& actual, Aftermath& aftermath) noexcept {
  bool first = true;
  try {
    const bool settles = op == StoreCommand::Op::settle;
    SharedClaim& claim = *reservation.claim;
    const Time now = reservation.books->time();
    const std::vector<SharedClaim::Watched> watched =
        settles ? claim.watched(now) : std::vector<SharedClaim::Watched>();
    const std::optional<std::vector<SharedClaim::Change>> changes =
        claim.of_detached() ? claim.end_detached(op, actual, now, watched, announcement(reservation, watched))
                            : claim.end(op, actual, now, watched, announcement(reservation, watched));
    first = changes.has_value();
    if (settles && changes)
      for (const SharedClaim::Change& change : *changes)
        compare(*change.budget, change.before, change.after, reservation.quote.amounts, actual,
                reservation.books->options.observe, turn_of(change.budget->window, claim.admitted_at()), aftermath);
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

}  // namespace outlay::detail
