// The rows of outlay::sqlite: each as a ratio to a floor measured beside it in the same run, interleaved, medians.
//
//   outlay_sqlite_bench [repetitions] [file]   `file` is where the million rows of the report stay; else they go
#include <benchmark/benchmark.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "outlay/sqlite.hpp"
#include "sqlite/schema.hpp"

namespace {

using namespace outlay::literals;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr int rows = 200'000;
constexpr int report_rows = 1'000'000;
constexpr int calls = 20'000;

fs::path dir;

fs::path fresh(const char* name) {
  const fs::path path = dir / name;
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(path.native() + suffix);
  return path;
}

double nanoseconds(const std::function<void()>& work, int per) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / per;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// 10 features, 97 users and all their combinations, 4 models.
outlay::Record record_of(int i) {
  static const char* const models[] = {"gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash"};
  outlay::Record record;
  record.call_id = static_cast<std::uint64_t>(i);
  record.started = outlay::Time(std::chrono::milliseconds(1'767'225'600'000 + i));
  record.ended = record.started + 800ms;
  record.requested_model = record.admitted_model = record.model = models[i % 4];
  record.provider = "openai";
  record.usage.input = 100 + i % 4'000;
  record.usage.output = i % 900;
  record.usd = outlay::Usd::from_nanos(27'000 + i % 100'000);
  record.reserved = outlay::Usd::from_nanos(200'000);
  record.price_version = "2026-11-01";
  record.tags = {{"feature", "feature-" + std::to_string(i % 10)}, {"user_id", "user-" + std::to_string(i % 97)}};
  record.budgets = {"run", "answer"};
  return record;
}

/// What inserting those rows has at least to do: a prepared statement with the same values, a thousand rows a transaction.
void raw_inserts(const fs::path& path) {
  outlay::detail::Database database(path, outlay::detail::Database::Mode::read_write);
  outlay::detail::prepare_for_writing(database);
  database.exec("PRAGMA synchronous = NORMAL");
  database.exec("PRAGMA cache_size = -16000");
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v3(database.handle(),
                     "INSERT INTO records VALUES(NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", -1,
                     SQLITE_PREPARE_PERSISTENT, &insert, nullptr);
  for (int i = 0; i < rows; ++i) {
    if (i % 1'000 == 0) database.exec("BEGIN IMMEDIATE");
    int parameter = 0;
    for (const std::int64_t value : {std::int64_t{1 + i % 970},
                                     std::int64_t{1},
                                     std::int64_t{1 + i % 4},
                                     std::int64_t{5},
                                     1'767'225'600'800'000'000 + i * std::int64_t{1'000'000},
                                     std::int64_t{0},
                                     std::int64_t{0},
                                     std::int64_t{27'000 + i % 100'000},
                                     std::int64_t{100 + i % 4'000},
                                     std::int64_t{0},
                                     std::int64_t{0},
                                     std::int64_t{0},
                                     std::int64_t{i % 900},
                                     std::int64_t{0},
                                     1'767'225'600'000'000'000 + i * std::int64_t{1'000'000},
                                     std::int64_t{200'000},
                                     std::int64_t{0},
                                     std::int64_t{1 + i % 4},
                                     std::int64_t{1 + i % 4},
                                     std::int64_t{0},
                                     std::int64_t{6},
                                     std::int64_t{0},
                                     std::int64_t{1},
                                     std::int64_t{i}})
      sqlite3_bind_int64(insert, ++parameter, value);
    sqlite3_step(insert);
    sqlite3_reset(insert);
    if (i % 1'000 == 999) database.exec("COMMIT");
  }
  sqlite3_finalize(insert);
}

struct Row {
  const char* name;
  const char* floor_name;
  double at_most;
  std::function<double()> floor;
  std::function<double()> measured;
};

Row insert_row() {
  static std::vector<outlay::Record> records;
  for (int i = 0; i < rows; ++i) records.push_back(record_of(i));
  return {"SQLite sink, group commit (per row)", "raw prepared inserts, same schema and indexes, 1,000 a transaction",
          1.3,
          [] {
            const fs::path path = fresh("raw.db");
            return nanoseconds([&] { raw_inserts(path); }, rows);
          },
          [] {
            const fs::path path = fresh("sink.db");
            return nanoseconds(
                [&] {
                  const auto sink = outlay::sqlite_sink({.path = path});
                  for (const outlay::Record& record : records) sink->write(record);
                  sink->flush(Clock::now() + 60s);
                  sink->close();
                },
                rows);
          }};
}

std::vector<Row> report_row_table(const fs::path& path) {
  {
    const auto sink = outlay::sqlite_sink({.path = path, .batch = 10'000});
    for (int i = 0; i < report_rows; ++i) sink->write(record_of(i));
    sink->close();
  }
  const auto query = [path](const char* sql) {
    return [path, sql] {
      return nanoseconds(
          [&] {
            outlay::detail::Database database(path, outlay::detail::Database::Mode::read_only);
            outlay::detail::Statement statement(database, sql);
            std::int64_t sum = 0;
            while (statement.step()) sum += statement.integer(1);
            benchmark::DoNotOptimize(sum);
          },
          report_rows);
    };
  };
  const auto measured = [path] {
    return nanoseconds([&] { benchmark::DoNotOptimize(outlay::report_sqlite(path, {"feature", "user_id"}).size()); },
                       report_rows);
  };
  return {{"report_sqlite over 1,000,000 rows by two tags (per row)",
           "the bare SQL aggregate: the same sums, GROUP BY tag_set", 1.5,
           query("SELECT tag_set, sum(usd), count(*), sum(input), sum(cache_read), sum(cache_write), "
                 "sum(cache_write_1h), "
                 "sum(output), sum(reasoning) FROM records GROUP BY tag_set"),
           measured},
          {"the same", "the same sums over all rows, without groups", 1.5,
           query("SELECT count(*), sum(usd), sum(input), sum(cache_read), sum(cache_write), "
                 "sum(cache_write_1h), sum(output), "
                 "sum(reasoning) FROM records"),
           measured}};
}

double call_cost(bool with_sink) {
  outlay::Ledger ledger;
  const outlay::LedgerScope scope(ledger);
  if (with_sink) ledger.add_sink(outlay::sqlite_sink({.path = fresh("calls.db")}));
  const outlay::Budget budget({.name = "bench", .usd = 1'000'000_usd});
  std::vector<double> rounds;
  for (int round = 0; round < 5; ++round) {
    rounds.push_back(nanoseconds(
        [] {
          for (int i = 0; i < calls; ++i) {
            const outlay::Track track({{"feature", "search"}, {"user_id", "alice"}});
            outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
            call.settle({.input = 1'000, .output = 100});
          }
        },
        calls));
    ledger.flush(60s);
  }
  return median(rounds);
}

}  // namespace

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::max(3, std::atoi(argv[1])) : 5;
  outlay::set_log_handler([](outlay::LogLevel, std::string_view) {});
  std::string name = (fs::temp_directory_path() / "outlay-bench-XXXXXX").native();
  if (!::mkdtemp(name.data())) return 1;
  dir = name;
  std::vector<Row> table{
      insert_row(),
      {"Track + admit + settle + record with an SQLite sink, as the calling thread sees it", "the same without a sink",
       1.5, [] { return call_cost(false); }, [] { return call_cost(true); }}};
  for (Row& row : report_row_table(argc > 2 ? fs::path(argv[2]) : dir / "report.db")) table.push_back(std::move(row));
  std::printf("%-84s %10s %10s %7s %8s\n", "work", "ns", "floor ns", "ratio", "at most");
  for (const Row& row : table) {
    std::vector<double> floors, measured, ratios;
    static_cast<void>(row.floor()), static_cast<void>(row.measured());
    for (int i = 0; i < repetitions; ++i) {
      floors.push_back(row.floor());
      measured.push_back(row.measured());
      ratios.push_back(measured.back() / floors.back());
    }
    std::printf("%-84s %10.1f %10.1f %6.2fx %7.2fx   (floor: %s)\n", row.name, median(measured), median(floors),
                median(ratios), row.at_most, row.floor_name);
    std::fflush(stdout);
  }
  fs::remove_all(dir);
}
