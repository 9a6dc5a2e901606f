#include "outlay/call.hpp"

#include <memory>
#include <utility>

#include "core/call/admission.hpp"
#include "core/call/settlement.hpp"
#include "outlay/detail/access.hpp"

namespace outlay {

namespace {

using detail::Reservation;

/// Of a moved-from call.
const std::string& no_name() {
  static const std::string& empty = *new std::string;
  return empty;
}

/// Admits a call on this thread.
class Entrance {
 public:
  explicit Entrance(const CallRequest& request) : arrival_(request) {
    switch (arrival_.enter()) {
      case detail::Arrival::Step::admitted:
        return;
      case detail::Arrival::Step::refused:
        failure_ = arrival_.failure();
        return;
      case detail::Arrival::Step::undecided:
        go_on();
    }
  }

  [[nodiscard]] std::optional<Failure>& failure() noexcept { return failure_; }
  [[nodiscard]] detail::Ref<Reservation> take() noexcept { return arrival_.take(); }

 private:
  void go_on() {
    const detail::Node* scope = detail::ambient();
    detail::BlockingCaller caller;
    detail::Admission admission(arrival_,
                                caller.caller(!(scope && scope->home)));  // a coroutine must not hold its thread
    if (caller.run(admission) == detail::Admission::State::refused) failure_ = admission.failure();
  }

  detail::Arrival arrival_;
  std::optional<Failure> failure_;
};

detail::Ref<Reservation> admitted_or_thrown(const CallRequest& request) {
  Entrance entrance(request);
  if (entrance.failure()) detail::throw_failure(std::move(*entrance.failure()));
  return entrance.take();
}

}  // namespace

[[gnu::hot]] Call::Call(const CallRequest& request) : reservation_(admitted_or_thrown(request)) {}

Result<Call> try_call(const CallRequest& request) {
  Entrance entrance(request);
  if (entrance.failure()) return std::move(*entrance.failure());
  return detail::Access::call(entrance.take());
}

std::uint64_t Call::id() const noexcept { return reservation_ ? reservation_->call_id : 0; }
const std::string& Call::model() const noexcept { return reservation_ ? reservation_->model_name() : no_name(); }
const std::string& Call::requested_model() const noexcept {
  return reservation_ ? reservation_->requested_name() : no_name();
}

std::optional<std::int64_t> Call::max_output_tokens() const noexcept {
  if (!reservation_ || reservation_->quote.ceiling == detail::Quote::no_ceiling) return std::nullopt;
  return reservation_->quote.ceiling;
}

Amounts Call::reserved() const { return open() ? detail::to_amounts(reservation_->held().amounts) : Amounts{}; }
bool Call::open() const noexcept { return reservation_ && reservation_->open(); }

void Call::sent() noexcept {
  if (reservation_) mark_sent(*reservation_);
}

Settled Call::settle(const Usage& usage) { return reservation_ ? detail::settle(*reservation_, usage) : Settled{}; }

Settled Call::settle(const Settlement& settlement) {
  return reservation_ ? detail::settle(*reservation_, settlement) : Settled{};
}

Result<Settled> Call::try_settle(const Settlement& settlement) noexcept {
  return reservation_ ? detail::try_settle(*reservation_, settlement) : Result<Settled>(Settled{});
}

bool Call::release(std::string_view reason) noexcept { return reservation_ && release_call(*reservation_, reason); }

Settled Call::indeterminate(std::string_view reason) noexcept {
  return reservation_ ? end_indeterminate(*reservation_, reason) : Settled{};
}

ExtensionResult Call::extend_output(std::int64_t output_tokens) {
  return reservation_ ? extend(*reservation_, output_tokens) : ExtensionResult{Extension::granted, {}};
}

}  // namespace outlay
