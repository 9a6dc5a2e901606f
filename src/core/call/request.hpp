#pragma once

#include <string>

#include "outlay/call.hpp"

namespace outlay::detail {

/// What is wrong with a request, before anything else is looked at; empty if nothing is.
[[nodiscard]] std::string fault_of(const CallRequest& request);
/// Why a request is refused whatever room its budgets have.
[[nodiscard]] std::string refused_outright(const CallRequest& request, errc code);

}  // namespace outlay::detail
