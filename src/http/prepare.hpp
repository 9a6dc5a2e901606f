#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "outlay/json/guard.hpp"
#include "state.hpp"

namespace outlay::http::detail {

/// An admitted call, and the bytes to send for it.
struct Admitted {
  GuardedCall call;
  std::string message;
};

/// Admits one attempt in the current context, and writes the request as the policies left it.
///
/// \par Errors
/// BudgetExceeded, PriceUnknown; Error with errc::invalid_argument for a request that is not valid.
[[nodiscard]] boost::asio::awaitable<Admitted> admit(const ClientState& state, const OwnedRequest& request);

/// Settles a call by its whole reply, as it came.
///
/// \return The reply, parsed.
/// \par Errors
/// Error with errc::bad_reply for a reply that is not in the format of this API; the call has been charged then.
[[nodiscard]] boost::json::value settle_reply(const ClientState& state, GuardedCall& call, std::string_view body);

}  // namespace outlay::http::detail
