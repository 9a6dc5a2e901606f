#include "core/budget/line.hpp"

#include <utility>

#include "core/budget/tree.hpp"

namespace outlay::detail {

namespace {

void wake_outward(BudgetNode& budget, Wakes& wakes) noexcept {
  const WaitingCalls& waiting = budget.root->waiting;
  for (Ticket* ticket = waiting.first(); ticket && ticket->looks_outward; ticket = WaitingCalls::after(*ticket))
    if (ticket->at->line.first() == ticket) wakes.signal(*ticket);
}

}  // namespace

void Wakes::signal(Ticket& ticket) noexcept try {
  if (ticket.signalled) return;
  waiters_.push_back(ticket.waiter);  // before the mark, so that without memory for it the next change tries again
  ticket.signalled = true;
} catch (...) {
}

void Wakes::tell_all() noexcept {
  for (const auto& waiter : std::exchange(waiters_, {})) waiter->wake();
}

void enter_line(BudgetNode& budget, Ticket& ticket) noexcept {
  ticket.at = &budget;
  budget.line.push_back(ticket);
  if (ticket.looks_outward)
    budget.root->waiting.push_front(ticket);
  else
    budget.root->waiting.push_back(ticket);
}

void leave_line(Ticket& ticket, Wakes& wakes) noexcept {
  if (!ticket.at) return;
  BudgetNode& budget = *std::exchange(ticket.at, nullptr);
  budget.line.erase(ticket);
  budget.root->waiting.erase(ticket);
  if (Ticket* next = budget.line.first())
    wakes.signal(*next);
  else
    wake_outward(budget, wakes);
}

[[gnu::hot]] void room_released(BudgetNode& innermost, Wakes& wakes) noexcept {
  if (innermost.root->waiting.empty()) return;
  for (BudgetNode* budget = &innermost; budget; budget = budget->outer)
    if (Ticket* first = budget->line.first()) wakes.signal(*first);
  wake_outward(innermost, wakes);
}

void anything_changed(BudgetNode& budget, Wakes& wakes) noexcept {
  for (Ticket* ticket = budget.root->waiting.first(); ticket; ticket = WaitingCalls::after(*ticket))
    wakes.signal(*ticket);
}

}  // namespace outlay::detail
