#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/budget/outside_counter.hpp"

namespace outlay::detail {

class StoreQueue;

/// What this process knows of one slot of a counter, or of all slots that a rolling window counts now: the last answer of the store, and
/// what has ended here since. Kept while a call that was admitted in it runs.
struct KnownSlot {
  Window::Span span{};
  bool reported = false;
  Vector spent{}, held{};
  Vector spent_on_its_way{}, held_on_its_way{};
};

/// What this process knows of one name in one kind of window. Guarded by its queue's mutex.
class SharedCounter final : public OutsideCounter, public std::enable_shared_from_this<SharedCounter> {
 public:
  SharedCounter(StoreQueue& store, std::string counter_name, Window counter_window)
      : queue(store), name(std::move(counter_name)), window(std::move(counter_window)) {}

  StoreQueue& queue;  // alive through the Store that the budget holds
  const std::string name;
  const Window window;

  [[nodiscard]] Counter read(Time callers, const Vector& caps) noexcept override;
  [[nodiscard]] std::optional<Time> slot_end(Time callers) const override;
  [[nodiscard]] Vector changed_caps(const Vector& opened) const override;
  void change_cap(Dimension dimension, std::int64_t opened, std::int64_t amount) override;

 private:
  friend class StoreQueue;

  /// What is known of a slot; of a rolling window, which has one that moves on, what counts from this span on.
  std::shared_ptr<KnownSlot> slot(const Window::Span& span);
  [[nodiscard]] bool rolls() const noexcept { return window.kind() == Window::Kind::rolling; }

  std::map<Time, std::shared_ptr<KnownSlot>> slots_;       // by begin; of a rolling window one
  std::int64_t in_flight_ = 0, in_flight_on_its_way_ = 0;  // of the name, in whatever slots
  std::uint64_t life_ = 0;                                 // StoreReply::State::life
  Vector set_caps_ = no_caps;                              // by an operator, in the place of the budgets' own
  std::optional<Time> counts_until_;  // when the last window turns in which anything was spent or held
  bool of_budget_ = false;            // some budget has counted in it, and not a look at the store alone
  bool remembered_ = false;           // by its queue
};

using Counters = std::vector<std::shared_ptr<SharedCounter>>;

/// A budget's caps, but for those that are set in the store.
[[nodiscard]] inline Vector with_set_caps(Vector caps, const Vector& set) noexcept {
  for (std::size_t d = 0; d < dimension_count; ++d)
    if (set[d] != no_cap) caps[d] = set[d];
  return caps;
}

}  // namespace outlay::detail
