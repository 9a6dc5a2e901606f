// What fork(2) leaves to the child, and what to the parent.
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "outlay/jsonl_sink.hpp"
#include "support/forked.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace std::chrono_literals;

namespace {

std::size_t count_lines(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::size_t lines = 0;
  for (std::string line; std::getline(in, line);) ++lines;
  return lines;
}

/// A file for one case.
struct TempFile {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("outlay-fork-" + std::to_string(::getpid()) + ".jsonl");
  TempFile() { std::filesystem::remove(path); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile() { std::filesystem::remove(path); }
};

/// A store that is elsewhere, and counts how often it is spoken to.
class DistantBackend final : public outlay::StoreBackend {
 public:
  explicit DistantBackend(std::atomic<int>& asked) : asked_(asked) {}
  std::vector<outlay::Result<outlay::StoreReply>> execute(std::span<const outlay::StoreCommand> commands,
                                                          std::chrono::milliseconds timeout) override {
    ++asked_;
    return memory_->execute(commands, timeout);
  }
  [[nodiscard]] Distance distance() const noexcept override { return Distance::remote; }
  [[nodiscard]] std::string description() const override { return "a distant store"; }

 private:
  std::atomic<int>& asked_;
  std::unique_ptr<outlay::StoreBackend> memory_ = outlay::memory_backend();
};

}  // namespace

TEST_CASE("fork: a child with a ledger and a sink of its own works and ends by exit(), and the parent loses nothing",
          "[core][fork]") {
  NEEDS_FORK();
  const TempFile file;
  outlay::Ledger shared = outlay::Ledger::default_ledger();  // whose sinks are closed at exit()
  const auto sink = outlay::jsonl_sink({.path = file.path});
  shared.add_sink(sink);
  outlay::Call({.model = "flat", .input_tokens = 0, .max_output_tokens = 0, .usd = 1_usd}).settle(outlay::Usage{});
  ForkedChild child([&] {
    const Fixture own;
    const auto own_sink = outlay::jsonl_sink({.path = file.path});
    outlay::Ledger(own.ledger).add_sink(own_sink);
    book_cent();
    outlay::Ledger(own.ledger).flush();
    return own.ledger.sink_stats(own_sink).written == 1 ? 0 : 1;
  });
  CHECK(child.wait() == 0);
  shared.flush();
  CHECK(shared.sink_stats(sink).written == 1);
  CHECK(shared.remove_sink(sink));
  CHECK(count_lines(file.path) == 2);
}

TEST_CASE("fork: a ledger that a child has inherited goes on in memory, without the sinks", "[core][fork]") {
  NEEDS_FORK();
  Fixture fixture;
  const auto sink = std::make_shared<outlay::testing::BlockingSink>();
  fixture.ledger.add_sink(sink, {.queue = 1, .when_full = outlay::WhenFull::block, .max_delay = 0ms});
  book_cent();
  sink->wait_until_held();
  book_cent();
  ForkedChild child([&] {
    for (int i = 0; i < 3; ++i) book_cent();
    fixture.ledger.flush();
    if (fixture.ledger.remove_sink(sink)) return 1;
    if (fixture.ledger.records().size() != 5) return 2;
    if (fixture.ledger.report().total().usd != 0.05_usd) return 3;
    if (fixture.ledger.audit().verdict != outlay::Audit::Verdict::agrees) return 4;
    ForkedChild grandchild([] {
      book_cent();
      return 0;
    });
    return grandchild.wait() == 0 ? 0 : 5;
  });
  CHECK(child.wait() == 0);
  sink->open();
  fixture.ledger.flush();
  CHECK(sink->records().size() == 2);
}

TEST_CASE("fork: a child does not speak to a store of its parent's, and its own one works", "[core][fork]") {
  NEEDS_FORK();
  const Fixture fixture;
  std::atomic<int> asked{0};
  auto store = std::make_shared<outlay::Store>(std::make_unique<DistantBackend>(asked),
                                               outlay::StoreOptions{.on_unreachable = outlay::OnUnreachable::deny()});
  const auto spend = [](const std::shared_ptr<outlay::Store>& in) {
    const outlay::Budget budget({.name = "day", .usd = 1_usd, .window = outlay::Window::day(), .store = in});
    auto call = outlay::try_call(cent_request());
    if (!call) return call.error().reason();
    call->settle(outlay::Usage{});
    in->flush(10s);
    return outlay::errc::ok;
  };
  REQUIRE((spend(store) == outlay::errc::ok));
  ForkedChild child([&] {
    const int before = asked;
    if (spend(store) != outlay::errc::store_unavailable) return 1;
    store->flush(10s);
    store.reset();
    if (asked != before) return 2;
    std::atomic<int> own_asked{0};
    const auto own =
        std::make_shared<outlay::Store>(std::make_unique<DistantBackend>(own_asked),
                                        outlay::StoreOptions{.on_unreachable = outlay::OnUnreachable::deny()});
    if (spend(own) != outlay::errc::ok) return 3;
    // Windows without a store count in this process's memory, as a copy of the parent's.
    const outlay::Budget here({.name = "here", .usd = 1_usd, .window = outlay::Window::day()});
    return outlay::try_call(cent_request()) ? 0 : 4;
  });
  CHECK(child.wait() == 0);
  CHECK((spend(store) == outlay::errc::ok));
}

TEST_CASE("fork: a hundred children of a busy process", "[core][fork][stress]") {
  NEEDS_FORK();
  Fixture fixture;
  const auto sink = std::make_shared<outlay::testing::RecordingSink>();
  fixture.ledger.add_sink(sink, {.queue = 1'000'000, .max_delay = 0ms});
  std::atomic<bool> stop{false};
  std::atomic<std::size_t> settled{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      const outlay::LedgerScope scope(fixture.ledger);
      const outlay::Budget day({.name = "busy", .usd = 1'000'000_usd, .window = outlay::Window::day()});
      for (std::size_t i = 0; !stop; ++i) {
        const outlay::Track track({{"t", std::to_string(t)}, {"i", std::to_string(i % 10'000)}});
        book_cent();
        ++settled;
        if (i % 100 == 0) (void)fixture.ledger.report({"t", "model"});
        if (i % 1'000 == 0) std::this_thread::yield();
      }
    });
  int ended = 0;
  for (int i = 0; i < 100; ++i) {
    ForkedChild child([&] {
      const Fixture own;
      const auto own_sink = std::make_shared<outlay::testing::RecordingSink>();
      outlay::Ledger(own.ledger).add_sink(own_sink);
      const outlay::Budget budget({.name = "own", .usd = 1_usd, .window = outlay::Window::day()});
      book_cent();
      outlay::Ledger(own.ledger).flush();
      const outlay::LedgerScope inherited(fixture.ledger);
      book_cent();
      (void)fixture.ledger.report({"t"});
      outlay::detail::log(outlay::LogLevel::debug, "still here");
      return own_sink->records().size() == 1 ? 0 : 1;
    });
    ended += child.wait() == 0;
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  CHECK(ended == 100);
  fixture.ledger.flush(60s);
  CHECK(sink->records().size() == settled);
}
