// Processes that share counters in one SQLite file, and are killed while they do.
//
//   outlay_sqlite_store_processes [--race | --kills <n> | --every-operation] [--seed <n>]
//
// --race: 8 processes make 1,000 calls of $0.01 each against $5.00: exactly 500 are admitted. --kills: clients are killed at random while
// they reserve, extend, settle and release; what was settled and charged never passes the cap, and after the last lease nothing is reserved.
// --every-operation: one client is killed before and after each write to its files in turn.
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
#include <utility>
#include <vector>

#include "outlay/sqlite.hpp"
#include "sqlite/store_backend.hpp"
#include "support/fault_vfs.hpp"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using outlay::StoreCommand;
using outlay::StoreCounter;
using outlay::StoreReply;
using outlay::Time;
using outlay::Usd;
using outlay::detail::SqliteStoreBackend;
using Op = StoreCommand::Op;
using Outcome = StoreReply::Outcome;

constexpr auto lease = 60s;
constexpr std::int64_t cent = 10'000'000;
const Time start_of_time = Time(1'767'225'600s);

[[noreturn]] void wrong(const std::string& what) { throw std::runtime_error(what); }

StoreCounter counter_of(const std::string& name, std::int64_t cap) {
  StoreCounter counter;
  counter.name = name;
  counter.window = "forever";
  counter.end = Time::max();
  counter.limits.usd = Usd::from_nanos(cap);
  return counter;
}

/// One client of the store, with ids that no other has.
class Client {
 public:
  Client(const fs::path& path, std::uint64_t number, std::vector<StoreCounter> counters)
      : store_(path, 30s), number_(number), counters_(std::move(counters)) {}

  std::string next_id() {
    char text[33];
    std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(number_),
                  static_cast<unsigned long long>(++last_));
    return text;
  }
  StoreReply run(Op op, const std::string& id, std::int64_t nanos, Time now = start_of_time) {
    StoreCommand command;
    command.op = op;
    command.id = id;
    if (op != Op::renew) command.counters = counters_;
    if (op == Op::renew) command.ids = {id};
    command.amount.usd = Usd::from_nanos(nanos);
    command.lease = lease;
    command.now = now;
    auto replies = store_.execute({&command, 1}, 30s);
    if (!replies.at(0)) wrong(replies[0].error().message());
    return std::move(replies[0].value());
  }
  StoreReply look(Time now = start_of_time) { return run(Op::snapshot, {}, 0, now); }

 private:
  SqliteStoreBackend store_;
  std::uint64_t number_;
  std::uint64_t last_ = 0;
  std::vector<StoreCounter> counters_;
};

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

void tell(int pipe, std::int64_t number) {
  if (::write(pipe, &number, sizeof number) != sizeof number) std::_Exit(3);
}

/// Adds the next number that a child tells.
/// \return False where it has ended, and all that it told was read before.
bool add_one(const Child& child, std::int64_t& sum) {
  std::int64_t number = 0;
  if (::read(child.pipe, &number, sizeof number) != sizeof number) return false;
  sum += number;
  return true;
}

