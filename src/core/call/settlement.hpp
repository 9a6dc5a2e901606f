#pragma once

#include <string_view>

#include "core/call/reservation.hpp"

namespace outlay::detail {

// The end of a call: what it held is replaced by what it has used, and that is recorded.

OUTLAY_EXPORT Settled settle(Reservation& reservation, const Usage& usage);  // throw as Call::settle
OUTLAY_EXPORT Settled settle(Reservation& reservation, const Settlement& settlement);
OUTLAY_EXPORT Result<Settled> try_settle(Reservation& reservation, const Settlement& settlement) noexcept;
OUTLAY_EXPORT bool release_call(Reservation& reservation, std::string_view reason) noexcept;
OUTLAY_EXPORT Settled end_indeterminate(Reservation& reservation, std::string_view reason) noexcept;
/// What Call's destructor does to a call that has not ended.
void end_without_verdict(Reservation& reservation) noexcept;

}  // namespace outlay::detail
