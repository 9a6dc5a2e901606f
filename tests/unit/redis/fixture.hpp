#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "outlay/log.hpp"
#include "outlay/store.hpp"
#include "redis/backend.hpp"
#include "support/catch.hpp"
#include "support/log_capture.hpp"
#include "support/redis_server.hpp"

namespace outlay_test {

using namespace outlay::literals;
using namespace std::chrono_literals;
using outlay::StoreCommand;
using outlay::StoreCounter;
using outlay::StoreReply;
using outlay::detail::RedisBackend;
using Op = StoreCommand::Op;
using Outcome = StoreReply::Outcome;
using Steady = std::chrono::steady_clock;

inline std::string id_of(std::uint64_t n) {
  char text[33];
  std::snprintf(text, sizeof text, "%032llx", static_cast<unsigned long long>(n));
  return text;
}

/// A counter without an end.
inline StoreCounter forever(std::string name, outlay::Usd cap = 5_usd) {
  StoreCounter counter;
  counter.name = std::move(name);
  counter.window = "forever";
  counter.end = outlay::Time::max();
  counter.limits.usd = cap;
  return counter;
}

inline StoreCommand command(Op op, std::uint64_t id, std::vector<StoreCounter> counters, outlay::Usd usd = {}) {
  StoreCommand command;
  command.op = op;
  if (op != Op::snapshot) command.id = id_of(id);
  command.counters = std::move(counters);
  command.amount.usd = usd;
  command.lease = 1min;
  return command;
}

inline outlay::Result<StoreReply> run(RedisBackend& backend, const StoreCommand& command,
                                      std::chrono::milliseconds timeout = 5s) {
  auto results = backend.execute({&command, 1}, timeout);
  REQUIRE(results.size() == 1);
  return std::move(results.front());
}

inline StoreReply::State look(RedisBackend& backend, const StoreCounter& counter) {
  return run(backend, command(Op::snapshot, 0, {counter})).value().states.at(0);
}

/// The failure of what must fail with errc::store_unavailable, and how long it took to.
struct Unavailable {
  std::string message{};
  std::chrono::nanoseconds took{};
};
inline Unavailable unavailable(RedisBackend& backend, const StoreCommand& command,
                               std::chrono::milliseconds timeout = 5s) {
  const auto start = Steady::now();
  const auto result = run(backend, command, timeout);
  REQUIRE(!result);
  CHECK(result.error().reason() == outlay::errc::store_unavailable);
  return {result.error().message(), Steady::now() - start};
}

/// Executes until it is executed: a backend that waits before its next try is asked again.
inline StoreReply retry(RedisBackend& backend, const StoreCommand& command) {
  StoreReply reply;
  REQUIRE(test::eventually([&] {
    auto result = run(backend, command, 1s);
    if (!result) return false;
    reply = *std::move(result);
    return true;
  }));
  return reply;
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

using Log = outlay_test::LogCapture;

}  // namespace outlay_test

/// Where there is no redis-server the case has nothing to say, and that is said.
#define NEEDS_REDIS()                                                                         \
  if (!test::RedisServer::installed()) {                                                      \
    WARN("SKIPPED: there is no redis-server on this machine (apt-get install redis-server)"); \
    return;                                                                                   \
  }
