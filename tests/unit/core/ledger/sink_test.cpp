// The contract of Sink, SinkOptions and Ledger::flush.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "outlay/log.hpp"
#include "support/log_capture.hpp"
#include "support/reason_of.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace std::chrono_literals;
using outlay::Record;
using outlay::SinkStats;
using outlay::testing::BlockingSink;
using outlay::testing::FailingSink;
using outlay::testing::RecordingSink;

namespace {

std::vector<std::uint64_t> ids(const std::vector<Record>& records) {
  std::vector<std::uint64_t> result;
  for (const Record& record : records) result.push_back(record.call_id);
  return result;
}

/// A BlockingSink that what it kept must outlive.
class DurableBlockingSink : public BlockingSink {
 public:
  [[nodiscard]] bool durable() const noexcept override { return true; }
};

}  // namespace

TEST_CASE("sink: gets the rows of a thread in the order in which they were booked", "[core][sink]") {
  Fixture fixture;
  const auto sink = std::make_shared<RecordingSink>();
  fixture.ledger.add_sink(sink);
  std::vector<std::uint64_t> booked;
  for (int i = 0; i < 500; ++i) booked.push_back(book_cent());
  fixture.ledger.flush();
  CHECK(ids(sink->records()) == booked);
  CHECK(fixture.ledger.sink_stats(sink).written == 500);
}

TEST_CASE("sink: is called by one thread at a time, and never by the one that settles", "[core][sink]") {
  class Watching : public RecordingSink {
   public:
    void write(const Record& record) override {
      if (inside++ != 0) overlapped = true;
      {
        const std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
      }
      RecordingSink::write(record);
      --inside;
    }
    std::atomic<int> inside{0};
    std::atomic<bool> overlapped{false};
    std::mutex mutex{};
    std::set<std::thread::id> threads{};
  };
  Fixture fixture;
  const auto sink = std::make_shared<Watching>();
  fixture.ledger.add_sink(sink);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      const outlay::LedgerScope scope(fixture.ledger);
      for (int i = 0; i < 500; ++i) book_cent();
    });
  for (std::thread& thread : threads) thread.join();
  fixture.ledger.flush();
  CHECK(sink->records().size() == 2'000);
  CHECK_FALSE(sink->overlapped);
  CHECK(sink->threads.size() == 1);
  CHECK(sink->threads.count(std::this_thread::get_id()) == 0);
}

TEST_CASE("sink: gets events as well as records", "[core][sink]") {
  Fixture fixture;
  const auto sink = std::make_shared<RecordingSink>();
  fixture.ledger.add_sink(sink);
  const outlay::Budget outer({.name = "run", .usd = 0.01_usd});
  const outlay::Budget inner({.name = "answer", .usd = 1_usd});
  book_cent();
  CHECK_FALSE(outlay::try_call(cent_request()));
  fixture.ledger.flush();
  CHECK(sink->records().size() == 1);
  REQUIRE(sink->events().size() == 1);
  const outlay::BudgetEvent event = sink->events()[0];
  CHECK((event.action == outlay::Action::blocked));
  CHECK(event.path == "run");
  CHECK(event.budgets == std::vector<std::string>{"run", "answer"});
}

TEST_CASE("sink: one that throws on every row is contained, counted and reported once", "[core][sink]") {
  Fixture fixture;
  const LogCapture log;
  const auto bad = std::make_shared<FailingSink>();
  const auto good = std::make_shared<RecordingSink>();
  fixture.ledger.add_sink(bad);
  fixture.ledger.add_sink(good);
  for (int i = 0; i < 100; ++i) book_cent();
  fixture.ledger.flush();  // not durable: only counted
  const SinkStats stats = fixture.ledger.sink_stats(bad);
  CHECK(stats.written == 0);
  CHECK(stats.dropped == 100);
  CHECK(stats.failures == 101);  // and the flush
  CHECK(log.count("this sink fails on purpose") == 1);
  CHECK(good->records().size() == 100);
  CHECK(fixture.ledger.records().size() == 100);
}

