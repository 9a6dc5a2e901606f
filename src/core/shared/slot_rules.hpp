#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/budget/thresholds.hpp"
#include "outlay/store.hpp"

// What the slots of a store mean, for backends that keep them as numbers: the same in memory and in a file. (A server's script says it in
// its own language, and the contract's tests compare them all.)

namespace outlay::detail {

/// What one slot, or several together, have spent and hold.
struct SlotSums {
  Vector spent{}, held{};
};

inline void operator+=(SlotSums& sum, const SlotSums& slot) noexcept {
  add(sum.spent, slot.spent);
  add(sum.held, slot.held);
}

/// What of an amount is spent where it is charged: a call in flight is never spent.
[[nodiscard]] inline Vector spendable(Vector amount) noexcept {
  amount[index(Dimension::concurrent)] = 0;
  return amount;
}

/// At most the last instant that there is.
[[nodiscard]] inline Time instant_after(Time time, std::chrono::nanoseconds by) noexcept {
  return Time(std::chrono::nanoseconds(saturating_add(time.time_since_epoch().count(), by.count())));
}

/// Whether the slot that a counter charges is the one around an instant. A slot without an end is the only one.
[[nodiscard]] inline bool is_present(const StoreCounter& counter, Time now) noexcept {
  return counter.end == Time::max() || (counter.begin <= now && now < counter.end);
}

/// Whether a counter with these sums has room for `more`, and the sum is a number that exists.
[[nodiscard]] inline bool has_room(const StoreCounter& counter, const SlotSums& sum, const Vector& more) noexcept {
  const Vector limit = to_vector(counter.limits);
  for (std::size_t d = 0; d < dimension_count; ++d) {
    std::int64_t used = 0, after = 0;
    if (more[d] == 0) continue;
    if (__builtin_add_overflow(sum.spent[d], sum.held[d], &used) || __builtin_add_overflow(used, more[d], &after))
      return false;
    if (limit[d] == no_cap || counter.room == Room::any) continue;
    if (counter.room == Room::fits ? after > limit[d] : used >= limit[d]) return false;
  }
  return true;
}

/// The limits of a cap that is set, as far as it has some, in the place of a program's.
inline void put_in_place(const Limits& set, Limits& limits) noexcept {
  if (set.usd) limits.usd = set.usd;
  if (set.tokens) limits.tokens = set.tokens;
  if (set.input_tokens) limits.input_tokens = set.input_tokens;
  if (set.output_tokens) limits.output_tokens = set.output_tokens;
  if (set.calls) limits.calls = set.calls;
  if (set.concurrent) limits.concurrent = set.concurrent;
}

/// Whether set_cap may replace the cap that is kept; without limits none is.
[[nodiscard]] inline bool may_replace(const StoreCommand& command, const Limits& limits, std::optional<Time> until) {
  if (!command.expected || command.expected->limits != limits) return !command.expected;
  return limits == Limits{} || command.expected->until == until;
}

/// Of what the end of an id crossed: what the command that is asked again has, too.
[[nodiscard]] inline std::vector<StoreReply::Crossed> known_of(const StoreCommand& command,
                                                               std::vector<StoreReply::Crossed> crossed) {
  std::erase_if(crossed, [&](StoreReply::Crossed& one) {
    const bool known =
        one.counter < command.counters.size() && one.threshold < command.counters[one.counter].thresholds.size();
    if (known) one.fraction = command.counters[one.counter].thresholds[one.threshold].fraction;
    return !known;
  });
  return crossed;
}

/// A slot that counts at a counter.
struct CountedSlot {
  Time begin{};
  SlotSums sums{};
};

/// StoreReply::State::fits_at of a counter that has no room.
///
/// \param slots All that count there, in any order; they are sorted.
/// \param sum Of them, with all that the name has in flight.
[[nodiscard]] inline std::optional<Time> fits_at(const StoreCounter& counter, std::vector<CountedSlot>& slots,
                                                 SlotSums sum, const Vector& more) {
  if (counter.counted_from == counter.counted_to || counter.end == Time::max() || has_room(counter, sum, more))
    return {};
  std::sort(slots.begin(), slots.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  constexpr std::size_t in_flight = index(Dimension::concurrent);
  for (const CountedSlot& slot : slots) {
    subtract(sum.spent, slot.sums.spent);
    Vector held = slot.sums.held;
    held[in_flight] = 0;  // these go on running
    subtract(sum.held, held);
    // A window that begins behind a slot counts it no more.
    if (has_room(counter, sum, more)) return instant_after(slot.begin, counter.end - counter.counted_from);
  }
  return {};
}

}  // namespace outlay::detail
