#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/base/at_fork.hpp"
#include "core/base/back_off.hpp"
#include "core/shared/shared_counter.hpp"
#include "outlay/log.hpp"
#include "outlay/store.hpp"

namespace outlay::detail {

class Books;
struct Waiter;

/// What a call holds in a store, or may hold there.
struct StoreHold {
  std::string id;
  Counters counters;
  std::vector<StoreCounter> slots;                // one for each of `counters`, as it was admitted
  std::vector<std::shared_ptr<KnownSlot>> known;  // of these
  Vector amount{};
  bool unshared = false;     // the store was not there to be asked: it learns of the call at its end
  std::int64_t local = 0;    // of `amount`, what was taken from the allowance of OnUnreachable::local
  std::uint64_t losses = 0;  // how often the store had lost data when it was made
  bool detached = false;     // of a call that came from another process: an id that the store does not know has ended
  Vector told{};             // of `amount`, what the store holds
  Vector shown{};            // of the rest, what is seen as held here
};

/// A store's queue and thread: what stands between calls and a backend.
///
/// Lock order: a tree's before `mutex_`; `backend_mutex_` before `mutex_`, and never within a tree's. Waiters and crossed
/// thresholds are called outside all of them.
class StoreQueue {
 public:
  StoreQueue(std::unique_ptr<StoreBackend> backend, const StoreOptions& options);
  StoreQueue(const StoreQueue&) = delete;
  StoreQueue& operator=(const StoreQueue&) = delete;
  ~StoreQueue();
  [[nodiscard]] bool is_own_thread() const noexcept { return own_thread_ == std::this_thread::get_id(); }
  /// In place of the destructor there: the thread goes on as long as that would have waited, and then deletes the queue.
  void end_on_own_thread() noexcept;

  const StoreOptions options;
  /// Of the ledger that owns it. Null: of the caller's.
  std::shared_ptr<const Clock> clock{};
  [[nodiscard]] StoreBackend::Distance distance() const noexcept { return distance_; }
  [[nodiscard]] std::string description() const { return backend_->description(); }

  /// The one counter of a name and window in this process.
  ///
  /// \param of_budget Some budget counts in it: the loss of its data is noticed also when that is gone.
  std::shared_ptr<SharedCounter> counter(const std::string& name, const Window& window, bool of_budget = false);
  /// The time that decides which window it is: the store's own where it is far away, else the caller's.
  [[nodiscard]] Time now(Time callers) const noexcept;
  [[nodiscard]] Counter view(SharedCounter& counter, Time now, const Vector& caps);
  /// The same of the slot in which a call was admitted.
  [[nodiscard]] Counter view(const SharedCounter& counter, const KnownSlot& slot, const Vector& caps);
  /// A budget's caps, but for those that are set in the store, as it last said.
  [[nodiscard]] Vector caps(const SharedCounter& counter, const Vector& own) const noexcept;
  /// Asks a store in memory for the caps that are set, if some were: their time may be over.
  void look_at_set_caps(SharedCounter& counter, Time now) noexcept;
  // As of OutsideCounter.
  [[nodiscard]] Vector changed_caps(const SharedCounter& counter, const Vector& opened) const;
  void change_cap(const SharedCounter& counter, Dimension dimension, std::int64_t opened, std::int64_t amount);
  /// What is known of the slots of these counters.
  [[nodiscard]] std::vector<std::shared_ptr<KnownSlot>> known_slots(const Counters& counters,
                                                                    const std::vector<StoreCounter>& slots);
  /// Reads the counter from a store that is near, if nothing is known of its present window, or anew.
  void look(SharedCounter& counter, Time now, bool anew = false) noexcept;

