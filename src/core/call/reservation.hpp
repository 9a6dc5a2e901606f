#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "core/budget/tree.hpp"
#include "core/ledger/books.hpp"
#include "core/shared/store.hpp"
#include "outlay/call.hpp"

namespace outlay::detail {

/// What an admitted call holds, until it ends exactly once. Shared by its Call and its streams; pooled by thread.
struct Reservation {
  enum class State : std::uint8_t { admitted, sent, ended };

  Counted references;
  std::atomic<State> state{State::admitted};  // ended is set under the tree's lock where there is a tree
  NodeRef scope;                              // the innermost scope at admission: keeps budgets, tags and books alive
  Books* books = nullptr;
  BudgetNode* budget = nullptr;
  const Attribution* attribution = nullptr;  // the scope's, or:
  AttributionRef own_attribution;            // of a call with tags of its own
  bool unbounded = false;
  bool has_ceiling = false;
  bool has_flat = false;
  bool has_shown = false;
  bool long_cache = false;
  bool said_over = false;  // a stream was let through over a cap, and that was said
  std::uint64_t call_id = 0;
  std::uint64_t prices_uid = 0;  // the table that it was admitted by
  std::int64_t started = 0;
  const ModelName* requested = nullptr;  // in the books' dictionary
  const ModelName* model = nullptr;
  const ModelName* tier = nullptr;
  std::int64_t input = 0;
  std::int64_t output = 0;  // reserved, over all choices
  std::int64_t ceiling = 0;
  std::int64_t flat = 0;
  std::int64_t assumed_rate = -1;  // picos a token, for a model without a price
  Vector request{};                // what every budget in the chain holds for it
  Usage shown{};
  std::string traceparent;
  std::unique_ptr<SharedHold> hold;  // null where no budget has a store
  Reservation* next_free = nullptr;

  [[nodiscard]] const std::string& model_name() const noexcept { return model->text; }
  [[nodiscard]] const std::string& requested_name() const noexcept { return requested->text; }
};

/// More than any one call is believed to cost.
inline constexpr Usd max_call_cost = Usd::from_nanos(1'000'000'000LL * 1'000'000'000LL);

/// The reserved amounts of a call with this input, output and price.
[[nodiscard]] constexpr Vector request_vector(std::int64_t usd, std::int64_t input, std::int64_t output) noexcept {
  return {usd, input + output, input, output, 1, 1};
}

}  // namespace outlay::detail
