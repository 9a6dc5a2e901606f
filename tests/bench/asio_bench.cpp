// What a coroutine pays for carrying its context: each row through outlay::co_spawn and through boost::asio::co_spawn on the plain
// executor, interleaved in one run, medians, printed as a ratio. A statement about this machine now; no test asserts one.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <ctime>
#include <vector>

#include "outlay/asio.hpp"

namespace {

namespace asio = boost::asio;
using Socket = asio::local::stream_protocol::socket;

/// Nanoseconds that this thread has run: what other processes do meanwhile does not count.
double thread_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

/// Starts the same coroutine either way.
template <class Coroutine>
void start(asio::io_context& io, bool context, Coroutine coroutine) {
  if (context) {
    outlay::co_spawn(io, std::move(coroutine), asio::detached);
  } else {
    asio::co_spawn(io, std::move(coroutine), asio::detached);
  }
}

double run(asio::io_context& io, int operations) {
  const double begin = thread_time();
  io.run();
  return (thread_time() - begin) / operations;
}

double ping_pong(bool context) {
  constexpr int rounds = 20'000;
  asio::io_context io(1);
  const auto side = [&io](Socket socket, bool first) -> asio::awaitable<void> {
    std::array<char, 64> data{};
    for (int i = 0; i < rounds; ++i) {
      if (first) co_await asio::async_write(socket, asio::buffer(data), asio::use_awaitable);
      co_await asio::async_read(socket, asio::buffer(data), asio::use_awaitable);
      if (!first) co_await asio::async_write(socket, asio::buffer(data), asio::use_awaitable);
    }
    static_cast<void>(io);
  };
  Socket one(io);
  Socket two(io);
  asio::local::connect_pair(one, two);
  start(io, context, side(std::move(one), true));
  start(io, context, side(std::move(two), false));
  return run(io, 4 * rounds);
}

double bare_post(bool context) {
  constexpr int rounds = 400'000;
  asio::io_context io(1);
  const auto coroutine = []() -> asio::awaitable<void> {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    for (int i = 0; i < rounds; ++i) co_await asio::post(executor, asio::use_awaitable);
  };
  start(io, context, coroutine());
  return run(io, rounds);
}

/// In a coroutine's home, against the same on a plain thread.
double scope(bool context) {
  constexpr int rounds = 1'000'000;
  asio::io_context io(1);
  const outlay::Tags tags{{"feature", "bench"}};
  const auto open_and_close = [&tags] {
    for (int i = 0; i < rounds; ++i) {
      outlay::Track track(tags);
      benchmark::DoNotOptimize(&track);
    }
  };
  if (context) {
    const auto coroutine = [&]() -> asio::awaitable<void> {
      open_and_close();
      co_return;
    };
    outlay::co_spawn(io, coroutine(), asio::detached);
  } else {
    asio::post(io, open_and_close);
  }
  return run(io, rounds);
}

struct Row {
  const char* name;
  double (*measure)(bool context);
  double at_most;  // 0: no limit
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void measure(benchmark::State& state, const Row& row) {
  for (auto _ : state) {
    std::vector<double> plain;
    std::vector<double> carried;
    for (int i = 0; i < 9; ++i) {
      plain.push_back(row.measure(false));
      carried.push_back(row.measure(true));
    }
    const double floor = median(plain);
    const double ours = median(carried);
    state.counters["plain_ns"] = floor;
    state.counters["context_ns"] = ours;
    state.counters["ratio"] = ours / floor;
    if (row.at_most > 0) state.counters["at_most"] = row.at_most;
  }
}

constexpr Row rows[] = {
    {"socket ping-pong, per operation", &ping_pong, 1.15},
    {"bare post", &bare_post, 1.3},
    {"open and close a Track in a coroutine / on a thread", &scope, 0},
};

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (const Row& row : rows)
    benchmark::RegisterBenchmark(row.name, [&row](benchmark::State& state) { measure(state, row); })
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
