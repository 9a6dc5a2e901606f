#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace outlay::detail {

/// The members of outlay::MisuseCounts.
enum class Misuse : std::uint8_t {
  closed_out_of_order,
  no_context_executor,
  closed_elsewhere,
  ambiguous_home,
  call_outside_budgets,
  scope_off_stack,
  attached_apart,
};

/// Counts a misuse, and reports it to the log handler with what to write instead, once per kind and place.
///
/// \param place Names the scope or call as the program knows it: `budget "answer"`. No prompt text.
/// \par Blocking
/// One short lock; the log handler is called outside it.
void report_misuse(Misuse kind, std::string_view place) noexcept;

void note_budget_opened() noexcept;
/// Counted and said once: a call that no budget encloses, in a process that has opened one.
void note_call_outside_budgets(const std::string& model) noexcept;

}  // namespace outlay::detail
