// Kills a process that writes through sqlite_sink, again and again, and looks at what it left.
//
//   sqlite_crash [--kills N] [--seed N] [--dir DIR]   N processes under load, each killed at a random moment
//   sqlite_crash --every-operation [--dir DIR]        one process for each write, truncation and synchronisation of a session, killed there
//   sqlite_crash session FILE                         one such session, for strace; ends in "session done"
//   sqlite_crash check FILE                           what is checked after it
//
// After each kill: every record that a flush confirmed is there, none twice, the file is sound, and the next process starts on it
// without help. Exit status 0, or 1 with what was wrong.
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "outlay/log.hpp"
#include "outlay/outlay.hpp"
#include "outlay/sqlite.hpp"
#include "support/fault_vfs.hpp"

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

outlay::Record make_record(std::uint64_t id) {
  outlay::Record record;
  record.call_id = id;
  record.started = record.ended =
      outlay::Time(std::chrono::milliseconds(1'767'225'600'000 + static_cast<std::int64_t>(id)));
  record.requested_model = record.admitted_model = record.model = id % 7 == 0 ? "gpt-4o" : "gpt-4o-mini";
  record.provider = "openai";
  record.usage.input = 100;
  record.usd = record.reserved = outlay::Usd::from_nanos(static_cast<std::int64_t>(id));
  record.tags = {{"user_id", "u" + std::to_string(id % 97)}, {"request", std::to_string(id / 50)}};
  record.budgets = {"run"};
  if (id % 11 == 0) record.reason = "because";
  return record;
}

/// Tells the parent through a pipe, whatever happens next: written before the process can be killed for the next row.
void confirm(int pipe, std::uint64_t id) {
  if (::write(pipe, &id, sizeof id) != sizeof id) std::_Exit(3);
}

outlay::SqliteSinkOptions options_for(const fs::path& path, outlay::Durability durability) {
  // With retention, so that its transactions are killed too; it deletes nothing.
  return {.path = path,
          .durability = durability,
          .batch = 20,
          .max_delay = 1ms,
          .retain = {.age = 24h * 36'500},
          .busy_timeout = 30s};
}

/// The call that becomes such a record: of a flat price, so that its cost is its id.
void make_call(std::uint64_t id) {
  const outlay::Track track({{"user_id", "u" + std::to_string(id % 97)}, {"request", std::to_string(id / 50)}});
  outlay::CallRequest request{.model = id % 7 == 0 ? "gpt-4o" : "gpt-4o-mini",
                              .input_tokens = 100,
                              .max_output_tokens = 0,
                              .usd = outlay::Usd::from_nanos(static_cast<std::int64_t>(id))};
  if (id % 11 == 0) request.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  outlay::Call call(request);
  call.settle({.input = 100});
}

/// Writes and flushes now and then, while the sink's own thread commits in between, until the process is killed: half of the processes
/// by calls in a ledger, half by the sink alone, which commits faster.
[[noreturn]] void write_for_ever(const fs::path& path, int pipe, std::uint64_t first, unsigned seed) {
  const auto sink =
      outlay::sqlite_sink(options_for(path, seed % 2 == 0 ? outlay::Durability::normal : outlay::Durability::full));
  outlay::set_log_handler([](outlay::LogLevel, std::string_view) {});
  outlay::Ledger ledger;
  const outlay::LedgerScope scope(ledger);
  const outlay::Budget budget({.name = "run", .usd = outlay::Usd::max()});
  const bool by_calls = seed / 2 % 2 == 0;
  if (by_calls) ledger.add_sink(sink);
  std::mt19937 random(seed);
  for (std::uint64_t id = first;; ++id) {
    by_calls ? make_call(id) : sink->write(make_record(id));
    if (random() % 30 != 0) continue;
    by_calls ? ledger.flush(30s) : sink->flush(std::chrono::steady_clock::now() + 30s);
    confirm(pipe, id);
  }
}

/// A session of fixed length: the same operations each time.
void session(const fs::path& path, int pipe) {
  auto options = options_for(path, outlay::Durability::full);
  options.max_delay = 1h;  // one thread, so that operations come in one order
  options.retain = {};
  const auto sink = outlay::sqlite_sink(options);
  for (std::uint64_t id = 1; id <= 60; ++id) {
    sink->write(make_record(id));
    if (id % 15 != 0) continue;
    sink->flush(std::chrono::steady_clock::now() + 30s);
    if (pipe >= 0) confirm(pipe, id);
  }
  sink->close();
}

[[noreturn]] void wrong(const std::string& what) { throw std::runtime_error(what); }

std::int64_t number(sqlite3* db, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db, sql, -1, &statement, nullptr) != SQLITE_OK)
    wrong(std::string(sql) + ": " + sqlite3_errmsg(db));
  const int code = sqlite3_step(statement);
  const std::int64_t result = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
  sqlite3_finalize(statement);
  if (code != SQLITE_ROW) wrong(std::string(sql) + ": no row");
  return result;
}

