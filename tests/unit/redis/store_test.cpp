// Budgets in a redis_store: the whole way of a call.
#include "outlay/redis.hpp"

#include "fixture.hpp"
#include "outlay/outlay.hpp"
#include "outlay/testing.hpp"
#include "support/forked.hpp"

using namespace outlay_test;

namespace {

outlay::BudgetOptions day(const std::shared_ptr<outlay::Store>& store, outlay::Usd cap) {
  return {.name = "user:alice", .usd = cap, .window = outlay::Window::forever(), .store = store};
}

}  // namespace

TEST_CASE("redis store: a key that is no counter's is left out of the list of counters", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  const auto store = outlay::redis_store({.url = server.url(), .on_unreachable = outlay::OnUnreachable::deny()});
  store->adjust({.name = "a", .window = outlay::Window::day(), .amounts = {.usd = 1_usd}, .create = true});
  for (const char* key : {"{outlay}:in:foo:bar", "{outlay}:in:day@UTC", "{outlay}:in:%zz:b", "other"})
    REQUIRE(server.command({"SET", key, "x"}) == "OK");
  const auto counters = store->counters();
  REQUIRE(counters.size() == 1);
  CHECK(counters[0].name == "a");
  CHECK(counters[0].state.spent.usd == 1_usd);
}

TEST_CASE("redis store: two stores of one server share a cap to the cent", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  const auto first = outlay::redis_store({.url = server.url(), .on_unreachable = outlay::OnUnreachable::deny()});
  const auto second = outlay::redis_store({.url = server.url(), .on_unreachable = outlay::OnUnreachable::deny()});
  int admitted = 0;
  for (int i = 0; i < 30; ++i) {
    outlay::Budget budget(day(i % 2 == 0 ? first : second, 0.20_usd));
    auto call = outlay::try_call({.model = "flat", .usd = 0.01_usd});
    if (!call) {
      CHECK(call.error().reason() == outlay::errc::budget_exceeded);
      continue;
    }
    ++admitted;
    call->settle({.provider_cost = 0.01_usd});
  }
  first->flush();
  second->flush();
  CHECK(admitted == 20);
  CHECK(first->state("user:alice", outlay::Window::forever()).spent.usd == 0.20_usd);
  CHECK(second->state("user:alice", outlay::Window::forever()).reserved == outlay::Amounts{});
}

TEST_CASE(
    "redis store: a child of a fork shares the cap by a store of its own, and leaves alone the one that it has "
    "inherited",
    "[redis]") {
  NEEDS_FORK();
  NEEDS_REDIS();
  const test::RedisServer server;
  static std::shared_ptr<outlay::Store> inherited;  // destroyed by exit() in the child
  inherited = outlay::redis_store({.url = server.url(), .on_unreachable = outlay::OnUnreachable::deny()});
  const auto pay = [](const std::shared_ptr<outlay::Store>& store) {
    outlay::Budget budget(day(store, 1_usd));
    auto call = outlay::try_call({.model = "flat", .usd = 0.10_usd});
    if (!call) return call.error().reason();
    call->settle({.provider_cost = 0.10_usd});
    store->flush();
    return outlay::errc::ok;
  };
  REQUIRE((pay(inherited) == outlay::errc::ok));
  outlay_test::ForkedChild child([&] {
    if (pay(inherited) != outlay::errc::store_unavailable) return 1;
    const auto own = outlay::redis_store({.url = server.url(), .on_unreachable = outlay::OnUnreachable::deny()});
    return pay(own) == outlay::errc::ok ? 0 : 2;
  });
  CHECK(child.wait() == 0);
  REQUIRE((pay(inherited) == outlay::errc::ok));
  CHECK(inherited->state("user:alice", outlay::Window::forever()).spent.usd == 0.30_usd);
  inherited.reset();
}

TEST_CASE("redis store: a server that is gone is what OnUnreachable says, and is found again", "[redis]") {
  NEEDS_REDIS();
  test::RedisServer server({.arguments = {"--appendonly", "yes", "--appendfsync", "always"}});
  const auto store = outlay::redis_store({.url = server.url(), .on_unreachable = outlay::OnUnreachable::deny()});
  outlay::Budget budget(day(store, 1_usd));
  {
    outlay::Call call({.model = "flat", .usd = 0.10_usd});
    call.settle({.provider_cost = 0.10_usd});
  }
  store->flush();
  server.kill();
  CHECK_THROWS_AS(outlay::Call({.model = "flat", .usd = 0.10_usd}), outlay::StoreUnavailable);
  server.start();
  REQUIRE(test::eventually([] {
    auto call = outlay::try_call({.model = "flat", .usd = 0.10_usd});
    if (call) call->settle({.provider_cost = 0.10_usd});
    return call.has_value();
  }));
  store->flush();
  CHECK(store->state("user:alice", outlay::Window::forever()).spent.usd == 0.20_usd);
}

