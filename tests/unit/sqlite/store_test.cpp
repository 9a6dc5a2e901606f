#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "sqlite/store_backend.hpp"
#include "support/fault_vfs.hpp"
#include "unit/sqlite/fixture.hpp"

using namespace outlay_test;
using namespace outlay::literals;
using outlay::errc;
using outlay::Result;
using outlay::StoreCommand;
using outlay::StoreCounter;
using outlay::StoreReply;
using outlay::Time;
using outlay::Usd;
using outlay::detail::SqliteStoreBackend;
using test::FaultVfs;
using Op = StoreCommand::Op;
using Outcome = StoreReply::Outcome;

namespace {

constexpr auto lease = 60s;
const Time today = at(1'767'225'600);  // midnight, UTC

std::string id_of(int number) {
  std::string text = std::to_string(number);
  return std::string(32 - text.size(), '0') + text;
}

StoreCounter shared(std::string name = "shared") {
  StoreCounter counter;
  counter.name = std::move(name);
  counter.window = "forever";
  counter.end = Time::max();
  counter.limits.usd = 1_usd;
  return counter;
}
StoreCounter daily(Time begin) {
  StoreCounter counter = shared("daily");
  counter.window = "day@UTC";
  counter.begin = counter.counted_from = counter.counted_to = begin;
  counter.end = begin + 24h;
  counter.keep_until = counter.end + 48h;
  return counter;
}

StoreCommand command_of(Op op, int id, Usd amount, Time now = today, StoreCounter counter = shared()) {
  StoreCommand command;
  command.op = op;
  command.id = op == Op::snapshot ? "" : id_of(id);
  command.counters = {std::move(counter)};
  command.amount.usd = amount;
  command.lease = lease;
  command.now = now;
  return command;
}

Result<StoreReply> try_run(outlay::StoreBackend& store, const StoreCommand& command,
                           std::chrono::milliseconds timeout = 5s) {
  auto replies = store.execute({&command, 1}, timeout);
  REQUIRE(replies.size() == 1);
  return std::move(replies.front());
}
StoreReply run(outlay::StoreBackend& store, const StoreCommand& command) { return try_run(store, command).value(); }
StoreReply look(outlay::StoreBackend& store, StoreCounter counter = shared(), Time now = today) {
  return run(store, command_of(Op::snapshot, 0, {}, now, std::move(counter)));
}

outlay::Error refusal(const std::filesystem::path& path, std::chrono::milliseconds timeout = 1s) {
  return failure_of([&] { const SqliteStoreBackend store(path, timeout); });
}

unsigned mode_of(const std::filesystem::path& path) {
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777U;
}

void put_copy(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
}

void remove_database(const std::filesystem::path& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path.native() + suffix);
}

}  // namespace

// --- the file ---

TEST_CASE("sqlite store: a missing file is made for its owner alone, and its directory is left alone",
          "[sqlite][store]") {
  const TempDir dir;
  ::chmod(dir.path().c_str(), 0755);
  const mode_t old = ::umask(0);
  SqliteStoreBackend store(dir.db(), 1s);
  ::umask(old);
  run(store, command_of(Op::reserve, 1, 0.10_usd));
  CHECK(mode_of(dir.db()) == 0600);
  CHECK(mode_of(dir.db().native() + "-wal") == 0600);
  CHECK(mode_of(dir.db().native() + "-shm") == 0600);
  CHECK(mode_of(dir.path()) == 0755);
}

