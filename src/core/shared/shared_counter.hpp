#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/budget/outside_counter.hpp"

namespace outlay::detail {

class StoreQueue;

/// What this process knows of one name in one kind of window: the last answer of the store, and what has ended here since. Guarded by its
/// queue's mutex.
class SharedCounter final : public OutsideCounter, public std::enable_shared_from_this<SharedCounter> {
 public:
  SharedCounter(StoreQueue& store, std::string counter_name, Window counter_window)
      : queue(store), name(std::move(counter_name)), window(std::move(counter_window)) {}

  StoreQueue& queue;  // alive through the Store that the budget holds
  const std::string name;
  const Window window;

  [[nodiscard]] Counter read(Time callers, const Vector& caps) noexcept override;
  [[nodiscard]] std::optional<Time> slot_end(Time callers) const override;

 private:
  friend class StoreQueue;

  /// Forgets what was known of another slot.
  void turn_to(const Window::Span& span) noexcept;
  [[nodiscard]] bool rolls() const noexcept { return window.kind() == Window::Kind::rolling; }

  Window::Span span_{};
  bool turned_ = false;    // to any span yet
  bool reported_ = false;  // in this span
  Vector spent_{}, held_{};
  Vector spent_on_its_way_{}, held_on_its_way_{};
};

using Counters = std::vector<std::shared_ptr<SharedCounter>>;

}  // namespace outlay::detail