/// Adds up what a child has told, and reaps it.
/// \return Whether it was killed, rather than ended by itself.
bool finish(const Child& child, std::int64_t& sum) {
  while (add_one(child, sum)) {
  }
  ::close(child.pipe);
  int status = 0;
  ::waitpid(child.pid, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
    wrong("a process failed with status " + std::to_string(WEXITSTATUS(status)));
  return WIFSIGNALED(status);
}

/// As a program does it: a budget in a store, and calls.
int admitted_calls(const fs::path& path, int calls) {
  outlay::Ledger ledger;
  const outlay::LedgerScope scope(ledger);
  const auto store = outlay::sqlite_store({.path = path.native(), .timeout = 30s});
  int admitted = 0;
  {
    const outlay::Budget budget({.name = "everything",
                                 .usd = Usd::from_nanos(500 * cent),
                                 .window = outlay::Window::forever(),
                                 .store = store});
    for (int i = 0; i < calls; ++i) {
      auto call =
          outlay::try_call({.model = "flat", .input_tokens = 0, .max_output_tokens = 0, .usd = Usd::from_nanos(cent)});
      if (!call && call.error().reason() != outlay::errc::budget_exceeded) wrong(call.error().message());
      if (!call) continue;
      outlay::Settlement settlement;
      settlement.provider_cost = Usd::from_nanos(cent);
      call->settle(settlement);
      ++admitted;
    }
  }
  store->flush(30s);
  return admitted;
}

void race(const fs::path& dir) {
  constexpr int processes = 8, calls = 1'000, fit = 500;
  const fs::path path = dir / "race.db";
  std::vector<Child> children;
  for (int i = 0; i < processes; ++i)
    children.push_back(start([&](int pipe) { tell(pipe, admitted_calls(path, calls)); }));
  std::int64_t admitted = 0;
  std::string each;
  for (const Child& child : children) {
    std::int64_t of_child = 0;
    finish(child, of_child);
    admitted += of_child;
    each += (each.empty() ? "" : " + ") + std::to_string(of_child);
  }
  const auto state = outlay::sqlite_store({.path = path.native()})->state("everything", outlay::Window::forever());
  const std::string facts = each + " = " + std::to_string(admitted) + " admitted, " + to_string(state.spent.usd) +
                            " spent, " + to_string(state.reserved.usd) + " reserved";
  if (admitted != fit || state.spent.usd != Usd::from_nanos(fit * cent) || state.reserved != outlay::Amounts{})
    wrong(facts);
  std::printf("%d processes, %d calls of $0.01 each, a cap of $5.00: %s\n", processes, calls, facts.c_str());
}

/// Calls without end, of 1 to 9 cents; tells what it has settled.
[[noreturn]] void call_for_ever(Client& client, int pipe, unsigned seed) {
  std::mt19937 random(seed);
  const auto pick = [&](unsigned n) { return static_cast<std::int64_t>(random() % n); };
  for (;;) {
    const std::string id = client.next_id();
    const std::int64_t amount = (1 + pick(5)) * cent;
    if (client.run(Op::reserve, id, amount).outcome != Outcome::done) continue;
    std::int64_t held = amount;
    if (pick(3) == 0 && client.run(Op::extend, id, amount + 4 * cent).outcome == Outcome::done) held += 4 * cent;
    if (pick(4) == 0) client.run(Op::renew, id, 0);
    if (pick(4) == 0) {
      client.run(Op::release, id, 0);
      continue;
    }
    const std::int64_t used = pick(static_cast<unsigned>(held / cent)) * cent;
    client.run(Op::settle, id, used);
    tell(pipe, used);
  }
}

void check_file(const fs::path& path) {
  sqlite3* db = nullptr;
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr) != SQLITE_OK ||
      sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, nullptr) != SQLITE_OK ||
      sqlite3_step(statement) != SQLITE_ROW)
    wrong("integrity_check cannot run");
  const std::string found = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
  sqlite3_finalize(statement);
  sqlite3_close(db);
  if (found != "ok") wrong("integrity_check: " + found);
}

struct Totals {
  std::int64_t settled = 0, charged = 0, stranded = 0;
};

/// What must be true of the counters of dead clients, each capped at `cap`.
void check(const fs::path& path, const std::vector<StoreCounter>& counters, std::int64_t cap, std::int64_t settled,
           Totals& totals) {
  check_file(path);
  Client client(path, 0, counters);
  const StoreReply now = client.look();
  const StoreReply after = client.look(start_of_time + lease + 1s);
  for (std::size_t i = 0; i < counters.size(); ++i) {
    const std::int64_t spent = now.states[i].spent.usd.nanos(), reserved = now.states[i].reserved.usd.nanos();
    const std::int64_t at_last = after.states[i].spent.usd.nanos();
    const std::string facts = " (" + to_string(Usd::from_nanos(spent)) + " spent, " +
                              to_string(Usd::from_nanos(reserved)) + " reserved, " +
                              to_string(Usd::from_nanos(at_last)) + " after the leases, " +
                              to_string(Usd::from_nanos(settled)) + " confirmed)";
    if (spent + reserved > cap || at_last > cap) wrong("more than the cap" + facts);
    if (spent < settled) wrong("a confirmed settlement is missing" + facts);
    if (after.states[i].reserved != outlay::Amounts{}) wrong("something stays reserved" + facts);
    if (at_last != spent + reserved) wrong("what was stranded is not what was charged" + facts);
    if (i != 0) continue;
    totals.settled += spent, totals.charged += reserved, totals.stranded += reserved != 0 ? 1 : 0;
  }
  if (now.states[0].spent != now.states[1].spent || now.states[0].reserved != now.states[1].reserved)
    wrong("two counters of the same calls differ");
}

