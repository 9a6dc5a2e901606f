#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/ledger/attribution.hpp"
#include "core/ledger/thread_cache.hpp"
#include "core/pricing/price_book.hpp"
#include "outlay/ledger.hpp"

namespace outlay::detail {

class SinkWorker;
struct BudgetNode;

/// A name in a ledger's dictionary of models, providers and tiers. Never moves; id 0 is the empty name.
struct ModelName {
  std::string text;
  std::uint32_t id = 0;
  std::uint64_t hash = 0;  // of the text

  static constexpr std::uint32_t overflow_id = 1;  // "(other)": the dictionary is full
};

/// What few records have; kept beside the row.
struct RowExtra {
  Usage usage{};  // the members that the row has no room for
  std::optional<Usd> provider_cost{};
  std::optional<Usd> table_cost{};
  std::string reason{};
  std::string traceparent{};
};

/// A record as it is kept: names and tags are ids in the ledger's dictionaries.
struct Row {
  std::uint64_t call_id;
  std::int64_t started;  // nanoseconds since the epoch
  std::int64_t ended;
  std::int64_t usd;
  std::int64_t reserved;
  std::uint32_t input, cache_read, cache_write, cache_write_1h, output, reasoning;
  std::uint32_t attribution;
  std::uint32_t requested, admitted, served, provider, tier, prices;
  RecordStatus status;
  CostSource source;
  bool unbounded;
  std::shared_ptr<const RowExtra> extra;
};

/// An event as it is kept.
struct EventRow {
  std::int64_t time = 0;
  std::uint64_t call_id = 0;
  Action action{};
  Dimension dimension{};
  std::uint32_t budget = 0;  // attribution ids: of the budget that acted, and of the call
  std::uint32_t attribution = 0;
  std::uint32_t model = 0, new_model = 0;
  std::int64_t projected = 0;
  std::int64_t cap = 0;
  double threshold = 0;
  std::int64_t ceiling = -1;
  std::string reason{};  // empty: said by the numbers
  std::string traceparent{};
};

/// Sums over rows, as the books keep them beside the rows themselves.
struct RowTotals {
  std::int64_t calls = 0;
  std::int64_t usd = 0;
  std::array<std::int64_t, 6> tokens{};
  std::array<std::int64_t, 4> by_status{};  // calls
  std::int64_t unpriced = 0;

  void add(const Row& row) noexcept;
  void add(const RowTotals& other) noexcept;
  bool operator==(const RowTotals&) const noexcept = default;
};

/// The rows of the threads that write here, oldest first. Physically at most `max_records`; logically the ledger's newest.
struct alignas(128) Shard {
  static constexpr std::size_t chunk_rows = 1024;

  mutable std::mutex mutex;
  std::deque<std::unique_ptr<Row[]>> chunks;  // of rows [first_chunk_begin, ...)
  std::uint64_t begin = 0, end = 0;           // absolute indices of the rows that are kept
  std::uint64_t chunk_begin = 0;              // absolute index of chunks.front()[0]
  std::unique_ptr<Row[]> spare;
  RowTotals pushed, evicted;
  std::uint64_t pushed_rows = 0;

  [[nodiscard]] const Row& at(std::uint64_t index) const noexcept {
    const std::uint64_t offset = index - chunk_begin;
    return chunks[offset / chunk_rows][offset % chunk_rows];
  }
  void push(Row&& row, std::size_t max_rows);
  void clear();
};

/// A ledger's shared state. Locks: each shard's, the events', the dictionary's, the sinks'; none is taken while another is held, but
/// by sweep(), which takes them all in that order.
class Books {
 public:
  explicit Books(LedgerOptions options);
  ~Books();
  static Books& default_books() noexcept;  // never destroyed

  mutable std::atomic<std::uint32_t> refs{1};
  const std::uint64_t uid;
  const LedgerOptions options;

  // Reading the time and the price of a model: see the thread's cache first.
  [[nodiscard]] std::int64_t now() const noexcept;
  [[nodiscard]] Time time() const noexcept { return Time(std::chrono::nanoseconds(now())); }
  // The slot belongs to the thread, and is safe only until it resolves again.
  [[nodiscard]] const ModelSlot& resolve(std::string_view model);
  /// The same by a name of this dictionary, without reading the text; `text` where the dictionary was full.
  [[nodiscard]] const ModelSlot& resolve(const ModelName& model, const std::string& text);
  /// The table's book, held for the caller: a PricedModel of resolve() is safe only until this thread resolves again.
  [[nodiscard]] std::shared_ptr<const PriceBook> price_book() const;
  /// A table by its uid: the present one or one of the last that it replaced; null if it is long gone.
  [[nodiscard]] std::shared_ptr<const PriceBook> price_book(std::uint64_t book_uid) const;
  [[nodiscard]] std::uint64_t prices_uid() const noexcept { return prices_uid_.load(std::memory_order_relaxed); }
  void set_price_book(std::shared_ptr<const PriceBook> book);
  [[nodiscard]] const ModelName* name(std::string_view text);  // "(other)" once the dictionary is full
  void warn_if_prices_are_stale() noexcept;
  [[nodiscard]] std::uint32_t prices_version_id() const noexcept {
    return prices_version_id_.load(std::memory_order_relaxed);
  }

  // Booking.
  [[nodiscard]] bool recording() const noexcept { return recording_.load(std::memory_order_relaxed); }
  void book(Row&& row);
  /// \param may_wait The event is of a settlement, which a sink whose queue is full may hold.
  void book(EventRow&& event, bool may_wait = false);

