#pragma once

#include <cstdint>
#include <string_view>

#include "outlay/budget.hpp"
#include "outlay/call.hpp"
#include "outlay/context.hpp"
#include "outlay/detail/ambient.hpp"
#include "outlay/detail/export.hpp"

namespace outlay {

/// A budget that is a value: for a session, a job, a connection, and whatever else outlives one function.
///
/// It opens no scope. `Attach in(session);` makes it the current budget of a task, on any thread, in any number of tasks at once. It lies
/// inside the budgets that were open where it was made, and counts in them, also when their scopes have closed since: one made inside a
/// budget with a store counts there. A windowed budget is one, too: its counter belongs to its name.
///
/// \par Guarantee
/// As that of Budget.
/// \par Errors
/// ConfigError as Budget.
/// \par Thread safety
/// Copies share the budget. Every member is safe from any thread.
/// \par Lifetime
/// The budget lives as long as a handle, an Attach, a call in it or a budget inside it.
/// \par Example
/// \snippet tests/unit/core/budget/budget_handle_test.cpp session_example
class OUTLAY_EXPORT BudgetHandle final : public OpenBudget {
 public:
  /// Makes the budget inside those that are open here, and opens no scope.
  ///
  /// \par Errors
  /// ConfigError as Budget.
  explicit BudgetHandle(BudgetOptions options);

  /// What is current inside: for Context::bind, and for executors.
  [[nodiscard]] Context context() const noexcept;

  /// Counts a call that is over and was not admitted here: the bill of a client that tells its usage afterwards.
  ///
  /// It cannot prevent the call that crosses a cap; a Call, which reserves before it is sent, prevents it. It counts in this budget, in all
  /// that enclose it and under the ledger's rules, whatever their policies say, and makes a record with the tags of the current task.
  ///
  /// \param model Priced by the current prices of the budget's ledger. Not empty.
  /// \return What was booked.
  /// \par Errors
  /// BudgetExceeded, booked all the same, where a budget is over a cap with it; PriceUnknown, booked without its cost, where a
  /// budget caps money and does not say what an unpriced model means; Error with errc::invalid_usage or errc::invalid_argument, not booked.
  /// \par Blocking
  /// One short lock; with a store on this machine at most its file, twice.
  Settled book(const Usage& usage, std::string_view model);
  /// The same with what the bill says beyond its usage: its cost, the model that was served.
  Settled book(const Settlement& bill, std::string_view model);
  /// As book, but a failure is a value.
  [[nodiscard]] Result<Settled> try_book(const Settlement& bill, std::string_view model);

  /// Forgets what was spent, in this budget alone: those around it keep it. Running calls keep what they hold, thresholds are announced anew,
  /// waiting calls are woken.
  ///
  /// \par Errors
  /// ConfigError for a budget with a window, whose counter belongs to its name: correct that by Store::adjust.
  void reset();

 private:
  explicit BudgetHandle(detail::NodeRef scope) noexcept;
  detail::NodeRef scope_;
};

}  // namespace outlay
