#pragma once

// The smallest thing that means what StoreBackend says: one map of counters, one of ids, no thought of speed. What the contract suite
// compares stores with. Amounts must be small: it does not look for overflow.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "outlay/store.hpp"
#include "outlay/usd.hpp"

namespace outlay_test {

constexpr std::size_t dimensions = 6;
using Dimensions = std::array<std::int64_t, dimensions>;

inline Dimensions dims(const outlay::Amounts& a) {
  return {a.usd.nanos(), a.tokens, a.input_tokens, a.output_tokens, a.calls, a.concurrent};
}
inline outlay::Amounts amounts(const Dimensions& d) {
  return {outlay::Usd::from_nanos(d[0]), d[1], d[2], d[3], d[4], d[5]};
}
inline std::array<std::optional<std::int64_t>, dimensions> dims(const outlay::Limits& l) {
  const std::optional<std::int64_t> usd = l.usd ? std::optional<std::int64_t>(l.usd->nanos()) : std::nullopt;
  return {usd, l.tokens, l.input_tokens, l.output_tokens, l.calls, l.concurrent};
}
inline outlay::Limits limit_of(std::size_t dimension, std::int64_t value) {
  outlay::Limits limits;
  switch (dimension) {
    case 0:
      limits.usd = outlay::Usd::from_nanos(value);
      break;
    case 1:
      limits.tokens = value;
      break;
    case 2:
      limits.input_tokens = value;
      break;
    case 3:
      limits.output_tokens = value;
      break;
    case 4:
      limits.calls = value;
      break;
    default:
      limits.concurrent = value;
  }
  return limits;
}
inline outlay::Amounts amount_of(std::size_t dimension, std::int64_t value) {
  Dimensions d{};
  d[dimension] = value;
  return amounts(d);
}

/// 32 hexadecimal digits.
inline std::string store_id(std::uint64_t number) {
  char text[33];
  std::snprintf(text, sizeof text, "%032llx", static_cast<unsigned long long>(number));
  return text;
}

class StoreModel {
 public:
  using Op = outlay::StoreCommand::Op;
  using Outcome = outlay::StoreReply::Outcome;

  /// \return As a store's; epoch and version are left out, `changed` says whether any counter was.
  outlay::StoreReply apply(const outlay::StoreCommand& command, bool& changed) {
    changed = expire(command.now);
    outlay::StoreReply reply;
    reply.now = command.now;
    reply.outcome = decide(command, changed);
    const Dimensions more = reply.outcome == Outcome::refused ? missing(command) : Dimensions{};
    for (const outlay::StoreCounter& counter : command.counters) {
      reply.states.push_back(state(counter));
      if (reply.outcome == Outcome::refused) reply.states.back().fits_at = fits_at(counter, more);
    }
    if ((command.op == Op::settle || command.op == Op::adjust) && reply.outcome == Outcome::done)
      for (std::size_t i = 0; i < command.counters.size(); ++i)
        cross(command.counters[i], reply.states[i].spent, i, reply.crossed);
    if (command.op == Op::settle && reply.outcome == Outcome::done) crossed_[command.id] = reply.crossed;
    if (command.op == Op::settle && reply.outcome == Outcome::ended) reply.crossed = crossed_[command.id];
    return reply;
  }

  [[nodiscard]] outlay::StoreReply::State state(const outlay::StoreCounter& counter) const {
    Dimensions spent{}, reserved{};
    const auto found = counters_.find({counter.name, counter.window});
    if (found != counters_.end())
      for (const auto& [begin, slot] : found->second)
        for (std::size_t d = 0; d < dimensions; ++d) {
          const bool counts = begin >= counter.counted_from && begin <= counter.counted_to;
          if (counts) spent[d] += slot.spent[d];
          if (counts || d == in_flight) reserved[d] += slot.reserved[d];
        }
    return {amounts(spent), amounts(reserved), {}, 0};
  }

 private:
  using Name = std::pair<std::string, std::string>;
  struct Slot {
    Dimensions spent{}, reserved{};
    std::set<std::pair<std::size_t, std::int64_t>> told{};  // dimensions and amounts
  };
  struct Held {
    std::vector<std::pair<Name, outlay::Time>> at{};
    Dimensions amount{};
    Dimensions charged{};  // at its expiry
    outlay::Time expires{};
    outlay::OnExpiry on_expiry{};
    bool expired = false;
    bool ended = false;
  };

  static constexpr std::size_t in_flight = 5;

  Slot& slot(const std::pair<Name, outlay::Time>& at) { return counters_[at.first][at.second]; }

  bool expire(outlay::Time now) {
    bool any = false;
    for (auto& [id, held] : ids_) {
      if (held.ended || held.expired || held.expires > now) continue;
      any = held.expired = true;
      if (held.on_expiry == outlay::OnExpiry::charge) held.charged = spendable(held.amount);
      for (const auto& at : held.at) add(slot(at).reserved, held.amount, -1), add(slot(at).spent, held.charged, 1);
    }
    return any;
  }

  static void add(Dimensions& to, const Dimensions& amount, std::int64_t sign) {
    for (std::size_t d = 0; d < dimensions; ++d) to[d] += sign * amount[d];
  }
  static Dimensions spendable(Dimensions amount) {
    amount[5] = 0;  // a call in flight is never spent
    return amount;
  }

  /// What a command that reserves asks for beside what its id holds.
  [[nodiscard]] Dimensions missing(const outlay::StoreCommand& command) const {
    Dimensions more = dims(command.amount);
    const auto held = ids_.find(command.id);
    if (held != ids_.end())
      for (std::size_t d = 0; d < dimensions; ++d)
        more[d] = std::max<std::int64_t>(0, more[d] - held->second.amount[d]);
    return more;
  }

