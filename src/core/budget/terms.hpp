#pragma once

#include <algorithm>
#include <cstdint>

#include "outlay/budget.hpp"

namespace outlay::detail {

/// What budgets say about a request before any amount is compared: over a budget and all that enclose it, the strictest of each
/// option. Fixed when a budget opens.
struct Terms {
  std::int64_t output_reserve = 256;  ///< Tokens a choice, for a request without a ceiling.
  std::int64_t reasoning_reserve = 0;
  bool reserve_chosen =
      false;  ///< `output_reserve` was set by some budget: only then does a smaller one than the default count.
  Unbounded unbounded = Unbounded::estimate;
  bool caps_money = false;
  bool caps_input = false;   ///< Tokens in all, or of the input.
  bool caps_output = false;  ///< Tokens in all, or of the output.
  Unpriced unpriced{};       ///< Of the budgets that cap money.
  bool clamps = false;       ///< Some budget has a Clamp, so a request without a ceiling gets one.
  std::int64_t clamp_max = INT64_MAX;

  [[nodiscard]] std::int64_t reserve() const noexcept { return output_reserve + reasoning_reserve; }
  [[nodiscard]] bool refuses_unpriced() const noexcept {
    return caps_money && unpriced.kind() == Unpriced::Kind::refuse;
  }

  /// The terms inside a budget with these options, which the terms `around` it already hold for.
  ///
  /// \param ledgers What its ledger says of requests without a ceiling.
  [[nodiscard]] static Terms inside(const Terms* around, const BudgetOptions& options, Unbounded ledgers = {}) noexcept;
};

}  // namespace outlay::detail
