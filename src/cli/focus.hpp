#pragma once

#include <string>

#include "outlay/price.hpp"
#include "outlay/record.hpp"

namespace outlay::cli {

// The FinOps Open Cost and Usage Specification (FOCUS), version 1.2, as CSV: a row for each charge. What it has no column for is in custom ones,
// which begin with x_; of version 1.3, x_ServiceProviderName and x_HostProviderName.

[[nodiscard]] std::string focus_header();
/// Empty for a call that the provider refused free of charge.
///
/// BilledCost and EffectiveCost are what was booked; ContractedCost is what the prices that the program used make of it, which differs where the
/// provider has stated a cost of its own; ListCost is what `list` makes of it, or ContractedCost where that has no price. What the call
/// used is not known of an indeterminate one: all four are the same.
///
/// \param account The provider's id of the billing account.
/// \param list The prices that providers publish.
[[nodiscard]] std::string focus_row(const Record& record, const std::string& account, const PriceTable& list);

}  // namespace outlay::cli
