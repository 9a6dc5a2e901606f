#pragma once

#include <boost/json/fwd.hpp>
#include <string>

#include "core/call/reservation.hpp"
#include "outlay/json/api.hpp"

namespace outlay::detail {

[[nodiscard]] constexpr bool is_success(int status) noexcept { return status >= 200 && status < 300; }

/// `HTTP 429`: the reason in records.
[[nodiscard]] std::string status_text(int status);

/// Ends a call whose answer is no 2xx, by its API's table.
///
/// \param call Null for a moved-from one: nothing is done.
/// \param body Null where it was not JSON.
Settled end_refused(Reservation* call, Api api, int status, const boost::json::value& body);

}  // namespace outlay::detail
