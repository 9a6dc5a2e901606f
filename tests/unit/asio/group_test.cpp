#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "coroutine_support.hpp"

// The other files of this program have Asio's && and ||, this one outlay's.
namespace groups {

using namespace outlay::awaitable_operators;

namespace {

using namespace outlay::literals;

asio::awaitable<void> nothing() { co_await hop(); }
template <class T>
asio::awaitable<T> value(T result) {
  co_await hop();
  co_return result;
}

/// Waits until it is cancelled, and expects its own scope then.
asio::awaitable<void> endless(Checks& checks, std::string name) {
  Track track({{"who", name}});
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::hours(1));
  try {
    co_await timer.async_wait(asio::use_awaitable);
  } catch (...) {
    checks.is(who(), name);
    throw;
  }
}

template <class T>
T run(asio::awaitable<T> coroutine) {
  asio::thread_pool pool(2);
  if constexpr (std::is_void_v<T>) {
    outlay::co_spawn(pool, std::move(coroutine), asio::use_future).get();
  } else {
    std::optional<T> result;  // a value on its way through co_spawn would have to be default constructible
    const auto store = [&]() -> asio::awaitable<void> { result.emplace(co_await std::move(coroutine)); };
    outlay::co_spawn(pool, store, asio::use_future).get();
    return std::move(*result);
  }
}

struct NoDefault {
  explicit NoDefault(int given) : number(given) {}
  int number;
};

}  // namespace

TEST_CASE("operator&&: yields what Asio's own does", "[asio][group]") {
  using std::monostate;
  using std::tuple;
  static_assert(std::is_same_v<decltype(nothing() && nothing()), asio::awaitable<void>>);
  static_assert(std::is_same_v<decltype(nothing() && value(1)), asio::awaitable<int>>);
  static_assert(std::is_same_v<decltype(value(1) && nothing()), asio::awaitable<int>>);
  static_assert(std::is_same_v<decltype(value(1) && value('a')), asio::awaitable<tuple<int, char>>>);
  static_assert(std::is_same_v<decltype(value(1) && value('a') && value(2L)), asio::awaitable<tuple<int, char, long>>>);
  static_assert(
      std::is_same_v<decltype(value(1) && value('a') && nothing()), asio::awaitable<tuple<int, char, monostate>>>);
  run(nothing() && nothing());
  CHECK(run(nothing() && value(1)) == 1);
  CHECK(run(value(1) && nothing()) == 1);
  CHECK(run(value(1) && value('a')) == tuple(1, 'a'));
  CHECK(run(value(1) && value('a') && value(2L)) == tuple(1, 'a', 2L));
  CHECK(run(value(1) && value('a') && nothing()) == tuple(1, 'a', monostate()));
  CHECK(std::get<1>(run(value(1) && value(NoDefault(4)))).number == 4);
  CHECK(*std::get<0>(run(value(std::make_unique<int>(3)) && value(1))) == 3);
}

TEST_CASE("operator||: yields what Asio's own does", "[asio][group]") {
  using std::monostate;
  using std::variant;
  static_assert(std::is_same_v<decltype(nothing() || nothing()), asio::awaitable<variant<monostate, monostate>>>);
  static_assert(std::is_same_v<decltype(nothing() || value(1)), asio::awaitable<variant<monostate, int>>>);
  static_assert(std::is_same_v<decltype(value(1) || nothing()), asio::awaitable<variant<int, monostate>>>);
  static_assert(std::is_same_v<decltype(value(1) || value('a')), asio::awaitable<variant<int, char>>>);
  static_assert(
      std::is_same_v<decltype(value(1) || value('a') || value(2L)), asio::awaitable<variant<int, char, long>>>);
  static_assert(
      std::is_same_v<decltype(value(1) || value('a') || nothing()), asio::awaitable<variant<int, char, monostate>>>);
  Checks checks;
  CHECK(std::get<1>(run(endless(checks, "loser") || value(1))) == 1);
  CHECK(std::get<0>(run(value(1) || endless(checks, "loser"))) == 1);
  CHECK(std::get<2>(run(endless(checks, "first") || endless(checks, "second") || value(2L))) == 2L);
  CHECK(std::get<1>(run(endless(checks, "first") || value('a') || endless(checks, "third"))) == 'a');
  CHECK(std::get<1>(run(endless(checks, "loser") || value(NoDefault(4)))).number == 4);
  checks.report(7);
}

