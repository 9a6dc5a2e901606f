// A day of a small service, written to spend.db, and what SQL says about it. Links: outlay::sqlite, outlay::testing.
#include <outlay/outlay.hpp>
#include <outlay/sqlite.hpp>
#include <outlay/testing.hpp>

#include <sqlite3.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

using namespace outlay::literals;
using namespace std::chrono_literals;

namespace {

constexpr const char* file = "spend.db";

void spend(outlay::Ledger& ledger, outlay::testing::ManualClock& clock) {
  const outlay::LedgerScope scope(ledger);
  outlay::Budget day({.name = "service", .usd = 0.05_usd, .notify_at = {0.5}});
  const auto ask = [&clock](std::string_view model, const outlay::Usage& usage) {
    clock.advance(40min);
    outlay::Result<outlay::Call> call =
        outlay::try_call({.model = model, .input_tokens = usage.input_total(), .max_output_tokens = 1'000});
    if (!call) return;
    call->sent();
    clock.advance(2s);
    call->settle(usage);
  };
  for (const char* user : {"alice", "bob"}) {
    outlay::Track track({{"feature", "support"}, {"user_id", user}});
    ask("gpt-4o", {.input = 1'200, .output = 400});
    ask("gpt-4o", {.input = 200, .cache_read = 1'024, .output = 350});
  }
  {
    outlay::Track track({{"feature", "search"}, {"user_id", "alice"}});
    outlay::Budget search(
        {.name = "search", .usd = 0.02_usd, .on_exceed = outlay::Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
    ask("gpt-4o", {.input = 900, .output = 700});
    ask("gpt-4o", {.input = 900, .output = 650});  // goes to gpt-4o-mini
    clock.advance(1h);
    outlay::Call lost({.model = "gpt-4o-mini", .input_tokens = 900, .max_output_tokens = 1'000});
    lost.sent();  // and the connection breaks
  }
  outlay::Track track({{"feature", "reports"}, {"user_id", "bob"}});
  ask("gpt-4o", {.input = 9'000, .output = 1'000});  // is refused
}

void query(sqlite3* database, const std::string& name) {
  std::ifstream text(OUTLAY_GUIDE_DIR "/queries/" + name);
  std::stringstream sql;
  sql << text.rdbuf();
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database, sql.str().c_str(), -1, &statement, nullptr) != SQLITE_OK)
    throw std::runtime_error(name + ": " + sqlite3_errmsg(database));
  std::cout << "-- " << name << '\n';
  while (sqlite3_step(statement) == SQLITE_ROW) {
    for (int column = 0; column < sqlite3_column_count(statement); ++column) {
      const unsigned char* value = sqlite3_column_text(statement, column);
      std::cout << (column ? " | " : "") << (value ? reinterpret_cast<const char*>(value) : "NULL");
    }
    std::cout << '\n';
  }
  sqlite3_finalize(statement);
}

}  // namespace

int main() try {
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(std::string(file) + suffix);
  const auto clock = std::make_shared<outlay::testing::ManualClock>(
      outlay::Time(std::chrono::sys_days(std::chrono::year(2026) / 11 / 2)) + 8h);
  outlay::Ledger ledger({.prices = outlay::testing::fixture_prices(), .clock = clock});
  ledger.add_sink(outlay::sqlite_sink({.path = file}));
  spend(ledger, *clock);
  ledger.flush();

  sqlite3* database = nullptr;
  if (sqlite3_open_v2(file, &database, SQLITE_OPEN_READONLY, nullptr) != SQLITE_OK) throw std::runtime_error(file);
  for (const char* name : {"dearest_tags.sql", "unknown_cost.sql", "refusals.sql", "cache.sql"}) query(database, name);
  sqlite3_close(database);
} catch (const std::exception& problem) {
  std::cerr << problem.what() << '\n';
  return 1;
}
