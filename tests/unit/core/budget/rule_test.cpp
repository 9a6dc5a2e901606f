#include <cstdlib>

#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;

namespace {

void spend_a_cent() {
  Call call(cent_request());
  call.settle(Usage{});
}

/// An environment variable for one case.
struct Variable {
  Variable(const char* variable, const char* value) : name(variable) { ::setenv(variable, value, 1); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { ::unsetenv(name); }
  const char* name;
};

}  // namespace

TEST_CASE("rule: tags alone bring their caps, a counter for each value", "[core][rule]") {
  const Fixture fixture;
  const auto store = memory_store();
  Ledger::current().add_rule({.match = {"user_id", "*"}, .usd = 0.02_usd, .store = store});
  for (const char* user : {"alice", "bob"}) {
    Track track({{"user_id", user}});
    spend_a_cent();
    spend_a_cent();
    CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);
  }
  CHECK(store->state("user_id:alice", Window::day()).spent.usd == 0.02_usd);
  CHECK(store->state("user_id:bob", Window::day()).spent.usd == 0.02_usd);
  spend_a_cent();  // nobody's
}

TEST_CASE("rule: the tags of a call count, and win over those around it", "[core][rule]") {
  const Fixture fixture;
  const auto store = memory_store();
  Ledger::current().add_rule({.match = {"user_id", "*"}, .calls = 10, .store = store});
  Track track({{"user_id", "alice"}});
  const Tag own[] = {{"user_id", "bob"}};
  CallRequest request = cent_request();
  request.tags = own;
  Call call(request);
  call.settle(Usage{});
  CHECK(store->state("user_id:bob", Window::day()).spent.calls == 1);
  CHECK(store->state("user_id:alice", Window::day()).spent.calls == 0);
}

TEST_CASE("rule: one value, every call, and budgets of the same name share a counter", "[core][rule]") {
  const Fixture fixture;
  const auto store = memory_store();
  Ledger::current().add_rule({.match = {"plan", "free"}, .usd = 0.01_usd, .store = store});
  Ledger::current().add_rule({.usd = 0.03_usd, .store = store});
  {
    Track track({{"plan", "paid"}});
    spend_a_cent();
    spend_a_cent();
  }
  Budget global({.name = "global", .usd = 1_usd, .window = Window::day(), .store = store});
  CHECK(global.spent().usd == 0.02_usd);
  Track track({{"plan", "free"}});
  spend_a_cent();
  const Result<Call> refused = try_call(cent_request());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().breaches().size() >= 2);  // plan:free and global
  CHECK(global.spent().usd == 0.03_usd);
}

TEST_CASE("rule: a refusal names the level that is in the way, its value and the numbers", "[core][rule]") {
  const Fixture fixture;
  const auto store = memory_store();
  Ledger ledger = Ledger::current();
  ledger.add_rule({.usd = 100_usd, .store = store});
  ledger.add_rule({.match = {"project", "*"}, .usd = 50_usd, .store = store});
  ledger.add_rule({.match = {"user_id", "*"}, .usd = 10_usd, .store = store});
  const auto request = [](Usd usd) {
    return CallRequest{.model = "free", .input_tokens = 0, .max_output_tokens = 0, .usd = usd};
  };
  const auto in_the_way = [&](std::initializer_list<Tag> tags, Usd spent, const std::string& name) {
    (void)store->adjust(name, Window::day(), spent, "as if it were spent");
    Track track(tags);
    const Result<Call> refused = try_call(request(2_usd));
    REQUIRE_FALSE(refused);
    REQUIRE(refused.error().breaches().size() == 1);
    CHECK(refused.error().breaches()[0].budget == name);
    CHECK(refused.error().message().find(name + "\" refused free: this call needs up to $2.00, $1.00 of ") !=
          std::string::npos);
    CHECK(try_call(request(1_usd)));  // an exact hit
    (void)store->adjust(name, Window::day(), -spent, "and back");
  };
  in_the_way({{"feature", "x"}}, 99_usd, "global");
  in_the_way({{"project", "apollo"}, {"user_id", "alice"}}, 49_usd, "project:apollo");
  in_the_way({{"project", "apollo"}, {"user_id", "a:b \xF0\x9F\x8E\x89"}}, 9_usd, "user_id:a:b \xF0\x9F\x8E\x89");
}

