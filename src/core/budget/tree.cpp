#include "core/budget/tree.hpp"

#include "core/budget/policy_traits.hpp"
#include "core/ledger/books.hpp"
#include "core/ledger/budget_path.hpp"

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

}  // namespace

[[gnu::hot]] PolicySummary::PolicySummary(const Policies& policies, bool only_blocks_around) noexcept
    : only_blocks(only_blocks_around) {
  const std::vector<Policy>* const chain = policies.chain();
  if (!chain || chain->empty()) return;  // Block alone
  opens_at_once = traits_of(chain->front()).lets_through;
  for (const Policy& policy : *chain) {
    clamps |= std::holds_alternative<Clamp>(policy);
    enforces &= !traits_of(policy).lets_through;
    raises |= std::holds_alternative<Raise>(policy);
    waits |= std::holds_alternative<Wait>(policy);
    only_blocks &= std::holds_alternative<Block>(policy);
  }
}

[[gnu::hot]] BudgetNode::BudgetNode(BudgetOptions&& options, BudgetNode* enclosing, const Books& of_ledger)
    : AttributedNode(NodeKind::budget),
      PolicySummary(options.on_exceed, !enclosing || enclosing->only_blocks),
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
      notify_at(windowed(window) ? std::move(options.notify_at) : std::vector<double>()) {
  counter.cap = outside ? outside->changed_caps(opened_caps) : opened_caps;
}

[[gnu::hot]] BudgetNode::~BudgetNode() = default;

std::string BudgetNode::path() const {
  std::string path = outer ? outer->path() : std::string();
  append_to_path(path, shown_name());
  return path;
}

[[gnu::hot]] bool fits_chain(const BudgetNode& innermost, const Vector& need) noexcept {
  for (const BudgetNode* budget = &innermost; budget; budget = budget->outer)
    if (budget->gated() || (!budget->outside && !budget->counter.fits(need))) return false;
  return true;
}

[[gnu::hot]] void hold_in_chain(BudgetNode& innermost, const Vector& more) noexcept {
  for (BudgetNode* budget = &innermost; budget; budget = budget->outer)
    if (!budget->outside) budget->counter.hold(more);
}

}  // namespace outlay::detail
