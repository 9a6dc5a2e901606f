#include <memory>
#include <stdexcept>

#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;

TEST_CASE("edge: a callback's reroute to a model without a price is priced as assumed", "[core][edge]") {
  const Fixture fixture;
  Budget budget({.usd = 1_usd,
                 .on_exceed = Callback{[](const Exceeded&) { return Decision::reroute("mystery"); }},
                 .unpriced = Unpriced::assume(100_usd)});
  const CallRequest request{.model = "gpt-4o", .input_tokens = 1'000'000, .max_output_tokens = 1'000'000};
  REQUIRE(!try_call(request));
  REQUIRE(budget.reserved().usd == 0_usd);
}

TEST_CASE("edge: a call keeps the prices that it was admitted by", "[core][edge]") {
  const Fixture fixture;
  Ledger ledger = fixture.ledger;
  Budget budget({.usd = 1_usd});
  Call settled(large_request()), lost(large_request());
  lost.sent();
  ledger.set_prices(PriceTable());
  REQUIRE(settled.settle({.input = 1'000, .output = 1'000}).usd == 0.0125_usd);
  REQUIRE(lost.indeterminate().usd == 0.0125_usd);
  REQUIRE(budget.spent().usd == 0.025_usd);
  REQUIRE(ledger.report().total().usd == 0.025_usd);
  REQUIRE(ledger.records()[0].price_version == "fixture");
  // Long replaced: no less than was reserved.
  ledger.set_prices(testing::fixture_prices());
  Call old(large_request());
  for (int i = 0; i < 40; ++i) ledger.set_prices(PriceTable());
  REQUIRE(old.settle({.input = 1, .output = 1}).usd == 0.0125_usd);
}

TEST_CASE("edge: an extension beyond all reason is refused, not granted for nothing", "[core][edge]") {
  const Fixture fixture;
  Budget budget({.usd = 1_usd});
  Call call({.model = "gpt-4o", .input_tokens = 1});
  REQUIRE(call.extend_output(1'000'000'000'000'000'000).extension == Extension::cut);
  REQUIRE(call.extend_output(INT64_MAX).extension == Extension::cut);
  REQUIRE(budget.reserved().output_tokens == 256);
}

