#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

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
  /// Puts another cap in the place of the one that the store keeps for the counter in a dimension, or of `own` where it keeps none.
  ///
  /// \param changed What becomes of a cap; it may throw, and may be asked more than once.
  /// \return The new cap. Throws StoreUnavailable.
  /// \par Blocking
  /// At most twice the store's timeout, and again for each time that another process was faster.
  virtual std::int64_t replace_cap(Time callers, Dimension dimension, std::int64_t own,
                                   const std::function<std::int64_t(std::int64_t)>& changed, std::string_view by,
                                   std::string_view reason) = 0;
  /// When the present slot ends.
  [[nodiscard]] virtual std::optional<Time> slot_end(Time callers) const = 0;

 protected:
  OutsideCounter() = default;
};

// Of shared/, which stands behind the budgets.

[[nodiscard]] std::shared_ptr<OutsideCounter> open_outside_counter(const std::shared_ptr<Store>& store,
                                                                   const std::string& name, const Window& window);

}  // namespace outlay::detail
