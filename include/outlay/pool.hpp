#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "outlay/detail/ambient.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/error.hpp"
#include "outlay/usage.hpp"

namespace outlay {

struct PoolOptions {
  std::string name{};  ///< For messages. At most 128 bytes.
  std::optional<Usd> usd{};
  std::optional<std::int64_t> tokens{};
  std::optional<std::int64_t> input_tokens{};
  std::optional<std::int64_t> output_tokens{};
};

/// A budget that is shared by handle: the classic pool over a number of tasks, which books each call when it is over.
///
/// It cannot prevent the call that crosses a cap, since it books a call afterwards: that one is booked in full, and `record` says so. A
/// Budget, which reserves before a call is sent, prevents it. Without caps it only counts.
///
/// \par Thread safety
/// Copies share the pool; every member is safe from any thread.
/// \par Example
/// \snippet tests/unit/core/budget/pool_test.cpp pool
class OUTLAY_EXPORT Pool {
 public:
  /// \par Errors
  /// ConfigError for a cap that is negative.
  explicit Pool(const PoolOptions& options);

  /// Books what a call used, priced by the current ledger's table.
  ///
  /// \param model May be empty where money is not capped.
  /// \return The totals with it.
  /// \par Errors
  /// BudgetExceeded, booked all the same, where a total is now over its cap; Error with errc::invalid_usage, not booked; PriceUnknown
  /// under a USD cap, also for want of a model, booked without its cost.
  Amounts record(const Usage& usage, std::string_view model = {});
  /// The same for a cost that is known, between $0 and $1,000,000,000; Error with errc::invalid_usage for any other.
  Amounts record(const Usage& usage, Usd cost);
  /// As record, without BudgetExceeded: the failure is a value.
  Result<Amounts> try_record(const Usage& usage, std::string_view model = {});

  [[nodiscard]] Amounts totals() const;
  [[nodiscard]] Limits limits() const;
  /// Back to zero; the caps stay.
  void reset();

 private:
  Result<Amounts> book(const Usage& usage, Usd cost);
  detail::NodeRef node_;  // a budget that is in no chain
};

}  // namespace outlay
