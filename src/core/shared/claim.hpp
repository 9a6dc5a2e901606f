#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/budget/tree.hpp"
#include "core/shared/store_queue.hpp"

namespace outlay::detail {

/// What a store holds for a call that has left its process: all that a claim on it is made of again.
struct DetachedHold {
  std::string id;
  std::string epoch;  // of the store's data then
  Time admitted{};    // by the clock that decides about windows
  Vector amount{};
};

/// One call's part in counters of a store: asked for, held, extended, ended. Everything about budgets that count in a store goes through
/// it; the others count in their tree.
///
/// \par Thread safety
/// One thread at a time, but for end(), which another thread may call while a stream asks for more: then nothing more is held.
/// \par Lifetime
/// The budgets are kept by the call's scope.
class SharedClaim {
 public:
  /// \param innermost Of a chain in which some budget counts in a store.
  /// \param lease How long the store holds it once it is detached; zero: it is not going to be.
  explicit SharedClaim(BudgetNode& innermost, std::chrono::milliseconds lease = {});
  /// Of a call that was detached: held, and ended by end_detached() alone.
  SharedClaim(BudgetNode& innermost, DetachedHold hold);
  SharedClaim(const SharedClaim&) = delete;
  SharedClaim& operator=(const SharedClaim&) = delete;
  /// Releases what is held, if the call did not come to be.
  ~SharedClaim();

  enum class Outcome {
    granted,      ///< The amounts are held in every counter.
    refused,      ///< Some counter has no room: see numbers().
    again,        ///< The store has to be asked again, since the slots have turned by its clock.
    unreachable,  ///< The store did not answer: see why(), and hold_unshared().
  };
  struct Question {
    Vector amounts{};  // in all, also where some are held already
    /// How each budget is checked that is not held to `otherwise`.
    std::span<const std::pair<const BudgetNode*, Room>> rooms;
    Room otherwise = Room::fits;
    Time callers{};
    bool priced = true;
  };

  /// \return False: the answer takes its time, and `ask` needs a waiter.
  [[nodiscard]] bool answers_here(bool may_block) const noexcept;
  /// Asks on this thread.
  Outcome ask_here(const Question& question);
  /// Asks by the store's own thread, which wakes the waiter when answer() has something.
  void ask(const Question& question, std::shared_ptr<Waiter> waiter);
  [[nodiscard]] bool asking() const noexcept { return question_ != nullptr; }
  [[nodiscard]] std::optional<Outcome> answer();
  /// When a question that has not been answered is given up.
  [[nodiscard]] std::chrono::steady_clock::time_point answer_by() const noexcept { return answer_by_; }
  /// Gives the question up; what the store may have done or may yet do is undone.
  Outcome give_up();
  /// Of Outcome::unreachable.
  [[nodiscard]] const std::string& why() const noexcept { return why_; }

  /// Lets OnUnreachable decide: where it allows the call, the amounts are held although the store does not know.
  ///
  /// \param anyway Without asking it.
  /// \return False: OnUnreachable refuses.
  bool hold_unshared(const Question& question, bool anyway);
  [[nodiscard]] bool unshared() const noexcept { return hold_.unshared; }
  /// What is held stays so while its call runs.
  void keep();
  /// Reads what counts now, where the store is near: for a call that it is not asked about.
  void look(Time callers) noexcept;
  /// By the clock that decides about windows.
  [[nodiscard]] Time admitted_at() const noexcept { return admitted_at_; }

  /// What the store has said of a budget, without this call: null where it has said nothing. `caps` are the budget's now.
  [[nodiscard]] const Counter* numbers(const BudgetNode& budget, const Vector& caps) noexcept;
  /// Of these caps, those that are set in the store: of use with numbers() alone.
  [[nodiscard]] const Vector* set_caps(const BudgetNode& budget) const noexcept;
  /// Forgets what the store has said: others may have changed it.
  void forget() noexcept { answered_ = false; }
  [[nodiscard]] bool answered() const noexcept { return answered_; }
  /// A cap on money is set in the store for a budget that has none of its own, so that nothing has asked yet whether the call has a price.
  [[nodiscard]] bool caps_money_by_hand() const noexcept;
  /// When time alone may make room in a budget: at the end of the slot of its numbers, where the store has said any, otherwise of the
  /// present one; in a rolling window when the store says that enough of it will have passed. Empty: never.
  [[nodiscard]] std::optional<Time> may_fit_at(const BudgetNode& budget, Time callers) const;
  /// How long until then: 0 if that has passed; max: never.
  [[nodiscard]] std::chrono::nanoseconds may_fit_in(const BudgetNode& budget, Time callers) const;
  /// The innermost budget that counts in the store.
  [[nodiscard]] BudgetNode& first() const noexcept { return *entries_.front().budget; }
  [[nodiscard]] StoreQueue& store() const noexcept { return store_; }