  /// A question under way. Wakes its waiter once, with the result in place.
  struct Question {
    StoreCommand command;
    Counters counters;
    std::shared_ptr<Waiter> waiter;
    std::optional<Result<StoreReply>> result{};  // under the queue's mutex
    bool abandoned = false;                      // the same: no call waits for it any more
  };
  [[nodiscard]] StoreCommand command(StoreCommand::Op op, std::string id, std::vector<StoreCounter> slots,
                                     const Vector& amount, Time now) const;
  [[nodiscard]] std::string new_id();
  /// Which life of the store's data it last told of.
  [[nodiscard]] std::string epoch() const;
  /// Whether it has told anything, and so what time it is there.
  [[nodiscard]] bool heard() const;
  /// Executes on this thread: where the store is near. The counters are those of the command.
  [[nodiscard]] Result<StoreReply> execute(const StoreCommand& command, const Counters& counters);
  /// Leaves it to the store's thread.
  void ask(const std::shared_ptr<Question>& question);
  /// Asks, and waits on this thread for at most the timeout.
  [[nodiscard]] Result<StoreReply> ask_and_wait(StoreCommand&& command, Counters counters);
  [[nodiscard]] std::optional<Result<StoreReply>> answer(Question& question);
  /// Gives a question up.
  void abandon(Question& question);
  /// Undoes a reservation that may have been made, or may yet be: an id that is ended is not reserved any more.
  void forget(StoreHold& hold, Time now) noexcept;

  /// Called with the answer to the end of a call that was the first to reach thresholds.
  using Crossed = std::function<void(const StoreReply&)>;
  /// Ends what a call holds: settled with `amount`, or released. Repeated until it has arrived: a store in memory is told on this thread; a
  /// file by the next admission that asks it, or by the store's thread a few milliseconds later; a server by that thread.
  ///
  /// \return The answer of a store in memory. Empty elsewhere: it comes later.
  std::optional<StoreReply> end(StoreHold& hold, StoreCommand::Op op, const Vector& amount, Time now,
                                Crossed crossed) noexcept;
  void flush(std::chrono::milliseconds timeout);

  /// Shows as held, in this process, what the store does not know that a running call holds; and no more of it once the call has ended.
  void show(StoreHold& hold, bool runs);
  /// A call has ended of which the store has been told, or which another process will end: nothing of it is held here.
  void end_here(StoreHold& hold, std::int64_t spent);
  /// The store holds all of it by now: nothing of it is the allowance's.
  void confirmed(StoreHold& hold) noexcept;
  /// OnUnreachable::local: takes from this process's allowance, until the hold ends. False: it is used up.
  bool take_local(StoreHold& hold, std::int64_t nanos) noexcept;
  /// The store has lost what it knew of some window that is still the present one.
  [[nodiscard]] bool data_lost(Time now) noexcept;
  void accept_lost_data() noexcept;
  [[nodiscard]] StoreLosses losses(Time now) const;
  /// Of a store in memory: forgets what was spent.
  void reset();
  /// From now on its lease is renewed, until it ends or leave_alone().
  void keep_alive(StoreHold& hold);
  /// Books an event for each lease that was found to have run out since this was last called.
  void record_expired(Books& books) noexcept;
  /// Its lease is renewed no more.
  void leave_alone(const std::string& id) noexcept;

 private:
  struct Delivery {
    StoreCommand command;
    Counters counters;
    std::vector<std::shared_ptr<KnownSlot>> known;  // the slots of the counters
    Vector spent{}, held{};                         // what the store will add and take off
    Crossed crossed;
  };

  void run();
  void before_fork();
  void after_fork(bool in_child) noexcept;
  /// The backend's results, one for each command whatever it does.
  std::vector<Result<StoreReply>> execute_contained(std::span<const StoreCommand> commands);
  /// Sends what is queued to the backend: deliveries, questions, and `own` behind them, whose result is returned.
  std::optional<Result<StoreReply>> exchange(const StoreCommand* own, const Counters* own_counters);
  void tell(std::vector<std::pair<Crossed, StoreReply>>& told);
  // Under mutex_.
  void start_thread();
  [[nodiscard]] Failure not_ours() const;  // for a child of a fork
  void queue_renewals();
  /// \param sent False: it has arrived, and is part of what the store reports.
  void on_its_way(const Delivery& delivery, bool sent) noexcept;
  /// Of a settle whose sum its store can't keep: lowers it to what the call holds there, for which there is always room.
  ///
  /// \return False where that is no less.
  static bool within_reservation(Delivery& delivery) noexcept;
  [[nodiscard]] std::string text_of_refused(bool booked_less, const Failure& why) const;
  void note_expired(std::vector<StoreReply::Expired>&& more);
  void take_note(const StoreCommand& command, const Counters& counters, const StoreReply& reply,
                 std::int64_t version_before);
  void take_note_of(SharedCounter& counter, const StoreCounter& slot, const StoreReply::State& state, bool asked,
                    Time now);
  void remember(SharedCounter& counter, Time now);
  /// A rolling window has moved on since the end of a call was sent: of the answer, which is of an older window, only the change is of use.
  void add_to_newer_window(const Delivery& delivery) noexcept;
  /// \param until When the last window turns in which anything was spent or held that is lost.
  void lose(Time now, std::optional<Time> until);
  void allow_local_anew() noexcept;
  void return_local(StoreHold& hold, std::int64_t spent) noexcept;
  /// \param answered A call still waited for an answer that came: a store that only answers too late is not back.
  void note_reach(bool failed, bool answered) noexcept;

