#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;

namespace {

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
    book_cent();
    book_cent();
    CHECK_THROWS_AS(Call(cent_request()), BudgetExceeded);
  }
  CHECK(store->state("user_id:alice", Window::day()).spent.usd == 0.02_usd);
  CHECK(store->state("user_id:bob", Window::day()).spent.usd == 0.02_usd);
  book_cent();  // nobody's
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
    book_cent();
    book_cent();
  }
  Budget global({.name = "global", .usd = 1_usd, .window = Window::day(), .store = store});
  CHECK(global.spent().usd == 0.02_usd);
  Track track({{"plan", "free"}});
  book_cent();
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
    (void)store->adjust({.name = name, .window = Window::day(), .amounts = {.usd = spent}, .create = true});
    Track track(tags);
    const Result<Call> refused = try_call(request(2_usd));
    REQUIRE_FALSE(refused);
    REQUIRE(refused.error().breaches().size() == 1);
    CHECK(refused.error().breaches()[0].budget == name);
    CHECK(refused.error().message().find(name + "\" refused free: this call needs up to $2.00, $1.00 of ") !=
          std::string::npos);
    CHECK(try_call(request(1_usd)));  // an exact hit
    (void)store->adjust({.name = name, .window = Window::day(), .amounts = {.usd = -spent}});
  };
  in_the_way({{"feature", "x"}}, 99_usd, "global");
  in_the_way({{"project", "apollo"}, {"user_id", "alice"}}, 49_usd, "project:apollo");
  in_the_way({{"project", "apollo"}, {"user_id", "a:b \xF0\x9F\x8E\x89"}}, 9_usd, "user_id:a:b \xF0\x9F\x8E\x89");
}

TEST_CASE("rule: records and events name the counters", "[core][rule]") {
  const Fixture fixture;
  Ledger::current().add_rule({.match = {"user_id", "*"}, .usd = 0.02_usd, .notify_at = {0.5}, .store = memory_store()});
  Budget run({.name = "run", .usd = 1_usd});
  Track track({{"user_id", "alice"}});
  book_cent();
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

TEST_CASE("rule: model and provider match, by value, by beginning, and each model for itself", "[core][rule]") {
  const Fixture fixture;
  const auto names = [](std::initializer_list<Rule> rules, const CallRequest& request) {
    Ledger ledger({.prices = testing::fixture_prices()});
    const LedgerScope scope(ledger);
    ledger.set_rules(rules);
    Call(request).settle(Usage{});
    return ledger.records().back().budgets;
  };
  using Names = std::vector<std::string>;
  const CallRequest mini{.model = "gpt-4o-mini", .input_tokens = 1, .max_output_tokens = 1};
  CHECK(names({{.match = {"model", "gpt-4o-mini"}, .calls = 5}}, mini) == Names{"model:gpt-4o-mini"});
  CHECK(names({{.match = {"model", "gpt-4o*"}, .calls = 5}}, mini) == Names{"model:gpt-4o*"});
  CHECK(names({{.match = {"model", "*"}, .calls = 5}}, mini) == Names{"model:gpt-4o-mini"});
  CHECK(names({{.match = {"model", {"gpt-4o", "gpt-4o-mini"}}, .calls = 5}}, mini) ==
        Names{"model:gpt-4o|gpt-4o-mini"});
  CHECK(names({{.match = {"model", "gpt-4o"}, .calls = 5}}, mini).empty());
  CHECK(names({{.match = {"provider", "openai"}, .calls = 5}}, mini) == Names{"provider:openai"});
  CHECK(names({{.match = {"provider", "anthropic"}, .calls = 5}}, mini).empty());
  CHECK(names({{.match = {"provider", "*"}, .calls = 5}}, cent_request()).empty());  // nobody knows whose it is
  const Tag tags[] = {{"user_id", "alice"}};
  const CallRequest hers{.model = "gpt-4o-mini", .input_tokens = 1, .max_output_tokens = 1, .tags = tags};
  CHECK(names({{.match = {{"user_id", "*"}, {"model", "gpt-4o*"}}, .calls = 5}}, hers) ==
        Names{"{model:gpt-4o*,user_id:alice}"});
  CHECK(names({{.match = {{"user_id", "bob"}, {"model", "gpt-4o*"}}, .calls = 5}}, hers).empty());
}

TEST_CASE("rule: a call that a policy reroutes leaves the rules of its model and enters those of the other",
          "[core][rule]") {
  for (const bool inside_a_budget : {false, true}) {
    const Fixture fixture;
    Ledger ledger = Ledger::current();
    std::optional<Budget> budget;
    if (inside_a_budget) budget.emplace(BudgetOptions{.name = "run", .usd = 100_usd});
    const std::vector<std::string> run = inside_a_budget ? std::vector<std::string>{"run"} : std::vector<std::string>{};
    const auto with = [&](std::initializer_list<const char*> more) {
      std::vector<std::string> names = run;
      names.insert(names.end(), more.begin(), more.end());
      return names;
    };
    ledger.set_rules(
        {{.match = {"model", "gpt-4o"}, .usd = 0.0125_usd, .on_exceed = Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}}});
    Call(large_request()).settle({.input = 1'000, .output = 1'000});
    CHECK(ledger.records().back().budgets == with({"model:gpt-4o"}));
    Call second(large_request());
    CHECK(second.model() == "gpt-4o-mini");
    second.settle({.input = 1'000, .output = 1'000});
    CHECK(ledger.records().back().budgets == run);
    CHECK(ledger.store()->state("model:gpt-4o", Window::day()).spent.usd == 0.0125_usd);
    CHECK(ledger.downgrades().size() == 1);

    auto both = ledger.rules();
    both.push_back({.match = {"model", "*mini"}});
    CHECK_THROWS_AS(ledger.set_rules(both), ConfigError);  // all or none
    CHECK(ledger.rules().size() == 1);
    both.back() = {.match = {"model", "gpt-4o-mini"}, .calls = 1};
    ledger.set_rules(both);
    Call(large_request()).settle({.input = 1'000, .output = 1'000});
    CHECK(ledger.records().back().budgets == with({"model:gpt-4o-mini"}));
    const Result<Call> refused = try_call(large_request());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().budget() == "model:gpt-4o-mini");
    CHECK(ledger.store()->state("model:gpt-4o-mini", Window::day()).reserved == Amounts{});
  }
}

