// Connections of SQLite's do not survive fork(2), so the child must neither use nor disturb them.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "outlay/outlay.hpp"
#include "support/forked.hpp"
#include "unit/sqlite/fixture.hpp"

using namespace outlay_test;
using namespace outlay::literals;

namespace {

/// One call of a dollar under a shared cap.
outlay::errc pay(const std::shared_ptr<outlay::Store>& store) {
  {
    const outlay::Budget budget(
        {.name = "cap", .usd = 1'000'000_usd, .window = outlay::Window::forever(), .store = store});
    auto call = outlay::try_call({.model = "flat", .input_tokens = 0, .max_output_tokens = 0, .usd = 1_usd});
    if (!call) return call.error().reason();
    outlay::Settlement settlement;
    settlement.provider_cost = 1_usd;
    call->settle(settlement);
  }
  store->flush(30s);
  return outlay::errc::ok;
}

/// The child of a test, and the test, take turns.
class Turns {
 public:
  Turns() {
    if (::pipe(ends_) != 0) throw std::runtime_error("no pipe");
  }
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;
  ~Turns() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  void give() const { static_cast<void>(!::write(ends_[1], "x", 1)); }
  void take() const {
    char c = 0;
    static_cast<void>(!::read(ends_[0], &c, 1));
  }

 private:
  int ends_[2]{};
};

}  // namespace

TEST_CASE("sqlite: a child with a sink and a store of its own works, and ends by exit()", "[sqlite][fork]") {
  NEEDS_FORK();
  const TempDir dir;
  static std::shared_ptr<outlay::Store> store;  // destroyed by exit() in the child
  static std::shared_ptr<outlay::Sink> loose;   // no ledger's
  store = outlay::sqlite_store({.path = dir.path() / "caps.db"});
  loose = outlay::sqlite_sink({.path = dir.path() / "loose.db"});
  const auto sink = outlay::sqlite_sink({.path = dir.db()});
  outlay::Ledger ledger;
  ledger.add_sink(sink);
  const outlay::LedgerScope scope(ledger);
  loose->write(make_record(1));
  REQUIRE((pay(store) == outlay::errc::ok));
  ForkedChild child([&] {
    if (pay(store) != outlay::errc::store_unavailable) return 1;
    try {
      loose->write(make_record(2));
      return 2;
    } catch (const outlay::Error& error) {
      if (error.reason() != outlay::errc::storage) return 3;
    }
    loose->flush(soon());
    outlay::Ledger own;
    own.add_sink(outlay::sqlite_sink({.path = dir.db()}));
    const outlay::LedgerScope own_scope(own);
    const auto own_store = outlay::sqlite_store({.path = dir.path() / "caps.db"});
    if (pay(own_store) != outlay::errc::ok) return 4;
    own.flush();
    return 0;
  });
  CHECK(child.wait() == 0);
  REQUIRE((pay(store) == outlay::errc::ok));
  ledger.flush();
  loose->flush(soon());
  CHECK(outlay::report_sqlite(dir.db()).total().calls == 3);
  CHECK(outlay::report_sqlite(dir.path() / "loose.db").total().calls == 1);
  CHECK(store->state("cap", outlay::Window::forever()).spent.usd == 3_usd);
  store.reset();
  loose.reset();
}

TEST_CASE("sqlite: what a child writes stays, though its parent closes the file meanwhile", "[sqlite][fork]") {
  NEEDS_FORK();
  const TempDir dir;
  const Turns to_parent, to_child;
  auto sink = outlay::sqlite_sink({.path = dir.db()});
  sink->write(make_record(1));
  sink->flush(soon());
  ForkedChild child([&] {
    const auto own = outlay::sqlite_sink({.path = dir.db()});
    own->write(make_record(2));
    own->flush(soon());
    to_parent.give();
    to_child.take();  // the parent has closed its connection
    own->write(make_record(3));
    own->flush(soon());
    to_parent.give();
    to_child.take();  // the parent has opened another one, and written
    own->write(make_record(4));
    own->close();
    return 0;
  });
  to_parent.take();
  sink->close();
  sink.reset();
  to_child.give();
  to_parent.take();
  const auto again = outlay::sqlite_sink({.path = dir.db()});
  again->write(make_record(5));
  again->flush(soon());
  to_child.give();
  CHECK(child.wait() == 0);
  again->close();
  CHECK(Raw(dir.db()).text("SELECT group_concat(call) FROM (SELECT call FROM records ORDER BY call)") == "1,2,3,4,5");
  CHECK(Raw(dir.db()).text("PRAGMA integrity_check") == "ok");
}

TEST_CASE("sqlite: a hundred children of a process that is busy in the same files", "[sqlite][fork][stress]") {
  NEEDS_FORK();
  const TempDir dir;
  const auto caps = dir.path() / "caps.db";
  constexpr int children = 100;
  std::atomic<int> paid{0};
  int ended = 0;
  {
    outlay::Ledger ledger;
    ledger.add_sink(outlay::sqlite_sink({.path = dir.db(), .max_delay = 1ms, .busy_timeout = 30s}));
    const auto store = outlay::sqlite_store({.path = caps, .timeout = 30s});
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t)
      threads.emplace_back([&] {
        const outlay::LedgerScope scope(ledger);
        while (!stop) paid += pay(store) == outlay::errc::ok;
      });
    threads.emplace_back([&] {
      while (!stop) (void)outlay::report_sqlite(dir.db(), {"model"});
    });
    for (int i = 0; i < children; ++i) {
      ForkedChild child([&] {
        outlay::Ledger own;
        own.add_sink(outlay::sqlite_sink({.path = dir.db(), .busy_timeout = 30s}));
        const outlay::LedgerScope scope(own);
        const auto own_store = outlay::sqlite_store({.path = caps, .timeout = 30s});
        const bool ok = pay(own_store) == outlay::errc::ok;
        own.flush(30s);
        return ok ? 0 : 1;
      });
      ended += child.wait() == 0;
    }
    stop = true;
    for (auto& thread : threads) thread.join();
    ledger.flush(30s);
  }
  CHECK(ended == children);
  CHECK(Raw(dir.db()).number("SELECT count(*) FROM records") == paid + children);
  CHECK(Raw(dir.db()).text("PRAGMA integrity_check") == "ok");
  const auto store = outlay::sqlite_store({.path = caps});
  CHECK(store->state("cap", outlay::Window::forever()).spent.usd ==
        outlay::Usd::from_nanos((paid + children) * 1'000'000'000LL));
}
