// Provokes every message of core that a user can see, and compares them with tests/data/messages.txt, which is meant to be read.

#include <cstdlib>
#include <fstream>
#include <functional>
#include <mutex>
#include <regex>
#include <sstream>

#include "core/call/admission.hpp"
#include "core/context/misuse.hpp"
#include "core/pricing/price_book.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/jsonl_sink.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;
using namespace std::chrono_literals;
using outlay::testing::Weather;
using outlay::testing::WeatheredBackend;

namespace {

/// The messages so far: a heading that says what provoked one, and the message.
class Messages {
 public:
  Messages() {
    previous_ = set_log_handler([this](LogLevel level, std::string_view text) {
      const std::lock_guard lock(mutex_);
      log_.push_back(std::string(to_string(level)) + ": " + std::string(text));
    });
  }
  Messages(const Messages&) = delete;
  Messages& operator=(const Messages&) = delete;
  ~Messages() { set_log_handler(previous_); }

  void section(const std::string& title) { text_ += "# " + title + "\n\n"; }

  void say(const std::string& heading, const std::string& message) {
    static const std::regex call_id("call [0-9]+ (to|came)");
    text_ += "[" + heading + "]\n" + std::regex_replace(message, call_id, "call N $1") + "\n\n";
    log_.clear();
  }

  /// What `act` throws.
  template <class F>
  void thrown(const std::string& heading, F&& act) {
    try {
      act();
    } catch (const std::exception& error) {
      return say(heading, error.what());
    }
    FAIL(heading << ": nothing was thrown");
  }

  /// Why `request` is refused.
  void refused(const std::string& heading, const CallRequest& request) {
    const Result<Call> call = try_call(request);
    if (call) FAIL(heading << ": the call was admitted");
    say(heading, call.error().message());
  }

  void config(const std::string& heading, const BudgetOptions& options) {
    thrown(heading, [&] { Budget budget(options); });
  }

