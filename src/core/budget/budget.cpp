#include "outlay/budget.hpp"

#include <memory>
#include <utility>

#include "core/budget/tree.hpp"
#include "core/context/misuse.hpp"
#include "core/context/scopes.hpp"
#include "core/shared/store.hpp"
#include "outlay/run.hpp"

namespace outlay {

bool detail::truncated_a_call(const Budget& budget) noexcept {
  return budget.node_->truncated.load(std::memory_order_relaxed);
}

Budget::Budget(BudgetOptions options) {
  using namespace detail;
  const Node* outer = ambient();
  Books& books = books_of(outer);
  validate(options, books, outer ? outer->budget : nullptr);
  if (options.usd) books.warn_if_prices_are_stale();
  auto node = std::make_unique<BudgetNode>(std::move(options), outer ? outer->budget : nullptr);
  node->budget = node.get();
  node->attribute(
      books.dictionary.intern(outer ? outer->attribution : nullptr, {true, node->name, node->description, {}}));
  push(node.get(), this);
  node_ = node.release();
  note_budget_opened();
}

Budget::~Budget() { detail::close(node_); }

const std::string& Budget::name() const noexcept { return node_->name; }

BudgetState Budget::state() const {
  detail::Vector used, held, cap;
  if (node_->shared) {
    const Time now = node_->chain_store->now(detail::books_of(node_).time());
    node_->chain_store->look(node_->shared, now);
    const detail::SharedCounter::View view = node_->chain_store->view(*node_->shared, now);
    used = view.used;
    held = view.held;
    const auto lock = node_->lock_tree();
    cap = node_->cap;
  } else {
    const auto lock = node_->lock_tree();
    used = node_->used;
    held = node_->held;
    cap = node_->cap;
  }
  detail::Vector spent, remaining;
  for (std::size_t d = 0; d < detail::dimension_count; ++d) {
    spent[d] = used[d] - held[d];
    remaining[d] = cap[d] - used[d];
  }
  return {detail::to_limits(cap, cap), detail::to_amounts(spent), detail::to_amounts(held),
          detail::to_limits(remaining, cap)};
}

Amounts Budget::spent() const { return state().spent; }
Amounts Budget::reserved() const { return state().reserved; }

Limits Budget::limits() const {
  const auto lock = node_->lock_tree();
  return detail::to_limits(node_->cap, node_->cap);
}

std::optional<Time> Budget::window_end() const {
  if (!node_->shared) return {};
  return node_->window.at(node_->chain_store->now(detail::books_of(node_).time())).end;
}

void Budget::raise_cap(Usd amount, std::string_view reason) { raise_cap(Dimension::usd, amount.nanos(), reason); }

void Budget::raise_cap(Dimension dimension, std::int64_t amount, std::string_view reason) {
  using namespace detail;
  const std::size_t d = index(dimension);
  if (amount <= 0)
    throw ConfigError("budget \"" + node_->shown_name() + "\": raise_cap was given " +
                      format_amount(dimension, amount) +
                      ", which raises nothing: the amount is what is added to the cap");
  std::vector<std::shared_ptr<Waiter>> wakes;
  std::int64_t cap = 0;
  {
    const auto lock = node_->lock_tree();
    if (node_->cap[d] == no_cap)
      throw ConfigError("budget \"" + node_->shown_name() + "\" has no cap on " + to_string(dimension) + " to raise");
    cap = node_->cap[d];
    if (__builtin_add_overflow(cap, amount, &cap) || cap == no_cap)
      throw Error(errc::overflow, "budget \"" + node_->shown_name() + "\": the raised cap is too large");
    node_->cap[d] = cap;
    node_->recompute_threshold_amounts();
    for (BudgetNode* at = node_; at; at = at->outer) signal_first(*at, wakes);
  }
  for (const auto& waiter : wakes) waiter->wake();
  EventDraft(books_of(node_), Action::cap_raised, node_->attribution)
      .numbers(dimension, amount, cap)
      .reason(reason)
      .book();
}

void Budget::close_to_new_calls(std::string_view reason) {
  using namespace detail;
  std::vector<std::shared_ptr<Waiter>> wakes;
  {
    const auto lock = node_->lock_tree();
    if (node_->gate & BudgetNode::gate_closed) return;
    node_->gate |= BudgetNode::gate_closed;
    // Waiting calls below judge anew and are refused; a call waits in one line only, and those below are found through it.
    for (Ticket* ticket = node_->root->first_ticket; ticket; ticket = ticket->next_in_tree)
      if (!ticket->signalled) {
        wakes.push_back(ticket->waiter);
        ticket->signalled = true;
      }
  }
  for (const auto& waiter : wakes) waiter->wake();
  EventDraft(books_of(node_), Action::closed, node_->attribution).reason(reason).book();
}

}  // namespace outlay
