#include "core/call/reservation.hpp"

#include "core/call/reservation_pool.hpp"
#include "core/call/settlement.hpp"

namespace outlay::detail {

[[gnu::hot]] Ref<Reservation> make_reservation() { return Ref<Reservation>::adopt(take_spare_reservation()); }

void acquire(Reservation* reservation) noexcept { reservation->references.add(); }

[[gnu::hot]] void release(Reservation* reservation) noexcept {
  if (!reservation->references.drop()) return;
  if (reservation->open()) [[unlikely]]
    end_without_verdict(*reservation);
  reservation->own_attribution = {};
  reservation->attribution = nullptr;
  reservation->claim.reset();
  reservation->own_prices.reset();
  reservation->scope = {};
  reservation->budget = nullptr;
  reservation->has_shown_ = false;  // no other thread has it any more
  reservation->said_over = false;
  reservation->traceparent.clear();
  reservation->answers.clear();
  keep_spare_reservation(reservation);
}

void Reservation::set_shown(const Usage* usage) noexcept {
  while (showing_.test_and_set(std::memory_order_acquire)) {
  }
  has_shown_ = usage != nullptr;
  if (usage) shown_ = *usage;
  showing_.clear(std::memory_order_release);
}

std::optional<Usage> Reservation::shown() const noexcept {
  while (showing_.test_and_set(std::memory_order_acquire)) {
  }
  const std::optional<Usage> usage = has_shown_ ? std::optional(shown_) : std::nullopt;
  showing_.clear(std::memory_order_release);
  return usage;
}

Reservation::Held Reservation::held() const noexcept {
  if (!budget) return {quote.amounts, quote.output};
  const auto lock = budget->lock_tree();
  return {quote.amounts, quote.output};
}

void mark_sent(Reservation& reservation) noexcept {
  Reservation::State admitted = Reservation::State::admitted;
  reservation.state.compare_exchange_strong(admitted, Reservation::State::sent, std::memory_order_acq_rel);
}

void note_shown(Reservation& reservation, const Usage& usage) noexcept {
  if (!usage.first_invalid()) reservation.set_shown(&usage);
}

void forget_shown(Reservation& reservation) noexcept { reservation.set_shown(nullptr); }

PricedAgain priced_again(const Reservation& reservation) {
  std::shared_ptr<const PriceBook> prices =
      reservation.own_prices ? reservation.own_prices : reservation.books->prices.find(reservation.prices_uid);
  if (!prices) prices = reservation.books->prices.present();
  Quote quote;
  {
    const auto lock = reservation.budget ? reservation.budget->lock_tree() : std::unique_lock<std::mutex>();
    quote = reservation.quote;
  }
  // Where the model is not known any more, the reservation stays as it is.
  if (quote.pricing.kind() == Pricing::Kind::table) {
    quote.model.priced =
        prices->find(reservation.model_name(), reservation.under ? reservation.under->text : std::string());
    quote.pricing = quote.model.priced ? Pricing::table(*quote.model.priced) : Pricing();
  }
  return {std::move(prices), quote};
}

}  // namespace outlay::detail