  /// Releases what an admission holds. A running stream keeps what was added to it: its end corrects that.
  void release() noexcept;

  /// A threshold of a budget that counts in the store. The store announces an amount once, whichever budgets of a name ask for it.
  struct Watched {
    BudgetNode* budget;
    std::size_t place;  // of its counter in the command
    StoreCounter::Threshold threshold;
    Vector caps;
  };
  /// By place, then ascending: those of one place stand in the command in this order.
  [[nodiscard]] std::vector<Watched> watched(Time callers);

  /// What is held, for a claim that is made of it elsewhere. Empty where the store does not know of the call, or it was made without a lease.
  [[nodiscard]] std::optional<DetachedHold> detachable();
  /// Leaves it to that claim: the store holds it for the lease. A failure: the store has not answered, and nothing has changed.
  [[nodiscard]] Result<void> leave(Time callers);
  [[nodiscard]] bool of_detached() const noexcept { return hold_.detached; }

  /// Before and after the end of a call, as known here, of the slot of each budget in which the call was admitted.
  struct Change {
    BudgetNode* budget;
    Counter before, after;
  };
  /// Ends the call: settled with `actual`, or released. When the store is told: StoreQueue::end().
  std::vector<Change> end(StoreCommand::Op op, const Vector& actual, Time callers, std::span<const Watched> watched,
                          StoreQueue::Crossed crossed);
  /// The same of a detached call. The store is asked on this thread whether it is the first to end it; where that does not answer, it is, and
  /// the store's own thread delivers the end.
  ///
  /// \return Empty: it had ended before.
  std::optional<std::vector<Change>> end_detached(StoreCommand::Op op, const Vector& actual, Time callers,
                                                  std::span<const Watched> watched, StoreQueue::Crossed crossed);

 private:
  struct Entry {
    BudgetNode* budget;
    std::shared_ptr<SharedCounter> counter;
    std::size_t place = 0;      // in the command: one name that stands in the chain twice is one counter
    Vector spent{}, held{};     // as the store has said, without this call
    Vector set_caps = no_caps;  // the same
    Counter numbers{};          // the same under the budget's caps
    std::optional<Time> fits_at{};
  };

  void collect_counters(BudgetNode& innermost);
  // Under mutex_.
  [[nodiscard]] const char* known_unreachable(const Question& question) const;
  void make_slots(Time now);
  [[nodiscard]] std::vector<StoreCounter> slots_now(Time now) const;
  [[nodiscard]] std::vector<Change> changes_before() const;
  void take_answer(std::vector<Change>& changes, const StoreReply& reply, const Vector& held,
                   const Vector& actual) const;
  [[nodiscard]] StoreCommand command(const Question& question);
  /// \param slots As they were asked about.
  Outcome take(Result<StoreReply> reply, std::span<const StoreCounter> slots);
  Outcome unreachable(std::string why);

  std::vector<Entry> entries_;  // innermost first
  const std::chrono::milliseconds lease_{};
  std::string epoch_;  // of the store's data when it granted what is held
  StoreQueue& store_;
  std::mutex mutex_;  // of what end() reads; a tree's lock may be taken while it is held
  bool ended_ = false;
  StoreHold hold_;  // of counters and slots; the id is empty where nothing is held or asked for
  Vector asked_{};
  Time asked_at_{}, admitted_at_{};
  bool held_ = false;
  bool kept_ = false;      // by a call that runs
  bool answered_ = false;  // the numbers of the entries are the store's
  std::shared_ptr<StoreQueue::Question> question_;
  std::chrono::steady_clock::time_point answer_by_{};
  std::string why_;
};

}  // namespace outlay::detail
