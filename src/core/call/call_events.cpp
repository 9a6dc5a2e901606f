#include "core/call/call_events.hpp"

#include "core/budget/tree.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

Action action_of(Note::Kind kind) noexcept {
  switch (kind) {
    case Note::Kind::downgraded:
      return Action::downgraded;
    case Note::Kind::clamped:
      return Action::clamped;
    case Note::Kind::allowed:
      return Action::allowed;
    case Note::Kind::waited:
      return Action::waited;
    case Note::Kind::unshared:
      return Action::unshared;
    case Note::Kind::blocked:
      return Action::blocked;
    case Note::Kind::truncated:
      return Action::truncated;
    case Note::Kind::cut:
      return Action::cut;
    default:
      return Action::warned;
  }
}

/// What enforcing would have done to the call, and observing does not.
bool acts_on_call(Note::Kind kind) noexcept {
  switch (kind) {
    case Note::Kind::downgraded:
    case Note::Kind::clamped:
    case Note::Kind::blocked:
    case Note::Kind::truncated:
    case Note::Kind::cut:
      return true;
    default:
      return false;
  }
}

}  // namespace

void book_notes(const CallFacts& call, std::span<const Note> notes, const FailureFacts* failure) {
  for (const Note& note : notes) {
    if (note.kind == Note::Kind::below) continue;  // the settle that crosses the cap reports a Raise
    if (note.kind == Note::Kind::passed_wait) {
      if (call.books.first_time("wait", note.budget->name))
        log(LogLevel::warning,
            "a Wait policy was passed over, since a blocking call in a coroutine would hold its thread. Use "
            "co_await outlay::async_call(...).");
      continue;
    }
    const Action action = action_of(note.kind);
    const bool observed = call.books.options.observe && acts_on_call(note.kind);
    EventDraft event(call.books, observed ? Action::observed : action, note.budget->attribution);
    event.numbers(note.dimension, note.projected, note.cap == no_cap ? -1 : note.cap)
        .call(call.id, call.attribution, note.model, call.traceparent)
        .new_model(note.new_model)
        .ceiling(note.ceiling);
    if (observed)
      event.reason(std::string("observed: would have been ") + to_string(action));
    else if (failure && failure->count == 0)
      event.reason(failure->text);
    event.book();
    if (note.kind == Note::Kind::warned && !note.budget->said_warn.exchange(true))
      log(LogLevel::warning,
          "budget \"" + note.budget->path() + "\" is over its cap of " + to_string(Amount(note.dimension, note.cap)) +
              (note.dimension == Dimension::usd ? std::string() : std::string(" ") + to_string(note.dimension)) +
              ". Calls go on, since its policy is Warn.");
  }
}

void book_event(Reservation& reservation, Action action, std::int64_t projected, std::string_view reason) noexcept {
  if (!reservation.budget) return;
  try {
    EventDraft(*reservation.books, action, reservation.budget->attribution)
        .numbers(Dimension::calls, projected, 0)
        .call(reservation.call_id, reservation.attribution, reservation.quote.model.name, reservation.traceparent)
        .reason(reason)
        .book();
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for an event; the call itself is booked
  }
}

}  // namespace outlay::detail
