#pragma once

#include <array>
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
/// A shard holds at most `max_records` rows; the ledger's are the newest `max_records` over all shards.
/// \par Thread safety
/// Every member is safe from any thread. No two shards' locks are held together, but by lock_all().
class Records {
 public:
  static constexpr std::size_t max_shards = 8;

  explicit Records(std::size_t max_records) noexcept;
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;

  void push(Row&& row);

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

  [[nodiscard]] std::vector<std::unique_lock<std::mutex>> lock_all() const;
  void mark(const Mark& mark) const;  // under lock_all()

 private:
  struct alignas(128) Shard {
    static constexpr std::size_t chunk_rows = 1024;

    mutable std::mutex mutex;
    std::deque<std::unique_ptr<Row[]>> chunks;  // of rows [chunk_begin, ...)
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

  /// Moves `horizon.begin` past the oldest rows over all shards, `surplus` of them.
  void pass_oldest(Horizon& horizon, std::uint64_t surplus) const;

  const std::size_t max_records_;
  const std::uint32_t shard_mask_;
  std::array<Shard, max_shards> shards_;
};

}  // namespace outlay::detail