TEST_CASE("sqlite store: what has no counters is left as it is where none are to be made", "[sqlite][store]") {
  const TempDir dir;
  const auto open = [&] { return outlay::sqlite_store({.path = dir.db().native(), .create = false}); };
  const auto message = [&]() -> std::string {
    try {
      static_cast<void>(open());
    } catch (const outlay::Error& error) {
      return error.what();
    }
    return "nothing";
  };
  const auto bytes = [&] {
    std::ifstream file(dir.db(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  CHECK(message() != "nothing");
  CHECK_FALSE(std::filesystem::exists(dir.db()));
  outlay::sqlite_sink({.path = dir.db().native()})->close();
  const std::string before = bytes();
  CHECK(message().find("has no counters of a sqlite_store: check the path") != std::string::npos);
  CHECK(bytes() == before);
  static_cast<void>(outlay::sqlite_store({.path = dir.db().native()}));
  CHECK(open());
}

TEST_CASE("sqlite store: the mode of a file that is there stays", "[sqlite][store]") {
  const TempDir dir;
  {
    const SqliteStoreBackend store(dir.db(), 1s);
  }
  ::chmod(dir.db().c_str(), 0660);
  {
    const SqliteStoreBackend store(dir.db(), 1s);
  }
  CHECK(mode_of(dir.db()) == 0660);
}

TEST_CASE("sqlite store: counters outlive the process that made them", "[sqlite][store]") {
  const TempDir dir;
  {
    SqliteStoreBackend store(dir.db(), 1s);
    run(store, command_of(Op::settle, 1, 0.10_usd));
    run(store, command_of(Op::reserve, 2, 0.20_usd));
  }
  SqliteStoreBackend store(dir.db(), 1s);
  const StoreReply reply = look(store);
  CHECK(reply.states.at(0).spent.usd == 0.10_usd);
  CHECK(reply.states.at(0).reserved.usd == 0.20_usd);
  CHECK(run(store, command_of(Op::settle, 1, 0.10_usd)).outcome == Outcome::ended);
}

TEST_CASE("sqlite store: a file that is no database, or another program's, is refused and left as it was",
          "[sqlite][store]") {
  const TempDir dir;
  const bool foreign = GENERATE(false, true);
  if (foreign)
    Raw(dir.db()).exec("CREATE TABLE invoices(id INTEGER)");
  else
    std::ofstream(dir.db(), std::ios::binary) << std::string(10'000, 'x');
  const auto bytes = [&] {
    std::ifstream in(dir.db(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string before = bytes();
  const outlay::Error error = refusal(dir.db());
  CHECK(error.reason() == errc::bad_file);
  CHECK(contains(error.what(), foreign ? "another program" : "is no SQLite database"));
  CHECK(contains(error.what(), "another path"));
  CHECK(bytes() == before);
}

TEST_CASE("sqlite store: a file of a newer format is refused with both numbers", "[sqlite][store]") {
  const TempDir dir;
  {
    const SqliteStoreBackend store(dir.db(), 1s);
  }
  Raw(dir.db()).exec("UPDATE store_info SET format = 99");
  const outlay::Error error = refusal(dir.db());
  CHECK(error.reason() == errc::bad_file);
  CHECK(contains(error.what(), "its format is 99, this one knows up to 3"));
}

TEST_CASE("sqlite store: damage is refused with what to do, and never read as room", "[sqlite][store]") {
  const TempDir dir;
  {
    SqliteStoreBackend store(dir.db(), 1s);
    for (int i = 1; i <= 200; ++i)
      run(store, command_of(Op::settle, i, 0.10_usd, today, shared("name" + std::to_string(i))));
  }
  SECTION("a file that was cut short") {
    std::filesystem::resize_file(dir.db(), std::filesystem::file_size(dir.db()) / 2);
    const outlay::Error error = refusal(dir.db());
    CHECK(error.reason() == errc::bad_file);
    CHECK(contains(error.what(), "Move it away"));
  }
  SECTION("a row that cannot be read") {
    Raw(dir.db()).exec("UPDATE store_slots SET state = x'FFFF' WHERE id = 7");
    const outlay::Error error = refusal(dir.db());
    CHECK(error.reason() == errc::bad_file);
    CHECK(contains(error.what(), "Move it away"));
  }
  SECTION("a row that is damaged while the file is open") {
    SqliteStoreBackend store(dir.db(), 1s);
    Raw(dir.db()).exec("UPDATE store_slots SET state = x''");
    const auto result = try_run(store, command_of(Op::reserve, 999, 0.10_usd, today, shared("name1")));
    REQUIRE_FALSE(result);
    CHECK(result.error().reason() == errc::store_unavailable);
  }
}

TEST_CASE("sqlite store: a missing directory is named", "[sqlite][store]") {
  const TempDir dir;
  const outlay::Error error = refusal(dir.path() / "missing" / "caps.db");
  CHECK(error.reason() == errc::storage);
  CHECK(contains(error.what(), "directory exists"));
}

TEST_CASE("sqlite store: a read-only file is unavailable, until it can be written", "[sqlite][store]") {
  const TempDir dir;
  FaultVfs vfs;
  SqliteStoreBackend store(dir.db(), 1s);
  run(store, command_of(Op::reserve, 1, 0.10_usd));
  vfs.arm(FaultVfs::Fault::read_only, 1, true);
  const auto result = try_run(store, command_of(Op::reserve, 2, 0.10_usd));
  REQUIRE_FALSE(result);
  CHECK(result.error().reason() == errc::store_unavailable);
  CHECK(contains(result.error().message(), "read-only"));
  vfs.disarm();
  CHECK(look(store).states.at(0).reserved.usd == 0.10_usd);
  CHECK(run(store, command_of(Op::reserve, 2, 0.10_usd)).outcome == Outcome::done);
}

TEST_CASE("sqlite store: a disk that fails at any operation leaves nothing half done", "[sqlite][store][fault]") {
  FaultVfs vfs;
  const auto fault = GENERATE(FaultVfs::Fault::full, FaultVfs::Fault::short_write, FaultVfs::Fault::io_error);
  // Two counters, one batch of several commands, new slots and old ones.
  std::vector<StoreCommand> batch{command_of(Op::reserve, 2, 0.10_usd), command_of(Op::settle, 1, 0.05_usd),
                                  command_of(Op::extend, 2, 0.20_usd), command_of(Op::adjust, 3, 0.01_usd)};
  for (StoreCommand& command : batch) command.counters.push_back(shared("second"));
  int struck = 0;
  for (long nth = 1;; ++nth) {
    const TempDir dir;
    SqliteStoreBackend store(dir.db(), 1s);
    StoreCommand first = command_of(Op::reserve, 1, 0.30_usd);
    first.counters.push_back(shared("second"));
    run(store, first);
    vfs.arm(fault, nth);
    const auto replies = store.execute(batch, 1s);
    const bool hit = vfs.struck();
    vfs.disarm();
    INFO("operation " << nth);
    REQUIRE(replies.size() == batch.size());
    struck += replies[0] ? 0 : 1;
    for (const auto& reply : replies) {
      REQUIRE(reply.has_value() == replies[0].has_value());
      if (!reply) REQUIRE(reply.error().reason() == errc::store_unavailable);
    }
    // By another connection too: nothing, or everything.
    SqliteStoreBackend other(dir.db(), 1s);
    for (SqliteStoreBackend* each : {&store, &other})
      for (const char* name : {"shared", "second"}) {
        const StoreReply::State state = look(*each, shared(name)).states.at(0);
        REQUIRE(state.spent.usd == (replies[0] ? 0.06_usd : 0.00_usd));
        REQUIRE(state.reserved.usd == (replies[0] ? 0.20_usd : 0.30_usd));
      }
    // Tried again, it counts once.
    for (const auto& reply : store.execute(batch, 1s)) REQUIRE(reply.has_value());
    REQUIRE(look(store).states.at(0).spent.usd == 0.06_usd);
    REQUIRE(look(store).states.at(0).reserved.usd == 0.20_usd);
    REQUIRE(Raw(dir.db()).text("PRAGMA integrity_check") == "ok");
    if (!hit) break;
  }
  CHECK(struck > 0);
}

TEST_CASE("sqlite store: a file that is locked for too long is unavailable within the timeout", "[sqlite][store]") {
  const TempDir dir;
  SqliteStoreBackend store(dir.db(), 1s);
  Raw other(dir.db());
  other.exec("BEGIN IMMEDIATE");
  const auto begin = Steady::now();
  const auto result = try_run(store, command_of(Op::reserve, 1, 0.10_usd), 50ms);
  const auto took = Steady::now() - begin;
  REQUIRE_FALSE(result);
  CHECK(result.error().reason() == errc::store_unavailable);
  CHECK(contains(result.error().message(), "locked by another process"));
  CHECK(took >= 50ms);
  CHECK(took < 5s);
  other.exec("ROLLBACK");
  CHECK(run(store, command_of(Op::reserve, 1, 0.10_usd)).outcome == Outcome::done);
}

TEST_CASE("sqlite store: malformed commands are refused with what is wrong, and those beside them are executed",
          "[sqlite][store]") {
  const TempDir dir;
  SqliteStoreBackend store(dir.db(), 1s);
  std::vector<StoreCommand> batch(6, command_of(Op::reserve, 1, 0.10_usd));
  batch[0].id = "short";
  batch[1].counters[0].name = "";
  batch[2].counters[0].name = std::string(257, 'x');
  batch[3].counters.resize(65, shared());
  batch[4].amount.usd = -0.01_usd;
  const auto replies = store.execute(batch, 1s);
  REQUIRE(replies.size() == 6);
  for (std::size_t i = 0; i < 5; ++i) {
    INFO(i);
    REQUIRE_FALSE(replies[i]);
    CHECK(replies[i].error().reason() == errc::invalid_argument);
  }
  CHECK(replies[5].value().states.at(0).reserved.usd == 0.10_usd);
}

// --- together with a sink ---

TEST_CASE("sqlite store: one file may be a store's and a sink's at once, whichever is first", "[sqlite][store]") {
  const TempDir dir;
  const bool store_first = GENERATE(true, false);
  std::unique_ptr<SqliteStoreBackend> store;
  if (store_first) store = std::make_unique<SqliteStoreBackend>(dir.db(), 5s);
  const auto sink = outlay::sqlite_sink({.path = dir.db(), .batch = 3});
  if (!store) store = std::make_unique<SqliteStoreBackend>(dir.db(), 5s);
  std::thread writer([&] {
    for (std::uint64_t i = 1; i <= 500; ++i) sink->write(make_record(i, {{"n", std::to_string(i % 7)}}));
    sink->flush(soon());
  });
  int done = 0;
  for (int i = 1; i <= 200; ++i) {
    const auto reserved = try_run(*store, command_of(Op::reserve, i, 0.001_usd), 20s);
    const auto settled = try_run(*store, command_of(Op::settle, i, 0.001_usd), 20s);
    if (reserved && settled && settled.value().outcome == Outcome::done) ++done;
  }
  writer.join();
  sink->close();
  CHECK(done == 200);
  CHECK(look(*store).states.at(0).spent.usd == 0.20_usd);
  CHECK(outlay::report_sqlite(dir.db()).total().calls == 500);
  store.reset();
  CHECK(Raw(dir.db()).text("PRAGMA integrity_check") == "ok");
  // Either can be opened again.
  CHECK_NOTHROW(outlay::sqlite_sink({.path = dir.db()})->close());
  SqliteStoreBackend again(dir.db(), 1s);
  CHECK(look(again).states.at(0).spent.usd == 0.20_usd);
}

TEST_CASE("sqlite store: a file that only a store has used has no records, and says so", "[sqlite][store]") {
  const TempDir dir;
  {
    const SqliteStoreBackend store(dir.db(), 1s);
  }
  const outlay::Error error = failure_of([&] { static_cast<void>(outlay::report_sqlite(dir.db())); });
  CHECK(error.reason() == errc::bad_file);
  CHECK(contains(error.what(), "sqlite_sink"));
}

// --- data that is lost ---

TEST_CASE("sqlite store: a file that was deleted begins another epoch", "[sqlite][store]") {
  const TempDir dir;
  SqliteStoreBackend store(dir.db(), 1s);
  const StoreReply before = run(store, command_of(Op::settle, 1, 0.10_usd));
  remove_database(dir.db());
  const StoreReply after = run(store, command_of(Op::settle, 2, 0.20_usd));
  CHECK(after.epoch != before.epoch);
  CHECK(after.states.at(0).spent.usd == 0.20_usd);
  CHECK(mode_of(dir.db()) == 0600);
}

TEST_CASE("sqlite store: a file that was put back from an old copy has the same epoch and an older version",
          "[sqlite][store]") {
  const TempDir dir;
  const auto copy = dir.path() / "copy.db";
  {
    SqliteStoreBackend store(dir.db(), 1s);
    run(store, command_of(Op::settle, 1, 0.10_usd));
  }
  put_copy(dir.db(), copy);
  SqliteStoreBackend store(dir.db(), 1s);
  run(store, command_of(Op::settle, 2, 0.20_usd));
  const StoreReply before = run(store, command_of(Op::settle, 3, 0.30_usd));
  remove_database(dir.db());
  put_copy(copy, dir.db());
  const StoreReply after = look(store);
  CHECK(after.epoch == before.epoch);
  CHECK(after.version < before.version);
  CHECK(after.states.at(0).spent.usd == 0.10_usd);
}

TEST_CASE("sqlite store: the version does not fall when the file is opened again, whatever was forgotten",
          "[sqlite][store]") {
  const TempDir dir;
  StoreReply before;
  {
    SqliteStoreBackend store(dir.db(), 1s);
    for (int i = 1; i <= 5; ++i) before = run(store, command_of(Op::settle, i, 0.01_usd, today, daily(today)));
    look(store, shared(), today + 30 * 24h);
  }
  CHECK(Raw(dir.db()).number("SELECT count(*) FROM store_slots") == 0);
  SqliteStoreBackend store(dir.db(), 1s);
  const StoreReply after = look(store);
  CHECK(after.epoch == before.epoch);
  CHECK(after.version >= before.version);
}

// --- time ---

TEST_CASE("sqlite store: a clock that is put back frees nothing and charges nothing twice", "[sqlite][store]") {
  const TempDir dir;
  SqliteStoreBackend store(dir.db(), 1s);
  const Time noon = today + 12h;
  run(store, command_of(Op::reserve, 1, 0.60_usd, noon, daily(today)));
  run(store, command_of(Op::settle, 2, 0.30_usd, noon, daily(today)));
  const Time earlier = noon - 6h;
  CHECK(run(store, command_of(Op::reserve, 3, 0.20_usd, earlier, daily(today))).outcome == Outcome::refused);
  CHECK(run(store, command_of(Op::reserve, 4, 0.10_usd, earlier, daily(today))).outcome == Outcome::done);
  // The later lease is the one that was given first.
  StoreReply::State state = look(store, daily(today), earlier + lease + 1s).states.at(0);
  CHECK(state.spent.usd == 0.40_usd);
  CHECK(state.reserved.usd == 0.60_usd);
  state = look(store, daily(today), noon + lease + 1s).states.at(0);
  CHECK(state.spent.usd == 1.00_usd);
  CHECK(state.reserved == outlay::Amounts{});
  CHECK(run(store, command_of(Op::settle, 1, 0.50_usd, earlier, daily(today))).states.at(0).spent.usd == 0.90_usd);
}

TEST_CASE("sqlite store: a clock that is put back over a window's turn finds that window as it was left",
          "[sqlite][store]") {
  const TempDir dir;
  SqliteStoreBackend store(dir.db(), 1s);
  const Time tomorrow = today + 24h;
  run(store, command_of(Op::settle, 1, 0.90_usd, today + 1h, daily(today)));
  run(store, command_of(Op::settle, 2, 0.50_usd, tomorrow + 1h, daily(tomorrow)));
  const Time back = tomorrow - 1min;
  CHECK(run(store, command_of(Op::reserve, 3, 0.10_usd, back, daily(tomorrow))).outcome == Outcome::turned);
  CHECK(run(store, command_of(Op::reserve, 3, 0.20_usd, back, daily(today))).outcome == Outcome::refused);
  CHECK(run(store, command_of(Op::reserve, 3, 0.10_usd, back, daily(today))).outcome == Outcome::done);
  CHECK(look(store, daily(tomorrow), tomorrow + 1h).states.at(0).spent.usd == 0.50_usd);
}

TEST_CASE("sqlite store: another connection renews what this one reserved", "[sqlite][store]") {
  const TempDir dir;
  SqliteStoreBackend store(dir.db(), 1s), other(dir.db(), 1s);
  run(store, command_of(Op::reserve, 1, 0.10_usd));
  StoreCommand renew = command_of(Op::renew, 1, {}, today + lease / 2);
  renew.counters.clear();
  renew.ids = {id_of(2), id_of(1)};
  run(other, renew);
  CHECK(look(store, shared(), today + lease + 1s).states.at(0).reserved.usd == 0.10_usd);
  CHECK(look(store, shared(), today + lease / 2 + lease + 1s).states.at(0).spent.usd == 0.10_usd);
}

TEST_CASE("sqlite store: an id that ran out in one counter and was renewed in another has ended", "[sqlite][store]") {
  const TempDir dir;
  SqliteStoreBackend store(dir.db(), 1s);
  StoreCommand both = command_of(Op::reserve, 1, 0.10_usd);
  both.counters.push_back(shared("second"));
  run(store, both);
  const Time late = today + lease + 1s;
  CHECK(look(store, shared(), late).states.at(0).spent.usd == 0.10_usd);  // looks at one of them only
  StoreCommand renew = command_of(Op::renew, 1, {}, late);
  renew.counters.clear();
  renew.ids = {id_of(1)};
  run(store, renew);
  for (const Op op : {Op::reserve, Op::extend}) {
    both.op = op;
    both.amount.usd = 0.20_usd;
    both.now = late;
    CHECK(run(store, both).outcome == Outcome::ended);
  }
  both.op = Op::settle;
  both.amount.usd = 0.05_usd;
  const StoreReply reply = run(store, both);
  CHECK(reply.outcome == Outcome::done);
  for (const auto& state : reply.states) {
    CHECK(state.spent.usd == 0.05_usd);
    CHECK(state.reserved == outlay::Amounts{});
  }
}

TEST_CASE("sqlite store: slots and ids that are long over leave the file, and what still counts stays",
          "[sqlite][store]") {
  const TempDir dir;
  SqliteStoreBackend store(dir.db(), 1s);
  int id = 0;
  const auto rolling_slot = [](Time begin) {
    StoreCounter counter = shared("rolling");
    counter.window = "rolling864000s";  // ten days
    counter.begin = begin, counter.end = begin + 4h;
    counter.counted_from = begin - 10 * 24h;
    counter.counted_to = Time::max();
    counter.keep_until = counter.end + 12 * 24h;
    return counter;
  };
  run(store, command_of(Op::reserve, ++id, 0.01_usd, today, daily(today)));  // of a process that dies
  for (int day = 0; day < 9; ++day) {
    const Time begin = today + day * 24h;
    for (int call = 0; call < 20; ++call) run(store, command_of(Op::settle, ++id, 0.01_usd, begin + 1h, daily(begin)));
    run(store, command_of(Op::settle, ++id, 0.01_usd, begin + 1h, rolling_slot(begin)));
    run(store, command_of(Op::settle, ++id, 0.01_usd, begin + 1h));
  }
  const Time now = today + 8 * 24h + 3h;
  CHECK(look(store, rolling_slot(today + 8 * 24h), now).states.at(0).spent.usd == 0.09_usd);
  CHECK(look(store, shared(), now).states.at(0).spent.usd == 0.09_usd);
  look(store, shared(), now + 11min);
  Raw raw(dir.db());
  CHECK(raw.number("SELECT count(*) FROM store_slots WHERE name = x'6461696C79'") <= 4);      // "daily"
  CHECK(raw.number("SELECT count(*) FROM store_slots WHERE name = x'726F6C6C696E67'") == 9);  // "rolling"
  CHECK(raw.number("SELECT count(*) FROM store_ids") == 0);
}

TEST_CASE("sqlite store: an ended id is remembered for most of an hour", "[sqlite][store]") {
  const TempDir dir;
  SqliteStoreBackend store(dir.db(), 1s);
  run(store, command_of(Op::settle, 1, 0.10_usd));
  for (int minutes = 0; minutes < 59; minutes += 5)
    CHECK(run(store, command_of(Op::settle, 1, 0.10_usd, today + std::chrono::minutes(minutes))).outcome ==
          Outcome::ended);
  CHECK(look(store).states.at(0).spent.usd == 0.10_usd);
}

// --- as a budget's ---

TEST_CASE("sqlite store: two stores on one file are one cap", "[sqlite][store]") {
  const TempDir dir;
  outlay::Ledger ledger;
  const outlay::LedgerScope scope(ledger);
  const auto options = [&] { return outlay::SqliteStoreOptions{.path = dir.db().native()}; };
  const auto mine = outlay::sqlite_store(options()), theirs = outlay::sqlite_store(options());
  const auto calls = [](const std::shared_ptr<outlay::Store>& store) {
    const outlay::Budget budget(
        {.name = "everything", .usd = 0.05_usd, .window = outlay::Window::forever(), .store = store});
    int admitted = 0;
    for (int i = 0; i < 10; ++i) {
      auto call = outlay::try_call({.model = "flat", .input_tokens = 0, .max_output_tokens = 0, .usd = 0.01_usd});
      if (!call) continue;
      ++admitted;
      outlay::Settlement settlement;
      settlement.provider_cost = 0.01_usd;
      call->settle(settlement);
    }
    store->flush();
    return admitted;
  };
  const int first = calls(mine), second = calls(theirs);
  CHECK(first == 5);
  CHECK(second == 0);
  CHECK(theirs->state("everything", outlay::Window::forever()).spent.usd == 0.05_usd);
}

TEST_CASE("sqlite store: a store without a path is refused", "[sqlite][store]") {
  const outlay::Error error = failure_of([] { static_cast<void>(outlay::sqlite_store({})); });
  CHECK(error.reason() == errc::config);
  CHECK(contains(error.what(), ".path = "));
}
