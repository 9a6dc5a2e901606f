#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/ledger/dictionary.hpp"
#include "outlay/record.hpp"

namespace outlay::detail {

/// What few records have; kept beside the row.
struct RowExtra {
  Usage usage{};  // the members that the row has no room for
  std::optional<Usd> provider_cost{};
  std::optional<Usd> table_cost{};
  std::string reason{};
  std::string traceparent{};
  std::vector<RecordPart> parts{};
};

/// A record as it is kept: names and tags are ids in the ledger's dictionary.
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
[[nodiscard]] Record to_record(const Row& row, const LedgerDictionary& dictionary);

/// Sums over rows, kept beside the rows themselves.
struct RowTotals {
  std::int64_t calls = 0;
  std::int64_t usd = 0;
  std::array<std::int64_t, 6> tokens{};
  std::array<std::int64_t, 4> by_status{};  // calls
  std::int64_t unpriced = 0;

  void add(const Row& row) noexcept;
  void add(const RowTotals& other) noexcept;
};

/// A ledger's newest rows, in shards: each thread writes to one, so that few threads meet at a lock.
///
/// The ledger's are the newest `max_records` over all shards. Rows beyond them are evicted some at a time, so that up to a sixteenth more,
/// and one row a shard, are kept for a while; no reading shows them.
/// \par Thread safety
/// Every member is safe from any thread. The shards' locks are taken together only in their order.
class Records {
 public:
  static constexpr std::size_t max_shards = 8;

  /// \param shards A power of two, at most max_shards. More than CPUs only cost memory.
  explicit Records(std::size_t max_records, std::size_t shards = shards_for_this_machine()) noexcept;
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;
  [[nodiscard]] static std::size_t shards_for_this_machine() noexcept;

  /// A row for which there is no memory counts as evicted at once.
  void push(Row&& row) noexcept;

  /// How far a reading went: the rows of each shard from `begin` to `end`.
  struct Horizon {
    std::array<std::uint64_t, max_shards> begin{}, end{};
    bool complete = true;
  };
  /// Calls `visit` with each row that is the ledger's, in runs of neighbours; a shard is locked while it is read. With `upto`, rows
  /// beyond an earlier horizon are left out, and the result says whether all those within it were still there.
  Horizon visit(const std::function<void(const Row* rows, std::size_t count)>& visit,
                const Horizon* upto = nullptr) const;

  /// How many rows were evicted so far.
  [[nodiscard]] std::uint64_t dropped() const;

  /// The running totals, and the rows that are there added up anew.
  struct Recount {
    RowTotals pushed, kept, evicted;
    bool saturated = false;  // a row holds an amount too large to be kept exactly
  };
  [[nodiscard]] Recount recount() const;

  void clear();

  using Locks = std::array<std::unique_lock<std::mutex>, max_shards>;
  [[nodiscard]] Locks lock_all() const;
  void mark(const Mark& mark) const;  // under lock_all()

 private:
  struct alignas(128) Shard {
    mutable std::mutex mutex;
    unsigned chunk_shift = 0;                   // a chunk has 2^chunk_shift rows
    std::deque<std::unique_ptr<Row[]>> chunks;  // of rows [chunk_begin, ...)
    std::uint64_t begin = 0, end = 0;           // absolute indices of the rows that are kept
    std::uint64_t chunk_begin = 0;              // absolute index of chunks.front()[0]
    std::unique_ptr<Row[]> spare;
    RowTotals pushed, evicted;
    std::uint64_t pushed_rows = 0;
    std::uint64_t since_trim = 0;         // rows pushed
    std::atomic<std::uint64_t> kept = 0;  // end - begin, for a look without the lock

    [[nodiscard]] std::uint64_t chunk_rows() const noexcept { return std::uint64_t{1} << chunk_shift; }
    [[nodiscard]] Row& at(std::uint64_t index) const noexcept {
      const std::uint64_t offset = index - chunk_begin;
      return chunks[offset >> chunk_shift][offset & (chunk_rows() - 1)];
    }
    void push(Row&& row) noexcept;
    void evict_before(std::uint64_t index) noexcept;
    void clear();
  };

  [[nodiscard]] std::size_t shard_count() const noexcept { return shard_mask_ + 1; }
  void trim() noexcept;
  /// Moves `horizon.begin` past the oldest rows over all shards, `surplus` of them. Under lock_all().
  void pass_oldest(Horizon& horizon, std::uint64_t surplus) const noexcept;

  const std::size_t max_records_;
  const std::size_t shard_mask_;
  // Rows of one shard between two looks at how many there are. A trim locks every shard: done after every few rows, it would keep the
  // threads of a full ledger waiting for each other.
  const std::uint64_t batch_;
  std::array<Shard, max_shards> shards_;
};

}  // namespace outlay::detail
