#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "core/budget/tree.hpp"
#include "outlay/error.hpp"

namespace outlay::detail {

/// What of a request could be otherwise, so that it fits.
enum class Remedy : std::uint8_t { none, cheaper_model, less_input, less_of_both, lower_ceiling, set_ceiling };

/// A breach as it is noted under the lock; text comes later.
struct RawBreach {
  const BudgetNode* budget;
  Dimension dimension;
  std::int64_t limit, spent, reserved, requested;
  std::optional<Time> retry_at{};
  Remedy remedy = Remedy::none;
  bool by_operator = false;  // the cap is one that is set in the budget's store

  /// Closed to calls by an operator: an operator opens it again, or the end of the time that it is closed for, whatever else is in the way.
  [[nodiscard]] bool shut() const noexcept { return by_operator && dimension == Dimension::calls && limit == 0; }
};

struct FailureFacts {
  // Not = default, by which make_unique would clear `first`: a refusal must be cheap.
  FailureFacts() noexcept {}  // NOLINT(modernize-use-equals-default)

  Counted references;
  errc code = errc::ok;
  NodeRef scope;  // keeps the budgets that are named below
  const BudgetNode* refuser = nullptr;
  std::string model;                               // that was asked for
  std::string refused_model;                       // where policies had rerouted the call before; else empty
  const char* ceiling_name = "max_output_tokens";  // as CallRequest
  std::string text;                                // for a failure that is no breach
  bool booked = false;                             // `spent` of the breaches has this call in it
  bool stream = false;                             // a running stream asked for more
  std::size_t count = 0;
  std::array<RawBreach, 4> first;  // of which `count` are there
  std::vector<RawBreach> more;

  /// Room for one more breach.
  [[nodiscard]] RawBreach& add() {
    RawBreach& room = count < first.size() ? first[count] : more.emplace_back();
    ++count;  // last: without memory for it there is none
    return room;
  }
  [[nodiscard]] const RawBreach& at(std::size_t i) const {
    return i < first.size() ? first[i] : more[i - first.size()];
  }
  /// Of the refusing budget, and of its own the one that is shut; else the first. Null if there is none.
  [[nodiscard]] const RawBreach* primary() const noexcept;
};

/// How messages name the call: by the model that was refused, and where that is another one, by the one that was asked for.
[[nodiscard]] std::string shown_model(const FailureFacts& facts);

}  // namespace outlay::detail
