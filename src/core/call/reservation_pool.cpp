#include "core/call/reservation_pool.hpp"

#include <cstddef>

#include "core/call/reservation.hpp"

namespace outlay::detail {

namespace {

/// A thread's spare reservations: a call would otherwise begin and end with an allocation.
///
/// Trivially destructible, since destructors of other thread_locals may end calls after Reaper's.
struct ReservationPool {
  static constexpr std::size_t most = 64;
  Reservation* first = nullptr;
  std::size_t count = 0;
  bool ended = false;  // the thread is about to end: nothing may be kept any more
};

constinit thread_local ReservationPool spares_of_thread{};

struct Reaper {
  Reaper() noexcept = default;
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;
  ~Reaper() {
    spares_of_thread.ended = true;
    while (Reservation* spare = spares_of_thread.first) {
      spares_of_thread.first = spare->next_free;
      delete spare;
    }
  }
};

ReservationPool& pool() noexcept {
  thread_local const Reaper reaper;
  static_cast<void>(reaper);
  return spares_of_thread;
}

}  // namespace

[[gnu::hot]] Reservation* take_spare_reservation() {
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

[[gnu::hot]] void keep_spare_reservation(Reservation* reservation) noexcept {
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
