#include "gateway/counters.hpp"

#include <algorithm>
#include <chrono>
#include <tuple>

#include "core/budget/tree.hpp"
#include "core/call/reservation.hpp"
#include "core/ledger/books.hpp"
#include "outlay/clock.hpp"
#include "outlay/detail/access.hpp"

namespace outlay::gateway::detail {

using outlay::detail::Access;
using outlay::detail::BudgetNode;
using outlay::detail::Counter;
using outlay::detail::dimension_count;
using outlay::detail::Vector;

namespace {

Time now_of(const Ledger& ledger) {
  const std::shared_ptr<const Clock>& clock = Access::books(ledger).options.clock;
  if (clock) return clock->now();
  return Time(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()));
}

Counter own_counter(const BudgetNode& budget) {
  const auto lock = budget.lock_tree();
  return budget.counter;
}

const BudgetNode* innermost_of(const Call& call) noexcept {
  const outlay::detail::Reservation* reservation = Access::reservation(call);
  return reservation ? reservation->budget : nullptr;
}

}  // namespace

std::optional<Amount> least_left(const Call& call) {
  std::optional<Amount> least;
  double least_share = 0;
  for (const BudgetNode* budget = innermost_of(call); budget; budget = budget->outer) {
    Counter counter = own_counter(*budget);
    if (budget->outside) counter = budget->outside->read(now_of(Ledger::current()), counter.cap);
    for (std::size_t d = 0; d < dimension_count; ++d) {
      if (!counter.capped(d) || d == outlay::detail::index(Dimension::concurrent)) continue;
      const double share =
          counter.cap[d] <= 0 ? 0 : static_cast<double>(counter.room(d)) / static_cast<double>(counter.cap[d]);
      if (least && share >= least_share) continue;
      least = Amount(static_cast<Dimension>(d), counter.room(d));
      least_share = share;
    }
  }
  return least;
}

std::string left_text(Amount amount) {
  std::string text = to_string(amount);
  if (amount.dimension() != Dimension::usd) {
    std::string words = to_string(amount.dimension());
    std::replace(words.begin(), words.end(), '_', ' ');
    text += ' ' + words;
  }
  return text;
}

void Counters::note(const Call& call) {
  for (const BudgetNode* budget = innermost_of(call); budget; budget = budget->outer) {
    if (!budget->outside) continue;
    const Vector caps = own_counter(*budget).cap;
    const std::lock_guard lock(mutex_);
    Known& known = known_[budget->outside.get()];
    if (!known.counter) {
      known.counter = budget->outside;
      known.name = budget->name;
      known.window = budget->window.id();
    }
    known.caps = caps;
    known.used = ++uses_;
    if (known_.size() > most)
      known_.erase(std::min_element(known_.begin(), known_.end(),
                                    [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
  }
}

void Counters::forget() {
  const std::lock_guard lock(mutex_);
  known_.clear();
}

std::vector<Counters::Reading> Counters::read(const Ledger& ledger) const {
  std::vector<Known> known;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [counter, one] : known_) known.push_back(one);
  }
  const Time now = now_of(ledger);
  std::vector<Reading> readings;
  readings.reserve(known.size());
  for (const Known& one : known) readings.push_back({one.name, one.window, one.counter->read(now, one.caps)});
  std::sort(readings.begin(), readings.end(),
            [](const Reading& a, const Reading& b) { return std::tie(a.name, a.window) < std::tie(b.name, b.window); });
  return readings;
}

}  // namespace outlay::gateway::detail
