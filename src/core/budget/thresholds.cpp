#include "core/budget/thresholds.hpp"

#include <algorithm>
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

[[gnu::hot]] Thresholds::Thresholds(std::span<const double> fractions, const Vector& caps) {
  if (fractions.empty()) return;
  all_.reserve(fractions.size());
  told_.reserve(fractions.size());
  for (const double fraction : fractions) all_.push_back({fraction, {}, false});
  adapt(caps);
}

bool Thresholds::was_told(const Announced& one) const noexcept {
  return std::find(told_.begin(), told_.end(), one) != told_.end();
}

std::optional<double> Thresholds::take(const Counter& counter) {
  if (!pending_) return std::nullopt;
  const Vector spent = counter.spent();
  pending_ = false;
  for (Threshold& threshold : all_) {
    if (threshold.told) continue;
    pending_ = true;
    threshold.told = announce(
        threshold.at, spent, [this](const Announced& one) { return was_told(one); },
        [this](const Announced& one) { told_.push_back(one); });
    if (threshold.told) return threshold.fraction;
  }
  return std::nullopt;
}

void Thresholds::forget() noexcept {
  told_.clear();
  for (Threshold& threshold : all_) threshold.told = false;
  pending_ = !all_.empty();
}

void Thresholds::adapt(const Vector& caps) {
  pending_ = false;
  for (Threshold& threshold : all_) {
    threshold.at = threshold_amounts(threshold.fraction, caps);
    threshold.told = false;
    for (std::size_t d = 0; d < dimension_count; ++d)
      threshold.told |= was_told({static_cast<std::uint8_t>(d), threshold.at[d]});
    pending_ |= !threshold.told;
  }
}

}  // namespace outlay::detail
