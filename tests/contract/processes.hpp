#pragma once

// What processes that share a store see of each other, whatever the store: calls that one leaves and another ends, and caps that an operator
// sets while others run. Each process is a child of a fork, with a ledger, a clock and a view of the store of its own.

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "outlay/outlay.hpp"
#include "outlay/testing.hpp"
#include "support/catch.hpp"
#include "support/forked.hpp"

namespace outlay_test::processes {

using namespace outlay::literals;
using namespace std::chrono_literals;

inline const outlay::Time midnight = outlay::Time(std::chrono::sys_days(std::chrono::year(2026) / 11 / 30));

/// Where the processes meet.
struct Place {
  std::function<std::shared_ptr<outlay::Store>()> open;      ///< A process's own view of it.
  std::function<void(outlay::Time)> set_time = [](auto) {};  ///< For a store that has a clock of its own.
};

/// What a process has, at a time of its own.
struct Process {
  Process(const Place& place, outlay::Time now)
      : clock(std::make_shared<outlay::testing::ManualClock>(now)),
        ledger({.prices = outlay::testing::fixture_prices(), .clock = clock}) {
    place.set_time(now);
    store = place.open();
  }
  std::shared_ptr<outlay::testing::ManualClock> clock;
  outlay::Ledger ledger;
  outlay::LedgerScope scope{ledger};
  std::shared_ptr<outlay::Store> store;
};

/// Bytes from one process to another.
class Pipe {
 public:
  Pipe() { REQUIRE(::pipe(ends_) == 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  void write(const std::string& text) const {
    if (::write(ends_[1], text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      throw std::runtime_error("cannot write to a pipe");
  }
  /// At most `size` bytes, as soon as there are any.
  [[nodiscard]] std::string read(std::size_t size = 65'536) const {
    std::string text(size, '\0');
    const ssize_t got = ::read(ends_[0], text.data(), size);
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return text;
  }
  /// The same without waiting.
  [[nodiscard]] std::string read_what_is_there(std::size_t size = 65'536) const {
    int there = 0;
    if (::ioctl(ends_[0], FIONREAD, &there) != 0 || there == 0) return {};
    return read(std::min(size, static_cast<std::size_t>(there)));
  }

 private:
  int ends_[2]{-1, -1};
};

/// A process admits a batch with this lease, leaves its text, and is killed.
inline std::string batch_of_a_process_that_is_killed(const Place& place, std::chrono::seconds lease) {
  const Pipe pipe;
  ForkedChild child([&] {
    const Process first(place, midnight + 1h);
    const outlay::Track tags({{"user_id", "alice"}});
    const outlay::Budget budget(
        {.name = "batches", .usd = 1_usd, .window = outlay::Window::day(), .store = first.store});
    outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000, .lease = lease});
    call.sent();
    pipe.write(call.detach());
    ::raise(SIGKILL);
    return 0;
  });
  REQUIRE(child.wait() == -SIGKILL);
  return pipe.read();
}

/// 26 hours later, in two more processes, of which the second comes too late.
inline void settled_once(const Place& place, const std::string& text) {
  constexpr outlay::Usage usage{.input = 1'000, .output = 100};
  ForkedChild another([&] {
    const Process second(place, midnight + 27h);
    if (!outlay::Call::resume(text, second.store).settle(usage).first) return 1;
    second.store->flush();
    if (second.ledger.records().size() != 1) return 2;
    const outlay::Record record = second.ledger.records().front();
    if (record.usd != 0.0035_usd) return 3;
    return *record.tags.find("user_id") == "alice" ? 0 : 4;
  });
  CHECK(another.wait() == 0);
  const Process third(place, midnight + 30h);
  CHECK_FALSE(outlay::Call::resume(text, third.store).settle(usage).first);
  CHECK(third.ledger.records().empty());
  const auto state = third.store->state("batches", outlay::Window::day(), midnight + 1h);
  CHECK(state.spent.usd == 0.0035_usd);
  CHECK(state.spent.calls == 1);
  CHECK(state.reserved == outlay::Amounts{});
  CHECK(third.store->state("batches", outlay::Window::day(), midnight + 30h).spent == outlay::Amounts{});
}

inline void check_batch_of_a_killed_process(const Place& place) {
  const std::string text = batch_of_a_process_that_is_killed(place, 48h);
  {
    const Process meanwhile(place, midnight + 20h);
    CHECK(meanwhile.store->state("batches", outlay::Window::day(), midnight + 20h).reserved.usd == 0.0125_usd);
  }
  settled_once(place, text);
}

inline void check_batch_whose_lease_ran_out(const Place& place) {
  const std::string text = batch_of_a_process_that_is_killed(place, 1h);
  {
    const Process meanwhile(place, midnight + 3h);
    const auto state = meanwhile.store->state("batches", outlay::Window::day(), midnight + 3h);
    CHECK(state.spent.usd == 0.0125_usd);
    CHECK(state.reserved == outlay::Amounts{});
    // It is recorded, by the process that found it and by no other.
    const std::vector<outlay::BudgetEvent> events = meanwhile.ledger.events();
    REQUIRE(events.size() == 1);
    CHECK(events[0].action == outlay::Action::expired);
    CHECK(events[0].budget == "batches");
    CHECK(events[0].projected == 12'500'000);
    CHECK(events[0].reason ==
          "A call did not end before its lease ran out (day@UTC). What it had reserved was charged: "
          "$0.0125 and 2000 tokens.");
    const Process other(place, midnight + 4h);
    CHECK(other.store->state("batches", outlay::Window::day(), midnight + 4h).spent.usd == 0.0125_usd);
    CHECK(other.ledger.events().empty());
  }
  settled_once(place, text);
}

/// A running process judges its next call by the cap that another has set, and one that starts later its first.
inline void check_caps_that_an_operator_sets(const Place& place) {
  const Pipe asked, answered;
  // For each byte one call of $0.10 of alice's: whether it is admitted.
  const auto work = [&] {
    Process worker(place, midnight + 1h);
    worker.ledger.add_rule({.match = {"user_id", "*"}, .usd = 0.30_usd, .store = worker.store});
    const outlay::Track tags({{"user_id", "alice"}});
    while (asked.read(1) == "?") {
      outlay::Result<outlay::Call> call = outlay::try_call({.model = "flat", .usd = 0.10_usd});
      if (call) call->settle({.provider_cost = 0.10_usd});
      worker.store->flush();
      answered.write(call ? "a" : "r");
    }
    return 0;
  };
  ForkedChild running(work);
  const Process operators(place, midnight + 1h);
  const auto call = [&] {
    asked.write("?");
    return answered.read(1);
  };
  const auto set = [&](outlay::Limits limits, std::string_view reason) {
    operators.store->set_cap({.name = "user_id:alice",
                              .window = outlay::Window::day(),
                              .limits = limits,
                              .by = "ops@example.com",
                              .reason = reason,
                              .until = midnight + 20h});
  };
  CHECK(call() == "a");
  set({.usd = 0.10_usd}, "a fault in the client");
  CHECK(call() == "r");
  set({.usd = 1_usd, .calls = 3}, "mended");
  CHECK(call() == "a");
  CHECK(call() == "a");
  CHECK(call() == "r");  // three calls

  const auto caps = operators.store->caps();
  REQUIRE(caps.size() == 1);
  CHECK(caps[0].name == "user_id:alice");
  CHECK(caps[0].limits == outlay::Limits{.usd = 1_usd, .calls = 3});
  CHECK(caps[0].by == "ops@example.com");
  CHECK(caps[0].reason == "mended");
  CHECK(caps[0].until == midnight + 20h);
  CHECK(caps[0].state.spent.usd == 0.30_usd);
  // What the other process keeps there is seen without knowing of it.
  const auto counters = operators.store->counters("user_id:");
  REQUIRE(counters.size() == 1);
  CHECK(counters[0].name == "user_id:alice");
  CHECK(counters[0].window == outlay::Window::day().id());
  CHECK(counters[0].state.spent.usd == 0.30_usd);
  CHECK(counters[0].state.caps.usd == 1_usd);
  CHECK(operators.store->counters("team").empty());

  set({.usd = 1_usd}, "as many calls as they like");
  {
    ForkedChild later([&] {
      Process worker(place, midnight + 1h);
      worker.ledger.add_rule({.match = {"user_id", "*"}, .usd = 0.30_usd, .store = worker.store});
      const outlay::Track tags({{"user_id", "alice"}});
      return outlay::try_call({.model = "flat", .usd = 0.10_usd}) ? 0 : 1;
    });
    CHECK(later.wait() == 0);
  }
  set({}, "");
  CHECK(call() == "r");  // the program's own cap holds again
  CHECK(operators.store->caps().empty());
  asked.write("!");
  CHECK(running.wait() == 0);
}

/// Operators who read a cap, and set the one that they made of it.
inline void raise_by_a_cent(outlay::Store& store, int times) {
  while (times > 0) {
    outlay::StoreCap set;
    for (const outlay::CapState& cap : store.caps())
      if (cap.name == "user_id:alice") set = cap;
    const outlay::Usd more = set.limits.usd.value_or(0_usd) + 0.01_usd;
    times -= store.set_cap({.name = "user_id:alice",
                            .window = outlay::Window::day(),
                            .limits = {.usd = more},
                            .by = "ops@example.com",
                            .expected = set});
  }
}

/// Operators in several processes change one cap at once, and no change is lost.
inline void check_caps_that_are_changed_at_once(const Place& place) {
  constexpr int operators = 4, changes = 25;
  const Pipe begin;
  {
    std::list<ForkedChild> all;
    for (int i = 0; i < operators; ++i)
      all.emplace_back([&] {
        const Process process(place, midnight + 1h);
        static_cast<void>(begin.read(1));
        raise_by_a_cent(*process.store, changes);
        return process.ledger.events().size() == changes ? 0 : 1;
      });
    begin.write(std::string(operators, '!'));
    for (ForkedChild& one : all) CHECK(one.wait() == 0);
  }
  const Process later(place, midnight + 1h);
  const auto caps = later.store->caps();
  REQUIRE(caps.size() == 1);
  CHECK(caps[0].limits.usd == 1_usd);
}

}  // namespace outlay_test::processes
