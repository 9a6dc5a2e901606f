#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "outlay/budget.hpp"
#include "outlay/clock.hpp"
#include "outlay/detail/ambient.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/detail/ref.hpp"
#include "outlay/price.hpp"
#include "outlay/record.hpp"
#include "outlay/report.hpp"
#include "outlay/rule.hpp"
#include "outlay/sink.hpp"
#include "outlay/tokens.hpp"

namespace outlay {

namespace detail {
class Books;
struct Access;
OUTLAY_EXPORT void acquire(const Books* books) noexcept;
OUTLAY_EXPORT void release(const Books* books) noexcept;
}  // namespace detail

/// How a Ledger is made. The order of the members is part of the interface, for designated initialisers.
struct LedgerOptions {
  /// How many records and how many events stay in memory; older ones are evicted first. dropped() counts the records.
  std::size_t max_records = 100'000;
  /// The same of events.
  std::size_t max_events = 10'000;
  /// The prices of its calls until Ledger::set_prices. Default PriceTable::bundled().
  PriceTable prices = PriceTable::bundled();
  /// Refuse every call that no budget encloses (errc::outside_budget).
  bool strict = false;
  /// Decide as if enforced, but let every call through; each that would have been refused is an `observed` event.
  bool observe = false;
  /// Null: the system's clock, to its grain of a few milliseconds.
  std::shared_ptr<const Clock> clock{};
  /// Counts the texts of requests that state no count, and of replies that report none; what it says is taken to be between 0 and
  /// 2,000,000,000. Streams are followed by the built-in one, which counts as they come and keeps no text. Null: built_in_tokenizer().
  std::shared_ptr<const Tokenizer> tokenizer{};
  /// What a request without an output ceiling means to every budget opened in this ledger; a budget may be stricter.
  Unbounded unbounded{};

  /// For `max_records` and `max_events`: nothing is evicted.
  static constexpr std::size_t unlimited = SIZE_MAX;
};

/// What `{}` means to Ledger's constructor.
enum class NoOptions : std::uint8_t {};

/// The process's books: price table, recent records and events, sinks.
///
/// A handle: copies share the books. There is one default ledger, current everywhere that no LedgerScope says otherwise.
///
/// \par Thread safety
/// Every member is safe from any thread.
/// \par Lifetime
/// The books live as long as a handle, a scope, or a call that was admitted in them. When they end their sinks are flushed and closed,
/// within five seconds.
/// \par Fork
/// In the child of a fork(2) the sinks belong to the parent, and so does every row that waits for them. A ledger that the child has
/// inherited goes on there in memory, as a copy without sinks; to have some, the child makes them anew, for it or for a ledger of its own.
/// What was open in the parent, scopes and calls, the child leaves alone: other threads may have been in the middle of it, so fork outside
/// of scopes. fork(2) itself waits until no thread is inside a lock of the library or in an SQLite file, so for a commit or a report.
class OUTLAY_EXPORT Ledger {
 public:
  /// New books, and nothing in them.
  explicit Ledger(LedgerOptions options = {});
  /// `Ledger ledger({});`: with the default options.
  explicit Ledger(NoOptions) : Ledger(LedgerOptions{}) {}
  /// The innermost LedgerScope's, or the default one.
  [[nodiscard]] static Ledger current();
  /// The one that is current where no LedgerScope is open.
  [[nodiscard]] static Ledger default_ledger();

  /// Another handle on the same books.
  Ledger(const Ledger& other) noexcept = default;  // no move: a handle is never empty
  /// Another handle on the other's books.
  Ledger& operator=(const Ledger& other) noexcept = default;
  ~Ledger() = default;

  /// What is in memory, oldest first. Records of different threads that ended within one grain of the clock may be in either order.
  [[nodiscard]] std::vector<Record> records() const;
  /// The record of one call, found without copying the others. Empty: the call has not ended, or its record is not in memory any more.
  [[nodiscard]] std::optional<Record> record(std::uint64_t call_id) const;
  /// The events in memory, oldest first.
  [[nodiscard]] std::vector<BudgetEvent> events() const;
  /// The `downgraded` and the `clamped` among events().
  [[nodiscard]] std::vector<BudgetEvent> downgrades() const;
  /// The `clamped` among events().
  [[nodiscard]] std::vector<BudgetEvent> clamps() const;
  /// Records evicted so far.
  [[nodiscard]] std::uint64_t dropped() const;
  /// Calls booked without a price, and calls admitted without an output ceiling, since the start or reset().
  [[nodiscard]] std::uint64_t unpriced_calls() const;
  /// Calls admitted without an output ceiling, since the start or reset().
  [[nodiscard]] std::uint64_t unbounded_calls() const;
  /// Replies whose usage had a member that the library does not know and that was neither 0 nor empty, since the start or reset(). The first
  /// of each API is logged, with its name: it may be something that is billed.
  [[nodiscard]] std::uint64_t unread_usage() const;

  /// Sums over the records in memory, grouped by tags and by the reserved names `model` (the served one), `provider`, `budget` and `day`.
  ///
  /// `budget` is the path of the innermost budget: names from the outermost in, joined by `/`; a `/` or `\` within a name has a `\`
  /// before it. `day` is that of the admission, in UTC. Bytes that are no UTF-8 count as U+FFFD, as in the files of sinks. A tag that no
  /// record has is named by Report::missing_keys, and once in the log.
  [[nodiscard]] Report report(std::initializer_list<std::string_view> by = {}) const;
  /// The same of keys that are known only when the program runs.
  [[nodiscard]] Report report(const std::vector<std::string>& by) const;
  /// Recounts: do the running totals agree with the records and the totals of evicted ones?
  [[nodiscard]] Audit audit() const;

