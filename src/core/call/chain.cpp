#include "core/call/chain.hpp"

#include "core/call/admission.hpp"

namespace outlay::detail {

BudgetView view_of(const BudgetNode& budget, const Ticket* own) noexcept {
  return {.budget = &budget,
          .counter = &budget.counter,
          .policies = budget.policy_list(),
          .only_for = budget.only_for.get(),
          .enforces = budget.enforces,
          .clamps = budget.clamps,
          .opens_at_once = budget.opens_at_once,
          .closed = budget.closed,
          .line_ahead = !budget.line.empty() && budget.line.first() != own,
          .in_callback = in_callback_of(budget)};
}

}  // namespace outlay::detail
