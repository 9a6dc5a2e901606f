#pragma once

// Shared budgets in time, as they are meant: what a counter has spent is a number for each slot, what it holds is the sum over the calls
// that run. No thought of speed, and nothing of how a store does it.
#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "contract/store_model.hpp"
#include "contract/time_windows.hpp"
#include "outlay/record.hpp"
#include "outlay/store.hpp"

namespace outlay_test::in_time {

using outlay::Action;
using Caps = std::array<std::optional<std::int64_t>, dimensions>;
constexpr std::size_t in_flight = 5;  // Dimension::concurrent

enum class Policy { block, warn, raise };

/// A budget, as every process opens it.
struct Plan {
  std::string name{};
  const Kind* kind = nullptr;
  outlay::Limits limits{};
  std::vector<double> notify_at{};
  Policy policy = Policy::block;
};
/// A budget and those around it, the innermost first.
using Chain = std::vector<const Plan*>;
/// A counter: a name and the id of its window.
using Key = std::pair<std::string, std::string>;
inline Key key_of(const Plan& plan) { return {plan.name, plan.kind->window.id()}; }

/// An event, as far as the model says it.
struct Told {
  Action action{};
  std::string budget{};
  std::size_t dimension = 0;
  std::int64_t projected = 0, cap = 0;
  double fraction = 0;

  auto operator<=>(const Told&) const = default;
};

struct Obstacle {
  std::string budget{};
  std::size_t dimension = 0;
  std::int64_t limit = 0, spent = 0, reserved = 0, requested = 0;
  std::optional<Seconds> retry_at{};

  bool operator==(const Obstacle&) const = default;
};
struct Refusal {
  std::string budget{};
  std::vector<Obstacle> obstacles{};
  std::optional<Seconds> retry_at{};

  bool operator==(const Refusal&) const = default;
};

struct Numbers {
  Dimensions spent{}, reserved{};
  Caps caps{};  // that are set

  bool operator==(const Numbers&) const = default;
};

class TimeModel {
 public:
  std::vector<Told> told{};

  /// A call arrives. \return Why it is refused; nothing: it runs under `id`, whose hold expires at `expires`.
  std::optional<Refusal> admit(int id, const Chain& chain, const Dimensions& amount, Seconds now, Time expires,
                               outlay::OnExpiry on_expiry) {
    expire(now);
    Refusal refusal;
    std::vector<Told> warnings;
    bool refused = false;
    Told blocked;
    for (const Plan* plan : chain) {
      const std::vector<Obstacle> here = obstacles(*plan, chain, amount, now);
      if (here.empty()) continue;
      // Named are all that it does not fit, also where a policy would have let it through.
      refusal.obstacles.insert(refusal.obstacles.end(), here.begin(), here.end());
      const bool below = std::all_of(here.begin(), here.end(),
                                     [](const Obstacle& one) { return one.spent + one.reserved < one.limit; });
      const Told event{Action::warned, plan->name, here[0].dimension,
                       here[0].spent + here[0].reserved + here[0].requested, here[0].limit};
      if (plan->policy == Policy::warn) {
        warnings.push_back(event);
        continue;
      }
      if (plan->policy == Policy::raise && below) continue;
      if (std::exchange(refused, true)) continue;
      refusal.budget = plan->name;
      blocked = event;
      blocked.action = Action::blocked;
    }
    if (refused) {
      told.push_back(blocked);
      refusal.retry_at = 0;
      for (const Obstacle& one : refusal.obstacles)
        if (!one.retry_at || !refusal.retry_at)
          refusal.retry_at.reset();
        else
          refusal.retry_at = std::max(*refusal.retry_at, *one.retry_at);
      return refusal;
    }
    told.insert(told.end(), warnings.begin(), warnings.end());
    Call call{.amount = amount, .expires = expires, .on_expiry = on_expiry};
    for (const Plan* plan : chain) call.slots.emplace(key_of(*plan), plan->kind->at(now).begin);
    calls_[id] = call;
    return {};
  }
  /// The call ends, having used `actual`.
  /// \return Whether some cap was passed by more than was reserved.
  bool settle(int id, const Chain& chain, const Dimensions& actual, Seconds now) {
    expire(now);
    Call& call = calls_.at(id);
    std::vector<Numbers> before, after;
    for (const Plan* plan : chain) before.push_back(in_its_slot(call, *plan, now));
    for (const auto& [key, begin] : call.slots)
      for (std::size_t d = 0; d < dimensions; ++d) slots_[key][begin].spent[d] += actual[d] - call.charged[d];
    call.ended = true;
    for (const Plan* plan : chain) after.push_back(in_its_slot(call, *plan, now));
    bool over_cap = false;
    for (std::size_t i = 0; i < chain.size(); ++i)
      over_cap |= look_at_cap(*chain[i], before[i], after[i], actual, call.amount);
    announce(call, chain, now);
    calls_.erase(id);
    return over_cap;
  }
  void release(int id, Seconds now) {
    expire(now);
    const Call& call = calls_.at(id);
    for (const auto& [key, begin] : call.slots)
      for (std::size_t d = 0; d < dimensions; ++d) slots_[key][begin].spent[d] -= call.charged[d];
    calls_.erase(id);
  }
  [[nodiscard]] bool expired(int id) const { return calls_.at(id).expired; }
  [[nodiscard]] bool expired_before(int id, Seconds then) const {
    return calls_.at(id).expired && calls_.at(id).expires < time_of(then);
  }
  [[nodiscard]] Dimensions held(int id) const { return calls_.at(id).amount; }

