#include "core/budget/tree.hpp"

#include <algorithm>
#include <cmath>

#include "core/shared/store.hpp"

namespace outlay::detail {

namespace {

std::int64_t cap_of(const std::optional<std::int64_t>& cap) noexcept { return cap ? *cap : no_cap; }

constexpr std::int64_t default_output_reserve = 256;

Unpriced strictest(const Unpriced& a, const Unpriced& b) noexcept {
  const auto rank = [](const Unpriced& unpriced) {
    switch (unpriced.kind()) {
      case Unpriced::Kind::refuse:
        return 2;
      case Unpriced::Kind::assume:
        return 1;
      case Unpriced::Kind::ignore:
        break;
    }
    return 0;
  };
  if (rank(a) != rank(b)) return rank(a) > rank(b) ? a : b;
  return a.per_million_tokens() >= b.per_million_tokens() ? a : b;
}

}  // namespace

BudgetNode::BudgetNode(BudgetOptions&& options, BudgetNode* enclosing)
    : AttributedNode(NodeKind::budget),
      outer(enclosing),
      root(enclosing ? enclosing->root : this),
      cap{options.usd ? options.usd->nanos() : no_cap,
          cap_of(options.tokens),
          cap_of(options.input_tokens),
          cap_of(options.output_tokens),
          cap_of(options.calls),
          cap_of(options.concurrent)},
      depth(enclosing ? enclosing->depth + 1 : 1),
      output_reserve(options.output_reserve.value_or(default_output_reserve)),
      reasoning_reserve(options.reasoning_reserve.value_or(0)),
      unbounded(options.unbounded),
      usd_capped(options.usd.has_value()),
      unpriced(options.unpriced),
      name(std::move(options.name)),
      description(std::move(options.description)),
      policies(std::move(options.on_exceed)),
      window(std::move(options.window)),
      notify_at(window.kind() == Window::Kind::scope ? std::vector<double>() : options.notify_at) {
  if (const std::vector<Policy>* list = chain()) {
    for (const Policy& policy : *list) {
      has_clamp |= std::holds_alternative<Clamp>(policy);
      has_raise |= std::holds_alternative<Raise>(policy);
      enforcing &= !std::holds_alternative<Raise>(policy) && !std::holds_alternative<Warn>(policy);
    }
    if (has_clamp) unbounded = std::max(unbounded, Unbounded::clamp);
  }
  only_block = chain() == nullptr && (!outer || outer->only_block);
  if (outer) {
    // A reserve that nobody has set is 256; one that somebody has set smaller stays so unless another one is larger.
    const bool own = options.output_reserve.has_value();
    reserve_set = own || outer->reserve_set;
    if (outer->reserve_set)
      output_reserve = own ? std::max(output_reserve, outer->output_reserve) : outer->output_reserve;
    reasoning_reserve = std::max(reasoning_reserve, outer->reasoning_reserve);
    unbounded = std::max(unbounded, outer->unbounded);
    if (outer->usd_capped) unpriced = usd_capped ? strictest(unpriced, outer->unpriced) : outer->unpriced;
    usd_capped |= outer->usd_capped;
  } else {
    reserve_set = options.output_reserve.has_value();
  }
  if (outer) chain_store = outer->chain_store;
  if (window.kind() != Window::Kind::scope) {
    store = options.store ? std::move(options.store) : process_store();
    chain_store = &store->queue();
    shared = chain_store->counter(name, window);
  } else if (!options.notify_at.empty()) {
    thresholds.reserve(options.notify_at.size());
    for (const double fraction : options.notify_at) thresholds.push_back({fraction, {}});
    recompute_threshold_amounts();
  }
}

BudgetNode::~BudgetNode() = default;

Vector threshold_amounts(double fraction, const Vector& caps) noexcept {
  Vector at;
  for (std::size_t d = 0; d < dimension_count; ++d)
    // The first whole amount at or above the fraction; the factor keeps 0.8 of 100 at 80, in spite of 0.8's last bit.
    at[d] = caps[d] == no_cap || d == index(Dimension::concurrent)
                ? no_cap
                : std::max<std::int64_t>(
                      1, static_cast<std::int64_t>(std::ceil(static_cast<long double>(fraction) *
                                                             static_cast<long double>(caps[d]) * (1 - 1e-13L))));
  return at;
}

void BudgetNode::recompute_threshold_amounts() {
  for (Threshold& threshold : thresholds) threshold.at = threshold_amounts(threshold.fraction, cap);
}

std::string BudgetNode::path() const { return outer ? outer->path() + '/' + shown_name() : shown_name(); }

void enqueue(BudgetNode& budget, Ticket& ticket) noexcept {
  ticket.at = &budget;
  ticket.next = nullptr;
  ticket.previous = budget.last_waiting;
  (budget.last_waiting ? budget.last_waiting->next : budget.first_waiting) = &ticket;
  budget.last_waiting = &ticket;
  Ticket*& first = budget.root->first_ticket;
  ticket.previous_in_tree = nullptr;
  ticket.next_in_tree = first;
  if (first) first->previous_in_tree = &ticket;
  first = &ticket;
  budget.gate |= BudgetNode::gate_waiting;
}

void dequeue(Ticket& ticket) noexcept {
  BudgetNode& budget = *ticket.at;
  (ticket.previous ? ticket.previous->next : budget.first_waiting) = ticket.next;
  (ticket.next ? ticket.next->previous : budget.last_waiting) = ticket.previous;
  (ticket.previous_in_tree ? ticket.previous_in_tree->next_in_tree : budget.root->first_ticket) = ticket.next_in_tree;
  if (ticket.next_in_tree) ticket.next_in_tree->previous_in_tree = ticket.previous_in_tree;
  ticket.at = nullptr;
  if (!budget.first_waiting) budget.gate &= ~BudgetNode::gate_waiting;
}

void signal_first(BudgetNode& budget, std::vector<std::shared_ptr<Waiter>>& wakes) noexcept try {
  Ticket* first = budget.first_waiting;
  if (!first || first->signalled) return;
  wakes.push_back(first->waiter);  // before the mark: if there is no memory for it, the next settle tries again
  first->signalled = true;
} catch (...) {
}

}  // namespace outlay::detail
