#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/ledger/attribution.hpp"

namespace outlay::detail {

struct PriceBook;
struct PricedModel;
struct ModelName;

/// A model's name as a ledger knows it, and its price in the ledger's present table.
struct ModelSlot {
  std::uint64_t books_uid = 0;
  std::uint64_t prices_uid = 0;
  const ModelName* name = nullptr;      // in the books' dictionary
  const PricedModel* priced = nullptr;  // in a price book that this cache holds; null: unknown
  const ModelName* provider = nullptr;  // of the price; null: not known
  const ModelName* under = nullptr;     // the provider that was asked for it; null: not known
};

/// What a thread keeps of its ledgers, so that the path of a call takes no shared lock but the budgets' own and its shard's.
///
/// Entries name their books and tables by uids that are never reused, so a stale one is never followed.
struct ThreadCache {
  ThreadCache() noexcept;
  ThreadCache(const ThreadCache&) = delete;
  ThreadCache& operator=(const ThreadCache&) = delete;
  ~ThreadCache() = default;

  static constexpr std::size_t attribution_slots = 128;
  std::array<AttributionRef, attribution_slots> attributions{};

  static constexpr std::size_t model_slots = 64;
  std::array<ModelSlot, model_slots> models{};
  std::array<std::shared_ptr<const PriceBook>, 4> price_books{};
  unsigned next_price_book = 0;
  ModelSlot unkept;  // a look-up that is not to be remembered
  std::shared_ptr<const PriceBook> unkept_book;

  bool ended = false;  // the thread is about to end: nothing may be kept any more

  std::uint64_t next_call_id = 0;
  std::uint64_t end_call_id = 0;
  const std::uint32_t shard;  // which of a ledger's shards this thread writes to
};

ThreadCache& thread_cache() noexcept;
/// Unique in the process, never 0, never reused.
std::uint64_t next_call_id() noexcept;

}  // namespace outlay::detail
