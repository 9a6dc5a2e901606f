#pragma once

#include <memory>
#include <vector>

#include "outlay/detail/export.hpp"
#include "outlay/rule.hpp"
#include "settings.hpp"

namespace outlay::detail {

/// The rules of a larger file of settings.
[[nodiscard]] OUTLAY_EXPORT std::vector<Rule> rules_of(const Setting& list, const std::shared_ptr<Store>& store);

}  // namespace outlay::detail
