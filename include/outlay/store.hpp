#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/clock.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/error.hpp"
#include "outlay/usage.hpp"
#include "outlay/window.hpp"

namespace outlay {

namespace detail {
struct Access;
class StoreQueue;
}  // namespace detail

/// What a budget in a store means while the store cannot be reached, or has lost what it knew.
///
/// There is no default: a program that shares a cap beyond one machine must choose.
class OnUnreachable {
 public:
  /// What it does.
  enum class Kind : std::uint8_t {
    deny,            ///< OnUnreachable::deny()
    local,           ///< OnUnreachable::local()
    allow_and_mark,  ///< OnUnreachable::allow_and_mark()
  };
  /// Refuse every call (StoreUnavailable): fail closed.
  [[nodiscard]] static constexpr OnUnreachable deny() noexcept { return OnUnreachable(Kind::deny, {}); }
  /// Let this process spend at most this much until the store is back, which is when an admission is answered in time again; then it
  /// learns what was spent. What a call does not spend of its reservation is released.
  [[nodiscard]] static constexpr OnUnreachable local(Usd at_most) noexcept {
    return OnUnreachable(Kind::local, at_most);
  }
  /// Let every call through, each with an `unshared` event; then the store learns what was spent.
  [[nodiscard]] static constexpr OnUnreachable allow_and_mark() noexcept {
    return OnUnreachable(Kind::allow_and_mark, {});
  }
  /// Which of the three it is.
  [[nodiscard]] constexpr Kind kind() const noexcept { return kind_; }
  /// The amount of local(); $0 for the others.
  [[nodiscard]] constexpr Usd at_most() const noexcept { return at_most_; }

