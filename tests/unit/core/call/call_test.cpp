#include <thread>

#include "unit/core/fixture.hpp"

using namespace outlay_test;
using outlay::Call;
using outlay::RecordStatus;

TEST_CASE("call: admitted, sent, settled once, with one record", "[core][call]") {
  const Fixture fixture;
  outlay::Budget budget({.name = "b", .usd = 1_usd});
  //! [one_call]
  outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
  call.sent();
  const outlay::Settled settled = call.settle({.input = 900, .output = 60});
  //! [one_call]
  REQUIRE(settled.first);
  REQUIRE(settled.usd == 0.00285_usd);
  REQUIRE(settled.overrun == 0_usd);
  REQUIRE(!call.open());
  const auto records = fixture.ledger.records();
  REQUIRE(records.size() == 1);
  REQUIRE(records[0].status == RecordStatus::settled);
  REQUIRE(records[0].usd == 0.00285_usd);
  REQUIRE(records[0].reserved == 0.0125_usd);
  REQUIRE(records[0].call_id == call.id());
  REQUIRE(records[0].provider == "openai");
  REQUIRE(records[0].price_version == "fixture");
}

TEST_CASE("call: destroyed before it was sent it is released without a record", "[core][call]") {
  const Fixture fixture;
  outlay::Budget budget({.usd = 1_usd});
  {
    Call call(large_request());
  }
  REQUIRE(budget.spent() == outlay::Amounts{});
  REQUIRE(budget.reserved() == outlay::Amounts{});
  REQUIRE(fixture.ledger.records().empty());
}

TEST_CASE("call: sent and destroyed it is indeterminate and charged at its reservation", "[core][call]") {
  const Fixture fixture;
  outlay::Budget budget({.usd = 1_usd});
  {
    Call call(large_request());
    call.sent();
  }
  REQUIRE(budget.spent().usd == 0.0125_usd);
  REQUIRE(budget.spent().calls == 1);
  REQUIRE(budget.reserved() == outlay::Amounts{});
  REQUIRE(fixture.ledger.records().back().status == RecordStatus::indeterminate);
  REQUIRE(outlay::report().total().indeterminate == 0.0125_usd);
}

