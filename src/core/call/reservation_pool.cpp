#include "core/call/reservation_pool.hpp"

#include <cstddef>

#include "core/call/reservation.hpp"

namespace outlay::detail {

namespace {

/// A thread's spare reservations: a call would otherwise begin and end with an allocation.
struct ReservationPool {
  ReservationPool() noexcept = default;
  ReservationPool(const ReservationPool&) = delete;
  ReservationPool& operator=(const ReservationPool&) = delete;
  ~ReservationPool() {
    ended = true;
    while (Reservation* spare = first) {
      first = spare->next_free;
      delete spare;
    }
  }

  static constexpr std::size_t most = 64;
  Reservation* first = nullptr;
  std::size_t count = 0;
  bool ended = false;  // destroyed: nothing may be kept any more
};

ReservationPool& pool() noexcept {
  thread_local ReservationPool pool;
  return pool;
}

}  // namespace

Reservation* take_spare_reservation() {
  ReservationPool& spares = pool();
  Reservation* reservation = spares.ended ? nullptr : spares.first;
  if (reservation) {
    spares.first = reservation->next_free;
    --spares.count;
  } else {
    reservation = new Reservation;
  }
  reservation->references.set(1);
  reservation->state.store(Reservation::State::ended, std::memory_order_relaxed);
  reservation->call_id = 0;
  return reservation;
}

void keep_spare_reservation(Reservation* reservation) noexcept {
  ReservationPool& spares = pool();
  if (spares.ended || spares.count >= ReservationPool::most) {
    delete reservation;
    return;
  }
  reservation->next_free = spares.first;
  spares.first = reservation;
  ++spares.count;
}

}  // namespace outlay::detail
