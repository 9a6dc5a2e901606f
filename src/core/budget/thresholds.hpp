#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "core/budget/counter.hpp"

namespace outlay::detail {

/// What `spent` has to reach for a fraction of notify_at, in each dimension; no_cap where nothing can reach it.
[[nodiscard]] Vector threshold_amounts(double fraction, const Vector& caps) noexcept;

/// The capped dimension of which the largest share is spent.
[[nodiscard]] Dimension most_spent(const Counter& counter) noexcept;

/// The fractions of notify_at that a budget has still to announce, ascending. Guarded by what guards the counter.
class Thresholds {
 public:
  Thresholds() = default;
  Thresholds(const std::vector<double>& fractions, const Vector& caps);

  [[nodiscard]] bool pending() const noexcept { return next_ < all_.size(); }
  /// The next fraction, if `counter` has reached it.
  [[nodiscard]] std::optional<double> reached(const Counter& counter) const noexcept;
  /// The next fraction has been announced.
  void announced() noexcept { ++next_; }
  /// After a change of caps. Those that were announced stay so.
  void adapt(const Vector& caps) noexcept;

 private:
  struct Threshold {
    double fraction = 0;
    Vector at{};
  };
  std::vector<Threshold> all_;
  std::size_t next_ = 0;
};

}  // namespace outlay::detail