TEST_CASE("rule: a Clamp leaves out the rule of a model that the call is rerouted from", "[core][rule]") {
  const Fixture fixture;
  Ledger::current().set_rules(
      {{.match = {"model", "gpt-4o"}, .usd = 0.0003_usd, .on_exceed = Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}}});
  const Budget budget({.name = "run", .output_tokens = 600, .on_exceed = Clamp{}});
  const Call call(large_request());
  CHECK(call.model() == "gpt-4o-mini");
  CHECK(call.max_output_tokens() == 600);  // the rule's $0.0003 would pay for 250
}

TEST_CASE("rule: rules that send a call to each other's models end", "[core][rule]") {
  const Fixture fixture;
  Ledger ledger = Ledger::current();
  const auto other = [](const Exceeded& exceeded) {
    return Decision::reroute(exceeded.model() == "gpt-4o" ? "gpt-4o-mini" : "gpt-4o");
  };
  ledger.set_rules({{.match = {"model", "gpt-4o"}, .usd = Usd{}, .on_exceed = Callback{other}},
                    {.match = {"model", "gpt-4o-mini"}, .usd = Usd{}, .on_exceed = Callback{other}}});
  CHECK_FALSE(try_call(large_request()));
}

TEST_CASE("rule: of rules with the same keys the more specific one replaces the general one", "[core][rule]") {
  const Tag tags[] = {{"user_id", "power-7"}, {"team", "a"}};
  const CallRequest request{.model = "cent", .input_tokens = 0, .max_output_tokens = 0, .tags = tags};
  struct Row {
    std::vector<Rule> rules;
    std::vector<std::string> counters;
  };
  const Rule everybody{.match = {"user_id", "*"}, .usd = 10_usd},
      beginning{.match = {"user_id", "power*"}, .usd = 20_usd}, longer{.match = {"user_id", "power-*"}, .usd = 30_usd},
      list{.match = {"user_id", {"power-7", "power-8"}}, .usd = 40_usd},
      one{.match = {"user_id", "power-7"}, .usd = 50_usd};
  Rule also = one, monthly = everybody;
  also.also = true;
  monthly.window = Window::month();
  const Rule team{.match = {"team", "*"}, .usd = 60_usd},
      both{.match = {{"team", "*"}, {"user_id", "*"}}, .usd = 70_usd},
      both_exactly{.match = {{"user_id", "power-7"}, {"team", "a"}}, .usd = 80_usd},
      left{.match = {{"team", "a"}, {"user_id", "*"}}, .usd = 90_usd},
      right{.match = {{"team", "*"}, {"user_id", "power-7"}}, .usd = 95_usd};
  const std::string value = "user_id:power-7";
  const std::vector<Row> table{
      {{everybody}, {value}},
      {{everybody, beginning}, {"user_id:power*"}},
      {{longer, beginning, everybody}, {"user_id:power-*"}},
      {{list, longer}, {"user_id:power-7|power-8"}},
      {{everybody, one, list}, {value}},
      {{one, one}, {value, value}},
      {{beginning, also}, {"user_id:power*", value}},
      {{monthly, one}, {value, value}},
      {{everybody, team}, {value, "team:a"}},
      {{everybody, both}, {value, "{team:a,user_id:power-7}"}},
      {{both, both_exactly}, {"{team:a,user_id:power-7}"}},
      {{left, right}, {"{team:a,user_id:power-7}", "{team:a,user_id:power-7}"}},
      {{both, left}, {"{team:a,user_id:power-7}"}},
  };
  for (std::size_t i = 0; i < table.size(); ++i) {
    INFO("row " << i);
    const Fixture fixture;
    Ledger ledger = Ledger::current();
    ledger.set_rules(table[i].rules);
    Call(request).settle(Usage{});
    CHECK(ledger.records().back().budgets == table[i].counters);
  }
  const Fixture fixture;
  Ledger ledger = Ledger::current();
  ledger.set_rules({everybody, one});
  const CallRequest eleven{.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = 11_usd, .tags = tags};
  CHECK(try_call(eleven));  // of its own fifty
}

