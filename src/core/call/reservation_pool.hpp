#pragma once

namespace outlay::detail {

struct Reservation;

/// A reservation with one reference, which has ended already: one that this thread has spare, or a new one.
[[nodiscard]] Reservation* take_spare_reservation();

/// Keeps a reservation that nothing refers to for this thread's next call, or deletes it where there are enough.
void keep_spare_reservation(Reservation* reservation) noexcept;

}  // namespace outlay::detail
