// What processes see of each other that share a store file.
#include "contract/processes.hpp"
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
