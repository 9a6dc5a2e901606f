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
  /// The caps of a budget that opens now: its own, with what raise_cap has added, and lower_cap taken off, in budgets that counted here and
  /// were opened with the same cap.
  [[nodiscard]] virtual Vector changed_caps(const Vector& opened) const = 0;
  /// \param opened The cap that a budget was opened with.
  virtual void change_cap(Dimension dimension, std::int64_t opened, std::int64_t amount) = 0;

 protected:
  OutsideCounter() = default;
};

// Of shared/, which stands behind the budgets.

[[nodiscard]] std::shared_ptr<OutsideCounter> open_outside_counter(const std::shared_ptr<Store>& store,
                                                                   const std::string& name, const Window& window);

}  // namespace outlay::detail
