#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/json.hpp>

#include "coroutine_support.hpp"
#include "run_coroutine.hpp"

namespace json = boost::json;
using outlay::Budget;

namespace {

json::object question(std::string_view model = "gpt-4o") {
  return {{"model", model},
          {"max_completion_tokens", 100},
          {"messages", json::array{json::object{{"role", "user"}, {"content", "Summarize invoice 1042."}}}}};
}

json::value answer(std::int64_t input, std::int64_t output) {
  return {{"model", "gpt-4o-mini-2024-07-18"},
          {"choices", json::array{json::object{{"message", {{"role", "assistant"}, {"content", "Paid."}}}}}},
          {"usage", {{"prompt_tokens", input}, {"completion_tokens", output}}}};
}

}  // namespace

TEST_CASE("async_guard: sends the request as the policies left it and settles by the reply", "[asio][async_guard]") {
  const auto coroutine = []() -> asio::awaitable<void> {
    Budget budget({.name = "run",
                   .usd = outlay::Usd::from_nanos(500'000),
                   .on_exceed = outlay::Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
    Track track({{"who", "caller"}});
    const json::object request = question();
    const auto post = [](const json::object& body) -> asio::awaitable<json::value> {
      CHECK(body.at("model") == "gpt-4o-mini");
      CHECK(who() == "caller");
      Track inner({{"who", "transport"}});
      co_await hop();
      CHECK(who() == "transport");
      co_return answer(20, 7);
    };
    const json::value reply =
        co_await outlay::async_guard(outlay::Api::openai_chat, request, post, asio::use_awaitable);
    CHECK(reply.at("usage").at("completion_tokens").as_int64() == 7);
    CHECK(budget.spent().tokens == 27);
    CHECK(budget.reserved().tokens == 0);
    CHECK(who() == "caller");
  };
  run(coroutine);
}

TEST_CASE("async_guard: a refusal is thrown before anything is sent", "[asio][async_guard]") {
  const auto coroutine = []() -> asio::awaitable<bool> {
    Budget budget({.name = "tight", .tokens = 20});
    bool sent = false;
    const auto post = [&](const json::object&) -> asio::awaitable<json::value> {
      sent = true;
      co_return answer(1, 1);
    };
    const json::object request = question();
    bool refused = false;
    try {
      co_await outlay::async_guard(outlay::Api::openai_chat, request, post, asio::use_awaitable);
    } catch (const outlay::BudgetExceeded& e) {
      refused = e.budget() == "tight";
    }
    CHECK(budget.spent().calls == 0);
    CHECK_FALSE(sent);
    co_return refused;
  };
  CHECK(run(coroutine));
}

TEST_CASE("async_guard: a transport that throws leaves the call charged, not free", "[asio][async_guard]") {
  const auto coroutine = []() -> asio::awaitable<void> {
    Budget budget({.name = "run", .tokens = 10'000});
    const auto post = [](const json::object&) -> asio::awaitable<json::value> {
      co_await hop();
      throw std::runtime_error("connection reset");
    };
    const json::object request = question();
    bool thrown = false;
    try {
      co_await outlay::async_guard(outlay::Api::openai_chat, request, post, asio::use_awaitable);
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    CHECK(thrown);
    CHECK(budget.spent().tokens >= 100);
    CHECK(budget.reserved().tokens == 0);
  };
  run(coroutine);
}

TEST_CASE("async_guard: a transport that throws may say that nothing is billed", "[asio][async_guard]") {
  const auto coroutine = []() -> asio::awaitable<void> {
    Budget budget({.name = "run", .tokens = 10'000});
    const auto refused = [](const json::object&) -> asio::awaitable<json::value> {
      co_await hop();
      throw outlay::NotBilled(429);
    };
    const auto failed = [](const json::object&) -> asio::awaitable<json::value> {
      co_await hop();
      throw std::runtime_error("HTTP 503");
    };
    const outlay::GuardOptions judged{.judge = [](const std::exception& thrown) -> std::optional<int> {
      return std::string_view(thrown.what()) == "HTTP 503" ? std::optional<int>(503) : std::nullopt;
    }};
    const json::object request = question();
    int thrown = 0;
    try {
      co_await outlay::async_guard(outlay::Api::openai_chat, request, refused, asio::use_awaitable);
    } catch (const outlay::NotBilled& error) {
      thrown = error.status();
    }
    CHECK(thrown == 429);
    try {
      co_await outlay::async_guard(outlay::Api::openai_chat, request, failed, asio::use_awaitable, judged);
    } catch (const std::runtime_error&) {
      ++thrown;
    }
    CHECK(thrown == 430);
    CHECK(budget.spent().tokens == 0);
    CHECK(budget.reserved().tokens == 0);
  };
  run(coroutine);
}

TEST_CASE("async_guard: a reply with its status settles by what the status means", "[asio][async_guard]") {
  const auto coroutine = []() -> asio::awaitable<void> {
    Budget budget({.name = "run", .tokens = 10'000});
    const auto post = [](const outlay::GuardedCall& call) -> asio::awaitable<outlay::HttpReply> {
      CHECK(call.model() == "gpt-4o");
      co_await hop();
      co_return outlay::HttpReply{.status = 429, .body = nullptr};
    };
    const json::object request = question();
    const outlay::HttpReply reply =
        co_await outlay::async_guard(outlay::Api::openai_chat, request, post, asio::use_awaitable);
    CHECK(reply.status == 429);
    CHECK(budget.spent().tokens == 0);
    CHECK(budget.reserved().tokens == 0);
  };
  run(coroutine);
}

TEST_CASE("async_guard: cancelled under way it is charged, and the request may be gone by then",
          "[asio][async_guard][cancel]") {
  asio::thread_pool pool(2);
  const auto strand = asio::make_strand(pool);
  asio::cancellation_signal signal;
  Budget budget({.name = "run", .tokens = 10'000});
  std::promise<void> sent;
  const auto post = [&](const json::object&) -> asio::awaitable<json::value> {
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::hours(1));
    sent.set_value();
    co_await timer.async_wait(asio::use_awaitable);
    co_return answer(1, 1);
  };
  std::future<json::value> reply;
  {
    const json::object request = question();
    reply =
        outlay::async_guard(outlay::Api::openai_chat, request, post,
                            asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(strand, asio::use_future)));
  }
  sent.get_future().wait();
  asio::post(strand, [&] { signal.emit(asio::cancellation_type::terminal); });
  CHECK_THROWS_AS(reply.get(), boost::system::system_error);
  pool.join();
  CHECK(budget.spent().tokens >= 100);
  CHECK(budget.reserved().tokens == 0);
}

TEST_CASE("async_guard: waits in line without holding a thread", "[asio][async_guard][wait]") {
  asio::io_context io;
  const auto parent = []() -> asio::awaitable<void> {
    Budget queue({.name = "queue", .concurrent = 1, .on_exceed = outlay::Wait{.timeout = std::chrono::hours(1)}});
    const json::object request = question();
    const auto post = [](const json::object&) -> asio::awaitable<json::value> {
      co_await hop();
      co_return answer(10, 10);
    };
    const auto ask = [&]() -> asio::awaitable<void> {
      co_await outlay::async_guard(outlay::Api::openai_chat, request, post, asio::use_awaitable);
    };
    std::vector<asio::awaitable<void>> all;
    for (int i = 0; i < 10; ++i) all.push_back(ask());
    co_await outlay::wait_all(std::move(all));
    CHECK(queue.spent().calls == 10);
  };
  std::future<void> done = outlay::co_spawn(io, parent, asio::use_future);
  io.run();
  done.get();
}
