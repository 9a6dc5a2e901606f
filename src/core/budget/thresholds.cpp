#include "core/budget/thresholds.hpp"

#include <cmath>

namespace outlay::detail {

namespace {

constexpr std::size_t concurrent = index(Dimension::concurrent);

}  // namespace

Vector threshold_amounts(double fraction, const Vector& caps) noexcept {
  Vector at = no_caps;
  for (std::size_t d = 0; d < dimension_count; ++d) {
    if (caps[d] == no_cap || d == concurrent) continue;
    // The first whole amount at or above the fraction; the factor keeps 0.8 of 100 at 80, in spite of 0.8's last bit.
    const long double exact = static_cast<long double>(fraction) * static_cast<long double>(caps[d]) * (1 - 1e-13L);
    at[d] = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(exact)));
  }
  return at;
}

Dimension most_spent(const Counter& counter) noexcept {
  std::size_t most = 0;
  long double share = -1;
  for (std::size_t d = 0; d < dimension_count; ++d) {
    if (!counter.capped(d) || counter.cap[d] == 0 || d == concurrent) continue;
    const long double own = static_cast<long double>(counter.spent(d)) / static_cast<long double>(counter.cap[d]);
    if (own > share) share = own, most = d;
  }
  return static_cast<Dimension>(most);
}

Thresholds::Thresholds(const std::vector<double>& fractions, const Vector& caps) {
  all_.reserve(fractions.size());
  for (const double fraction : fractions) all_.push_back({fraction, threshold_amounts(fraction, caps)});
}

std::optional<double> Thresholds::reached(const Counter& counter) const noexcept {
  if (!pending()) return std::nullopt;
  for (std::size_t d = 0; d < dimension_count; ++d)
    if (counter.spent(d) >= all_[next_].at[d]) return all_[next_].fraction;
  return std::nullopt;
}

void Thresholds::adapt(const Vector& caps) noexcept {
  for (Threshold& threshold : all_) threshold.at = threshold_amounts(threshold.fraction, caps);
}

}  // namespace outlay::detail
