#include "core/budget/tree.hpp"

#include "core/ledger/books.hpp"
#include "core/ledger/budget_path.hpp"

#include <algorithm>

#include "core/budget/policy_traits.hpp"

namespace outlay::detail {

namespace {

std::int64_t cap_of(const std::optional<std::int64_t>& cap) noexcept { return cap.value_or(no_cap); }

Vector caps_of(const BudgetOptions& options) noexcept {
  return {options.usd ? options.usd->nanos() : no_cap,
          cap_of(options.tokens),
          cap_of(options.input_tokens),
          cap_of(options.output_tokens),
          cap_of(options.calls),
          cap_of(options.concurrent)};
}

bool windowed(const Window& window) noexcept { return window.kind() != Window::Kind::scope; }

bool lets_through(const Policy& policy) noexcept { return traits_of(policy).lets_through; }

}  // namespace

BudgetNode::BudgetNode(BudgetOptions&& options, BudgetNode* enclosing, const Books& of_ledger)
    : AttributedNode(NodeKind::budget),
      outer(enclosing),
      root(enclosing ? enclosing->root : this),
      depth(enclosing ? enclosing->depth + 1 : 1),
      opened_caps(caps_of(options)),
      thresholds(windowed(options.window) ? std::span<const double>() : options.notify_at, opened_caps),
      terms(Terms::inside(enclosing ? &enclosing->terms : nullptr, options, of_ledger.options.unbounded)),
      name(std::move(options.name)),
      description(std::move(options.description)),
      policies(std::move(options.on_exceed)),
      window(std::move(options.window)),
      outside(windowed(window) ? open_outside_counter(options.store ? options.store : of_ledger.store, name, window)
                               : nullptr),
      store(windowed(window) ? (options.store ? options.store : of_ledger.store)
                             : (enclosing ? enclosing->store : nullptr)),
      notify_at(windowed(window) ? std::move(options.notify_at) : std::vector<double>()),
      clamps(has<Clamp>(policy_list())),
      enforces(std::none_of(policy_list().begin(), policy_list().end(), lets_through)),
      raises(has<Raise>(policy_list())),
      waits(has<Wait>(policy_list())),
      opens_at_once(!policy_list().empty() && lets_through(policy_list().front())),
      only_blocks(std::all_of(policy_list().begin(), policy_list().end(),
                              [](const Policy& policy) { return std::holds_alternative<Block>(policy); }) &&
                  (!enclosing || enclosing->only_blocks)) {
  counter.cap = outside ? outside->changed_caps(opened_caps) : opened_caps;
}

BudgetNode::~BudgetNode() = default;

std::string BudgetNode::path() const {
  std::string path = outer ? outer->path() : std::string();
  append_to_path(path, shown_name());
  return path;
}

bool fits_chain(const BudgetNode& innermost, const Vector& need) noexcept {
  for (const BudgetNode* budget = &innermost; budget; budget = budget->outer)
    if (budget->gated() || (!budget->outside && !budget->counter.fits(need))) return false;
  return true;
}

void hold_in_chain(BudgetNode& innermost, const Vector& more) noexcept {
  for (BudgetNode* budget = &innermost; budget; budget = budget->outer)
    if (!budget->outside) budget->counter.hold(more);
}

}  // namespace outlay::detail