  /// A correction. \return What the counter has afterwards, in the slot; of a rolling window, in the last one that counts the slot.
  Numbers adjust(const Key& key, const Kind& kind, Seconds at, const Dimensions& amount, const std::string& id,
                 Seconds now) {
    expire(now);
    const Seconds begin = kind.at(at).begin;
    const bool first = id.empty() || corrections_.insert(id).second;
    if (first)
      for (std::size_t d = 0; d < dimensions; ++d) slots_[key][begin].spent[d] += amount[d];
    const auto [from, to] = together(kind, begin, now);
    const Numbers after = between(key, from, to);
    if (first)
      for (std::size_t d = 0; d < dimensions; ++d)
        if (amount[d] != 0) told.push_back({Action::adjusted, key.first, d, amount[d], after.spent[d]});
    return after;
  }
  void set_cap(const Key& key, const Caps& caps, std::optional<Seconds> until, Seconds now) {
    expire(now);
    for (std::size_t d = 0; d < dimensions; ++d)
      if (caps[d]) told.push_back({Action::cap_set, key.first, d, 0, *caps[d]});
    caps_[key] = {caps, until};
    if (caps != Caps{}) return;
    caps_.erase(key);
    told.push_back({Action::cap_set, key.first, 0, 0, -1});  // none any more
  }

  /// All that a store keeps is gone. Calls go on, and are booked when they settle.
  void forget() {
    slots_.clear(), caps_.clear(), corrections_.clear(), announced_.clear();
    for (auto& [id, call] : calls_) call.charged = {}, call.expired = true, call.expires = Time::max();
  }
  /// Ledger::reset().
  void reset() { slots_.clear(), caps_.clear(), corrections_.clear(), announced_.clear(); }
  /// What has ended without a word: a call whose lease ran out is charged, or released.
  void expire(Seconds now) {
    for (auto& [id, call] : calls_) {
      if (call.expired || call.expires > time_of(now)) continue;
      call.expired = true;
      if (call.on_expiry == outlay::OnExpiry::charge) call.charged = call.amount;
      call.charged[in_flight] = 0;
      for (const auto& [key, begin] : call.slots) {
        for (std::size_t d = 0; d < dimensions; ++d) slots_[key][begin].spent[d] += call.charged[d];
        told.push_back({Action::expired, key.first, 0, call.charged[0], -1});
      }
    }
    now_ = now;
  }

