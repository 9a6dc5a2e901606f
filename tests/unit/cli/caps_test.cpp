#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "outlay/outlay.hpp"
#include "outlay/sqlite.hpp"
#include "support/catch.hpp"
#include "unit/cli/command.hpp"

namespace cli = outlay::cli;
using namespace outlay::literals;

namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// A program that is running, with a cap of 2 cents a day in a store.
class Program {
 public:
  explicit Program(std::string path) : store_(outlay::sqlite_store({.path = std::move(path)})) {}
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

TEST_CASE("caps: a running program sees a raised cap at its next call, and the event names the operator",
          "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db"), records = directory.file("spend.db");
  Program program(store);
  CHECK(program.call());
  CHECK(program.call());
  CHECK_FALSE(program.call());

  const command::Result raised =
      command::outlay("caps raise " + store + " team --usd 0.03 --by ada --reason 'launch day' --records " + records);
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

  const command::Result list = command::outlay("caps list " + store);
  CHECK(has(list.out, "team  day@UTC  usd  $0.03"));
  CHECK(has(list.out, "launch day"));
  const command::Result shown = command::outlay("caps show " + store + " team");
  CHECK(has(shown.out, "set by ada at "));
}

TEST_CASE("caps: close refuses every new call, reset gives the programs' caps back, and adjust corrects what was spent",
          "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db"), records = directory.file("spend.db");
  Program program(store);
  CHECK(program.call());
  CHECK(command::outlay("caps close " + store + " team --reason stop").status == 0);
  CHECK_FALSE(program.call());
  CHECK(command::outlay("caps reset " + store + " team --reason go").status == 0);
  CHECK(program.call());
  CHECK_FALSE(program.call());
  const command::Result refund = command::outlay(
      "caps adjust " + store + " team --usd -0.01 --id refund-1 --by ada --reason refund --records " + records);
  INFO(refund.err);
  CHECK(refund.status == 0);
  CHECK(has(refund.out, "$0.01"));
  CHECK(events_of(records).at(0).reason == "ada: refund");
  // The same refund once more changes nothing.
  CHECK(has(command::outlay("caps adjust " + store + " team --usd -0.01 --id refund-1 --reason refund").out, "$0.01"));
  CHECK(program.call());
}

TEST_CASE("caps: what was most likely not meant is refused, with the next step", "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db");
  Program program(store);
  CHECK(program.call());
  const auto refused = [&](const std::string& arguments, int status, std::string_view part) {
    const command::Result result = command::outlay("caps " + arguments);
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
  refused("adjust " + store + " team --reason x", cli::bad_input, "changes nothing");
  CHECK(command::outlay("caps raise " + store + " team --usd 0.05 --reason x").status == 0);
  refused("raise " + store + " team --usd 0.05 --reason x", cli::usage, "is not more. Write outlay caps lower");
  refused("lower " + store + " team --usd 0.06 --reason x", cli::usage, "is not less. Write outlay caps raise");
  CHECK(command::outlay("caps lower " + store + " team --usd 0.01 --reason x").status == 0);
  CHECK_FALSE(program.call());
}

TEST_CASE("caps: a cap keeps the dimensions that a change does not name", "[cli][caps]") {
  const command::Directory directory;
  const std::string store = directory.file("caps.db");
  Program program(store);
  CHECK(program.call());
  CHECK(command::outlay("caps raise " + store + " team --usd 5 --reason x").status == 0);
  CHECK(command::outlay("caps raise " + store + " team --calls 7 --reason y").status == 0);
  const std::string list = command::outlay("caps watch " + store + " team --times 1").out;
  CHECK(has(list, "$5.00"));
  CHECK(has(list, "calls      7"));
}
