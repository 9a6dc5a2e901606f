#include <thread>

#include "unit/core/fixture.hpp"

using namespace outlay_test;

TEST_CASE("track: tags add up and the inner value of a key wins", "[core][track]") {
  const Fixture fixture;
  //! [nested_track]
  outlay::Track outer({{"feature", "chat"}, {"user_id", "alice"}});
  {
    outlay::Track inner({{"user_id", "bob"}});
    REQUIRE(outlay::Context::current().tag("feature") == "chat");
    REQUIRE(outlay::Context::current().tag("user_id") == "bob");
  }
  REQUIRE(outlay::Context::current().tag("user_id") == "alice");
  //! [nested_track]
  REQUIRE(!outlay::Context::current().tag("turn"));
}

TEST_CASE("track: a call keeps the tags of its admission, however late it settles", "[core][track]") {
  const Fixture fixture;
  std::optional<outlay::Call> call;
  {
    outlay::Track track({{"feature", "late"}});
    call.emplace(cent_request());
  }
  call->settle(outlay::Usage{});
  REQUIRE(fixture.ledger.records().back().tags.at("feature") == "late");
}

TEST_CASE("track: keys that are empty, reserved or too long, and too many tags, are refused", "[core][track]") {
  const Fixture fixture;
  using outlay::Track;
  const std::string long_key(129, 'k'), long_value(1025, 'v');
  outlay::Tags many;
  for (int i = 0; i < 33; ++i) many.set("key" + std::to_string(i), "v");
  // The second time, too: what is refused is not remembered as known.
  for (int time = 1; time <= 2; ++time) {
    REQUIRE_THROWS_AS(Track({{"", "x"}}), outlay::ConfigError);
    for (const char* key : {"model", "provider", "budget", "day"})
      REQUIRE_THROWS_AS(Track({{key, "x"}}), outlay::ConfigError);
    REQUIRE_THROWS_AS(Track({{long_key, "x"}}), outlay::ConfigError);
    REQUIRE_THROWS_AS(Track({{"k", long_value}}), outlay::ConfigError);
    REQUIRE_THROWS_AS(Track(many), outlay::ConfigError);
  }
  REQUIRE(outlay::Context::current().tags().empty());
}

TEST_CASE("context: captured on one thread, attached on another, restored afterwards", "[core][context]") {
  const Fixture fixture;
  outlay::Budget budget({.name = "b", .usd = 1_usd});
  outlay::Track track({{"feature", "threads"}});
  const outlay::Context context = outlay::Context::current();
  std::thread([&] {
    if (!outlay::Context::current().empty()) std::abort();
    {
      outlay::Attach attach(context);
      outlay::Track inner({{"worker", "1"}});
      outlay::Call(cent_request()).settle(outlay::Usage{});
    }
    if (!outlay::Context::current().empty()) std::abort();
  }).join();
  REQUIRE(budget.spent().usd == 0.01_usd);
  REQUIRE(fixture.ledger.records().back().tags.at("worker") == "1");
}

TEST_CASE("context: attached within other scopes it replaces them, and they come back", "[core][context]") {
  const Fixture fixture;
  outlay::Context captured;
  {
    outlay::Budget other({.name = "other", .usd = 1_usd});
    captured = outlay::Context::current();
  }
  outlay::Budget budget({.name = "mine", .usd = 1_usd});
  {
    outlay::Attach attach(captured);
    REQUIRE(outlay::Context::current().budgets() == std::vector<std::string>{"other"});
    outlay::Call(cent_request()).settle(outlay::Usage{});
  }
  REQUIRE(outlay::Context::current().budgets() == std::vector<std::string>{"mine"});
  REQUIRE(budget.spent().calls == 0);
}

TEST_CASE("context: a bound function runs in its context with any arguments, as often as it is called",
          "[core][context]") {
  const Fixture fixture;
  int calls = 0;
  const auto bound = [&] {
    outlay::Track track({{"feature", "bound"}});
    return outlay::Context::current().bind([&](int by, const std::string& text) {
      calls += by;
      return text + *outlay::Context::current().tag("feature");
    });
  }();
  REQUIRE(bound(1, "a ") == "a bound");
  REQUIRE(bound(2, "b ") == "b bound");
  REQUIRE(calls == 3);
  REQUIRE(!outlay::Context::current().tag("feature"));
  static_assert(!std::invocable<decltype(bound), int>);
}
