// What processes see of each other that share a store file.
#include "contract/kills.hpp"
#include "unit/sqlite/fixture.hpp"

using namespace outlay_test;

namespace {

processes::Place in(const TempDir& dir) {
  return {.open = [&dir] { return outlay::sqlite_store({.path = dir.path() / "caps.db"}); }};
}

}  // namespace

TEST_CASE("sqlite: a batch of a process that was killed is settled by another 26 hours later, once",
          "[sqlite][detached]") {
  NEEDS_FORK();
  const TempDir dir;
  processes::check_batch_of_a_killed_process(in(dir));
}

TEST_CASE("sqlite: a batch whose lease ran out is charged, and corrected by what settles it 26 hours later, once",
          "[sqlite][detached]") {
  NEEDS_FORK();
  const TempDir dir;
  processes::check_batch_whose_lease_ran_out(in(dir));
}

TEST_CASE("sqlite: a cap that one process sets is what others judge their next call by", "[sqlite][store]") {
  NEEDS_FORK();
  const TempDir dir;
  processes::check_caps_that_an_operator_sets(in(dir));
}

TEST_CASE("sqlite: operators of several processes who change one cap at once lose no change", "[sqlite][store]") {
  NEEDS_FORK();
  const TempDir dir;
  processes::check_caps_that_are_changed_at_once(in(dir));
}

TEST_CASE("sqlite: a lease that a process finds has one event, also where the process forks before it books it",
          "[sqlite][detached]") {
  NEEDS_FORK();
  const TempDir dir;
  const processes::Place place = in(dir);
  (void)processes::batch_of_a_process_that_is_killed(place, std::chrono::hours(1));
  const processes::Process finder(place, processes::midnight + std::chrono::hours(3));
  const outlay::Budget batches({.name = "batches",
                                .usd = outlay::Usd::from_nanos(1'000'000'000),
                                .window = outlay::Window::day(),
                                .store = finder.store});
  CHECK(batches.spent().usd == outlay::Usd::from_nanos(12'500'000));  // a look finds it, and books nothing
  CHECK(finder.ledger.events().empty());
  ForkedChild child([&] {
    try {
      (void)finder.store->state("batches", outlay::Window::day());
      return -1;
    } catch (const outlay::StoreUnavailable&) {
      return static_cast<int>(finder.ledger.events().size());
    }
  });
  CHECK(child.wait() == 0);
  (void)finder.store->state("batches", outlay::Window::day());
  CHECK(finder.ledger.events().size() == 1);
}

TEST_CASE(
    "sqlite: processes that are killed under windows, thresholds and rules lose nothing and announce nothing twice",
    "[sqlite][store][stress]") {
  NEEDS_FORK();
  const TempDir dir;
  processes::check_processes_that_are_killed(in(dir));
}
