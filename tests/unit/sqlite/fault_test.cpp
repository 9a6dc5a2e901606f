// The disk fails at every operation of a session in turn, in every way; each time the disk recovers, and everything is there once.
#include <memory>
#include <vector>

#include "outlay/log.hpp"
#include "support/fault_vfs.hpp"
#include "unit/sqlite/fixture.hpp"

using namespace outlay_test;
using test::FaultVfs;

namespace {

/// Keeps the log quiet, and what it said.
struct QuietLog {
  QuietLog()
      : previous(
            outlay::set_log_handler([this](outlay::LogLevel, std::string_view line) { said.emplace_back(line); })) {}
  QuietLog(const QuietLog&) = delete;
  QuietLog& operator=(const QuietLog&) = delete;
  ~QuietLog() { outlay::set_log_handler(previous); }
  std::vector<std::string> said{};
  outlay::LogHandler previous;
};

constexpr std::uint64_t rows = 40;

outlay::SqliteSinkOptions options_for(const TempDir& dir, outlay::Durability durability) {
  return {.path = dir.db(), .durability = durability, .batch = 8, .max_delay = 1h, .busy_timeout = 0ms};
}

/// Forty rows in five transactions, flushed twice on the way.
/// \return How many of them a flush had confirmed before something was thrown, and whether all were taken.
struct Fed {
  std::uint64_t confirmed = 0;
  bool failed = false;
};
Fed feed(outlay::Sink& sink) {
  Fed outcome;
  for (std::uint64_t i = 1; i <= rows; ++i) {
    sink.write(make_record(i, {{"n", std::to_string(i)}}));
    if (i % 20 != 0) continue;
    try {
      sink.flush(Steady::now());
      outcome.confirmed = i;
    } catch (const outlay::Error& error) {
      outcome.failed = true;
      CHECK((error.reason() == outlay::errc::storage));
    }
  }
  return outcome;
}

long operations_of_a_session(outlay::Durability durability, FaultVfs& vfs) {
  const TempDir dir;
  vfs.arm(FaultVfs::Fault::none, 0);
  const auto sink = outlay::sqlite_sink(options_for(dir, durability));
  feed(*sink);
  sink->close();
  return vfs.operations();
}

}  // namespace

TEST_CASE("sqlite: a disk that fails once, at any operation, costs no row and doubles none", "[sqlite][fault]") {
  QuietLog log;
  FaultVfs vfs;
  const auto durability = GENERATE(outlay::Durability::normal, outlay::Durability::full);
  const auto fault = GENERATE(FaultVfs::Fault::full, FaultVfs::Fault::short_write, FaultVfs::Fault::io_error,
                              FaultVfs::Fault::read_only);
  const long operations = operations_of_a_session(durability, vfs);
  REQUIRE(operations > 20);
  int refused_at_open = 0;
  for (long nth = 1; nth <= operations; ++nth) {
    const TempDir dir;
    std::shared_ptr<outlay::Sink> sink;
    vfs.arm(fault, nth);
    try {
      sink = outlay::sqlite_sink(options_for(dir, durability));
    } catch (const outlay::Error&) {
      ++refused_at_open;  // and the next start needs no help
      vfs.disarm();
      sink = outlay::sqlite_sink(options_for(dir, durability));
    }
    feed(*sink);
    vfs.disarm();
    sink->flush(soon());
    sink->close();
    INFO("operation " << nth << " of " << operations);
    Raw raw(dir.db());
    REQUIRE(raw.number("SELECT count(*) FROM records") == static_cast<std::int64_t>(rows));
    REQUIRE(raw.number("SELECT count(DISTINCT call) FROM records") == static_cast<std::int64_t>(rows));
    REQUIRE(raw.number("SELECT count(DISTINCT tag_set) FROM records") == static_cast<std::int64_t>(rows));
    REQUIRE(raw.text("PRAGMA integrity_check") == "ok");
  }
  CHECK(refused_at_open < operations / 2);
}

TEST_CASE("sqlite: while the disk stays full no flush confirms, and what was confirmed before is there",
          "[sqlite][fault]") {
  QuietLog log;
  FaultVfs vfs;
  const auto fault = GENERATE(FaultVfs::Fault::full, FaultVfs::Fault::io_error, FaultVfs::Fault::read_only);
  const long operations = operations_of_a_session(outlay::Durability::full, vfs);
  bool some_failed = false;
  for (long nth = 20; nth <= operations; nth += 3) {
    const TempDir dir;
    vfs.arm(fault, nth, true);
    std::shared_ptr<outlay::Sink> sink;
    try {
      sink = outlay::sqlite_sink(options_for(dir, outlay::Durability::full));
    } catch (const outlay::Error&) {
      continue;
    }
    const Fed outcome = feed(*sink);
    some_failed |= outcome.failed;
    if (outcome.failed) {
      const outlay::Error error = failure_of([&] { sink->close(); });
      CHECK(contains(error.what(), "lost"));
    }
    sink.reset();
    vfs.disarm();
    INFO("operation " << nth << " of " << operations);
    Raw raw(dir.db());
    REQUIRE(raw.number("SELECT count(*) FROM records WHERE call <= " + std::to_string(outcome.confirmed)) ==
            static_cast<std::int64_t>(outcome.confirmed));
    REQUIRE(raw.number("SELECT count(*) - count(DISTINCT call) FROM records") == 0);
    REQUIRE(raw.text("PRAGMA integrity_check") == "ok");
  }
  CHECK(some_failed);
}

TEST_CASE("sqlite: an outage is logged once, with the reason", "[sqlite][fault]") {
  QuietLog log;
  FaultVfs vfs;
  const TempDir dir;
  const auto sink = outlay::sqlite_sink(options_for(dir, outlay::Durability::normal));
  vfs.arm(FaultVfs::Fault::full, 1, true);
  for (std::uint64_t i = 1; i <= 100; ++i) sink->write(make_record(i));
  vfs.disarm();
  sink->flush(soon());
  sink->close();
  REQUIRE(log.said.size() == 2);
  CHECK(contains(log.said[0], "the disk is full"));
  CHECK(contains(log.said[1], "have been written"));
  CHECK(Raw(dir.db()).number("SELECT count(*) FROM records") == 100);
}

TEST_CASE("sqlite: a ledger's flush throws while the disk is full, and not once it has recovered", "[sqlite][fault]") {
  QuietLog log;
  FaultVfs vfs;
  const TempDir dir;
  outlay::Ledger ledger;
  const outlay::LedgerScope scope(ledger);
  const auto sink = outlay::sqlite_sink(options_for(dir, outlay::Durability::normal));
  ledger.add_sink(sink);
  vfs.arm(FaultVfs::Fault::full, 1, true);
  for (int i = 0; i < 20; ++i) {
    outlay::Call call({.model = "gpt-4o-mini", .input_tokens = 10, .max_output_tokens = 10});
    call.settle({.input = 10, .output = 1});
  }
  CHECK(failure_of([&] { ledger.flush(50ms); }).reason() == outlay::errc::sink_failed);
  vfs.disarm();
  CHECK_NOTHROW(ledger.flush());
  CHECK(ledger.sink_stats(sink).dropped == 0);
  CHECK(outlay::report_sqlite(dir.db()).at(0).calls == 20);
}
