#pragma once

#include "outlay/report.hpp"

namespace outlay::detail {

class Records;

/// Compares the running totals with the rows in memory and the totals of evicted ones.
[[nodiscard]] Audit audit(const Records& records);

}  // namespace outlay::detail
