#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/budget/counter.hpp"
#include "outlay/store.hpp"

namespace outlay::detail {

/// A counter that is kept in a store, under a name and a window, as the budgets that count there see it. Shared by all of them in this
/// process; the rest of it is `SharedCounter`.
///
/// \par Thread safety
/// Every member is safe from any thread.
class OutsideCounter {
 public:
  virtual ~OutsideCounter() = default;
  OutsideCounter(const OutsideCounter&) = delete;
  OutsideCounter& operator=(const OutsideCounter&) = delete;

  /// What is known of the present slot, under these caps.
  ///
  /// \param callers The caller's clock; a store that is far away has its own.
  /// \par Blocking
  /// With a store on this machine at most its file.
  [[nodiscard]] virtual Counter read(Time callers, const Vector& caps) noexcept = 0;
  /// When the present slot ends.
  [[nodiscard]] virtual std::optional<Time> slot_end(Time callers) const = 0;
  /// What raise_cap has added to the caps of budgets that count here, and lower_cap taken off: the next one opens with that.
  [[nodiscard]] virtual Vector cap_changes() const = 0;
  /// Adds to them.
  virtual void change_cap(Dimension dimension, std::int64_t amount) = 0;

 protected:
  OutsideCounter() = default;
};

// Of shared/, which stands behind the budgets.

[[nodiscard]] std::shared_ptr<OutsideCounter> open_outside_counter(const std::shared_ptr<Store>& store,
                                                                   const std::string& name, const Window& window);

}  // namespace outlay::detail