TEST_CASE("rule: two rules never share a counter, whatever bytes tags hold", "[core][rule]") {
  const Fixture fixture;
  Ledger ledger = Ledger::current();
  using Tagged = std::vector<Tag>;
  const std::vector<Tagged> calls{Tagged{Tag{"team", "a:b"}},   Tagged{Tag{"team:a", "b"}},
                                  Tagged{Tag{"team", "a%3Ab"}}, Tagged{Tag{"{team", "a"}},
                                  Tagged{Tag{"team", "*"}},     Tagged{Tag{"team", "a*"}},
                                  Tagged{Tag{"team", "a|b"}},   Tagged{Tag{"x", "1"}, Tag{"y", "2"}},
                                  Tagged{Tag{"x", "1,y:2"}},    Tagged{Tag{"x", "1,y:2"}, Tag{"y", "2"}}};
  for (const char* key : {"team", "team:a", "{team", "x"}) ledger.add_rule({.match = {key, "*"}, .calls = 100});
  ledger.add_rule({.match = {{"x", "*"}, {"y", "*"}}, .calls = 100});
  ledger.add_rule({.match = {"team", "a*"}, .calls = 100, .also = true});
  ledger.add_rule({.match = {"team", {"a", "b", "a|b"}}, .calls = 100, .also = true});
  std::set<std::string> counters;
  std::size_t counted = 0;
  for (const std::vector<Tag>& tags : calls) {
    CallRequest request = cent_request();
    request.tags = tags;
    Call(request).settle(Usage{});
    const std::vector<std::string> names = ledger.records().back().budgets;
    counters.insert(names.begin(), names.end());
    counted += names.size();
  }
  // Shared by calls of one rule alone: the beginning `a*` by four of them, x=1,y:2 by two.
  CHECK(counters.size() == counted - 3 - 1);
}