  /// What a counter has in the window around `at`.
  [[nodiscard]] Numbers numbers(const Key& key, const Kind& kind, Seconds at, Seconds now) const {
    const Seconds begin = kind.at(at).begin;
    if (!kind.rolls()) return between(key, begin, begin);
    return between(key, begin - 60 * kind.slot(), begin == kind.at(now).begin ? endless : begin);
  }
  /// What holds for a budget: its own caps, and those that are set in their place.
  [[nodiscard]] Caps caps(const Plan& plan) const {
    Caps all = dims(plan.limits);
    const Caps set = set_caps(key_of(plan));
    for (std::size_t d = 0; d < dimensions; ++d)
      if (set[d]) all[d] = set[d];
    return all;
  }

 private:
  static constexpr Seconds endless = std::numeric_limits<Seconds>::max();
  struct Slot {
    Dimensions spent{};
  };
  struct Call {
    std::map<Key, Seconds> slots{};  // where it counts
    Dimensions amount{};
    Dimensions charged{};  // at its expiry
    Time expires{};
    outlay::OnExpiry on_expiry{};
    bool expired = false, ended = false;
  };
  struct Cap {
    Caps caps{};
    std::optional<Seconds> until{};
  };

  [[nodiscard]] Caps set_caps(const Key& key) const {
    const auto set = caps_.find(key);
    return set == caps_.end() || (set->second.until && *set->second.until <= now_) ? Caps{} : set->second.caps;
  }
  /// The slots that begin from `from` to `to`.
  [[nodiscard]] Numbers between(const Key& key, Seconds from, Seconds to) const {
    Numbers sum;
    if (const auto slots = slots_.find(key); slots != slots_.end())
      for (const auto& [begin, slot] : slots->second)
        if (begin >= from && begin <= to)
          for (std::size_t d = 0; d < dimensions; ++d) sum.spent[d] += slot.spent[d];
    for (const auto& [id, call] : calls_) {
      const auto at = call.slots.find(key);
      if (call.ended || call.expired || at == call.slots.end()) continue;
      // Calls in flight are the name's, in whatever slot they began.
      for (std::size_t d = 0; d < dimensions; ++d)
        if (d == in_flight || (at->second >= from && at->second <= to)) sum.reserved[d] += call.amount[d];
    }
    sum.caps = set_caps(key);
    return sum;
  }
  /// Which slots count together with the one of a call: of a rolling window, in the last window that counts it.
  [[nodiscard]] static std::pair<Seconds, Seconds> together(const Kind& kind, Seconds begin, Seconds now) {
    if (!kind.rolls()) return {begin, begin};
    const Seconds newest = kind.at(now).begin, last = begin + 60 * kind.slot();
    if (newest > last) return {begin, last};
    return {newest - 60 * kind.slot(), endless};
  }
  [[nodiscard]] Numbers in_its_slot(const Call& call, const Plan& plan, Seconds now) const {
    const auto [from, to] = together(*plan.kind, call.slots.at(key_of(plan)), now);
    return between(key_of(plan), from, to);
  }

