#include "core/shared/claim.hpp"

#include <algorithm>

#include "core/context/scopes.hpp"
#include "outlay/detail/access.hpp"

namespace outlay::detail {

namespace {

/// Whether there is room for more in counters of which the store has told the numbers, as it would judge itself.
bool have_room(std::span<const StoreCounter> slots, const std::vector<StoreReply::State>& states, const Vector& more) {
  for (std::size_t i = 0; i < std::min(slots.size(), states.size()); ++i) {
    const Counter counter = Counter::of(to_vector(states[i].spent), to_vector(states[i].reserved),
                                        with_set_caps(to_vector(slots[i].limits), to_vector(states[i].caps)));
    if (slots[i].room == Room::fits && !counter.fits(more)) return false;
    if (slots[i].room != Room::below) continue;
    for (std::size_t d = 0; d < dimension_count; ++d)
      if (more[d] > 0 && counter.room(d) <= 0) return false;
  }
  return true;
}

}  // namespace

SharedClaim::SharedClaim(BudgetNode& innermost, std::chrono::milliseconds lease)
    : lease_(lease), store_(Access::queue(*innermost.store)) {
  collect_counters(innermost);
}

SharedClaim::SharedClaim(BudgetNode& innermost, DetachedHold hold)
    : epoch_(std::move(hold.epoch)), store_(Access::queue(*innermost.store)) {
  collect_counters(innermost);
  hold_.id = std::move(hold.id);
  hold_.detached = true;
  hold_.amount = hold_.told = hold.amount;
  asked_at_ = admitted_at_ = hold.admitted;
  make_slots(asked_at_);
  hold_.known = store_.known_slots(hold_.counters, hold_.slots);
  held_ = kept_ = true;
}

void SharedClaim::collect_counters(BudgetNode& innermost) {
  for (BudgetNode* budget = &innermost; budget; budget = budget->outer)
    if (budget->outside) entries_.push_back({budget, std::static_pointer_cast<SharedCounter>(budget->outside)});
  for (Entry& entry : entries_) {
    const auto known = std::find(hold_.counters.begin(), hold_.counters.end(), entry.counter);
    entry.place = static_cast<std::size_t>(known - hold_.counters.begin());
    if (known == hold_.counters.end()) hold_.counters.push_back(entry.counter);
  }
}

SharedClaim::~SharedClaim() {
  try {
    if (question_) store_.abandon(*question_);
    if (hold_.detached && !ended_) store_.end_here(hold_, 0);  // it goes on in the store
  } catch (...) {                                              // no memory to undo it: it is left to its lease
  }
  release();
}

bool SharedClaim::answers_here(bool may_block) const noexcept {
  return store_.distance() == StoreBackend::Distance::memory ||
         (store_.distance() == StoreBackend::Distance::local && may_block);
}

void SharedClaim::make_slots(Time now) {
  hold_.slots.clear();
  for (const auto& counter : hold_.counters) {
    hold_.slots.push_back(slot_of(*counter, now));
    hold_.slots.back().room = Room::any;
  }
  hold_.known.clear();
}

/// The slots in which the call was admitted, with what counts there now.
std::vector<StoreCounter> SharedClaim::slots_now(Time now) const {
  std::vector<StoreCounter> slots;
  slots.reserve(hold_.slots.size());
  for (std::size_t i = 0; i < hold_.slots.size(); ++i)
    slots.push_back(counted_now(*hold_.counters[i], hold_.slots[i], now));
  return slots;
}

StoreCommand SharedClaim::command(const Question& question) {
  const Time now = store_.now(question.callers);
  asked_ = question.amounts;
  asked_at_ = now;
  if (!kept_) {
    hold_.id = store_.new_id();
    admitted_at_ = now;
    make_slots(now);
  }
  std::vector<StoreCounter> slots = slots_now(now);
  const auto lock = entries_.front().budget->lock_tree();
  for (const Entry& entry : entries_) {
    const Vector& caps = entry.budget->counter.cap;
    Room room = question.otherwise;
    for (const auto& [budget, how] : question.rooms)
      if (budget == entry.budget) room = how;
    StoreCounter& slot = slots[entry.place];
    // Of budgets that count in one counter the one that checks most strictly speaks, and of those that check alike the tighter cap.
    if (room == Room::any || room > slot.room) continue;
    Vector limits = caps;
    if (room == slot.room) {
      const Vector known = to_vector(slot.limits);
      for (std::size_t d = 0; d < dimension_count; ++d) limits[d] = std::min(limits[d], known[d]);
    }
    slot.limits = to_limits(limits, limits);
    slot.room = room;
  }
  StoreCommand made = store_.command(kept_ ? StoreCommand::Op::extend : StoreCommand::Op::reserve, hold_.id,
                                     std::move(slots), question.amounts, now);
  made.detached = lease_ != lease_.zero();
  return made;
}

/// Why the store need not be asked; null where it is.
const char* SharedClaim::known_unreachable(const Question& question) const {
  if (hold_.unshared) return "it could not be reached when the call was admitted";
  return store_.data_lost(store_.now(question.callers)) ? "it has lost data that it had" : nullptr;
}

SharedClaim::Outcome SharedClaim::ask_here(const Question& question) {
  StoreCommand asked;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return Outcome::granted;
    if (const char* why = known_unreachable(question)) return unreachable(why);
    asked = command(question);
  }
  Result<StoreReply> reply = store_.execute(asked, hold_.counters);
  store_.record_expired(books_of(&first()));
  return take(std::move(reply), asked.counters);
}

