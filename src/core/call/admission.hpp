#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/call/arrival.hpp"
#include "core/call/chain.hpp"
#include "core/call/decide.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/detail/export.hpp"

namespace outlay::detail {

/// A call that was not admitted at once, or a running stream that needs more room: decided, asked about, waiting, until it is admitted or
/// refused.
///
/// A machine without a thread of its own: each advance() goes as far as it can and returns the state. What runs it (`run` below, or an
/// asynchronous operation) tells it what has happened, one event at a time.
class OUTLAY_EXPORT Admission {
 public:
  enum class State : std::uint8_t {
    deciding,        ///< Holds what a store has just granted, if anything. The advancing thread leaves it.
    asking_program,  ///< Holds its place in line, and nothing in a store. Left by ask_program().
    asking_store,  ///< Holds its place in line; perhaps a store holds its amounts already. Left by a wake-up or the deadline.
    in_line,   ///< Holds its place in line alone. Left by a wake-up or the deadline.
    admitted,  ///< Holds its quote in every budget.
    refused,   ///< Holds nothing; a stream: what it held before.
  };
  enum class Event : std::uint8_t {
    start,
    woken,     ///< The waiter was woken: room was released, or a store has answered.
    timer,     ///< deadline() has passed.
    answered,  ///< ask_program() has the program's answer.
  };
  struct Caller {
    bool may_wait = true;   ///< False: Wait passes the decision to the next policy, with a log line.
    bool may_block = true;  ///< False: even a store on this machine is asked by its own thread.
    /// Asked once, when the admission has to wait for something.
    std::function<std::shared_ptr<Waiter>()> waiter;
  };

  /// A call that is undecided. The arrival outlives the admission.
  Admission(Arrival& arrival, Caller caller);
  /// A running stream that needs room for `wanted`, and may not wait.
  Admission(Reservation& stream, PricedAgain wanted, Caller caller);
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;
  ~Admission();

  State advance(Event event);
  /// In `asking_program`: asks the callback, outside every lock. Then advance(answered).
  void ask_program();
  /// In `asking_store` and `in_line`; max: none.
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const noexcept;
  [[nodiscard]] State state() const noexcept { return state_; }
  /// After `refused`; once.
  [[nodiscard]] Failure failure() noexcept { return Access::failure(failure_.release()); }

 private:
  State decide_and_act();
  void prepare_chain();
  /// A policy has chosen another model, and other rules are those of that model: leaves the old ones, and enters the new ones.
  ///
  /// \return False: refused; or admitted, where no budget is left around it.
  bool change_rules(std::unique_lock<std::mutex>& lock, const Quote& quote, const Notes& notes);
  State observe();
  /// (lock) Looks at the budgets as they are now.
  ///
  /// \param ignore_grant In observe mode: judges by the numbers of a store even where it holds the call's amounts.
  /// \return Valid until the lock is let go.
  [[nodiscard]] ChainView look(bool ignore_grant);
  [[nodiscard]] const std::shared_ptr<Waiter>& waiter();
  [[nodiscard]] Model model_of(const std::string& text) const;
  [[nodiscard]] const PricedModel* find_price(const std::string& model) const;
  State admit(std::unique_lock<std::mutex>& lock, ChainView chain, const Quote& quote, const Notes& notes);
  State refuse(std::unique_lock<std::mutex>& lock, ChainView chain, const Verdict& verdict, const Notes& notes);
  State wait_in_line(std::unique_lock<std::mutex>& lock, const Verdict& verdict);
  State prepare_callback(std::unique_lock<std::mutex>& lock, ChainView chain, const Verdict& verdict);
  State ask_store(const Quote& quote, Room otherwise);
  State store_answered(SharedClaim::Outcome outcome);
  State store_unavailable(const std::string& what);
  State refuse_by_store(errc code, std::string text);
  void leave_line();
  void release_grant() noexcept;
  /// Of the innermost budget that counts in the store.
  [[nodiscard]] Note note_of_store(Note::Kind kind, const Quote& quote);
  void book_events();
  [[nodiscard]] bool observing() const noexcept { return books_.options.observe; }
  [[nodiscard]] SharedClaim::Question store_question(const Quote& quote, Room otherwise) const noexcept;

  Arrival* const arrival_;  // null: a stream
  Reservation& reservation_;
  Books& books_;
  BudgetNode* budget_;  // innermost; null once the call has left its only rules
  const Caller caller_;
  std::shared_ptr<Waiter> waiter_;           // of the caller, once it was needed
  std::shared_ptr<const PriceBook> prices_;  // keeps what quotes are priced by
  Quote request_;                            // what is admitted if no policy acts
  const ModelName* ruled_ = nullptr;         // the model whose rules the chain has
  std::vector<NodeRef> left_;                // rules of other models, which notes and memories still name
  Notes before_;                             // what was done under them
  Memory memory_;
  Moment moment_;
  State state_ = State::deciding;
  Ticket ticket_;
  std::unique_ptr<SharedClaim> own_claim_;
  SharedClaim* claim_ = nullptr;  // null where no budget counts in a store
  bool granted_ = false;          // the store holds `asked_of_store_` for this decision
  bool stale_ = false;            // room was released after the store had said what is known
  bool asked_blindly_ = false;    // nothing was known of the store when it was asked
  int rounds_ = 0;
  Verdict asked_of_store_;  // what it was asked for
  Notes asked_of_store_notes_;
  std::vector<std::pair<const BudgetNode*, Room>> rooms_;
  Verdict asked_of_program_;
  std::optional<Exceeded> exceeded_;  // what its callback is shown
  const BudgetNode* waited_at_ = nullptr;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
  ChainRoom chain_;
  Notes said_;  // what is to be said when the lock has been let go
  std::unique_ptr<FailureFacts> failure_;
  Wakes wakes_;  // woken last
};

/// A caller that waits on its own thread.
class BlockingCaller {
 public:
  [[nodiscard]] Admission::Caller caller(bool may_wait) {
    return {.may_wait = may_wait, .may_block = true, .waiter = [this] {
              waiter_ = std::make_shared<BlockingWaiter>();
              return waiter_;
            }};
  }
  /// Runs an admission to its end.
  Admission::State run(Admission& admission);

 private:
  std::shared_ptr<BlockingWaiter> waiter_;  // null until something is waited for
};

/// True while a callback of this budget runs on this thread: inside it the budget acts as Block.
[[nodiscard]] bool in_callback_of(const BudgetNode& budget) noexcept;

}  // namespace outlay::detail
