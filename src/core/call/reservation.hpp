#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/budget/tree.hpp"
#include "core/call/decide.hpp"
#include "core/call/quote.hpp"
#include "core/ledger/books.hpp"
#include "core/shared/claim.hpp"
#include "outlay/call.hpp"
#include "outlay/detail/export.hpp"

namespace outlay::detail {

/// What an admitted call holds, until it ends exactly once. Shared by its Call and its streams; pooled by thread.
struct Reservation {
  enum class State : std::uint8_t { admitted, sent, ended };

  Counted references;
  std::atomic<State> state{State::ended};  // `ended` is set under the tree's lock where there is a tree
  bool said_over = false;                  // its stream was let through over a cap, and that was said
  NodeRef scope;                           // the innermost scope at admission: keeps budgets, tags and books alive
  Books* books = nullptr;
  BudgetNode* budget = nullptr;              // innermost; null outside every budget
  const Attribution* attribution = nullptr;  // of the scope, or `own_attribution`
  AttributionRef own_attribution;            // of a call that has tags of its own
  /// What every budget holds for the call. Its pricing may refer to a price book that is gone: priced_again() has the present one.
  Quote quote;
  std::uint64_t call_id = 0;
  std::uint64_t prices_uid = 0;                 // the price book that it was admitted by
  std::shared_ptr<const PriceBook> own_prices;  // that book, of a call that came from another process
  std::int64_t started = 0;
  const ModelName* tier = nullptr;   // null: none was asked for
  const ModelName* under = nullptr;  // the provider that is asked; null: not known
  std::string traceparent;
  std::vector<Answer> answers;         // (the tree's lock) of the program about its stream
  std::unique_ptr<SharedClaim> claim;  // null where no budget counts in a store
  Reservation* next_free = nullptr;

  /// What its stream has shown, which another thread may end; empty: nothing, or nothing that can be trusted.
  void set_shown(const Usage* usage) noexcept;
  [[nodiscard]] std::optional<Usage> shown() const noexcept;
  /// What it holds, and with its output: a stream may be given more on another thread.
  struct Held {
    Vector amounts{};
    std::int64_t output = 0;
  };
  [[nodiscard]] Held held() const noexcept;

  [[nodiscard]] bool open() const noexcept { return state.load(std::memory_order_acquire) != State::ended; }
  [[nodiscard]] const std::string& model_name() const noexcept { return quote.model.name->text; }
  [[nodiscard]] const std::string& requested_name() const noexcept { return quote.requested->text; }

 private:
  friend void release(Reservation* reservation) noexcept;

  mutable std::atomic_flag showing_;  // held for as long as a copy takes
  bool has_shown_ = false;
  Usage shown_{};
};

/// A fresh one, ended until it is admitted.
[[nodiscard]] Ref<Reservation> make_reservation();

/// A price book that a reservation's quote is priced by, and that quote.
struct PricedAgain {
  std::shared_ptr<const PriceBook> prices;
  Quote quote;
};
[[nodiscard]] PricedAgain priced_again(const Reservation& reservation);

/// Reserves room for more output of a running stream.
OUTLAY_EXPORT ExtensionResult extend(Reservation& reservation, std::int64_t output_tokens);

// What happens to a call before its end.
OUTLAY_EXPORT void mark_sent(Reservation& reservation) noexcept;
/// Tells the reservation what its stream has shown, for the day it ends without a verdict.
OUTLAY_EXPORT void note_shown(Reservation& reservation, const Usage& usage) noexcept;
/// What its stream has shown says nothing of what was used.
OUTLAY_EXPORT void forget_shown(Reservation& reservation) noexcept;
}  // namespace outlay::detail
