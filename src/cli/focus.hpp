#pragma once

#include <string>

#include "outlay/record.hpp"

namespace outlay::cli {

// The FinOps Open Cost and Usage Specification (FOCUS), version 1.2, as CSV: a row for each charge. What it has no column for is in custom ones,
// which begin with x_; of version 1.3, x_ServiceProviderName and x_HostProviderName.

[[nodiscard]] std::string focus_header();
/// Empty for a call that the provider refused free of charge.
///
/// \param account The provider's id of the billing account.
[[nodiscard]] std::string focus_row(const Record& record, const std::string& account);

}  // namespace outlay::cli
