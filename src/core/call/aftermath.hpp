#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/budget/failure.hpp"
#include "core/call/reservation.hpp"

namespace outlay::detail {

/// What the end of a call meant to its budgets. It is booked when the tree's lock has been released.
struct Aftermath {
  struct Passed {  // a cap, or a threshold
    const BudgetNode* budget;
    Action action;
    Dimension dimension;
    std::int64_t projected, cap;
    double threshold;
  };
  std::vector<Passed> passed;
  bool over_cap = false;
  std::unique_ptr<FailureFacts> crossed;  // of the innermost Raise budget that went over its cap
  Wakes wakes;
};

/// Ends the call in every budget that counts in its tree, in one step.
///
/// \return False: it had ended before.
bool end_in_tree(Reservation& reservation, const Vector& actual, Aftermath& aftermath) noexcept;
/// The same in the store, where budgets count there. What is known of it here changes at once; when the store itself is told: StoreQueue::end().
/// Where the call was detached, the store is asked whether this is its first end.
///
/// \return False: by the store, it had ended before.
bool end_in_store(Reservation& reservation, StoreCommand::Op op, const Vector& actual, Aftermath& aftermath) noexcept;
/// Books an event for each cap and threshold that was passed.
void book_passed(const Reservation& reservation, const Aftermath& aftermath);

}  // namespace outlay::detail