TEST_CASE("rule: a call without a tag that a rule requires is refused", "[core][rule]") {
  const Fixture fixture;
  Ledger ledger = Ledger::current();
  ledger.add_rule({.name = "per user", .match = {"user_id", "*"}, .usd = 1_usd, .required = true});
  const Result<Call> refused = try_call(cent_request());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason() == errc::tag_required);
  CHECK(refused.error().message().find("has no tag user_id, which the rule \"per user\" requires") !=
        std::string::npos);
  CHECK(ledger.events().back().action == Action::blocked);
  {
    const Track unnamed({{"user_id", ""}});  // all who send no name would share one cap
    CHECK(try_call(cent_request()).error().reason() == errc::tag_required);
  }
  const Track track({{"user_id", "alice"}});
  CHECK(try_call(cent_request()));
  CHECK_FALSE(ledger.remove_rule("another"));
  CHECK(ledger.remove_rule("per user"));
  CHECK(ledger.rules().empty());
}

TEST_CASE("rule: a ledger that observes lets a call without a required tag through, with one event", "[core][rule]") {
  const Fixture fixture({.observe = true});
  Ledger ledger = Ledger::current();
  ledger.add_rule({.match = {"user_id", "*"}, .usd = 0_usd, .required = true});
  ledger.add_rule({.name = "all", .usd = 0.001_usd});
  CHECK(try_call(cent_request()));
  const std::vector<BudgetEvent> events = ledger.events();
  REQUIRE(events.size() == 1);
  CHECK(events[0].action == Action::observed);
  CHECK(events[0].reason.find("would have been refused: the call to \"cent\" has no tag user_id") != std::string::npos);
}

TEST_CASE("rule: observed, a call that several reasons would refuse outright leaves one event", "[core][rule]") {
  const Fixture fixture({.strict = true, .observe = true});
  Ledger ledger = Ledger::current();
  ledger.add_rule({.match = {"user_id", "*"}, .usd = 1_usd, .required = true});
  ledger.add_rule({.name = "all", .match = {"plan", "*"}, .usd = 1_usd});
  const Track track({{"plan", "free"}});
  CHECK(try_call({.model = "a model without a price"}));  // no user, no input, no price
  REQUIRE(ledger.events().size() == 1);
  CHECK(ledger.events()[0].action == Action::observed);
  CHECK(ledger.events()[0].reason.find("has no tag user_id") != std::string::npos);
  CHECK(try_call({.model = "cent", .tags = {{"plan", "free"}}}));
  CHECK(ledger.events().size() == 2);
}

TEST_CASE("rule: policies and calls in flight are as a budget's", "[core][rule]") {
  const Fixture fixture;
  Ledger ledger = Ledger::current();
  ledger.set_rules({{.match = {"user_id", "*"}, .concurrent = 1},
                    {.match = {"plan", "free"}, .usd = 0.005_usd, .on_exceed = Warn{}}});
  const Track track({{"user_id", "alice"}, {"plan", "free"}});
  Call first(cent_request());  // over the cap of its plan, which only warns
  fixture.clock->advance(std::chrono::hours(24));
  CHECK_FALSE(try_call(cent_request()));
  first.release("done");
  CHECK(try_call(cent_request()));
}

TEST_CASE("rule: what can never match is refused when it is set", "[core][rule]") {
  const Fixture fixture;
  Ledger ledger = Ledger::current();
  for (const Rule& rule : std::vector<Rule>{{.match = {"budget", "x"}, .calls = 1},
                                            {.match = {"day", "*"}, .calls = 1},
                                            {.match = {"model", "gpt*mini"}, .calls = 1},
                                            {.match = {"user_id", "**"}, .calls = 1},
                                            {.match = {"user_id", ""}, .calls = 1},
                                            {.match = {"", "x"}, .calls = 1},
                                            {.match = {"user_id", {"a", "b*"}}, .calls = 1},
                                            {.match = {{"user_id", "a"}, {"user_id", "b"}}, .calls = 1},
                                            {.match = {std::string(300, 'k'), "*"}, .calls = 1},
                                            {.match = {"user_id", "*"}, .calls = 1, .notify_at = {2.0}},
                                            {.match = {"user_id", "*"}}})
    CHECK_THROWS_AS(ledger.add_rule(rule), ConfigError);
  ledger.add_rule({.name = "one", .calls = 1});
  CHECK_THROWS_AS(ledger.add_rule({.name = "one", .calls = 2}), ConfigError);
  CHECK(ledger.rules().size() == 1);
}