/// A record's id is its cost in nano-dollars.
/// \param first, confirmed The ids of this round that must be there: none if `confirmed < first`.
/// \return The largest id in the file.
std::uint64_t check(const fs::path& path, std::uint64_t first, std::uint64_t confirmed) {
  {
    // The next start, without help. It recovers the log, as any would.
    outlay::sqlite_sink({.path = path})->close();
  }
  sqlite3* db = nullptr;
  if (sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READONLY, nullptr) != SQLITE_OK) wrong("cannot be opened");
  const std::int64_t sound = number(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'");
  const std::int64_t all = number(db, "SELECT count(*) FROM records");
  const std::int64_t twice = number(db, "SELECT count(*) - count(DISTINCT usd) FROM records");
  const std::int64_t torn =
      number(db,
             "SELECT count(*) FROM records r LEFT JOIN tag_sets t ON t.id = r.tag_set WHERE t.id IS NULL OR "
             "r.usd <> r.reserved OR "
             "(SELECT count(*) FROM tags WHERE tag_set = r.tag_set) <> 2 OR "
             "(r.usd % 11 = 0) <> EXISTS(SELECT 1 FROM record_extras x WHERE x.id = r.id)");
  const std::int64_t there = number(db, ("SELECT count(*) FROM records WHERE usd BETWEEN " + std::to_string(first) +
                                         " AND " + std::to_string(confirmed))
                                            .c_str());
  const std::int64_t last = number(db, "SELECT coalesce(max(usd), 0) FROM records");
  sqlite3_close(db);
  const std::string state = " (" + std::to_string(all) + " records, confirmed up to " + std::to_string(confirmed) + ")";
  if (sound != 1) wrong("integrity_check fails" + state);
  if (twice != 0) wrong(std::to_string(twice) + " records are there twice" + state);
  if (torn != 0) wrong(std::to_string(torn) + " records are torn" + state);
  const std::int64_t expected = confirmed < first ? 0 : static_cast<std::int64_t>(confirmed - first + 1);
  if (there != expected) wrong(std::to_string(expected - there) + " confirmed records are missing" + state);
  if (outlay::report_sqlite(path, {"user_id"}).total().calls != all) wrong("the report counts other records" + state);
  return static_cast<std::uint64_t>(last);
}

struct Child {
  pid_t pid = -1;
  int pipe = -1;
};

template <class F>
Child start(F&& body) {
  int ends[2];
  if (::pipe(ends) != 0) wrong("no pipe");
  const pid_t pid = ::fork();
  if (pid < 0) wrong("no process");
  if (pid == 0) {
    ::close(ends[0]);
    try {
      std::forward<F>(body)(ends[1]);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
      std::_Exit(2);
    }
    std::_Exit(0);
  }
  ::close(ends[1]);
  return {pid, ends[0]};
}

/// \return False where the child has ended, and all that it confirmed was read before.
bool read_one(const Child& child, std::uint64_t& confirmed) {
  std::uint64_t id = 0;
  if (::read(child.pipe, &id, sizeof id) != sizeof id) return false;
  confirmed = id;
  return true;
}

