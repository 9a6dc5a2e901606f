#include "core/budget/terms.hpp"

namespace outlay::detail {

namespace {

Unpriced strictest(const Unpriced& a, const Unpriced& b) noexcept {
  // The kinds ascend: ignore, assume, refuse. Of two assumed rates the dearer is the stricter.
  if (a.kind() != b.kind()) return a.kind() > b.kind() ? a : b;
  return a.per_million_tokens() >= b.per_million_tokens() ? a : b;
}

}  // namespace

[[gnu::hot]] Terms Terms::inside(const Terms* around, const BudgetOptions& options, Unbounded ledgers) noexcept {
  Terms terms = around ? *around : Terms{};
  if (options.output_reserve) [[unlikely]] {
    terms.output_reserve =
        terms.reserve_chosen ? std::max(terms.output_reserve, *options.output_reserve) : *options.output_reserve;
    terms.reserve_chosen = true;
  }
  terms.reasoning_reserve = std::max(terms.reasoning_reserve, options.reasoning_reserve.value_or(0));
  terms.unbounded = std::max({terms.unbounded, options.unbounded, ledgers});
  terms.caps_input |= options.tokens || options.input_tokens;
  terms.caps_output |= options.tokens || options.output_tokens;
  if (options.usd) {
    terms.unpriced = terms.caps_money ? strictest(terms.unpriced, options.unpriced) : options.unpriced;
    terms.caps_money = true;
  }
  if (const std::vector<Policy>* chain = options.on_exceed.chain())
    for (const Policy& policy : *chain)
      if (const auto* clamp = std::get_if<Clamp>(&policy)) {
        terms.clamps = true;
        terms.clamp_max = std::min(terms.clamp_max, clamp->max_output_tokens.value_or(INT64_MAX));
      }
  return terms;
}

}  // namespace outlay::detail
