#pragma once

#include <memory>
#include <vector>

#include "core/base/list.hpp"
#include "core/budget/waiter.hpp"

namespace outlay::detail {

struct BudgetNode;

/// The place of a waiting call in the line of a budget. Guarded by the tree's lock.
///
/// A call stands in one line at most. It is signalled once; what it decides then takes the signal back.
struct Ticket {
  BudgetNode* at = nullptr;  // null: in no line
  bool signalled = false;
  bool looks_outward = false;  // a Clamp is in the call's chain: room anywhere around it may let the call through
  std::shared_ptr<Waiter> waiter;
  Link<Ticket> in_line;
  Link<Ticket> in_tree;
};

using Line = List<Ticket, &Ticket::in_line>;
/// Every call that waits in a tree; those that look outward come first.
using WaitingCalls = List<Ticket, &Ticket::in_tree>;

/// The calls that a change may let through: noted under the tree's lock, and woken when it has been released.
class Wakes {
 public:
  Wakes() = default;
  Wakes(const Wakes&) = delete;
  Wakes& operator=(const Wakes&) = delete;
  ~Wakes() {
    if (!waiters_.empty()) tell_all();
  }

  /// (lock) Does nothing where the ticket has been signalled already.
  void signal(Ticket& ticket) noexcept;
  void tell() noexcept {
    if (!waiters_.empty()) tell_all();
  }

 private:
  void tell_all() noexcept;

  std::vector<std::shared_ptr<Waiter>> waiters_;
};

// Who is woken, in one place. All under the tree's lock.

void enter_line(BudgetNode& budget, Ticket& ticket) noexcept;
/// Wakes the next in line; if the line is empty now, every first call that looks outward, since the line was in its way.
void leave_line(Ticket& ticket, Wakes& wakes) noexcept;
/// Room was released in a budget and all around it: the first in each of their lines, and every first call that looks outward.
void room_released(BudgetNode& innermost, Wakes& wakes) noexcept;
/// A cap has changed, or a budget was closed: every call that waits in the tree.
void anything_changed(BudgetNode& budget, Wakes& wakes) noexcept;

}  // namespace outlay::detail