TEST_CASE("sink: rows at which one throws are dropped and counted, and the others arrive in order", "[core][sink]") {
  Fixture fixture;
  const LogCapture log;
  const auto sink = std::make_shared<FailingSink>(std::set<std::uint64_t>{3, 6});
  fixture.ledger.add_sink(sink);
  std::vector<std::uint64_t> booked;
  for (int i = 0; i < 8; ++i) booked.push_back(book_cent());
  fixture.ledger.flush();
  booked.erase(booked.begin() + 5);
  booked.erase(booked.begin() + 2);
  CHECK(ids(sink->records()) == booked);
  CHECK(fixture.ledger.sink_stats(sink).dropped == 2);
  CHECK(fixture.ledger.sink_stats(sink).written == 6);
}

TEST_CASE("sink: a log handler that throws at a failing one harms nobody", "[core][sink]") {
  Fixture fixture;
  const auto previous =
      outlay::set_log_handler([](outlay::LogLevel, std::string_view) { throw std::runtime_error("no disk"); });
  const auto sink = std::make_shared<FailingSink>(std::set<std::uint64_t>{1});
  fixture.ledger.add_sink(sink);
  book_cent();
  const std::uint64_t second = book_cent();
  fixture.ledger.flush();
  outlay::set_log_handler(previous);
  CHECK(ids(sink->records()) == std::vector{second});
}

TEST_CASE("sink: the failure of a durable one fails the flush that covers it, and no later one", "[core][sink]") {
  Fixture fixture;
  const LogCapture log;
  const auto sink = std::make_shared<FailingSink>(std::set<std::uint64_t>{2}, true);
  fixture.ledger.add_sink(sink);
  book_cent();
  book_cent();
  CHECK((reason_of([&] { fixture.ledger.flush(); }) == outlay::errc::sink_failed));
  CHECK((reason_of([&] { fixture.ledger.flush(); }) == outlay::errc::ok));
  CHECK(sink->records().size() == 1);
}

TEST_CASE("sink: a durable one that cannot flush fails the flush even without rows", "[core][sink]") {
  Fixture fixture;
  const LogCapture log;
  fixture.ledger.add_sink(std::make_shared<FailingSink>(std::set<std::uint64_t>{1}, true));
  CHECK((reason_of([&] { fixture.ledger.flush(); }) == outlay::errc::sink_failed));
  CHECK((reason_of([&] { fixture.ledger.flush(); }) == outlay::errc::ok));
}

TEST_CASE("sink: rows dropped while another thread flushes are reported to the one that waits for them",
          "[core][sink]") {
  Fixture fixture;
  const LogCapture log;
  const auto sink = std::make_shared<DurableBlockingSink>();
  fixture.ledger.add_sink(sink, {.queue = 1, .max_delay = 0ms});
  book_cent();
  sink->wait_until_held();
  outlay::errc first = outlay::errc::ok;
  std::thread flusher([&] { first = reason_of([&] { fixture.ledger.flush(20s); }); });
  book_cent();
  book_cent();  // dropped: one may wait
  book_cent();  // dropped
  CHECK(fixture.ledger.sink_stats(sink).dropped >= 2);
  sink->open();
  flusher.join();
  const outlay::errc second = reason_of([&] { fixture.ledger.flush(20s); });
  // Whichever flush began later than the drop says so.
  CHECK(((first == outlay::errc::sink_failed) || (second == outlay::errc::sink_failed)));
  CHECK((reason_of([&] { fixture.ledger.flush(20s); }) == outlay::errc::ok));
}

TEST_CASE("sink: a full queue drops the newest row and counts it", "[core][sink]") {
  Fixture fixture;
  const auto sink = std::make_shared<BlockingSink>();
  fixture.ledger.add_sink(sink, {.queue = 2, .when_full = outlay::WhenFull::drop_newest, .max_delay = 0ms});
  std::vector<std::uint64_t> booked{book_cent()};
  sink->wait_until_held();
  for (int i = 0; i < 5; ++i) booked.push_back(book_cent());
  CHECK(fixture.ledger.sink_stats(sink).dropped == 3);
  sink->open();
  fixture.ledger.flush();
  booked.resize(3);
  CHECK(ids(sink->records()) == booked);
}

