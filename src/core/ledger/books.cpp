#include "core/ledger/books.hpp"

#include <algorithm>
#include <ctime>
#include <numeric>
#include <utility>

#include "outlay/detail/access.hpp"

namespace outlay::detail {

namespace {

/// Unique in the process, never 0, never reused.
std::uint64_t next_uid() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

Books::Books(LedgerOptions ledger_options)
    : uid(next_uid()),
      options(std::move(ledger_options)),
      dictionary(uid, [this] { sweep(); }),
      records(options.max_records),
      events(options.max_events),
      prices(uid, dictionary, Access::book(options.prices)),
      sinks(*this),
      store(memory_store()),
      at_fork_(
          AtFork::Order::books,
          [this] {
            fork_locks_.emplace(ForkLocks{records.lock_all(), events.lock(), sinks.lock(), dictionary.lock(),
                                          prices.lock(), std::unique_lock(said_mutex_), std::unique_lock(rules_mutex_),
                                          usual_output.lock()});
          },
          [this](bool in_child) {
            if (in_child) {
              sinks.abandon();
              renew(sweep_mutex_);  // readings and sweeps of other threads
            }
            fork_locks_.reset();
          }) {
  keep_time_by(*store, options.clock);
}

Books::~Books() = default;

Books& Books::default_books() noexcept {
  static Books& books = *new Books(LedgerOptions{});
  return books;
}

void acquire(const Books* books) noexcept { books->references.add(); }

void release(const Books* books) noexcept {
  if (!books->references.drop()) return;
  Books* ended = const_cast<Books*>(books);
  // A sink that does not end keeps its books: a leak is better than a thread that reads freed memory.
  if (ended->sinks.stop()) delete ended;
}

[[gnu::hot]] std::int64_t Books::now() const noexcept {
  if (options.clock) return options.clock->now().time_since_epoch().count();
  timespec time{};
#if defined(CLOCK_REALTIME_COARSE)
  // A fifth of the precise clock's cost, and precise enough for a call.
  clock_gettime(CLOCK_REALTIME_COARSE, &time);
#else
  clock_gettime(CLOCK_REALTIME, &time);
#endif
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

[[gnu::hot]] void Books::warn_if_prices_are_stale() noexcept {
  if (date_checked_.load(std::memory_order_relaxed) || date_checked_.exchange(true, std::memory_order_relaxed)) return;
  warn_if_stale(*prices.present(), time());
}

[[gnu::hot]] void Books::book(Row&& row) {
  if (sinks.any()) sinks.offer(row, true);
  const auto callback = sinks.on_spend();
  if (!callback) [[likely]]
    return records.push(std::move(row));
  const Row copy = row;
  records.push(std::move(row));
  sinks.contained("on_spend", [&] { (*callback)(to_record(copy, dictionary)); });
}

void Books::book(EventRow&& event, bool may_wait) {
  if (sinks.any()) sinks.offer(event, may_wait);
  const bool refused = event.action == Action::blocked || event.action == Action::truncated;
  const auto callback = refused ? sinks.on_refused() : nullptr;
  if (!callback) return events.push(std::move(event));
  const EventRow copy = event;
  events.push(std::move(event));
  sinks.contained("on_refused", [&] { (*callback)(to_event(copy, dictionary)); });
}

std::vector<Record> Books::all_records() const {
  const auto reading = hold_off_sweep();
  std::vector<Row> rows;
  records.visit([&](const Row* first, std::size_t count) { rows.insert(rows.end(), first, first + count); });
  // By time, ties as they were found. (With libstdc++ 12, clang reports std::stable_sort as deprecated.)
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return rows[a].ended != rows[b].ended ? rows[a].ended < rows[b].ended : a < b;
  });
  std::vector<Record> result;
  result.reserve(rows.size());
  for (const std::size_t at : order) result.push_back(to_record(rows[at], dictionary));
  return result;
}

std::optional<Record> Books::record_of(std::uint64_t call_id) const {
  const auto reading = hold_off_sweep();
  std::optional<Row> found;
  records.visit([&](const Row* rows, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      if (rows[i].call_id == call_id && (!found || rows[i].ended >= found->ended)) found = rows[i];
  });
  return found ? std::optional(to_record(*found, dictionary)) : std::nullopt;
}

std::vector<BudgetEvent> Books::all_events() const {
  const auto reading = hold_off_sweep();
  std::vector<EventRow> rows;
  events.visit([&](const EventRow& event) { rows.push_back(event); });
  std::vector<BudgetEvent> result;
  result.reserve(rows.size());
  for (const EventRow& row : rows) result.push_back(to_event(row, dictionary));
  return result;
}

void Books::reset() {
  records.clear();
  events.clear();
  {
    const std::lock_guard lock(said_mutex_);
    said_.clear();
  }
  unpriced_calls = 0;
  unbounded_calls = 0;
  unread_usage = 0;
  usual_output.reset();
  reset_counters(*store);
}

bool Books::first_time(std::string_view kind, std::string_view model) noexcept try {
  const std::lock_guard lock(said_mutex_);
  if (said_.size() >= LedgerDictionary::max_names) return false;
  return said_.insert(std::string(kind) + ' ' + std::string(model)).second;
} catch (...) {  // no memory to remember it
  return false;
}

std::shared_ptr<const RuleSet> Books::rules() const {
  const std::lock_guard lock(rules_mutex_);
  return rules_;
}

void Books::change_rules(const std::function<std::shared_ptr<const RuleSet>(const RuleSet*)>& change) {
  const std::lock_guard lock(rules_mutex_);
  rules_ = change(rules_.get());
  has_rules_.store(rules_ != nullptr, std::memory_order_relaxed);
}

void Books::sweep() {
  // While a reading looks up ids, the sweep waits for the next time.
  const std::unique_lock alone(sweep_mutex_, std::try_to_lock);
  if (!alone) return;
  // All locks to the end: an id must not come into use between its mark and the decision.
  const auto rows = records.lock_all();
  const auto fifo = events.lock();
  const auto queues = sinks.lock();
  dictionary.sweep([this](const Mark& mark) {
    records.mark(mark);
    events.mark(mark);
    sinks.mark(mark);
  });
}

}  // namespace outlay::detail
