#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/budget/failure.hpp"
#include "core/call/decide.hpp"
#include "core/call/reservation.hpp"
#include "core/ledger/books.hpp"

namespace outlay::detail {

/// The call that an event is about.
struct CallFacts {
  Books& books;
  std::uint64_t id = 0;
  const Attribution* attribution = nullptr;  // its own tags included
  std::string_view traceparent{};
};

/// Books an event for each note, and says in the log what is to be said once. In observe mode what would have changed the call is an
/// `observed` event.
///
/// \param failure Of a call that is refused; null otherwise.
void book_notes(const CallFacts& call, std::span<const Note> notes, const FailureFacts* failure);

/// Books an event about a call, ended or not, on behalf of its innermost budget. None outside every budget.
OUTLAY_EXPORT void book_event(Reservation& reservation, Action action, std::int64_t projected,
                              std::string_view reason) noexcept;

}  // namespace outlay::detail
