// Counts what the hot path allocates, by this test binary's own operator new. Sanitizers have theirs, so they leave this out.
#include "support/sanitizer.hpp"

#ifndef OUTLAY_TEST_SANITIZER

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;

namespace {

std::atomic<long> allocations{0};
std::atomic<std::size_t> allocated_bytes{0};
thread_local long fail_at = -1;  // the allocation of this thread that has no memory, counted down; negative: none

void* allocate(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  allocated_bytes.fetch_add(size, std::memory_order_relaxed);
  const bool fails = fail_at == 0;
  if (fail_at >= 0) --fail_at;
  if (fails) throw std::bad_alloc();
  if (void* block = std::malloc(size)) return block;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
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

TEST_CASE("allocation: the record of one call is found without copying the others", "[core][allocation]") {
  const Fixture fixture;
  const auto call_once = [] {
    Call call(large_request());
    call.settle({.usage = {.input = 10, .output = 10}, .served_model = "gpt-4o"});
    return call.id();
  };
  const auto needed_to_find = [&](std::uint64_t id) {
    const std::size_t before = allocated_bytes;
    const std::optional<Record> found = fixture.ledger.record(id);
    const std::size_t needed = allocated_bytes - before;
    REQUIRE(found);
    CHECK(found->call_id == id);
    return needed;
  };
  const std::uint64_t first = call_once();
  const std::size_t alone = needed_to_find(first);
  for (int i = 0; i < 2'000; ++i) call_once();
  CHECK(needed_to_find(first) == alone);
  CHECK(needed_to_find(call_once()) == alone);
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

namespace {

/// Makes a call with each of its allocations failing in turn, until one succeeds.
template <class Check>
void make_a_call_short_of_memory(const Check& check) {
  bool made = false;
  for (long nth = 0; !made; ++nth) {
    REQUIRE(nth < 200);
    fail_at = nth;
    try {
      Call call(cent_request());
      made = true;
    } catch (const std::bad_alloc&) {  // as wanted
    }
    fail_at = -1;
    INFO("allocation " << nth << " failed");
    check();
  }
}

/// Memory as a store on this machine; it never runs short itself.
class LocalBackend final : public StoreBackend {
 public:
  std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands,
                                          std::chrono::milliseconds timeout) override {
    const long failing = std::exchange(fail_at, -1);
    auto results = memory_->execute(commands, timeout);
    fail_at = failing;
    return results;
  }
  [[nodiscard]] Distance distance() const noexcept override { return Distance::local; }
  [[nodiscard]] std::string description() const override { return "a local store"; }

 private:
  std::unique_ptr<StoreBackend> memory_ = memory_backend();
};

}  // namespace

TEST_CASE("allocation: a call that runs out of memory on its way in leaves nothing held", "[core][allocation]") {
  const Fixture fixture;
  set_log_handler([](LogLevel, std::string_view) {});
  SECTION("where a policy lets it through") {
    Budget budget({.name = "short of memory", .usd = 0.001_usd, .on_exceed = Warn{}});
    (void)try_call(cent_request());
    make_a_call_short_of_memory([&] { CHECK(budget.reserved() == Amounts{}); });
  }
  SECTION("where a store counts, too") {
    const auto store = std::make_shared<Store>(std::make_unique<LocalBackend>(),
                                               StoreOptions{.on_unreachable = OnUnreachable::deny()});
    Budget tree({.name = "tree", .usd = 1_usd});
    Budget budget({.name = "short of memory", .usd = 1_usd, .window = Window::forever(), .store = store});
    (void)try_call(cent_request());
    make_a_call_short_of_memory([&] { CHECK(tree.reserved() == Amounts{}); });
  }
  set_log_handler({});
}

TEST_CASE("allocation: a call that settles short of memory is charged, and its record is there or counted as dropped",
          "[core][allocation]") {
  set_log_handler([](LogLevel, std::string_view) {});
  bool reached = true;
  for (long nth = 0; reached; ++nth) {
    REQUIRE(nth < 200);
    const Fixture fixture;
    Budget budget({.name = "short of memory", .usd = 1_usd, .notify_at = {0.001}});
    Track track({{"feature", "chat"}});
    Call call(large_request());
    call.sent();
    fail_at = nth;
    const Result<Settled> settled =
        call.try_settle({.usage = {.input = 10, .output = 10, .web_searches = 1}, .served_model = "gpt-4o-2024-08-06"});
    reached = fail_at < 0;
    fail_at = -1;
    INFO("allocation " << nth << " failed");
    CHECK(budget.reserved() == Amounts{});
    CHECK(budget.spent().calls == 1);
    CHECK(budget.spent().usd > Usd{});
    CHECK(fixture.ledger.records().size() + fixture.ledger.dropped() == 1);
    CHECK((fixture.ledger.audit().verdict == Audit::Verdict::agrees));
  }
  set_log_handler({});
}

TEST_CASE("allocation: without memory for a breach beyond the fourth, a failure has those before it",
          "[core][allocation]") {
  const Fixture fixture;
  const auto options = [] {
    return BudgetOptions{.usd = 0.0001_usd, .tokens = 1, .input_tokens = 1, .output_tokens = 1, .on_exceed = Raise{}};
  };
  bool thrown = false;
  for (long nth = 0; nth < 60; ++nth) {
    Budget outer(options());
    Budget inner(options());
    Call call({.model = "gpt-4o", .input_tokens = 1, .max_output_tokens = 0});
    fail_at = nth;
    try {
      call.settle({.input = 100, .output = 100});
    } catch (const BudgetExceeded& over) {
      fail_at = -1;
      for (const Breach& breach : over.breaches()) REQUIRE(breach.budget == "(unnamed)");
      thrown = true;
    } catch (const std::bad_alloc&) {
    }
    fail_at = -1;
  }
  REQUIRE(thrown);
}

#endif
