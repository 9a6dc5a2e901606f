#include "core/call/decide.hpp"

#include "core/budget/policy_traits.hpp"
#include "core/call/policies.hpp"

namespace outlay::detail {

namespace {

/// A Clamp looks outward from its budget: whether every enforcing budget around it has room.
bool room_around(const Case& at) noexcept {
  for (std::size_t i = at.at + 1; i < at.chain.size(); ++i)
    if (at.chain[i].enforces && !at.fits(at.chain[i], at.quote)) return false;
  return true;
}

/// Asks the policies of the budget that is in the way (`own`: another one is), in their order.
Turn ask(Case& at, bool own) {
  const BudgetView& view = at.budget();
  at.policy = 0;
  if (view.in_callback) return Turn::pass;
  for (; at.policy < view.policies.size(); ++at.policy) {
    const Policy& policy = view.policies[at.policy];
    if (own && !traits_of(policy).looks_outward) continue;
    const PolicyRow& row = row_of(policy);
    const Turn turn = (at.moment.stream ? row.stream : row.call)(at, policy);
    if (turn != Turn::pass) return turn;
  }
  return Turn::pass;
}

/// Asks each budget that does not let the call pass as it is, from the innermost outward.
Turn ask_all(Case& at) {
  for (at.at = 0; at.at < at.chain.size(); ++at.at) {
    const BudgetView& view = at.budget();
    const bool own = at.fits(view, at.quote);
    if (own && (!view.clamps || at.moment.stream || room_around(at))) continue;
    const Turn turn = ask(at, own);
    if (turn == Turn::changed || turn == Turn::decided) return turn;
    // What is let through must still fit 64 bits, or its end would subtract more than was added.
    Vector more = minus(at.quote.amounts, at.moment.held);
    if (!own && (turn == Turn::pass || !view.counter->can_count(more))) return at.refuse(errc::budget_exceeded);
  }
  return Turn::pass;
}

}  // namespace

const Model* Models::find(std::string_view name) const noexcept {
  for (const Model& model : known_)
    if (model.name->text == name) return &model;
  return nullptr;
}

Verdict decide(ChainView chain, const Quote& request, const Memory& memory, const Moment& moment, Notes& notes) {
  notes.clear();
  Case at{.chain = chain, .memory = memory, .moment = moment, .notes = notes, .quote = request};
  if (!moment.stream)
    for (at.at = 0; at.at < chain.size(); ++at.at)
      if (chain[at.at].closed) {
        at.refuse(errc::closed_to_new_calls);
        return at.verdict;
      }
  Turn turn = Turn::changed;
  while (turn == Turn::changed) {
    if (at.quote.open) widen(at);
    turn = ask_all(at);
  }
  if (turn == Turn::decided) return at.verdict;
  if (at.quote.open) note_open_ceiling(at);
  return {.kind = Verdict::Kind::admit, .quote = at.quote};
}

}  // namespace outlay::detail