  std::unique_ptr<StoreBackend> backend_;
  const StoreBackend::Distance distance_;
  const std::uint64_t random_;  // the first half of every id

  std::mutex backend_mutex_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;    // for the thread
  std::condition_variable delivered_;  // for flush
  std::map<std::pair<std::string, std::string>, std::weak_ptr<SharedCounter>> counters_;
  /// By name, window, dimension and the cap as it was opened; those that are not zero.
  std::map<std::tuple<std::string, std::string, std::size_t, std::int64_t>, std::int64_t> cap_changes_;
  std::deque<std::shared_ptr<SharedCounter>>
      remembered_;  // in which something counts: kept beyond their budgets, so that its loss is noticed
  std::deque<std::shared_ptr<Question>> questions_;
  std::deque<Delivery> deliveries_;
  std::size_t delivering_ = 0;  // deliveries that the backend has and has not answered
  std::size_t telling_ = 0;     // threads that announce what was answered
  static inline thread_local std::size_t telling_here =
      0;  // those of this thread, in whatever queues: what they call may flush
  std::unordered_set<std::string> alive_;
  std::vector<StoreReply::Expired> expired_;  // that no event tells of yet
  std::atomic<bool> any_expired_{false};
  std::uint64_t next_id_ = 0;
  std::chrono::nanoseconds offset_{};  // store's clock - this machine's
  std::string epoch_;
  std::int64_t version_ = 0;
  bool heard_ = false;
  std::optional<Time> known_until_;  // when the last window turns in which anything was spent or held
  std::optional<Time> lost_until_;
  std::uint64_t losses_ = 0;      // how often the store has lost data
  std::int64_t local_held_ = 0;   // of the allowance of OnUnreachable::local, by calls that run
  std::int64_t local_spent_ = 0;  // and by those that have ended since the store has answered
  int failures_ = 0;              // in a row
  BackOff back_off_{std::chrono::milliseconds(40), std::chrono::milliseconds(2'560), {}};
  std::chrono::steady_clock::time_point next_try_{};
  std::chrono::steady_clock::time_point next_renewal_{};
  std::chrono::steady_clock::time_point linger_until_{};
  int flushing_ = 0;
  bool stopping_ = false;
  bool said_unreachable_ = false;
  std::vector<std::pair<LogLevel, std::string>> to_say_;  // outside the locks
  bool owns_itself_ = false;                              // the thread's own
  std::atomic<std::thread::id> own_thread_{};
  std::thread thread_;
  bool of_parent_ = false;  // this process is the child of a fork, and the backend is its parent's
  const AtFork at_fork_;    // last: nothing of the queue is destroyed while the process forks
};

[[nodiscard]] inline Time system_now() noexcept { return std::chrono::system_clock::now(); }

/// The slot of a counter around `now`, without limits.
[[nodiscard]] StoreCounter slot_of(const SharedCounter& counter, Time now);
/// The same slot, and of a rolling window what counts with it now: what the present window counts, as long as that counts the slot, and
/// then the last window that did.
[[nodiscard]] StoreCounter counted_now(const SharedCounter& counter, StoreCounter slot, Time now);

/// What StoreCounter::thresholds are, for the fractions of notify_at under these caps.
[[nodiscard]] std::vector<StoreCounter::Threshold> thresholds_of(const std::vector<double>& fractions,
                                                                 const Vector& caps);

}  // namespace outlay::detail
