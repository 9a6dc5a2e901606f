// The rows of the core's hot path. Each is printed as a ratio to a floor measured beside it in the same run: interleaved repetitions,
// medians. A ratio is a statement about this machine now; no test asserts one.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "outlay/outlay.hpp"

namespace {

using namespace outlay::literals;
using Clock = std::chrono::steady_clock;

constexpr int calls = 200'000;

/// The least that an admission and a settle can be: twice a mutex-guarded add of four counters with caps.
struct Floor {
  std::mutex mutex;
  std::int64_t used[4]{};
  std::int64_t cap[4]{INT64_MAX / 2, INT64_MAX / 2, INT64_MAX / 2, INT64_MAX / 2};

  bool pass(const std::int64_t (&by)[4]) {
    const std::lock_guard lock(mutex);
    for (int d = 0; d < 4; ++d)
      if (used[d] + by[d] > cap[d]) return false;
    for (int d = 0; d < 4; ++d) used[d] += by[d];
    return true;
  }
};

void two_locked_passes(Floor& floor, int count) {
  std::int64_t in[4]{12'500, 2'000, 1'000, 1}, out[4]{-12'500, -2'000, -1'000, -1};
  for (int i = 0; i < count; ++i) {
    benchmark::DoNotOptimize(floor.pass(in));
    benchmark::DoNotOptimize(floor.pass(out));
  }
}

outlay::CallRequest request() { return {.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000}; }

void admit_and_settle(int count) {
  for (int i = 0; i < count; ++i) {
    outlay::Call call(request());
    call.settle({.input = 1'000, .output = 1'000});
  }
}

/// CPU time of this thread, so that whatever else runs on the machine counts less.
double nanoseconds(const std::function<void()>& work, int count) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
  };
  const double start = now();
  work();
  return (now() - start) / count;
}

double on_two_threads(const std::function<void(int)>& work, int count) {
  std::barrier ready(3);
  std::vector<std::thread> threads;
  const outlay::Context context = outlay::Context::current();
  for (int i = 0; i < 2; ++i)
    threads.emplace_back(context.bind([&, i] {
      ready.arrive_and_wait();
      work(i);
    }));
  const auto start = (ready.arrive_and_wait(), Clock::now());
  for (auto& thread : threads) thread.join();
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / count;  // as one thread sees it
}