/// Reads to the end what was confirmed, and reaps the child.
/// \return Whether it was killed, rather than ended by itself.
bool finish(const Child& child, std::uint64_t& confirmed) {
  while (read_one(child, confirmed)) {
  }
  ::close(child.pipe);
  int status = 0;
  ::waitpid(child.pid, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
    wrong("a process failed with status " + std::to_string(WEXITSTATUS(status)));
  return WIFSIGNALED(status);
}

void random_kills(const fs::path& dir, int kills, unsigned seed) {
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  const fs::path path = dir / "crash.db";
  std::uint64_t next = 1, total_confirmed = 0;
  for (int i = 1; i <= kills; ++i) {
    const std::uint64_t first = next;
    const auto child_seed = static_cast<unsigned>(random());
    // Some die while they open the file, most a while after they have confirmed something.
    const bool early = i % 5 == 0;
    const std::chrono::microseconds life(random() % (early ? 5'000 : 60'000));
    const Child child = start([&](int pipe) { write_for_ever(path, pipe, first, child_seed); });
    std::uint64_t confirmed = 0;
    if (!early) read_one(child, confirmed);
    std::this_thread::sleep_for(life);
    ::kill(child.pid, SIGKILL);
    if (!finish(child, confirmed)) wrong("kill " + std::to_string(i) + ": the process ended by itself");
    try {
      next = std::max(check(path, first, confirmed), first - 1) + 1;
    } catch (const std::exception& error) {
      wrong("kill " + std::to_string(i) + " after " + std::to_string(life.count()) +
            (early ? " us: " : " us from its first flush: ") + error.what());
    }
    if (confirmed >= first) total_confirmed += confirmed - first + 1;
  }
  if (total_confirmed == 0) wrong("no process lived long enough to confirm anything");
  std::printf("%d kills: %llu records confirmed and there, %llu in all, none twice, the file sound after each\n", kills,
              static_cast<unsigned long long>(total_confirmed), static_cast<unsigned long long>(next - 1));
}

void every_operation(const fs::path& dir) {
  test::FaultVfs vfs;
  int points = 0;
  for (const auto fault : {test::FaultVfs::Fault::kill, test::FaultVfs::Fault::kill_after})
    for (long nth = 1;; ++nth, ++points) {
      const fs::path path = dir / ("op" + std::to_string(points) + ".db");
      const Child child = start([&](int pipe) {
        vfs.arm(fault, nth);
        session(path, pipe);
      });
      std::uint64_t confirmed = 0;
      const bool killed = finish(child, confirmed);
      try {
        check(path, 1, confirmed);
      } catch (const std::exception& error) {
        wrong("killed at operation " + std::to_string(nth) + ": " + error.what());
      }
      for (const char* suffix : {"", "-wal", "-shm", "-journal"}) fs::remove(path.native() + suffix);
      if (!killed) break;
    }
  std::printf("%d kill points of a session: every confirmed record there, none twice, the file sound after each\n",
              points);
}

std::uint64_t parse(const char* text) {
  std::uint64_t value = 0;
  const char* end = text + std::strlen(text);
  if (std::from_chars(text, end, value).ptr != end) wrong(std::string("not a number: ") + text);
  return value;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 2 && args[0] == "session") {
    // A file beside it takes what was confirmed; its descriptor is opened before the first kill point.
    const int out = ::open((args[1] + ".confirmed").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    session(args[1], out);
    std::puts("session done");
    return 0;
  }
  if (args.size() == 2 && args[0] == "check") {
    std::uint64_t confirmed = 0, id = 0;
    if (std::FILE* file = std::fopen((args[1] + ".confirmed").c_str(), "rb")) {
      while (std::fread(&id, sizeof id, 1, file) == 1) confirmed = id;
      std::fclose(file);
    }
    check(args[1], 1, confirmed);
    std::printf("sound, %llu confirmed\n", static_cast<unsigned long long>(confirmed));
    return 0;
  }
  fs::path dir;
  int kills = 10;
  unsigned seed = std::random_device()();
  bool operations = false;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const bool more = i + 1 < args.size();
    if (args[i] == "--every-operation")
      operations = true;
    else if (args[i] == "--kills" && more)
      kills = static_cast<int>(parse(args[++i].c_str()));
    else if (args[i] == "--seed" && more)
      seed = static_cast<unsigned>(parse(args[++i].c_str()));
    else if (args[i] == "--dir" && more)
      dir = args[++i];
    else
      wrong("what is " + args[i] + "? See the head of the source");
  }
  const bool own = dir.empty();
  if (own) {
    std::string name = (fs::temp_directory_path() / "outlay-crash-XXXXXX").native();
    if (!::mkdtemp(name.data())) wrong("no temporary directory");
    dir = name;
  }
  operations ? every_operation(dir) : random_kills(dir, kills, seed);
  if (own) fs::remove_all(dir);
  return 0;
} catch (const std::exception& error) {
  std::fflush(stdout);
  std::fprintf(stderr, "sqlite_crash: %s\n", error.what());
  return 1;
}