 private:
  constexpr OnUnreachable(Kind kind, Usd at_most) noexcept : kind_(kind), at_most_(at_most) {}
  Kind kind_;
  Usd at_most_;
};

/// What becomes of a reservation whose process has gone silent for longer than its lease.
enum class OnExpiry : std::uint8_t {
  charge,   ///< Its whole amount is spent: the call may have been billed.
  release,  ///< Its whole amount is released.
};

/// How a store is used, whatever keeps its data.
struct StoreOptions {
  /// What budgets mean while the store does not answer. Has no default.
  OnUnreachable on_unreachable;
  /// How long a blocking admission waits for an answer before OnUnreachable decides. Between 1 ms and 1 minute.
  std::chrono::milliseconds timeout{1'000};
  /// How long a reservation outlives the last sign of life of its process; renewed every third of it. Between 1 second and 1 day.
  std::chrono::milliseconds lease{60'000};
  OnExpiry on_expiry{};  ///< Default OnExpiry::charge.
};

/// How a store checks one counter.
enum class Room : std::uint8_t {
  fits,   ///< `spent + reserved + amount <= limit`, in every capped dimension in which something is asked for.
  below,  ///< `spent + reserved < limit` there: one call may cross.
  any,    ///< Not at all: a policy has let the call through.
};

/// One counter: a name, in one slot of a kind of window.
struct StoreCounter {
  std::string name{};    ///< The budget's; any bytes, 1 to 256.
  std::string window{};  ///< Window::id().
  Time begin{};          ///< Of the slot that is charged.
  Time end{};            ///< Of the same, exclusive; Time::max() without one.
  /// Slots of this name and window that begin between these two, both included, count together: the one slot that is charged, or in a
  /// rolling window all that it covers. `concurrent` is a state of the name: calls in flight count in whatever slot they began.
  Time counted_from{};
  /// See `counted_from`.
  Time counted_to{};
  /// Until then the slot is kept, at least.
  Time keep_until{Time::max()};
  /// The caps that a command is judged by.
  Limits limits{};
  /// How they are checked.
  Room room{};
  /// What `spent` has to reach, in any of the dimensions that have an amount. An amount of a dimension is announced once in a slot: a
  /// threshold, one of whose amounts was announced before, is not announced again, whichever fraction of whichever cap it is.
  struct Threshold {
    double fraction{};  ///< Of notify_at.
    /// The amounts, in the dimensions that have one.
    Limits at{};
  };
  std::vector<Threshold> thresholds{};  ///< In the order in which they are announced.
};

/// A cap that an operator has set for a counter, in the place of what programs say in these dimensions.
struct StoreCap {
  std::string name{};    ///< The counter's.
  std::string window{};  ///< Window::id().
  Limits limits{};       ///< In the dimensions that have one; in the others the programs' own hold.
  std::string by{};      ///< Who has set it.
  /// Why it was set.
  std::string reason{};
  Time since{};                 ///< When, by the store's clock.
  std::optional<Time> until{};  ///< Empty: for good.
};

/// One step of a store, all of it or nothing. Repeating it under the same id changes nothing.
struct StoreCommand {
  /// What a command does.
  enum class Op : std::uint8_t {
    /// Adds `amount` to what is reserved in every counter, if each has room for it. An id that is already held: done.
    reserve,
    /// Sets what the id holds to `amount` in all, if each counter has room for the difference. Less than it holds: done. An unknown id
    /// holds nothing that could be extended: ended.
    extend,
    /// Ends the id: what it held, or was charged at its expiry in the last 48 hours, is replaced by `amount` spent. An unknown id is booked all
    /// the same.
    settle,
    /// Ends the id: what it held (or was charged at its expiry) is released. An unknown id is remembered as ended, so that a
    /// reservation that comes late is not made.
    release,
    renew,     ///< Pushes the expiry of every one of `ids` that is held to `lease` from now.
    adjust,    ///< Adds `amount` (which may be negative) to what is spent in every counter, once for the id.
    snapshot,  ///< Reads the counters.
    /// Keeps `cap` for the first counter's name and window, until `cap.until` by the store's clock; without limits: keeps none any more. While
    /// it is kept, its limits stand in the place of StoreCounter::limits in every command. Where another one is kept than `expected` says: refused.
    set_cap,
    list_caps,  ///< Reads the caps that are kept, into StoreReply::caps.
    /// Reads of what counters something is kept, in any slot, into StoreReply::counters: some of those whose names begin with
    /// StoreCommand::prefix, from StoreCommand::after on.
    list_counters,
  };
  /// What this one does.
  Op op{};
  std::string id{};                ///< 32 hexadecimal digits.
  std::vector<std::string> ids{};  ///< For renew.
  /// At most 64; of extend, settle and release those of the reservation, in its order.
  std::vector<StoreCounter> counters{};
  /// What is reserved, extended to, spent or added: see `op`.
  Amounts amount{};
  /// Of reserve, extend and renew: how long the id is held without a sign of life. Of adjust: how long the id is remembered, from an hour
  /// to 60 days.
  std::chrono::milliseconds lease{};
  /// Of reserve: what becomes of the id after its lease.
  OnExpiry on_expiry{};
  /// Of a call that another process may end, long after this one. reserve: when its lease has run out, the id is remembered for 7 days.
  /// settle, release: an id that is not known has ended.
  bool detached{};
  Time now{};      ///< The caller's clock, for stores that have none of their own.
  StoreCap cap{};  ///< For set_cap; its name, window and `since` are the store's to fill in.
  /// For set_cap: `limits` and `until` of the cap that is kept before, the rest is not looked at; without limits: none is. Empty: whatever is.
  std::optional<StoreCap> expected{};
  std::string prefix{};  ///< For list_counters; empty: all.
  std::string after{};   ///< For list_counters: StoreReply::next of the reply before; empty: from the beginning.
};

/// A store's answer.
struct StoreReply {
  /// What became of a command.
  enum class Outcome : std::uint8_t {
    done,  ///< As it was asked for.
    /// reserve, extend: some counter has no room. set_cap: another cap is kept than was expected. Nothing was changed.
    refused,
    /// reserve: by the store's clock (`now`), some counter's slot is not the present one. Nothing was changed.
    turned,
    ended,  ///< The id had ended before. Nothing was changed.
  };
  /// What became of this one.
  Outcome outcome{};
  Time now{};              ///< By the store's clock.
  std::string epoch{};     ///< Which life of the data this is: another one after it was lost.
  std::int64_t version{};  ///< Grows with every change within an epoch.
  /// A counter as it is kept.
  struct State {
    /// What ended calls have used, in the slots that count.
    Amounts spent{};
    Amounts reserved{};  ///< `concurrent`: of the name, in whatever slot the calls began.
    /// refused: when so many of the oldest slots will count no more that the amount fits, if nothing else is spent. Empty where time
    /// alone does not help, the counter is not in the way, or only one slot counts: that one ends at StoreCounter::end.
    std::optional<Time> fits_at{};
    /// Which life of this name's data it is, where a store may lose one name and keep others: another number after it was lost. 0:
    /// nothing of the name is kept, or the store does not say.
    std::uint64_t life{};
    /// snapshot: something is kept of this name and window, in any slot. Not said by the others, nor where `life` says it.
    bool known{};
    Limits caps{};  ///< Of a cap that is set for the counter.
  };
  std::vector<State> states{};  ///< Of every counter, after the command.
  /// A threshold that was reached.
  struct Crossed {
    std::size_t counter{};    ///< Its place in StoreCommand::counters.
    std::size_t threshold{};  ///< Its place in StoreCounter::thresholds.
    double fraction{};        ///< Of that threshold.
  };
  /// settle, adjust: thresholds that this change was the first to reach, in the slot, of all processes. A settle that is repeated tells them
  /// again, as long as its id is remembered, since the first answer may have been lost.
  std::vector<Crossed> crossed{};
  std::vector<StoreCap> caps{};  ///< list_caps: by name, then window.
  /// A counter that is kept.
  struct Name {
    std::string name{};                                                         ///< The counter's.
    std::string window{};                                                       ///< Window::id().
    [[nodiscard]] friend auto operator<=>(const Name&, const Name&) = default;  ///< By name, then window.
  };
  std::vector<Name> counters{};  ///< list_counters: in any order; one may come again in another reply.
  std::string next{};            ///< list_counters: where the next reply goes on; empty: there are no more.
  /// A lease that has run out, in one of the counters that its call counted in.
  struct Expired {
    Name counter{};  ///< Which.
    /// To the slot of its admission, in the place of what was reserved; all 0 where that was released.
    Amounts charged{};
  };
  /// The leases that were found to have run out, of whatever calls: each is told once for each of its counters, in one reply to one process.
  std::vector<Expired> expired{};
};

/// Where counters are kept: memory, SQLite, Redis, or one's own, of which Store's constructor makes a store.
///
/// Expired leases are dealt with (StoreCommand::on_expiry as each reservation was made with) whenever a command looks at a counter that
/// they hold, so that nothing else is needed to clean up.
/// \par Thread safety
/// `execute` is called by one thread at a time.
class OUTLAY_EXPORT StoreBackend {
 public:
  virtual ~StoreBackend() = default;
  /// Executes the commands in their order, each in one atomic step.
  ///
  /// \return One result each. A command whose fate is not known, or that was not tried, is a Failure with errc::store_unavailable; it
  /// may be executed again. One that can never be done is a Failure with another code, and is not. What is thrown, and results that are
  /// missing, are as errc::store_unavailable.
  /// \par Blocking
  /// At most about `timeout`.
  [[nodiscard]] virtual std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands,
                                                                std::chrono::milliseconds timeout) = 0;
  /// Where it blocks at most for a local file, admissions execute on their own thread; else on the store's.
  enum class Distance : std::uint8_t {
    memory,  ///< Never blocks: everything is executed at once.
    local,   ///< Admissions are executed by their own thread, what ends them by the store's.
    remote,  ///< Everything is executed by the store's thread, together with what others have for it.
  };
  /// Which it is. Asked once, when the Store is made.
  [[nodiscard]] virtual Distance distance() const noexcept = 0;
  /// Short, for messages, without secrets: `"redis at cache.internal:6379"`.
  [[nodiscard]] virtual std::string description() const = 0;
};

/// A correction of what was spent: a refund, a bill that came late, an estimate that was wrong. Views, read before adjust() returns.
struct Adjustment {
  std::string_view name{};  ///< The counter's. Of a rule: as its events and refusals write it, `user_id:alice`.
  /// The budget's; of a rule that says none it is Window::day(). Has no default: without it, and with Window::scope(), an error.
  Window window{};
  /// An instant in the slot to correct; empty: now. A slot is kept for 48 hours after it counted last, in a rolling window of less than 48
  /// minutes for 60 times its length.
  std::optional<Time> at{};
  /// Added to what was spent, in every dimension but `concurrent`; negative amounts lower it, below zero too.
  Amounts amounts{};
  /// Of the bill or the refund, say, at most 256 bytes: a second correction with it changes nothing, for 60 days and in the whole counter.
  /// Empty: each one counts.
  std::string_view id{};
  std::string_view reason{};  ///< For the event.
  bool create{};              ///< Also where nothing is kept of this name and window.
};

/// What Store::set_cap sets. Views, read before it returns.
struct CapChange {
  std::string_view name{};  ///< The counter's. Of a rule: as its events and refusals write it, `user_id:alice`.
  /// The counter's: that of the budget, or of the rule (Window::day() for one that says none). In another window the cap would be another counter's,
  /// which no program reads; whether the name and the window are in use is not looked at. So it has no default: without it, and with
  /// Window::scope(), an error.
  Window window{};
  /// The caps themselves, not what is added to them; each 0 or more. None: the programs' caps hold again. Under a cap on money, and no other
  /// one on money around it, a call whose price is not known is refused (errc::price_unknown), whatever the budget's `unpriced`.
  Limits limits{};
  std::string_view by{};        ///< Who sets it. At most 128 bytes.
  std::string_view reason{};    ///< At most 1,024 bytes.
  std::optional<Time> until{};  ///< In the future; then the programs' caps hold again. Empty: for good.
  /// The cap that this one was made from, as Store::caps() has read it; without limits: none was set. Where another one is set by now (its
  /// `limits` or its `until` differ), nothing changes. Empty: whatever is set is replaced.
  std::optional<StoreCap> expected{};
};

/// A cap that is set, and its counter now.
struct CapState : StoreCap {
  /// Of its counter.
  StoreReply::State state{};
};

/// A counter that a store keeps.
struct CounterState {
  std::string name{};    ///< Of a rule: as its events and refusals write it, `user_id:alice`.
  std::string window{};  ///< Window::id().
  /// In the present window. Its `caps` are those that operators have set; what programs say themselves a store does not keep.
  StoreReply::State state{};
};

/// What this process has noticed of data that a store had and has lost: it was restarted empty, or has gone back to an older copy.
struct StoreLosses {
  std::uint64_t count{};  ///< How often. Of a store that may lose one counter and keep others, each counter counts.
  /// Until then OnUnreachable decides about calls, or until Store::accept_lost_data(); Time::max(): until that alone. Empty: nothing is missing
  /// any more.
  std::optional<Time> until{};
};

/// Counters that outlive scopes and may be shared by processes: BudgetOptions::store.
///
/// A reservation whose lease runs out, since its process has died or was left alone by Call::detach(), is recorded as an `expired` event for each
/// of its counters: by the process that finds it and by no other, in the ledger of its next call that asks the store, or the current one of a
/// thread that does by a member of Store. A file finds it in each counter when that is next asked for; memory and a server in all at once. Where
/// the answer is lost on its way, or nothing is asked any more, the event is lost; the counter is right all the same.
/// \par Guarantee
/// While the data is reachable and intact, `spent + reserved <= limit` holds over all processes, as in one process. What ends a call is
/// delivered by a thread of the store's own, retried until it has arrived; a process that dies strands at most its own reservations, for
/// one lease.
/// \par Thread safety
/// Every member is safe from any thread.
/// \par Blocking
/// What a member says, and at most the timeout more for the first question to a store far away, by which its clock is learnt.
/// \par Lifetime
/// Shared by the budgets that name it. When the last one is gone, settles and releases are delivered within the timeout;
/// a reservation whose end is not delivered then lasts until its lease expires.
/// \par Fork
/// In the child of a fork(2) a store that it has inherited belongs to the parent, which delivers what was queued: there every question is
/// answered by StoreUnavailable or what OnUnreachable says, and nothing is sent, also when the child ends. The child makes a store of its
/// own. A store in memory goes on in the child as a copy.
class OUTLAY_EXPORT Store final {
 public:
  /// \par Errors
  /// ConfigError for options out of range.
  Store(std::unique_ptr<StoreBackend> backend, const StoreOptions& options);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store();