TEST_CASE("groups: each child has a context of its own below the caller's", "[asio][group][context]") {
  const outlay::MisuseCounts before = outlay::misuse_counts();
  Checks checks;
  asio::thread_pool pool(4);
  const auto parent = [&](std::string name) -> asio::awaitable<void> {
    Track track({{"who", name}});
    for (int i = 0; i < 5; ++i) {
      co_await (walk(checks, name + " a", 3, name) && walk(checks, name + " b", 3, name));
      checks.is(who(), name);
      std::vector<asio::awaitable<void>> children;
      for (int c = 0; c < 4; ++c) children.push_back(walk(checks, name + " r" + std::to_string(c), 2, name));
      co_await outlay::wait_all(std::move(children));
      checks.is(who(), name);
      co_await hop();
      checks.is(who(), name);
    }
  };
  for (int i = 0; i < 50; ++i) outlay::co_spawn(pool, parent(std::to_string(i)), asio::detached);
  pool.join();
  checks.report(50 * 5 * (2 * 11 + 4 * 8 + 3));
  const outlay::MisuseCounts after = outlay::misuse_counts();
  CHECK(after.closed_elsewhere == before.closed_elsewhere);
  CHECK(after.ambiguous_home == before.ambiguous_home);
}

TEST_CASE("groups: a loser on a pool of four threads unwinds with its scopes current", "[asio][group][context]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto parent = [&](std::string name) -> asio::awaitable<void> {
    Track track({{"who", name}});
    const auto winner = co_await (endless(checks, name + " loser") || walk(checks, name + " winner", 2, name));
    checks.that(winner.index() == 1);
    checks.is(who(), name);
  };
  for (int i = 0; i < 200; ++i) outlay::co_spawn(pool, parent(std::to_string(i)), asio::detached);
  pool.join();
  checks.report(200 * 11);
}

TEST_CASE("groups: races of two that end at the same time are safe on a pool", "[asio][group][stress]") {
  asio::thread_pool pool(4);
  std::atomic<int> done{0};
  const auto racer = [](int hops) -> asio::awaitable<void> {
    Track track({{"who", "racer"}});
    for (int i = 0; i < hops; ++i) co_await hop();
  };
  const auto parent = [&](int hops) -> asio::awaitable<void> {
    for (int i = 0; i < 100; ++i) {
      co_await (racer(hops) || racer(hops));
      co_await ((racer(hops) || racer(1)) || (racer(hops) && racer(hops)));
    }
    ++done;
  };
  for (int i = 0; i < 100; ++i) outlay::co_spawn(pool, parent(i % 3), asio::detached);
  pool.join();
  CHECK(done == 100);
}

TEST_CASE("operator&&: a child's own exception comes through, not the cancellation that followed", "[asio][group]") {
  Checks checks;
  const auto failing = []() -> asio::awaitable<int> {
    co_await hop();
    throw std::runtime_error("first");
  };
  CHECK_THROWS_WITH(run(failing() && endless(checks, "sibling")), "first");
  CHECK_THROWS_WITH(run(endless(checks, "sibling") && failing()), "first");
  CHECK_THROWS_WITH(run((endless(checks, "cousin") && endless(checks, "sibling")) && failing()), "first");
  checks.report(4);
}

TEST_CASE("operator&&: two failures of their own are multiple_exceptions with the first", "[asio][group]") {
  const auto failing = [](const char* what) -> asio::awaitable<void> {
    throw std::runtime_error(what);
    co_return;
  };
  try {
    run(failing("first") && failing("second"));
    FAIL("nothing was thrown");
  } catch (const asio::multiple_exceptions& e) {
    CHECK_THROWS_WITH(std::rethrow_exception(e.first_exception()), "first");
  }
}

TEST_CASE("operator||: one failure is passed over, two are thrown", "[asio][group]") {
  const auto failing = []() -> asio::awaitable<int> {
    throw std::runtime_error("no");
    co_return 0;
  };
  CHECK(std::get<1>(run(failing() || value(5))) == 5);
  CHECK_THROWS_AS(run(failing() || failing()), asio::multiple_exceptions);
}

TEST_CASE("operator&&: a refused call in one child is the BudgetExceeded that the caller catches",
          "[asio][group][budget]") {
  Checks checks;
  const auto spender = []() -> asio::awaitable<void> {
    co_await hop();
    outlay::Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 100});
  };
  const auto parent = [&]() -> asio::awaitable<std::string> {
    outlay::Budget budget({.name = "tight", .tokens = 10});
    try {
      co_await (spender() && endless(checks, "sibling"));
    } catch (const outlay::BudgetExceeded& e) {
      co_return e.budget();
    }
    co_return std::string("not refused");
  };
  CHECK(run(parent()) == "tight");
  checks.report(1);
}

TEST_CASE("wait_all: values in the order of the range; an empty range is done at once", "[asio][group]") {
  std::vector<asio::awaitable<int>> children;
  for (int i = 0; i < 5; ++i) children.push_back(value(i));
  const std::vector<int> values = run(outlay::wait_all(std::move(children)));
  CHECK(values == std::vector{0, 1, 2, 3, 4});
  CHECK(run(outlay::wait_all(std::vector<asio::awaitable<int>>())).empty());
  run(outlay::wait_all(std::vector<asio::awaitable<void>>()));
}