TEST_CASE("redis store: after the data was lost calls are denied until that is accepted", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  Log log;
  const auto store = outlay::redis_store({.url = server.url(), .on_unreachable = outlay::OnUnreachable::deny()});
  outlay::Budget budget(day(store, 1_usd));
  {
    outlay::Call call({.model = "flat", .usd = 0.10_usd});
    call.settle({.provider_cost = 0.10_usd});
  }
  store->flush();
  REQUIRE(server.command({"FLUSHALL"}) == "OK");
  // The first call afterwards is how it is noticed.
  REQUIRE(test::eventually([] { return !outlay::try_call({.model = "flat", .usd = 0.10_usd}); }));
  CHECK_THROWS_AS(outlay::Call({.model = "flat", .usd = 0.10_usd}), outlay::StoreUnavailable);
  CHECK(contains(log.text(), "has lost data"));
  store->accept_lost_data();
  CHECK_NOTHROW(outlay::Call({.model = "flat", .usd = 0.10_usd}).settle({.provider_cost = 0.10_usd}));
}

TEST_CASE("redis store: lost data that was accepted is not found lost again, whichever counter asks next", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  const Log log;
  const auto store = outlay::redis_store({.url = server.url(), .on_unreachable = outlay::OnUnreachable::deny()});
  const auto spend_in = [&](const char* name) {
    const outlay::Budget budget({.name = name, .usd = 1_usd, .window = outlay::Window::day(), .store = store});
    auto call = outlay::try_call({.model = "flat", .usd = 0.10_usd});
    if (call) call->settle({.provider_cost = 0.10_usd});
    store->flush();
    return call.has_value();
  };
  REQUIRE(spend_in("first"));
  REQUIRE(spend_in("second"));
  REQUIRE(server.command({"FLUSHALL"}) == "OK");
  REQUIRE_FALSE(spend_in("first"));
  store->accept_lost_data();
  CHECK(spend_in("first"));
  CHECK(spend_in("second"));
  CHECK(spend_in("second"));
}

TEST_CASE("redis store: one counter that the server evicted is lost data to those that have seen it", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  Log log;
  const auto store = outlay::redis_store({.url = server.url(), .on_unreachable = outlay::OnUnreachable::deny()});
  const auto spend = [] {
    auto call = outlay::try_call({.model = "flat", .usd = 9_usd});
    if (call) call->settle({.provider_cost = 9_usd});
    return call.has_value();
  };
  outlay::Budget untouched({.name = "other", .usd = 100_usd, .window = outlay::Window::day(), .store = store});
  outlay::Budget budget({.name = "day", .usd = 10_usd, .window = outlay::Window::day(), .store = store});
  REQUIRE(spend());
  store->flush();
  REQUIRE(server.command({"DEL", "{outlay}:in:day@UTC:day"}) == "1");
  CHECK_FALSE(spend());
  CHECK_FALSE(spend());
  CHECK(contains(log.text(), "has lost data"));
  CHECK(store->state("other", outlay::Window::day()).spent.usd == 9_usd);
  CHECK(store->state("day", outlay::Window::day()).reserved == outlay::Amounts{});
  store->accept_lost_data();
  CHECK(spend());
}

TEST_CASE("redis store: one counter that was evicted is lost data, although its budgets come and go", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  const Log log;
  const auto store = outlay::redis_store({.url = server.url(), .on_unreachable = outlay::OnUnreachable::deny()});
  const auto spend = [&] {
    const outlay::Budget budget({.name = "day", .usd = 10_usd, .window = outlay::Window::day(), .store = store});
    auto call = outlay::try_call({.model = "flat", .usd = 9_usd});
    if (call) call->settle({.provider_cost = 9_usd});
    return call.has_value();
  };
  REQUIRE(spend());
  store->flush();
  REQUIRE(server.command({"DEL", "{outlay}:in:day@UTC:day"}) == "1");
  CHECK_FALSE(spend());
  CHECK(contains(log.text(), "has lost data"));
}

TEST_CASE("redis store: options that make no sense are refused when it is made", "[redis]") {
  const auto deny = outlay::OnUnreachable::deny();
  CHECK_THROWS_AS(outlay::redis_store({.url = "rediss://host", .on_unreachable = deny}), outlay::ConfigError);
  CHECK_THROWS_AS(outlay::redis_store({.url = "redis://host", .on_unreachable = deny, .timeout = 0ms}),
                  outlay::ConfigError);
  CHECK_THROWS_AS(outlay::redis_store({.url = "redis://host", .on_unreachable = deny, .lease = 10ms}),
                  outlay::ConfigError);
  CHECK_THROWS_AS(outlay::redis_store({.url = "redis://host", .on_unreachable = deny, .prefix = ""}),
                  outlay::ConfigError);
}