TEST_CASE("edge: a clamp in front of a policy that lets through acts for its own budget", "[core][edge]") {
  const Fixture fixture;
  const CallRequest huge{.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000'000};
  {
    Budget budget({.usd = 1_usd, .on_exceed = {Clamp{}, Warn{}}});
    REQUIRE(Call(huge).max_output_tokens() == 99'750);
  }
  Budget budget({.usd = 1_usd, .on_exceed = {Clamp{}, Raise{}}});
  REQUIRE(Call(huge).max_output_tokens() == 99'750);
}

TEST_CASE("edge: more names of models than a ledger takes are refused, and the known ones go on", "[core][edge]") {
  const Fixture fixture({.max_records = 1, .max_events = 1});
  Call(cent_request()).settle(Usage{});
  bool refused = false;
  for (int i = 0; i < 70'000 && !refused; ++i) {
    const std::string name = "model-" + std::to_string(i);
    const auto call = try_call({.model = name, .input_tokens = 0, .max_output_tokens = 0});
    refused = !call && call.error().reason() == errc::invalid_argument;
  }
  REQUIRE(refused);
  REQUIRE(try_call(cent_request()));
}

TEST_CASE("edge: costs that nobody can mean are an invalid usage", "[core][edge]") {
  const Fixture fixture;
  Budget budget({.usd = 1_usd});
  Call call(large_request());
  REQUIRE_THROWS_AS(call.settle({.usage = {}, .provider_cost = Usd::max()}), Error);
  REQUIRE(budget.spent().usd == 0.0125_usd);
  REQUIRE(!try_call({.model = "free", .input_tokens = 0, .max_output_tokens = 0, .usd = Usd::max()}));
}

TEST_CASE("edge: a callback that holds a running call may be replaced", "[core][edge]") {
  const Fixture fixture;
  Ledger ledger = fixture.ledger;
  auto held = std::make_shared<Call>(cent_request());
  held->sent();
  ledger.on_spend([held](const Record&) {});
  held.reset();
  ledger.on_spend({});
  REQUIRE(ledger.records().size() == 1);
}

TEST_CASE("edge: a wait for ever does not end at once", "[core][edge][wait]") {
  const Fixture fixture;
  Budget budget({.concurrent = 1, .on_exceed = Wait{std::chrono::nanoseconds::max()}});
  REQUIRE(try_call(cent_request()));
}

TEST_CASE("edge: inside its callback a budget acts as Block, whatever stands in front", "[core][edge]") {
  const Fixture fixture;
  int nested = 0;
  Budget budget(
      {.usd = 0.01_usd,
       .on_exceed = {Clamp{.min_output_tokens = 800}, Callback{[&](const Exceeded&) {
                       nested +=
                           try_call({.model = "gpt-4o", .input_tokens = 10, .max_output_tokens = 2'000}).has_value();
                       return Decision::block();
                     }}}});
  REQUIRE(!try_call(large_request()));
  REQUIRE(nested == 0);
}

TEST_CASE("edge: a stream asks every callback of a chain", "[core][edge][stream]") {
  const Fixture fixture;
  Budget budget({.output_tokens = 300,
                 .on_exceed = {Callback{[](const Exceeded&) { return Decision::next(); }},
                               Callback{[](const Exceeded&) { return Decision::allow(); }}}});
  Call call({.model = "free", .input_tokens = 0});
  REQUIRE(call.extend_output(400).extension == Extension::granted);
  REQUIRE(call.extend_output(500).extension == Extension::granted);
  REQUIRE(fixture.ledger.events().size() == 1);  // said once that it goes on over its cap
}

TEST_CASE("edge: a report made before a reset cannot tell afterwards", "[core][edge][report]") {
  const Fixture fixture;
  Ledger ledger = fixture.ledger;
  Call(cent_request()).settle(Usage{});
  const Report report = ledger.report();
  ledger.reset();
  try {
    report.assert_under(0_usd, {{"model", "cent"}});
    FAIL("passed by mistake");
  } catch (const Error& error) {
    REQUIRE(error.reason() == errc::incomplete);
  }
}

TEST_CASE("edge: the event of a refused call carries its id and its own tags", "[core][edge]") {
  const Fixture fixture;
  Budget budget({.usd = 0.01_usd, .on_exceed = Truncate{}});
  const Tag tags[] = {{"turn", "7"}};
  REQUIRE(!try_call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000, .tags = tags}));
  const BudgetEvent event = fixture.ledger.events().back();
  REQUIRE(event.call_id != 0);
  REQUIRE(event.tags.at("turn") == "7");
}

TEST_CASE("edge: what policies did for a call that was refused after all is no event", "[core][edge]") {
  const Fixture fixture;
  Budget outer({.usd = 0.011_usd});
  Budget inner({.usd = 0.001_usd, .on_exceed = Warn{}});
  REQUIRE(!try_call(large_request()));
  REQUIRE(fixture.ledger.events().size() == 1);
  REQUIRE(fixture.ledger.events()[0].action == Action::blocked);
}

TEST_CASE("edge: a quiet cut keeps what arrived, also from run", "[core][edge][run]") {
  const Fixture fixture;
  const auto text = outlay::run({.output_tokens = 300, .on_exceed = Truncate{}}, [] {
    Call call({.model = "free", .input_tokens = 0});
    return call.extend_output(400).extension == Extension::cut_quietly ? 42 : 0;
  });
  REQUIRE(text == 42);
}

TEST_CASE("edge: run yields nothing where its function wraps the truncation", "[core][edge][run]") {
  const Fixture fixture;
  REQUIRE(!outlay::run({.usd = 0.01_usd, .on_exceed = Truncate{}}, [] {
    try {
      Call call(large_request());
    } catch (const BudgetExceeded&) {
      throw std::runtime_error("wrapped");
    }
  }));
}

TEST_CASE("edge: a prefixed model goes the way of the entry that prices it", "[core][edge]") {
  const Fixture fixture;
  Budget budget({.usd = 0.01_usd, .on_exceed = Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
  Call call({.model = "openai/gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
  REQUIRE(call.model() == "gpt-4o-mini");
}

TEST_CASE("edge: a malformed trace context is ignored", "[core][edge]") {
  const Fixture fixture;
  Call call({.model = "cent", .input_tokens = 0, .max_output_tokens = 0, .traceparent = "not a trace\n"});
  call.settle(Usage{});
  REQUIRE(fixture.ledger.records().back().traceparent.empty());
}

TEST_CASE("edge: a dimension without a cap is in no refusal, also where its sum is no number", "[core][edge]") {
  for (const bool windowed : {false, true}) {
    const Fixture fixture;
    Budget budget({.name = "calls alone",
                   .calls = 1'000,
                   .on_exceed = Warn{},
                   .window = windowed ? outlay::Window::day() : outlay::Window::scope()});
    const outlay::CallRequest dearest{
        .model = "free", .input_tokens = 0, .max_output_tokens = 0, .usd = 1'000'000'000_usd};
    for (int i = 0; i < 9; ++i) Call(dearest).settle(outlay::Usage{});
    const auto refused = try_call(dearest);
    REQUIRE(!refused);
    CHECK(refused.error().reason() == outlay::errc::overflow);
    CHECK(refused.error().breaches().empty());
    CHECK(refused.error().message() ==
          "budget \"calls alone\" refused free: what it counts would exceed $9.2 billion, or 9.2 * 10^18 tokens or "
          "calls. Open a budget of another name.");
    CHECK(fixture.ledger.events().back().cap == -1);
    CHECK(try_call({.model = "free", .input_tokens = 0, .max_output_tokens = 0}));
    CHECK(budget.spent().usd == 9'000'000'000_usd);
  }
}
