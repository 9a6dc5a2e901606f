#pragma once

#include <atomic>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <mutex>
#include <optional>
#include <source_location>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "outlay/asio.hpp"
#include "support/catch.hpp"

namespace asio = boost::asio;
using outlay::Context;
using outlay::Track;

/// The value of the tag that these tests tell contexts apart by; empty without one.
inline std::string who() { return Context::current().tag("who").value_or(""); }

/// Checks made on any thread; Catch's own are not thread-safe.
class Checks {
 public:
  void that(bool holds, std::source_location where = std::source_location::current()) {
    made_.fetch_add(1);
    if (holds) return;
    if (failed_.fetch_add(1) == 0) first_line_ = where.line();
  }
  void is(const std::string& got, const std::string& expected,
          std::source_location where = std::source_location::current()) {
    made_.fetch_add(1);
    if (got == expected) return;
    if (failed_.fetch_add(1) == 0) {
      const std::scoped_lock lock(mutex_);
      first_line_ = where.line();
      first_ = "expected \"" + expected + "\", got \"" + got + '"';
    }
  }
  /// Call when no other thread is left.
  void report(int at_least) const {
    INFO("first failed at line " << first_line_ << ": " << first_);
    CHECK(failed_.load() == 0);
    CHECK(made_.load() >= at_least);
  }

 private:
  std::atomic<int> made_{0};
  std::atomic<int> failed_{0};
  std::atomic<unsigned> first_line_{0};
  std::mutex mutex_;
  std::string first_;
};

/// Suspends once: on a pool the coroutine goes on elsewhere, often before this thread is done with it.
inline asio::awaitable<void> hop() { co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable); }

/// Opens scopes, suspends between all steps, and expects its own scopes each time.
inline asio::awaitable<void> walk(Checks& checks, std::string name, int rounds, std::string base = {}) {
  checks.is(who(), base);
  {
    Track outer({{"who", name}});
    for (int i = 0; i < rounds; ++i) {
      co_await hop();
      checks.is(who(), name);
      const std::string inner_name = name + "/" + std::to_string(i);
      Track inner({{"who", inner_name}});
      co_await hop();
      checks.is(who(), inner_name);
      co_await hop();
      checks.is(who(), inner_name);
    }
    checks.is(who(), name);
    co_await hop();
    checks.is(who(), name);
  }
  co_await hop();
  checks.is(who(), base);
}

/// Runs an io_context on several threads until it has nothing left to do.
inline void run_on(asio::io_context& io, int threads) {
  std::vector<std::jthread> running;
  for (int i = 0; i < threads; ++i) running.emplace_back([&io] { io.run(); });
}

/// An operation that keeps its handler without a tracked executor, for somebody else to complete.
class Gate {
  using Handler = asio::any_completion_handler<void()>;

  [[nodiscard]] auto take() {
    Handler taken = std::move(*waiting_);
    waiting_.reset();
    return [handler = std::move(taken)]() mutable { std::move(handler)(); };
  }

 public:
  template <class Token>
  auto async_wait(Token&& token) {
    return asio::async_initiate<Token, void()>(
        [this](auto handler) {
          executor_ = asio::get_associated_executor(handler, asio::system_executor());
          waiting_.emplace(std::move(handler));
        },
        token);
  }
  [[nodiscard]] bool taken() const { return waiting_.has_value(); }
  /// Through the handler's executor, as it is found now.
  void complete() {
    auto call = take();
    asio::post(std::exchange(executor_, {}), std::move(call));
  }
  /// Through no executor at all.
  void call_directly() {
    auto call = take();
    executor_ = {};
    call();
  }

 private:
  asio::any_io_executor executor_;
  std::optional<Handler> waiting_;  // the move assignment of Boost 1.81 calls itself without end
};
