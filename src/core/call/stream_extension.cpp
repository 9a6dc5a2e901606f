#include "core/call/admission.hpp"

namespace outlay::detail {

namespace {

ExtensionResult too_large(const Reservation& reservation, std::int64_t output_tokens) {
  return {Extension::cut,
          Failure(errc::overflow, "call " + std::to_string(reservation.call_id) + " to \"" + reservation.model_name() +
                                      "\" asks for room for " + std::to_string(output_tokens) +
                                      " output tokens, which is more than a stream can show. Ask for fewer.")};
}

}  // namespace

ExtensionResult extend(Reservation& reservation, std::int64_t output_tokens) {
  if (!reservation.open() || output_tokens <= reservation.held().output) return {Extension::granted, {}};
  if (output_tokens > Usage::max_count * 1'024) return too_large(reservation, output_tokens);
  PricedAgain again = priced_again(reservation);
  const std::optional<Quote> wanted = again.quote.with_output(output_tokens);
  if (!wanted) return too_large(reservation, output_tokens);
  if (!reservation.budget) return {Extension::granted, {}};  // nothing is held anywhere
  again.quote = *wanted;
  BlockingCaller caller;
  Admission admission(reservation, std::move(again), caller.caller(false));
  if (caller.run(admission) == Admission::State::admitted) return {Extension::granted, {}};
  Failure failure = admission.failure();
  const bool quietly = failure.reason() == errc::truncated;
  return {quietly ? Extension::cut_quietly : Extension::cut, std::move(failure)};
}

}  // namespace outlay::detail
