#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>

#include "coroutine_support.hpp"
#include "run_coroutine.hpp"

using namespace std::chrono_literals;
using outlay::Budget;
using outlay::Call;
using outlay::CallRequest;
using outlay::Result;

namespace {

constexpr CallRequest hundred_tokens{.model = "gpt-4o", .input_tokens = 50, .max_output_tokens = 50};

}  // namespace

TEST_CASE("async_call: admits in the context of the caller", "[asio][async_call]") {
  const auto coroutine = []() -> asio::awaitable<void> {
    Budget budget({.name = "room", .tokens = 100});
    {
      Call call = co_await outlay::async_call(hundred_tokens, asio::use_awaitable);
      CHECK(call.open());
      CHECK(budget.reserved().tokens == 100);
      call.settle({.input = 50, .output = 10});
    }
    CHECK(budget.spent().tokens == 60);
    CHECK(budget.reserved().tokens == 0);
  };
  run(coroutine);
}

TEST_CASE("async_call: a braced request is safe in a co_await expression", "[asio][async_call]") {
  const auto coroutine = []() -> asio::awaitable<void> {
    Budget budget({.name = "room", .tokens = 1'000'000});
    const std::string model = "gpt-4o-mini-as-long-as-no-small-string-can-be";
    const std::string text(1'000, 'x');
    outlay::Track track({{"key", "value"}});
    try {
      Call call = co_await outlay::async_call({.model = model, .input_text = text, .max_output_tokens = 5},
                                              asio::use_awaitable);
    } catch (const outlay::BudgetExceeded&) {
    }
    Call known = co_await outlay::async_call({.model = std::string("gpt-4o"),
                                              .input_text = text,
                                              .max_output_tokens = 5,
                                              .tags = {{"user_id", "user-" + text}, {"turn", std::to_string(7)}}},
                                             asio::use_awaitable);
    CHECK(known.model() == "gpt-4o");
    CHECK(known.reserved().tokens > 5);
    known.settle({.input = 1});
    const outlay::Tags tags = outlay::Ledger::current().records().back().tags;
    CHECK(tags.at("user_id") == "user-" + text);
    CHECK(tags.at("turn") == "7");
  };
  run(coroutine);
}

TEST_CASE("async_call: a refusal is thrown as the same BudgetExceeded", "[asio][async_call]") {
  const auto coroutine = []() -> asio::awaitable<std::string> {
    Budget budget({.name = "tight", .tokens = 99});
    try {
      Call call = co_await outlay::async_call(hundred_tokens, asio::use_awaitable);
    } catch (const outlay::BudgetExceeded& e) {
      CHECK(e.limit() == "99");
      CHECK(e.requested() == "100");
      co_return e.budget();
    }
    co_return std::string();
  };
  CHECK(run(coroutine) == "tight");
}

TEST_CASE("async_try_call: a refusal is a value", "[asio][async_call]") {
  const auto coroutine = []() -> asio::awaitable<std::string> {
    Budget budget({.name = "tight", .tokens = 99});
    const Result<Call> refused = co_await outlay::async_try_call(hundred_tokens, asio::use_awaitable);
    CHECK_FALSE(refused);
    co_return refused.error().budget();
  };
  CHECK(run(coroutine) == "tight");
}

TEST_CASE("async_call: a Wait policy holds no thread while it waits", "[asio][async_call][wait]") {
  Checks checks;
  asio::io_context io;  // one thread: a call that blocked it would wait for ever
  const auto parent = [&]() -> asio::awaitable<void> {
    Budget queue({.name = "queue", .concurrent = 2, .on_exceed = outlay::Wait{.timeout = 1h}});
    int running = 0;
    int most = 0;
    const auto worker = [&](std::string name) -> asio::awaitable<void> {
      Track track({{"who", name}});
      Call call = co_await outlay::async_call(hundred_tokens, asio::use_awaitable);
      checks.is(who(), name);
      most = std::max(most, ++running);
      for (int i = 0; i < 5; ++i) co_await hop();
      --running;
      call.settle({.input = 1, .output = 1});
    };
    std::vector<asio::awaitable<void>> workers;
    for (int i = 0; i < 20; ++i) workers.push_back(worker(std::to_string(i)));
    co_await outlay::wait_all(std::move(workers));
    checks.that(most == 2);
    checks.that(queue.spent().calls == 20);
    checks.that(queue.reserved().calls == 0);
  };
  std::future<void> done = outlay::co_spawn(io, parent, asio::use_future);
  io.run();
  done.get();
  checks.report(23);
}

TEST_CASE("async_call: waiting calls are woken from other threads, first come first served",
          "[asio][async_call][wait]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto parent = [&]() -> asio::awaitable<void> {
    Budget queue({.name = "queue", .concurrent = 3, .on_exceed = outlay::Wait{.timeout = 1h}});
    std::atomic<int> running{0};
    const auto worker = [&](std::string name) -> asio::awaitable<void> {
      Track track({{"who", name}});
      for (int i = 0; i < 10; ++i) {
        Call call = co_await outlay::async_call(hundred_tokens, asio::use_awaitable);
        checks.that(++running <= 3);
        co_await hop();
        checks.is(who(), name);
        --running;
        call.settle({.input = 1, .output = 1});
      }
    };
    std::vector<asio::awaitable<void>> workers;
    const auto executor = co_await asio::this_coro::executor;
    for (int i = 0; i < 30; ++i) {
      const auto on_pool = [&worker, &pool, i]() -> asio::awaitable<void> {
        co_await outlay::co_spawn(pool, worker(std::to_string(i)), asio::use_awaitable);
      };
      workers.push_back(outlay::branch(on_pool));
    }
    co_await outlay::wait_all(std::move(workers));
    checks.that(queue.spent().calls == 300);
    checks.that(queue.reserved().calls == 0);
  };
  std::future<void> done = outlay::co_spawn(pool, parent, asio::use_future);
  done.get();
  pool.join();
  checks.report(602);
}

