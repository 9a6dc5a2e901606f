// The rows of outlay::redis: each as a ratio to a floor measured beside it in the same run, interleaved, medians. The server is one
// redis-server of its own on a loopback port.
//
//   outlay_redis_bench [repetitions]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "outlay/redis.hpp"
#include "redis/backend.hpp"
#include "redis/connection.hpp"
#include "support/redis_server.hpp"

namespace {

using namespace outlay::literals;
using namespace std::chrono_literals;
using outlay::StoreCommand;
using outlay::detail::RedisBackend;
using outlay::detail::RedisConnection;
using Clock = std::chrono::steady_clock;

constexpr int callers = 50;
constexpr int calls = 20'000;

double nanoseconds(const std::function<void()>& work, int per) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / per;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::uint64_t last_id = 0;
std::string next_id() {
  char text[33];
  std::snprintf(text, sizeof text, "%032llx", static_cast<unsigned long long>(++last_id));
  return text;
}

/// Two bare check-and-adds a call, the calls of a batch together.
double bare(std::uint16_t port) {
  RedisConnection connection({"127.0.0.1", port, {}}, Clock::now() + 5s);
  std::string bytes, sha;
  outlay::detail::append_command(bytes, {"SCRIPT", "LOAD",
                                         "local s = tonumber(redis.call('HGET', KEYS[1], 's') or 0) "
                                         "if s + ARGV[1] > tonumber(ARGV[2]) then return 0 end "
                                         "return redis.call('HINCRBY', KEYS[1], 's', ARGV[1])"});
  connection.exchange(bytes, 1, Clock::now() + 5s,
                      [&](std::size_t, const redisReply& reply) { sha.assign(reply.str, reply.len); });
  return nanoseconds(
      [&] {
        for (int i = 0; i < calls; i += callers)
          for (int step = 0; step < 2; ++step) {
            bytes.clear();
            for (int caller = 0; caller < callers; ++caller)
              outlay::detail::append_command(bytes,
                                             {"EVALSHA", sha, "1", "{bare}:counter", "100000", "9000000000000000"});
            connection.exchange(bytes, callers, Clock::now() + 5s, [](std::size_t, const redisReply& reply) {
              if (reply.type != REDIS_REPLY_INTEGER) std::abort();
            });
          }
      },
      calls);
}

std::vector<outlay::StoreCounter> counters(int count) {
  std::vector<outlay::StoreCounter> list;
  const auto span = outlay::Window::day().at(std::chrono::system_clock::now());
  for (int i = 0; i < count; ++i) {
    outlay::StoreCounter counter;
    counter.name = "user:alice" + std::to_string(i);
    counter.window = outlay::Window::day().id();
    counter.begin = counter.counted_from = counter.counted_to = span.begin;
    counter.end = span.end.value();
    counter.limits.usd = 9'000'000_usd;
    list.push_back(counter);
  }
  return list;
}

void execute(RedisBackend& backend, const std::vector<StoreCommand>& commands) {
  for (const auto& result : backend.execute(commands, 5s))
    if (!result || result->outcome != outlay::StoreReply::Outcome::done) {
      std::fprintf(stderr, "a command was not executed: %s\n", result ? "refused" : result.error().message().c_str());
      std::exit(1);
    }
}

/// A reservation and a settlement a call, the calls of a batch together: what a store's thread hands over.
double batches(const std::string& url, int chain) {
  RedisBackend backend(url, "bench");
  const auto list = counters(chain);
  std::vector<StoreCommand> reserves(callers), settles(callers);
  return nanoseconds(
      [&] {
        for (int i = 0; i < calls; i += callers) {
          for (std::size_t caller = 0; caller < callers; ++caller) {
            StoreCommand& reserve = reserves[caller];
            reserve.op = StoreCommand::Op::reserve;
            reserve.id = next_id();
            reserve.counters = list;
            reserve.amount = {0.0001_usd, 300, 200, 100, 1, 1};
            reserve.lease = 60s;
            settles[caller] = reserve;
            settles[caller].op = StoreCommand::Op::settle;
            settles[caller].amount = {0.00005_usd, 250, 200, 50, 1, 0};
          }
          execute(backend, reserves);
          execute(backend, settles);
        }
      },
      calls);
}

/// The same from as many threads, each of which makes one call after the other, through nested budgets in a Store.
double threads(const std::string& url, int chain) {
  outlay::Ledger ledger;
  const outlay::LedgerScope scope(ledger);
  const auto store =
      outlay::redis_store({.url = url, .on_unreachable = outlay::OnUnreachable::deny(), .prefix = "threads"});
  std::deque<outlay::Budget> budgets;
  for (int i = 0; i < chain; ++i)
    budgets.emplace_back(outlay::BudgetOptions{.name = "user:alice" + std::to_string(i),
                                               .usd = 9'000'000_usd,
                                               .window = outlay::Window::day(),
                                               .store = store});
  const double taken = nanoseconds(
      [&] {
        std::vector<std::thread> all;
        const outlay::Context context = outlay::Context::current();
        for (int caller = 0; caller < callers; ++caller)
          all.emplace_back([&] {
            const outlay::Attach attach(context);
            for (int i = 0; i < calls / callers; ++i) {
              outlay::Call call({.model = "gpt-4o", .input_tokens = 200, .max_output_tokens = 100});
              call.settle({.input = 200, .output = 50});
            }
          });
        for (std::thread& thread : all) thread.join();
        store->flush(60s);
      },
      calls);
  while (!budgets.empty()) budgets.pop_back();
  return taken;
}

struct Row {
  const char* name;
  const char* floor_name;
  double at_most;
  std::function<double()> floor;
  std::function<double()> measured;
};

}  // namespace

int main(int argc, char** argv) {
  if (!test::RedisServer::installed()) return 0;
  const int repetitions = argc > 1 ? std::max(3, std::atoi(argv[1])) : 5;
  outlay::set_log_handler([](outlay::LogLevel, std::string_view) {});
  const test::RedisServer server({.arguments = {}, .tcp = true});
  const std::vector<Row> table{
      {"reserve + settle, 50 in a batch", "two pipelined EVALSHA of a bare check-and-add, 50 a batch", 2.0,
       [&] { return bare(server.port()); }, [&] { return batches(server.tcp_url(), 1); }},
      {"the same from 50 threads through a Store", "the same floor", 2.0, [&] { return bare(server.port()); },
       [&] { return threads(server.tcp_url(), 1); }},
      {"the same in three nested caps", "in one", 1.5, [&] { return batches(server.tcp_url(), 1); },
       [&] { return batches(server.tcp_url(), 3); }},
  };
  std::printf("%-60s %10s %10s %7s %8s\n", "work", "ns", "floor ns", "ratio", "at most");
  for (const Row& row : table) {
    std::vector<double> floors, measured, ratios;
    static_cast<void>(row.floor()), static_cast<void>(row.measured());
    for (int i = 0; i < repetitions; ++i) {
      floors.push_back(row.floor());
      measured.push_back(row.measured());
      ratios.push_back(measured.back() / floors.back());
    }
    std::printf("%-60s %10.1f %10.1f %6.2fx %7.2fx   (floor: %s)\n", row.name, median(measured), median(floors),
                median(ratios), row.at_most, row.floor_name);
    std::fflush(stdout);
  }
}