void SharedClaim::ask(const Question& question, std::shared_ptr<Waiter> waiter) {
  const auto timeout = std::chrono::duration_cast<std::chrono::steady_clock::duration>(store_.options.timeout);
  answer_by_ = std::chrono::steady_clock::now() + timeout;
  asked_ = question.amounts;
  question_ = std::make_shared<StoreQueue::Question>();
  question_->waiter = std::move(waiter);
  question_->counters = hold_.counters;
  const char* why = nullptr;
  {
    const std::lock_guard lock(mutex_);
    why = ended_ ? "the call has ended" : known_unreachable(question);
    if (!why) question_->command = command(question);
  }
  if (!why) return store_.ask(question_);
  question_->result = Failure(errc::store_unavailable, why);
  question_->waiter->wake();
}

std::optional<SharedClaim::Outcome> SharedClaim::answer() {
  std::optional<Result<StoreReply>> reply = store_.answer(*question_);
  if (!reply) return std::nullopt;
  store_.record_expired(books_of(&first()));
  const std::shared_ptr<StoreQueue::Question> asked = std::exchange(question_, nullptr);
  return take(std::move(*reply), asked->command.counters);
}

SharedClaim::Outcome SharedClaim::give_up() {
  store_.abandon(*std::exchange(question_, nullptr));
  return unreachable("it has not answered within " + std::to_string(store_.options.timeout.count()) + " ms");
}

SharedClaim::Outcome SharedClaim::unreachable(std::string why) {
  why_ = std::move(why);
  answered_ = false;
  return Outcome::unreachable;
}

SharedClaim::Outcome SharedClaim::take(Result<StoreReply> reply, std::span<const StoreCounter> slots) {
  std::unique_lock lock(mutex_);
  if (ended_) return Outcome::granted;  // the end has replaced all that the call held
  if (!reply) {
    // The command may have been executed, and its reply lost. The end of a stream corrects that.
    if (!kept_ && !hold_.id.empty()) {
      StoreHold lost{hold_.id, hold_.counters, hold_.slots, {}, {}, true};
      store_.forget(lost, asked_at_);
    }
    return unreachable(reply.error().message());
  }
  // The store holds nothing more for a stream whose lease has run out, and what it held is charged. It goes on where there is room for the
  // rest: its end books what it used.
  const bool expired = kept_ && reply->outcome == StoreReply::Outcome::ended;
  const bool held_there = reply->outcome == StoreReply::Outcome::done;
  const Vector in_store = expired && store_.options.on_expiry == OnExpiry::release ? Vector{} : hold_.told;
  const bool granted = held_there || (expired && have_room(slots, reply->states, minus(asked_, in_store)));
  if (granted && kept_ && store_.data_lost(reply->now)) return unreachable("it has lost data that it had");
  const Vector own = held_there ? minus(asked_, hold_.amount) : Vector{};
  answered_ = granted || expired || reply->outcome == StoreReply::Outcome::refused;
  for (Entry& entry : entries_) {
    if (entry.place >= reply->states.size()) continue;
    const StoreReply::State& state = reply->states[entry.place];
    entry.spent = to_vector(state.spent);
    entry.held = to_vector(state.reserved);
    entry.fits_at = state.fits_at;
    entry.set_caps = to_vector(state.caps);
    if (held_there)
      subtract(entry.held, own);
    else
      add(entry.held, minus(hold_.amount, in_store));  // what a stream was given while the store could not be reached
  }
  if (granted) {
    if (!kept_) epoch_ = reply->epoch;
    hold_.amount = asked_;
    if (held_there) {
      hold_.told = asked_;
      store_.confirmed(hold_);
    }
    if (kept_) store_.show(hold_, true);
    held_ = true;
    if (!kept_ && store_.data_lost(reply->now)) {
      lock.unlock();
      release();
      return unreachable("it has lost data that it had");
    }
    return Outcome::granted;
  }
  return answered_ ? Outcome::refused : Outcome::again;
}