TEST_CASE("async_call: a Wait that times out is refused with the facts", "[asio][async_call][wait]") {
  const auto coroutine = []() -> asio::awaitable<std::string> {
    Budget queue({.name = "queue", .concurrent = 1, .on_exceed = outlay::Wait{.timeout = 1ms}});
    Call first(hundred_tokens);
    const Result<Call> second = co_await outlay::async_try_call(hundred_tokens, asio::use_awaitable);
    CHECK_FALSE(second);
    first.release();
    const Result<Call> third = co_await outlay::async_try_call(hundred_tokens, asio::use_awaitable);
    CHECK(third);
    co_return second.error().budget();
  };
  CHECK(run(coroutine) == "queue");
}

TEST_CASE("async_call: cancelled while it waits, it leaves the line with nothing reserved",
          "[asio][async_call][cancel]") {
  asio::thread_pool pool(2);
  Budget queue({.name = "queue", .concurrent = 1, .on_exceed = outlay::Wait{.timeout = 1h}});
  Call first(hundred_tokens);
  for (const bool throwing : {true, false}) {
    asio::cancellation_signal signal;
    std::promise<outlay::errc> result;
    if (throwing) {
      outlay::async_call(hundred_tokens,
                         asio::bind_cancellation_slot(
                             signal.slot(), asio::bind_executor(pool, [&](std::exception_ptr error, Call call) {
                               CHECK_FALSE(call.open());
                               try {
                                 std::rethrow_exception(error);
                               } catch (const boost::system::system_error& e) {
                                 result.set_value(e.code() == asio::error::operation_aborted ? outlay::errc::cancelled
                                                                                             : outlay::errc::ok);
                               }
                             })));
    } else {
      outlay::async_try_call(hundred_tokens, asio::bind_cancellation_slot(
                                                 signal.slot(), asio::bind_executor(pool, [&](Result<Call> call) {
                                                   result.set_value(call ? outlay::errc::ok : call.error().reason());
                                                 })));
    }
    signal.emit(asio::cancellation_type::total);
    CHECK(result.get_future().get() == outlay::errc::cancelled);
    CHECK(queue.reserved().calls == 1);
  }
  first.release();
  Call second(hundred_tokens);  // nobody is in line
  CHECK(queue.reserved().calls == 1);
}

TEST_CASE("async_call: an operation destroyed with its io_context leaves the line", "[asio][async_call][frames]") {
  Budget queue({.name = "queue", .concurrent = 1, .on_exceed = outlay::Wait{.timeout = 1h}});
  Call first(hundred_tokens);
  {
    asio::io_context io;
    const auto waiter = []() -> asio::awaitable<void> {
      Call call = co_await outlay::async_call(hundred_tokens, asio::use_awaitable);
      FAIL_CHECK("must not be admitted");
    };
    outlay::co_spawn(io, waiter, asio::detached);
    outlay::co_spawn(io, waiter, asio::detached);
    io.poll();
  }
  first.release();
  Call second(hundred_tokens);
  CHECK(queue.reserved().calls == 1);
}

