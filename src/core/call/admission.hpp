#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/budget/failure.hpp"
#include "core/call/reservation.hpp"

namespace outlay::detail {

/// All that is known of a call on its way in. The policies change `model`, `ceiling` and what follows from them.
struct Draft {
  Node* scope = nullptr;
  Books* books = nullptr;
  BudgetNode* budget = nullptr;  // innermost
  const ModelName* requested = nullptr;
  const ModelName* model = nullptr;
  const PricedModel* priced = nullptr;  // held by the thread's cache, or by Admission::Slow
  std::int64_t input = 0;
  std::int64_t output = 0;                // over all choices
  std::optional<std::int64_t> ceiling{};  // per choice
  std::int64_t choices = 1;
  std::optional<Usd> flat{};
  std::int64_t assumed_rate = -1;  // picos a token
  std::string_view tier{};
  bool long_cache = false;
  std::int64_t reserve = 0;  // per choice, for a request without a ceiling
  bool unbounded = false;
  bool fixed_ceiling = false;
  std::int64_t min_ceiling = 1;
  Vector request{};
};

/// Unpriced::assume as a price: one rate for every token.
struct AssumedPrice {
  explicit AssumedPrice(std::int64_t picos)
      : price{.rates = {.input = Rate::from_picos(picos), .output = Rate::from_picos(picos)}},
        model("assumed", price, PriceRule::none, true) {}
  AssumedPrice(const AssumedPrice&) = delete;
  AssumedPrice& operator=(const AssumedPrice&) = delete;

  const Price price;
  const PricedModel model;
};

/// A call being admitted: step by step, so that one that waits need not hold a thread.
///
/// start() settles most calls. On `waiting` the caller provides a Waiter by queue(), and calls retry() each time that it is woken, or
/// time_out() at deadline().
class Admission {
 public:
  enum class Step { admitted, refused, waiting };

  /// Reads the request; views into it are used until start() returns.
  explicit Admission(const CallRequest& request) noexcept;
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;
  ~Admission();  // leaves the line

  /// \param may_wait False: a Wait policy hands on and says so.
  /// \param may_block False: a store is asked by its own thread, also where it is near.
  Step start(bool may_wait, bool may_block = true);
  Step queue(std::shared_ptr<Waiter> waiter);
  Step retry();
  Step time_out();
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const noexcept;

  /// After `admitted`; owned by the caller.
  [[nodiscard]] Reservation* take() noexcept { return std::exchange(reservation_, nullptr); }
  /// After `refused`.
  [[nodiscard]] Failure failure() noexcept { return Failure(failure_.release()); }

 private:
  enum class Outcome { admit, refuse, ask, wait };
  struct Slow;
  struct Pending;

  bool prepare();                           // false: refused
  bool allow_unpriced(Draft& draft) const;  // false: a price is required
  bool price(Draft& draft, const ModelName* model,
             const PricedModel* priced) const;  // false: cannot be priced
  Step refuse(errc code, std::string text);
  void take_room() noexcept;  // under the lock
  Step admit();
  Step judge();
  Outcome evaluate();
  bool fits(const BudgetNode& budget) const noexcept;
  bool fits_vector(const BudgetNode& budget, const Vector& request) const noexcept;
  bool try_downgrade(BudgetNode& budget, const Downgrade& downgrade);
  bool try_clamp(BudgetNode& budget, std::int64_t min_tokens);
  Outcome refuse_by(BudgetNode& budget, errc code);
  void note(Action action, BudgetNode& budget);
  bool ask(std::unique_lock<std::mutex>& lock);  // false: decided to refuse
  void leave_line();
  void emit();
  void emit_refused_outright();
  void book_outright(Action action, const std::string& reason);
  void wake_others() noexcept;
  [[nodiscard]] std::string traceparent() const;
  /// What the call is attributed to, its own tags included.
  [[nodiscard]] AttributionRef attribution() const;
  void observe_outright(const std::string& what);
  Step observe();

  // Budgets in a store.
  enum class Asked { again, waiting, refused };
  [[nodiscard]] Time store_time() const noexcept;
  void load_views() noexcept;  // under the lock
  /// Asks for what the draft needs, with the room that each policy leaves.
  Asked reserve_in_store();
  Asked take_answer(Result<StoreReply> answer);
  Asked without_store(const std::string& why);
  void give_back() noexcept;
  Step refuse_without_store();
  Step refuse_plainly(std::unique_lock<std::mutex>& lock);

  const CallRequest* request_;
  NodeRef rules_;  // the budgets that the call's tags brought
  Draft draft_;
  std::unique_ptr<Slow> slow_;
  Reservation* reservation_ = nullptr;
  std::unique_ptr<FailureFacts> failure_;
};

/// True while a callback of this budget runs on this thread: inside it the budget acts as Block.
bool in_callback_of(const BudgetNode& budget) noexcept;
/// Asks a callback outside every lock; one that throws is Decision::block().
Decision ask_callback(const BudgetNode& budget, const Callback& callback, const Exceeded& exceeded) noexcept;

/// The breaches of a chain against a request that does not fit, innermost first.
void add_breaches(FailureFacts& facts, const BudgetNode* innermost, const Vector& request, Time now);
/// A W3C trace context of version 00: `00-<32 hex>-<16 hex>-<2 hex>`.
[[nodiscard]] bool is_traceparent(std::string_view text) noexcept;
/// The dimension most in the way of a request in one budget.
Dimension dimension_in_the_way(const BudgetNode& budget, const Vector& request) noexcept;

}  // namespace outlay::detail
