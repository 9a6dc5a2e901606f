#pragma once

#include "core/call/decide.hpp"

namespace outlay::detail {

/// What one policy made of a call.
enum class Turn : std::uint8_t {
  pass,     ///< Nothing: the next policy of the chain decides.
  through,  ///< The budget lets the call through; the next budget out is asked.
  changed,  ///< The call is another one: the whole chain is asked again.
  decided,  ///< The verdict is there.
};

/// One decision under way.
struct Case {
  ChainView chain;
  const Memory& memory;
  const Moment& moment;
  Notes& notes;
  Verdict& verdict;            // its quote is the call as it is now
  std::size_t position = 0;    // of the budget that is asked
  std::size_t policy = 0;      // and its policy
  std::uint32_t replayed = 0;  // which answers have changed the call already

  [[nodiscard]] const Quote& quote() const noexcept { return verdict.quote; }
  [[nodiscard]] const BudgetView& budget() const noexcept { return chain[position]; }
  [[nodiscard]] bool fits(const BudgetView& view, const Quote& of) const noexcept;
  /// Whether a call counts in a budget at all: that of a rule is there for the models that it matches.
  [[nodiscard]] static bool counts(const BudgetView& view, const Quote& of) noexcept;
  void note(Note::Kind kind, const BudgetView& view);
  Turn refuse(errc reason) noexcept;
  Turn decided(Verdict::Kind kind) noexcept;
  Turn change(const Quote& to) noexcept;
};

/// A row of the table of policies.
struct PolicyRow {
  Turn (*call)(Case&, const Policy&);    // a call that does not fit
  Turn (*stream)(Case&, const Policy&);  // a running stream that no longer fits
};

[[nodiscard]] const PolicyRow& row_of(const Policy& policy) noexcept;

/// Sets an open ceiling to the largest that asks no policy.
void widen(Case& run) noexcept;
/// Notes an open ceiling that is below what the model writes at most.
void note_open_ceiling(Case& run);

}  // namespace outlay::detail