bool SharedClaim::hold_unshared(const Question& question, bool anyway) {
  const std::lock_guard lock(mutex_);
  if (ended_) return true;
  const OnUnreachable& choice = store_.options.on_unreachable;
  const bool allowed =
      choice.kind() == OnUnreachable::Kind::allow_and_mark ||
      (choice.kind() == OnUnreachable::Kind::local && question.priced &&  // money cannot bound a call of unknown price
       store_.take_local(hold_, std::max<std::int64_t>(0, question.amounts[0] - hold_.amount[0])));
  if (!allowed && !anyway) return false;
  if (!kept_) {
    hold_.id = store_.new_id();
    hold_.unshared = true;
    asked_at_ = admitted_at_ = store_.now(question.callers);
    make_slots(asked_at_);
  }
  hold_.amount = question.amounts;
  if (kept_) store_.show(hold_, true);
  held_ = true;
  return allowed;
}

void SharedClaim::look(Time callers) noexcept {
  for (const Entry& entry : entries_) store_.look(*entry.counter, store_.now(callers), true);
}

void SharedClaim::keep() {
  kept_ = true;
  hold_.known = store_.known_slots(hold_.counters, hold_.slots);
  store_.show(hold_, true);
  if (!hold_.unshared) store_.keep_alive(hold_);
}

const Counter* SharedClaim::numbers(const BudgetNode& budget, const Vector& caps) noexcept {
  if (!answered_) return nullptr;
  for (Entry& entry : entries_)
    if (entry.budget == &budget) {
      entry.numbers = Counter::of(entry.spent, entry.held, with_set_caps(caps, entry.set_caps));
      return &entry.numbers;
    }
  return nullptr;
}

const Vector* SharedClaim::set_caps(const BudgetNode& budget) const noexcept {
  for (const Entry& entry : entries_)
    if (entry.budget == &budget) return &entry.set_caps;
  return nullptr;
}

bool SharedClaim::caps_money_by_hand() const noexcept {
  return answered_ && std::any_of(entries_.begin(), entries_.end(), [](const Entry& entry) {
           return entry.set_caps[0] != no_cap && !entry.budget->terms.caps_money;
         });
}

std::optional<Time> SharedClaim::may_fit_at(const BudgetNode& budget, Time callers) const {
  if (answered_ && budget.window.kind() == Window::Kind::rolling)
    for (const Entry& entry : entries_)
      if (entry.budget == &budget) return entry.fits_at;
  return budget.window.at(answered_ ? asked_at_ : store_.now(callers)).end;
}

std::chrono::nanoseconds SharedClaim::may_fit_in(const BudgetNode& budget, Time callers) const {
  const std::optional<Time> when = may_fit_at(budget, callers);
  return when ? std::max(*when - store_.now(callers), std::chrono::nanoseconds(0)) : std::chrono::nanoseconds::max();
}

void SharedClaim::release() noexcept {
  if (!held_ || kept_) return;
  held_ = false;
  store_.end(hold_, StoreCommand::Op::release, {}, asked_at_, {});
  hold_.id.clear();
  hold_.slots.clear();
  hold_.known.clear();
  hold_.amount = hold_.told = {};
  hold_.unshared = false;
  hold_.local = 0;
}

std::vector<SharedClaim::Watched> SharedClaim::watched(Time callers) {
  std::vector<Watched> all;
  if (std::none_of(entries_.begin(), entries_.end(),
                   [](const Entry& entry) { return !entry.budget->notify_at.empty(); }))
    return all;
  for (const Entry& entry : entries_) store_.look_at_set_caps(*entry.counter, store_.now(callers));
  const auto lock = entries_.front().budget->lock_tree();
  for (const Entry& entry : entries_) {
    const Vector caps = store_.caps(*entry.counter, entry.budget->counter.cap);
    for (const StoreCounter::Threshold& threshold : thresholds_of(entry.budget->notify_at, caps))
      all.push_back({entry.budget, entry.place, threshold, caps});
  }
  std::sort(all.begin(), all.end(), [](const Watched& a, const Watched& b) {
    return a.place != b.place ? a.place < b.place : a.threshold.fraction < b.threshold.fraction;
  });
  return all;
}

