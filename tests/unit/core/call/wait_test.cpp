#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "core/call/admission.hpp"
#include "outlay/detail/access.hpp"
#include "unit/core/counting_waiter.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;
using namespace std::chrono_literals;
using detail::Admission;

namespace {

/// Counts its wake-ups; nothing else.
/// A call that is admitted step by step on one thread, as the asynchronous form does.
struct Waiting {
  explicit Waiting(const CallRequest& wanted, bool may_wait = true) : request(wanted), arrival(request) {
    if (arrival.enter() != detail::Arrival::Step::undecided) return;
    admission.emplace(arrival, Admission::Caller{.may_wait = may_wait, .waiter = [this] { return waiter; }});
    state = admission->advance(Admission::Event::start);
  }
  Admission::State woken() { return state = admission->advance(Admission::Event::woken); }
  Admission::State time_out() { return state = admission->advance(Admission::Event::timer); }

  const CallRequest request;
  std::shared_ptr<CountingWaiter> waiter = std::make_shared<CountingWaiter>();
  detail::Arrival arrival;
  std::optional<Admission> admission;
  Admission::State state = Admission::State::refused;
};

constexpr auto waiting = Admission::State::in_line;
constexpr auto admitted = Admission::State::admitted;
constexpr auto refused = Admission::State::refused;

}  // namespace