TEST_CASE("async_call: works with futures and callbacks, and never completes inside its start",
          "[asio][async_call][token]") {
  Budget budget({.name = "room", .calls = 10});
  CHECK(outlay::async_call(hundred_tokens, asio::use_future).get().open());
  CHECK(outlay::async_try_call(hundred_tokens, asio::use_future).get().has_value());
  asio::io_context io;
  int called = 0;
  outlay::async_call(hundred_tokens, asio::bind_executor(io, [&](std::exception_ptr error, Call call) {
                       CHECK_FALSE(error);
                       CHECK(call.open());
                       ++called;
                     }));
  CHECK(called == 0);
  io.run();
  CHECK(called == 1);
  CHECK(budget.reserved().calls == 0);
}

TEST_CASE("async_run: yields the value, or nothing when its own budget truncated", "[asio][async_run]") {
  const auto coroutine = []() -> asio::awaitable<void> {
    const outlay::BudgetOptions roomy{.name = "roomy", .tokens = 1'000, .on_exceed = outlay::Truncate{}};
    const outlay::BudgetOptions tight{.name = "tight", .tokens = 10, .on_exceed = outlay::Truncate{}};
    const outlay::BudgetOptions blocking{.name = "blocking", .tokens = 10};
    const auto work = []() -> asio::awaitable<int> {
      co_await hop();
      Call call(hundred_tokens);
      co_await hop();
      CHECK(Context::current().budgets().size() == 1);
      call.settle({.input = 1, .output = 1});
      co_return 42;
    };
    const auto quiet = [&]() -> asio::awaitable<void> { static_cast<void>(co_await work()); };
    // Not inside CHECK: its macro names the expression twice, and g++ 12 awaits it twice.
    const std::optional<int> value = co_await outlay::async_run(roomy, work);
    CHECK(value == 42);
    const std::optional<int> truncated = co_await outlay::async_run(tight, work);
    CHECK_FALSE(truncated.has_value());
    const bool ran = co_await outlay::async_run(roomy, quiet);
    CHECK(ran);
    const bool truncated_quietly = !co_await outlay::async_run(tight, quiet);
    CHECK(truncated_quietly);
    bool thrown = false;
    try {
      co_await outlay::async_run(blocking, work);
    } catch (const outlay::BudgetExceeded& e) {
      thrown = e.budget() == "blocking";
    }
    CHECK(thrown);
    CHECK(Context::current().budgets().empty());
  };
  run(coroutine);
}

TEST_CASE("async_budgeted: each call runs under a fresh budget, with its arguments kept", "[asio][async_run]") {
  const outlay::BudgetOptions options{.name = "each", .tokens = 100, .on_exceed = outlay::Truncate{}};
  const auto wrapped =
      outlay::async_budgeted(options, [](const std::string& text, int times) -> asio::awaitable<std::string> {
        std::string result;
        for (int i = 0; i < times; ++i) {
          Call call(hundred_tokens);
          call.settle({.input = 20, .output = 20});
          co_await hop();
          result += text;
        }
        co_return result;
      });
  const auto coroutine = [&]() -> asio::awaitable<void> {
    auto started = wrapped(std::string("as long as no small string can be "), 1);
    co_await hop();
    const std::optional<std::string> first = co_await std::move(started);
    CHECK(first == "as long as no small string can be ");
    const std::string x = "x",
                      y = "y";  // of the parameter's type: a reference to a converted copy would dangle
    const std::optional<std::string> second = co_await wrapped(x, 3);
    CHECK_FALSE(second.has_value());
    const std::optional<std::string> third = co_await wrapped(y, 1);
    CHECK(third == "y");
  };
  run(coroutine);
}

TEST_CASE("async_call: a callback may run the io_context that it was called on, cancel its own call, and make calls",
          "[asio][async_call]") {
  asio::io_context io;
  asio::cancellation_signal cancel;
  int asked = 0;
  bool admitted = false;
  const auto coroutine = [&]() -> asio::awaitable<void> {
    Budget budget({.name = "asks",
                   .tokens = 60,
                   .on_exceed = outlay::Callback{[&](const outlay::Exceeded&) {
                     ++asked;
                     cancel.emit(asio::cancellation_type::terminal);
                     io.restart();
                     io.poll();
                     CHECK_FALSE(outlay::try_call({.model = "gpt-4o", .input_tokens = 61, .max_output_tokens = 1}));
                     return outlay::Decision::allow();
                   }}});
    const Result<Call> call = co_await outlay::async_try_call(
        hundred_tokens, asio::bind_cancellation_slot(cancel.slot(), asio::use_awaitable));
    admitted = call.has_value();
  };
  outlay::co_spawn(io, coroutine, asio::detached);
  io.run();
  CHECK(asked == 1);
  CHECK(admitted);  // it was decided before the cancellation was looked at
}
