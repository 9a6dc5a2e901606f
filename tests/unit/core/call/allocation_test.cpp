// Counts what the hot path allocates, by this test binary's own operator new. Sanitizers have theirs, so they leave this out.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define OUTLAY_SANITIZED
#endif
#endif
#if !defined(OUTLAY_SANITIZED) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <atomic>
#include <cstdlib>
#include <new>

#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;

namespace {

std::atomic<long> allocations{0};

}  // namespace

void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* block = std::malloc(size)) return block;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const std::size_t step = static_cast<std::size_t>(alignment);
  if (void* block = std::aligned_alloc(step, (size + step - 1) / step * step)) return block;
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }

TEST_CASE("allocation: admit, settle and record allocate nothing in the steady state", "[core][allocation]") {
  const Fixture fixture({.max_records = 2'048});
  Budget outer({.name = "outer", .usd = 1'000_usd});
  Budget inner({.name = "inner", .usd = 1'000_usd});
  Track track({{"feature", "chat"}, {"user_id", "alice"}});
  const auto call_once = [] {
    Call call(large_request());
    call.sent();
    call.settle({.usage = {.input = 10, .output = 10}, .served_model = "gpt-4o"});
  };
  for (int i = 0; i < 5'000; ++i) call_once();  // fills the FIFO and the caches
  const long before = allocations;
  for (int i = 0; i < 5'000; ++i) call_once();
  REQUIRE(allocations - before == 0);
}

TEST_CASE("allocation: a scope allocates at most one block", "[core][allocation]") {
  const Fixture fixture;
  const auto open = [] {
    Budget budget({.name = "answer", .usd = 1_usd});
    Track track({{"feature", "chat"}, {"user_id", "alice"}});
  };
  for (int i = 0; i < 10; ++i) open();
  const long before = allocations;
  for (int i = 0; i < 100; ++i) open();
  REQUIRE(allocations - before <= 200);
}

#endif
