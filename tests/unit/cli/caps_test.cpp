#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cli/commands.hpp"
#include "outlay/outlay.hpp"
#include "outlay/sqlite.hpp"
#include "outlay/testing.hpp"
#include "support/catch.hpp"
#include "unit/cli/command.hpp"
#ifdef OUTLAY_TEST_REDIS
#include "outlay/redis.hpp"
#include "support/redis_server.hpp"
#endif

namespace cli = outlay::cli;
using command::has;
using namespace outlay::literals;
using namespace std::chrono_literals;

namespace {

/// A program that is running, with a cap of 2 cents a day in a store.
class Program {
 public:
  explicit Program(std::string path) : store_(outlay::sqlite_store({.path = std::move(path)})) {}
  explicit Program(std::shared_ptr<outlay::Store> store) : store_(std::move(store)) {}
  /// \return It was admitted. It costs a cent.
  bool call() {
    const outlay::LedgerScope books(ledger_);
    const outlay::Budget budget({.name = "team", .usd = 0.02_usd, .window = outlay::Window::day(), .store = store_});
    auto call = outlay::try_call({.model = "gpt-4o-mini", .input_tokens = 0, .max_output_tokens = 1, .usd = 0.01_usd});
    if (!call) return false;
    call->sent();
    call->settle({.usage = {.output = 1}, .provider_cost = 0.01_usd});
    store_->flush();
    return true;
  }

 private:
  outlay::Ledger ledger_;
  std::shared_ptr<outlay::Store> store_;
};

std::vector<outlay::BudgetEvent> events_of(const std::string& file) {
  std::vector<outlay::BudgetEvent> events;
  outlay::SqliteReader(file).read([](const outlay::Record&) {},
                                  [&](const outlay::BudgetEvent& event) { events.push_back(event); });
  return events;
}

}  // namespace

TEST_CASE("caps: operators who change one counter at once change it all", "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db");
  CHECK(Program(store).call());
  const auto raise = [&](const std::string& what) {
    return command::run_outlay("caps raise " + store + " team " + what + " --by ada --reason more").status;
  };
  constexpr int rounds = 12;
  for (int i = 1; i <= rounds; ++i) {
    const std::string cap = std::to_string(i);
    int of_other = -1;
    std::thread other([&] { of_other = raise("--usd " + cap); });
    CHECK(raise("--calls " + cap) == 0);
    other.join();
    CHECK(of_other == 0);
    const outlay::Limits set = outlay::sqlite_store({.path = store})->caps().at(0).limits;
    CHECK(set == outlay::Limits{.usd = outlay::Usd::from_nanos(i * 1'000'000'000LL), .calls = i});
  }
}

TEST_CASE("caps: a running program sees a raised cap at its next call, and the event names the operator",
          "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db"), records = directory.file("spend.db");
  Program program(store);
  CHECK(program.call());
  CHECK(program.call());
  CHECK_FALSE(program.call());

  const command::Result raised = command::run_outlay(
      "caps raise " + store + " team --usd 0.03 --by ada --reason 'launch day' --records " + records);
  INFO(raised.err);
  CHECK(raised.status == 0);
  CHECK(has(raised.out, "$0.03"));
  CHECK(program.call());
  CHECK_FALSE(program.call());
  const auto events = events_of(records);
  REQUIRE(events.size() == 1);
  CHECK(events[0].action == outlay::Action::cap_set);
  CHECK(events[0].cap == 30'000'000);
  CHECK(has(events[0].reason, "ada"));
  CHECK(has(events[0].reason, "launch day"));

  const command::Result list = command::run_outlay("caps list " + store);
  CHECK(has(list.out, "team  day@UTC  usd  $0.03"));
  CHECK(has(list.out, "launch day"));
  const command::Result shown = command::run_outlay("caps show " + store + " team");
  CHECK(has(shown.out, "set by ada at "));
  const command::Result counters = command::run_outlay("caps counters " + store);
  CHECK(has(counters.out, "team  day@UTC  usd"));
  CHECK(has(counters.out, "$0.03"));
  CHECK(has(counters.out, "calls"));
  CHECK(command::run_outlay("caps counters " + store + " te").out == counters.out);
  CHECK(command::run_outlay("caps counters " + store + " user_id:").out ==
        "Nothing is kept of any counter whose name begins so.\n");
}

namespace {

/// Four threads of a program call without a pause and are refused. From the moment at which `raise` has returned each call is admitted:
/// there is more room than they can use.
void raise_while_busy(Program& program, const std::function<void()>& raise) {
  CHECK(program.call());
  CHECK(program.call());
  std::atomic<int> refused{0}, admitted{0};
  std::atomic<bool> raised{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      while (!raised) refused += !program.call();
      for (int more = 0; more < 2; ++more) admitted += program.call();
    });
  while (refused < 8) std::this_thread::yield();
  raise();
  raised = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(admitted == 8);
}

void check_raised(const std::string& store, const std::string& records) {
  const auto events = events_of(records);
  REQUIRE(events.size() == 1);
  CHECK(events[0].action == outlay::Action::cap_set);
  CHECK(events[0].reason == "ada: launch day");
  const std::string tail = command::run_outlay("tail " + records + " --once").out;
  CHECK(has(tail, "cap_set"));
  CHECK(has(tail, "ada: launch day"));
  CHECK(has(command::run_outlay("caps show " + store + " team").out, "set by ada at "));
}

}  // namespace