  /// The first moment at which a window of this length, whose slots are as they are, has room.
  [[nodiscard]] std::optional<outlay::Time> fits_at(const outlay::StoreCounter& counter, const Dimensions& more) const {
    if (counter.counted_from == counter.counted_to || counter.end == outlay::Time::max() || fits(counter, more))
      return {};
    std::optional<outlay::Time> first;
    for (const auto& [begin, slot] : counters_.at({counter.name, counter.window})) {
      if (begin < counter.counted_from || begin > counter.counted_to) continue;
      outlay::StoreCounter later = counter;
      later.counted_from = begin + std::chrono::nanoseconds(1);
      if (!first && fits(later, more)) first = begin + (counter.end - counter.counted_from);
    }
    return first;
  }

  [[nodiscard]] bool fits(const outlay::StoreCounter& counter, const Dimensions& more) const {
    if (counter.room == outlay::Room::any) return true;
    const outlay::StoreReply::State now = state(counter);
    const Dimensions spent = dims(now.spent), reserved = dims(now.reserved);
    const auto limits = dims(counter.limits);
    for (std::size_t d = 0; d < dimensions; ++d) {
      if (!limits[d] || more[d] == 0) continue;
      const std::int64_t used = spent[d] + reserved[d];
      if (counter.room == outlay::Room::fits ? used + more[d] > *limits[d] : used >= *limits[d]) return false;
    }
    return true;
  }

  Outcome decide(const outlay::StoreCommand& command, bool& changed) {
    if (command.op == Op::snapshot) return Outcome::done;
    if (command.op == Op::renew) {
      for (const std::string& id : command.ids)
        if (const auto held = ids_.find(id); held != ids_.end() && !held->second.ended && !held->second.expired)
          held->second.expires = command.now + command.lease;
      return Outcome::done;
    }
    const auto found = ids_.find(command.id);
    if (found != ids_.end() && found->second.ended) return Outcome::ended;
    Held* held = found == ids_.end() ? nullptr : &found->second;
    const Dimensions amount = dims(command.amount);
    switch (command.op) {
      case Op::reserve:
      case Op::extend: {
        if (held && held->expired) return Outcome::ended;
        if (held && command.op == Op::reserve) return Outcome::done;
        if (!held && command.op == Op::extend) return Outcome::ended;
        if (!held)
          for (const outlay::StoreCounter& counter : command.counters)
            if (counter.end != outlay::Time::max() && (command.now < counter.begin || command.now >= counter.end))
              return Outcome::turned;
        Dimensions more = amount;
        if (held)
          for (std::size_t d = 0; d < dimensions; ++d) more[d] = std::max<std::int64_t>(0, amount[d] - held->amount[d]);
        for (const outlay::StoreCounter& counter : command.counters)
          if (!fits(counter, more)) return Outcome::refused;
        if (!held) {
          held = &ids_[command.id];
          held->on_expiry = command.on_expiry;
          held->expires = command.now + command.lease;
          held->at = places(command);
        }
        add(held->amount, more, 1);
        for (const auto& at : held->at) add(slot(at).reserved, more, 1);
        changed = changed || more != Dimensions{};
        return Outcome::done;
      }
      default: {  // settle, release, adjust
        if (!held) {
          held = &ids_[command.id];
          held->at = places(command);
        }
        Dimensions back{}, more{};
        if (!held->expired) back = held->amount;
        if (command.op != Op::release) more = spendable(amount);
        add(more, held->charged, -1);
        for (const auto& at : held->at) add(slot(at).reserved, back, -1), add(slot(at).spent, more, 1);
        held->ended = true;
        changed = changed || back != Dimensions{} || more != Dimensions{};
        return Outcome::done;
      }
    }
  }

  static std::vector<std::pair<Name, outlay::Time>> places(const outlay::StoreCommand& command) {
    std::vector<std::pair<Name, outlay::Time>> at;
    for (const outlay::StoreCounter& counter : command.counters)
      at.push_back({{counter.name, counter.window}, counter.begin});
    return at;
  }

  void cross(const outlay::StoreCounter& counter, const outlay::Amounts& spent, std::size_t index,
             std::vector<outlay::StoreReply::Crossed>& crossed) {
    auto& slots = counters_[{counter.name, counter.window}];
    const Dimensions reached = dims(spent);
    for (std::size_t t = 0; t < counter.thresholds.size(); ++t) {
      const auto at = dims(counter.thresholds[t].at);
      bool told = false;
      std::set<std::pair<std::size_t, std::int64_t>> fresh;
      for (std::size_t d = 0; d < dimensions; ++d) {
        if (!at[d]) continue;
        for (const auto& [begin, slot] : slots)
          if (begin >= counter.counted_from && begin <= counter.counted_to)
            told = told || slot.told.count({d, *at[d]}) != 0;
        if (reached[d] >= *at[d]) fresh.insert({d, *at[d]});
      }
      if (told || fresh.empty()) continue;
      slots[counter.begin].told.insert(fresh.begin(), fresh.end());
      crossed.push_back({index, t, counter.thresholds[t].fraction});
    }
  }

  std::map<Name, std::map<outlay::Time, Slot>> counters_{};
  std::map<std::string, Held> ids_{};
  std::map<std::string, std::vector<outlay::StoreReply::Crossed>> crossed_{};  // by the settlements of these
};

}  // namespace outlay_test