TEST_CASE("rule: records and events name the counters", "[core][rule]") {
  const Fixture fixture;
  Ledger::current().add_rule({.match = {"user_id", "*"}, .usd = 0.02_usd, .soft = {0.5}, .store = memory_store()});
  Budget run({.name = "run", .usd = 1_usd});
  Track track({{"user_id", "alice"}});
  spend_a_cent();
  CHECK(fixture.ledger.records().at(0).budgets == std::vector<std::string>{"run", "user_id:alice"});
  const BudgetEvent event = fixture.ledger.events().at(0);
  CHECK(event.action == Action::threshold);
  CHECK(event.budget == "user_id:alice");
  CHECK(run.spent().usd == 0.01_usd);
}

TEST_CASE("rule: one that cannot be kept is refused", "[core][rule]") {
  const Fixture fixture;
  Ledger ledger = Ledger::current();
  CHECK_THROWS_AS(ledger.add_rule({.match = {"user_id", "*"}}), ConfigError);
  CHECK_THROWS_AS(ledger.add_rule({.match = {"user_id", ""}, .calls = 1}), ConfigError);
  CHECK_THROWS_AS(ledger.add_rule({.calls = 1, .window = Window::scope()}), ConfigError);
  const auto store = memory_store();
  ledger.add_rule({.match = {"user_id", "*"}, .calls = 1, .store = store});
  {
    const std::string longest(201, 'x');
    Track track({{"user_id", longest}});
    CHECK_THROWS_AS(Call(cent_request()), ConfigError);
  }
  const std::string long_key(126, 'k'), long_value(130, 'v');
  ledger.add_rule({.match = {long_key, "*"}, .calls = 1, .store = store});
  {
    Track track({{long_key, long_value}});
    CHECK_THROWS_AS(Call(cent_request()), ConfigError);
  }
  Track track({{"user_id", "alice"}});
  Budget other({.name = "elsewhere", .calls = 5, .window = Window::day(), .store = memory_store()});
  CHECK_THROWS_AS(Call(cent_request()), ConfigError);
  CHECK(other.reserved() == Amounts{});
}

TEST_CASE("rule: two that may meet in one call count in one store", "[core][rule]") {
  const Fixture fixture;
  Ledger ledger = Ledger::current();
  const auto store = memory_store();
  ledger.add_rule({.match = {"user_id", "alice"}, .calls = 1, .store = store});
  CHECK_THROWS_AS(ledger.add_rule({.match = {"user_id", "*"}, .calls = 1}), ConfigError);
  CHECK_THROWS_AS(ledger.add_rule({.match = {"user_id", "alice"}, .calls = 1, .store = memory_store()}), ConfigError);
  CHECK_THROWS_AS(ledger.add_rule({.match = {"feature", "x"}, .calls = 1}), ConfigError);
  CHECK_THROWS_AS(ledger.add_rule({.calls = 1}), ConfigError);
  ledger.add_rule({.match = {"user_id", "bob"}, .calls = 1});  // no call has two values of one tag
  Ledger another({.prices = testing::fixture_prices()});
  another.add_rule({.match = {"user_id", "*"}, .calls = 1, .store = another.store()});
  another.add_rule({.calls = 1});  // the same store, named or not
}

TEST_CASE("rule: the environment brings the common ones", "[core][rule]") {
  const Fixture fixture;
  const auto store = memory_store();
  CHECK(Ledger::current().add_rules_from_environment(store) == 0);
  const Variable user("OUTLAY_DAILY_USER_USD", "0.01");
  const Variable everyone("OUTLAY_DAILY_GLOBAL_USD", "5");
  const Variable unset("OUTLAY_DAILY_PROJECT_USD", "");
  CHECK(Ledger::current().add_rules_from_environment(store) == 2);
  Track track({{"user_id", "alice"}});
  spend_a_cent();
  CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);
  CHECK(store->state("global", Window::day()).spent.usd == 0.01_usd);
  const Variable wrong("OUTLAY_DAILY_PROJECT_USD", "a lot");
  CHECK_THROWS_AS(Ledger::current().add_rules_from_environment(store), ConfigError);
}

TEST_CASE("rule: of a tag that a call has twice, the counter is that of the one in its record", "[core][rule]") {
  const Fixture fixture;
  const auto store = memory_store();
  Ledger::current().add_rule({.match = {"user_id", "*"}, .calls = 10, .store = store});
  const Tag own[] = {{"user_id", "bob"}, {"user_id", "carol"}};
  CallRequest request = cent_request();
  request.tags = own;
  Call call(request);
  call.settle(Usage{});
  const std::string recorded = fixture.ledger.records().at(0).tags.at("user_id");
  CHECK(store->state("user_id:" + recorded, Window::day()).spent.calls == 1);
}