TEST_CASE("caps: every thread of a busy program sees a raised cap at its next call, in a file", "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db"), records = directory.file("ops.db");
  Program program(store);
  raise_while_busy(program, [&] {
    const command::Result raised = command::run_outlay(
        "caps raise " + store + " team --usd 100000 --by ada --reason 'launch day' --records " + records);
    INFO(raised.err);
    CHECK(raised.status == 0);
  });
  check_raised(store, records);
}

#ifdef OUTLAY_TEST_REDIS
TEST_CASE("caps: every thread of a busy program sees a raised cap at its next call, at a server", "[cli][caps]") {
  if (!test::RedisServer::installed()) return;
  const test::RedisServer server;
  const command::Directory directory;
  const std::string records = directory.file("ops.db");
  Program program(outlay::redis_store({.url = server.url(), .on_unreachable = outlay::OnUnreachable::deny()}));
  raise_while_busy(program, [&] {
    const command::Result raised = command::run_outlay(
        "caps raise " + server.url() + " team --usd 100000 --by ada --reason 'launch day' --records " + records);
    INFO(raised.err);
    CHECK(raised.status == 0);
  });
  check_raised(server.url(), records);
}
#endif

TEST_CASE("caps: close refuses every new call, reset gives the programs' caps back, and adjust corrects what was spent",
          "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db"), records = directory.file("spend.db");
  Program program(store);
  CHECK(program.call());
  CHECK(command::run_outlay("caps close " + store + " team --reason stop").status == 0);
  CHECK_FALSE(program.call());
  CHECK(command::run_outlay("caps reset " + store + " team --reason go --records " + directory.file("ops.db")).status ==
        0);
  CHECK(program.call());
  CHECK_FALSE(program.call());
  const command::Result refund = command::run_outlay(
      "caps adjust " + store + " team --usd -0.01 --id refund-1 --by ada --reason refund --records " + records);
  INFO(refund.err);
  CHECK(refund.status == 0);
  CHECK(has(refund.out, "$0.01"));
  CHECK(events_of(records).at(0).reason == "ada: refund");
  // The same refund once more changes nothing.
  CHECK(has(command::run_outlay("caps adjust " + store + " team --usd -0.01 --id refund-1 --reason refund --records " +
                                records)
                .out,
            "$0.01"));
  CHECK(program.call());
}