  /// What was logged since the last message.
  void logged(const std::string& heading) {
    std::string lines;
    {
      const std::lock_guard lock(mutex_);
      for (const std::string& line : log_) lines += (lines.empty() ? "" : "\n") + line;
    }
    if (lines.empty()) FAIL(heading << ": nothing was logged");
    say(heading, lines);
  }

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::mutex mutex_;
  std::vector<std::string> log_;
  LogHandler previous_;
};

CallRequest tokens(std::int64_t input, std::int64_t output) {
  return {.model = "free", .input_tokens = input, .max_output_tokens = output};
}

/// A model whose largest call costs more than an amount of money can hold.
PriceTable with_dear_model() {
  PriceTable table = outlay::testing::fixture_prices();
  Price dear;
  dear.rates = {.input = Rate::per_million(10'000'000_usd), .output = Rate::per_million(10'000'000_usd)};
  table.register_model("dear", dear);
  return table;
}

void refusals(Messages& all) {
  all.section("Refusals: BudgetExceeded");
  const Fixture fixture;
  {
    Budget budget({.name = "answer", .usd = 0.01_usd});
    all.refused("money does not suffice", large_request());
    Call running(cent_request());
    all.refused("a running call holds the money", cent_request());
  }
  {
    Budget outer({.name = "run", .usd = 0.01_usd});
    Budget inner({.name = "answer", .usd = 1_usd});
    all.refused("an enclosing budget is in the way", large_request());
  }
  {
    Budget budget({.usd = 0.002_usd});
    Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 100});
    call.settle({.input = 100, .output = 300});
    all.refused("an unnamed budget is over its cap already", large_request());
  }
  {
    Budget budget({.name = "answer", .tokens = 1'500});
    all.refused("tokens", tokens(1'000, 1'000));
  }
  {
    Budget budget({.name = "answer", .input_tokens = 1'500});
    all.refused("input tokens", tokens(2'000, 10));
  }
  {
    Budget budget({.name = "answer", .output_tokens = 1'500});
    all.refused("output tokens", tokens(1'000, 2'000));
  }
  {
    Budget budget({.name = "answer", .calls = 1});
    Call(tokens(1, 1)).settle({.input = 1, .output = 1});
    all.refused("calls", tokens(1, 1));
  }
  {
    Budget budget({.name = "answer", .concurrent = 1});
    Call running(tokens(1, 1));
    all.refused("calls in flight", tokens(1, 1));
  }
  {
    Budget outer({.name = "run", .usd = 0.01_usd, .calls = 1});
    Call running(tokens(1, 1));
    Budget inner({.name = "answer", .tokens = 1'500, .output_tokens = 900});
    all.refused("four caps are in the way, of two budgets", large_request());
  }
  {
    Budget outer({.name = "run", .usd = 0.0005_usd});
    Budget inner({.name = "answer", .usd = 0.01_usd, .on_exceed = Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
    all.refused("another budget refuses the model that a Downgrade has chosen", large_request());
  }
  {
    Budget budget({.name = "answer", .usd = 0.01_usd, .on_exceed = Truncate{}});
    all.refused("the budget's policy is Truncate", large_request());
  }
  {
    Budget budget({.name = "answer", .usd = 1_usd});
    budget.close_to_new_calls("the user has left");
    all.refused("the budget is closed", cent_request());
  }
  {
    Budget day({.name = "user:alice", .usd = 0.01_usd, .window = Window::day()});
    spend_a_cent();
    all.refused("a window will turn", cent_request());
  }
  {
    const auto store = memory_store();
    const Budget day({.name = "user:alice", .usd = 1_usd, .window = Window::day(), .store = store});
    const auto set = [&](const Limits& limits) {
      store->set_cap({.name = "user:alice", .window = Window::day(), .limits = limits});
    };
    set({.usd = 0.005_usd});
    all.refused("an operator has set the cap", cent_request());
    set({.usd = 0.005_usd, .calls = 0});
    all.refused("an operator has closed the counter", cent_request());
  }
  {
    Budget budget({.name = "answer", .tokens = 1'500});
    Call call({.model = "free", .input_tokens = 100});
    call.sent();
    const ExtensionResult more = call.extend_output(5'000);
    all.say("a stream outgrows its budget", more.failure.value().message());
    all.say("a stream asks for more than any stream can show",
            call.extend_output(Usage::max_count * 1'024 + 1).failure.value().message());
  }
  {
    Budget budget({.name = "answer", .tokens = 1'500, .on_exceed = Raise{}});
    all.thrown("a call takes a Raise budget over its cap", [] {
      Call call(tokens(1'000, 1'000));
      call.settle({.input = 1'000, .output = 1'000});
    });
  }
  {
    Budget budget({.name = "answer", .tokens = 1'000, .on_exceed = Wait{.timeout = 1h}});
    const Call running(tokens(300, 300));
    const CallRequest large = tokens(300, 300), small = tokens(50, 50);
    detail::Arrival first(large), second(small);
    const auto waiter = [] { return std::make_shared<detail::BlockingWaiter>(); };
    REQUIRE(first.enter() == detail::Arrival::Step::undecided);
    detail::Admission waiting(first, {.may_wait = true, .may_block = true, .waiter = waiter});
    REQUIRE(waiting.advance(detail::Admission::Event::start) == detail::Admission::State::in_line);
    REQUIRE(second.enter() == detail::Arrival::Step::undecided);
    detail::Admission refused(second, {.may_wait = false, .may_block = true, .waiter = waiter});
    REQUIRE(refused.advance(detail::Admission::Event::start) == detail::Admission::State::refused);
    all.logged("a coroutine makes a blocking call under a Wait policy");
    all.say("that call would fit, and another call stands in line before it", refused.failure().message());
  }
}

void refusals_of_requests(Messages& all) {
  all.section("Refusals of a request as it is");
  {
    const Fixture fixture({.strict = true});
    all.refused("a strict ledger and no budget", cent_request());
  }
  const Fixture fixture;
  Ledger::current().set_prices(with_dear_model());
  {
    Budget budget({.name = "answer", .usd = 1_usd, .unbounded = Unbounded::refuse});
    all.refused("no ceiling under Unbounded::refuse", {.model = "gpt-4o", .input_tokens = 10});
    all.refused("an unknown price under a cap on money",
                {.model = "mystery", .input_tokens = 10, .max_output_tokens = 10});
    all.refused("an unknown price, and a name that is near",
                {.model = "gpt-4o-mni", .input_tokens = 10, .max_output_tokens = 10});
    all.refused("the worst case overflows", {.model = "dear", .input_tokens = 1, .max_output_tokens = 2'000'000'000});
    all.refused("no model", {});
    all.refused("a long model name", {.model = std::string(257, 'm')});
    all.refused("a negative count", {.model = "gpt-4o", .input_tokens = -1});
    all.refused("a large count", {.model = "gpt-4o", .max_output_tokens = 2'000'000'001});
    all.refused("no choices", {.model = "gpt-4o", .choices = 0});
    all.refused("a negative price", {.model = "gpt-4o", .usd = -1_usd});
    all.refused("a long tier", {.model = "gpt-4o", .service_tier = std::string(65, 't')});
    all.refused("no smallest ceiling", {.model = "gpt-4o", .min_output_tokens = 0});
  }
  const auto with = [](const Decision& decision) {
    return BudgetOptions{
        .name = "answer", .usd = 0.01_usd, .on_exceed = Callback{[decision](const Exceeded&) { return decision; }}};
  };
  {
    Budget budget(with(Decision::reroute("mystery")));
    all.refused("a callback reroutes to a model without a price", large_request());
  }
  {
    Budget budget(with(Decision::reroute("dear")));
    all.refused("a callback reroutes to a model whose call overflows",
                {.model = "gpt-4o", .input_tokens = 1, .max_output_tokens = 2'000'000'000});
  }
  {
    Budget budget({.name = "answer", .usd = 0.01_usd, .on_exceed = Callback{[](const Exceeded&) -> Decision {
                                                        throw std::runtime_error("no database");
                                                      }}});
    REQUIRE_FALSE(try_call(large_request()));
    all.logged("a callback throws");
  }
}

void settling(Messages& all) {
  all.section("The end of a call");
  const Fixture fixture;
  Call call(cent_request());
  all.thrown("an invalid count", [&] { call.settle({.input = -1}); });
  call.settle(Usage{});
  all.logged("a second settle");
  Call other(cent_request());
  const Settlement wrong{.provider_cost = -1_usd};
  all.say("an invalid cost", other.try_settle(wrong).error().message());
  (void)other.release();
  all.logged("a late release");
  {
    Budget budget({.name = "answer", .usd = 1_usd});
    (void)Call({.model = "gpt-4o", .input_tokens = 10});
    all.logged("a request without a ceiling");
  }
  {
    Budget budget({.name = "answer", .usd = 1_usd, .unpriced = Unpriced::ignore()});
    Call({.model = "mystery", .input_tokens = 10, .max_output_tokens = 10}).settle({.input = 10});
    all.logged("a call without a price under Unpriced::ignore");
  }
  {
    Budget budget({.name = "answer", .usd = 0.01_usd, .on_exceed = Warn{}});
    Call(large_request()).settle({.input = 1'000, .output = 1'000});
    all.logged("a call goes over the cap under Warn");
  }
}

void budgets(Messages& all) {
  all.section("ConfigError: budgets");
  const Fixture fixture;
  const auto policies = [](Policies chain) {
    return BudgetOptions{.name = "x", .usd = 1_usd, .on_exceed = std::move(chain)};
  };
  all.config("no cap", {});
  all.config("a negative cap", {.name = "x", .usd = -1_usd});
  all.config("a count capped at 0", {.name = "x", .tokens = 0});
  all.config("a long name", {.name = std::string(129, 'x'), .usd = 1_usd});
  all.config("a long description", {.name = "x", .description = std::string(1'025, 'x'), .usd = 1_usd});
  all.config("a negative reserve", {.name = "x", .usd = 1_usd, .output_reserve = -1});
  all.config("assume nothing", {.name = "x", .usd = 1_usd, .unpriced = Unpriced::assume(0_usd)});
  all.config("assume too little", {.name = "x", .usd = 1_usd, .unpriced = Unpriced::assume(0.000000001_usd)});
  all.config("a fraction above 1", {.name = "x", .usd = 1_usd, .notify_at = {1.5}});
  all.config("fractions that do not ascend", {.name = "x", .usd = 1_usd, .notify_at = {0.9, 0.5}});
  all.config("fractions of nothing", {.name = "x", .concurrent = 1, .notify_at = {0.5}});
  all.config("a window without a name", {.usd = 1_usd, .window = Window::day()});
  all.config("a store without a window", {.name = "x", .usd = 1_usd, .store = memory_store()});
  {
    Budget outer({.name = "outer", .usd = 1_usd, .window = Window::day(), .store = memory_store()});
    all.config("two stores in a chain", {.name = "x", .usd = 1_usd, .window = Window::day()});
  }
  all.config("an empty chain", policies(std::initializer_list<outlay::Policy>{}));
  {
    all.config("17 policies", policies({Clamp{}, Clamp{}, Clamp{}, Clamp{}, Clamp{}, Clamp{}, Clamp{}, Clamp{}, Clamp{},
                                        Clamp{}, Clamp{}, Clamp{}, Clamp{}, Clamp{}, Clamp{}, Clamp{}, Clamp{}}));
  }
  all.config("a policy behind Block", policies({Block{}, Clamp{}}));
  all.config("two Waits", policies({Wait{}, Wait{}}));
  all.config("a Wait of no time", policies(Wait{.timeout = 0s}));
  all.config("an empty Callback", policies(Callback{}));
  all.config("a Clamp without a cap on output", {.name = "x", .calls = 3, .on_exceed = Clamp{}});
  all.config("a Clamp to nothing", policies(Clamp{.min_output_tokens = 0}));
  all.config("a Clamp without a ceiling", policies(Clamp{.max_output_tokens = 5}));
  all.config("a Downgrade without a cap on money",
             {.name = "x", .tokens = 10, .on_exceed = Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
  all.config("a Downgrade without a map", policies(Downgrade{{}}));
  all.config("a route without a name", policies(Downgrade{{{"", "gpt-4o-mini"}}}));
  all.config("two routes from a model", policies(Downgrade{{{"gpt-4o", "gpt-4o-mini"}, {"gpt-4o", "unit"}}}));
  all.config("routes in a circle", policies(Downgrade{{{"gpt-4o", "unit"}, {"unit", "gpt-4o"}}}));
  all.config("a route to a model without a price", policies(Downgrade{{{"gpt-4o", "mystery"}}}));
  Budget budget({.name = "x", .usd = 9'000'000'000_usd});
  all.thrown("raise by nothing", [&] { budget.raise_cap(0_usd, ""); });
  all.thrown("raise what is not capped", [&] { budget.raise_cap(Dimension::tokens, 1, ""); });
  all.thrown("raise beyond what can be counted", [&] { budget.raise_cap(1'000'000'000_usd, ""); });
}

void windows_rules_tags(Messages& all) {
  all.section("ConfigError: windows, rules, tags");
  const Fixture fixture;
  Ledger ledger = fixture.ledger;
  all.thrown("an unknown time zone", [] { (void)Window::day("Mars/Phobos"); });
  all.thrown("hour 24", [] { (void)Window::day("UTC", {.hour = 24}); });
  all.thrown("day 32", [] { (void)Window::month("UTC", {.day = 32}); });
  all.thrown("a day of the month in a week", [] { (void)Window::week("UTC", {.day = 2}); });
  all.thrown("a rolling window of no time", [] { (void)Window::rolling(0s); });

  all.thrown("a rule without a value", [&] { ledger.add_rule({.match = {"user_id", ""}, .usd = 1_usd}); });
  all.thrown("a rule without a window", [&] { ledger.add_rule({.usd = 1_usd, .window = {}}); });
  all.thrown("a rule without a cap", [&] { ledger.add_rule({.match = {"user_id", "*"}}); });
  ::setenv("OUTLAY_DAILY_GLOBAL_USD", "a lot", 1);
  all.thrown("a rule of the environment that is not money", [&] { ledger.add_rules_from_environment(); });
  ::unsetenv("OUTLAY_DAILY_GLOBAL_USD");
  {
    const Fixture own;
    Ledger other = own.ledger;
    other.add_rule({.match = {"user_id", "*"}, .usd = 1_usd});
    const std::string value(201, 'u');
    all.refused("a call with a long value under a rule", {.model = "cent", .tags = {{"user_id", value}}});
    Budget day({.name = "x", .usd = 1_usd, .window = Window::day(), .store = memory_store()});
    all.refused("a call under a rule and a budget in different stores",
                {.model = "cent", .tags = {{"user_id", "alice"}}});
  }
  all.thrown("a tag without a key", [] { Track track({{"", "chat"}}); });
  all.thrown("a long key", [] { Track track({{std::string(129, 'k'), "chat"}}); });
  all.thrown("a long value", [] { Track track({{"feature", std::string(1'025, 'v')}}); });
  all.thrown("a reserved key", [] { Track track({{"model", "chat"}}); });
  std::vector<std::unique_ptr<Track>> tracks;
  all.thrown("33 tags", [&] {
    for (int i = 0; i < 33; ++i) {
      Tags tags;
      tags.set("key" + std::to_string(i), "v");
      tracks.push_back(std::make_unique<Track>(tags));
    }
  });
  while (!tracks.empty()) tracks.pop_back();
}

void prices(Messages& all) {
  all.section("Money and prices");
  PriceTable table = with_dear_model();
  all.thrown("not money", [] { (void)Usd::parse("1,5"); });
  all.thrown("too much money", [] { (void)(Usd::max() + 1_usd); });
  all.thrown("the count of money", [] { (void)Amount(1_usd).count(); });
  all.thrown("the money of a count", [] { (void)Amount(Dimension::tokens, 5).usd(); });
  all.thrown("a model without a price", [&] { (void)table.cost("mystery", {.input = 1}); });
  all.thrown("an invalid count", [&] { (void)table.cost("gpt-4o", {.output = 1, .reasoning = 2}); });
  all.thrown("a cost that overflows", [&] { (void)table.cost("dear", {.input = 2'000'000'000}); });
  all.thrown("a price without a name", [&] { table.register_model("", Price::free()); });
  Price negative;
  negative.request = -1_usd;
  all.thrown("a negative price", [&] { table.register_model("m", negative); });
  all.thrown("a deployment without a name", [&] { table.register_deployment("", "gpt-4o"); });
  all.thrown("a deployment of an unknown model", [&] { table.register_deployment("mine", "mystery"); });
  std::atomic<bool> said{false};
  table.describe("2026-08-01", "finance", std::chrono::sys_days(std::chrono::year(2026) / 8 / 1));
  detail::warn_if_stale(*detail::Access::book(table), Time(std::chrono::sys_days(std::chrono::year(2027) / 1 / 29)),
                        said);
  all.logged("prices 181 days old");
}

void budgets_as_values(Messages& all) {
  all.section("Budgets as values");
  const Fixture fixture;
  BudgetHandle session({.name = "session", .usd = 0.01_usd});
  all.thrown("an invalid count", [&] { session.book({.input = -1}, "gpt-4o"); });
  all.thrown("a negative cost", [&] { session.book({.usage = {.input = 1}, .provider_cost = -1_usd}, "gpt-4o"); });
  all.thrown("no model", [&] { session.book({.input = 1}, ""); });
  all.thrown("an unknown model", [&] { session.book({.input = 1}, "mystery"); });
  all.thrown("over the cap", [&] { session.book({.input = 1'000, .output = 1'000}, "gpt-4o"); });
  all.thrown("a cap lowered by more than it is", [&] { session.lower_cap(1_usd, "test"); });
  all.thrown("a cap lowered by nothing", [&] { session.lower_cap(0_usd, "test"); });
  const BudgetHandle daily({.name = "daily", .usd = 1_usd, .window = Window::day()});
  all.thrown("a counter of a window", [&] { BudgetHandle(daily).reset(); });
}

/// Answers what it is told to, and otherwise as memory does.
class PartlyScriptedBackend final : public StoreBackend {
 public:
  using Script = std::function<std::optional<Result<StoreReply>>(const StoreCommand&)>;
  explicit PartlyScriptedBackend(Script script) : script_(std::move(script)) {}
  std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands,
                                          std::chrono::milliseconds timeout) override {
    std::vector<Result<StoreReply>> results;
    for (const StoreCommand& command : commands) {
      std::optional<Result<StoreReply>> own = script_(command);
      results.push_back(own ? std::move(*own) : std::move(memory_->execute({&command, 1}, timeout).front()));
    }
    return results;
  }
  [[nodiscard]] Distance distance() const noexcept override { return Distance::local; }
  [[nodiscard]] std::string description() const override { return "a scripted store"; }

 private:
  Script script_;
  std::unique_ptr<StoreBackend> memory_ = memory_backend();
};

void stores(Messages& all) {
  all.section("Stores");
  const Fixture fixture;
  const auto daily = [](std::shared_ptr<Store> store) {
    return BudgetOptions{.name = "alice", .usd = 1_usd, .window = Window::day(), .store = std::move(store)};
  };
  const auto stormy = [](const std::shared_ptr<Weather>& weather, OnUnreachable choice) {
    return std::make_shared<Store>(std::make_unique<WeatheredBackend>(weather, StoreBackend::Distance::local),
                                   StoreOptions{.on_unreachable = choice, .timeout = 20ms});
  };
  const OnUnreachable deny = OnUnreachable::deny();
  all.thrown("a long time-out", [&] { (void)memory_store({.on_unreachable = deny, .timeout = 90s}); });
  all.thrown("a short lease", [&] { (void)memory_store({.on_unreachable = deny, .lease = 1ms}); });
  all.thrown("local() without money", [] { (void)memory_store({.on_unreachable = OnUnreachable::local(0_usd)}); });
  all.thrown("no backend", [&] { Store store(nullptr, {.on_unreachable = deny}); });
  all.thrown("a counter without a name", [] { (void)memory_store()->state("", Window::day()); });
  {
    const auto weather = std::make_shared<Weather>();
    weather->down();
    {
      Budget day(daily(stormy(weather, deny)));
      const Result<Call> refused = try_call(cent_request());
      REQUIRE_FALSE(refused);
      all.logged("a store that cannot be reached");
      all.say("a call while it is, under deny()", refused.error().message());
    }
    Budget day(daily(stormy(weather, OnUnreachable::local(0.005_usd))));
    all.refused("a call while it is, under local()", cent_request());
  }
  {
    const auto weather = std::make_shared<Weather>();
    Store store(std::make_unique<WeatheredBackend>(weather, StoreBackend::Distance::remote),
                {.on_unreachable = deny, .timeout = 20ms});
    weather->hang();
    all.thrown("the state of a store that does not answer", [&] { (void)store.state("alice", Window::day()); });
    weather->hang(false);
  }
  {
    const auto weather = std::make_shared<Weather>();
    auto store = stormy(weather, deny);
    {
      Budget day(daily(store));
      Call call(cent_request());
      call.sent();
      weather->down();
      call.settle(Usage{});
      all.thrown("a flush that takes too long", [&] { store->flush(20ms); });
    }
    store.reset();
    all.logged("a store that is closed while it cannot be reached");
  }
  {
    const auto weather = std::make_shared<Weather>();
    const auto store = stormy(weather, deny);
    Budget day(daily(store));
    spend_a_cent();
    store->flush();
    weather->forget();
    const Result<Call> refused = try_call(cent_request());
    REQUIRE_FALSE(refused);
    all.logged("a store that was restarted without its data");
    all.say("a call to it", refused.error().message());
  }
  {
    const auto full = [](const StoreCommand& command) -> std::optional<Result<StoreReply>> {
      if (command.op != StoreCommand::Op::reserve) return std::nullopt;
      StoreReply reply{.outcome = StoreReply::Outcome::refused, .now = command.now, .epoch = "e", .version = 1};
      reply.states.resize(command.counters.size());
      return reply;
    };
    Budget day(daily(
        std::make_shared<Store>(std::make_unique<PartlyScriptedBackend>(full), StoreOptions{.on_unreachable = deny})));
    all.refused("a store that refuses although it reports room", cent_request());
  }
  {
    const auto refuses = [](const StoreCommand& command) -> std::optional<Result<StoreReply>> {
      if (command.op != StoreCommand::Op::settle) return std::nullopt;
      return Failure(errc::overflow, "the counter is full");
    };
    {
      Budget day(daily(std::make_shared<Store>(std::make_unique<PartlyScriptedBackend>(refuses),
                                               StoreOptions{.on_unreachable = deny})));
      spend_a_cent();
    }
    all.logged("a store that refuses a settle");
  }
}

/// Never finishes a write before it is opened, and is waited for.
class SlowDisk final : public outlay::testing::BlockingSink {
 public:
  [[nodiscard]] bool durable() const noexcept override { return true; }
};

void ledgers(Messages& all) {
  all.section("Ledgers, sinks, reports");
  const Fixture fixture({.max_records = 2});
  Ledger ledger = fixture.ledger;
  all.thrown("no sink", [&] { ledger.add_sink(nullptr); });
  const auto sink = std::make_shared<outlay::testing::FailingSink>(std::set<std::uint64_t>{1}, true);
  all.thrown("a queue of 0", [&] { ledger.add_sink(sink, {.queue = 0}); });
  all.thrown("a negative delay", [&] { ledger.add_sink(sink, {.max_delay = -1ms}); });
  ledger.add_sink(sink);
  all.thrown("a sink of two ledgers", [&] { Ledger().add_sink(sink); });
  spend_a_cent();
  std::string flushed;
  try {
    ledger.flush();
  } catch (const Error& error) {
    flushed = error.what();
  }
  all.logged("a sink throws");
  all.say("a flush after that", flushed);
  REQUIRE(ledger.remove_sink(sink));
  const auto disk = std::make_shared<SlowDisk>();
  ledger.add_sink(disk);
  spend_a_cent();
  all.thrown("a flush that takes too long", [&] { ledger.flush(20ms); });
  disk->open();
  REQUIRE(ledger.remove_sink(disk));
  ledger.on_spend([](const Record&) { throw std::runtime_error("no database"); });
  const Report before = ledger.report();
  all.thrown("more was spent than asserted", [&] { before.assert_under(0.01_usd); });
  spend_a_cent();
  all.logged("a callback of the ledger throws");
  all.thrown("an assertion over evicted records", [&] { ledger.report().assert_under(1_usd); });
  all.thrown("an assertion over records evicted after the report",
             [&] { before.assert_under(1_usd, {{"model", "cent"}}); });
  all.thrown("a JSONL sink without a path", [] { (void)jsonl_sink({}); });
  all.thrown("a JSONL sink that cannot be opened",
             [] { (void)jsonl_sink({.path = "/no/such/directory/spend.jsonl"}); });
}

void misuse(Messages& all) {
  all.section("Misuse, each once for a place");
  const std::string budget = "Budget \"golden\"";
  using detail::Misuse;
  detail::report_misuse(Misuse::closed_out_of_order, budget);
  all.logged("a scope closed before the scopes inside it");
  detail::report_misuse(Misuse::no_context_executor, budget);
  all.logged("a scope in a coroutine on a plain executor");
  detail::report_misuse(Misuse::closed_elsewhere, budget);
  all.logged("a scope closed in another context");
  detail::report_misuse(Misuse::ambiguous_home, budget);
  all.logged("coroutines that share a home");
  detail::report_misuse(Misuse::call_outside_budgets, "\"golden\"");
  all.logged("a call outside every budget");
}

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> paragraphs(const std::string& text) {
  std::vector<std::string> result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find("\n\n", at), text.size());
    result.push_back(text.substr(at, end - at));
    at = end + 2;
  }
  return result;
}

}  // namespace

TEST_CASE("messages: every message of core reads as in messages.txt", "[core][messages]") {
  Messages all;
  refusals(all);
  refusals_of_requests(all);
  settling(all);
  budgets(all);
  windows_rules_tags(all);
  prices(all);
  budgets_as_values(all);
  stores(all);
  ledgers(all);
  misuse(all);

  const std::string path = OUTLAY_TEST_DATA "/messages.txt";
  if (std::getenv("OUTLAY_RENEW_MESSAGES")) {
    std::ofstream(path) << all.text();
    return;
  }
  const std::vector<std::string> expected = paragraphs(read(path)), present = paragraphs(all.text());
  for (std::size_t i = 0; i < std::max(expected.size(), present.size()); ++i) {
    const std::string file = i < expected.size() ? expected[i] : "(nothing)";
    const std::string now = i < present.size() ? present[i] : "(nothing)";
    if (file == now) continue;
    FAIL("The file says:\n"
         << file << "\n\nNow it is:\n"
         << now << "\n\nTo renew tests/data/messages.txt, run this test with OUTLAY_RENEW_MESSAGES=1.");
  }
}
