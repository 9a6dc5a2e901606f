#include <cmath>
#include <thread>

#include "unit/core/fixture.hpp"

using namespace outlay_test;

TEST_CASE("budget: a nested call counts in every enclosing budget while it runs and after it settles",
          "[core][budget]") {
  const Fixture fixture;
  //! [nested_budget]
  outlay::Budget run({.name = "run", .usd = 1_usd});
  {
    outlay::Budget answer({.name = "answer", .usd = 0.50_usd});
    outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
    REQUIRE(run.reserved().usd == 0.0125_usd);
    REQUIRE(answer.reserved().usd == 0.0125_usd);
    call.settle({.input = 1'000, .output = 100});
    REQUIRE(answer.spent().usd == 0.0035_usd);
  }
  REQUIRE(run.spent().usd == 0.0035_usd);
  REQUIRE(run.reserved() == outlay::Amounts{});
  //! [nested_budget]
}

TEST_CASE("budget: an exact hit is allowed and the next smallest call is refused", "[core][budget]") {
  const Fixture fixture;
  outlay::Budget budget({.name = "exact", .usd = 0.0125_usd});
  {
    outlay::Call call(large_request());
    call.settle({.input = 1'000, .output = 1'000});
  }
  REQUIRE(budget.state().remaining.usd == 0_usd);
  const auto refused = outlay::try_call({.model = "unit", .input_tokens = 1, .max_output_tokens = 0});
  REQUIRE(!refused);
  REQUIRE(refused.error().requested() == "$0.000001");
  REQUIRE(outlay::try_call({.model = "free", .input_tokens = 1, .max_output_tokens = 5}));
}

TEST_CASE("budget: a cap of $0 refuses everything that costs and nothing that is free", "[core][budget]") {
  const Fixture fixture;
  outlay::Budget budget({.usd = 0_usd});
  REQUIRE(!outlay::try_call(cent_request()));
  REQUIRE(outlay::try_call({.model = "free", .input_tokens = 5, .max_output_tokens = 5}));
}

TEST_CASE("budget: a refused call leaves every budget unchanged", "[core][budget]") {
  const Fixture fixture;
  outlay::Budget outer({.name = "outer", .usd = 0.01_usd});
  outlay::Budget middle({.name = "middle", .tokens = 10'000});
  outlay::Budget inner({.name = "inner", .usd = 5_usd});
  REQUIRE_THROWS_AS(outlay::Call(large_request()), outlay::BudgetExceeded);
  for (const outlay::Budget* budget : {&outer, &middle, &inner}) {
    REQUIRE(budget->spent() == outlay::Amounts{});
    REQUIRE(budget->reserved() == outlay::Amounts{});
  }
}

TEST_CASE("budget: one refusal names every cap in the way with its path and numbers", "[core][budget]") {
  const Fixture fixture;
  outlay::Budget outer({.name = "run", .usd = 0.01_usd, .calls = 1});
  outlay::Call first({.model = "free", .input_tokens = 0, .max_output_tokens = 0});
  outlay::Budget inner({.name = "answer", .tokens = 1'500, .output_tokens = 900});
  const auto refused = outlay::try_call(large_request());
  REQUIRE(!refused);
  const auto breaches = refused.error().breaches();
  REQUIRE(breaches.size() == 4);
  REQUIRE(breaches[0].path == "run/answer");
  REQUIRE(breaches[0].dimension == outlay::Dimension::tokens);
  REQUIRE(breaches[0].limit.count() == 1'500);
  REQUIRE(breaches[0].requested.count() == 2'000);
  REQUIRE(breaches[1].dimension == outlay::Dimension::output_tokens);
  REQUIRE(breaches[2].path == "run");
  REQUIRE(breaches[2].dimension == outlay::Dimension::usd);
  REQUIRE(breaches[2].limit == 0.01_usd);
  REQUIRE(breaches[3].dimension == outlay::Dimension::calls);
  REQUIRE(breaches[3].reserved.count() == 1);
  REQUIRE(refused.error().budget() == "answer");
  const std::string message = refused.error().message();
  for (const char* part :
       {"\"run/answer\" refused gpt-4o", "2000 tokens", "1000 output tokens", "of $0.01 is left", "0 of 1 are left"})
    REQUIRE(message.find(part) != std::string::npos);
}

TEST_CASE("budget: children share what their parent has, and a refusal names the parent", "[core][budget]") {
  const Fixture fixture;
  outlay::Budget root({.name = "root", .tokens = 100});
  std::vector<outlay::Call> running;
  for (const std::int64_t tokens : {70, 30}) {
    outlay::Budget child({.name = "child", .tokens = 90});
    running.emplace_back(outlay::CallRequest{.model = "free", .input_tokens = tokens, .max_output_tokens = 0});
  }
  outlay::Budget child({.name = "child", .tokens = 90});
  const auto refused = outlay::try_call({.model = "free", .input_tokens = 1, .max_output_tokens = 0});
  REQUIRE(!refused);
  REQUIRE(refused.error().breaches().size() == 1);
  REQUIRE(refused.error().breaches()[0].path == "root");
  REQUIRE(child.state().remaining.tokens == 90);  // of its own cap
  REQUIRE(child.remaining() == child.state().remaining);
  REQUIRE(child.reserved() == outlay::Amounts{});
}

TEST_CASE("budget: two dimensions on one budget are checked in one step", "[core][budget]") {
  const Fixture fixture;
  outlay::Budget budget({.usd = 0.00001_usd, .tokens = 1'000});
  // Refused by cost: the tokens stay untouched, so that 1,000 of them fit a free call.
  REQUIRE(!outlay::try_call({.model = "unit", .input_tokens = 100, .max_output_tokens = 0}));
  REQUIRE(outlay::try_call({.model = "free", .input_tokens = 1'000, .max_output_tokens = 0}));
}

TEST_CASE("budget: every dimension caps what it names", "[core][budget]") {
  const Fixture fixture;
  const outlay::CallRequest request{.model = "free", .input_tokens = 10, .max_output_tokens = 20};
  SECTION("tokens") {
    outlay::Budget budget({.tokens = 29});
    REQUIRE(!outlay::try_call(request));
  }
  SECTION("input_tokens") {
    outlay::Budget budget({.input_tokens = 10});
    outlay::Call call(request);
    REQUIRE(outlay::try_call(request).error().dimension() == outlay::Dimension::input_tokens);
  }
  SECTION("output_tokens") {
    outlay::Budget budget({.output_tokens = 39});
    outlay::Call call(request);
    REQUIRE(outlay::try_call(request).error().dimension() == outlay::Dimension::output_tokens);
  }
  SECTION("calls") {
    outlay::Budget budget({.calls = 2});
    {
      outlay::Call call(request), other(request);
    }  // released: they do not count
    outlay::Call call(request), other(request);
    call.settle({.input = 1});
    REQUIRE(outlay::try_call(request).error().dimension() == outlay::Dimension::calls);
    REQUIRE(budget.spent().calls == 1);
  }
  SECTION("concurrent") {
    outlay::Budget budget({.concurrent = 1});
    {
      outlay::Call call(request);
      REQUIRE(outlay::try_call(request).error().dimension() == outlay::Dimension::concurrent);
      REQUIRE(budget.reserved().concurrent == 1);
    }
    outlay::Call call(request);
    call.settle({.input = 1});
    REQUIRE(outlay::try_call(request));
  }
}

TEST_CASE("budget: depth 1 to 64, all charged alike", "[core][budget]") {
  const Fixture fixture;
  std::vector<std::unique_ptr<outlay::Budget>> budgets;
  for (int depth = 1; depth <= 64; ++depth) {
    budgets.push_back(std::make_unique<outlay::Budget>(outlay::BudgetOptions{.usd = 1_usd}));
    outlay::Call call(cent_request());
    call.settle(outlay::Usage{});
  }
  for (std::size_t i = 0; i < budgets.size(); ++i)
    REQUIRE(budgets[i]->spent().usd == 0.01_usd * static_cast<std::int64_t>(64 - i));
  while (!budgets.empty()) budgets.pop_back();
}

TEST_CASE("budget: a call that outlives its scope still counts in it and in those around it", "[core][budget]") {
  const Fixture fixture;
  outlay::Budget outer({.name = "outer", .usd = 1_usd});
  std::optional<outlay::Call> late;
  {
    outlay::Budget inner({.name = "inner", .usd = 0.02_usd});
    late.emplace(large_request());
  }
  REQUIRE(outer.reserved().usd == 0.0125_usd);
  late->settle({.input = 1'000, .output = 1'000});
  REQUIRE(outer.spent().usd == 0.0125_usd);
  REQUIRE(fixture.ledger.records().back().budgets == std::vector<std::string>{"outer", "inner"});
}

TEST_CASE("budget: an exception through scopes leaves nothing reserved and no scope open", "[core][budget]") {
  const Fixture fixture;
  outlay::Budget outer({.name = "outer", .usd = 1_usd});
  REQUIRE_THROWS_AS(([&] {
                      outlay::Budget inner({.usd = 1_usd});
                      outlay::Track track({{"feature", "x"}});
                      outlay::Call call(large_request());
                      throw std::runtime_error("boom");
                    }()),
                    std::runtime_error);
  REQUIRE(outer.reserved() == outlay::Amounts{});
  REQUIRE(outlay::Context::current().budgets() == std::vector<std::string>{"outer"});
}

TEST_CASE("budget: closed out of order, spend still counts in the outer one, and it is reported",
          "[core][budget][misuse]") {
  const Fixture fixture;
  std::string said;
  const auto previous = outlay::set_log_handler([&](outlay::LogLevel, std::string_view text) { said += text; });
  const auto before = outlay::misuse_counts().closed_out_of_order;
  auto outer = std::make_unique<outlay::Budget>(outlay::BudgetOptions{.name = "closed too early", .usd = 1_usd});
  {
    outlay::Budget inner({.name = "inner", .usd = 1_usd});
    outer.reset();
    outlay::Call call(large_request());
    call.settle({.input = 1'000, .output = 1'000});
    REQUIRE(inner.spent().usd == 0.0125_usd);
  }
  outlay::set_log_handler(previous);
  REQUIRE(outlay::Context::current().budgets().empty());
  REQUIRE(outlay::misuse_counts().closed_out_of_order == before + 1);
  REQUIRE(said.find("closed too early") != std::string::npos);
  REQUIRE(fixture.ledger.records().back().budgets == std::vector<std::string>{"closed too early", "inner"});
}

TEST_CASE("budget: raise_cap makes room, is recorded, and half of the new cap is another threshold", "[core][budget]") {
  const Fixture fixture;
  outlay::Budget budget({.name = "month", .usd = 0.02_usd, .notify_at = {0.5}});
  for (int i = 0; i < 2; ++i) outlay::Call(cent_request()).settle(outlay::Usage{});
  REQUIRE(!outlay::try_call(cent_request()));
  budget.raise_cap(0.02_usd, "launch day");
  REQUIRE(budget.limits().usd == 0.04_usd);
  outlay::Call(cent_request()).settle(outlay::Usage{});
  int thresholds = 0;
  bool raised = false;
  for (const auto& event : fixture.ledger.events()) {
    thresholds += event.action == outlay::Action::threshold;
    raised |= event.action == outlay::Action::cap_raised && event.reason == "launch day" && event.budget == "month";
  }
  REQUIRE(thresholds == 2);  // half of two cents, then half of four
  REQUIRE(raised);
  REQUIRE_THROWS_AS(budget.raise_cap(outlay::Dimension::tokens, 5, "no such cap"), outlay::ConfigError);
  REQUIRE_THROWS_AS(budget.raise_cap(0_usd, "nothing"), outlay::ConfigError);
}

TEST_CASE("budget: closed to new calls it refuses all, whatever the policies, and lets running ones settle",
          "[core][budget]") {
  const Fixture fixture;
  outlay::Budget budget({.name = "kill", .usd = 1_usd, .on_exceed = outlay::Warn{}});
  outlay::Call running(large_request());
  {
    outlay::Budget inner({.name = "inner", .usd = 1_usd, .on_exceed = outlay::Warn{}});
    budget.close_to_new_calls("operator said stop");
    const auto refused = outlay::try_call({.model = "free", .input_tokens = 0, .max_output_tokens = 0});
    REQUIRE(!refused);
    REQUIRE(refused.error().reason() == outlay::errc::closed_to_new_calls);
    REQUIRE(refused.error().budget() == "kill");
  }
  REQUIRE(running.settle({.input = 10}).first);
  REQUIRE_THROWS_AS(outlay::Call(large_request()), outlay::BudgetExceeded);
}

TEST_CASE("budget: closing an inner budget to new calls leaves the outer one open", "[core][budget]") {
  const Fixture fixture;
  outlay::Budget outer({.name = "outer", .usd = 1_usd});
  std::optional<outlay::Call> running;
  {
    outlay::Budget inner({.name = "inner", .usd = 1_usd});
    running.emplace(cent_request());
    inner.close_to_new_calls("this one alone");
    REQUIRE(!outlay::try_call(cent_request()));
  }
  REQUIRE(outlay::try_call(cent_request()));
  running->settle(outlay::Usage{});
  REQUIRE(outer.spent().usd == 0.01_usd);
}

TEST_CASE("budget: thresholds fire once each, in order, also when one settle crosses several",
          "[core][budget][threshold]") {
  const Fixture fixture;
  outlay::Budget budget({.name = "t", .usd = 1_usd, .calls = 1'000, .notify_at = {0.25, 0.5, 0.8, 1.0}});
  const auto fired = [&] {
    std::vector<double> fractions;
    for (const auto& event : fixture.ledger.events())
      if (event.action == outlay::Action::threshold) fractions.push_back(event.threshold);
    return fractions;
  };
  for (int i = 0; i < 24; ++i) outlay::Call(cent_request()).settle(outlay::Usage{});
  REQUIRE(fired().empty());
  outlay::Call(cent_request()).settle(outlay::Usage{});
  REQUIRE(fired() == std::vector<double>{0.25});
  outlay::Call big({.model = "unit", .input_tokens = 600'000, .max_output_tokens = 0});
  big.settle({.input = 600'000});
  REQUIRE(fired() == std::vector<double>{0.25, 0.5, 0.8});
  for (int i = 0; i < 15; ++i) outlay::Call(cent_request()).settle(outlay::Usage{});
  REQUIRE(fired() == std::vector<double>{0.25, 0.5, 0.8, 1.0});
}

TEST_CASE("budget: thresholds of small caps are rounded up to the first whole amount", "[core][budget][threshold]") {
  const Fixture fixture;
  outlay::Budget budget({.calls = 3, .notify_at = {0.4}});
  const auto fired = [&] { return fixture.ledger.events().size(); };
  outlay::Call(cent_request()).settle(outlay::Usage{});
  REQUIRE(fired() == 0);  // one of three is a third
  outlay::Call(cent_request()).settle(outlay::Usage{});
  REQUIRE(fired() == 1);
}

TEST_CASE("budget: what makes no sense is refused when it is made, each with its own message",
          "[core][budget][config]") {
  const Fixture fixture;
  using namespace outlay;
  std::vector<std::string> messages;
  const auto refused = [&](BudgetOptions options) {
    try {
      Budget budget(std::move(options));
    } catch (const ConfigError& error) {
      messages.emplace_back(error.what());
      return true;
    }
    return false;
  };
  REQUIRE(refused({}));
  REQUIRE(refused({.usd = -1_usd}));
  REQUIRE(refused({.tokens = 0}));
  REQUIRE(refused({.input_tokens = -1}));
  REQUIRE(refused({.output_tokens = 0}));
  REQUIRE(refused({.calls = 0}));
  REQUIRE(refused({.concurrent = 0}));
  REQUIRE(refused({.name = std::string(129, 'x'), .usd = 1_usd}));
  REQUIRE(refused({.description = std::string(1025, 'x'), .usd = 1_usd}));
  REQUIRE(refused({.usd = 1_usd, .output_reserve = -1}));
  REQUIRE(refused({.usd = 1_usd, .reasoning_reserve = -1}));
  REQUIRE(refused({.usd = 1_usd, .unpriced = Unpriced::assume(0_usd)}));
  REQUIRE(refused({.usd = 1_usd, .notify_at = {0}}));
  REQUIRE(refused({.usd = 1_usd, .notify_at = {1.5}}));
  REQUIRE(refused({.usd = 1_usd, .notify_at = {-0.5}}));
  REQUIRE(refused({.usd = 1_usd, .notify_at = {std::nan("")}}));
  REQUIRE(refused({.usd = 1_usd, .notify_at = {0.5, 0.5}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = Downgrade{{}}}));
  REQUIRE(refused({.tokens = 1, .on_exceed = Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = Downgrade{{{"a", "b"}, {"b", "a"}}}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = Downgrade{{{"gpt-4o", "gpt-4o-mini"}, {"gpt-4o", "unit"}}}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = Downgrade{{{"gpt-4o", "no-such-model"}}}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = Downgrade{{{"", "gpt-4o-mini"}}}}));
  REQUIRE(refused({.calls = 3, .on_exceed = Clamp{}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = Clamp{.min_output_tokens = 0}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = Callback{nullptr}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = Wait{.timeout = std::chrono::nanoseconds(0)}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = {Block{}, Clamp{}}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = {Truncate{}, Block{}}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = {Raise{}, Block{}}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = {Warn{}, Block{}}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = {Wait{}, Wait{}}}));
  REQUIRE(refused({.usd = 1_usd, .on_exceed = std::initializer_list<Policy>{}}));
  std::sort(messages.begin(), messages.end());
  REQUIRE(std::unique(messages.begin(), messages.end()) - messages.begin() >=
          static_cast<std::ptrdiff_t>(messages.size()) - 2);
  REQUIRE(Context::current().budgets().empty());
}

TEST_CASE("budget: a sum that does not fit 64 bits refuses instead of wrapping", "[core][budget][overflow]") {
  const Fixture fixture;
  const outlay::CallRequest huge{.model = "free", .input_tokens = 0, .max_output_tokens = 0, .usd = 1'000'000'000_usd};
  // Nine of them are below 2^63 nano-dollars, ten are not.
  const auto fit = [&](outlay::BudgetOptions options) {
    outlay::Budget budget(std::move(options));
    std::vector<outlay::Call> calls;
    while (auto call = outlay::try_call(huge)) calls.push_back(std::move(*call));
    REQUIRE(budget.reserved().usd == 9'000'000'000_usd);
    calls.clear();
    REQUIRE(budget.reserved() == outlay::Amounts{});
  };
  fit({.usd = outlay::Usd::max()});
  fit({.calls = 100});  // no cap on money, and yet no room beyond what can be counted
}
