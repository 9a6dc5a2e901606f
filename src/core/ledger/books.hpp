#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/base/at_fork.hpp"
#include "core/ledger/dictionary.hpp"
#include "core/ledger/events.hpp"
#include "core/ledger/prices_in_use.hpp"
#include "core/ledger/records.hpp"
#include "core/ledger/sinks.hpp"
#include "core/ledger/usual_output.hpp"
#include "outlay/ledger.hpp"
#include "outlay/store.hpp"

namespace outlay::detail {

struct RuleSet;

// Of shared/, which stands behind the ledgers.

/// Forgets what was spent in a store in memory, and the caps that were set; what running calls hold stays held.
void reset_counters(Store& store);
/// Those who ask the store directly ask it by this clock. Null: by the system's.
void keep_time_by(Store& store, std::shared_ptr<const Clock> clock);

/// A ledger's shared state: its parts, and what takes more than one of them.
///
/// Each part has a lock of its own, and none is taken while another one is held, but by sweep(): the records', the events', the sinks',
/// the dictionary's, in that order.
class Books {
 public:
  explicit Books(LedgerOptions options);
  Books(const Books&) = delete;
  Books& operator=(const Books&) = delete;
  ~Books();
  static Books& default_books() noexcept;  // never destroyed

  Counted references;
  const std::uint64_t uid;
  const LedgerOptions options;

  LedgerDictionary dictionary;
  Records records;
  Events events;
  PricesInUse prices;
  Sinks sinks;
  /// Of windows without a store of their own: in this process's memory.
  const std::shared_ptr<Store> store;

  [[nodiscard]] std::int64_t now() const noexcept;
  [[nodiscard]] Time time() const noexcept { return Time(std::chrono::nanoseconds(now())); }

  /// Looks at the date of the present prices the first time that it is called.
  void warn_if_prices_are_stale() noexcept;

  // Booking: what is booked goes to the sinks, into memory, and to the program's callback, in that order.
  /// False: a record would be seen by nothing.
  [[nodiscard]] bool recording() const noexcept {
    return options.max_records != 0 || sinks.any() || sinks.has_on_spend();
  }
  void book(Row&& row);
  /// \param may_wait As for Sinks::offer.
  void book(EventRow&& event, bool may_wait);

  // Reading.
  [[nodiscard]] std::vector<Record> all_records() const;
  /// Empty: none in memory is of this call.
  [[nodiscard]] std::optional<Record> record_of(std::uint64_t call_id) const;
  [[nodiscard]] std::vector<BudgetEvent> all_events() const;
  /// For a reading that copies ids and looks them up later: meanwhile what they stand for stays. Taken before any other lock.
  [[nodiscard]] std::shared_lock<std::shared_mutex> hold_off_sweep() const { return std::shared_lock(sweep_mutex_); }
  /// Forgets records, events and counters.
  void reset();

  UsualOutput usual_output;
  [[nodiscard]] const Tokenizer& tokenizer() const noexcept {
    return options.tokenizer ? *options.tokenizer : built_in_tokenizer();
  }
  /// A bound on the tokens of a text, whatever a tokenizer of the program's says.
  [[nodiscard]] std::int64_t count(std::string_view text) const {
    return std::clamp<std::int64_t>(tokenizer().upper(text), 0, Usage::max_count);
  }

  std::atomic<std::uint64_t> unpriced_calls{0};
  std::atomic<std::uint64_t> unread_usage{0};
  std::atomic<std::uint64_t> unbounded_calls{0};
  /// True the first time for each kind and model. False without memory to remember it.
  [[nodiscard]] bool first_time(std::string_view kind, std::string_view model) noexcept;

  // The rules that come with tags are kept here for budget/, which alone knows what they are.
  [[nodiscard]] bool has_rules() const noexcept { return has_rules_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::shared_ptr<const RuleSet> rules() const;  // null: none
  /// Puts what `change` makes of the present rules (null: none) in their place, as one step.
  void change_rules(const std::function<std::shared_ptr<const RuleSet>(const RuleSet* present)>& change);

 private:
  void sweep();

  mutable std::shared_mutex sweep_mutex_;

  std::atomic<bool> date_checked_{false};

  std::mutex said_mutex_;
  std::unordered_set<std::string> said_;

  mutable std::mutex rules_mutex_;
  std::shared_ptr<const RuleSet> rules_;
  std::atomic<bool> has_rules_{false};

  /// All locks of the books, in their order, while the process forks.
  struct ForkLocks {
    Records::Locks records;
    std::unique_lock<std::mutex> events, sinks, dictionary, prices, said, rules, usual_output;
  };
  std::optional<ForkLocks> fork_locks_;
  const AtFork at_fork_;  // last: nothing of the books is destroyed while the process forks
};

}  // namespace outlay::detail
