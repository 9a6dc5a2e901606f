#include "core/ledger/thread_cache.hpp"

#include <atomic>

#include "core/pricing/price_book.hpp"

namespace outlay::detail {

namespace {

std::atomic<std::uint32_t> next_shard{0};
std::atomic<std::uint64_t> next_block{1};
constexpr std::uint64_t block_size = 1024;

}  // namespace

ThreadCache::ThreadCache() noexcept : shard(next_shard.fetch_add(1, std::memory_order_relaxed)) {}

ThreadCache::~ThreadCache() {
  ended = true;
  for (AttributionRef& slot : attributions) slot = {};
  models = {};
  for (auto& book : price_books) book.reset();
  unkept_book.reset();
}

ThreadCache& thread_cache() noexcept {
  thread_local ThreadCache cache;
  return cache;
}

std::uint64_t next_call_id() noexcept {
  ThreadCache& cache = thread_cache();
  if (cache.next_call_id == cache.end_call_id) {
    cache.next_call_id = next_block.fetch_add(block_size, std::memory_order_relaxed);
    cache.end_call_id = cache.next_call_id + block_size;
  }
  return cache.next_call_id++;
}

}  // namespace outlay::detail
