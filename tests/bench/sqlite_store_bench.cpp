// The rows of sqlite_store: each as a ratio to a floor measured beside it in the same run, interleaved, medians.
//
//   outlay_sqlite_store_bench [repetitions] [directory]   where the files are made; else the temporary directory
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "outlay/usd.hpp"
#include "sqlite/database.hpp"
#include "sqlite/store_backend.hpp"

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;
using outlay::detail::Database;
using outlay::detail::SqliteStoreBackend;
using outlay::detail::Statement;

constexpr int calls = 5'000;

fs::path dir;

fs::path fresh(const char* name) {
  const fs::path path = dir / name;
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(path.native() + suffix);
  return path;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double nanoseconds(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / calls;
}

/// The least that a shared cap in SQLite can be: one row, one number, one cap, and two transactions a call.
double floor_cost() {
  Database database(fresh("floor.db"), Database::Mode::read_write);
  static_cast<void>(database.query_text("PRAGMA journal_mode = WAL"));
  database.exec("PRAGMA synchronous = NORMAL");
  database.exec("CREATE TABLE counters(id INTEGER PRIMARY KEY, used INTEGER NOT NULL, cap INTEGER NOT NULL)");
  database.exec("INSERT INTO counters VALUES(1, 0, 1000000000000000)");
  Statement begin(database, "BEGIN IMMEDIATE"), commit(database, "COMMIT"),
      add(database, "UPDATE counters SET used = used + ?1 WHERE id = 1 AND used + ?1 <= cap");
  const auto transaction = [&](std::int64_t amount) {
    begin.run();
    add.bind(1, amount);
    add.run();
    if (database.changes() != 1) std::abort();
    commit.run();
  };
  return nanoseconds([&] {
    for (int i = 0; i < calls; ++i) transaction(10'000'000), transaction(-3'000'000);
  });
}

/// Reserve and settle in `depth` counters, of `users` names in turn, in a file where `before` calls have ended already.
double store_cost(int depth, int users, int before) {
  SqliteStoreBackend store(fresh("store.db"), 5s);
  std::uint64_t random = 88'172'645'463'325'252U;
  const auto next_id = [&] {
    char text[33];
    const auto half = [&] { return random ^= random << 13U, random ^= random >> 7U, random ^= random << 17U; };
    const auto high = half(), low = half();
    std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(high),
                  static_cast<unsigned long long>(low));
    return std::string(text);
  };
  const outlay::Time now = outlay::Time(1'767'225'600s);
  const auto call = [&](int i) {
    outlay::StoreCommand command;
    command.op = outlay::StoreCommand::Op::reserve;
    command.id = next_id();
    command.now = now;
    command.lease = 60s;
    command.amount = {outlay::Usd::from_nanos(10'000'000), 1'200, 1'000, 200, 1, 1};
    for (int level = 0; level < depth; ++level) {
      outlay::StoreCounter counter;
      counter.name = level == 0 ? "user_id:" + std::to_string(i % users) : "level" + std::to_string(level);
      counter.window = "day@UTC";
      counter.begin = counter.counted_from = counter.counted_to = now;
      counter.end = now + 24h;
      counter.limits.usd = outlay::Usd::from_nanos(1'000'000'000'000'000);
      command.counters.push_back(std::move(counter));
    }
    const auto execute = [&] {
      const auto replies = store.execute({&command, 1}, 5s);
      if (!replies.front() || replies.front().value().outcome != outlay::StoreReply::Outcome::done) std::abort();
    };
    execute();
    command.op = outlay::StoreCommand::Op::settle;
    command.amount = {outlay::Usd::from_nanos(7'000'000), 1'100, 1'000, 100, 1, 0};
    execute();
  };
  for (int i = 0; i < before; ++i) call(i);
  return nanoseconds([&] {
    for (int i = 0; i < calls; ++i) call(i);
  });
}

struct Row {
  const char* name;
  double at_most;  // 0: for comparison
  std::function<double()> measured;
};

}  // namespace

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::max(3, std::atoi(argv[1])) : 7;
  std::string name = ((argc > 2 ? fs::path(argv[2]) : fs::temp_directory_path()) / "outlay-bench-XXXXXX").native();
  if (!::mkdtemp(name.data())) return 1;
  dir = name;
  const std::vector<Row> table{
      {"SQLite store: reserve + settle, 1 counter", 1.3, [] { return store_cost(1, 1, 100); }},
      {"the same in a file with 1,000 names and 20,000 calls", 0, [] { return store_cost(1, 1'000, 20'000); }},
      {"reserve + settle, 3 counters", 0, [] { return store_cost(3, 1, 100); }},
  };
  std::printf("%-60s %10s %10s %7s %8s\n", "work", "ns", "floor ns", "ratio", "at most");
  for (const Row& row : table) {
    std::vector<double> floors, measured, ratios;
    static_cast<void>(floor_cost()), static_cast<void>(row.measured());
    for (int i = 0; i < repetitions; ++i) {
      floors.push_back(floor_cost());
      measured.push_back(row.measured());
      ratios.push_back(measured.back() / floors.back());
    }
    std::printf("%-60s %10.0f %10.0f %6.2fx", row.name, median(measured), median(floors), median(ratios));
    if (row.at_most != 0) std::printf(" %7.2fx   (floor: two bare BEGIN IMMEDIATE transactions)", row.at_most);
    std::printf("\n");
    std::fflush(stdout);
  }
  fs::remove_all(dir);
}