TEST_CASE("sink: a full queue drops the oldest row and counts it", "[core][sink]") {
  Fixture fixture;
  const auto sink = std::make_shared<BlockingSink>();
  fixture.ledger.add_sink(sink, {.queue = 2, .when_full = outlay::WhenFull::drop_oldest, .max_delay = 0ms});
  std::vector<std::uint64_t> booked{book_cent()};
  sink->wait_until_held();
  for (int i = 0; i < 5; ++i) booked.push_back(book_cent());
  CHECK(fixture.ledger.sink_stats(sink).dropped == 3);
  sink->open();
  fixture.ledger.flush();
  booked.erase(booked.begin() + 1, booked.begin() + 4);
  CHECK(ids(sink->records()) == booked);
}

TEST_CASE("sink: a blocking queue holds settle and loses nothing", "[core][sink]") {
  Fixture fixture;
  const auto sink = std::make_shared<BlockingSink>();
  fixture.ledger.add_sink(sink, {.queue = 1, .when_full = outlay::WhenFull::block, .max_delay = 0ms});
  book_cent();
  sink->wait_until_held();
  book_cent();  // waits in the queue
  std::atomic<bool> settled{false};
  std::thread settler([&] {
    const outlay::LedgerScope scope(fixture.ledger);
    book_cent();
    settled = true;
  });
  // An admission and its refusal go on meanwhile.
  {
    const outlay::Budget budget({.name = "small", .usd = 0.001_usd});
    CHECK_FALSE(outlay::try_call(cent_request()));
  }
  CHECK_FALSE(settled);
  sink->open();
  settler.join();
  fixture.ledger.flush();
  CHECK(sink->records().size() == 3);
  CHECK(sink->events().empty());  // the refusal's event: dropped, and counted
  CHECK(fixture.ledger.sink_stats(sink).dropped == 1);
}

