#include "core/call/decide.hpp"

#include "core/budget/policy_traits.hpp"
#include "core/call/policies.hpp"

namespace outlay::detail {

namespace {

/// A Clamp looks outward from its budget: whether every enforcing budget around it has room.
bool room_around(const Case& run) noexcept {
  for (std::size_t i = run.position + 1; i < run.chain.size(); ++i)
    if (run.chain[i].enforces && !run.fits(run.chain[i], run.quote())) return false;
  return true;
}

/// Asks a budget's policies, in their order. `fits_here`: the call fits this budget, and one further out is in the way, so only policies
/// that look outward are asked.
Turn ask(Case& run, bool fits_here) {
  const BudgetView& view = run.budget();
  run.policy = 0;
  if (view.in_callback) return Turn::pass;
  for (; run.policy < view.policies.size(); ++run.policy) {
    const Policy& policy = view.policies[run.policy];
    if (fits_here && !traits_of(policy).looks_outward) continue;
    const PolicyRow& row = row_of(policy);
    const Turn turn = (run.moment.stream ? row.stream : row.call)(run, policy);
    if (turn != Turn::pass) return turn;
  }
  return Turn::pass;
}

/// Asks each budget that does not let the call pass as it is, from the innermost outward.
Turn ask_all(Case& run) {
  for (run.position = 0; run.position < run.chain.size(); ++run.position) {
    const BudgetView& view = run.budget();
    const bool fits_here = run.fits(view, run.quote());
    if (fits_here && (!view.clamps || run.moment.stream || room_around(run))) continue;
    const Turn turn = ask(run, fits_here);
    if (turn == Turn::changed || turn == Turn::decided) return turn;
    // What is let through must still fit 64 bits, or its end would subtract more than was added.
    Vector more = minus(run.quote().amounts, run.moment.held);
    if (!fits_here && (turn == Turn::pass || !view.counter->can_count(more))) return run.refuse(errc::budget_exceeded);
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
  Verdict verdict(request);
  Case run{.chain = chain, .memory = memory, .moment = moment, .notes = notes, .verdict = verdict};
  if (!moment.stream)
    for (run.position = 0; run.position < chain.size(); ++run.position)
      if (chain[run.position].closed) {
        run.refuse(errc::closed_to_new_calls);
        return verdict;
      }
  Turn turn = Turn::changed;
  while (turn == Turn::changed) {
    if (run.quote().open_ceiling) widen(run);
    turn = ask_all(run);
  }
  if (turn != Turn::decided && run.quote().open_ceiling) note_open_ceiling(run);
  return verdict;
}

}  // namespace outlay::detail