  [[nodiscard]] std::vector<Obstacle> obstacles(const Plan& plan, const Chain& chain, const Dimensions& amount,
                                                Seconds now) const {
    const Kind::Span slot = plan.kind->at(now);
    const Caps limits = caps(plan);
    const Numbers have = numbers(key_of(plan), *plan.kind, now, now);
    std::vector<Obstacle> found;
    for (std::size_t d = 0; d < dimensions; ++d) {
      if (!limits[d] || amount[d] == 0 || have.spent[d] + have.reserved[d] + amount[d] <= *limits[d]) continue;
      std::optional<Seconds> retry_at;
      // What is more than a cap does not wait for a refund to count.
      if (amount[d] <= *limits[d]) {
        if (plan.kind->rolls())
          retry_at = fits_at(plan, chain, amount, now);
        else if (d != in_flight)
          retry_at = slot.end;
      }
      found.push_back({plan.name, d, *limits[d], have.spent[d], have.reserved[d], amount[d], retry_at});
    }
    return found;
  }
  /// When enough of a rolling window's oldest slots will have gone.
  [[nodiscard]] std::optional<Seconds> fits_at(const Plan& plan, const Chain& chain, const Dimensions& amount,
                                               Seconds now) const {
    const Key key = key_of(plan);
    std::set<Seconds> begins;
    if (const auto slots = slots_.find(key); slots != slots_.end())
      for (const auto& [begin, slot] : slots->second) begins.insert(begin);
    for (const auto& [id, call] : calls_)
      if (const auto at = call.slots.find(key); at != call.slots.end()) begins.insert(at->second);
    for (const Seconds begin : begins) {
      if (begin < plan.kind->at(now).begin - 60 * plan.kind->slot()) continue;
      const Numbers later = between(key, begin + 1, endless);
      bool fits = true;
      for (const Plan* other : chain)
        for (std::size_t d = 0; d < dimensions && key_of(*other) == key; ++d)
          if (const auto limit = caps(*other)[d]; limit && amount[d] != 0)
            fits &= later.spent[d] + later.reserved[d] + amount[d] <= *limit;
      if (fits) return begin + 61 * plan.kind->slot();
    }
    return {};
  }

  bool look_at_cap(const Plan& plan, const Numbers& before, const Numbers& after, const Dimensions& actual,
                   const Dimensions& reserved) {
    const Caps limits = caps(plan);
    bool over_cap = false;
    for (std::size_t d = 0; d < dimensions && !over_cap; ++d)
      if (limits[d] && actual[d] > reserved[d] && after.spent[d] + after.reserved[d] > *limits[d]) {
        told.push_back({Action::overrun, plan.name, d, after.spent[d] + after.reserved[d], *limits[d]});
        over_cap = true;
      }
    if (plan.policy == Policy::raise)
      for (std::size_t d = 0; d < dimensions; ++d)
        if (limits[d] && before.spent[d] <= *limits[d] && after.spent[d] > *limits[d])
          told.push_back({Action::raised, plan.name, d, after.spent[d], *limits[d]});
    return over_cap;
  }
  /// A threshold is a name, a slot, a dimension and an amount, and is announced once: of a counter the smaller fractions first.
  void announce(const Call& call, const Chain& chain, Seconds now) {
    std::multimap<double, const Plan*> thresholds;  // of equal ones in the order of the chain
    for (const Plan* plan : chain)
      for (const double fraction : plan->notify_at) thresholds.emplace(fraction, plan);
    for (const auto& [fraction, plan] : thresholds) {
      const Key key = key_of(*plan);
      const auto [from, to] = together(*plan->kind, call.slots.at(key), now);
      const Numbers have = between(key, from, to);
      const Caps limits = caps(*plan);
      std::set<std::pair<std::size_t, std::int64_t>> reached;
      bool before = false;
      std::size_t most_used = 0;
      double share = -1;
      for (std::size_t d = 0; d < in_flight; ++d) {
        if (!limits[d]) continue;
        const auto amount = static_cast<std::int64_t>(fraction * static_cast<double>(*limits[d]));
        for (const auto& [begin, amounts] : announced_[key])
          before |= begin >= from && begin <= to && amounts.count({d, amount}) != 0;
        if (have.spent[d] < amount) continue;
        reached.insert({d, amount});
        const double own = static_cast<double>(have.spent[d]) / static_cast<double>(*limits[d]);
        if (own > share) share = own, most_used = d;
      }
      if (before || reached.empty()) continue;
      announced_[key][call.slots.at(key)].insert(reached.begin(), reached.end());
      told.push_back({Action::threshold, plan->name, most_used, have.spent[most_used], *limits[most_used], fraction});
    }
  }

  std::map<Key, std::map<Seconds, Slot>> slots_{};
  std::map<Key, std::map<Seconds, std::set<std::pair<std::size_t, std::int64_t>>>> announced_{};
  std::map<Key, Cap> caps_{};
  std::map<int, Call> calls_{};
  std::set<std::string> corrections_{};
  Seconds now_ = 0;  // of the last thing that happened
};

}  // namespace outlay_test::in_time
