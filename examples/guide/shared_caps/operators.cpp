// A cap that every process counts in, changed and corrected while programs run. Links: outlay::sqlite.
#include <outlay/outlay.hpp>
#include <outlay/sqlite.hpp>

#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

using namespace outlay::literals;

int main() {
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(std::string("caps.db") + suffix);
  const std::shared_ptr<outlay::Store> store = outlay::sqlite_store({.path = "caps.db"});
  const outlay::Window month = outlay::Window::month();

  // What each process of the service does.
  const auto serve = [&store, &month] {
    outlay::Budget alice({.name = "user:alice", .usd = 0.01_usd, .window = month, .store = store});
    outlay::Result<outlay::Call> call =
        outlay::try_call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 500});
    if (!call) {
      std::cout << "refused; the cap is " << *alice.limits().usd << '\n';
      return;
    }
    call->sent();
    call->settle({.input = 1'000, .output = 500});
    std::cout << "admitted: " << alice.spent().usd << " of " << *alice.limits().usd << '\n';
  };
  serve();
  serve();

  // What an operator does; `outlay caps raise caps.db user:alice --window month --usd 0.02 --reason "..."` is the same.
  store->set_cap(
      {.name = "user:alice", .window = month, .limits = {.usd = 0.02_usd}, .by = "ada", .reason = "launch day"});
  serve();
  for (const outlay::CapState& cap : store->caps())
    std::cout << cap.name << ": " << *cap.limits.usd << " since " << cap.by << " set it (" << cap.reason << "), "
              << cap.state.spent.usd << " is spent\n";

  // A refund of the provider; once, however often it is told.
  for (int again = 0; again < 2; ++again) {
    const outlay::StoreReply::State state = store->adjust({.name = "user:alice",
                                                           .window = month,
                                                           .amounts = {.usd = -0.005_usd},
                                                           .id = "refund-17",
                                                           .reason = "failed batch"});
    std::cout << "after the refund: " << state.spent.usd << '\n';
  }
}
