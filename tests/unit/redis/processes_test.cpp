// What processes see of each other that share a server.
#include "contract/kills.hpp"
#include "outlay/redis.hpp"
#include "support/moved_clock.hpp"
#include "unit/redis/fixture.hpp"

using namespace outlay_test;

namespace {

/// A server at the time of the process that asks it.
struct Server {
  test::MovedClock clock;
  test::RedisServer server{{.environment = clock.environment()}};
  processes::Place place{
      .open =
          [this] {
            return outlay::redis_store({.url = server.url(), .on_unreachable = outlay::OnUnreachable::deny()});
          },
      .set_time = [this](outlay::Time now) { clock.set(now); }};
};

}  // namespace

TEST_CASE("redis: a batch of a process that was killed is settled by another 26 hours later, once",
          "[redis][detached]") {
  NEEDS_FORK();
  NEEDS_REDIS();
  const Server at;
  processes::check_batch_of_a_killed_process(at.place);
}

TEST_CASE("redis: a batch whose lease ran out is charged, and corrected by what settles it 26 hours later, once",
          "[redis][detached]") {
  NEEDS_FORK();
  NEEDS_REDIS();
  const Server at;
  processes::check_batch_whose_lease_ran_out(at.place);
}

TEST_CASE("redis: a cap that one process sets is what others judge their next call by", "[redis]") {
  NEEDS_FORK();
  NEEDS_REDIS();
  const Server at;
  processes::check_caps_that_an_operator_sets(at.place);
}

TEST_CASE("redis: operators of several processes who change one cap at once lose no change", "[redis]") {
  NEEDS_FORK();
  NEEDS_REDIS();
  const Server at;
  processes::check_caps_that_are_changed_at_once(at.place);
}

TEST_CASE(
    "redis: processes that are killed under windows, thresholds and rules lose nothing and announce nothing twice",
    "[redis][store][stress]") {
  NEEDS_FORK();
  NEEDS_REDIS();
  const Server at;
  processes::check_processes_that_are_killed(at.place);
}