  /// What one name has spent and reserved in the window around now, by all processes.
  ///
  /// \par Errors
  /// StoreUnavailable.
  /// \param at An instant in the slot that is meant, of a rolling window the last that counts; empty: now.
  /// \par Blocking
  /// At most the store's timeout.
  [[nodiscard]] StoreReply::State state(std::string_view name, const Window& window, std::optional<Time> at = {});

  /// Corrects what was spent; recorded as an `adjusted` event of the current ledger for each dimension that changed.
  ///
  /// \return The counter afterwards, in the corrected slot; of a rolling window, in the last one that counts the slot.
  /// \par Errors
  /// ConfigError without a name or a window. Error with errc::invalid_argument for amounts that are all 0 or name `concurrent`, for a slot
  /// that is no longer kept, and for a name and window of which nothing is kept: misspelt, most likely (see Adjustment::create).
  /// StoreUnavailable: whether it was done is not known; with an id it may be tried again.
  /// \par Blocking
  /// At most twice the store's timeout.
  StoreReply::State adjust(const Adjustment& adjustment);

  /// Sets a cap in the place of those that programs give a counter: every process judges its next call by it. A cap below what is spent and
  /// reserved refuses what comes. Recorded as a `cap_set` event of the current ledger for each dimension.
  ///
  /// In the dimensions that `limits` leaves out the programs' caps hold. A threshold that was announced is not announced again; the others stand
  /// for fractions of this cap.
  ///
  /// \return False: another cap is set than CapChange::expected says, and nothing has changed. Read caps() again, and decide anew.
  /// \par Errors
  /// ConfigError without a name or a window; Error with errc::invalid_argument for limits below 0, texts that are too long and an `until` that has
  /// passed; StoreUnavailable: whether it was done is not known, and it may be tried again.
  /// \par Blocking
  /// At most the store's timeout.
  bool set_cap(const CapChange& change);
  /// The caps that are set, with what their counters have spent and reserved in the present window.
  ///
  /// \par Errors
  /// StoreUnavailable.
  /// \par Blocking
  /// At most the store's timeout for each 64 of them, and once more.
  [[nodiscard]] std::vector<CapState> caps();

