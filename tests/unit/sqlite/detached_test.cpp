// Calls that one process leaves in a store file and another ends: batches.
#include <csignal>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "outlay/outlay.hpp"
#include "outlay/testing.hpp"
#include "support/forked.hpp"
#include "unit/sqlite/fixture.hpp"

using namespace outlay_test;
using namespace outlay::literals;

namespace {

const outlay::Time midnight = outlay::Time(std::chrono::sys_days(std::chrono::year(2026) / 11 / 30));

outlay::BudgetOptions of_batches(const std::shared_ptr<outlay::Store>& store) {
  return {.name = "batches", .usd = 1_usd, .window = outlay::Window::day(), .store = store};
}

/// A process that has its own view of the file, at a time of its own.
struct Process {
  std::shared_ptr<outlay::testing::ManualClock> clock;
  outlay::Ledger ledger;
  outlay::LedgerScope scope{ledger};
  std::shared_ptr<outlay::Store> store;
  Process(const TempDir& dir, outlay::Time now)
      : clock(std::make_shared<outlay::testing::ManualClock>(now)),
        ledger({.prices = outlay::testing::fixture_prices(), .clock = clock}),
        store(outlay::sqlite_store({.path = dir.path() / "caps.db"})) {}
};

/// A process that makes a call with this lease, keeps its text beside the store, and is killed.
std::string detached_by_a_process_that_is_killed(const TempDir& dir, std::chrono::seconds lease) {
  ForkedChild child([&] {
    const Process first(dir, midnight + 1h);
    const outlay::Track tags({{"user_id", "alice"}});
    const outlay::Budget budget(of_batches(first.store));
    outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000, .lease = lease});
    call.sent();
    std::ofstream(dir.path() / "call.txt") << call.detach();
    ::raise(SIGKILL);
    return 0;
  });
  REQUIRE(child.wait() == -SIGKILL);
  std::ifstream file(dir.path() / "call.txt");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// 26 hours later, in two more processes, of which the second comes too late.
void settled_once(const TempDir& dir, const std::string& text) {
  constexpr outlay::Usage usage{.input = 1'000, .output = 100};
  {
    const Process second(dir, midnight + 27h);
    CHECK(outlay::Call::resume(text, second.store).settle(usage).first);
    REQUIRE(second.ledger.records().size() == 1);
    CHECK(second.ledger.records().front().usd == outlay::Usd::from_nanos(3'500'000));
    CHECK(*second.ledger.records().front().tags.find("user_id") == "alice");
  }
  const Process third(dir, midnight + 30h);
  CHECK_FALSE(outlay::Call::resume(text, third.store).settle(usage).first);
  CHECK(third.ledger.records().empty());
  const auto state = third.store->state("batches", outlay::Window::day(), midnight + 1h);
  CHECK(state.spent.usd == outlay::Usd::from_nanos(3'500'000));
  CHECK(state.reserved == outlay::Amounts{});
  CHECK(third.store->state("batches", outlay::Window::day()).spent == outlay::Amounts{});
}

}  // namespace

TEST_CASE("sqlite: a batch of a process that was killed is settled by another 26 hours later, once",
          "[sqlite][detached]") {
  NEEDS_FORK();
  const TempDir dir;
  const std::string text = detached_by_a_process_that_is_killed(dir, 48h);
  {
    const Process meanwhile(dir, midnight + 20h);
    CHECK(meanwhile.store->state("batches", outlay::Window::day()).reserved.usd == outlay::Usd::from_nanos(12'500'000));
  }
  settled_once(dir, text);
}

TEST_CASE("sqlite: a batch whose lease ran out is charged, and corrected by what settles it 26 hours later, once",
          "[sqlite][detached]") {
  NEEDS_FORK();
  const TempDir dir;
  const std::string text = detached_by_a_process_that_is_killed(dir, 1h);
  {
    const Process meanwhile(dir, midnight + 3h);
    const auto state = meanwhile.store->state("batches", outlay::Window::day());
    CHECK(state.spent.usd == outlay::Usd::from_nanos(12'500'000));
    CHECK(state.reserved == outlay::Amounts{});
  }
  settled_once(dir, text);
}