std::vector<SharedClaim::Change> SharedClaim::end(StoreCommand::Op op, const Vector& actual, Time callers,
                                                  std::span<const Watched> watched, StoreQueue::Crossed crossed) {
  const Time now = store_.now(callers);
  std::vector<Change> changes = changes_before();
  StoreHold hold;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    held_ = false;
    hold = hold_;
    hold.slots = slots_now(now);
  }
  if (hold.known.empty()) hold.known = store_.known_slots(hold.counters, hold.slots);
  const std::vector<std::shared_ptr<KnownSlot>> known = hold.known;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    changes[i].before = store_.view(*entry.counter, *known[entry.place], changes[i].before.cap);
  }
  for (const Watched& one : watched) hold.slots[one.place].thresholds.push_back(one.threshold);
  const Vector held = hold.told;
  const std::optional<StoreReply> reply = store_.end(hold, op, actual, now, std::move(crossed));
  if (reply) {
    take_answer(changes, *reply, held, actual);
    return changes;
  }
  for (std::size_t i = 0; i < entries_.size(); ++i)
    changes[i].after = store_.view(*entries_[i].counter, *known[entries_[i].place], changes[i].before.cap);
  return changes;
}

/// The caps of each budget, before the end of the call.
std::vector<SharedClaim::Change> SharedClaim::changes_before() const {
  std::vector<Change> changes;
  changes.reserve(entries_.size());
  const auto lock = entries_.front().budget->lock_tree();
  for (const Entry& entry : entries_) changes.push_back({entry.budget, {.cap = entry.budget->counter.cap}, {}});
  return changes;
}

void SharedClaim::take_answer(std::vector<Change>& changes, const StoreReply& reply, const Vector& held,
                              const Vector& actual) const {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const StoreReply::State& state = reply.states[entries_[i].place];
    Change& change = changes[i];
    change.after = Counter::of(to_vector(state.spent), to_vector(state.reserved),
                               with_set_caps(change.before.cap, to_vector(state.caps)));
    change.before = change.after;
    change.before.end(minus(Vector{}, held), minus(Vector{}, actual));
  }
}

// --- calls that leave their process ---

std::optional<DetachedHold> SharedClaim::detachable() {
  const std::lock_guard lock(mutex_);
  if (lease_ == lease_.zero() || ended_ || hold_.unshared || !held_) return std::nullopt;
  return DetachedHold{hold_.id, epoch_, admitted_at_, hold_.told};
}

Result<void> SharedClaim::leave(Time callers) {
  store_.leave_alone(hold_.id);  // a renewal that came later would shorten the lease
  StoreCommand command = store_.command(StoreCommand::Op::renew, {}, {}, {}, store_.now(callers));
  command.ids = {hold_.id};
  command.lease = lease_;
  command.detached = true;
  const Result<StoreReply> reply = store_.ask_and_wait(std::move(command), {});
  const std::lock_guard lock(mutex_);
  if (!reply) {
    store_.keep_alive(hold_);
    return reply.error();
  }
  if (!ended_) store_.end_here(hold_, 0);
  ended_ = true;
  held_ = false;
  return {};
}

std::optional<std::vector<SharedClaim::Change>> SharedClaim::end_detached(StoreCommand::Op op, const Vector& actual,
                                                                          Time callers,
                                                                          std::span<const Watched> watched,
                                                                          StoreQueue::Crossed crossed) {
  const Time now = store_.now(callers);
  std::vector<StoreCounter> slots;
  Vector held{};
  {
    const std::lock_guard lock(mutex_);
    slots = slots_now(now);
    held = hold_.told;
  }
  for (const Watched& one : watched) slots[one.place].thresholds.push_back(one.threshold);
  StoreCommand command = store_.command(op, hold_.id, std::move(slots), actual, now);
  command.lease = store_.options.lease;  // in memory too: others may ask again
  command.detached = true;
  Result<StoreReply> reply = store_.ask_and_wait(StoreCommand(command), hold_.counters);
  // A store that has lost its data does not know the call, which is no reason to forget what it spent.
  if (reply && reply->outcome == StoreReply::Outcome::ended && reply->epoch != epoch_) {
    command.detached = false;
    reply = store_.ask_and_wait(std::move(command), hold_.counters);
  }
  if (!reply) return end(op, actual, callers, watched, std::move(crossed));
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    held_ = false;
    store_.end_here(hold_, actual[0]);
  }
  if (reply->outcome != StoreReply::Outcome::done) return std::nullopt;
  if (crossed && !reply->crossed.empty()) crossed(*reply);
  std::vector<Change> changes = changes_before();
  take_answer(changes, *reply, held, actual);
  return changes;
}

}  // namespace outlay::detail
