// Two sessions, served by four threads: each session has a budget that lives as long as the session.
#include <atomic>
#include <iostream>
#include <map>
#include <outlay/outlay.hpp>
#include <string>
#include <thread>
#include <vector>

using namespace outlay::literals;

struct Session {
  explicit Session(const std::string& user) : budget({.name = user, .usd = 0.05_usd}) {}
  outlay::BudgetHandle budget;  // a value: it may be a member, be copied, and go to another thread
  std::atomic<int> refused{0};
};

void handle_message(Session& session) {
  outlay::Attach in(session.budget);  // what follows counts there, on whatever thread this is
  outlay::Track track({{"user_id", session.budget.name()}});
  try {
    outlay::Call call({.model = "gpt-4o", .input_tokens = 2'000, .max_output_tokens = 500});
    call.sent();
    call.settle({.input = 2'000, .output = 500});  // $0.01
  } catch (const outlay::BudgetExceeded&) {
    ++session.refused;
  }
}

int main() {
  outlay::Budget server({.name = "server", .usd = 1_usd});
  // Made inside the server's budget, so what they spend counts there, too.
  std::map<std::string, Session> sessions;
  for (const char* user : {"alice", "bob"}) sessions.try_emplace(user, user);

  // A new thread starts outside every budget and without tags. What is bound starts where it was bound: here.
  outlay::Track track({{"service", "chat"}});
  const outlay::Context context = outlay::Context::current();
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back(context.bind([&] {
      for (int message = 0; message < 3; ++message)
        for (auto& [user, session] : sessions) handle_message(session);
    }));
  threads.clear();  // joins them

  for (auto& [user, session] : sessions)
    std::cout << user << ": " << session.budget.state() << ", " << session.refused << " refused\n";
  std::cout << "server: " << server.state() << '\n' << outlay::report({"service", "user_id"});
}
