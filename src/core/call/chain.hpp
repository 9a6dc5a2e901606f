#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/budget/tree.hpp"
#include "core/call/decide.hpp"

namespace outlay::detail {

/// A budget as a call sees it, by the numbers of its tree.
///
/// \param own The place of the call in a line; null: it waits nowhere.
/// \par Preconditions
/// The tree's lock is held, and is kept while the view is used.
[[nodiscard]] BudgetView view_of(const BudgetNode& budget, const Ticket* own) noexcept;

/// Room for the views of a chain of budgets, which allocates only where they are nested deeper than usual.
class ChainRoom {
 public:
  ChainRoom() noexcept {}
  ChainRoom(const ChainRoom&) = delete;
  ChainRoom& operator=(const ChainRoom&) = delete;

  /// Makes a view of each budget by `view(const BudgetNode&)`. Valid until the next call.
  template <class View>
  [[nodiscard]] ChainView look(const BudgetNode& innermost, const View& view) {
    if (innermost.depth > usual) deep_.resize(innermost.depth);
    BudgetView* const first = innermost.depth > usual ? deep_.data() : few_;
    BudgetView* at = first;
    for (const BudgetNode* budget = &innermost; budget; budget = budget->outer) new (at++) BudgetView(view(*budget));
    return {first, at};
  }

 private:
  static constexpr std::size_t usual = 4;

  union {
    BudgetView few_[usual];  // not initialised before it is used: a refusal must be cheap
  };
  std::vector<BudgetView> deep_;
};

}  // namespace outlay::detail