  /// The counters of which something is kept, with what they have spent and reserved in the present window: budgets and rules of every process,
  /// also those whose present window is still empty. By name, then window. A kind of window that this version does not know is left out.
  ///
  /// \param prefix Of the names: `"user_id:"` lists the counters of a rule. Empty: all.
  /// \par Errors
  /// StoreUnavailable.
  /// \par Blocking
  /// At most the store's timeout for each step: of the list some thousand counters (in Redis: keys of its database, of any program), then of
  /// their states 64. Calls go on between the steps.
  [[nodiscard]] std::vector<CounterState> counters(std::string_view prefix = {});

  /// Waits until what has ended so far has been delivered.
  ///
  /// \par Errors
  /// Error with errc::timed_out.
  void flush(std::chrono::milliseconds timeout = std::chrono::seconds(5));

  /// Goes on with what the store says now, after it was restarted without its data. Until then, and until every window that was known
  /// has turned, OnUnreachable decides.
  void accept_lost_data() noexcept;
  /// What was lost so far. The store is not asked: calls that ask it notice a loss, and so does any member that does.
  [[nodiscard]] StoreLosses losses() const;

  /// As it was opened with.
  [[nodiscard]] const StoreOptions& options() const noexcept;
  /// StoreBackend::description().
  [[nodiscard]] std::string description() const;

 private:
  friend struct detail::Access;
  std::unique_ptr<detail::StoreQueue> queue_;
};

/// Keeps counters in this process's memory, for a Store, and for tests.
[[nodiscard]] OUTLAY_EXPORT std::unique_ptr<StoreBackend> memory_backend();

/// A store in this process's memory; the counters live as long as it does.
[[nodiscard]] OUTLAY_EXPORT std::shared_ptr<Store> memory_store(const StoreOptions& options = {
                                                                    .on_unreachable = OnUnreachable::deny()});

}  // namespace outlay