TEST_CASE("wait_any: says which succeeded first; an empty range is refused", "[asio][group]") {
  Checks checks;
  const auto endless_value = [&checks](int i) -> asio::awaitable<int> {
    co_await endless(checks, "loser " + std::to_string(i));
    co_return i;
  };
  std::vector<asio::awaitable<int>> children;
  children.push_back(endless_value(0));
  children.push_back(value(7));
  children.push_back(endless_value(2));
  const std::pair<std::size_t, int> first = run(outlay::wait_any(std::move(children)));
  CHECK(first == std::pair<std::size_t, int>(1, 7));
  checks.report(2);
  CHECK_THROWS_AS(run(outlay::wait_any(std::vector<asio::awaitable<int>>())), outlay::Error);
}

TEST_CASE("groups: cancelling the caller cancels the children", "[asio][group][cancel]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto strand = asio::make_strand(pool);
  asio::cancellation_signal signal;
  std::promise<void> waiting;
  const auto parent = [&]() -> asio::awaitable<void> {
    const auto announce = [&]() -> asio::awaitable<void> {
      waiting.set_value();
      co_await endless(checks, "second");
    };
    co_await (endless(checks, "first") && announce());
  };
  std::future<void> done =
      outlay::co_spawn(strand, parent, asio::bind_cancellation_slot(signal.slot(), asio::use_future));
  waiting.get_future().wait();
  asio::post(strand, [&] { signal.emit(asio::cancellation_type::terminal); });
  CHECK_THROWS_AS(done.get(), boost::system::system_error);
  pool.join();
  checks.report(2);
}

TEST_CASE("groups: also of a caller on a plain executor", "[asio][group]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto parent = [&]() -> asio::awaitable<int> { co_return co_await (walk(checks, "a", 3) && value(3)); };
  CHECK(asio::co_spawn(pool, parent, asio::use_future).get() == 3);
  pool.join();
  checks.report(11);
}

TEST_CASE("groups: an io_context destroyed under a running group destroys it", "[asio][group][frames]") {
  Checks checks;
  auto io = std::make_unique<asio::io_context>();
  const auto parent = [&]() -> asio::awaitable<void> {
    Track track({{"who", "parent"}});
    co_await (endless(checks, "a") && (endless(checks, "b") || endless(checks, "c")));
  };
  outlay::co_spawn(*io, parent, asio::detached);
  io->poll();
  io.reset();
  CHECK(Context::current().empty());
}

namespace {

/// A call of one cent more than a cap of a cent holds.
asio::awaitable<int> too_dear() {
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  const outlay::Call call({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = 0.02_usd});
  co_return 1;
}
asio::awaitable<int> with_both() {
  auto [a, b] = co_await (too_dear() && too_dear());
  co_return a + b;
}
asio::awaitable<int> with_either() { co_return (co_await (too_dear() || too_dear())).index() == 0 ? 1 : 2; }
asio::awaitable<int> with_many() {
  std::vector<asio::awaitable<int>> children;
  for (int i = 0; i < 3; ++i) children.push_back(too_dear());
  const std::vector<int> values = co_await outlay::wait_all(std::move(children));
  co_return static_cast<int>(values.size());
}
asio::awaitable<int> translated() {
  try {
    co_return co_await too_dear();
  } catch (const outlay::BudgetExceeded&) {
    throw std::runtime_error("no answer today");
  }
}

}  // namespace

TEST_CASE("groups: where a budget truncates the children, async_run yields nothing, whatever they throw",
          "[asio][group]") {
  for (const auto child : {with_both, with_either, with_many, translated, too_dear}) {
    asio::io_context io;
    bool ended = false;
    const auto parent = [&]() -> asio::awaitable<void> {
      const outlay::BudgetOptions options{.name = "quiet", .usd = 0.01_usd, .on_exceed = outlay::Truncate{}};
      const std::optional<int> value = co_await outlay::async_run(options, child);
      CHECK_FALSE(value);
      ended = true;
    };
    outlay::co_spawn(io, parent, asio::detached);
    io.run();
    CHECK(ended);
  }
}

TEST_CASE("groups: where every child was refused, one refusal is thrown", "[asio][group]") {
  for (const auto child : {with_both, with_either, with_many}) {
    asio::io_context io;
    bool refused = false;
    const auto parent = [&]() -> asio::awaitable<void> {
      const outlay::Budget budget({.name = "tight", .usd = 0.01_usd});
      try {
        co_await child();
      } catch (const outlay::BudgetExceeded& exceeded) {
        refused = exceeded.budget() == "tight";
      }
    };
    outlay::co_spawn(io, parent, asio::detached);
    io.run();
    CHECK(refused);
  }
}

}  // namespace groups
