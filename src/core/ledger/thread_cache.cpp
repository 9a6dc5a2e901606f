#include "core/ledger/thread_cache.hpp"

#include <atomic>
#include <memory>
#include <new>

#include "core/pricing/price_book.hpp"

namespace outlay::detail {

namespace {

std::atomic<std::uint32_t> next_shard{0};
std::atomic<std::uint64_t> next_block{1};
constexpr std::uint64_t block_size = 1024;

}  // namespace

ThreadCache::ThreadCache() noexcept : shard(next_shard.fetch_add(1, std::memory_order_relaxed)) {}

namespace {

// Trivially destructible, since destructors of other thread_locals may make calls after Owner's.
struct Place {
  alignas(ThreadCache) std::byte bytes[sizeof(ThreadCache)];
  ThreadCache* cache;
};
constinit thread_local Place place{};

/// Empties the thread's cache when the thread ends, and leaves one that keeps nothing.
struct Owner {
  Owner() noexcept { place.cache = ::new (place.bytes) ThreadCache; }
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
  ~Owner() {
    std::destroy_at(place.cache);
    place.cache = ::new (place.bytes) ThreadCache;
    place.cache->ended = true;
  }
};

}  // namespace

[[gnu::hot]] ThreadCache& thread_cache() noexcept {
  if (!place.cache) [[unlikely]] {
    thread_local const Owner owner;
    static_cast<void>(owner);
  }
  return *place.cache;
}

[[gnu::hot]] std::uint64_t next_call_id() noexcept {
  ThreadCache& cache = thread_cache();
  if (cache.next_call_id == cache.end_call_id) {
    cache.next_call_id = next_block.fetch_add(block_size, std::memory_order_relaxed);
    cache.end_call_id = cache.next_call_id + block_size;
  }
  return cache.next_call_id++;
}

}  // namespace outlay::detail
