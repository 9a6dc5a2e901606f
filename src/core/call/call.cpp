#include "outlay/call.hpp"

#include <utility>

#include "core/call/admission.hpp"
#include "core/call/reservation.hpp"
#include "core/call/reservation_pool.hpp"
#include "outlay/log.hpp"

namespace outlay {

namespace detail {

namespace {

Admission::Step admit_blocking(Admission& admission) {
  const Node* scope = ambient();
  const bool in_coroutine = scope && scope->home;
  Admission::Step step = admission.start(!in_coroutine, true);
  if (step != Admission::Step::waiting) return step;
  const auto waiter = std::make_shared<BlockingWaiter>();
  step = admission.queue(waiter);
  while (step == Admission::Step::waiting)
    step = waiter->wait_until(admission.deadline()) ? admission.retry() : admission.time_out();
  return step;
}

bool end(Reservation& reservation) noexcept {
  return reservation.state.exchange(Reservation::State::ended, std::memory_order_acq_rel) != Reservation::State::ended;
}

std::uint32_t narrow(std::int64_t count) noexcept {
  return count > static_cast<std::int64_t>(UINT32_MAX) ? UINT32_MAX : static_cast<std::uint32_t>(count < 0 ? 0 : count);
}

/// What a settle found out in the budgets.
struct Booked {
  bool first = false;
  bool over_cap = false;
  BudgetNode* crossed = nullptr;  // the innermost Raise budget that went over its cap
  struct Note {
    BudgetNode* budget;
    Action action;
    Dimension dimension;
    std::int64_t projected, cap;
    double threshold;
  };
  std::vector<Note> notes;
  std::vector<std::shared_ptr<Waiter>> wakes;
  std::unique_ptr<FailureFacts> failure;
};

Dimension most_used(const Vector& used, const Vector& held, const Vector& cap) noexcept {
  std::size_t most = 0;
  long double share = -1;
  for (std::size_t d = 0; d < dimension_count; ++d) {
    if (cap[d] == no_cap || cap[d] == 0 || d == index(Dimension::concurrent)) continue;
    const long double own = static_cast<long double>(used[d] - held[d]) / static_cast<long double>(cap[d]);
    if (own > share) share = own, most = d;
  }
  return static_cast<Dimension>(most);
}

#if defined(__GNUC__)
[[gnu::noinline, gnu::cold]]
#endif
void look_closer(BudgetNode& budget, const Vector& actual, const Vector& request, const Vector& before, Booked& booked,
                 bool observing) noexcept try {
  for (std::size_t d = 0; d < dimension_count; ++d) {
    if (actual[d] > request[d] && budget.used[d] > budget.cap[d]) {
      booked.over_cap = true;
      booked.notes.push_back({&budget, Action::overrun, static_cast<Dimension>(d), budget.used[d], budget.cap[d], 0});
      break;
    }
  }
  if (budget.has_raise && !observing) {
    for (std::size_t d = 0; d < dimension_count; ++d) {
      if (budget.cap[d] == no_cap || budget.spent(d) <= budget.cap[d] || before[d] > budget.cap[d]) continue;
      booked.notes.push_back({&budget, Action::raised, static_cast<Dimension>(d), budget.spent(d), budget.cap[d], 0});
      if (!booked.crossed) {
        booked.crossed = &budget;
        booked.failure = std::make_unique<FailureFacts>();
        booked.failure->code = errc::budget_exceeded;
        booked.failure->booked = true;
        booked.failure->refuser = &budget;
        booked.failure->text =
            "The call was booked and its reply is yours; the next one is refused: raise the cap, or stop "
            "here";
      }
      booked.failure->add(
          {&budget, static_cast<Dimension>(d), budget.cap[d], budget.spent(d), budget.held[d], actual[d]});
    }
  }
  while (!budget.thresholds.empty()) {
    const Threshold& next = budget.thresholds.front();
    bool reached = false;
    for (std::size_t d = 0; d < dimension_count; ++d) reached |= budget.spent(d) >= next.at[d];
    if (!reached) break;
    const Dimension dimension = most_used(budget.used, budget.held, budget.cap);
    booked.notes.push_back({&budget, Action::threshold, dimension, budget.spent(index(dimension)),
                            budget.cap[index(dimension)], next.fraction});
    budget.thresholds.erase(budget.thresholds.begin());
  }
} catch (...) {  // no memory for a note: the amounts are booked all the same
}

/// Replaces the reservation by `actual` in every budget of the chain, in one step; the call ends here. Budgets in a store follow by
/// end_in_store().
void apply(Reservation& reservation, const Vector& actual, Booked& booked) {
  if (!reservation.budget) {
    booked.first = end(reservation);
    return;
  }
  const auto lock = reservation.budget->lock_tree();
  if (reservation.state.load(std::memory_order_relaxed) == Reservation::State::ended) return;
  reservation.state.store(Reservation::State::ended, std::memory_order_release);
  booked.first = true;
  Vector change;
  const Vector& request = reservation.request;
  bool more = false;
  for (std::size_t d = 0; d < dimension_count; ++d) {
    change[d] = actual[d] - request[d];  // both are between 0 and the largest amount
    more |= change[d] > 0;
  }
  for (BudgetNode* budget = reservation.budget; budget; budget = budget->outer) {
    if (budget->shared) continue;
    if (!more && !budget->has_raise && budget->thresholds.empty()) {
      for (std::size_t d = 0; d < dimension_count; ++d) {
        budget->used[d] += change[d];
        budget->held[d] -= request[d];
      }
    } else {
      Vector before;
      for (std::size_t d = 0; d < dimension_count; ++d) {
        before[d] = budget->spent(d);
        budget->used[d] = saturating_add(budget->used[d], change[d]);
        budget->held[d] -= request[d];
      }
      look_closer(*budget, actual, request, before, booked, reservation.books->options.observe);
    }
    if (budget->first_waiting) signal_first(*budget, booked.wakes);
  }
  // A line further in may wait behind a Clamp, which looks outward: room out here may let it through.
  for (Ticket* ticket = reservation.budget->root->first_ticket; ticket; ticket = ticket->next_in_tree)
    if (ticket->at->has_clamp && ticket->at->first_waiting == ticket) signal_first(*ticket->at, booked.wakes);
}

/// What is announced when the store says that a settle was the first to reach thresholds: by its thread, long after the call.
StoreQueue::Crossed announcement(const Reservation& reservation, const SharedHold& hold) {
  struct Announced {
    BudgetNode* budget;
    std::shared_ptr<SharedCounter> counter;
    AttributionRef attribution;
    Vector cap;
  };
  struct Facts {
    Ref<Books> books;
    StoreQueue* store;
    AttributionRef attribution;
    std::uint64_t call_id;
    const ModelName* model;
    std::string traceparent;
    std::vector<Announced> budgets{};  // as the hold's counters
  };
  bool any = false;
  for (const BudgetNode* budget = reservation.budget; budget; budget = budget->outer) any |= !budget->notify_at.empty();
  if (!any) return {};
  auto facts = std::make_shared<Facts>(Facts{Ref<Books>::share(reservation.books), reservation.budget->chain_store,
                                             AttributionRef::share(reservation.attribution), reservation.call_id,
                                             reservation.model, reservation.traceparent});
  for (const auto& counter : hold.counters)
    for (BudgetNode* budget = reservation.budget; budget; budget = budget->outer)
      if (budget->shared == counter) {
        AttributionRef attribution = facts->books->dictionary.translate(budget->attribution);
        const auto lock = budget->lock_tree();
        facts->budgets.push_back({budget, counter, std::move(attribution), budget->cap});
        break;
      }
  return [facts](const std::vector<StoreReply::Crossed>& crossed) {
    for (const StoreReply::Crossed& one : crossed) {
      if (one.counter >= facts->budgets.size()) continue;
      const Announced& budget = facts->budgets[one.counter];
      const SharedCounter::View view = facts->store->view(*budget.counter, facts->store->now(facts->books->time()));
      const Dimension dimension = most_used(view.used, view.held, budget.cap);
      const std::size_t d = index(dimension);
      EventDraft(*facts->books, Action::threshold, budget.attribution.get())
          .numbers(dimension, view.used[d] - view.held[d], budget.cap[d])
          .threshold(one.fraction)
          .call(facts->call_id, facts->attribution.get(), facts->model, facts->traceparent)
          .book();
    }
  };
}

/// Ends what the reservation holds in a store: there by the store's own thread, in what is known of it here at once.
void end_in_store(Reservation& reservation, StoreCommand::Op op, const Vector& actual, Booked& booked) noexcept try {
  const std::unique_ptr<SharedHold> hold = std::move(reservation.hold);
  StoreQueue& store = *reservation.budget->chain_store;
  const Time now = store.now(reservation.books->time());
  std::vector<std::pair<BudgetNode*, SharedCounter::View>> before;
  for (BudgetNode* budget = reservation.budget; budget; budget = budget->outer)
    if (budget->shared) before.emplace_back(budget, store.view(*budget->shared, now));
  StoreQueue::Crossed crossed;
  if (op == StoreCommand::Op::settle) crossed = announcement(reservation, *hold);
  store.end(*hold, op, actual, now, std::move(crossed));
  const auto lock = reservation.budget->lock_tree();
  for (const auto& [budget, was] : before) {
    const SharedCounter::View view = store.view(*budget->shared, now);
    budget->used = view.used;
    budget->held = view.held;
    if (op == StoreCommand::Op::settle) {
      Vector spent;
      for (std::size_t d = 0; d < dimension_count; ++d) spent[d] = was.used[d] - was.held[d];
      look_closer(*budget, actual, reservation.request, spent, booked, reservation.books->options.observe);
    }
    if (budget->first_waiting) signal_first(*budget, booked.wakes);
  }
} catch (...) {  // no memory: the store has its lease
}

void emit(Books& books, const Reservation& reservation, Booked& booked) {
  for (const Booked::Note& note : booked.notes) {
    EventDraft(books, note.action, note.budget->attribution)
        .numbers(note.dimension, note.projected, note.cap)
        .threshold(note.threshold)
        .call(reservation.call_id, reservation.attribution, reservation.model, reservation.traceparent)
        .book(true);
  }
}

/// What a settlement costs, and on whose word.
struct Priced {
  Usd usd{};
  CostSource source = CostSource::table;
  std::optional<Usd> table{};
  const ModelName* served = nullptr;
  const ModelName* provider = nullptr;
  bool overflow = false;
  std::optional<std::uint32_t> prices{};  // the version's name, where it is not the present table's
};

Priced price(Books& books, const Reservation& reservation, const Settlement& settlement) {
  Priced result;
  const std::string_view tier = !settlement.service_tier.empty() ? settlement.service_tier
                                : reservation.tier               ? reservation.tier->text
                                                                 : std::string_view();
  const bool as_admitted = settlement.served_model.empty() || settlement.served_model.size() > 256;
  const ModelSlot* slot = as_admitted ? &books.prices.resolve(*reservation.model, reservation.model_name())
                                      : &books.prices.resolve(settlement.served_model);
  result.served = slot->name;
  const PricedModel* priced = slot->priced;
  std::shared_ptr<const PriceBook> admitted_by;
  if (slot->prices_uid != reservation.prices_uid && (admitted_by = books.prices.find(reservation.prices_uid))) {
    // The table was replaced meanwhile: a call keeps the one that it was admitted by.
    result.prices = books.dictionary.name(admitted_by->version)->id;
    priced = admitted_by->find(as_admitted ? std::string_view(reservation.model_name()) : settlement.served_model);
    if (!priced) priced = admitted_by->find(reservation.model_name());
  } else if (!priced && !as_admitted) {
    priced = books.prices.resolve(*reservation.model, reservation.model_name()).priced;
  }
  if (reservation.has_flat) {
    result.usd = Usd::from_nanos(reservation.flat);
    result.source = CostSource::flat;
  } else if (priced) {
    const std::optional<Usd> sum = cost(*priced, settlement.usage, tier);
    result.overflow = !sum;
    result.usd = sum.value_or(Usd::max());
    result.table = result.usd;
    result.source = priced->assumed ? CostSource::assumed : CostSource::table;
    if (!priced->price->provider.empty())
      result.provider =
          !admitted_by && slot->provider ? slot->provider : books.dictionary.name(priced->price->provider);
  } else if (reservation.assumed_rate >= 0) {
    const std::optional<Usd> sum =
        cost(AssumedPrice(reservation.assumed_rate).model, Usage{.output = settlement.usage.total()}, {});
    result.overflow = !sum;
    result.usd = sum.value_or(Usd::max());
    result.source = CostSource::assumed;
  } else if (reservation.request[0] > 0) {
    // It had a price when it was admitted, and the table is long gone: no less than was reserved.
    result.usd = Usd::from_nanos(reservation.request[0]);
    result.source = CostSource::assumed;
  } else {
    result.source = CostSource::none;
  }
  if (settlement.provider_cost && *settlement.provider_cost >= Usd{}) {
    result.usd = *settlement.provider_cost;
    result.source = CostSource::provider;
  }
  return result;
}

void write(Books& books, const Reservation& reservation, const Usage& usage, const Priced& priced, RecordStatus status,
           const Settlement& settlement, std::string_view reason) {
  if (priced.source == CostSource::none && status != RecordStatus::rejected) {
    books.unpriced_calls.fetch_add(1, std::memory_order_relaxed);
    if (books.first_time("unpriced", reservation.model_name()))
      log(LogLevel::warning, "no price is known for \"" + printable_name(reservation.model_name()) +
                                 "\": its calls are booked at $0 and counted as unpriced; register it with "
                                 "PriceTable::register_model");
  }
  if (!books.recording()) return;
  Row row{};
  row.call_id = reservation.call_id;
  row.started = reservation.started;
  row.ended = books.now();
  row.usd = priced.usd.nanos();
  row.reserved = reservation.request[0];
  row.input = narrow(usage.input);
  row.cache_read = narrow(usage.cache_read);
  row.cache_write = narrow(usage.cache_write);
  row.cache_write_1h = narrow(usage.cache_write_1h);
  row.output = narrow(usage.output);
  row.reasoning = narrow(usage.reasoning);
  row.attribution = reservation.attribution ? reservation.attribution->id : 0;
  row.requested = reservation.requested->id;
  row.admitted = reservation.model->id;
  row.served = priced.served ? priced.served->id : reservation.model->id;
  row.provider = priced.provider ? priced.provider->id : 0;
  if (!settlement.service_tier.empty() && settlement.service_tier.size() <= 64)
    row.tier = books.dictionary.name(settlement.service_tier)->id;
  else
    row.tier = reservation.tier ? reservation.tier->id : 0;
  row.prices = priced.prices.value_or(books.prices.version_id());
  row.status = status;
  row.source = priced.source;
  row.unbounded = reservation.unbounded;
  const bool rare = usage.input_audio != 0 || usage.input_image != 0 || usage.cache_read_audio != 0 ||
                    usage.output_audio != 0 || usage.output_image != 0 || usage.web_searches != 0;
  if (rare || settlement.provider_cost || !reason.empty() || !reservation.traceparent.empty())
    row.extra = std::make_shared<const RowExtra>(
        RowExtra{usage, settlement.provider_cost, settlement.provider_cost ? priced.table : std::nullopt,
                 std::string(reason.substr(0, max_reason)), reservation.traceparent});
  books.book(std::move(row));
}

/// Records and events of a call that is booked. Nothing may leave it: the booking stands.
void tell(Books& books, const Reservation& reservation, const Usage& usage, const Priced& priced, RecordStatus status,
          const Settlement& settlement, std::string_view reason, Booked& booked) noexcept {
  try {
    write(books, reservation, usage, priced, status, settlement, reason);
    if (!booked.notes.empty()) emit(books, reservation, booked);
  } catch (const std::exception& problem) {
    log(LogLevel::error, std::string("a call was booked, but its record is lost: ") + problem.what());
  } catch (...) {
    log(LogLevel::error, "a call was booked, but its record is lost");
  }
  for (const auto& waiter : booked.wakes) waiter->wake();
}

Vector vector_of(Usd usd, const Usage& usage) noexcept {
  return {usd.nanos(), usage.total(), usage.input_total(), usage.output, 1, 0};
}

/// How an ending is told to the caller: `settled` is filled in where this was the first.
struct Ending {
  Settled& settled;
  std::unique_ptr<FailureFacts> crossed{};  // a Raise budget went over its cap
  const char* invalid = nullptr;            // the member of the usage that cannot be believed
};

void finish(Reservation& reservation, const Vector& actual, const Usage& usage, const Priced& priced,
            RecordStatus status, const Settlement& settlement, std::string_view reason, Ending& ending) {
  Booked booked;
  apply(reservation, actual, booked);
  if (!booked.first) return;
  if (reservation.hold) end_in_store(reservation, StoreCommand::Op::settle, actual, booked);
  Settled& settled = ending.settled;
  const std::int64_t overrun = priced.usd.nanos() - reservation.request[0];
  settled.usd = priced.usd;
  settled.usage = usage;
  settled.overrun = Usd::from_nanos(overrun > 0 ? overrun : 0);
  settled.over_cap = booked.over_cap;
  settled.first = true;
  tell(*reservation.books, reservation, usage, priced, status, settlement, reason, booked);
  if (booked.failure) {
    booked.failure->scope = reservation.scope;
    booked.failure->model = reservation.requested_name();
    ending.crossed = std::move(booked.failure);
  }
}

void charge_reservation(Reservation& reservation, std::string_view reason, Ending& ending) {
  Books& books = *reservation.books;
  if (reservation.has_shown) {
    const Settlement shown{.usage = reservation.shown};
    const Priced priced = price(books, reservation, shown);
    finish(reservation, vector_of(priced.usd, shown.usage), shown.usage, priced, RecordStatus::indeterminate, shown,
           reason, ending);
    return;
  }
  const Usage usage{.input = reservation.input, .output = reservation.output};
  Priced priced = price(books, reservation, Settlement{.usage = usage});
  if (priced.source != CostSource::none) priced.usd = Usd::from_nanos(reservation.request[0]);
  Vector actual = reservation.request;
  actual[index(Dimension::concurrent)] = 0;
  finish(reservation, actual, usage, priced, RecordStatus::indeterminate, {}, reason, ending);
}

void settle(Reservation& reservation, const Settlement& settlement, Ending& ending) {
  if (!reservation_open(reservation)) return;
  ending.invalid = settlement.usage.first_invalid();
  if (!ending.invalid && settlement.provider_cost &&
      (*settlement.provider_cost < Usd{} || *settlement.provider_cost > max_call_cost))
    ending.invalid = "provider_cost";
  if (ending.invalid) {
    reservation.has_shown = false;  // neither can be trusted
    charge_reservation(reservation, "the usage that was handed in is invalid", ending);
    return;
  }
  const Priced priced = price(*reservation.books, reservation, settlement);
  finish(reservation, vector_of(priced.usd, settlement.usage), settlement.usage, priced,
         settlement.estimated ? RecordStatus::estimated : RecordStatus::settled, settlement, {}, ending);
}

/// The same where nothing may be thrown: without memory for a price or a record the reservation is charged all the same.
void charge_without_fail(Reservation& reservation, std::string_view reason, Ending& ending) noexcept {
  try {
    charge_reservation(reservation, reason, ending);
    return;
  } catch (...) {
  }
  Booked booked;
  Vector actual = reservation.request;
  actual[index(Dimension::concurrent)] = 0;
  apply(reservation, actual, booked);
  if (booked.first && reservation.hold) end_in_store(reservation, StoreCommand::Op::settle, actual, booked);
  ending.settled.first = booked.first;
  ending.settled.usd = Usd::from_nanos(reservation.request[0]);
  for (const auto& waiter : booked.wakes) waiter->wake();
  log(LogLevel::error, "a call was booked at its reservation, without a record: out of memory");
}

std::string invalid_text(const Reservation& reservation, const char* member) {
  return std::string("call ") + std::to_string(reservation.call_id) + " to \"" + reservation.model_name() +
         "\" was settled with an invalid " + member +
         ": counts lie between 0 and 2,000,000,000, and a part is no larger than its whole. It was charged "
         "at its reservation";
}

void report_late(const Reservation& reservation, const char* what) noexcept try {
  log(LogLevel::debug, std::string(what) + " of call " + std::to_string(reservation.call_id) +
                           " came after it had ended: nothing was done");
} catch (...) {
}

/// What a Call's destructor does. Nothing may leave it.
void abandon(Reservation& reservation) noexcept try {
  switch (reservation.state.load(std::memory_order_acquire)) {
    case Reservation::State::admitted:
      reservation_release(reservation, {});
      break;
    case Reservation::State::sent: {
      Settled settled;
      Ending ending{settled};
      charge_without_fail(reservation, "ended without a verdict", ending);
    } break;
    case Reservation::State::ended:
      break;
  }
} catch (const std::exception& problem) {
  log(LogLevel::error, std::string("a call was booked, but its record is lost: ") + problem.what());
} catch (...) {
  log(LogLevel::error, "a call was booked, but its record is lost");
}

}  // namespace

void acquire(Reservation* reservation) noexcept { reservation->references.add(); }

void release(Reservation* reservation) noexcept {
  if (!reservation->references.drop()) return;
  if (reservation->state.load(std::memory_order_acquire) != Reservation::State::ended) abandon(*reservation);
  reservation->own_attribution = {};
  reservation->attribution = nullptr;
  reservation->hold.reset();
  reservation->scope = {};
  reservation->budget = nullptr;
  reservation->has_shown = false;
  reservation->said_over = false;
  reservation->traceparent.clear();
  keep_spare_reservation(reservation);
}

bool reservation_open(const Reservation& reservation) noexcept {
  return reservation.state.load(std::memory_order_acquire) != Reservation::State::ended;
}
bool reservation_bounded(const Reservation& reservation) noexcept { return !reservation.unbounded; }
std::uint64_t reservation_id(const Reservation& reservation) noexcept { return reservation.call_id; }
const std::string& reservation_model(const Reservation& reservation) noexcept { return reservation.model_name(); }
void reservation_event(Reservation& reservation, Action action, std::int64_t projected,
                       std::string_view reason) noexcept {
  if (!reservation.budget) return;
  try {
    EventDraft(*reservation.books, action, reservation.budget->attribution)
        .numbers(Dimension::calls, projected, 0)
        .call(reservation.call_id, reservation.attribution, reservation.model, reservation.traceparent)
        .reason(reason)
        .book();
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for an event; the call itself is booked
  }
}
std::int64_t reservation_input_tokens(const Reservation& reservation) noexcept { return reservation.input; }

void reservation_sent(Reservation& reservation) noexcept {
  Reservation::State admitted = Reservation::State::admitted;
  reservation.state.compare_exchange_strong(admitted, Reservation::State::sent, std::memory_order_acq_rel);
}

void reservation_shown(Reservation& reservation, const Usage& usage) noexcept {
  if (usage.first_invalid()) return;
  reservation.shown = usage;
  reservation.has_shown = true;
}

Settled reservation_settle(Reservation& reservation, const Settlement& settlement) {
  Settled settled;
  Ending ending{settled};
  settle(reservation, settlement, ending);
  if (!settled.first) report_late(reservation, "settle");
  if (settled.first && ending.invalid) throw Error(errc::invalid_usage, invalid_text(reservation, ending.invalid));
  if (ending.crossed) throw BudgetExceeded(Failure(ending.crossed.release()));
  return settled;
}

Result<Settled> reservation_try_settle(Reservation& reservation, const Settlement& settlement) noexcept {
  Settled settled;
  Ending ending{settled};
  try {
    settle(reservation, settlement, ending);
  } catch (...) {
    charge_without_fail(reservation, "no memory to settle it", ending);
  }
  if (settled.first && ending.invalid) return Failure(errc::invalid_usage, invalid_text(reservation, ending.invalid));
  return settled;
}

bool reservation_release(Reservation& reservation, std::string_view reason) noexcept {
  const bool sent = reservation.state.load(std::memory_order_acquire) == Reservation::State::sent;
  Booked booked;
  apply(reservation, Vector{}, booked);
  if (!booked.first) {
    report_late(reservation, "release");
    return false;
  }
  if (reservation.hold) end_in_store(reservation, StoreCommand::Op::release, {}, booked);
  if (sent) {
    tell(*reservation.books, reservation, {}, {}, RecordStatus::rejected, {}, reason, booked);
  } else {
    for (const auto& waiter : booked.wakes) waiter->wake();
  }
  return true;
}

Settled reservation_indeterminate(Reservation& reservation, std::string_view reason) noexcept {
  Settled settled;
  Ending ending{settled};
  if (reservation_open(reservation)) charge_without_fail(reservation, reason, ending);
  return settled;
}

namespace {

struct StoreCut {
  bool refused = false;
  std::optional<Failure> unavailable{};
};

/// Asks the store for room for `wanted` in all; where it refuses, the budgets' numbers are those that it gave.
StoreCut extend_in_store(Reservation& reservation, const Vector& wanted, Room room) {
  SharedHold& hold = *reservation.hold;
  StoreQueue& store = *reservation.budget->chain_store;
  const OnUnreachable& choice = store.options.on_unreachable;
  if (reservation.books->options.observe) room = Room::any;
  const auto without = [&](const std::string& why) -> StoreCut {
    if (room == Room::any || choice.kind() == OnUnreachable::Kind::allow_and_mark ||
        (choice.kind() == OnUnreachable::Kind::local && store.take_local(hold, wanted[0] - hold.amount[0]))) {
      hold.amount = wanted;  // it learns of it when the call ends
      return {};
    }
    return {false,
            Failure(errc::store_unavailable, "a stream to \"" + reservation.model_name() + "\" needs more room, and " +
                                                 store.description() + " cannot be asked: " + why)};
  };
  if (hold.unshared) return without("it could not when the call was admitted");
  std::vector<StoreCounter> slots = hold.slots;
  for (StoreCounter& slot : slots) slot.room = room;
  Result<StoreReply> reply = store.ask_and_wait(
      store.command(StoreCommand::Op::extend, hold.id, std::move(slots), wanted, store.now(reservation.books->time())),
      hold.counters);
  if (!reply) return without(reply.error().message());
  if (reply->outcome != StoreReply::Outcome::refused) {
    hold.amount = wanted;
    return {};
  }
  const auto lock = reservation.budget->lock_tree();
  for (BudgetNode* budget = reservation.budget; budget; budget = budget->outer)
    for (std::size_t i = 0; i < hold.counters.size() && i < reply->states.size(); ++i)
      if (hold.counters[i] == budget->shared) {
        budget->held = to_vector(reply->states[i].reserved);
        budget->used = to_vector(reply->states[i].spent);
        for (std::size_t d = 0; d < dimension_count; ++d)
          budget->used[d] = saturating_add(budget->used[d], budget->held[d]);
      }
  return {true, {}};
}

}  // namespace

ExtensionResult reservation_extend(Reservation& reservation, std::int64_t output_tokens) {
  if (!reservation_open(reservation) || output_tokens <= reservation.output) return {Extension::granted, {}};
  const auto too_large = [&] {
    return ExtensionResult{
        Extension::cut,
        Failure(errc::overflow, "call " + std::to_string(reservation.call_id) + " to \"" + reservation.model_name() +
                                    "\" asks for room for " + std::to_string(output_tokens) +
                                    " output tokens, which no stream can show")};
  };
  if (output_tokens > Usage::max_count * 1'024) return too_large();
  Books& books = *reservation.books;
  std::int64_t nanos = reservation.request[0];
  if (!reservation.has_flat) {
    const ModelSlot slot = books.prices.resolve(reservation.model_name());
    std::optional<Usd> worst;
    if (slot.priced)
      worst = worst_cost(*slot.priced, reservation.input, output_tokens,
                         reservation.tier ? reservation.tier->text : std::string_view(), reservation.long_cache);
    else if (reservation.assumed_rate >= 0)
      worst = worst_cost(AssumedPrice(reservation.assumed_rate).model, reservation.input, output_tokens, {}, false);
    if ((slot.priced || reservation.assumed_rate >= 0) && !worst) return too_large();
    if (worst) nanos = std::max(nanos, worst->nanos());
  }
  const Vector wanted = request_vector(nanos, reservation.input, output_tokens);
  if (!reservation.budget) {
    reservation.output = output_tokens;
    reservation.request = wanted;
    return {Extension::granted, {}};
  }

  Vector more;
  for (std::size_t d = 0; d < dimension_count; ++d) more[d] = wanted[d] - reservation.request[d];
  bool store_refused = false;
  const auto fits = [&](const BudgetNode& budget) {
    if (budget.shared && !store_refused) return true;
    for (std::size_t d = 0; d < dimension_count; ++d)
      if (more[d] > 0 && more[d] > budget.cap[d] - budget.used[d]) return false;
    return true;
  };
  struct Answer {
    const Callback* callback;
    Decision::Kind kind;
  };
  std::vector<Answer> answers;
  ExtensionResult result{Extension::granted, {}};
  Booked booked;
  if (reservation.hold) {
    StoreCut cut = extend_in_store(reservation, wanted, Room::fits);
    if (cut.unavailable) return {Extension::cut, std::move(cut.unavailable)};
    store_refused = cut.refused;
  }
  for (;;) {
    auto lock = reservation.budget->lock_tree();
    if (reservation.state.load(std::memory_order_relaxed) == Reservation::State::ended) return result;
    BudgetNode* ask = nullptr;
    const Callback* callback = nullptr;
    BudgetNode* refuser = nullptr;
    bool quiet = false;
    BudgetNode* over = nullptr;
    for (BudgetNode* budget = reservation.budget; budget && !ask && !refuser; budget = budget->outer) {
      if (fits(*budget)) continue;
      bool through = books.options.observe;
      bool decided = through;
      if (const std::vector<Policy>* chain = budget->chain();
          chain && !decided && !in_callback_of(*budget))  // inside its callback it acts as Block
        for (const Policy& policy : *chain) {
          if (std::holds_alternative<Warn>(policy)) {
            through = decided = true;
          } else if (std::holds_alternative<Truncate>(policy)) {
            quiet = decided = true;
          } else if (std::holds_alternative<Block>(policy) || std::holds_alternative<Raise>(policy)) {
            decided = true;
          } else if (const auto* asks = std::get_if<Callback>(&policy); asks) {
            Decision::Kind kind = Decision::Kind::next;
            bool known = false;
            for (const Answer& answer : answers)
              if (answer.callback == asks) kind = answer.kind, known = true;
            if (!known) {
              ask = budget;
              callback = asks;
              break;
            }
            if (kind == Decision::Kind::next) continue;
            decided = true;
            through = kind == Decision::Kind::allow;
            quiet = kind == Decision::Kind::truncate;
          }
          if (decided) break;
        }
      through = through && can_count(budget->used, more);
      if (!ask && !through) refuser = budget;
      if (through && !reservation.said_over) over = budget;
    }
    if (!ask && !refuser) {
      for (BudgetNode* budget = reservation.budget; budget; budget = budget->outer) {
        if (budget->shared) continue;
        for (std::size_t d = 0; d < dimension_count; ++d) {
          budget->used[d] = saturating_add(budget->used[d], more[d]);
          budget->held[d] = saturating_add(budget->held[d], more[d]);
        }
      }
      if (store_refused) {
        // Let through all the same: the store books it.
        lock.unlock();
        (void)extend_in_store(reservation, wanted, Room::any);
        lock.lock();
      }
      reservation.request = wanted;
      reservation.output = output_tokens;
      if (over) {
        // Once for each call: its stream goes on over a cap.
        reservation.said_over = true;
        for (std::size_t d = 0; d < dimension_count; ++d)
          if (over->used[d] > over->cap[d]) {
            booked.notes.push_back({over, books.options.observe ? Action::observed : Action::warned,
                                    static_cast<Dimension>(d), over->used[d], over->cap[d], 0});
            break;
          }
        lock.unlock();
        emit(books, reservation, booked);
      }
      return result;
    }
    auto facts = std::make_unique<FailureFacts>();
    facts->code = quiet ? errc::truncated : errc::budget_exceeded;
    facts->refuser = ask ? ask : refuser;
    facts->text = "The stream was ended there, and what it had shown is charged";
    for (const BudgetNode* budget = reservation.budget; budget; budget = budget->outer)
      for (std::size_t d = 0; d < dimension_count; ++d)
        if (more[d] > 0 && more[d] > budget->cap[d] - budget->used[d])
          facts->add({budget, static_cast<Dimension>(d), budget->cap[d], budget->spent(d), budget->held[d], more[d]});
    if (refuser) {
      const RawBreach breach = *facts->primary();
      booked.notes.push_back({refuser, Action::cut, breach.dimension,
                              saturating_add(breach.spent + breach.reserved, breach.requested), breach.limit, 0});
      lock.unlock();
      facts->scope = reservation.scope;
      facts->model = reservation.requested_name();
      emit(books, reservation, booked);
      result.extension = quiet ? Extension::cut_quietly : Extension::cut;
      result.failure = Failure(facts.release());
      return result;
    }
    lock.unlock();
    facts->scope = reservation.scope;
    facts->model = reservation.requested_name();
    const Exceeded exceeded(Failure(facts.release()), reservation.requested_name(), reservation.model_name(),
                            reservation.has_ceiling ? std::optional(reservation.ceiling) : std::nullopt,
                            reservation.attribution ? reservation.attribution->tags : Tags(), true);
    answers.push_back({callback, ask_callback(*ask, *callback, exceeded).kind()});
  }
}

}  // namespace detail

Call::Call(const CallRequest& request) {
  detail::Admission admission(request);
  if (detail::admit_blocking(admission) != detail::Admission::Step::admitted)
    detail::throw_failure(admission.failure());
  reservation_ = detail::ReservationRef::adopt(admission.take());
}

Result<Call> try_call(const CallRequest& request) {
  detail::Admission admission(request);
  if (detail::admit_blocking(admission) != detail::Admission::Step::admitted) return admission.failure();
  return Call(admission.take());
}

namespace {

const std::string no_name;  // what a moved-from call answers

}  // namespace

std::uint64_t Call::id() const noexcept { return reservation_ ? reservation_->call_id : 0; }
const std::string& Call::model() const noexcept { return reservation_ ? reservation_->model_name() : no_name; }
const std::string& Call::requested_model() const noexcept {
  return reservation_ ? reservation_->requested_name() : no_name;
}

std::optional<std::int64_t> Call::max_output_tokens() const noexcept {
  return reservation_ && reservation_->has_ceiling ? std::optional(reservation_->ceiling) : std::nullopt;
}

Amounts Call::reserved() const { return open() ? detail::to_amounts(reservation_->request) : Amounts{}; }
bool Call::open() const noexcept { return reservation_ && detail::reservation_open(*reservation_); }

void Call::sent() noexcept {
  if (reservation_) detail::reservation_sent(*reservation_);
}

Settled Call::settle(const Usage& usage) { return settle(Settlement{.usage = usage}); }

Settled Call::settle(const Settlement& settlement) {
  return reservation_ ? detail::reservation_settle(*reservation_, settlement) : Settled{};
}

Result<Settled> Call::try_settle(const Settlement& settlement) noexcept {
  return reservation_ ? detail::reservation_try_settle(*reservation_, settlement) : Result<Settled>(Settled{});
}

bool Call::release(std::string_view reason) noexcept {
  return reservation_ && detail::reservation_release(*reservation_, reason);
}

Settled Call::indeterminate(std::string_view reason) noexcept {
  return reservation_ ? detail::reservation_indeterminate(*reservation_, reason) : Settled{};
}

ExtensionResult Call::extend_output(std::int64_t output_tokens) {
  return reservation_ ? detail::reservation_extend(*reservation_, output_tokens)
                      : ExtensionResult{Extension::granted, {}};
}

}  // namespace outlay