TEST_CASE("rule: replaced while calls run, none is judged by half of a set", "[core][rule][stress]") {
  const Fixture fixture;
  Ledger ledger = Ledger::current();
  const auto set = [&](std::int64_t cap) {
    ledger.set_rules({{.match = {"user_id", "*"}, .calls = cap}, {.match = {"team", "*"}, .calls = cap}});
  };
  set(1'000'000);
  std::atomic<bool> stop{false};
  std::thread operator_thread([&] {
    for (int i = 0; i < 1'000; ++i) set(1'000'000 + i);
    stop = true;
  });
  const Track track({{"user_id", "alice"}, {"team", "a"}});
  std::int64_t calls = 0;
  while (!stop) {
    Call(cent_request()).settle(Usage{});
    ++calls;
    REQUIRE(ledger.records().back().budgets.size() == 2);
  }
  operator_thread.join();
  CHECK(ledger.store()->state("user_id:alice", Window::day()).spent.calls == calls);
  CHECK(ledger.store()->state("team:a", Window::day()).spent.calls == calls);
}

TEST_CASE("rule: 1,000 sets of rules in turn under load, and each call is judged by one of them as a whole",
          "[core][rule][stress]") {
  std::mutex mutex;
  std::map<std::vector<std::string>, std::int64_t> booked;  // by the counters
  const Fixture fixture({.max_records = 0});
  Ledger ledger = Ledger::current();
  ledger.on_spend([&](const Record& record) {
    const std::lock_guard lock(mutex);
    ++booked[record.budgets];
  });
  // Two counters with room, two without, one under another name, none.
  const auto both = [](std::int64_t cap) -> std::vector<Rule> {
    return {{.match = {"user_id", "*"}, .calls = cap}, {.match = {"team", "*"}, .calls = cap}};
  };
  const std::vector<std::vector<Rule>> sets{
      both(1'000'000'000), both(1), {{.match = {{"team", "*"}, {"user_id", "*"}}, .usd = 1'000'000_usd}}, {}};
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> judged{0}, admitted{0}, refused{0}, misjudged{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 2; ++t)
    callers.emplace_back([&] {
      const LedgerScope scope(ledger);
      const Track track({{"user_id", "alice"}, {"team", "a"}});
      while (!stop) {
        Result<Call> call = try_call(cent_request());
        if (call) {
          call->settle(Usage{});
          ++admitted;
        } else {
          ++refused;
          misjudged += call.error().breaches().size() != 2 ? 1 : 0;  // of the set without room, both
        }
        ++judged;
        judged.notify_one();
      }
    });
  for (std::size_t i = 0; i < 1'000; ++i) {
    const std::int64_t seen = judged;
    ledger.set_rules(sets[i % sets.size()]);
    for (std::int64_t now = judged; now < seen + 2; now = judged)
      judged.wait(now);  // under each of them calls are judged
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  CHECK(misjudged == 0);
  CHECK(refused > 0);
  const std::vector<std::string> two{"user_id:alice", "team:a"}, one{"{team:a,user_id:alice}"}, none{};
  CHECK(booked[two] + booked[one] + booked[none] == admitted);
  CHECK(booked.size() == 3);  // and no other combination
  for (const char* const name : {"user_id:alice", "team:a"}) {
    const StoreReply::State state = ledger.store()->state(name, Window::day());
    CHECK(state.spent.calls == booked[two]);
    CHECK(state.reserved == Amounts{});
  }
  CHECK(ledger.store()->state(one.front(), Window::day()).spent.calls == booked[one]);
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
  book_cent();
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