void random_kills(const fs::path& dir, int kills, unsigned seed) {
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  const fs::path path = dir / "kills.db";
  constexpr int at_once = 4;
  Totals totals;
  for (int killed = 0; killed < kills;) {
    const std::string round = std::to_string(killed);
    // Some rounds never meet the cap, some meet it at once.
    const bool capped = killed % 3 == 0;
    const std::int64_t cap = capped ? 40 * cent : 1'000'000 * cent;
    const std::vector<StoreCounter> counters{counter_of("user" + round, cap), counter_of("all" + round, cap)};
    std::vector<Child> children;
    for (int i = 0; i < at_once; ++i, ++killed) {
      const auto child_seed = static_cast<unsigned>(random());
      const auto number = static_cast<std::uint64_t>(killed) + 1;
      children.push_back(start([&](int pipe) {
        Client client(path, number, counters);
        call_for_ever(client, pipe, child_seed);
      }));
    }
    std::int64_t settled = 0;
    for (const Child& child : children) {
      // Where there is room for all, each dies a while after it has settled a call.
      if (!capped) add_one(child, settled);
      std::this_thread::sleep_for(std::chrono::microseconds(1'000 + random() % 20'000));
      ::kill(child.pid, SIGKILL);
    }
    for (const Child& child : children)
      if (!finish(child, settled)) wrong("a process ended by itself");
    try {
      check(path, counters, cap, settled, totals);
    } catch (const std::exception& error) {
      wrong("after kill " + std::to_string(killed) + ": " + error.what());
    }
  }
  if (totals.settled == 0 || totals.charged == 0) wrong("no process lived long enough to be in the middle of a call");
  std::printf(
      "%d kills: %s settled and %s charged by expiry in %lld rounds that stranded something, never more than "
      "the cap, nothing "
      "left reserved, the file sound\n",
      kills, to_string(Usd::from_nanos(totals.settled)).c_str(), to_string(Usd::from_nanos(totals.charged)).c_str(),
      static_cast<long long>(totals.stranded));
}

/// A few calls, each step confirmed by what it has settled.
void session(const fs::path& path, const std::vector<StoreCounter>& counters, int pipe) {
  Client client(path, 1, counters);
  for (int i = 0; i < 3; ++i) {
    const std::string id = client.next_id();
    client.run(Op::reserve, id, 10 * cent);
    client.run(Op::extend, id, 12 * cent);
    if (i == 1) {
      client.run(Op::release, id, 0);
      continue;
    }
    client.run(Op::settle, id, 7 * cent);
    tell(pipe, 7 * cent);
  }
}

void every_operation(const fs::path& dir) {
  test::FaultVfs vfs;
  int points = 0;
  Totals totals;
  constexpr std::int64_t cap = 26 * cent;
  const std::vector<StoreCounter> counters{counter_of("user", cap), counter_of("all", cap)};
  for (const auto fault : {test::FaultVfs::Fault::kill, test::FaultVfs::Fault::kill_after})
    for (long nth = 1;; ++nth, ++points) {
      const fs::path path = dir / ("op" + std::to_string(points) + ".db");
      const Child child = start([&](int pipe) {
        vfs.arm(fault, nth);
        session(path, counters, pipe);
      });
      std::int64_t settled = 0;
      const bool killed = finish(child, settled);
      try {
        check(path, counters, cap, settled, totals);
      } catch (const std::exception& error) {
        wrong("killed at operation " + std::to_string(nth) + ": " + error.what());
      }
      for (const char* suffix : {"", "-wal", "-shm", "-journal"}) fs::remove(path.native() + suffix);
      if (!killed) break;
    }
  if (totals.stranded == 0) wrong("no kill struck in the middle of a call");
  std::printf(
      "%d kill points of a session: every confirmed settlement there, never more than the cap, nothing left "
      "reserved\n",
      points);
}

unsigned parse(const std::string& text) {
  unsigned value = 0;
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data(), end, value).ptr != end) wrong("not a number: " + text);
  return value;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> args(argv + 1, argv + argc);
  bool racing = false, operations = false;
  int kills = 0;
  unsigned seed = std::random_device()();
  for (std::size_t i = 0; i < args.size(); ++i) {
    const bool more = i + 1 < args.size();
    if (args[i] == "--race")
      racing = true;
    else if (args[i] == "--every-operation")
      operations = true;
    else if (args[i] == "--kills" && more)
      kills = static_cast<int>(parse(args[++i]));
    else if (args[i] == "--seed" && more)
      seed = parse(args[++i]);
    else
      wrong("what is " + args[i] + "? See the head of the source");
  }
  std::string dir = (fs::temp_directory_path() / "outlay-processes-XXXXXX").native();
  if (!::mkdtemp(dir.data())) wrong("no temporary directory");
  if (racing) race(dir);
  if (kills > 0) random_kills(dir, kills, seed);
  if (operations) every_operation(dir);
  fs::remove_all(dir);
  return 0;
} catch (const std::exception& error) {
  std::fflush(stdout);
  std::fprintf(stderr, "sqlite_store_processes: %s\n", error.what());
  return 1;
}
