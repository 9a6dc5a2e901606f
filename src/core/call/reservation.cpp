#include "core/call/reservation.hpp"

#include "core/call/reservation_pool.hpp"

namespace outlay::detail {

Ref<Reservation> make_reservation() { return Ref<Reservation>::adopt(take_spare_reservation()); }

void acquire(Reservation* reservation) noexcept { reservation->references.add(); }

void release(Reservation* reservation) noexcept {
  if (!reservation->references.drop()) return;
  if (reservation->open()) end_without_verdict(*reservation);
  reservation->own_attribution = {};
  reservation->attribution = nullptr;
  reservation->claim.reset();
  reservation->scope = {};
  reservation->budget = nullptr;
  reservation->has_shown = false;
  reservation->said_over = false;
  reservation->traceparent.clear();
  keep_spare_reservation(reservation);
}

PricedAgain priced_again(const Reservation& reservation) {
  std::shared_ptr<const PriceBook> prices = reservation.books->prices.find(reservation.prices_uid);
  if (!prices) prices = reservation.books->prices.present();
  Quote quote = reservation.quote;
  // Where the model is not known any more, the reservation stays as it is.
  if (quote.pricing.kind() == Pricing::Kind::table) {
    quote.model.priced = prices->find(reservation.model_name());
    quote.pricing = quote.model.priced ? Pricing::table(*quote.model.priced) : Pricing();
  }
  return {std::move(prices), quote};
}

}  // namespace outlay::detail
