#include "core/call/settlement.hpp"

#include <algorithm>

#include "core/call/aftermath.hpp"
#include "core/call/billing.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

/// What else there is to be told of an ending.
struct Ending {
  std::unique_ptr<FailureFacts> crossed{};  // a Raise budget went over its cap
  const char* invalid = nullptr;            // the member of the usage that is not valid
};

[[gnu::cold]] void say_lost_record(const char* problem) noexcept {
  try {
    log(LogLevel::error, std::string("a call was booked, and its record is lost: ") + problem);
  } catch (...) {  // no memory for a log line
  }
}

/// Says once for each model why a cap was passed that a program may have taken for a hard one.
[[gnu::cold]] void say_soft_cap(const Reservation& reservation, const Usage& usage) {
  if (!reservation.books->first_time("soft cap", reservation.model_name())) return;
  log(LogLevel::warning,
      "a call to \"" + reservation.model_name() + "\" without an output ceiling wrote " + std::to_string(usage.output) +
          " tokens where " + std::to_string(reservation.quote.output) +
          " were reserved, and a budget around it is over its cap. For a hard cap set " +
          reservation.quote.ceiling_name +
          ", or BudgetOptions::unbounded (LedgerOptions::unbounded for all) to clamp, model_max or refuse.");
}

/// Writes the record and the events of a call that is booked. No exception may leave it, since the booking stands.
[[gnu::hot]] void tell(const Reservation& reservation, const Bill& bill, const Priced& priced, RecordStatus status,
                       std::string_view reason, Aftermath& aftermath) noexcept {
  try {
    record(reservation, bill, priced, status, reason);
    if (!aftermath.passed.empty()) [[unlikely]]
      book_passed(reservation, aftermath);
    if (aftermath.over_cap && reservation.quote.unbounded) [[unlikely]]
      say_soft_cap(reservation, bill.usage);
  } catch (const std::exception& problem) {
    say_lost_record(problem.what());
  } catch (...) {
    say_lost_record("an exception of an unknown type");
  }
  aftermath.wakes.tell();
}

/// What a call without a ceiling wrote is what the next one of its model is expected to write.
[[gnu::cold]] void learn(const Reservation& reservation, const Usage& usage) noexcept {
  try {
    const std::int64_t choices = reservation.quote.choices;
    reservation.books->usual_output.note(reservation.quote.model.name->id, (usage.output + choices - 1) / choices);
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory to remember it
  }
}

/// \return Not `first`: the call had ended before.
[[gnu::hot]] Settled finish(Reservation& reservation, const Vector& actual, const Bill& bill, const Priced& priced,
                            RecordStatus status, std::string_view reason, Ending& ending) noexcept {
  Aftermath aftermath;
  if (!end_in_tree(reservation, actual, aftermath)) [[unlikely]]
    return {};
  if (reservation.claim && !end_in_store(reservation, StoreCommand::Op::settle, actual, aftermath)) [[unlikely]] {
    aftermath.wakes.tell();
    return {};
  }
  if (reservation.quote.unbounded && status != RecordStatus::indeterminate) [[unlikely]]
    learn(reservation, bill.usage);
  tell(reservation, bill, priced, status, reason, aftermath);
  ending.crossed = std::move(aftermath.crossed);
  return {.usd = priced.usd,
          .usage = bill.usage,
          .overrun = Usd::from_nanos(std::max<std::int64_t>(0, priced.usd.nanos() - reservation.quote.amounts[0])),
          .over_cap = aftermath.over_cap,
          .first = true,
          .status = status,
          .cost_source = priced.source};
}

/// What is booked of a call whose usage is not known: all that it held.
Vector whole_reservation(const Reservation& reservation) noexcept {
  Vector actual = reservation.held().amounts;
  actual[index(Dimension::concurrent)] = 0;
  return actual;
}

[[gnu::cold]] Settled charge_reservation(Reservation& reservation, std::string_view reason, Ending& ending) {
  if (const std::optional<Usage> shown = reservation.shown()) {
    const Priced priced = price(reservation, {*shown});
    return finish(reservation, spent_by(priced.usd, *shown), {*shown}, priced, RecordStatus::indeterminate, reason,
                  ending);
  }
  const Reservation::Held held = reservation.held();
  const Usage usage{.input = reservation.quote.input, .output = held.output};
  Priced priced = price(reservation, {usage});
  if (priced.source != CostSource::none) priced.usd = Usd::from_nanos(held.amounts[0]);
  return finish(reservation, whole_reservation(reservation), {usage}, priced, RecordStatus::indeterminate, reason,
                ending);
}