TEST_CASE("call: a second settle does nothing and says so", "[core][call]") {
  const Fixture fixture;
  outlay::Budget budget({.usd = 1_usd});
  Call call(large_request());
  REQUIRE(call.settle({.input = 100}).first);
  const auto spent = budget.spent();
  REQUIRE(!call.settle({.input = 5'000}).first);
  REQUIRE(!call.release());
  REQUIRE(!call.indeterminate().first);
  REQUIRE(budget.spent() == spent);
  REQUIRE(fixture.ledger.records().size() == 1);
}

TEST_CASE("call: settled with more than was reserved it is booked in full, as an overrun", "[core][call]") {
  const Fixture fixture;
  outlay::Budget budget({.name = "b", .usd = 0.0125_usd});
  Call call(large_request());
  const auto settled = call.settle({.input = 1'000, .output = 2'000});
  REQUIRE(settled.usd == 0.0225_usd);
  REQUIRE(settled.overrun == 0.01_usd);
  REQUIRE(settled.over_cap);
  REQUIRE(budget.spent().usd == 0.0225_usd);
  REQUIRE(budget.state().remaining.usd == -0.01_usd);
  const auto events = fixture.ledger.events();
  REQUIRE(events.size() == 1);
  REQUIRE(events[0].action == outlay::Action::overrun);
  REQUIRE(events[0].projected == (0.0225_usd).nanos());
  REQUIRE(!outlay::try_call(cent_request()));
}

TEST_CASE("call: settled with more than was reserved where no cap is passed it is no event", "[core][call]") {
  const Fixture fixture;
  outlay::Budget budget({.usd = 1_usd});
  Call call(large_request());
  const auto settled = call.settle({.input = 1'000, .output = 2'000});
  REQUIRE(settled.overrun == 0.01_usd);
  REQUIRE(!settled.over_cap);
  REQUIRE(fixture.ledger.events().empty());
}

TEST_CASE("call: an overrun is told of the budget whose cap it passes, and of no other", "[core][call]") {
  const Fixture fixture;
  outlay::Budget outer({.name = "outer", .tokens = 150});
  outlay::Budget inner({.name = "inner", .tokens = 1'000});
  Call call({.model = "free", .input_tokens = 0, .max_output_tokens = 100});
  REQUIRE(call.settle({.output = 200}).over_cap);
  REQUIRE(outer.state().remaining.tokens == -50);
  REQUIRE(inner.state().remaining.tokens == 800);
  const auto events = fixture.ledger.events();
  REQUIRE(events.size() == 1);
  REQUIRE(events[0].action == outlay::Action::overrun);
  REQUIRE(events[0].path == "outer");
  REQUIRE(events[0].dimension == outlay::Dimension::tokens);
  REQUIRE(events[0].projected == 200);
  REQUIRE(events[0].cap == 150);
}

TEST_CASE("call: what it needs nothing of cannot refuse it, though it is over its cap", "[core][call]") {
  const Fixture fixture;
  const auto over = [](const outlay::BudgetOptions& options) {
    outlay::Budget budget(options);
    Call dear({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
    REQUIRE(dear.settle({.input = 1'000, .output = 2'000}).over_cap);
    REQUIRE(budget.state().remaining.usd < 0_usd);
    REQUIRE(outlay::try_call({.model = "free", .input_tokens = 10, .max_output_tokens = 10}));
    REQUIRE(!outlay::try_call(cent_request()));
    outlay::Call rerouted({.model = "free", .input_tokens = 10});
    REQUIRE(rerouted.open());
  };
  over({.name = "alone", .usd = 0.02_usd});
  over({.name = "day", .usd = 0.02_usd, .window = outlay::Window::day()});
  over({.name = "clamps", .usd = 0.02_usd, .on_exceed = outlay::Clamp{}});
}

TEST_CASE("call: the advice of a refusal is what would help this call under this budget", "[core][call]") {
  const Fixture fixture;
  const auto advice = [](const outlay::BudgetOptions& options, const outlay::CallRequest& request) {
    const outlay::Budget budget(options);
    const outlay::Result<Call> refused = outlay::try_call(request);
    REQUIRE(!refused);
    const std::string text = refused.error().message();
    return text.substr(text.rfind(". ") + 2);
  };
  const outlay::BudgetOptions money{.usd = 0.005_usd}, tokens{.tokens = 1'500};
  const outlay::CallRequest large = large_request();
  CHECK(advice(money, large) == "Lower max_output_tokens, raise the cap, or add a Downgrade.");
  CHECK(advice(tokens, large) == "Lower max_output_tokens, raise the cap, or add a Clamp.");
  CHECK(advice({.tokens = 100, .on_exceed = outlay::Clamp{}}, large) ==
        "Send less input and lower max_output_tokens, or raise the cap.");
  CHECK(advice({.tokens = 1'500, .on_exceed = outlay::Clamp{.min_output_tokens = 900}}, large) ==
        "Lower max_output_tokens, or raise the cap.");
  CHECK(advice({.usd = 0.0001_usd, .on_exceed = outlay::Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}}, large) ==
        "Send less input and lower max_output_tokens, raise the cap, or add a cheaper model to its Downgrade.");
  CHECK(advice({.tokens = 100}, {.model = "free", .input_tokens = 1, .max_output_tokens = 9, .choices = 200}) ==
        "Raise the cap, or stop here.");
  CHECK(advice({.usd = 0.0001_usd, .on_exceed = outlay::Clamp{}}, {.model = "gpt-4o", .input_tokens = 1}) ==
        "Set max_output_tokens, raise the cap, or add a Downgrade.");
  CHECK(advice(money, {.model = "gpt-4o", .input_tokens = 1'000'000, .max_output_tokens = 10}) ==
        "Send less input, raise the cap, or add a Downgrade.");
  CHECK(advice({.usd = 0.001_usd}, {.model = "gpt-4o", .input_tokens = 10}) ==
        "Set max_output_tokens, raise the cap, or add a Downgrade.");
  CHECK(advice(money, cent_request()) == "Raise the cap, or add a Downgrade.");
  CHECK(advice(money, {.model = "gpt-4o", .input_tokens = 0, .usd = 1_usd}) == "Raise the cap, or stop here.");
  CHECK(advice({.input_tokens = 5}, large) == "Send less input, or raise the cap.");
  const outlay::BudgetOptions wide{.calls = 100};
  {
    const outlay::Budget running({.usd = 0.02_usd});
    const Call first(large);
    CHECK(advice(wide, large) ==
          "Try again when a running call has ended, lower max_output_tokens, raise the cap, or add a Downgrade.");
  }
  const outlay::Budget once({.calls = 1});
  const Call first(cent_request());
  CHECK(advice(wide, cent_request()) == "Raise the cap, or stop here.");
}

TEST_CASE("call: a moved-from call answers and does nothing", "[core][call]") {
  const Fixture fixture;
  outlay::Budget budget({.usd = 1_usd});
  Call first(large_request());
  Call second(std::move(first));
  REQUIRE(!first.open());                      // NOLINT(bugprone-use-after-move): that is the point
  REQUIRE(!first.settle({.input = 1}).first);  // NOLINT
  REQUIRE(first.model().empty());              // NOLINT
  first.sent();                                // NOLINT
  REQUIRE(budget.reserved().calls == 1);
  Call third(cent_request());
  third = std::move(second);  // ends the cent call, takes over the other
  REQUIRE(budget.reserved().usd == 0.0125_usd);
  third.settle({.input = 1'000, .output = 1'000});
  REQUIRE(budget.spent().usd == 0.0125_usd);
  REQUIRE(budget.reserved() == outlay::Amounts{});
}

TEST_CASE("call: an invalid usage is refused and the call is charged, not forgotten", "[core][call]") {
  const Fixture fixture;
  outlay::Budget budget({.usd = 1_usd});
  const auto check = [&](const outlay::Usage& usage) {
    const auto before = budget.spent().usd;
    Call call(large_request());
    try {
      call.settle(usage);
      FAIL("settled");
    } catch (const outlay::Error& error) {
      REQUIRE(error.reason() == outlay::errc::invalid_usage);
    }
    REQUIRE(budget.spent().usd == before + 0.0125_usd);
    REQUIRE(fixture.ledger.records().back().status == RecordStatus::indeterminate);
  };
  check({.input = -1});
  check({.output = outlay::Usage::max_count + 1});
  check({.output = 5, .reasoning = 6});
  REQUIRE(budget.reserved() == outlay::Amounts{});
}

TEST_CASE("call: released after it was sent it leaves a rejected record at $0", "[core][call]") {
  const Fixture fixture;
  outlay::Budget budget({.usd = 1_usd});
  Call call(large_request());
  call.sent();
  REQUIRE(call.release("429 rate_limit_exceeded"));
  REQUIRE(budget.spent() == outlay::Amounts{});
  REQUIRE(budget.reserved() == outlay::Amounts{});
  const auto record = fixture.ledger.records().back();
  REQUIRE(record.status == RecordStatus::rejected);
  REQUIRE(record.usd == 0_usd);
  REQUIRE(record.reason == "429 rate_limit_exceeded");
  REQUIRE(fixture.ledger.unpriced_calls() == 0);
}

TEST_CASE("call: what is served is priced, and what was asked for is kept", "[core][call]") {
  const Fixture fixture;
  Call call(large_request());
  call.settle({.usage = {.input = 1'000'000}, .served_model = "gpt-4o-mini"});
  const auto record = fixture.ledger.records().back();
  REQUIRE(record.usd == 0.15_usd);
  REQUIRE(record.model == "gpt-4o-mini");
  REQUIRE(record.admitted_model == "gpt-4o");
}

TEST_CASE("call: a served model without a price costs what the admitted one costs", "[core][call]") {
  const Fixture fixture;
  Call call(large_request());
  call.settle({.usage = {.input = 1'000'000}, .served_model = "gpt-4o-enterprise-preview"});
  REQUIRE(fixture.ledger.records().back().usd == 2.50_usd);
}

TEST_CASE("call: a provider's own cost is booked, and the table's is kept beside it", "[core][call]") {
  const Fixture fixture;
  Call call(large_request());
  call.settle({.usage = {.input = 1'000'000}, .provider_cost = 2.22_usd});
  const auto record = fixture.ledger.records().back();
  REQUIRE(record.usd == 2.22_usd);
  REQUIRE(record.cost_source == outlay::CostSource::provider);
  REQUIRE(record.table_cost == 2.50_usd);
  REQUIRE(record.provider_cost == 2.22_usd);
}

TEST_CASE("call: an unknown price is refused under a money cap, with the way out", "[core][call][unpriced]") {
  const Fixture fixture;
  {
    outlay::Budget budget({.usd = 1_usd});
    try {
      Call call({.model = "mystery", .input_tokens = 1, .max_output_tokens = 1});
      FAIL("admitted");
    } catch (const outlay::PriceUnknown& error) {
      REQUIRE(error.model() == "mystery");
      REQUIRE(std::string(error.what()).find("register") != std::string::npos);
    }
    REQUIRE(fixture.ledger.events().size() == 1);
  }
  outlay::Budget tokens({.tokens = 100});
  Call call({.model = "mystery", .input_tokens = 50, .max_output_tokens = 50});
  call.settle({.input = 50, .output = 50});
  REQUIRE(fixture.ledger.unpriced_calls() == 1);
  REQUIRE(fixture.ledger.records().back().cost_source == outlay::CostSource::none);
  REQUIRE(!outlay::try_call(
      {.model = "mystery", .input_tokens = 1, .max_output_tokens = 0}));  // the token cap binds regardless
}

TEST_CASE("call: unpriced models can be ignored or assumed, and the strictest budget wins", "[core][call][unpriced]") {
  const Fixture fixture;
  using outlay::Unpriced;
  const outlay::CallRequest mystery{.model = "mystery", .input_tokens = 1'000, .max_output_tokens = 1'000};
  {
    outlay::Budget budget({.usd = 1_usd, .unpriced = Unpriced::ignore()});
    Call call(mystery);
    REQUIRE(call.settle({.input = 5}).usd == 0_usd);
  }
  {
    outlay::Budget budget({.usd = 1_usd, .unpriced = Unpriced::assume(10_usd)});
    Call call(mystery);
    REQUIRE(call.reserved().usd == 0.02_usd);
    REQUIRE(call.settle({.input = 500, .output = 500}).usd == 0.01_usd);
    REQUIRE(fixture.ledger.records().back().cost_source == outlay::CostSource::assumed);
  }
  outlay::Budget outer({.usd = 1_usd, .unpriced = Unpriced::assume(30_usd)});
  outlay::Budget inner({.usd = 1_usd, .unpriced = Unpriced::ignore()});
  REQUIRE(Call(mystery).reserved().usd == 0.06_usd);
  outlay::Budget innermost({.usd = 1_usd});
  REQUIRE_THROWS_AS(Call(mystery), outlay::PriceUnknown);
}

TEST_CASE("call: unpriced calls are counted each, and logged once a model", "[core][call][unpriced]") {
  const Fixture fixture;
  int lines = 0;
  outlay::set_log_handler([&](outlay::LogLevel, std::string_view text) {
    lines += text.find("no price is known") != std::string_view::npos;
  });
  outlay::Budget budget({.usd = 0.01_usd, .unpriced = outlay::Unpriced::ignore()});
  for (const char* model : {"mystery", "mystery", "riddle"})
    Call({.model = model, .input_tokens = 1'000, .max_output_tokens = 500}).settle({.input = 1'000});
  outlay::set_log_handler({});
  REQUIRE(fixture.ledger.unpriced_calls() == 3);
  REQUIRE(outlay::report().total().unpriced_calls == 3);
  REQUIRE(budget.spent().usd == 0_usd);
  REQUIRE(lines == 2);
}

TEST_CASE("call: without a ceiling the reserve is held, and the strictest choice of the chain decides",
          "[core][call][unbounded]") {
  const Fixture fixture;
  using outlay::Unbounded;
  const outlay::CallRequest open{.model = "gpt-4o", .input_tokens = 100};
  {
    outlay::Budget budget({.usd = 1_usd});
    Call call(open);
    REQUIRE(call.reserved().output_tokens == 256);
    REQUIRE(!call.max_output_tokens());
    call.settle({.input = 100, .output = 10});
    REQUIRE(fixture.ledger.unbounded_calls() == 1);
    REQUIRE(fixture.ledger.records().back().unbounded);
  }
  {
    outlay::Budget outer({.usd = 1_usd, .output_reserve = 1'000, .reasoning_reserve = 24});
    outlay::Budget inner({.usd = 1_usd});
    REQUIRE(Call(open).reserved().output_tokens == 1'024);
  }
  {
    outlay::Budget budget({.usd = 1_usd, .unbounded = Unbounded::model_max});
    REQUIRE(Call(open).reserved().output_tokens == 16'384);
  }
  {
    outlay::Budget outer({.usd = 1_usd, .unbounded = Unbounded::clamp});
    outlay::Budget inner({.usd = 1_usd, .unbounded = Unbounded::model_max});
    Call call(open);
    REQUIRE(call.max_output_tokens() == 256);
  }
  {
    outlay::Budget budget({.usd = 1_usd, .on_exceed = outlay::Clamp{}});
    REQUIRE(Call(open).max_output_tokens() == 16'384);  // the model's maximum fits
  }
  outlay::Budget budget({.usd = 1_usd, .unbounded = Unbounded::refuse});
  REQUIRE(outlay::try_call(open).error().reason() == outlay::errc::unbounded_refused);
}

TEST_CASE("call: every choice counts against the ceiling", "[core][call]") {
  const Fixture fixture;
  outlay::Budget budget({.output_tokens = 399});
  REQUIRE(!outlay::try_call({.model = "free", .input_tokens = 0, .max_output_tokens = 100, .choices = 4}));
  REQUIRE(outlay::try_call({.model = "free", .input_tokens = 0, .max_output_tokens = 100, .choices = 3}));
}

TEST_CASE("call: a malformed request is a value of its own error", "[core][call]") {
  const Fixture fixture;
  const auto code = [](const outlay::CallRequest& request) { return outlay::try_call(request).error().reason(); };
  REQUIRE(code({}) == outlay::errc::invalid_argument);
  REQUIRE(code({.model = "gpt-4o", .input_tokens = -1}) == outlay::errc::invalid_argument);
  REQUIRE(code({.model = "gpt-4o", .max_output_tokens = -1}) == outlay::errc::invalid_argument);
  REQUIRE(code({.model = "gpt-4o", .choices = 0}) == outlay::errc::invalid_argument);
  REQUIRE(code({.model = "gpt-4o", .usd = -1_usd}) == outlay::errc::invalid_argument);
  const std::string long_name(300, 'x');
  REQUIRE(code({.model = long_name}) == outlay::errc::invalid_argument);
}

TEST_CASE("call: flat-priced calls reserve and book their price", "[core][call]") {
  const Fixture fixture;
  outlay::Budget budget({.usd = 0.10_usd});
  Call call({.model = "image-maker", .input_tokens = 0, .max_output_tokens = 0, .usd = 0.04_usd});
  REQUIRE(budget.reserved().usd == 0.04_usd);
  call.settle(outlay::Usage{});
  REQUIRE(budget.spent().usd == 0.04_usd);
  REQUIRE(fixture.ledger.records().back().cost_source == outlay::CostSource::flat);
}

TEST_CASE("call: tags of the call lie within those around it", "[core][call]") {
  const Fixture fixture;
  outlay::Track track({{"feature", "chat"}, {"user_id", "alice"}});
  const std::string user = "bob";
  Call call({.model = "gpt-4o",
             .input_tokens = 1,
             .max_output_tokens = 1,
             .tags = {{"user_id", user}, {"turn", std::to_string(3)}}});
  call.settle({.input = 1});
  REQUIRE(fixture.ledger.records().back().tags ==
          outlay::Tags({{"feature", "chat"}, {"turn", "3"}, {"user_id", "bob"}}));
  REQUIRE(outlay::try_call({.model = "gpt-4o", .tags = {{"model", "x"}}}).error().reason() == outlay::errc::config);
}

TEST_CASE("call: the caller's trace context reaches the record and the events", "[core][call]") {
  const Fixture fixture;
  const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  {
    Call call({.model = "gpt-4o", .input_tokens = 1, .max_output_tokens = 1, .traceparent = trace});
    call.settle({.input = 1});
  }
  REQUIRE(fixture.ledger.records().back().traceparent == trace);
  outlay::Budget budget({.calls = 1});
  Call call(cent_request());
  static_cast<void>(
      outlay::try_call({.model = "gpt-4o", .input_tokens = 1, .max_output_tokens = 1, .traceparent = trace}));
  REQUIRE(fixture.ledger.events().back().traceparent == trace);
}

TEST_CASE("call: killed at every point between admission and settle, nothing stays reserved", "[core][call]") {
  const Fixture fixture;
  outlay::Budget budget({.usd = 100_usd, .concurrent = 50});
  for (int point = 0; point < 6; ++point) {
    try {
      Call call(large_request());
      if (point == 0) throw 0;
      call.sent();
      if (point == 1) throw 0;
      Call moved(std::move(call));
      if (point == 2) throw 0;
      if (point == 3) moved.release();
      if (point == 4) moved.indeterminate();
      if (point == 5) moved.settle({.input = 1});
    } catch (int) {
    }
    REQUIRE(budget.reserved() == outlay::Amounts{});
  }
  REQUIRE(budget.spent().calls == 4);  // released, never sent, and rejected ones do not count
}

TEST_CASE("call: a million charges of $0.00000015 are exactly $0.15", "[core][call][money]") {
  const Fixture fixture({.max_records = 10});
  outlay::Budget budget({.usd = 0.15_usd});
  outlay::PriceTable prices = outlay::testing::fixture_prices();
  for (int i = 0; i < 1'000'000; ++i) {
    Call call({.model = "gpt-4o-mini", .input_tokens = 1, .max_output_tokens = 0});
    call.settle({.input = 1});
  }
  REQUIRE(budget.spent().usd == 0.15_usd);
  REQUIRE(!outlay::try_call({.model = "gpt-4o-mini", .input_tokens = 1, .max_output_tokens = 0}));
  REQUIRE(fixture.ledger.audit().verdict == outlay::Audit::Verdict::agrees);
}

TEST_CASE("call: a stream whose prices were replaced by cheaper ones holds no less", "[core][call][stream]") {
  Fixture fixture;
  outlay::Budget budget({.usd = 1_usd, .output_reserve = 1'000});
  Call call({.model = "gpt-4o", .input_tokens = 1'000});
  REQUIRE(budget.reserved().usd == 0.0125_usd);
  outlay::PriceTable free;
  free.register_model("gpt-4o", outlay::Price::free());
  for (int i = 0; i < 20; ++i) fixture.ledger.set_prices(free);  // so often that what it was admitted by is forgotten
  REQUIRE(call.extend_output(1'100).extension == outlay::Extension::granted);
  REQUIRE(budget.reserved().usd == 0.0125_usd);
  REQUIRE(budget.reserved().output_tokens == 1'100);
}

TEST_CASE("call: a stream without a ceiling extends its reservation, and each policy answers in its way",
          "[core][call][stream]") {
  const Fixture fixture;
  using outlay::Extension;
  const outlay::CallRequest open{.model = "free", .input_tokens = 100};
  const auto extend = [&](outlay::Policies policies) {
    outlay::Budget budget({.tokens = 500, .on_exceed = std::move(policies)});
    Call call(open);
    REQUIRE(call.extend_output(300).extension == Extension::granted);
    REQUIRE(budget.reserved().tokens == 400);
    const auto result = call.extend_output(600);
    if (result.extension == Extension::granted)
      REQUIRE(budget.reserved().tokens == 700);
    else
      REQUIRE(budget.reserved().tokens == 400);
    call.settle({.input = 100, .output = 300});
    REQUIRE(budget.reserved() == outlay::Amounts{});
    return result.extension;
  };
  REQUIRE(extend(outlay::Block{}) == Extension::cut);
  REQUIRE(extend(outlay::Truncate{}) == Extension::cut_quietly);
  REQUIRE(extend(outlay::Raise{}) == Extension::cut);
  REQUIRE(extend(outlay::Warn{}) == Extension::granted);
  REQUIRE(extend({outlay::Wait{}, outlay::Block{}}) == Extension::cut);
  REQUIRE(extend(outlay::Callback{[](const outlay::Exceeded& e) {
            return e.streaming() ? outlay::Decision::allow() : outlay::Decision::block();
          }}) == Extension::granted);
  REQUIRE(extend(outlay::Callback{[](const outlay::Exceeded&) { return outlay::Decision::truncate(); }}) ==
          Extension::cut_quietly);
  REQUIRE(fixture.ledger.events().size() == 7);  // three cuts said quietly or not, one more by Wait, and what went on
}