TEST_CASE("sink: a blocking queue holds settle for its events too", "[core][sink]") {
  Fixture fixture;
  const auto sink = std::make_shared<BlockingSink>();
  fixture.ledger.add_sink(sink, {.queue = 1, .when_full = outlay::WhenFull::block, .max_delay = 0ms});
  book_cent();
  sink->wait_until_held();
  std::atomic<bool> settled{false};
  std::thread settler([&] {
    const outlay::LedgerScope scope(fixture.ledger);
    const outlay::Budget budget({.name = "half", .usd = 0.02_usd, .notify_at = {0.5}});
    book_cent();  // the record fills the queue, the threshold's event finds no room
    settled = true;
  });
  const auto deadline = std::chrono::steady_clock::now() + 200ms;
  while (!settled && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  CHECK_FALSE(settled);
  sink->open();
  settler.join();
  fixture.ledger.flush();
  CHECK(sink->records().size() == 2);
  REQUIRE(sink->events().size() == 1);
  CHECK((sink->events()[0].action == outlay::Action::threshold));
  CHECK(fixture.ledger.sink_stats(sink).dropped == 0);
}

TEST_CASE("sink: a blocking queue holds no child of a fork, where its thread is not", "[core][sink]") {
  Fixture fixture;
  const auto sink = std::make_shared<BlockingSink>();
  fixture.ledger.add_sink(sink, {.queue = 1, .when_full = outlay::WhenFull::block, .max_delay = 0ms});
  book_cent();
  sink->wait_until_held();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(10);  // ends the child if it is held
    book_cent();
    book_cent();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  sink->open();
}

TEST_CASE("sink: while one queue blocks, the other sinks have their rows", "[core][sink]") {
  Fixture fixture;
  const auto slow = std::make_shared<BlockingSink>();
  const auto fast = std::make_shared<RecordingSink>();
  fixture.ledger.add_sink(slow, {.queue = 1, .when_full = outlay::WhenFull::block, .max_delay = 0ms});
  fixture.ledger.add_sink(fast, {.max_delay = 0ms});
  book_cent();
  slow->wait_until_held();
  book_cent();
  std::thread settler([&] {
    const outlay::LedgerScope scope(fixture.ledger);
    book_cent();
  });
  while (fast->records().size() != 3) std::this_thread::yield();
  slow->open();
  settler.join();
  fixture.ledger.flush();
  CHECK(slow->records().size() == 3);
}

TEST_CASE("sink: a small queue that blocks is drained as it fills, not only every max_delay", "[core][sink]") {
  Fixture fixture;
  const auto sink = std::make_shared<RecordingSink>();
  fixture.ledger.add_sink(sink, {.queue = 4, .when_full = outlay::WhenFull::block, .max_delay = 60s});
  for (int i = 0; i < 100; ++i) book_cent();  // would take hours
  fixture.ledger.flush();
  CHECK(sink->records().size() == 100);
}

TEST_CASE("sink: a flush ends at its deadline, and says so for a durable sink", "[core][sink]") {
  Fixture fixture;
  const auto durable = std::make_shared<DurableBlockingSink>();
  fixture.ledger.add_sink(durable, {.max_delay = 0ms});
  book_cent();
  durable->wait_until_held();
  CHECK((reason_of([&] { fixture.ledger.flush(10ms); }) == outlay::errc::timed_out));
  durable->open();
  CHECK((reason_of([&] { fixture.ledger.flush(); }) == outlay::errc::ok));
}

TEST_CASE("sink: the longest time there is is for ever, for a flush as for rows that gather", "[core][sink]") {
  constexpr auto longest = std::chrono::milliseconds::max();
  Fixture fixture;
  const auto sink = std::make_shared<outlay::testing::FailingSink>(std::set<std::uint64_t>{1'000}, true);
  fixture.ledger.add_sink(sink, {.max_delay = longest});
  book_cent();
  CHECK((reason_of([&] { fixture.ledger.flush(longest); }) == outlay::errc::ok));
  CHECK(sink->records().size() == 1);
  const auto store = std::make_shared<outlay::Store>(
      std::make_unique<outlay::testing::WeatheredBackend>(std::make_shared<outlay::testing::Weather>(),
                                                          outlay::StoreBackend::Distance::remote),
      outlay::StoreOptions{.on_unreachable = outlay::OnUnreachable::deny()});
  const outlay::Budget day({.name = "day", .usd = 1_usd, .window = outlay::Window::day(), .store = store});
  book_cent();
  CHECK((reason_of([&] { store->flush(longest); }) == outlay::errc::ok));
}

TEST_CASE("sink: an exporter that hangs never fails a flush", "[core][sink]") {
  Fixture fixture;
  const auto exporter = std::make_shared<BlockingSink>();
  const auto durable = std::make_shared<FailingSink>(std::set<std::uint64_t>{1'000'000}, true);
  fixture.ledger.add_sink(exporter, {.max_delay = 0ms});
  fixture.ledger.add_sink(durable);
  book_cent();
  exporter->wait_until_held();
  CHECK((reason_of([&] { fixture.ledger.flush(10ms); }) != outlay::errc::sink_failed));
  CHECK((reason_of([&] { fixture.ledger.flush(60s); }) == outlay::errc::ok));
  CHECK(durable->records().size() == 1);
  exporter->open();
}

TEST_CASE("sink: an exporter that missed a flush's deadline is not waited for until it has caught up", "[core][sink]") {
  Fixture fixture;
  const auto exporter = std::make_shared<BlockingSink>();
  fixture.ledger.add_sink(exporter, {.max_delay = 0ms});
  book_cent();
  exporter->wait_until_held();
  fixture.ledger.flush(10ms);
  const auto start = std::chrono::steady_clock::now();
  fixture.ledger.flush(60s);
  CHECK(std::chrono::steady_clock::now() - start < 30s);
  exporter->open();
  while (exporter->flushes() == 0) std::this_thread::yield();
  // Once it has, it has its rows again when flush returns.
  for (std::size_t rows = 2; rows < 100; ++rows) {
    book_cent();
    fixture.ledger.flush();
    REQUIRE(exporter->records().size() == rows);
  }
}

TEST_CASE("sink: close is the last call, after what was booked", "[core][sink]") {
  class Ordered : public RecordingSink {
   public:
    void write(const Record& record) override {
      late = late || closes() != 0;
      RecordingSink::write(record);
    }
    std::atomic<bool> late{false};
  };
  const auto sink = std::make_shared<Ordered>();
  {
    Fixture fixture;
    fixture.ledger.add_sink(sink);
    for (int i = 0; i < 100; ++i) book_cent();
  }
  CHECK(sink->records().size() == 100);
  CHECK(sink->flushes() == 1);
  CHECK(sink->closes() == 1);
  CHECK_FALSE(sink->late);
}

TEST_CASE("sink: one that was removed gets what was booked before, is closed, and gets no more", "[core][sink]") {
  Fixture fixture;
  const auto sink = std::make_shared<RecordingSink>();
  fixture.ledger.add_sink(sink);
  book_cent();
  CHECK(fixture.ledger.remove_sink(sink));
  book_cent();
  fixture.ledger.flush();
  CHECK(sink->records().size() == 1);
  CHECK(sink->closes() == 1);
  CHECK_FALSE(fixture.ledger.remove_sink(sink));
}

TEST_CASE("sink: rows that a removed sink has not taken yet keep their tags", "[core][sink]") {
  Fixture fixture({.max_records = 10});
  const auto sink = std::make_shared<BlockingSink>();
  fixture.ledger.add_sink(sink, {.queue = 1, .max_delay = 0ms});
  book_cent();
  sink->wait_until_held();
  {
    const outlay::Track track({{"user_id", "alice"}});
    book_cent();
  }
  book_cent();
  REQUIRE(fixture.ledger.sink_stats(sink).dropped == 1);
  std::thread remover([&] { fixture.ledger.remove_sink(sink); });
  while (fixture.ledger.sink_stats(sink).dropped != 0) std::this_thread::yield();  // no more the ledger's
  // So many tags that those of no record are swept away, and their places used again.
  for (int i = 0; i < 20'000; ++i) {
    const outlay::Track track({{"user_id", std::to_string(i)}});
    book_cent();
  }
  sink->open();
  remover.join();
  REQUIRE(sink->records().size() == 2);
  CHECK(sink->records()[1].tags.at("user_id") == "alice");
}

TEST_CASE("sink: one that hangs does not take the others' time when the ledger ends", "[core][sink]") {
  class Opening : public RecordingSink {
   public:
    explicit Opening(std::shared_ptr<BlockingSink> other) : other_(std::move(other)) {}
    void close() override {
      RecordingSink::close();
      other_->open();
    }
    [[nodiscard]] bool durable() const noexcept override { return true; }

   private:
    std::shared_ptr<BlockingSink> other_;
  };
  const LogCapture log;
  const auto hanging = std::make_shared<BlockingSink>();
  const auto durable = std::make_shared<Opening>(hanging);
  {
    Fixture fixture;
    fixture.ledger.add_sink(hanging);
    fixture.ledger.add_sink(durable);
    book_cent();
  }
  CHECK(durable->records().size() == 1);
  CHECK(durable->closes() == 1);
  CHECK(log.count("did not end in time") == 0);
}

TEST_CASE("sink: belongs to one ledger, until it is removed there", "[core][sink]") {
  Fixture fixture;
  const auto sink = std::make_shared<RecordingSink>();
  fixture.ledger.add_sink(sink);
  outlay::Ledger other;
  CHECK((reason_of([&] { other.add_sink(sink); }) == outlay::errc::config));
  CHECK((reason_of([&] { fixture.ledger.add_sink(sink); }) == outlay::errc::config));
  book_cent();
  CHECK(fixture.ledger.remove_sink(sink));
  other.add_sink(sink);
  {
    const outlay::LedgerScope scope(other);
    book_cent();
  }
  other.flush();
  CHECK(sink->records().size() == 2);
}

TEST_CASE("sink: may itself open budgets and make calls", "[core][sink]") {
  class Calling : public RecordingSink {
   public:
    explicit Calling(const outlay::Ledger& books) : ledger(books) {}
    void write(const Record& record) override {
      RecordingSink::write(record);
      if (records().size() > 5) return;
      const outlay::LedgerScope scope(ledger);
      const outlay::Budget budget({.name = "own", .usd = 1_usd});
      book_cent();
    }
    outlay::Ledger ledger;
  };
  Fixture fixture;
  const auto sink = std::make_shared<Calling>(fixture.ledger);
  // A queue of one that blocks: the sink's own thread must not wait for itself.
  const auto when_full = GENERATE(outlay::WhenFull::drop_newest, outlay::WhenFull::block);
  fixture.ledger.add_sink(sink, {.queue = 1, .when_full = when_full, .max_delay = 0ms});
  book_cent();
  for (int i = 0; i < 10; ++i) fixture.ledger.flush();
  CHECK(sink->records().size() >= 2);
  CHECK(fixture.ledger.remove_sink(sink));
}

TEST_CASE("sink: null, a queue of 0 and a negative delay are refused", "[core][sink]") {
  Fixture fixture;
  const auto sink = std::make_shared<RecordingSink>();
  CHECK((reason_of([&] { fixture.ledger.add_sink(nullptr); }) == outlay::errc::config));
  CHECK((reason_of([&] { fixture.ledger.add_sink(sink, {.queue = 0}); }) == outlay::errc::config));
  CHECK((reason_of([&] { fixture.ledger.add_sink(sink, {.max_delay = -1ms}); }) == outlay::errc::config));
}

TEST_CASE("sink: a settling thread goes on as soon as every blocking queue has room, in whatever order they make it",
          "[core][sink]") {
  for (const bool first_opens_first : {true, false}) {
    Fixture fixture;
    const auto first = std::make_shared<BlockingSink>(), second = std::make_shared<BlockingSink>();
    const outlay::SinkOptions options{.queue = 1, .when_full = outlay::WhenFull::block, .max_delay = 0ms};
    fixture.ledger.add_sink(first, options);
    fixture.ledger.add_sink(second, options);
    const auto witness = std::make_shared<RecordingSink>();  // has its row once the settling thread waits
    fixture.ledger.add_sink(witness, {.max_delay = 0ms});
    book_cent();
    first->wait_until_held();
    second->wait_until_held();
    book_cent();  // fills both queues
    std::promise<void> settled;
    std::thread settler([&] {
      const outlay::LedgerScope scope(fixture.ledger);
      book_cent();
      settled.set_value();
    });
    std::future<void> done = settled.get_future();
    while (witness->records().size() < 3) std::this_thread::yield();
    (first_opens_first ? first : second)->open();
    while ((first_opens_first ? first : second)->records().size() < 2) std::this_thread::yield();
    (first_opens_first ? second : first)->open();
    const bool in_time = done.wait_for(10s) == std::future_status::ready;
    if (!in_time) {  // a further wake-up ends the thread that missed one
      fixture.ledger.remove_sink(first);
      fixture.ledger.remove_sink(second);
    }
    settler.join();
    CHECK(in_time);
    if (in_time) fixture.ledger.flush();
    CHECK(first->records().size() == 3);
    CHECK(second->records().size() == 3);
  }
}

TEST_CASE("sink: the thread of a sink that makes calls is held by no full queue", "[core][sink]") {
  // Each sink settles a call for every record that it gets from outside, so that each waits for room in the other one's queue.
  struct Caller final : outlay::Sink {
    explicit Caller(const outlay::Ledger& ledger) : books(ledger) {}
    void write(const Record& record) override {
      if (record.tags.contains("inner")) return;
      const outlay::LedgerScope scope(books);
      const outlay::Track track({{"inner", "yes"}});
      for (int i = 0; i < 3; ++i) book_cent();
    }
    const outlay::Ledger books;
  };
  Fixture fixture;
  const outlay::SinkOptions options{.queue = 1, .when_full = outlay::WhenFull::block, .max_delay = 0ms};
  const auto first = std::make_shared<Caller>(fixture.ledger), second = std::make_shared<Caller>(fixture.ledger);
  fixture.ledger.add_sink(first, options);
  fixture.ledger.add_sink(second, options);
  for (int i = 0; i < 20; ++i) book_cent();
  CHECK_NOTHROW(fixture.ledger.flush(10s));
  fixture.ledger.remove_sink(first);
  fixture.ledger.remove_sink(second);
}
