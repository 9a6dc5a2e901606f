#include "outlay/budget.hpp"

#include <memory>
#include <utility>

#include "core/budget/tree.hpp"
#include "core/context/misuse.hpp"
#include "core/context/scopes.hpp"
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
  auto node = std::make_unique<BudgetNode>(std::move(options), outer ? outer->budget : nullptr, books.store);
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
  detail::Counter counter;
  {
    const auto lock = node_->lock_tree();
    counter = node_->counter;
  }
  if (node_->outside) counter = node_->outside->read(detail::books_of(node_).time(), counter.cap);
  return {detail::to_limits(counter.cap, counter.cap), detail::to_amounts(counter.spent()),
          detail::to_amounts(counter.held), detail::to_limits(detail::minus(counter.cap, counter.used), counter.cap)};
}

Amounts Budget::spent() const { return state().spent; }
Amounts Budget::reserved() const { return state().reserved; }

Limits Budget::limits() const {
  const auto lock = node_->lock_tree();
  return detail::to_limits(node_->counter.cap, node_->counter.cap);
}

std::optional<Time> Budget::window_end() const {
  return node_->outside ? node_->outside->slot_end(detail::books_of(node_).time()) : std::nullopt;
}

void Budget::raise_cap(Usd amount, std::string_view reason) { raise_cap(Dimension::usd, amount.nanos(), reason); }

void Budget::raise_cap(Dimension dimension, std::int64_t amount, std::string_view reason) {
  using namespace detail;
  const std::size_t d = index(dimension);
  if (amount <= 0)
    throw ConfigError("budget \"" + node_->shown_name() + "\": raise_cap was given " +
                      to_string(Amount(dimension, amount)) +
                      ", which raises nothing. Pass the amount to add to the cap.");
  Wakes wakes;
  std::int64_t cap = 0;
  {
    const auto lock = node_->lock_tree();
    Counter& counter = node_->counter;
    if (!counter.capped(d))
      throw ConfigError("budget \"" + node_->shown_name() + "\" has no cap on " + to_string(dimension) +
                        ", and raise_cap cannot add one. Set the cap in BudgetOptions.");
    if (__builtin_add_overflow(counter.cap[d], amount, &cap) || cap == no_cap)
      throw Error(errc::overflow,
                  "budget \"" + node_->shown_name() + "\": the raised cap would be too large. Raise it by less.");
    counter.cap[d] = cap;
    node_->thresholds.adapt(counter.cap);
    anything_changed(*node_, wakes);
  }
  wakes.tell();
  EventDraft(books_of(node_), Action::cap_raised, node_->attribution)
      .numbers(dimension, amount, cap)
      .reason(reason)
      .book();
}

void Budget::close_to_new_calls(std::string_view reason) {
  using namespace detail;
  Wakes wakes;
  {
    const auto lock = node_->lock_tree();
    if (std::exchange(node_->closed, true)) return;
    anything_changed(*node_, wakes);
  }
  wakes.tell();
  EventDraft(books_of(node_), Action::closed, node_->attribution).reason(reason).book();
}

}  // namespace outlay
