#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/budget/counter.hpp"

namespace outlay::detail {

/// What `spent` has to reach for a fraction of notify_at, in each dimension; no_cap where nothing can reach it.
[[nodiscard]] Vector threshold_amounts(double fraction, const Vector& caps) noexcept;

/// The capped dimension of which the largest share is spent.
[[nodiscard]] Dimension most_spent(const Counter& counter) noexcept;

/// An amount that was announced: in a slot it is announced once.
struct Announced {
  std::uint8_t dimension{};
  std::int64_t amount{};
  bool operator==(const Announced&) const noexcept = default;
};

/// Announces a threshold that is reached and was not announced.
///
/// \param at What each dimension has to reach; no_cap where nothing can.
/// \param was_told Says of an Announced whether it has been announced in a slot that counts.
/// \param tell Called with each amount that is reached, if the threshold is announced.
template <class WasTold, class Tell>
bool announce(const Vector& at, const Vector& spent, const WasTold& was_told, const Tell& tell) {
  bool reached = false;
  for (std::size_t d = 0; d < dimension_count; ++d) {
    if (at[d] == no_cap) continue;
    if (was_told(Announced{static_cast<std::uint8_t>(d), at[d]})) return false;
    reached |= spent[d] >= at[d];
  }
  if (!reached) return false;
  for (std::size_t d = 0; d < dimension_count; ++d)
    if (at[d] != no_cap && spent[d] >= at[d]) tell(Announced{static_cast<std::uint8_t>(d), at[d]});
  return true;
}

/// The thresholds of a budget that counts in its tree. Guarded by what guards the counter.
class Thresholds {
 public:
  Thresholds() = default;
  Thresholds(std::span<const double> fractions, const Vector& caps);

  [[nodiscard]] bool pending() const noexcept { return pending_; }
  /// The next fraction that `counter` has reached and that was not announced. It counts as announced.
  [[nodiscard]] std::optional<double> take(const Counter& counter);
  /// After a change of caps: the fractions stand for other amounts. Those that were announced are not announced again.
  void adapt(const Vector& caps);
  /// All are announced anew.
  void forget() noexcept;

 private:
  struct Threshold {
    double fraction = 0;
    Vector at{};
    bool told = false;
  };
  [[nodiscard]] bool was_told(const Announced& one) const noexcept;

  std::vector<Threshold> all_;  // ascending
  std::vector<Announced> told_;
  bool pending_ = false;  // some of `all_` are not told
};

}  // namespace outlay::detail