TEST_CASE("caps: what was most likely not meant is refused, with the next step", "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db"), records = " --records " + directory.file("ops.db");
  Program program(store);
  CHECK(program.call());
  const auto refused = [&](const std::string& arguments, int status, std::string_view part) {
    const command::Result result = command::run_outlay("caps " + arguments);
    INFO(result.err);
    CHECK(result.status == status);
    CHECK(has(result.err, part));
  };
  refused("raise " + store + " team --usd 1", cli::usage, "--reason");
  refused("raise " + store + " team --reason x", cli::usage, "as in --usd 20");
  refused("raise " + store + " team --usd 1e3 --reason x", cli::usage, "--usd");
  refused("raise " + store + " taem --usd 1 --reason x", cli::bad_input, "nothing is kept of \"taem\" in day@UTC");
  refused("raise " + store + " team --window month --usd 1 --reason x", cli::bad_input, "--create");
  refused("raise " + store + " team --window fortnight --usd 1 --reason x", cli::bad_input, "fortnight");
  refused("show " + directory.file("nothing.db") + " team", cli::bad_input, "does not exist");
  const std::string sink = directory.file("spend.db");
  outlay::sqlite_sink({.path = sink})->close();
  const std::string before = command::read_file(sink);
  refused("list " + sink, cli::bad_input, "has no counters of a sqlite_store");
  CHECK(command::read_file(sink) == before);
  refused("adjust " + store + " team --reason x" + records, cli::usage, "there is no amount");
  refused("raise " + store + " team --usd -1 --reason x", cli::usage, "a cap of -$1.00 (usd) is below 0");
  refused("lower " + store + " team --calls -1 --reason x", cli::usage, "a cap of -1 (calls) is below 0");
  refused("raise " + store + " team --usd 1 --until 12x --reason x", cli::usage, "12h, which is in 12 hours");
  refused("reopen " + store + " team --reason x" + records, cli::usage, "is not closed");
  refused("reset " + store + " team --calls --reason x" + records, cli::usage, "has no cap of calls");
  CHECK(command::run_outlay("caps raise " + store + " team --usd 0.05 --reason x").status == 0);
  refused("raise " + store + " team --usd 0.05 --reason x", cli::usage, "is not more. Write outlay caps lower");
  refused("lower " + store + " team --usd 0.06 --reason x", cli::usage, "is not less. Write outlay caps raise");
  CHECK(command::run_outlay("caps lower " + store + " team --usd 0.01 --reason x").status == 0);
  CHECK_FALSE(program.call());
}

TEST_CASE("caps: a cap keeps the dimensions that a change does not name", "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db");
  Program program(store);
  CHECK(program.call());
  CHECK(command::run_outlay("caps raise " + store + " team --usd 5 --reason x").status == 0);
  CHECK(command::run_outlay("caps raise " + store + " team --calls 7 --reason y").status == 0);
  const std::string list = command::run_outlay("caps watch " + store + " team --times 1").out;
  CHECK(has(list, "$5.00"));
  CHECK(has(list, "calls      7"));
}

TEST_CASE("caps: a cap that stays keeps its end, and caps with two ends are refused", "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db");
  Program program(store);
  CHECK(program.call());
  const auto run = [&](const std::string& arguments) {
    return command::run_outlay("caps " + arguments + " --reason x");
  };
  CHECK(run("raise " + store + " team --usd 5 --until 2200-01-01").status == 0);
  // The cap on calls ends with the one on money.
  CHECK(has(run("raise " + store + " team --calls 7").out, "until 2200-01-01T00:00:00Z\n"));
  std::string list = command::run_outlay("caps list " + store).out;
  CHECK(has(list, "usd    $5.00"));
  CHECK(list.find("2200-01-01T00:00:00Z") != list.rfind("2200-01-01T00:00:00Z"));
  CHECK_FALSE(has(list, "for good"));

  const command::Result two = run("raise " + store + " team --usd 6 --until 2200-02-01");
  CHECK(two.status == cli::usage);
  CHECK(has(two.err, "has a cap of 7 (calls) until 2200-01-01T00:00:00Z"));
  CHECK(has(two.err, "would hold until 2200-02-01T00:00:00Z"));
  // Closing for good must not end with a cap that is there until a day.
  const command::Result closed = run("close " + store + " team");
  CHECK(closed.status == cli::usage);
  CHECK(has(closed.err, "would hold for good"));
  CHECK(has(closed.err, "Write --until 2200-01-01T00:00:00Z, or reset those first."));
  CHECK(command::run_outlay("caps list " + store).out == list);
  // All of them at once may have another end.
  CHECK(run("raise " + store + " team --usd 6 --calls 8 --until 2200-02-01").status == 0);
  CHECK(has(command::run_outlay("caps list " + store).out, "2200-02-01"));
}

TEST_CASE("caps: a permanent cap is not ended by another one", "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db");
  Program program(store);
  CHECK(program.call());
  CHECK(command::run_outlay("caps raise " + store + " team --usd 5 --reason x").status == 0);
  const command::Result result = command::run_outlay("caps close " + store + " team --until 12h --reason x");
  CHECK(result.status == cli::usage);
  CHECK(has(result.err, "has a cap of $5.00 (usd) for good"));
  CHECK(has(result.err, "Leave --until out, or reset those first."));
}

