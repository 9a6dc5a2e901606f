// Every order in which whole operations of two and three calls can follow one another on a tiny cap, on one thread. What happens within
// an operation is ThreadSanitizer's business (stress_test.cpp).
#include <memory>

#include "core/call/admission.hpp"
#include "outlay/detail/access.hpp"
#include "unit/core/counting_waiter.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;
using detail::Admission;
using outlay::testing::Script;
using outlay::testing::Step;

namespace {

struct World {
  explicit World(Policies policies, std::optional<std::int64_t> calls_in_flight)
      : budget({.name = "tiny", .usd = 0.02_usd, .concurrent = calls_in_flight, .on_exceed = std::move(policies)}) {}

  Fixture fixture{{.max_records = 100}};
  Budget budget;
  struct Actor {
    CallRequest request = cent_request();
    std::unique_ptr<detail::Arrival> arrival;
    std::unique_ptr<Admission> admission;
    std::shared_ptr<CountingWaiter> waiter = std::make_shared<CountingWaiter>();
    Admission::State state = Admission::State::refused;
    std::optional<Call> call;
    int seen = 0;

    void take_if_admitted() {
      if (state == Admission::State::admitted && !call) call.emplace(detail::Access::call(arrival->take()));
    }
  };
  std::array<Actor, 3> actors;
  bool passed_a_cap = false;

  void look() {
    const BudgetState state = budget.state();
    passed_a_cap |= state.spent.usd + state.reserved.usd > *state.limits.usd;
    if (state.limits.concurrent) passed_a_cap |= state.reserved.concurrent > *state.limits.concurrent;
  }
};

Step<World> admit(std::size_t who) {
  return [who](World& world) {
    auto& actor = world.actors[who];
    actor.arrival = std::make_unique<detail::Arrival>(actor.request);
    switch (actor.arrival->enter()) {
      case detail::Arrival::Step::admitted:
        actor.state = Admission::State::admitted;
        break;
      case detail::Arrival::Step::refused:
        actor.state = Admission::State::refused;
        break;
      case detail::Arrival::Step::undecided:
        actor.admission =
            std::make_unique<Admission>(*actor.arrival, Admission::Caller{.waiter = [&actor] { return actor.waiter; }});
        actor.state = actor.admission->advance(Admission::Event::start);
    }
    actor.take_if_admitted();
    world.look();
    return true;
  };
}
/// Comes to an end only once the call is admitted or refused.
Step<World> await(std::size_t who) {
  return [who](World& world) {
    auto& actor = world.actors[who];
    if (actor.state != Admission::State::in_line) return true;
    if (actor.waiter->wakes == actor.seen) return false;
    actor.seen = actor.waiter->wakes;
    actor.state = actor.admission->advance(Admission::Event::woken);
    actor.take_if_admitted();
    world.look();
    return actor.state != Admission::State::in_line;
  };
}
Step<World> time_out(std::size_t who) {
  return [who](World& world) {
    auto& actor = world.actors[who];
    if (actor.state == Admission::State::in_line) actor.state = actor.admission->advance(Admission::Event::timer);
    actor.take_if_admitted();
    world.look();
    return true;
  };
}
Step<World> settle(std::size_t who, Usd cost) {
  return [who, cost](World& world) {
    auto& actor = world.actors[who];
    if (actor.call) actor.call->settle({.usage = {}, .provider_cost = cost});
    world.look();
    return true;
  };
}
Step<World> drop(std::size_t who) {
  return [who](World& world) {
    world.actors[who].call.reset();
    world.look();
    return true;
  };
}
Step<World> close() {
  return [](World& world) {
    world.budget.close_to_new_calls("stop");
    return true;
  };
}

void check(World& world) {
  REQUIRE(!world.passed_a_cap);
  for (auto& actor : world.actors) {
    actor.call.reset();
    actor.admission.reset();
    actor.arrival.reset();
  }
  REQUIRE(world.budget.reserved() == Amounts{});
  REQUIRE(world.budget.spent().usd <= 0.02_usd);
}

}  // namespace

TEST_CASE("interleaving: three calls that block on room for two, in every order", "[core][interleaving]") {
  const std::vector<Script<World>> scripts{
      {admit(0), settle(0, 0.01_usd)}, {admit(1), drop(1)}, {admit(2), settle(2, 0.005_usd)}};
  const std::size_t orders = testing::for_each_interleaving(
      scripts, [] { return std::make_unique<World>(Policies{}, std::nullopt); },
      [](World& world, const std::vector<std::size_t>&, bool finished) {
        REQUIRE(finished);
        check(world);
      });
  REQUIRE(orders == 90);  // 6! / (2! 2! 2!)
}

TEST_CASE("interleaving: three calls that wait for one place, in every order: all come to run, none overlaps",
          "[core][interleaving]") {
  const std::vector<Script<World>> scripts{{admit(0), await(0), settle(0, 0.005_usd)},
                                           {admit(1), await(1), drop(1)},
                                           {admit(2), await(2), settle(2, 0.005_usd)}};
  const std::size_t orders = testing::for_each_interleaving(
      scripts, [] { return std::make_unique<World>(Policies(Wait{}), 1); },
      [](World& world, const std::vector<std::size_t>&, bool finished) {
        REQUIRE(finished);  // nobody waits for ever
        REQUIRE(world.budget.spent().calls == 2);
        check(world);
      });
  REQUIRE(orders > 100);
}

TEST_CASE("interleaving: waiting, time-out and the kill switch, in every order", "[core][interleaving]") {
  const std::vector<Script<World>> scripts{
      {admit(0), settle(0, 0.01_usd)}, {admit(1), time_out(1), drop(1)}, {admit(2), await(2), drop(2)}, {close()}};
  const std::size_t orders = testing::for_each_interleaving(
      scripts, [] { return std::make_unique<World>(Policies(Wait{}), 1); },
      [](World& world, const std::vector<std::size_t>&, bool finished) {
        REQUIRE(finished);
        check(world);
      });
  REQUIRE(orders > 1'000);
}