  /// From now on, calls that match count in the rule's caps too, beside the Budgets around them. Where a policy chooses another model, the
  /// call leaves the rules of the old one and enters those of the new one.
  ///
  /// \par Errors
  /// ConfigError for a rule that could never match (`budget` and `day`, `*` in the middle of a value), without caps, without a window, with
  /// options that a Budget refuses, with the name of another rule, or in another store than a rule that may apply to the same call. A call whose tag's value has
  /// more than 200 bytes, or whose budgets are in another store, is refused (errc::config): a cap that cannot be kept is not ignored.
  void add_rule(Rule rule);
  /// Puts these rules in the place of all others, or throws and changes nothing. Calls under way keep the rules that they were admitted by.
  ///
  /// \par Errors
  /// As add_rule().
  void set_rules(std::vector<Rule> rules);
  /// In the order in which they were set.
  [[nodiscard]] std::vector<Rule> rules() const;
  /// \return False: no rule has this name. Rules without a name are removed by set_rules().
  bool remove_rule(std::string_view name);
  /// Adds the rules that the environment asks for: `OUTLAY_DAILY_USER_USD` for each `user_id`, `OUTLAY_DAILY_PROJECT_USD` for each
  /// `project`, `OUTLAY_DAILY_GLOBAL_USD` for everything, each in days of UTC. One that is not set, or empty, is no rule.
  ///
  /// \return How many were added.
  /// \par Errors
  /// ConfigError for one that is not an amount of money.
  std::size_t add_rules_from_environment(const std::shared_ptr<Store>& store = nullptr);

  /// Where the windows of budgets and rules without a store of their own count: in this process's memory, by this ledger's clock. Budgets of
  /// other ledgers count elsewhere, under the same names too.
  [[nodiscard]] const std::shared_ptr<Store>& store() const noexcept;

  /// LedgerOptions::tokenizer, or the built-in one. It lives as long as the ledger.
  [[nodiscard]] const Tokenizer& tokenizer() const noexcept;

  /// Calls admitted from now on are priced by this table; those under way keep theirs, over the last 16 replacements.
  void set_prices(const PriceTable& prices);
  /// The table in use now.
  [[nodiscard]] PriceTable prices() const;

  /// \par Errors
  /// ConfigError for a null sink or a queue of 0.
  void add_sink(std::shared_ptr<Sink> sink, SinkOptions options = {});
  /// Flushes, closes and forgets it; false if it was not there.
  bool remove_sink(const std::shared_ptr<Sink>& sink);
  /// What became of a sink's rows so far; zeros for a sink that this ledger does not have.
  [[nodiscard]] SinkStats sink_stats(const std::shared_ptr<Sink>& sink) const;
  /// Waits until every sink has taken what was booked so far and has flushed, no longer than `timeout`.
  ///
  /// A sink that is not durable (an exporter) and missed the end of a flush is not waited for again until it has caught up: a dead one
  /// holds up one flush, not each.
  ///
  /// \par Errors
  /// Error with errc::sink_failed if a durable sink failed or dropped rows since the last flush, errc::timed_out if a durable one was
  /// not done in time. Exporters only count.
  void flush(std::chrono::milliseconds timeout = std::chrono::seconds(5));

  /// Called after each booking, and after each refusal, on the thread that did it, outside every lock. What it throws is contained and
  /// reported once. An empty function removes it.
  void on_spend(std::function<void(const Record&)> callback);
  /// The same after each refusal.
  void on_refused(std::function<void(const BudgetEvent&)> callback);

  /// Forgets records, events, counters, and what was spent and which caps were set in store(). For tests. Running calls go on holding what they hold, and settle into
  /// the emptied books.
  void reset();

 private:
  friend struct detail::Access;
  explicit Ledger(detail::Ref<detail::Books> books) noexcept;

  detail::Ref<detail::Books> books_;
};

/// Makes a ledger the current one for a scope: calls admitted inside record there. Enclosing budgets go on counting.
class OUTLAY_EXPORT LedgerScope final {
 public:
  /// Makes `ledger` the current one of this task.
  [[nodiscard]] explicit LedgerScope(const Ledger& ledger);
  LedgerScope(const LedgerScope&) = delete;
  LedgerScope& operator=(const LedgerScope&) = delete;
  ~LedgerScope();

 private:
  detail::Node* node_;
};

/// How often the program misused scopes, in this process so far. Each kind is also reported once per place to the log handler.
struct MisuseCounts {
  std::uint64_t closed_out_of_order{};    ///< A scope was closed while scopes inside it were open.
  std::uint64_t no_context_executor{};    ///< A scope was opened in a coroutine on a plain executor.
  std::uint64_t closed_elsewhere{};       ///< A scope was closed where it is not in the current chain.
  std::uint64_t ambiguous_home{};         ///< A coroutine was resumed by other code while several share its home.
  std::uint64_t calls_outside_budgets{};  ///< Calls outside any budget in a process that has opened one.
  std::uint64_t scopes_off_stack{};       ///< A scope was opened that is no local variable.
  std::uint64_t attached_apart{};         ///< A BudgetHandle was attached inside a budget that does not enclose it.
};
/// What has been counted since the process began.
[[nodiscard]] OUTLAY_EXPORT MisuseCounts misuse_counts() noexcept;

}  // namespace outlay
