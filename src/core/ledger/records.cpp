#include "core/ledger/records.hpp"

#include <algorithm>
#include <bit>
#include <thread>
#include <utility>

#include "core/ledger/thread_cache.hpp"

namespace outlay::detail {

Record to_record(const Row& row, const LedgerDictionary& dictionary) {
  Record record;
  record.call_id = row.call_id;
  record.status = row.status;
  record.started = Time(std::chrono::nanoseconds(row.started));
  record.ended = Time(std::chrono::nanoseconds(row.ended));
  record.usage = row.extra ? row.extra->usage : Usage{};
  record.usage.input = row.input;
  record.usage.cache_read = row.cache_read;
  record.usage.cache_write = row.cache_write;
  record.usage.cache_write_1h = row.cache_write_1h;
  record.usage.output = row.output;
  record.usage.reasoning = row.reasoning;
  record.usd = Usd::from_nanos(row.usd);
  record.reserved = Usd::from_nanos(row.reserved);
  if (record.usd > record.reserved) record.overrun = record.usd - record.reserved;
  record.cost_source = row.source;
  record.unbounded = row.unbounded;
  if (row.extra) {
    record.provider_cost = row.extra->provider_cost;
    record.table_cost = row.extra->table_cost;
    record.reason = row.extra->reason;
    record.traceparent = row.extra->traceparent;
    record.parts = row.extra->parts;
  }
  const LedgerDictionary::Reader names = dictionary.read();
  record.requested_model = names.name(row.requested);
  record.admitted_model = names.name(row.admitted);
  record.model = names.name(row.served);
  record.provider = names.name(row.provider);
  record.service_tier = names.name(row.tier);
  record.price_version = names.name(row.prices);
  if (const Attribution* where = names.attribution(row.attribution)) {
    record.tags = where->tags;
    record.budgets = where->path;
  }
  return record;
}

[[gnu::hot]] void RowTotals::add(const Row& row) noexcept {
  ++calls;
  if (__builtin_add_overflow(usd, row.usd, &usd)) usd = INT64_MAX;
  tokens[0] += row.input;
  tokens[1] += row.cache_read;
  tokens[2] += row.cache_write;
  tokens[3] += row.cache_write_1h;
  tokens[4] += row.output;
  tokens[5] += row.reasoning;
  ++by_status[static_cast<std::size_t>(row.status)];
  unpriced += row.source == CostSource::none && row.status != RecordStatus::rejected;
}

void RowTotals::add(const RowTotals& other) noexcept {
  calls += other.calls;
  if (__builtin_add_overflow(usd, other.usd, &usd)) usd = INT64_MAX;
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] += other.tokens[i];
  for (std::size_t i = 0; i < by_status.size(); ++i) by_status[i] += other.by_status[i];
  unpriced += other.unpriced;
}

[[gnu::hot]] void Records::Shard::push(Row&& row) noexcept {
  pushed.add(row);
  ++pushed_rows;
  const std::uint64_t offset = end - chunk_begin;
  if (offset >> chunk_shift == chunks.size()) [[unlikely]] {
    try {
      if (!spare) spare = std::make_unique_for_overwrite<Row[]>(chunk_rows());
      chunks.push_back(nullptr);
    } catch (...) {  // no memory
      evicted.add(row);
      return;
    }
    chunks.back() = std::move(spare);
  }
  at(end++) = std::move(row);
  kept.store(end - begin, std::memory_order_relaxed);
}

void Records::Shard::evict_before(std::uint64_t index) noexcept {
  for (; begin != index; ++begin) {
    if (begin - chunk_begin == chunk_rows()) {
      spare = std::move(chunks.front());
      chunks.pop_front();
      chunk_begin += chunk_rows();
    }
    Row& oldest = at(begin);
    evicted.add(oldest);
    oldest.extra.reset();
  }
  kept.store(end - begin, std::memory_order_relaxed);
}

void Records::Shard::clear() {
  const std::lock_guard lock(mutex);
  chunks.clear();
  begin = chunk_begin = end;  // indices are never used again: a reading made before knows that its rows are gone
  kept.store(0, std::memory_order_relaxed);
  pushed = evicted = {};
  pushed_rows = 0;
}

std::size_t Records::shards_for_this_machine() noexcept {
  return std::bit_ceil(std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, max_shards));
}

Records::Records(std::size_t max_records, std::size_t shards) noexcept
    : max_records_(max_records),
      shard_mask_(shards - 1),
      batch_(std::clamp<std::uint64_t>(max_records / (16 * shards), 1, 1024)) {
  const std::size_t share = std::clamp<std::size_t>(max_records / shards, 16, 1024);
  for (Shard& shard : shards_) shard.chunk_shift = static_cast<unsigned>(std::bit_width(share) - 1);
}

