#include <algorithm>
#include <random>

#include "core/base/deadline.hpp"
#include "core/shared/memory_backend.hpp"
#include "outlay/store.hpp"

namespace outlay {

namespace detail {

namespace {

constexpr std::chrono::hours keep_ended{1};
/// And one whose lease ran out: as long as its slot is at least, since its call may still settle.
constexpr std::chrono::hours keep_expired{48}, keep_detached{7 * 24};
/// How many slots whose time is over one command forgets: it makes at most one for each of its counters.
constexpr std::size_t forget_at_once = 128;
constexpr std::size_t in_flight = index(Dimension::concurrent);

bool checked_add(Vector& to, const Vector& amount, int sign) noexcept {
  for (std::size_t d = 0; d < dimension_count; ++d)
    if (sign > 0 ? __builtin_add_overflow(to[d], amount[d], &to[d]) : __builtin_sub_overflow(to[d], amount[d], &to[d]))
      return false;
  return true;
}

}  // namespace

MemoryBackend::MemoryBackend() : epoch_(std::to_string(std::random_device{}())) {}

std::vector<Result<StoreReply>> MemoryBackend::execute(std::span<const StoreCommand> commands,
                                                       std::chrono::milliseconds) {
  std::vector<Result<StoreReply>> results;
  results.reserve(commands.size());
  for (const StoreCommand& command : commands) {
    expire(command.now);
    forget_old(command.now);
    if (can_end(command))
      results.push_back(execute(command));
    else
      results.emplace_back(
          Failure(errc::overflow, "memory_store: the amount spent would exceed 9.2 * 10^18, so nothing was changed."));
  }
  return results;
}

Limits MemoryBackend::cap_of(const StoreCounter& counter, Time now) const {
  const auto found = caps_.find({counter.name, counter.window});
  return found == caps_.end() || (found->second.until && *found->second.until <= now) ? Limits{} : found->second.limits;
}

StoreReply::Outcome MemoryBackend::set_cap(const StoreCommand& command) {
  const StoreCounter& counter = command.counters.front();
  const std::pair<std::string, std::string> key{counter.name, counter.window};
  const auto kept = caps_.find(key);
  const bool replaces = kept == caps_.end() ? may_replace(command, {}, {})
                                            : may_replace(command, cap_of(counter, command.now), kept->second.until);
  if (!replaces) return StoreReply::Outcome::refused;
  if (command.cap.limits == Limits{}) {
    caps_.erase(key);
    return StoreReply::Outcome::done;
  }
  StoreCap cap = command.cap;
  cap.name = counter.name;
  cap.window = counter.window;
  cap.since = command.now;
  caps_[key] = std::move(cap);
  return StoreReply::Outcome::done;
}

StoreReply MemoryBackend::execute(const StoreCommand& command) {
  StoreReply reply;
  reply.states.resize(command.counters.size());
  if (caps_.empty()) {
    reply.outcome = apply(command, reply);
  } else {
    StoreCommand capped = command;
    for (std::size_t i = 0; i < capped.counters.size(); ++i) {
      reply.states[i].caps = cap_of(capped.counters[i], command.now);
      put_in_place(reply.states[i].caps, capped.counters[i].limits);
    }
    reply.outcome = apply(capped, reply);
  }
  if (reply.outcome == StoreReply::Outcome::done && command.op != StoreCommand::Op::snapshot &&
      command.op != StoreCommand::Op::list_caps && command.op != StoreCommand::Op::list_counters)
    ++version_;
  reply.now = command.now;
  reply.epoch = epoch_;
  reply.version = version_;
  reply.expired = std::exchange(expired_, {});
  for (std::size_t i = 0; i < command.counters.size(); ++i) {
    const SlotSums sums = sums_of(command.counters[i]);
    reply.states[i].spent = to_amounts(sums.spent);
    reply.states[i].reserved = to_amounts(sums.held);
    reply.states[i].known = counters_.contains({command.counters[i].name, command.counters[i].window});
  }
  return reply;
}

StoreReply::Outcome MemoryBackend::apply(const StoreCommand& command, StoreReply& reply) {
  using Op = StoreCommand::Op;
  using Outcome = StoreReply::Outcome;
  const auto found = holds_.find(command.id);
  Hold* const hold = found == holds_.end() ? nullptr : &found->second;
  switch (command.op) {
    case Op::snapshot:
      return Outcome::done;
    case Op::set_cap: {
      const Outcome outcome = set_cap(command);
      reply.states.front().caps = cap_of(command.counters.front(), command.now);
      return outcome;
    }
    case Op::list_caps:
      for (const auto& [key, cap] : caps_)
        if (!cap.until || command.now < *cap.until) reply.caps.push_back(cap);
      return Outcome::done;
    case Op::list_counters:
      for (const auto& [key, counter] : counters_)
        if (key.first.starts_with(command.prefix)) reply.counters.push_back({key.first, key.second});
      return Outcome::done;
    case Op::renew:
      for (const std::string& id : command.ids)
        if (const auto at = holds_.find(id); at != holds_.end() && at->second.stage == Stage::held)
          set_deadline(at->first, at->second, command.now, command.lease);
      return Outcome::done;
    case Op::reserve:
      return reserve(command, reply);
    case Op::extend:
      return extend(command, reply);
    case Op::settle:
    case Op::release: {
      if (!hold && command.detached) return Outcome::ended;
      const bool settles = command.op == Op::settle;
      if (hold && hold->stage == Stage::ended) {
        if (settles) reply.crossed = known_of(command, hold->crossed);
        return Outcome::ended;
      }
      std::vector<Place> places;
      if (hold)
        places = hold->places;
      else if (settles)
        for (const StoreCounter& counter : command.counters) places.push_back(place_of(counter));
      for (const Place& place : places) {
        if (hold && hold->stage == Stage::held) unhold_in(place, hold->amount);
        if (hold && hold->stage == Stage::charged) subtract(place.slot->second.sums.spent, hold->amount);
        if (settles) add(place.slot->second.sums.spent, spendable(to_vector(command.amount)));
      }
      end(command);
      if (settles) announce(command, reply);
      if (!reply.crossed.empty())
        if (const auto ended = holds_.find(command.id); ended != holds_.end()) ended->second.crossed = reply.crossed;
      return Outcome::done;
    }
    case Op::adjust:
      if (hold) return Outcome::ended;
      for (const StoreCounter& counter : command.counters)
        add(place_of(counter).slot->second.sums.spent, spendable(to_vector(command.amount)));
      end(command);
      announce(command, reply);
      return Outcome::done;
  }
  return Outcome::ended;
}

StoreReply::Outcome MemoryBackend::reserve(const StoreCommand& command, StoreReply& reply) {
  using Outcome = StoreReply::Outcome;
  if (const auto known = holds_.find(command.id); known != holds_.end())
    return known->second.stage == Stage::held ? Outcome::done : Outcome::ended;
  for (const StoreCounter& counter : command.counters)
    if (!is_present(counter, command.now)) return Outcome::turned;
  const Vector amount = to_vector(command.amount);
  if (!has_room(command, amount, reply)) return Outcome::refused;
  Hold made;
  made.amount = amount;
  made.on_expiry = command.on_expiry;
  made.detached = command.detached;
  made.places.reserve(command.counters.size());
  for (const StoreCounter& counter : command.counters) made.places.push_back(place_of(counter));
  Hold& kept = holds_[command.id] = std::move(made);
  for (const Place& place : kept.places) {
    hold_in(place, amount);
    ++place.slot->second.holds;
  }
  set_deadline(command.id, kept, command.now, command.lease);
  return Outcome::done;
}

StoreReply::Outcome MemoryBackend::extend(const StoreCommand& command, StoreReply& reply) {
  using Outcome = StoreReply::Outcome;
  const auto known = holds_.find(command.id);
  if (known == holds_.end() || known->second.stage != Stage::held) return Outcome::ended;
  Hold& hold = known->second;
  Vector more = to_vector(command.amount);
  for (std::size_t d = 0; d < dimension_count; ++d) more[d] = std::max<std::int64_t>(0, more[d] - hold.amount[d]);
  if (more == Vector{}) return Outcome::done;
  if (!has_room(command, more, reply)) return Outcome::refused;
  add(hold.amount, more);
  for (const Place& place : hold.places) hold_in(place, more);
  return Outcome::done;
}

/// Whether every counter has room. Where one has none, the reply says when it may have.
bool MemoryBackend::has_room(const StoreCommand& command, const Vector& amount, StoreReply& reply) const {
  bool all = true;
  for (const StoreCounter& counter : command.counters) all = all && detail::has_room(counter, sums_of(counter), amount);
  for (std::size_t i = 0; !all && i < command.counters.size(); ++i) {
    std::vector<CountedSlot> slots;
    const SlotSums sum = sums_of(command.counters[i], &slots);
    reply.states[i].fits_at = fits_at(command.counters[i], slots, sum, amount);
  }
  return all;
}

/// Whether what the command adds to what was spent is a number that exists; what is reserved counts too, as it may be charged.
bool MemoryBackend::can_end(const StoreCommand& command) {
  using Op = StoreCommand::Op;
  if (command.op != Op::settle && command.op != Op::adjust) return true;
  const auto found = holds_.find(command.id);
  if (found != holds_.end() && found->second.stage == Stage::ended) return true;
  for (const StoreCounter& counter : command.counters) {
    SlotSums sum = sums_of(counter);
    if (found != holds_.end())
      (void)checked_add(found->second.stage == Stage::held ? sum.held : sum.spent, found->second.amount, -1);
    if (!checked_add(sum.spent, spendable(to_vector(command.amount)), 1) || !checked_add(sum.spent, sum.held, 1))
      return false;
  }
  return true;
}

void MemoryBackend::announce(const StoreCommand& command, StoreReply& reply) {
  for (std::size_t i = 0; i < command.counters.size(); ++i) {
    const StoreCounter& counter = command.counters[i];
    if (counter.thresholds.empty()) continue;
    const Place place = place_of(counter);
    const Slots& slots = place.counter->second.slots;
    const Vector spent = sums_of(counter).spent;
    const auto told = [&](const Announced& one) {
      for (auto at = slots.lower_bound(counter.counted_from); at != slots.end() && at->first <= counter.counted_to;
           ++at)
        if (std::find(at->second.told.begin(), at->second.told.end(), one) != at->second.told.end()) return true;
      return false;
    };
    for (std::size_t t = 0; t < counter.thresholds.size(); ++t)
      if (detail::announce(to_vector(counter.thresholds[t].at), spent, told,
                           [&](const Announced& one) { place.slot->second.told.push_back(one); }))
        reply.crossed.push_back({i, t, counter.thresholds[t].fraction});
  }
}

// --- slots ---

MemoryBackend::Place MemoryBackend::place_of(const StoreCounter& counter) {
  const auto named = counters_.try_emplace({counter.name, counter.window}).first;
  const auto [slot, fresh] = named->second.slots.try_emplace(counter.begin);
  const Place place{named, slot};
  if (fresh && counter.keep_until != Time::max()) to_forget_.emplace(counter.keep_until, place);
  return place;
}

void MemoryBackend::hold_in(const Place& place, const Vector& amount) noexcept {
  add(place.slot->second.sums.held, amount);
  place.counter->second.in_flight += amount[in_flight];
}

void MemoryBackend::unhold_in(const Place& place, const Vector& amount) noexcept {
  subtract(place.slot->second.sums.held, amount);
  place.counter->second.in_flight -= amount[in_flight];
}

SlotSums MemoryBackend::sums_of(const StoreCounter& counter, std::vector<CountedSlot>* slots) const {
  SlotSums sum;
  const auto found = counters_.find({counter.name, counter.window});
  if (found == counters_.end()) return sum;
  const Slots& all = found->second.slots;
  for (auto at = all.lower_bound(counter.counted_from); at != all.end() && at->first <= counter.counted_to; ++at) {
    sum += at->second.sums;
    if (slots) slots->push_back({at->first, at->second.sums});
  }
  sum.held[in_flight] = found->second.in_flight;
  return sum;
}

// --- time ---

void MemoryBackend::set_deadline(const std::string& id, Hold& hold, Time now, std::chrono::milliseconds lease) {
  if (hold.deadline != Time::max()) deadlines_.erase({hold.deadline, id});
  hold.deadline = lease > century ? Time::max() : instant_after(now, lease);
  if (hold.deadline != Time::max()) deadlines_.insert({hold.deadline, id});
}

/// An id without a lease is of this process, which asks nothing twice, so it need not be remembered.
void MemoryBackend::end(const StoreCommand& command) {
  Hold& ended = holds_[command.id];
  ended.stage = Stage::ended;
  drop(ended);
  const bool adjusts = command.op == StoreCommand::Op::adjust;
  const bool remember = adjusts || command.lease != std::chrono::milliseconds::max();
  std::chrono::milliseconds keep = remember ? keep_ended : command.lease;
  if (adjusts) keep = std::max(keep, command.lease);
  set_deadline(command.id, ended, command.now, keep);
  if (!remember) holds_.erase(command.id);
}

/// The id does not refer to its slots any more.
void MemoryBackend::drop(Hold& hold) noexcept {
  for (const Place& place : hold.places) --place.slot->second.holds;
  hold.places.clear();
}

void MemoryBackend::expire(Time now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const std::string id = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    Hold& hold = holds_[id];
    hold.deadline = Time::max();
    if (hold.stage != Stage::held) {
      drop(hold);
      holds_.erase(id);
      continue;
    }
    const Vector charged = hold.on_expiry == OnExpiry::charge ? spendable(hold.amount) : Vector{};
    for (const Place& place : hold.places) {
      unhold_in(place, hold.amount);
      add(place.slot->second.sums.spent, charged);
      expired_.push_back({{place.counter->first.first, place.counter->first.second}, to_amounts(charged)});
    }
    hold.amount = charged;
    hold.stage = Stage::charged;
    set_deadline(id, hold, now, hold.detached ? keep_detached : keep_expired);
    ++version_;
  }
}

void MemoryBackend::forget_old(Time now) {
  for (std::size_t n = 0; n < forget_at_once && !to_forget_.empty() && to_forget_.begin()->first <= now; ++n) {
    const Place place = to_forget_.begin()->second;
    to_forget_.erase(to_forget_.begin());
    if (place.slot->second.holds != 0) {
      to_forget_.emplace(now + keep_ended, place);
      continue;
    }
    Slots& slots = place.counter->second.slots;
    slots.erase(place.slot);
    if (slots.empty()) counters_.erase(place.counter);
  }
}

std::size_t MemoryBackend::slots() const noexcept {
  std::size_t all = 0;
  for (const auto& [name, counter] : counters_) all += counter.slots.size();
  return all;
}

void MemoryBackend::reset() noexcept {
  caps_.clear();
  for (auto& [name, counter] : counters_)
    for (auto& [begin, slot] : counter.slots) {
      slot.sums.spent = {};
      slot.told.clear();
    }
  for (auto at = holds_.begin(); at != holds_.end();) {
    Hold& hold = at->second;
    if (hold.stage == Stage::charged) hold.amount = {};
    if (hold.stage != Stage::ended) {
      ++at;
      continue;
    }
    deadlines_.erase({hold.deadline, at->first});
    at = holds_.erase(at);
  }
  // Nothing is kept of a name but what running calls refer to.
  std::erase_if(to_forget_, [](const auto& one) { return one.second.slot->second.holds == 0; });
  for (auto& [name, counter] : counters_)
    std::erase_if(counter.slots, [](const auto& slot) { return slot.second.holds == 0; });
  std::erase_if(counters_, [](const auto& named) { return named.second.slots.empty(); });
}

}  // namespace detail

std::unique_ptr<StoreBackend> memory_backend() { return std::make_unique<detail::MemoryBackend>(); }

std::shared_ptr<Store> memory_store(const StoreOptions& options) {
  return std::make_shared<Store>(memory_backend(), options);
}

}  // namespace outlay
