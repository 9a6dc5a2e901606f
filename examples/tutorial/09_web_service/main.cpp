// Caps a user and day for a web service, whose refusals are answers with status 429 and Retry-After.
#include <chrono>
#include <iostream>
#include <memory>
#include <outlay/outlay.hpp>
#include <outlay/testing.hpp>
#include <string>

using namespace outlay::literals;
using namespace std::chrono_literals;

struct Response {
  int status = 200;
  std::string retry_after{};  // in seconds
  std::string body{};
};

std::string answer(std::string_view question) {
  outlay::Call call({.model = "gpt-4o", .input_text = question, .max_output_tokens = 500});
  call.sent();
  call.settle({.input = 20, .output = 400});
  return "It left our bank this morning.";
}

// The middleware: tags say whose request it is, and a refusal becomes what HTTP has for it.
Response handle(const std::string& user, std::string_view question) {
  outlay::Track track({{"user_id", user}});
  try {
    return {.body = answer(question)};
  } catch (const outlay::BudgetExceeded& refused) {
    Response response{.status = 429, .body = refused.budget() + " has spent its day"};
    if (refused.held_by_running())
      response.retry_after = "1";  // the cap is not spent: calls that run now hold the room
    else if (const auto wait = refused.retry_after())
      response.retry_after = std::to_string(wait->count());
    return response;
  } catch (const outlay::StoreUnavailable&) {  // of caps in a store that many processes share
    return {.status = 503, .retry_after = "1", .body = "try again soon"};
  }
}

int main() {
  // A clock that stands still, so that this prints the same at any hour. A service leaves `clock` out.
  const auto clock = std::make_shared<outlay::testing::ManualClock>();
  outlay::Ledger ledger({.clock = clock});
  outlay::LedgerScope scope(ledger);
  ledger.add_rule({.match = {"user_id", "*"}, .usd = 0.01_usd});                        // for each user, a day
  ledger.add_rule({.match = {"user_id", "carol"}, .usd = 0.05_usd});                    // in its place, for her
  ledger.add_rule({.usd = 100_usd, .window = outlay::Window::month("Europe/Berlin")});  // for all together

  clock->advance(20h);
  for (const char* user : {"alice", "alice", "alice", "bob", "carol", "carol", "carol"}) {
    const Response response = handle(user, "Where is my refund?");
    std::cout << user << ": " << response.status << ' ' << response.body;
    if (!response.retry_after.empty()) std::cout << " (Retry-After: " << response.retry_after << ')';
    std::cout << '\n';
  }
  clock->advance(4h);
  std::cout << "The next day: " << handle("alice", "Where is my refund?").status << '\n';
}
