#include <stdexcept>

#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;

namespace {

const Downgrade to_mini{{{"gpt-4o", "gpt-4o-mini"}}};

}  // namespace

TEST_CASE("policy: block refuses before anything is sent, with an event", "[core][policy]") {
  const Fixture fixture;
  Budget budget({.name = "b", .description = "for tests", .usd = 0.01_usd});
  Track track({{"feature", "x"}});
  REQUIRE_THROWS_AS(Call(large_request()), BudgetExceeded);
  const auto events = fixture.ledger.events();
  REQUIRE(events.size() == 1);
  REQUIRE(events[0].action == Action::blocked);
  REQUIRE(events[0].budget == "b");
  REQUIRE(events[0].description == "for tests");
  REQUIRE(events[0].model == "gpt-4o");
  REQUIRE(events[0].projected == (0.0125_usd).nanos());
  REQUIRE(events[0].cap == (0.01_usd).nanos());
  REQUIRE(events[0].tags.at("feature") == "x");
  REQUIRE(events[0].call_id != 0);
  REQUIRE(outlay::report({"feature"}).at(0).blocked_calls == 1);
}

TEST_CASE("policy: block judges a call without a ceiling by the output reserve", "[core][policy]") {
  const Fixture fixture;
  const CallRequest open{.model = "gpt-4o", .input_tokens = 1'000};
  {
    Budget budget({.usd = 0.01_usd});
    Call first(open);
    REQUIRE(first.reserved().usd == 0.00506_usd);
    first.settle({.input = 1'000, .output = 500});
    const auto refused = try_call(open);
    REQUIRE(!refused);
    REQUIRE(refused.error().spent() == "$0.0075");
    REQUIRE(refused.error().remaining() == "$0.0025");
    REQUIRE(refused.error().requested() == "$0.0075");  // as much as the model wrote before
  }
  Budget budget({.usd = 0.50_usd, .output_reserve = 100'000});
  const auto refused = try_call(open);
  REQUIRE(!refused);
  REQUIRE(refused.error().requested() == "$1.0025");
}

TEST_CASE("policy: downgrade reroutes to the first model along the map that is cheaper and fits", "[core][policy]") {
  const Fixture fixture;
  Budget budget({.usd = 0.0008_usd, .on_exceed = Downgrade{{{"gpt-4o", "unit"}, {"unit", "gpt-4o-mini"}}}});
  Call call(large_request());  // unit would be $0.002: cheaper, but it does not fit
  REQUIRE(call.model() == "gpt-4o-mini");
  REQUIRE(call.requested_model() == "gpt-4o");
  REQUIRE(actions(fixture.ledger) == std::vector{Action::downgraded});
  REQUIRE(fixture.ledger.downgrades()[0].new_model == "gpt-4o-mini");
  REQUIRE(fixture.ledger.downgrades()[0].model == "gpt-4o");
}

TEST_CASE("policy: a refusal after a reroute names the model that was refused, and the one that was asked for",
          "[core][policy]") {
  const Fixture fixture;
  const auto says = [](const outlay::Failure& failure, const std::string& what) {
    const bool there = failure.message().find(what) != std::string::npos;
    if (!there) UNSCOPED_INFO(failure.message());
    return there;
  };
  const Policies reroutes[] = {
      to_mini, {to_mini, Clamp{}}, Callback{[](const Exceeded&) { return Decision::reroute("gpt-4o-mini"); }}};
  for (const Policies& reroute : reroutes) {
    Budget outer({.name = "run", .usd = 0.0001_usd});
    Budget inner({.name = "answer", .usd = 0.01_usd, .on_exceed = reroute});
    const auto refused = try_call(large_request());
    REQUIRE(!refused);
    // What mini would need, and not gpt-4o.
    REQUIRE(says(refused.error(),
                 "budget \"run\" refused gpt-4o-mini (rerouted from gpt-4o): this call needs up to "
                 "$0.00075, $0.0001 of $0.0001 is left."));
    REQUIRE(refused.error().model() == "gpt-4o");
    REQUIRE(fixture.ledger.events().back().model == "gpt-4o-mini");
  }
  {
    Budget outer({.name = "run", .usd = 0.001_usd, .on_exceed = Raise{}});
    Budget inner({.name = "answer", .usd = 0.01_usd, .on_exceed = to_mini});
    Call call(large_request());
    REQUIRE(call.model() == "gpt-4o-mini");
    try {
      call.settle({.input = 1'000, .output = 2'000});
      FAIL("the settle did not throw");
    } catch (const outlay::BudgetExceeded& crossed) {
      REQUIRE(says(crossed.failure(), "is over its cap after gpt-4o-mini (rerouted from gpt-4o): $0.00135 of $0.001"));
      REQUIRE(crossed.model() == "gpt-4o");
    }
  }
  // A model that no policy has changed is named once.
  Budget budget({.name = "answer", .usd = 0.0001_usd, .on_exceed = to_mini});
  const auto refused = try_call(large_request());
  REQUIRE(!refused);
  REQUIRE(says(refused.error(), "refused gpt-4o: this call needs up to $0.0125"));
}

TEST_CASE("policy: downgrade reroutes call after call, for as long as the cheap price fits", "[core][policy]") {
  const Fixture fixture;
  Budget budget({.usd = 0.001_usd, .on_exceed = to_mini});
  int ran = 0;
  for (int i = 0; i < 3; ++i)
    if (auto call = try_call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 500})) {
      REQUIRE(call->model() == "gpt-4o-mini");
      call->settle({.input = 1'000, .output = 500});
      ++ran;
    }
  REQUIRE(ran == 2);
  REQUIRE(fixture.ledger.downgrades().size() == 2);
  REQUIRE(budget.spent().usd == 0.0009_usd);
}

TEST_CASE("policy: downgrade is checked again at the cheap price and refuses what still does not fit",
          "[core][policy]") {
  const Fixture fixture;
  Budget budget({.usd = 0.001_usd, .on_exceed = to_mini});
  int ran = 0;
  for (int i = 0; i < 3; ++i)
    if (auto call = try_call({.model = "gpt-4o", .input_tokens = 100'000, .max_output_tokens = 100'000})) ++ran;
  REQUIRE(ran == 0);
  REQUIRE(budget.spent().usd == 0_usd);
}

TEST_CASE("policy: downgrade leaves a call alone where tokens are in the way, or the model is not in the map",
          "[core][policy]") {
  const Fixture fixture;
  Budget budget({.usd = 1_usd, .tokens = 100, .on_exceed = to_mini});
  REQUIRE(!try_call(large_request()));
  REQUIRE(!try_call({.model = "unit", .input_tokens = 1'000, .max_output_tokens = 1'000}));
  REQUIRE(fixture.ledger.downgrades().empty());
}

TEST_CASE("policy: an inner downgrade never hides an outer cap", "[core][policy]") {
  const Fixture fixture;
  Budget outer({.name = "outer", .usd = 0.0001_usd});
  Budget inner({.name = "inner", .usd = 0.001_usd, .on_exceed = to_mini});
  const auto refused = try_call(large_request());
  REQUIRE(!refused);
  REQUIRE(refused.error().budget() == "outer");
  REQUIRE(outer.spent().usd == 0_usd);
}

TEST_CASE("policy: an outer downgrade reroutes for its own cap, and the inner budget sees the cheap call",
          "[core][policy]") {
  const Fixture fixture;
  Budget outer({.usd = 0.01_usd, .on_exceed = to_mini});
  Budget inner({.usd = 1_usd});
  Call call(large_request());
  REQUIRE(call.model() == "gpt-4o-mini");
  REQUIRE(inner.reserved().usd == 0.00075_usd);
}

TEST_CASE("policy: clamp sets the largest ceiling that fits the tightest enforcing budget", "[core][policy]") {
  const Fixture fixture;
  SECTION("by tokens, for an enclosing budget that blocks") {
    Budget outer({.tokens = 1'500});
    Budget inner({.tokens = 9'000, .on_exceed = Clamp{}});
    REQUIRE(Call(large_request()).max_output_tokens() == 500);
    const auto clamp = fixture.ledger.clamps().at(0);
    REQUIRE(clamp.max_output_tokens == 500);
    REQUIRE(clamp.cap == 1'500);
  }
  SECTION("by money, to the token") {
    Budget budget({.usd = 0.01_usd, .on_exceed = Clamp{}});
    Call call(large_request());  // $0.0025 in leaves $0.0075 for output at $10 a million
    REQUIRE(call.max_output_tokens() == 750);
    REQUIRE(budget.reserved().usd == 0.01_usd);
  }
  SECTION("by output tokens, over all choices") {
    Budget budget({.output_tokens = 301, .on_exceed = Clamp{}});
    Call call({.model = "gpt-4o", .input_tokens = 1, .max_output_tokens = 1'000, .choices = 3});
    REQUIRE(call.max_output_tokens() == 100);
  }
  SECTION("leaving a tighter ceiling of the caller alone") {
    Budget budget({.tokens = 4'000, .on_exceed = Clamp{}});
    REQUIRE(Call({.model = "gpt-4o", .input_tokens = 10, .max_output_tokens = 4}).max_output_tokens() == 4);
    REQUIRE(fixture.ledger.clamps().empty());
  }
  SECTION("handing on below the minimum, or where the input alone does not fit") {
    Budget budget({.tokens = 1'010, .on_exceed = Clamp{.min_output_tokens = 16}});
    REQUIRE(!try_call(large_request()));
    REQUIRE(!try_call({.model = "gpt-4o", .input_tokens = 2'000, .max_output_tokens = 10}));
    REQUIRE(try_call({.model = "gpt-4o", .input_tokens = 994, .max_output_tokens = 500}));
  }
  SECTION("handing on where the provider cannot be told") {
    Budget budget({.tokens = 1'500, .on_exceed = Clamp{}});
    CallRequest request = large_request();
    request.fixed_ceiling = true;
    REQUIRE(!try_call(request));
    request.fixed_ceiling = false;
    request.min_output_tokens = 501;
    REQUIRE(!try_call(request));
    request.min_output_tokens = 500;
    REQUIRE(try_call(request));
  }
  SECTION("successive calls get less") {
    Budget budget({.tokens = 1'000, .on_exceed = Clamp{}});
    Call first({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 5'000});
    REQUIRE(first.max_output_tokens() == 900);
    first.settle({.input = 100, .output = 850});
    Call second({.model = "gpt-4o", .input_tokens = 10, .max_output_tokens = 5'000});
    REQUIRE(second.max_output_tokens() == 40);
    REQUIRE(fixture.ledger.clamps().size() == 2);
  }
}

TEST_CASE("policy: a request without a ceiling gets the largest that fits every enforcing budget", "[core][policy]") {
  const Fixture fixture;
  const CallRequest open{.model = "gpt-4o", .input_tokens = 1'000};
  SECTION("by money, to the token, as an event with the numbers") {
    Budget budget({.name = "c", .usd = 0.05_usd, .on_exceed = Clamp{}});
    Call call(open);  // $0.0025 in leaves $0.0475 for output at $10 a million
    REQUIRE(call.max_output_tokens() == 4'750);
    REQUIRE(budget.reserved().usd == 0.05_usd);
    REQUIRE(fixture.ledger.unbounded_calls() == 0);
    const auto clamp = fixture.ledger.clamps().at(0);
    REQUIRE(clamp.budget == "c");
    REQUIRE(clamp.max_output_tokens == 4'750);
    REQUIRE(clamp.dimension == Dimension::usd);
    REQUIRE(clamp.cap == (0.05_usd).nanos());
  }
  SECTION("at most the model's maximum, which is no clamp") {
    Budget budget({.usd = 10_usd, .on_exceed = Clamp{}});
    REQUIRE(Call(open).max_output_tokens() == 16'384);
    REQUIRE(fixture.ledger.clamps().empty());
  }
  SECTION("at most Clamp::max_output_tokens, which leaves a fitting ceiling of the caller alone") {
    Budget budget({.usd = 10_usd, .on_exceed = Clamp{.max_output_tokens = 1'000}});
    REQUIRE(Call(open).max_output_tokens() == 1'000);
    REQUIRE(fixture.ledger.clamps().size() == 1);
    REQUIRE(Call({.model = "gpt-4o", .input_tokens = 1, .max_output_tokens = 5'000}).max_output_tokens() == 5'000);
  }
  SECTION("over all choices, and of an enclosing budget") {
    Budget outer({.output_tokens = 3'001});
    Budget inner({.usd = 10_usd, .on_exceed = Clamp{}});
    REQUIRE(Call({.model = "gpt-4o", .input_tokens = 1, .choices = 3}).max_output_tokens() == 1'000);
  }
  SECTION("not bounded by a budget whose first policy lets calls through") {
    set_log_handler([](LogLevel, std::string_view) {});
    Budget outer({.output_tokens = 300, .on_exceed = Warn{}});
    Budget inner({.usd = 0.05_usd, .on_exceed = Clamp{}});
    REQUIRE(Call(open).max_output_tokens() == 4'750);
    set_log_handler({});
  }
  SECTION("never below the reserve: where that does not fit, the chain speaks in its order") {
    Budget budget({.usd = 0.004_usd, .on_exceed = {to_mini, Clamp{}}});
    Call call(open);  // 256 tokens out are $0.00256 beside $0.0025 in
    REQUIRE(call.model() == "gpt-4o-mini");
    REQUIRE(call.max_output_tokens() == 6'416);  // $0.00385 beside $0.00015
  }
  SECTION("and clamped below the reserve where nothing else helps") {
    Budget budget({.usd = 0.004_usd, .on_exceed = Clamp{}});
    REQUIRE(Call(open).max_output_tokens() == 150);
  }
  SECTION("left without one where the provider cannot be told") {
    Budget budget({.usd = 1_usd, .on_exceed = Clamp{}});
    Call call({.model = "gpt-4o", .input_tokens = 1'000, .fixed_ceiling = true});
    REQUIRE(!call.max_output_tokens());
    REQUIRE(call.reserved().output_tokens == 256);
  }
}

TEST_CASE("policy: an inner clamp and an outer clamp agree on the tightest", "[core][policy]") {
  const Fixture fixture;
  Budget outer({.tokens = 108, .on_exceed = Clamp{}});
  Budget inner({.tokens = 5'008, .on_exceed = Clamp{}});
  REQUIRE(Call({.model = "gpt-4o", .input_tokens = 8, .max_output_tokens = 9'000}).max_output_tokens() == 100);
}

TEST_CASE("policy: a chain tries each in turn: downgrade and clamp together", "[core][policy]") {
  const Fixture fixture;
  Budget budget({.usd = 0.0006_usd, .on_exceed = {to_mini, Clamp{}, Block{}}});
  // mini at 1,000 out is $0.00075: it does not fit, so the original is handed on, and clamped it does not fit either.
  REQUIRE(!try_call(large_request()));
  Call call({.model = "gpt-4o-mini", .input_tokens = 1'000, .max_output_tokens = 1'000});
  REQUIRE(call.model() == "gpt-4o-mini");
  REQUIRE(call.max_output_tokens() == 750);
}

TEST_CASE("policy: truncate yields nothing from run, quietly, whatever the function does with the exception",
          "[core][policy][run]") {
  const Fixture fixture;
  const BudgetOptions options{.usd = 0.01_usd, .on_exceed = Truncate{}};
  int before = 0, after = 0;
  const std::optional<int> result = outlay::run(options, [&] {
    ++before;
    Call call(large_request());
    ++after;
    return 42;
  });
  REQUIRE(!result);
  REQUIRE(before == 1);
  REQUIRE(after == 0);
  REQUIRE(!outlay::run(options, [] {
    try {
      Call call(large_request());
    } catch (...) {
    }
    return 7;
  }));
  REQUIRE(!outlay::run(options, [] { static_cast<void>(try_call(large_request())); }));
  REQUIRE(outlay::run(options, [] { return 7; }) == 7);
  REQUIRE(outlay::run(options, [] {}));
  REQUIRE(actions(fixture.ledger) == std::vector{Action::truncated, Action::truncated, Action::truncated});
}

TEST_CASE("policy: truncate spends what ran before it", "[core][policy][run]") {
  const Fixture fixture;
  Budget outer({.usd = 1_usd});
  const auto result = outlay::run({.usd = 0.02_usd, .on_exceed = Truncate{}}, [] {
    for (;;) outlay::Call(cent_request()).settle(Usage{});
  });
  REQUIRE(!result);
  REQUIRE(outer.spent().usd == 0.02_usd);
}

TEST_CASE("policy: run passes on the refusal of another budget", "[core][policy][run]") {
  const Fixture fixture;
  Budget outer({.name = "outer", .usd = 0.01_usd});
  REQUIRE_THROWS_AS(outlay::run({.usd = 1_usd, .on_exceed = Truncate{}}, [] { Call call(large_request()); }),
                    BudgetExceeded);
  Budget truncating({.name = "truncating", .usd = 0.005_usd, .on_exceed = Truncate{}});
  try {
    static_cast<void>(outlay::run({.usd = 1_usd}, [] { Call call(large_request()); }));
    FAIL("ran");
  } catch (const BudgetExceeded& error) {
    REQUIRE(error.reason() == errc::truncated);
    REQUIRE(error.budget() == "truncating");
  }
}

TEST_CASE("policy: budgeted opens a fresh budget each time the function is called", "[core][policy][run]") {
  const Fixture fixture;
  const auto twice = outlay::budgeted({.usd = 0.02_usd, .on_exceed = Truncate{}}, [](int calls) {
    for (int i = 0; i < calls; ++i) outlay::Call(cent_request()).settle(Usage{});
    return calls;
  });
  REQUIRE(twice(2) == 2);
  REQUIRE(twice(2) == 2);
  REQUIRE(!twice(3));
}

TEST_CASE("policy: raise lets one call cross, keeps it booked, and refuses the next", "[core][policy]") {
  const Fixture fixture;
  Budget outer({.usd = 1_usd});
  Budget budget({.name = "r", .usd = 0.01_usd, .on_exceed = Raise{}});
  Call first({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 500});
  first.settle({.input = 1'000, .output = 500});
  Call second({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 500});  // $0.0075 + $0.0075
  try {
    second.settle({.input = 1'000, .output = 500});
    FAIL("did not throw");
  } catch (const BudgetExceeded& error) {
    REQUIRE(error.budget() == "r");
    REQUIRE(error.spent() == "$0.015");
  }
  REQUIRE(budget.spent().usd == 0.015_usd);
  REQUIRE(outer.spent().usd == 0.015_usd);
  REQUIRE(fixture.ledger.records().size() == 2);
  REQUIRE(!try_call(cent_request()));
  REQUIRE(actions(fixture.ledger) == std::vector{Action::raised, Action::blocked});
}

TEST_CASE("policy: raise by tokens says how many were used and how many may be", "[core][policy]") {
  const Fixture fixture;
  Budget budget({.name = "r", .tokens = 2'000, .on_exceed = Raise{}});
  const CallRequest request{.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 500};
  Call(request).settle({.input = 1'000, .output = 500});
  Call second(request);
  try {
    second.settle({.input = 1'000, .output = 500});
    FAIL("did not throw");
  } catch (const BudgetExceeded& error) {
    REQUIRE(error.dimension() == Dimension::tokens);
    REQUIRE(error.breaches().size() == 1);
    REQUIRE(error.breaches()[0].spent.count() == 3'000);
    REQUIRE(error.breaches()[0].limit.count() == 2'000);
    const std::string text = error.what();
    REQUIRE(text.find("budget \"r\" is over its cap after gpt-4o") != std::string::npos);
    REQUIRE(text.find("3000 of 2000 tokens are spent, 1500 by this call") != std::string::npos);
  }
}

TEST_CASE("policy: under raise at most one call crosses, even among calls in flight", "[core][policy]") {
  const Fixture fixture;
  Budget budget({.usd = 0.02_usd, .on_exceed = Raise{}});
  std::vector<Call> calls;
  for (int i = 0; i < 10; ++i)
    if (auto call = try_call(large_request())) calls.push_back(std::move(*call));
  REQUIRE(calls.size() == 2);
}

TEST_CASE("policy: try_settle never throws, over a raise cap either", "[core][policy]") {
  const Fixture fixture;
  Budget budget({.usd = 0.01_usd, .on_exceed = Raise{}});
  Call call(large_request());
  const auto settled = call.try_settle({.usage = {.input = 1'000, .output = 1'000}});
  REQUIRE(settled);
  REQUIRE(settled->usd == 0.0125_usd);
}

TEST_CASE("policy: a callback is asked about a stream once, however often it needs more room",
          "[core][policy][callback]") {
  const Fixture fixture;
  const auto asked_with = [&](const Decision& answer) {
    int asked = 0;
    Budget budget({.output_tokens = 300, .on_exceed = Callback{[&](const Exceeded& e) {
                                           CHECK(e.streaming());
                                           ++asked;
                                           return answer;
                                         }}});
    {
      Call call({.model = "gpt-4o", .input_tokens = 0});
      const auto goes_on = answer.kind() == Decision::Kind::allow ? Extension::granted : Extension::cut;
      CHECK(call.extend_output(400).extension == goes_on);
      CHECK(call.extend_output(500).extension == goes_on);
      CHECK(call.extend_output(600).extension == goes_on);
      CHECK(asked == 1);
    }
    Call another({.model = "gpt-4o", .input_tokens = 0, .max_output_tokens = 0});
    (void)another.extend_output(1'000);
    return asked;
  };
  CHECK(asked_with(Decision::allow()) == 2);  // the next stream is another
  CHECK(asked_with(Decision::next()) == 2);
  CHECK(asked_with(Decision::block()) == 2);
}

TEST_CASE("policy: a callback is asked once for each model and ceiling, and its word decides",
          "[core][policy][callback]") {
  const Fixture fixture;
  int asked = 0;
  const auto with = [&](auto&& decide) {
    return BudgetOptions{.name = "c", .usd = 0.01_usd, .on_exceed = Callback{[&asked, decide](const Exceeded& e) {
                                                         ++asked;
                                                         return decide(e);
                                                       }}};
  };
  SECTION("reroute") {
    Budget budget(with([](const Exceeded& e) {
      return e.model() == "gpt-4o" ? Decision::reroute("gpt-4o-mini") : Decision::block();
    }));
    REQUIRE(Call(large_request()).model() == "gpt-4o-mini");
    REQUIRE(asked == 1);
  }
  SECTION("clamp") {
    Budget budget(with([](const Exceeded&) { return Decision::clamp(100); }));
    REQUIRE(Call(large_request()).max_output_tokens() == 100);
  }
  SECTION("a clamp that does not help asks once more, then blocks") {
    Budget budget(with([](const Exceeded&) { return Decision::clamp(900); }));
    REQUIRE(!try_call(large_request()));
    REQUIRE(asked == 2);
  }
  SECTION("allow") {
    Budget budget(with([](const Exceeded& e) {
      REQUIRE(e.breaches().size() == 1);
      REQUIRE(e.requested() == "$0.0125");
      return Decision::allow();
    }));
    Call call(large_request());
    REQUIRE(budget.reserved().usd == 0.0125_usd);
    REQUIRE(actions(fixture.ledger) == std::vector{Action::allowed});
  }
  SECTION("truncate") {
    Budget budget(with([](const Exceeded&) { return Decision::truncate(); }));
    REQUIRE(try_call(large_request()).error().reason() == errc::truncated);
  }
  SECTION("next") {
    Budget budget({.usd = 0.01_usd,
                   .on_exceed = {Callback{[&](const Exceeded&) {
                                   ++asked;
                                   return Decision::next();
                                 }},
                                 Clamp{}}});
    REQUIRE(Call(large_request()).max_output_tokens() == 750);
    REQUIRE(asked == 1);
  }
  SECTION("one that throws blocks") {
    set_log_handler([](LogLevel, std::string_view) {});
    Budget budget(with([](const Exceeded&) -> Decision { throw std::runtime_error("no"); }));
    REQUIRE(!try_call(large_request()));
    set_log_handler({});
  }
  SECTION("a circle of reroutes ends") {
    Budget budget({.usd = 0.0001_usd, .on_exceed = Callback{[&](const Exceeded& e) {
                                        ++asked;
                                        return Decision::reroute(e.model() == "gpt-4o" ? "unit" : "gpt-4o");
                                      }}});
    REQUIRE(!try_call(large_request()));
    REQUIRE(asked == 2);
  }
  SECTION("a model without a price is refused") {
    Budget budget(with([](const Exceeded&) { return Decision::reroute("mystery"); }));
    REQUIRE(try_call(large_request()).error().reason() == errc::price_unknown);
  }
  SECTION("calls and budgets inside it see its own budget as Block") {
    Budget budget(with([](const Exceeded&) {
      REQUIRE(!try_call(large_request()));
      Budget inner({.usd = 1_usd});
      REQUIRE(try_call({.model = "free", .input_tokens = 1, .max_output_tokens = 1}));
      return Decision::block();
    }));
    REQUIRE(!try_call(large_request()));
    REQUIRE(asked == 1);
  }
}

TEST_CASE("policy: warn admits and books, with an event each and one log line", "[core][policy]") {
  const Fixture fixture;
  int lines = 0;
  set_log_handler(
      [&](LogLevel, std::string_view text) { lines += text.find("over its cap") != std::string_view::npos; });
  Budget outer({.usd = 1_usd});
  Budget budget({.name = "w", .usd = 0.01_usd, .on_exceed = Warn{}});
  for (int i = 0; i < 3; ++i) {
    Call call(large_request());
    call.settle({.input = 1'000, .output = 1'000});
  }
  set_log_handler({});
  REQUIRE(lines == 1);
  REQUIRE(budget.spent().usd == 0.0375_usd);
  REQUIRE(outer.spent().usd == 0.0375_usd);
  REQUIRE(actions(fixture.ledger) == std::vector{Action::warned, Action::warned, Action::warned});
}

TEST_CASE("policy: what is let through is counted, and refused where it cannot be", "[core][policy]") {
  const Fixture fixture;
  set_log_handler([](LogLevel, std::string_view) {});
  const CallRequest huge{.model = "free", .input_tokens = 0, .max_output_tokens = 0, .usd = 1'000'000'000_usd};
  for (const Policies& lax :
       {Policies(Warn{}), Policies(Callback{[](const Exceeded&) { return Decision::allow(); }})}) {
    Budget budget({.usd = 0_usd, .on_exceed = lax});
    std::vector<Call> calls;
    while (auto call = try_call(huge)) calls.push_back(std::move(*call));
    REQUIRE(budget.reserved().usd == 9'000'000'000_usd);  // ten are beyond 64 bits of nano-dollars
    calls.clear();
    REQUIRE(budget.reserved() == Amounts{});
    REQUIRE(budget.spent() == Amounts{});
  }
  set_log_handler({});
}

TEST_CASE("policy: an inner warn never opens an outer cap", "[core][policy]") {
  const Fixture fixture;
  Budget outer({.name = "outer", .usd = 0.011_usd});
  Budget inner({.usd = 0.001_usd, .on_exceed = Warn{}});
  REQUIRE(try_call(large_request()).error().budget() == "outer");
}

TEST_CASE("policy: observe mode decides as if enforced and lets everything through unchanged",
          "[core][policy][observe]") {
  const Fixture fixture({.observe = true});
  Budget budget({.usd = 0.01_usd, .on_exceed = {to_mini, Block{}}});
  Call first(large_request());
  REQUIRE(first.model() == "gpt-4o");
  Call second({.model = "unit", .input_tokens = 1'000'000, .max_output_tokens = 0});
  const auto events = fixture.ledger.events();
  REQUIRE(events.size() == 2);
  REQUIRE(events[0].action == Action::observed);
  REQUIRE(events[0].reason.find("downgraded") != std::string::npos);
  REQUIRE(events[1].reason.find("blocked") != std::string::npos);
  REQUIRE(budget.reserved().usd == 1.0125_usd);
  REQUIRE(outlay::run({.usd = 0.001_usd, .on_exceed = Truncate{}}, [] { Call call(large_request()); }));
}

TEST_CASE("policy: observe mode says once that a stream would have been cut", "[core][policy][observe]") {
  const Fixture fixture({.observe = true});
  Budget budget({.output_tokens = 300});
  Call call({.model = "gpt-4o", .input_tokens = 10});
  for (std::int64_t tokens = 320; tokens <= 960; tokens += 64)
    REQUIRE(call.extend_output(tokens).extension == Extension::granted);
  REQUIRE(fixture.ledger.events().size() == 1);
  REQUIRE(fixture.ledger.events()[0].reason == "observed: would have been cut");
}

TEST_CASE("policy: a strict ledger refuses a call outside every budget", "[core][policy]") {
  const Fixture fixture({.strict = true});
  REQUIRE(try_call(cent_request()).error().reason() == errc::outside_budget);
  REQUIRE(fixture.ledger.events().size() == 1);
  Budget budget({.calls = 1});
  REQUIRE(try_call(cent_request()));
}

TEST_CASE("policy: in observe mode a request that its budget refuses outright leaves one event",
          "[core][policy][observe]") {
  const Fixture fixture({.observe = true});
  Budget budget({.usd = 0.001_usd, .unbounded = Unbounded::refuse});
  Call call({.model = "gpt-4o", .input_tokens = 1'000});  // it does not fit either
  REQUIRE(fixture.ledger.events().size() == 1);
  REQUIRE(fixture.ledger.events()[0].action == Action::observed);
}