[[gnu::hot]] Settled settle_bill(Reservation& reservation, const Bill& bill, Ending& ending) {
  if (!reservation.open()) return {};
  ending.invalid = invalid_member(bill);
  if (ending.invalid) [[unlikely]] {
    reservation.set_shown(nullptr);  // neither can be trusted
    return charge_reservation(reservation, "the usage given to settle is invalid", ending);
  }
  const Priced priced = price(reservation, bill);
  return finish(reservation, spent_by(priced.usd, bill.usage), bill, priced,
                bill.estimated ? RecordStatus::estimated : RecordStatus::settled, {}, ending);
}

/// For callers that must not throw. Without memory for a price or a record the reservation is charged all the same.
Settled charge_without_fail(Reservation& reservation, std::string_view reason, Ending& ending) noexcept {
  try {
    return charge_reservation(reservation, reason, ending);
  } catch (...) {  // below
  }
  Aftermath aftermath;
  const Vector actual = whole_reservation(reservation);
  Settled settled;
  if (end_in_tree(reservation, actual, aftermath)) {
    if (reservation.claim) (void)end_in_store(reservation, StoreCommand::Op::settle, actual, aftermath);
    settled = {.usd = Usd::from_nanos(reservation.quote.amounts[0]),
               .first = true,
               .status = RecordStatus::indeterminate,
               .cost_source = CostSource::assumed};
  }
  aftermath.wakes.tell();
  say_lost_record("out of memory");
  return settled;
}

[[gnu::cold]] std::string invalid_text(const Reservation& reservation, const char* member) {
  return "call " + std::to_string(reservation.call_id) + " to \"" + reservation.model_name() +
         "\" was settled with an invalid " + member + ", and was charged at its reservation. " + bounds_of(member);
}

[[gnu::cold]] void say_late(const Reservation& reservation, const char* what) noexcept {
  try {
    log(LogLevel::debug, std::string(what) + " of call " + std::to_string(reservation.call_id) +
                             " came after the call had ended, and did nothing.");
  } catch (...) {  // no memory for a log line
  }
}

[[gnu::hot]] Settled settle_or_throw(Reservation& reservation, const Bill& bill) {
  Ending ending;
  const Settled settled = settle_bill(reservation, bill, ending);
  if (!settled.first) [[unlikely]]
    say_late(reservation, "settle");
  if (settled.first && ending.invalid) [[unlikely]]
    throw Error(errc::invalid_usage, invalid_text(reservation, ending.invalid));
  if (ending.crossed) [[unlikely]] {
    ending.crossed->scope = reservation.scope;
    ending.crossed->model = reservation.requested_name();
    if (reservation.quote.model.name != reservation.quote.requested)
      ending.crossed->refused_model = reservation.model_name();
    throw BudgetExceeded(Access::failure(ending.crossed.release()));
  }
  return settled;
}

}  // namespace

[[gnu::hot]] Settled settle(Reservation& reservation, const Usage& usage) {
  return settle_or_throw(reservation, {usage});
}
Settled settle(Reservation& reservation, const Settlement& settlement) {
  return settle_or_throw(reservation, bill_of(settlement));
}

Result<Settled> try_settle(Reservation& reservation, const Settlement& settlement) noexcept {
  Ending ending;
  const Settled settled = [&]() noexcept {
    try {
      return settle_bill(reservation, bill_of(settlement), ending);
    } catch (...) {
      return charge_without_fail(reservation, "no memory to settle it", ending);
    }
  }();
  if (settled.first && ending.invalid) return Failure(errc::invalid_usage, invalid_text(reservation, ending.invalid));
  return settled;
}

bool release_call(Reservation& reservation, std::string_view reason) noexcept {
  const bool sent = reservation.state.load(std::memory_order_acquire) == Reservation::State::sent;
  Aftermath aftermath;
  if (!end_in_tree(reservation, {}, aftermath)) {
    say_late(reservation, "release");
    return false;
  }
  if (reservation.claim && !end_in_store(reservation, StoreCommand::Op::release, {}, aftermath)) {
    aftermath.wakes.tell();
    say_late(reservation, "release");
    return false;
  }
  if (sent)
    tell(reservation, {Usage{}}, {}, RecordStatus::rejected, reason, aftermath);
  else
    aftermath.wakes.tell();
  return true;
}

Settled end_indeterminate(Reservation& reservation, std::string_view reason) noexcept {
  Ending ending;
  return reservation.open() ? charge_without_fail(reservation, reason, ending) : Settled{};
}

void end_without_verdict(Reservation& reservation) noexcept {
  // A detached call stays in its store, and may be resumed again. What was never sent is free; what was may have been billed.
  if (reservation.claim && reservation.claim->of_detached())
    reservation.state.store(Reservation::State::ended, std::memory_order_release);
  else if (reservation.state.load(std::memory_order_acquire) == Reservation::State::admitted)
    (void)release_call(reservation, {});
  else
    (void)end_indeterminate(reservation, "ended without a verdict");
}

}  // namespace outlay::detail
