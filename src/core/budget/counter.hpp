#pragma once

#include <algorithm>

#include "core/base/vector.hpp"

namespace outlay::detail {

/// What one budget counts, against its caps, in every dimension. The same whether the budget counts in its tree or in a store.
struct Counter {
  Vector used{};  ///< Spent and held together: what a fit is judged by.
  Vector held{};  ///< Of `used`, what running calls hold.
  Vector cap = no_caps;

  /// From what a store reports. Spend may be negative there after a refund; it is bounded so that `room` cannot overflow.
  [[nodiscard]] static Counter of(const Vector& spent, const Vector& held, const Vector& cap) noexcept {
    Counter counter{.used = spent, .held = held, .cap = cap};
    for (std::size_t d = 0; d < dimension_count; ++d)
      counter.used[d] = std::max(saturating_add(spent[d], held[d]), cap[d] - no_cap);
    return counter;
  }

  [[nodiscard]] std::int64_t spent(std::size_t d) const noexcept { return used[d] - held[d]; }
  [[nodiscard]] Vector spent() const noexcept { return minus(used, held); }
  /// Negative over the cap.
  [[nodiscard]] std::int64_t room(std::size_t d) const noexcept { return cap[d] - used[d]; }
  /// What a call may still need. Of what is over its cap that is nothing; a call that needs nothing of it fits all the same.
  [[nodiscard]] std::int64_t left(std::size_t d) const noexcept { return std::max<std::int64_t>(room(d), 0); }
  [[nodiscard]] bool capped(std::size_t d) const noexcept { return cap[d] != no_cap; }
  [[nodiscard]] bool in_the_way(const Vector& need, std::size_t d) const noexcept { return need[d] > left(d); }

  /// An exact hit fits.
  [[nodiscard]] bool fits(const Vector& need) const noexcept {
    std::uint64_t over = 0;  // without a branch for each dimension
    for (std::size_t d = 0; d < dimension_count; ++d) over |= static_cast<std::uint64_t>(left(d) < need[d]);
    return over == 0;
  }
  /// Whether `more` can be added and taken off again, whatever the caps say.
  [[nodiscard]] bool can_count(const Vector& more) const noexcept {
    for (std::size_t d = 0; d < dimension_count; ++d)
      if (more[d] > 0 && used[d] > INT64_MAX - more[d]) return false;
    return true;
  }

  /// Exact for what fits or can be counted. Beyond that, where observe mode holds all the same, it wraps, and the end of the call takes it
  /// back.
  void hold(const Vector& more) noexcept {
    const auto plus = [](std::int64_t a, std::int64_t b) {
      return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
    };
    for (std::size_t d = 0; d < dimension_count; ++d) {
      used[d] = plus(used[d], more[d]);
      held[d] = plus(held[d], more[d]);
    }
  }
  /// Replaces what a call held by what it has used, which is no more: nothing overflows, and no cap is crossed.
  ///
  /// \param change What it has used, less what it held.
  void end_within(const Vector& call_held, const Vector& change) noexcept {
    for (std::size_t d = 0; d < dimension_count; ++d) used[d] += change[d];
    for (std::size_t d = 0; d < dimension_count; ++d) held[d] -= call_held[d];
  }
  /// Replaces what a call held by what it has used.
  void end(const Vector& call_held, const Vector& actual) noexcept {
    for (std::size_t d = 0; d < dimension_count; ++d) {
      used[d] = saturating_add(used[d], actual[d] - call_held[d]);  // both are between 0 and the largest amount
      held[d] -= call_held[d];
    }
  }
};

}  // namespace outlay::detail