  std::atomic<std::uint64_t> unpriced_calls{0};
  std::atomic<std::uint64_t> unbounded_calls{0};
  /// True the first time for each kind and model.
  bool first_time(std::string_view kind, std::string_view model);

  // Reading.
  [[nodiscard]] std::vector<Record> records() const;
  [[nodiscard]] std::vector<BudgetEvent> events() const;
  [[nodiscard]] std::uint64_t dropped() const;
  [[nodiscard]] Audit audit() const;
  void reset();

  /// How far a reading went: the rows of each shard from `begin` to `end`.
  struct Horizon {
    std::array<std::uint64_t, 8> begin{}, end{};
    bool complete = true;
  };
  /// Calls `visit` with each row that is logically kept, in runs of neighbours; a shard is locked while it is read. With `upto`, rows
  /// beyond an earlier horizon are left out, and the result says whether all those within it were still there.
  Horizon visit_rows(const std::function<void(const Row* rows, std::size_t count)>& visit,
                     const Horizon* upto = nullptr) const;
  void visit_events(const std::function<void(const EventRow&)>& visit) const;
  /// What an attribution id means; the entry is kept in the dictionary meanwhile. Calls `visit` with null for nobody.
  void visit_attribution(std::uint32_t id, const std::function<void(const Attribution*)>& visit) const;
  [[nodiscard]] std::string name_of(std::uint32_t id) const;
  [[nodiscard]] std::size_t attribution_count() const;
  [[nodiscard]] std::shared_lock<std::shared_mutex> hold_off_sweep() const { return std::shared_lock(sweep_mutex_); }
  [[nodiscard]] Record materialize(const Row& row) const;
  [[nodiscard]] BudgetEvent materialize(const EventRow& event) const;
  /// The ids in use by a queue of rows, for sweep().
  using Mark = std::function<void(std::uint32_t)>;

  // Rules.
  [[nodiscard]] bool has_rules() const noexcept { return has_rules_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::shared_ptr<const std::vector<Rule>> rules() const;
  void add_rule(Rule rule);

  // Sinks and callbacks.
  void add_sink(std::shared_ptr<Sink> sink, SinkOptions sink_options);
  bool remove_sink(const std::shared_ptr<Sink>& sink);
  [[nodiscard]] SinkStats sink_stats(const std::shared_ptr<Sink>& sink) const;
  void flush(std::chrono::milliseconds timeout);
  void on_spend(std::function<void(const Record&)> callback);
  void on_refused(std::function<void(const BudgetEvent&)> callback);

  // The dictionary, for attribution.cpp.
  [[nodiscard]] const Attribution* find_or_add(std::uint64_t hash, const Attribution* parent, const Addition& addition);

 private:
  friend class SinkWorker;

  void update_recording();  // under sinks_mutex_
  template <class Item>
  void offer(const Item& item, bool may_wait);
  const ModelSlot& resolve_anew(std::string_view model, std::uint64_t prices, ThreadCache& cache);
  void sweep();
  bool stop_sinks() noexcept;
  /// \return False: some do not end, and these books must be left to them.
  bool stop(std::vector<std::shared_ptr<SinkWorker>> workers) noexcept;
  template <class F>
  void call_contained(const char* what, F&& call) noexcept;
  friend void release(const Books* books) noexcept;
  [[nodiscard]] const Attribution* attribution(std::uint32_t id) const noexcept;  // under dictionary_mutex_
  [[nodiscard]] const std::string& name_text(std::uint32_t id) const noexcept;    // under dictionary_mutex_

  std::array<Shard, 8> shards_;
  const std::uint32_t shard_mask_;

  mutable std::mutex events_mutex_;
  std::deque<EventRow> events_;

  mutable std::shared_mutex sweep_mutex_;  // shared by readers, before any other lock; sweep() only tries
  mutable std::mutex dictionary_mutex_;
  std::unordered_multimap<std::uint64_t, Attribution*> attributions_;
  std::vector<Attribution*> attribution_by_id_;
  std::vector<std::uint32_t> free_ids_;
  std::size_t sweep_at_ = 8192;
  std::unordered_map<std::string_view, ModelName*> names_;
  std::deque<ModelName> name_by_id_;
  std::unordered_set<std::string> said_;

  mutable std::mutex prices_mutex_;
  std::shared_ptr<const PriceBook> price_book_;
  std::deque<std::shared_ptr<const PriceBook>> retired_prices_;
  std::atomic<std::uint64_t> prices_uid_{0};
  std::atomic<std::uint32_t> prices_version_id_{0};

  std::shared_ptr<const std::vector<Rule>> rules_;  // under prices_mutex_
  std::atomic<bool> has_rules_{false};

  mutable std::mutex sinks_mutex_;  // the list and every queue
  std::vector<std::shared_ptr<SinkWorker>> sinks_;
  std::vector<std::shared_ptr<SinkWorker>> leaving_;  // removed: they write what they had, or never end
  std::shared_ptr<const std::function<void(const Record&)>> on_spend_;
  std::shared_ptr<const std::function<void(const BudgetEvent&)>> on_refused_;
  std::atomic<bool> has_sinks_{false};
  std::atomic<bool> has_on_spend_{false};
  std::atomic<bool> has_on_refused_{false};
  std::atomic<bool> recording_{false};
  std::atomic<bool> stale_said_{false};
  std::atomic<bool> callback_said_{false};
};

}  // namespace outlay::detail