struct Row {
  const char* name;
  const char* floor_name;
  double at_most;
  std::function<double()> floor;
  std::function<double()> measured;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

outlay::LedgerOptions no_records() {
  outlay::LedgerOptions options;
  options.max_records = 0;
  return options;
}

std::vector<Row> rows() {
  static Floor floor;
  const auto locked = [] { return nanoseconds([] { two_locked_passes(floor, calls); }, calls); };
  std::vector<Row> table;

  table.push_back({"admit + settle in one budget, no record", "two locked passes", 3, locked, [] {
                     outlay::Ledger ledger(no_records());
                     outlay::LedgerScope scope(ledger);
                     outlay::Budget budget({.name = "bench", .usd = 1'000'000_usd});
                     return nanoseconds([] { admit_and_settle(calls); }, calls);
                   }});
  table.push_back({"open Budget + Track (2 tags) + admit + settle + record", "two locked passes", 9, locked, [] {
                     outlay::Ledger ledger;
                     outlay::LedgerScope scope(ledger);
                     return nanoseconds(
                         [] {
                           for (int i = 0; i < calls; ++i) {
                             outlay::Budget budget({.name = "answer", .usd = 1_usd});
                             outlay::Track track({{"feature", "support_bot"}, {"user_id", "alice"}});
                             outlay::Call call(request());
                             call.settle({.input = 1'000, .output = 1'000});
                           }
                         },
                         calls);
                   }});
  table.push_back({"admit + settle, two threads on one budget", "two locked passes on two threads", 3,
                   [] { return on_two_threads([](int) { two_locked_passes(floor, calls); }, calls); },
                   [] {
                     outlay::Ledger ledger(no_records());
                     outlay::LedgerScope scope(ledger);
                     outlay::Budget budget({.name = "bench", .usd = 1'000'000_usd});
                     return on_two_threads([](int) { admit_and_settle(calls); }, calls);
                   }});
  const auto whole_call = [](int thread, int count) {
    outlay::Budget budget({.name = thread == 0 ? "a" : "b", .usd = 1'000'000_usd});
    outlay::Track track({{"feature", "support_bot"}, {"user_id", thread == 0 ? "alice" : "bob"}});
    admit_and_settle(count);
  };
  table.push_back({"the whole call on two threads that share only the ledger", "the same on one thread", 1.3,
                   [whole_call] {
                     outlay::Ledger ledger;
                     outlay::LedgerScope scope(ledger);
                     return nanoseconds([&] { whole_call(0, calls); }, calls);
                   },
                   [whole_call] {
                     outlay::Ledger ledger;
                     outlay::LedgerScope scope(ledger);
                     return on_two_threads([&](int thread) { whole_call(thread, calls); }, calls);
                   }});
  table.push_back({"admit + settle through 8 nested budgets", "its own depth 1", 2.5,
                   [] {
                     outlay::Ledger ledger(no_records());
                     outlay::LedgerScope scope(ledger);
                     outlay::Budget budget({.name = "bench", .usd = 1'000'000_usd});
                     return nanoseconds([] { admit_and_settle(calls); }, calls);
                   },
                   [] {
                     outlay::Ledger ledger(no_records());
                     outlay::LedgerScope scope(ledger);
                     const outlay::BudgetOptions options{.name = "bench", .usd = 1'000'000_usd};
                     outlay::Budget b1(options), b2(options), b3(options), b4(options), b5(options), b6(options),
                         b7(options), b8(options);
                     return nanoseconds([] { admit_and_settle(calls); }, calls);
                   }});
  table.push_back({"refusal by try_call", "admit + settle", 3,
                   [] {
                     outlay::Ledger ledger(no_records());
                     outlay::LedgerScope scope(ledger);
                     outlay::Budget budget({.name = "bench", .usd = 1'000'000_usd});
                     return nanoseconds([] { admit_and_settle(calls); }, calls);
                   },
                   [] {
                     outlay::Ledger ledger(no_records());
                     outlay::LedgerScope scope(ledger);
                     outlay::Budget budget({.name = "bench", .usd = 0.01_usd});
                     return nanoseconds(
                         [] {
                           for (int i = 0; i < calls; ++i)
                             benchmark::DoNotOptimize(outlay::try_call(request()).has_value());
                         },
                         calls);
                   }});
  return table;
}

/// What a report's pass has at least to do: add up the rows that are there.
struct PlainRow {
  std::int64_t usd, started, ended, reserved;
  std::uint32_t tokens[6], group, names[6];
  std::uint64_t rest[3];
};

Row report_row() {
  static std::vector<PlainRow> plain(100'000);
  for (std::size_t i = 0; i < plain.size(); ++i) plain[i] = {20'000, 0, 0, 0, {1'000, 0, 0, 0, 100, 0}, 0, {}, {}};
  static outlay::Ledger ledger;
  {
    outlay::LedgerScope scope(ledger);
    for (int group = 0; group < 100; ++group) {
      outlay::Track track({{"feature", std::to_string(group % 10)}, {"user_id", std::to_string(group / 10)}});
      for (int i = 0; i < 1'000; ++i) {
        outlay::Call call(request());
        call.settle({.input = 1'000, .output = 100});
      }
    }
  }
  return {"report over 100,000 records by two tags, 100 groups (per record)", "one pass that only adds", 3,
          [] {
            return nanoseconds(
                [] {
                  std::int64_t usd = 0, tokens[6]{};
                  for (const PlainRow& row : plain) {
                    usd += row.usd;
                    for (int t = 0; t < 6; ++t) tokens[t] += row.tokens[t];
                  }
                  benchmark::DoNotOptimize(usd);
                  benchmark::DoNotOptimize(tokens);
                },
                100'000);
          },
          [] {
            return nanoseconds([] { benchmark::DoNotOptimize(ledger.report({"feature", "user_id"}).size()); }, 100'000);
          }};
}

}  // namespace

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::max(3, std::atoi(argv[1])) : 15;
  outlay::set_log_handler([](outlay::LogLevel, std::string_view) {});
  // In a process that has only ever had one thread glibc leaves the atomics out of a mutex: the floor would be four times too low.
  std::atomic<bool> done{false};
  std::thread second([&done] { done.wait(false); });
  std::vector<Row> table = rows();
  table.push_back(report_row());
  std::printf("%-66s %10s %10s %7s %8s\n", "work", "ns", "floor ns", "ratio", "at most");
  for (const Row& row : table) {
    std::vector<double> floors, measured, ratios;
    static_cast<void>(row.floor()), static_cast<void>(row.measured());  // caches, pages
    for (int i = 0; i < repetitions; ++i) {
      floors.push_back(row.floor());
      measured.push_back(row.measured());
      ratios.push_back(measured.back() / floors.back());
    }
    std::printf("%-66s %10.1f %10.1f %6.2fx %7.2fx   (floor: %s)\n", row.name, median(measured), median(floors),
                median(ratios), row.at_most, row.floor_name);
    std::fflush(stdout);
  }
  done = true;
  done.notify_all();
  second.join();
}