TEST_CASE("caps: an end in 12 hours lies ahead", "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db");
  Program program(store);
  CHECK(program.call());
  const command::Result result = command::run_outlay("caps raise " + store + " team --usd 5 --until 12h --reason x");
  INFO(result.err);
  CHECK(result.status == 0);
  CHECK(has(command::run_outlay("caps list " + store).out, "$5.00"));
}

TEST_CASE("caps: a first cap is said to be neither higher nor lower than the programs' own", "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db");
  Program program(store);
  CHECK(program.call());
  const command::Result first = command::run_outlay("caps raise " + store + " team --usd 0.01 --reason x");
  CHECK(first.status == 0);
  const std::string_view said = "usd: no cap was set here, and the programs' own is not known to the store.";
  CHECK(has(first.out, said));
  CHECK(has(first.err, said));
  const command::Result second = command::run_outlay("caps raise " + store + " team --usd 5 --reason x");
  CHECK(second.status == 0);
  CHECK_FALSE(has(second.out, said));
  CHECK(second.err.empty());
}

TEST_CASE("caps: a lease that a look finds to have run out is said, and kept in the file that is named",
          "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db");
  for (const char* verb : {"counters", "show"}) {
    {
      const auto then = std::make_shared<outlay::testing::ManualClock>(std::chrono::system_clock::now() - 2h);
      const outlay::Ledger ledger({.clock = then});
      const outlay::LedgerScope scope(ledger);
      const outlay::Budget budget({.name = "batches",
                                   .usd = 100_usd,
                                   .window = outlay::Window::forever(),
                                   .store = outlay::sqlite_store({.path = store})});
      outlay::Call call(
          {.model = "flat", .input_tokens = 1000, .max_output_tokens = 500, .usd = 0.50_usd, .lease = 1min});
      call.sent();
      (void)call.detach();
    }
    const std::string records = directory.file(verb + std::string(".db"));
    const std::string look = std::string("caps ") + verb + ' ' + store +
                             (has(verb, "show") ? " batches --window forever" : "") + " --records " + records;
    CAPTURE(look);
    const command::Result found = command::run_outlay(look);
    CHECK(found.status == 0);
    CHECK(found.err ==
          "outlay: batches: A call did not end before its lease ran out (forever). What it had reserved was charged: "
          "$0.50 and 1500 tokens.\n");
    const auto events = events_of(records);
    REQUIRE(events.size() == 1);
    CHECK(events[0].action == outlay::Action::expired);
    CHECK(events[0].projected == 500'000'000);
  }
  CHECK(command::run_outlay("caps counters " + store).err.empty());  // once
}

TEST_CASE("caps: what close did is undone alone, and reset takes back one cap of several", "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db"), records = directory.file("ops.db");
  Program program(store);
  CHECK(program.call());
  CHECK(command::run_outlay("caps raise " + store + " team --usd 5 --tokens 900 --reason x").status == 0);
  CHECK(command::run_outlay("caps close " + store + " team --reason stop").status == 0);
  CHECK_FALSE(program.call());
  const command::Result reopened = command::run_outlay("caps reopen " + store + " team --reason go");
  INFO(reopened.err);
  CHECK(reopened.status == 0);
  for (int i = 0; i < 3; ++i) CHECK(program.call());  // under 5 dollars, not 2 cents
  CHECK(command::run_outlay("caps reset " + store + " team --usd --reason x").status == 0);
  const std::string list = command::run_outlay("caps list " + store).out;
  CHECK(has(list, "tokens  900"));
  CHECK_FALSE(has(list, "usd"));
  CHECK_FALSE(program.call());
  CHECK(command::run_outlay("caps reset " + store + " team --tokens --reason x --records " + records).status == 0);
  CHECK(has(command::run_outlay("caps list " + store).out, "No cap is set"));
  CHECK(events_of(records).size() == 1);
}

TEST_CASE("caps: what no store keeps needs a file that does", "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db");
  Program program(store);
  CHECK(program.call());
  CHECK(command::run_outlay("caps close " + store + " team --reason stop").status == 0);
  for (const std::string change : {"reset", "reopen", "adjust"}) {
    const command::Result result = command::run_outlay("caps " + change + " " + store + " team --reason x" +
                                                       (change == "adjust" ? " --usd 1" : ""));
    CHECK(result.status == cli::usage);
    CHECK(has(result.err, "--records spend.db"));
  }
  CHECK_FALSE(program.call());
}
