// Says what each piece of work is for, and then who spent what.
#include <iostream>
#include <outlay/outlay.hpp>
#include <outlay/sqlite.hpp>
#include <string_view>

using namespace outlay::literals;

// Stands for your LLM client: sends a question of so many tokens, and is billed for an answer of 200.
void ask(std::string_view model, std::int64_t tokens) {
  outlay::Call call({.model = model, .input_tokens = tokens, .max_output_tokens = 400});
  call.sent();
  call.settle({.input = tokens, .output = 200});
}

void handle_ticket(std::string_view user) {
  outlay::Track track({{"feature", "support"}, {"user_id", user}});
  ask("gpt-4o", 900);
  {
    outlay::Track step({{"step", "translate"}});  // added to the two around it, for this block alone
    ask("gpt-4o-mini", 300);
  }
}

int main() {
  // Keep every call in a file, too, for reports after this program has ended.
  outlay::Ledger ledger = outlay::Ledger::current();
  ledger.add_sink(outlay::sqlite_sink({.path = "spend.db"}));

  outlay::Budget day({.name = "today", .usd = 1_usd});
  for (const char* user : {"alice", "bob", "alice"}) handle_ticket(user);
  {
    outlay::Track track({{"feature", "search"}, {"user_id", "bob"}});
    ask("gpt-4o", 2'000);
  }

  std::cout << outlay::report({"user_id"}) << '\n' << outlay::report({"feature", "model"}) << '\n';
  for (const outlay::ReportRow& row : outlay::report({"user_id", "step"}))
    if (row.tags.find("step")) std::cout << row.tags.at("user_id") << " translated for " << row.usd << '\n';

  ledger.flush();  // what was booked is in the file now
}
