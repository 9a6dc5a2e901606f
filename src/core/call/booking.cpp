// Calls that are over before a budget hears of them.

#include "outlay/budget_handle.hpp"

#include <memory>
#include <utility>

#include "core/call/arrival.hpp"
#include "core/call/billing.hpp"
#include "core/call/settlement.hpp"

namespace outlay {

namespace detail {

namespace {

/// The caps that are passed in a chain, after a call was booked there.
std::unique_ptr<FailureFacts> passed_caps(const Reservation& reservation, const Vector& by) {
  auto facts = std::make_unique<FailureFacts>();
  facts->code = errc::budget_exceeded;
  facts->booked = true;
  facts->scope = reservation.scope;
  facts->model = reservation.requested_name();
  facts->text = "It was booked. Raise the cap, or stop here.";
  const Time now = reservation.books->time();
  for (const BudgetNode* budget = reservation.budget; budget; budget = budget->outer) {
    Counter counter;
    {
      const auto lock = budget->lock_tree();
      counter = budget->counter;
    }
    if (budget->outside) counter = budget->outside->read(now, counter.cap);  // it may ask its store
    for (std::size_t d = 0; d < dimension_count; ++d) {
      if (by[d] == 0 || counter.room(d) >= 0) continue;
      if (!facts->refuser) facts->refuser = budget;
      facts->add() = {budget, static_cast<Dimension>(d), counter.cap[d], counter.spent(d), counter.held[d], by[d], {}};
    }
  }
  return facts;
}

Failure invalid_bill(std::string_view model, const char* member) {
  return Failure(errc::invalid_usage, "the bill of a call to \"" + printable_name(model) + "\" has an invalid " +
                                          member + ", and was not booked. " + bounds_of(member));
}

}  // namespace

}  // namespace detail

Result<Settled> BudgetHandle::try_book(const Settlement& bill, std::string_view model) {
  using namespace detail;
  if (const char* member = invalid_member(bill_of(bill))) return invalid_bill(model, member);
  const Attach in(*this);
  const CallRequest request{.model = model, .input_tokens = 0, .max_output_tokens = 0};
  Arrival arrival(request);
  errc wrong{};
  if (arrival.enter_ended(wrong) == Arrival::Step::refused) return arrival.failure();
  const Ref<Reservation> reservation = arrival.take();
  Result<Settled> booked = try_settle(*reservation, bill);
  if (!booked) return booked;
  if (booked->over_cap)
    return Access::failure(passed_caps(*reservation, spent_by(booked->usd, booked->usage)).release());
  if (wrong == errc::price_unknown && booked->cost_source == CostSource::none)
    return Failure(
        errc::price_unknown,
        "no price is known for \"" + printable_name(model) +
            "\", and a budget around the call caps money: its tokens were booked, and no money. Register the "
            "model with PriceTable::register_model, or pass the cost in Settlement::provider_cost.");
  return booked;
}

Settled BudgetHandle::book(const Settlement& bill, std::string_view model) { return try_book(bill, model).value(); }

Settled BudgetHandle::book(const Usage& usage, std::string_view model) {
  return book(Settlement{.usage = usage}, model);
}

}  // namespace outlay
