// Requests that state less than they might: no ceiling, no input.
#include "support/log_capture.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;

namespace {

CallRequest open_request() { return {.model = "gpt-4o", .input_tokens = 10}; }

std::int64_t reserved_output() { return Call(open_request()).reserved().output_tokens; }

}  // namespace

TEST_CASE("unbounded: what a model lately wrote without a ceiling is reserved for the next request", "[core][call]") {
  Fixture fixture;
  const Budget budget({.name = "b", .usd = 100_usd});
  CHECK(reserved_output() == 256);
  Call(open_request()).settle({.input = 10, .output = 3'000});
  CHECK(reserved_output() == 3'000);
  for (int i = 0; i < 18; ++i) Call(open_request()).settle({.input = 10, .output = 100});
  CHECK(reserved_output() == 3'000);  // 18 of 19 are below it
  Call(open_request()).settle({.input = 10, .output = 100});
  CHECK(reserved_output() == 256);  // 19 of 20, which is 95 in 100
  for (int i = 0; i < 100; ++i) Call(open_request()).settle({.input = 10, .output = 500});
  CHECK(reserved_output() == 500);
  // Neither with a ceiling, nor of another model, nor where the usage is not known.
  Call({.model = "gpt-4o", .input_tokens = 10, .max_output_tokens = 9'000}).settle({.input = 10, .output = 9'000});
  Call({.model = "gpt-4o-mini", .input_tokens = 10}).settle({.input = 10, .output = 9'000});
  Call unknown(open_request());
  unknown.sent();
  unknown.indeterminate();
  CHECK(reserved_output() == 500);
  CHECK(Call({.model = "gpt-4o-mini", .input_tokens = 1}).reserved().output_tokens == 9'000);
  // Of each choice.
  CHECK(Call({.model = "gpt-4o", .input_tokens = 1, .choices = 3}).reserved().output_tokens == 1'500);
  fixture.ledger.reset();
  CHECK(reserved_output() == 256);
}

TEST_CASE("unbounded: a budget's own reserve counts where it is larger", "[core][call]") {
  const Fixture fixture;
  const Budget budget({.name = "b", .usd = 100_usd, .output_reserve = 1'000, .reasoning_reserve = 50});
  Call(open_request()).settle({.input = 10, .output = 600});
  CHECK(reserved_output() == 1'050);
  Call(open_request()).settle({.input = 10, .output = 1'200});
  CHECK(reserved_output() == 1'250);
}

TEST_CASE("unbounded: a ledger says for all of its budgets what such a request means", "[core][call]") {
  {
    const Fixture fixture({.unbounded = Unbounded::refuse});
    const Budget budget({.name = "b", .usd = 100_usd});
    REQUIRE_FALSE(try_call(open_request()));
    CHECK(try_call(open_request()).error().reason() == errc::unbounded_refused);
  }
  const Fixture clamping({.unbounded = Unbounded::clamp});
  const Budget other({.name = "c", .usd = 100_usd});
  CHECK(Call(open_request()).max_output_tokens() == 256);
}

TEST_CASE("unbounded: the first overrun says what would make the cap hard", "[core][call]") {
  const Fixture fixture;
  const LogCapture log;
  const Budget budget({.name = "b", .usd = 0.01_usd});
  Call(open_request()).settle({.input = 10, .output = 5'000});
  CHECK(log.contains("wrote 5000 tokens where 256 were reserved"));
  CHECK(log.contains("For a hard cap set max_output_tokens"));
}

TEST_CASE("unbounded: a flat price is no matter of the output under a cap on money", "[core][call]") {
  const Fixture fixture;
  const CallRequest flat{.model = "mystery", .usd = 1_usd};
  {
    const Budget budget({.name = "b", .usd = 10_usd, .unbounded = Unbounded::refuse});
    CHECK(try_call(flat));
  }
  CHECK(fixture.ledger.unbounded_calls() == 0);
  const Budget tokens({.name = "t", .output_tokens = 100'000, .unbounded = Unbounded::refuse});
  CHECK_FALSE(try_call(flat));
}

TEST_CASE("call: a request that states no input is refused where a budget counts it", "[core][call]") {
  const Fixture fixture;
  const auto reason = [](const CallRequest& request) {
    const Result<Call> result = try_call(request);
    return result ? errc::ok : result.error().reason();
  };
  const CallRequest silent{.model = "gpt-4o", .max_output_tokens = 10};
  CHECK(reason(silent) == errc::ok);  // outside every budget
  {
    const Budget budget({.name = "calls", .output_tokens = 1'000, .calls = 10});
    CHECK(reason(silent) == errc::ok);
  }
  for (const BudgetOptions& options :
       {BudgetOptions{.name = "usd", .usd = 1_usd}, BudgetOptions{.name = "tokens", .tokens = 1'000},
        BudgetOptions{.name = "input", .input_tokens = 1'000}}) {
    INFO(options.name);
    const Budget budget(options);
    CHECK(reason(silent) == errc::invalid_argument);
    CHECK(reason({.model = "gpt-4o", .input_tokens = 0, .max_output_tokens = 10}) == errc::ok);
    CHECK(reason({.model = "gpt-4o", .input_text = "", .max_output_tokens = 10}) == errc::ok);
  }
  const Budget budget({.name = "flat", .usd = 1_usd});
  CHECK(reason({.model = "mystery", .max_output_tokens = 10, .usd = 0.1_usd}) == errc::ok);
}

TEST_CASE("tokenizer: one of the program's own counts every text, within bounds", "[core][call]") {
  struct Words final : Tokenizer {
    [[nodiscard]] std::int64_t upper(std::string_view text) const override {
      return text == "absurd" ? INT64_MAX : static_cast<std::int64_t>(text.size()) * 3;
    }
    [[nodiscard]] std::int64_t typical(std::string_view) const override { return 1; }
  };
  const Fixture fixture({.tokenizer = std::make_shared<Words>()});
  const Budget budget({.name = "b", .input_tokens = 100});
  CHECK(Call({.model = "gpt-4o", .input_text = "hello", .max_output_tokens = 1}).reserved().input_tokens == 15);
  CHECK_FALSE(try_call({.model = "gpt-4o", .input_text = "absurd", .max_output_tokens = 1}));
  CHECK(Ledger::current().tokenizer().typical("hello") == 1);
}

TEST_CASE("printing: a report is an aligned table, a budget's state a line", "[core][report]") {
  const Fixture fixture;
  {
    const Budget budget({.name = "b", .usd = 1_usd, .concurrent = 2});
    const Track track({{"feature", "chat"}});
    Call(large_request()).settle({.input = 1'000, .output = 1'000});
    Call running(large_request());
    CHECK(to_string(budget.state()) == "$0.0125 of $1.00 spent, $0.0125 reserved; 1 of 2 calls in flight");
    running.release();
  }
  Call(cent_request()).settle({});
  CHECK(to_string(fixture.ledger.report({"feature"})) ==
        "feature      usd  calls  input  output  refused\n"
        "chat     $0.0125      1   1000    1000        0\n"
        "-          $0.01      1      0       0        0\n"
        "total    $0.0225      2   1000    1000        0\n");
}

TEST_CASE("failure: retry_after is how long until retry_at, in whole seconds", "[core][error]") {
  using namespace std::chrono_literals;
  const Fixture fixture;
  fixture.clock->advance(1500ms);
  const Budget minute({.name = "minute", .calls = 1, .window = Window::minute()});
  Call(cent_request()).settle({});
  const Result<Call> refused = try_call(cent_request());
  REQUIRE_FALSE(refused);
  REQUIRE(refused.error().retry_after());
  const Time end = *minute.window_end();
  CHECK(*refused.error().retry_after() == std::chrono::ceil<std::chrono::seconds>(end - fixture.clock->now()));
  fixture.clock->advance(10min);
  CHECK(*refused.error().retry_after() == 0s);
  const Budget plain({.name = "plain", .calls = 1});
  Call(cent_request()).settle({});
  CHECK_FALSE(try_call(cent_request()).error().retry_after());
}

TEST_CASE("failure: held_by_running says whether the end of running calls would make room", "[core][error]") {
  const Fixture fixture;
  const Budget outer({.name = "outer", .usd = 0.03_usd, .window = Window::day()});
  const Budget inner({.name = "inner", .calls = 2, .window = Window::day()});
  Call first(cent_request()), second(cent_request());
  CHECK(try_call(cent_request()).error().held_by_running());
  first.settle(Settlement{.usage = {.input = 1}, .provider_cost = 0.01_usd});
  CHECK(try_call(cent_request()).error().held_by_running());
  second.settle(Settlement{.usage = {.input = 1}, .provider_cost = 0.01_usd});
  CHECK_FALSE(try_call(cent_request()).error().held_by_running());
  CHECK_FALSE(Failure(errc::network, "no cap is in the way").held_by_running());
}

TEST_CASE("call: a request that states no input is let through in observe mode, and that is said", "[core][call]") {
  const Fixture fixture({.observe = true});
  const Budget budget({.name = "b", .usd = 1_usd});
  Call({.model = "gpt-4o", .max_output_tokens = 10}).settle({.input = 5, .output = 5});
  REQUIRE(fixture.ledger.events().size() == 1);
  CHECK(fixture.ledger.events().front().action == Action::observed);
  CHECK(fixture.ledger.events().front().reason.find("states neither input_tokens") != std::string::npos);
}
