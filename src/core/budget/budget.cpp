#include "outlay/budget.hpp"

#include <memory>
#include <ostream>
#include <utility>

#include "core/budget/tree.hpp"
#include "core/context/misuse.hpp"
#include "core/context/scopes.hpp"
#include "outlay/budget_handle.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/run.hpp"

namespace outlay {

bool detail::truncated_a_call(const Budget& budget) noexcept {
  return budget.node_->truncated.load(std::memory_order_relaxed);
}

std::string to_string(const BudgetState& state) {
  using namespace detail;
  const Vector caps = to_vector(state.limits), spent = to_vector(state.spent), reserved = to_vector(state.reserved);
  std::string text;
  for (std::size_t d = 0; d < dimension_count; ++d) {
    if (caps[d] == no_cap) continue;
    const auto dimension = static_cast<Dimension>(d);
    if (!text.empty()) text += "; ";
    // Calls in flight are never spent.
    const std::int64_t used = dimension == Dimension::concurrent ? reserved[d] : spent[d];
    text += to_string(Amount(dimension, used)) + " of " + to_string(Amount(dimension, caps[d]));
    text += dimension == Dimension::concurrent ? " calls in flight"
            : dimension == Dimension::usd      ? " spent"
                                               : std::string(" ") + to_string(dimension) + " spent";
    if (dimension != Dimension::concurrent && reserved[d] != 0)
      text += ", " + to_string(Amount(dimension, reserved[d])) + " reserved";
  }
  return text.empty() ? to_string(state.spent.usd) + " spent" : text;
}

std::ostream& operator<<(std::ostream& out, const BudgetState& state) { return out << to_string(state); }

namespace {

using namespace detail;

/// A budget inside `outer`, which is not yet in a chain.
[[gnu::hot]] std::unique_ptr<BudgetNode> make_budget(BudgetOptions&& options, const Node* outer) {
  Books& books = books_of(outer);
  BudgetNode* const enclosing = outer ? outer->budget : nullptr;
  validate(options, books, enclosing);
  auto node = std::make_unique<BudgetNode>(std::move(options), enclosing, books);
  node->budget = node.get();
  node->attribute(
      books.dictionary.intern(outer ? outer->attribution : nullptr, {true, node->name, node->description, {}}));
  note_budget_opened();
  return node;
}

[[gnu::hot]] BudgetNode& open_scope(BudgetOptions&& options, const void* scope) {
  auto node = make_budget(std::move(options), ambient());
  push(node.get(), scope);
  return *node.release();
}

NodeRef open_apart(BudgetOptions&& options) {
  NodeRef outer = capture();
  auto node = make_budget(std::move(options), outer.get());
  node->books = outer ? outer->books : nullptr;
  node->parent = outer.detach();
  return NodeRef::adopt(node.release());
}

/// Adds `amount`, which may be negative, to a cap.
void change_cap(BudgetNode& node, Dimension dimension, std::int64_t amount, Action action, std::string_view reason) {
  const std::size_t d = index(dimension);
  const std::string change = action == Action::cap_raised ? "raise_cap" : "lower_cap";
  Wakes wakes;
  std::int64_t cap = 0;
  {
    const auto lock = node.lock_tree();
    Counter& counter = node.counter;
    if (!counter.capped(d))
      throw ConfigError("budget \"" + node.shown_name() + "\" has no cap on " + to_string(dimension) + ", and " +
                        change + " cannot add one. Set the cap in BudgetOptions.");
    if (__builtin_add_overflow(counter.cap[d], amount, &cap) || cap == no_cap)
      throw Error(errc::overflow,
                  "budget \"" + node.shown_name() + "\": the raised cap would be too large. Raise it by less.");
    if (cap < 0)
      throw ConfigError("budget \"" + node.shown_name() + "\": lower_cap was given " +
                        to_string(Amount(dimension, -amount)) + ", and the cap is " +
                        to_string(Amount(dimension, counter.cap[d])) + ". Take off at most that.");
    counter.cap[d] = cap;
    node.thresholds.adapt(counter.cap);
    anything_changed(node, wakes);
  }
  wakes.tell();
  if (node.outside) node.outside->change_cap(dimension, node.opened_caps[d], amount);
  EventDraft(books_of(&node), action, node.attribution).numbers(dimension, amount, cap).reason(reason).book();
}

void check_change(const BudgetNode& node, Dimension dimension, std::int64_t amount, bool raises) {
  if (amount > 0) return;
  throw ConfigError("budget \"" + node.shown_name() + "\": " + (raises ? "raise_cap" : "lower_cap") + " was given " +
                    to_string(Amount(dimension, amount)) + ", which " + (raises ? "raises" : "lowers") +
                    " nothing. Pass the amount to " + (raises ? "add to" : "take off") + " the cap.");
}

}  // namespace

[[gnu::hot]] Budget::Budget(BudgetOptions options) : OpenBudget(open_scope(std::move(options), this)) {}

[[gnu::hot]] Budget::~Budget() { detail::close(node_); }

BudgetHandle::BudgetHandle(BudgetOptions options) : BudgetHandle(open_apart(std::move(options))) {}

BudgetHandle::BudgetHandle(detail::NodeRef scope) noexcept
    : OpenBudget(*scope.get()->budget), scope_(std::move(scope)) {}

Context BudgetHandle::context() const noexcept { return Access::context(scope_); }

void BudgetHandle::reset() {
  if (node_->outside)
    throw ConfigError("budget \"" + node_->shown_name() +
                      "\" has a window, and its counter belongs to its name: reset is for budgets without one. Correct "
                      "what is spent by Store::adjust.");
  Wakes wakes;
  {
    const auto lock = node_->lock_tree();
    node_->counter.used = node_->counter.held;
    node_->thresholds.forget();
    anything_changed(*node_, wakes);
  }
  wakes.tell();
}

const std::string& OpenBudget::name() const noexcept { return node_->name; }

BudgetState OpenBudget::state() const {
  detail::Counter counter;
  {
    const auto lock = node_->lock_tree();
    counter = node_->counter;
  }
  if (node_->outside) counter = node_->outside->read(detail::books_of(node_).time(), counter.cap);
  return {detail::to_limits(counter.cap, counter.cap), detail::to_amounts(counter.spent()),
          detail::to_amounts(counter.held), detail::to_limits(detail::minus(counter.cap, counter.used), counter.cap)};
}

Amounts OpenBudget::spent() const { return state().spent; }
Amounts OpenBudget::reserved() const { return state().reserved; }
Limits OpenBudget::remaining() const { return state().remaining; }

Limits OpenBudget::limits() const {
  if (node_->outside) return state().limits;
  const auto lock = node_->lock_tree();
  return detail::to_limits(node_->counter.cap, node_->counter.cap);
}

std::optional<Time> OpenBudget::window_end() const {
  return node_->outside ? node_->outside->slot_end(detail::books_of(node_).time()) : std::nullopt;
}

void OpenBudget::raise_cap(Usd amount, std::string_view reason) { raise_cap(Dimension::usd, amount.nanos(), reason); }

void OpenBudget::raise_cap(Dimension dimension, std::int64_t amount, std::string_view reason) {
  check_change(*node_, dimension, amount, true);
  change_cap(*node_, dimension, amount, Action::cap_raised, reason);
}

void OpenBudget::lower_cap(Usd amount, std::string_view reason) { lower_cap(Dimension::usd, amount.nanos(), reason); }

void OpenBudget::lower_cap(Dimension dimension, std::int64_t amount, std::string_view reason) {
  check_change(*node_, dimension, amount, false);
  change_cap(*node_, dimension, -amount, Action::cap_lowered, reason);
}

void OpenBudget::close_to_new_calls(std::string_view reason) {
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
