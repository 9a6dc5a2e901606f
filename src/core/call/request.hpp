#pragma once

#include <string>

#include "core/pricing/price_book.hpp"
#include "outlay/call.hpp"

namespace outlay::detail {

/// What is wrong with a request, before anything else is looked at; empty if nothing is.
[[nodiscard]] std::string fault_of(const CallRequest& request);
/// Why a request is refused whatever room its budgets have.
///
/// \param prices Where a name is sought that may have been meant, for errc::price_unknown.
[[nodiscard]] std::string refused_outright(const CallRequest& request, errc code, const PriceBook& prices);

}  // namespace outlay::detail