TEST_CASE("wait: a call that does not fit waits, is woken by a settle, and is admitted", "[core][wait]") {
  const Fixture fixture;
  Budget budget({.name = "w", .usd = 0.02_usd, .on_exceed = Wait{}});
  Call running(large_request());
  Waiting late(large_request());
  REQUIRE(late.state == waiting);
  REQUIRE(budget.reserved().usd == 0.0125_usd);  // it holds nothing
  running.settle({.input = 1'000, .output = 0});
  REQUIRE(late.waiter->wakes == 1);
  REQUIRE(late.woken() == admitted);
  Call call(detail::Access::call(late.arrival.take()));
  REQUIRE(budget.state().remaining.usd == 0.005_usd);
  const BudgetEvent event = fixture.ledger.events().back();
  REQUIRE(event.action == Action::waited);
  REQUIRE(event.projected == (0.015_usd).nanos());  // with this call, once
  REQUIRE(event.cap == (0.02_usd).nanos());
}

TEST_CASE("wait: first come first served, and nobody overtakes", "[core][wait]") {
  const Fixture fixture;
  Budget budget({.concurrent = 1, .on_exceed = Wait{}});
  auto running = std::make_unique<Call>(cent_request());
  Waiting first(cent_request()), second(cent_request());
  running.reset();
  REQUIRE(first.waiter->wakes == 1);
  REQUIRE(second.waiter->wakes == 0);
  Waiting newcomer(cent_request());  // there is room, but two are in line
  REQUIRE(newcomer.state == waiting);
  REQUIRE(second.woken() == waiting);
  REQUIRE(first.woken() == admitted);
  REQUIRE(second.waiter->wakes == 1);  // the next in line judges anew, in case there is room for it, too
  REQUIRE(second.woken() == waiting);
  (void)first.arrival.take();
  REQUIRE(second.waiter->wakes == 2);
  REQUIRE(second.woken() == admitted);
}

TEST_CASE("wait: a call that could not fit even after all others ended hands on at once", "[core][wait]") {
  const Fixture fixture;
  Budget budget({.usd = 0.02_usd, .on_exceed = {Wait{}, Block{}}});
  Call(large_request()).settle({.input = 1'000, .output = 1'000});
  REQUIRE(Waiting(large_request()).state == refused);
}

TEST_CASE("wait: a call that needs nothing of what is over its cap waits for the rest", "[core][wait]") {
  const Fixture fixture;
  Budget budget({.usd = 0.02_usd, .concurrent = 1, .on_exceed = Wait{}});
  Call(large_request()).settle({.input = 1'000, .output = 2'000});
  REQUIRE(budget.state().remaining.usd < 0_usd);
  auto running = std::make_unique<Call>(CallRequest{.model = "free", .input_tokens = 1, .max_output_tokens = 1});
  Waiting second({.model = "free", .input_tokens = 1, .max_output_tokens = 1});
  REQUIRE(second.state == waiting);
  running.reset();
  REQUIRE(second.woken() == admitted);
}

TEST_CASE("wait: what was waited for may turn out hopeless", "[core][wait]") {
  const Fixture fixture;
  Budget budget({.usd = 0.02_usd, .on_exceed = Wait{}});
  Call running(large_request());
  Waiting late(large_request());
  REQUIRE(late.state == waiting);
  running.settle({.input = 1'000, .output = 1'000});
  REQUIRE(late.woken() == refused);
  REQUIRE(late.admission->failure().reason() == errc::budget_exceeded);
}

TEST_CASE("wait: after its time-out it hands on to the next policy, and leaves the line", "[core][wait]") {
  const Fixture fixture;
  Budget budget({.usd = 0.02_usd, .on_exceed = {Wait{}, Clamp{}}});
  Call running(large_request());
  Waiting late(large_request());
  Waiting behind(large_request());
  REQUIRE(late.state == waiting);
  REQUIRE(late.admission->deadline() < std::chrono::steady_clock::time_point::max());
  // Clamp could help but for the line, in which it stands itself.
  REQUIRE(late.time_out() == admitted);
  Call call(detail::Access::call(late.arrival.take()));
  REQUIRE(call.max_output_tokens() == 500);
  REQUIRE(behind.waiter->wakes == 1);
}

TEST_CASE("wait: an admission that is destroyed leaves the line and wakes the next", "[core][wait]") {
  const Fixture fixture;
  Budget budget({.concurrent = 1, .on_exceed = Wait{}});
  auto running = std::make_unique<Call>(cent_request());
  auto first = std::make_unique<Waiting>(cent_request());
  Waiting second(cent_request());
  first.reset();
  REQUIRE(second.waiter->wakes == 1);
  REQUIRE(second.woken() == waiting);
  running.reset();
  REQUIRE(second.woken() == admitted);
}

TEST_CASE("wait: a raised cap wakes, and a closed budget refuses those who wait", "[core][wait]") {
  const Fixture fixture;
  Budget outer({.name = "outer", .usd = 1_usd});
  Budget budget({.usd = 0.02_usd, .on_exceed = Wait{}});
  Call running(large_request());
  Waiting late(large_request());
  budget.raise_cap(1_usd, "more");
  REQUIRE(late.waiter->wakes == 1);
  REQUIRE(late.woken() == admitted);

  Budget narrow({.concurrent = 1, .on_exceed = Wait{}});
  Call busy(cent_request());
  Waiting another(cent_request());
  outer.close_to_new_calls("stop");
  REQUIRE(another.waiter->wakes == 1);
  REQUIRE(another.woken() == refused);
  REQUIRE(another.admission->failure().reason() == errc::closed_to_new_calls);
}

TEST_CASE("wait: in an enclosing budget, woken by calls of its other children", "[core][wait]") {
  const Fixture fixture;
  Budget shared({.concurrent = 1, .on_exceed = Wait{}});
  std::optional<Call> sibling;
  {
    Budget child({.usd = 1_usd});
    sibling.emplace(cent_request());
  }
  Budget other({.usd = 1_usd});
  Waiting late(cent_request());
  REQUIRE(late.state == waiting);
  sibling->release();
  REQUIRE(late.waiter->wakes == 1);
  REQUIRE(late.woken() == admitted);
}

TEST_CASE("wait: a call with a Clamp further in is woken by room further out than its line", "[core][wait]") {
  const Fixture fixture;
  Budget outermost({.tokens = 1'220});
  std::optional<Call> other;
  std::optional<Waiting> plain;  // waited before, and does not look outward: it hides nobody behind it
  {
    Budget sibling({.usd = 1_usd, .concurrent = 1, .on_exceed = Wait{}});
    other.emplace(CallRequest{.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'000});
    plain.emplace(CallRequest{.model = "gpt-4o", .input_tokens = 10, .max_output_tokens = 10});
    REQUIRE(plain->state == waiting);
  }
  Budget line({.usd = 0.011_usd, .on_exceed = Wait{}});
  Budget clamping({.usd = 1_usd, .on_exceed = Clamp{}});
  Call running({.model = "gpt-4o", .input_tokens = 10, .max_output_tokens = 100});
  // It waits at `line`, and the Clamp of `clamping` needs room in `outermost`, where no call waits.
  Waiting late({.model = "gpt-4o", .input_tokens = 40, .max_output_tokens = 1'000});
  REQUIRE(late.state == waiting);
  other->release();
  REQUIRE(late.waiter->wakes == 1);
  REQUIRE(late.woken() == admitted);
}

TEST_CASE("wait: a cap raised further out wakes a call that a Clamp lets look there", "[core][wait]") {
  const Fixture fixture;
  Budget outer({.tokens = 100});
  Budget budget({.usd = 1_usd, .concurrent = 1, .on_exceed = {Clamp{}, Wait{}}});
  Call running({.model = "gpt-4o", .input_tokens = 40, .max_output_tokens = 40});
  Waiting late({.model = "gpt-4o", .input_tokens = 40, .max_output_tokens = 40});
  REQUIRE(late.state == waiting);
  outer.raise_cap(Dimension::tokens, 100, "more");
  REQUIRE(late.waiter->wakes == 1);
}

TEST_CASE("wait: a call that is refused after it was rerouted and has waited leaves one event", "[core][wait]") {
  const Fixture fixture;
  Budget outer({.name = "outer", .concurrent = 1, .on_exceed = Wait{}});
  std::optional<Call> other;
  {
    Budget sibling({.usd = 1_usd});
    other.emplace(cent_request());
  }
  Budget inner({.name = "inner", .usd = 0.01_usd, .on_exceed = Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
  Waiting late(large_request());
  REQUIRE(late.state == waiting);
  outer.close_to_new_calls("stop");
  REQUIRE(late.woken() == refused);
  const auto events = fixture.ledger.events();
  REQUIRE(events.size() == 2);
  REQUIRE(events[0].action == Action::closed);
  REQUIRE(events[1].action == Action::blocked);
  REQUIRE(events[1].budget == "outer");
}

TEST_CASE("wait: the event of a call that has waited counts the call once", "[core][wait]") {
  const Fixture fixture;
  Budget budget({.concurrent = 1, .on_exceed = Wait{}});
  Call running(cent_request());
  Waiting late(cent_request());
  running.release();
  REQUIRE(late.woken() == admitted);
  const BudgetEvent event = fixture.ledger.events().back();
  REQUIRE(event.action == Action::waited);
  REQUIRE(event.dimension == Dimension::concurrent);  // none is in the way any more: the one that is capped
  REQUIRE(event.projected == 1);
  REQUIRE(event.cap == 1);
}

TEST_CASE("wait: a call with a Clamp is woken when a line further out has emptied", "[core][wait]") {
  const Fixture fixture;
  Budget outer({.usd = 0.02_usd, .on_exceed = {Wait{1s}, Block{}}});
  Call running(large_request());
  const Context outside = Context::current();
  Budget inner({.usd = 0.0125_usd, .on_exceed = {Clamp{}, Wait{}}});
  Call beside({.model = "cent", .input_tokens = 0, .max_output_tokens = 0, .usd = 0.002_usd});
  const Context inside = Context::current();
  const Attach attach_outside(outside);
  Waiting ahead(large_request());
  REQUIRE(ahead.state == waiting);
  // Its own budget lacks room for the call as it is; a Clamp could make it fit, but for the line further out.
  const Attach attach_inside(inside);
  Waiting clamped(large_request());
  REQUIRE(clamped.state == waiting);
  const int before = clamped.waiter->wakes;
  REQUIRE(ahead.time_out() == refused);
  REQUIRE(clamped.waiter->wakes == before + 1);
  REQUIRE(clamped.woken() == admitted);
}

TEST_CASE("wait: a call that was woken for one line, and must wait in another, stands in that one", "[core][wait]") {
  const Fixture fixture;
  Budget outer({.concurrent = 1, .on_exceed = Wait{}});
  const Context outside = Context::current();
  Budget inner({.concurrent = 1, .on_exceed = Wait{}});
  const Context inside = Context::current();
  auto running = std::make_unique<Call>(cent_request());
  Waiting late(cent_request());
  REQUIRE(late.state == waiting);
  running.reset();
  REQUIRE(late.waiter->wakes == 1);
  const Attach attach_outside(outside);
  auto other = std::make_unique<Call>(cent_request());  // it was faster, and the line further out was empty
  const Attach attach_inside(inside);
  REQUIRE(late.woken() == waiting);
  other.reset();
  REQUIRE(late.waiter->wakes == 2);
  REQUIRE(late.woken() == admitted);
}

TEST_CASE("wait: a Wait that was passed over is said, also where the call is refused then", "[core][wait]") {
  const Fixture fixture;
  int said = 0;
  set_log_handler([&](LogLevel, std::string_view text) { said += text.find("passed over") != text.npos; });
  Budget budget({.name = "passed", .concurrent = 1, .on_exceed = Wait{}});
  Call running(cent_request());
  const Waiting late(cent_request(), false);
  set_log_handler({});
  REQUIRE(late.state == refused);
  REQUIRE(said == 1);
  REQUIRE(fixture.ledger.events().size() == 1);
}

namespace {

/// A store during whose reservations something else happens.
class BusyBackend final : public StoreBackend {
 public:
  BusyBackend(Distance distance, std::function<void()> meanwhile)
      : distance_(distance), meanwhile_(std::move(meanwhile)) {}
  std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands,
                                          std::chrono::milliseconds timeout) override {
    for (const StoreCommand& command : commands)
      if (command.op == StoreCommand::Op::reserve) meanwhile_();
    return memory_->execute(commands, timeout);
  }
  [[nodiscard]] Distance distance() const noexcept override { return distance_; }
  [[nodiscard]] std::string description() const override { return "a busy store"; }

 private:
  Distance distance_;
  std::function<void()> meanwhile_;
  std::unique_ptr<StoreBackend> memory_ = memory_backend();
};

}  // namespace

TEST_CASE("wait: a call that asks a store again because others have ended is not one that the store contradicts",
          "[core][wait][store]") {
  const Fixture fixture;
  std::deque<Call> others;
  const auto store =
      std::make_shared<Store>(std::make_unique<BusyBackend>(StoreBackend::Distance::remote,
                                                            [&] {
                                                              if (others.size() > 20 && others.size() < 60)
                                                                others.pop_front();
                                                            }),
                              StoreOptions{.on_unreachable = OnUnreachable::deny()});
  Budget day({.name = "busy", .usd = 1_usd, .on_exceed = Wait{300ms}, .window = Window::forever(), .store = store});
  for (int i = 0; i < 60; ++i) others.emplace_back(cent_request());
  others.pop_back();  // from now on one ends whenever the store is asked
  const Result<Call> late = try_call({.model = "free", .input_tokens = 0, .max_output_tokens = 0, .usd = 0.9_usd});
  REQUIRE_FALSE(late);
  REQUIRE(late.error().reason() == errc::budget_exceeded);
}

TEST_CASE("wait: what a store has granted is given back where a budget here has no room any more",
          "[core][wait][store]") {
  const Fixture fixture;
  Budget outer({.name = "outer", .calls = 1});
  const Context here = Context::current();
  std::optional<Call> other;
  const auto store = std::make_shared<Store>(std::make_unique<BusyBackend>(StoreBackend::Distance::remote,
                                                                           [&] {
                                                                             const Attach attach(here);
                                                                             other.emplace(cent_request());
                                                                           }),
                                             StoreOptions{.on_unreachable = OnUnreachable::deny()});
  Budget day({.name = "given back", .calls = 10, .window = Window::forever(), .store = store});
  const Result<Call> late = try_call(cent_request());
  REQUIRE_FALSE(late);
  REQUIRE(late.error().budget() == "outer");
  REQUIRE(outer.reserved().calls == 1);
  REQUIRE(day.reserved().calls == 0);
}

TEST_CASE("wait: a window that turns after the store was asked lets the call try again at once",
          "[core][wait][store]") {
  using namespace std::chrono;
  const Fixture fixture;
  const Time midnight = sys_days(2026y / January / 2);
  fixture.clock->set(midnight - 1s);
  int asked = 0;
  const auto store = std::make_shared<Store>(std::make_unique<BusyBackend>(StoreBackend::Distance::local,
                                                                           [&] {
                                                                             // What it answers is of the day that has just ended.
                                                                             if (++asked == 2)
                                                                               fixture.clock->set(midnight);
                                                                           }),
                                             StoreOptions{.on_unreachable = OnUnreachable::deny()});
  Budget day({.name = "turns", .calls = 1, .on_exceed = Wait{1min}, .window = Window::day(), .store = store});
  Call(cent_request()).settle(Usage{});
  REQUIRE(Call(cent_request()).open());
  REQUIRE(asked == 3);
}

TEST_CASE("wait: the blocking form waits for room on its thread", "[core][wait]") {
  const Fixture fixture;
  Budget budget({.concurrent = 1, .on_exceed = Wait{.timeout = 60s}});
  auto running = std::make_unique<Call>(cent_request());
  std::atomic<bool> done{false};
  std::thread other(Context::current().bind([&] {
    Call call(cent_request());
    done = true;
  }));
  const detail::BudgetNode& node = *detail::ambient()->budget;
  const auto in_line = [&] {
    const auto lock = node.lock_tree();
    return !node.line.empty();
  };
  while (!in_line()) std::this_thread::yield();
  REQUIRE(!done);
  running.reset();
  other.join();
  REQUIRE(done);
}

TEST_CASE("wait: the blocking form is refused after its time-out", "[core][wait]") {
  const Fixture fixture;
  Budget budget({.concurrent = 1, .on_exceed = Wait{.timeout = 1ms}});
  Call running(cent_request());
  REQUIRE(try_call(cent_request()).error().reason() == errc::budget_exceeded);
  REQUIRE(budget.reserved().concurrent == 1);
}