[[gnu::hot]] void Records::push(Row&& row) noexcept {
  Shard& shard = shards_[thread_cache().shard & shard_mask_];
  {
    const std::lock_guard lock(shard.mutex);
    shard.push(std::move(row));
    if (++shard.since_trim < batch_) return;
    shard.since_trim = 0;
  }
  std::uint64_t kept = 0;
  for (std::size_t s = 0; s < shard_count(); ++s) kept += shards_[s].kept.load(std::memory_order_relaxed);
  if (kept > max_records_) trim();
}

void Records::trim() noexcept {
  const Locks locks = lock_all();
  Horizon kept;
  std::uint64_t total = 0;
  for (std::size_t s = 0; s < shard_count(); ++s) {
    kept.begin[s] = shards_[s].begin;
    kept.end[s] = shards_[s].end;
    total += kept.end[s] - kept.begin[s];
  }
  if (total <= max_records_) return;  // another thread has done it
  pass_oldest(kept, total - max_records_);
  for (std::size_t s = 0; s < shard_count(); ++s) shards_[s].evict_before(kept.begin[s]);
}

Records::Horizon Records::visit(const std::function<void(const Row*, std::size_t)>& visit, const Horizon* upto) const {
  Horizon horizon;
  {
    const Locks locks = lock_all();
    std::uint64_t total = 0, pushed = 0;
    for (std::size_t s = 0; s < shard_count(); ++s) {
      horizon.begin[s] = shards_[s].begin;
      horizon.end[s] = upto ? upto->end[s] : shards_[s].end;
      if (upto && horizon.begin[s] > upto->begin[s]) horizon.complete = false;
      total += horizon.end[s] - std::min(horizon.begin[s], horizon.end[s]);
      pushed += shards_[s].pushed_rows;
    }
    if (upto) {
      for (std::size_t s = 0; s < shard_count(); ++s) horizon.begin[s] = std::max(horizon.begin[s], upto->begin[s]);
    } else {
      horizon.complete = pushed == total && total <= max_records_;
      // Only where the shards hold more than the ledger keeps does the order between them matter.
      if (total > max_records_) pass_oldest(horizon, total - max_records_);
    }
  }
  for (std::size_t s = 0; s < shard_count(); ++s) {
    const Shard& shard = shards_[s];
    const std::lock_guard lock(shard.mutex);
    std::uint64_t index = std::max(horizon.begin[s], shard.begin);
    if (index != horizon.begin[s]) horizon.complete = false;
    const std::uint64_t end = std::min(horizon.end[s], shard.end);
    while (index < end) {
      const std::uint64_t in_chunk = (index - shard.chunk_begin) & (shard.chunk_rows() - 1);
      const std::uint64_t run = std::min(end - index, shard.chunk_rows() - in_chunk);
      visit(&shard.at(index), static_cast<std::size_t>(run));
      index += run;
    }
  }
  return horizon;
}

void Records::pass_oldest(Horizon& horizon, std::uint64_t surplus) const noexcept {
  const auto ended = [&](std::size_t s) {
    return horizon.begin[s] < horizon.end[s] ? shards_[s].at(horizon.begin[s]).ended : INT64_MAX;
  };
  std::array<std::int64_t, max_shards> oldest{};
  for (std::size_t s = 0; s < shard_count(); ++s) oldest[s] = ended(s);
  for (; surplus != 0; --surplus) {
    std::size_t first = 0;
    for (std::size_t s = 1; s < shard_count(); ++s)
      if (oldest[s] < oldest[first]) first = s;
    ++horizon.begin[first];
    oldest[first] = ended(first);
  }
}

std::uint64_t Records::dropped() const {
  std::uint64_t pushed = 0, kept = 0;
  for (std::size_t s = 0; s < shard_count(); ++s) {
    const std::lock_guard lock(shards_[s].mutex);
    pushed += shards_[s].pushed_rows;
    kept += shards_[s].end - shards_[s].begin;
  }
  return pushed - std::min<std::uint64_t>(kept, max_records_);
}

Records::Recount Records::recount() const {
  Recount result;
  for (std::size_t s = 0; s < shard_count(); ++s) {
    const Shard& shard = shards_[s];
    const std::lock_guard lock(shard.mutex);
    result.pushed.add(shard.pushed);
    result.evicted.add(shard.evicted);
    for (std::uint64_t i = shard.begin; i < shard.end; ++i) {
      const Row& row = shard.at(i);
      result.kept.add(row);
      result.saturated |= row.usd == INT64_MAX || row.input == UINT32_MAX || row.output == UINT32_MAX;
    }
  }
  return result;
}

void Records::clear() {
  for (Shard& shard : shards_) shard.clear();
}

Records::Locks Records::lock_all() const {
  Locks locks;
  for (std::size_t s = 0; s < shard_count(); ++s) locks[s] = std::unique_lock(shards_[s].mutex);
  return locks;
}

void Records::mark(const Mark& mark) const {
  for (const Shard& shard : shards_)
    for (std::uint64_t i = shard.begin; i < shard.end; ++i) mark(shard.at(i).attribution);
}

}  // namespace outlay::detail
