// The contract of StoreBackend, as test cases that run unchanged on every store. Included by a source file of its own, which first defines
//   OUTLAY_STORE_NAME     "memory"
//   OUTLAY_STORE_FIXTURE  a class, each object of which owns an empty store:
//     StoreBackend& backend();
//     std::unique_ptr<StoreBackend> another();   another connection to the same data; null where there is none
//     Time now();                                by the store's clock; commands carry it
//     bool advance(std::chrono::nanoseconds);    moves that clock; false where it cannot be moved
// Where the clock cannot be moved, leases of a second are waited for, by looking. Cases carry the tag [contract].
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "contract/store_model.hpp"
#include "outlay/store.hpp"
#include "support/catch.hpp"

#if !defined(OUTLAY_STORE_NAME) || !defined(OUTLAY_STORE_FIXTURE)
#error "Define OUTLAY_STORE_NAME and OUTLAY_STORE_FIXTURE before including the contract."
#endif

namespace {
namespace store_contract {

using namespace std::chrono_literals;
using namespace std::string_literals;
using outlay::Amounts;
using outlay::errc;
using outlay::OnExpiry;
using outlay::Result;
using outlay::Room;
using outlay::StoreCommand;
using outlay::StoreCounter;
using outlay::StoreReply;
using outlay::Time;
using outlay::Usd;
using outlay_test::amount_of;
using outlay_test::dims;
using outlay_test::limit_of;
using outlay_test::store_id;
using Op = StoreCommand::Op;
using Outcome = StoreReply::Outcome;

constexpr auto timeout = 5s;
constexpr auto long_lease = 1h;
constexpr auto short_lease = 1s;

inline Usd cents(std::int64_t n) { return Usd::from_nanos(n * 10'000'000); }
inline Amounts money(std::int64_t n) {
  Amounts amount;
  amount.usd = cents(n);
  return amount;
}

/// A fresh store, and commands that are easy to write.
class Shop {
 public:
  OUTLAY_STORE_FIXTURE fixture{};

  std::vector<Result<StoreReply>> run(std::span<const StoreCommand> commands) {
    return fixture.backend().execute(commands, timeout);
  }
  Result<StoreReply> try_one(StoreCommand command) {
    command.now = fixture.now();
    auto replies = run({&command, 1});
    REQUIRE(replies.size() == 1);
    return std::move(replies.front());
  }
  StoreReply one(StoreCommand command) { return std::move(try_one(std::move(command)).value()); }

  /// A counter without an end.
  [[nodiscard]] static StoreCounter counter(std::string name, std::optional<Usd> cap = {}) {
    StoreCounter c;
    c.name = std::move(name);
    c.window = "forever";
    c.end = Time::max();
    c.limits.usd = cap;
    return c;
  }
  /// One slot of a window of an hour that began `ago`.
  [[nodiscard]] StoreCounter hourly(std::string name, std::chrono::nanoseconds ago) {
    StoreCounter c = counter(std::move(name));
    c.window = "hour";
    c.begin = c.counted_from = c.counted_to = start_ - ago;
    c.end = c.begin + 1h;
    return c;
  }

  /// The slot after this one, of the same length.
  [[nodiscard]] static StoreCounter after(StoreCounter slot) {
    const auto length = slot.end - slot.begin;
    slot.begin = slot.counted_from = slot.counted_to = slot.end;
    slot.end = slot.begin + length;
    return slot;
  }
  /// A slot of a minute that began `ago`, in a rolling window of an hour.
  [[nodiscard]] StoreCounter rolling(std::string name, std::chrono::nanoseconds ago) {
    StoreCounter c = hourly(std::move(name), ago);
    c.window = "rolling3600s";
    c.end = c.begin + 1min;
    c.counted_from = c.begin - 60min;
    c.counted_to = Time::max();
    return c;
  }
  /// The slot of a rolling window that began so much earlier.
  [[nodiscard]] static StoreCounter earlier(StoreCounter slot, std::chrono::minutes by) {
    slot.begin -= by, slot.end -= by, slot.counted_from -= by;
    return slot;
  }

  [[nodiscard]] StoreCommand reserve(std::string id, std::vector<StoreCounter> counters, Amounts amount,
                                     std::chrono::milliseconds lease = long_lease,
                                     OnExpiry on_expiry = OnExpiry::charge) const {
    StoreCommand c = make(Op::reserve, std::move(id), std::move(counters), amount);
    c.lease = lease;
    c.on_expiry = on_expiry;
    return c;
  }
  [[nodiscard]] StoreCommand extend(std::string id, std::vector<StoreCounter> counters, Amounts amount) const {
    StoreCommand c = make(Op::extend, std::move(id), std::move(counters), amount);
    c.lease = long_lease;
    return c;
  }
  [[nodiscard]] StoreCommand settle(std::string id, std::vector<StoreCounter> counters, Amounts amount) const {
    return make(Op::settle, std::move(id), std::move(counters), amount);
  }
  [[nodiscard]] StoreCommand release(std::string id, std::vector<StoreCounter> counters) const {
    return make(Op::release, std::move(id), std::move(counters), {});
  }
  [[nodiscard]] StoreCommand adjust(std::string id, std::vector<StoreCounter> counters, Amounts amount) const {
    return make(Op::adjust, std::move(id), std::move(counters), amount);
  }
  [[nodiscard]] StoreCommand set_cap(StoreCounter counter, const outlay::Limits& limits,
                                     std::optional<outlay::Time> until = {}) const {
    StoreCommand c = make(Op::set_cap, {}, {std::move(counter)}, {});
    c.cap.limits = limits;
    c.cap.by = "op \x01";
    c.cap.reason = "launch";
    c.cap.until = until;
    return c;
  }
  [[nodiscard]] StoreCommand list_caps() const { return make(Op::list_caps, {}, {}, {}); }
  [[nodiscard]] StoreCommand snapshot(std::vector<StoreCounter> counters) const {
    return make(Op::snapshot, {}, std::move(counters), {});
  }
  [[nodiscard]] StoreCommand renew(std::vector<std::string> ids, std::chrono::milliseconds lease) const {
    StoreCommand c = make(Op::renew, {}, {}, {});
    c.ids = std::move(ids);
    c.lease = lease;
    return c;
  }

  /// All that are kept, sorted.
  std::vector<StoreReply::Name> counters(std::string_view prefix = {}) {
    std::vector<StoreReply::Name> all;
    StoreCommand list = make(Op::list_counters, {}, {}, {});
    list.prefix = prefix;
    do {
      StoreReply some = one(list);
      all.insert(all.end(), some.counters.begin(), some.counters.end());
      list.after = some.next;
    } while (!list.after.empty());
    std::sort(all.begin(), all.end());
    return all;
  }
  StoreReply::State look(const StoreCounter& counter) {
    const StoreReply reply = one(snapshot({counter}));
    REQUIRE(reply.outcome == Outcome::done);
    REQUIRE(reply.states.size() == 1);
    return reply.states.front();
  }
  /// What the counter says of money, in cents.
  void expect(const StoreCounter& counter, std::int64_t spent, std::int64_t reserved) {
    const StoreReply::State state = look(counter);
    CHECK(state.spent.usd == cents(spent));
    CHECK(state.reserved.usd == cents(reserved));
  }

  /// Lets time pass until something has happened: at once where the clock can be moved.
  void pass(std::chrono::nanoseconds duration, const std::function<bool()>& happened) {
    if (fixture.advance(duration)) {
      REQUIRE(happened());
      return;
    }
    const auto give_up = std::chrono::steady_clock::now() + duration + 20s;
    while (!happened()) {
      if (std::chrono::steady_clock::now() > give_up) FAIL("it has not happened in time");
      std::this_thread::sleep_for(5ms);  // between two looks
    }
  }
  /// Lets a short lease run out: until nothing of the counter is reserved.
  void let_leases_end(const StoreCounter& counter) {
    pass(short_lease + 1ms, [&] { return look(counter).reserved == Amounts{}; });
  }

 private:
  [[nodiscard]] static StoreCommand make(Op op, std::string id, std::vector<StoreCounter> counters, Amounts amount) {
    StoreCommand c;
    c.op = op;
    c.id = std::move(id);
    c.counters = std::move(counters);
    c.amount = amount;
    return c;
  }
  Time start_ = fixture.now();
};

/// Refused for being beyond 64 bits, by an outcome or by an error.
inline bool overflows(const Result<StoreReply>& result) {
  return result ? result->outcome == Outcome::refused : result.error().reason() == errc::overflow;
}

const std::string a = store_id(0xA), b = store_id(0xB), c = store_id(0xC), d = store_id(0xD);

}  // namespace store_contract
}  // namespace

#define OUTLAY_STORE_CASE(sentence) TEST_CASE(OUTLAY_STORE_NAME " store: " sentence, "[contract]")

using namespace store_contract;

// --- reading ---

OUTLAY_STORE_CASE("a cap that is set stands in the place of the program's, and is told with every answer") {
  Shop shop;
  StoreCounter counter = Shop::counter("x", cents(100));
  counter.limits.tokens = 1'000;
  CHECK(shop.one(shop.reserve(a, {counter}, money(60))).states.front().caps == outlay::Limits{});
  const StoreReply set = shop.one(shop.set_cap(counter, {.usd = cents(50), .calls = 3}));
  CHECK(set.outcome == Outcome::done);
  CHECK(set.states.front().caps.usd == cents(50));
  // Below what is reserved: that stays, and what comes is refused.
  const StoreReply refused = shop.one(shop.reserve(b, {counter}, money(1)));
  CHECK(refused.outcome == Outcome::refused);
  CHECK(refused.states.front().caps == outlay::Limits{.usd = cents(50), .calls = 3});
  CHECK(refused.states.front().reserved.usd == cents(60));
  CHECK(shop.one(shop.settle(a, {counter}, money(10))).states.front().caps.usd == cents(50));
  // Also where the program has a larger one, or none.
  StoreCounter uncapped = counter;
  uncapped.limits = {};
  CHECK(shop.one(shop.reserve(b, {uncapped}, money(41))).outcome == Outcome::refused);
  CHECK(shop.one(shop.reserve(b, {uncapped}, money(40))).outcome == Outcome::done);
  CHECK(shop.one(shop.extend(b, {uncapped}, money(41))).outcome == Outcome::refused);
  // And above the program's.
  shop.one(shop.set_cap(counter, {.usd = cents(500)}));
  CHECK(shop.one(shop.extend(b, {counter}, money(400))).outcome == Outcome::done);
  StoreCounter any = counter;
  any.room = Room::any;
  CHECK(shop.one(shop.reserve(d, {any}, money(4'000))).outcome == Outcome::done);
  shop.one(shop.release(d, {any}));
  // In the dimensions that it leaves out the program's holds.
  CHECK(shop.one(shop.reserve(store_id(0xE), {counter}, {.tokens = 1'001})).outcome == Outcome::refused);
  // Another window of the name is another counter.
  StoreCounter other = counter;
  other.window = "other";
  CHECK(shop.look(other).caps == outlay::Limits{});
  shop.one(shop.set_cap(counter, {}));
  CHECK(shop.look(counter).caps == outlay::Limits{});
  CHECK(shop.one(shop.reserve(store_id(0xF), {counter}, money(1))).outcome == Outcome::refused);
}

OUTLAY_STORE_CASE("a cap that is set counts in a rolling window, and with what others at once ask") {
  Shop shop;
  const StoreCounter rolling = shop.rolling("roll", 30s);
  const StoreCounter before = Shop::earlier(rolling, 10min);
  shop.one(shop.adjust(a, {before}, money(30)));
  StoreCommand set = shop.set_cap(rolling, {.usd = cents(40)});
  StoreCommand first = shop.reserve(b, {rolling}, money(10)), second = shop.reserve(c, {rolling}, money(1));
  for (StoreCommand* command : {&set, &first, &second}) command->now = shop.fixture.now();
  shop.one(set);
  const StoreCommand both[] = {first, second};
  const auto replies = shop.run(both);
  CHECK(replies[0].value().outcome == Outcome::done);
  CHECK(replies[1].value().outcome == Outcome::refused);
  CHECK(replies[1].value().states.front().fits_at.has_value());
}

OUTLAY_STORE_CASE("a cap that is set ends at its time, by the store's clock") {
  Shop shop;
  const StoreCounter counter = Shop::counter("x", cents(100));
  shop.one(shop.set_cap(counter, {.usd = cents(5)}, shop.fixture.now() + 2s));
  CHECK(shop.one(shop.reserve(a, {counter}, money(6))).outcome == Outcome::refused);
  shop.pass(3s, [&] { return shop.look(counter).caps == outlay::Limits{}; });
  CHECK(shop.one(shop.reserve(a, {counter}, money(6))).outcome == Outcome::done);
  CHECK(shop.one(shop.list_caps()).caps.empty());
}

OUTLAY_STORE_CASE("a cap that was made from another one is kept only where that one still is") {
  Shop shop;
  const StoreCounter counter = Shop::counter("x", cents(100));
  using outlay::Limits;
  struct Set {
    Limits limits{};
    std::optional<outlay::Time> until{};
  };
  const auto set = [&](const Set& from, const Set& to) {
    StoreCommand command = shop.set_cap(counter, to.limits, to.until);
    command.expected.emplace();
    command.expected->limits = from.limits;
    command.expected->until = from.until;
    return shop.one(command).outcome;
  };
  const auto kept = [&] { return shop.look(counter).caps; };
  const outlay::Time soon = std::chrono::floor<std::chrono::seconds>(shop.fixture.now()) + 1h;
  const Set none, fifty{.limits = {.usd = cents(50)}}, both{.limits = {.usd = cents(50), .calls = 3}, .until = soon};
  CHECK(set(fifty, both) == Outcome::refused);
  CHECK(kept() == none.limits);
  CHECK(set(none, fifty) == Outcome::done);
  CHECK(set(none, both) == Outcome::refused);
  CHECK(set({.limits = {.usd = cents(49)}}, both) == Outcome::refused);
  CHECK(set({.limits = {.usd = cents(50), .tokens = 50}}, both) == Outcome::refused);
  CHECK(set({.limits = {.usd = cents(50)}, .until = soon}, both) == Outcome::refused);
  CHECK(kept() == fifty.limits);
  CHECK(set(fifty, both) == Outcome::done);
  // Also by another one who has read the same, and sets the same.
  CHECK(set(fifty, both) == Outcome::refused);
  CHECK(set({.limits = both.limits}, none) == Outcome::refused);
  CHECK(set({.limits = both.limits, .until = soon + 1s}, none) == Outcome::refused);
  CHECK(kept() == both.limits);
  CHECK(set(both, none) == Outcome::done);
  CHECK(set(both, none) == Outcome::refused);
  CHECK(kept() == none.limits);
  CHECK(shop.one(shop.list_caps()).caps.empty());
  // Without the member whatever is kept is replaced.
  shop.one(shop.set_cap(counter, both.limits, shop.fixture.now() + 2s));
  shop.one(shop.set_cap(counter, fifty.limits, shop.fixture.now() + 2s));
  CHECK(kept() == fifty.limits);
  // A cap whose time is over is none.
  shop.pass(3s, [&] { return kept() == none.limits; });
  CHECK(set(none, fifty) == Outcome::done);
  CHECK(kept() == fifty.limits);
  // And where more is spent than a double holds.
  shop.one(shop.adjust(a, {counter}, {.usd = Usd::from_nanos(INT64_MAX / 2)}));
  CHECK(set(none, both) == Outcome::refused);
  CHECK(set(fifty, both) == Outcome::done);
  CHECK(kept() == both.limits);
}

OUTLAY_STORE_CASE("the counters that are kept are listed, and those of a prefix") {
  Shop shop;
  using Names = std::vector<StoreReply::Name>;
  CHECK(shop.counters().empty());
  const std::string strange = "user_id:b\0 *[%:?\xff\0"s;
  shop.one(shop.reserve(a, {Shop::counter("user_id:a"), Shop::counter(strange)}, money(1)));
  const StoreCounter hour = shop.hourly("user_id:a", 30min);
  shop.one(shop.adjust(b, {hour, Shop::counter("team"), Shop::counter("\xff\xff")}, money(2)));
  shop.one(shop.adjust(c, {Shop::after(hour)}, money(2)));
  shop.one(shop.snapshot({Shop::counter("looked at alone")}));
  shop.one(shop.set_cap(Shop::counter("capped alone"), {.usd = cents(5)}));
  CHECK(shop.counters() == Names{{"team", "forever"},
                                 {"user_id:a", "forever"},
                                 {"user_id:a", "hour"},
                                 {strange, "forever"},
                                 {"\xff\xff", "forever"}});
  CHECK(shop.counters("user_id:a") == Names{{"user_id:a", "forever"}, {"user_id:a", "hour"}});
  CHECK(shop.counters(strange.substr(0, 12)) == Names{{strange, "forever"}});
  CHECK(shop.counters(strange) == Names{{strange, "forever"}});
  CHECK(shop.counters("user_id:a*").empty());
  CHECK(shop.counters("\xff") == Names{{"\xff\xff", "forever"}});
  CHECK(shop.counters("user").size() == 3);
}

OUTLAY_STORE_CASE("more counters than one reply lists are listed all") {
  Shop shop;
  constexpr int count = 9'000;
  for (int i = 0; i < count; i += 50) {
    std::vector<StoreCounter> counters;
    for (int k = i; k < i + 50; ++k) counters.push_back(Shop::counter("user_id:" + std::to_string(k)));
    shop.one(shop.adjust(store_id(static_cast<std::uint64_t>(i) + 1), std::move(counters), money(1)));
  }
  CHECK(shop.counters().size() == count);
  CHECK(shop.counters("user_id:24").size() == 111);
}

OUTLAY_STORE_CASE("a lease that runs out is told once for each of its counters, with what was charged") {
  Shop shop;
  const StoreCounter day = Shop::counter("day"), user = shop.hourly("user \x01", 30min);
  shop.one(shop.reserve(a, {day, user}, {.usd = cents(30), .tokens = 7, .concurrent = 1}, short_lease));
  shop.one(shop.reserve(b, {day}, money(5), short_lease, OnExpiry::release));
  shop.one(shop.reserve(c, {day}, money(2)));
  std::vector<StoreReply::Expired> told;
  const auto hear = [&](const StoreReply& reply) {
    told.insert(told.end(), reply.expired.begin(), reply.expired.end());
    return reply;
  };
  shop.pass(short_lease + 1ms, [&] {
    const StoreReply reply = hear(shop.one(shop.snapshot({day, user})));
    return reply.states[0].reserved == money(2) && reply.states[1].reserved == Amounts{};
  });
  std::sort(told.begin(), told.end(), [](const StoreReply::Expired& one, const StoreReply::Expired& other) {
    return std::tie(one.counter, one.charged.usd) < std::tie(other.counter, other.charged.usd);
  });
  REQUIRE(told.size() == 3);
  CHECK(told[0].counter == StoreReply::Name{"day", "forever"});
  CHECK(told[0].charged == Amounts{});
  CHECK(told[1].counter == StoreReply::Name{"day", "forever"});
  CHECK(told[1].charged == Amounts{.usd = cents(30), .tokens = 7});
  CHECK(told[2].counter == StoreReply::Name{"user \x01", "hour"});
  CHECK(told[2].charged == Amounts{.usd = cents(30), .tokens = 7});
  // Not again, and not for a call that ends in time, or late.
  told.clear();
  hear(shop.one(shop.settle(a, {day, user}, money(1))));
  hear(shop.one(shop.settle(c, {day}, money(1))));
  hear(shop.one(shop.snapshot({day, user})));
  CHECK(told.empty());
}

OUTLAY_STORE_CASE("caps that are set are listed by name, with who set them, when, why and until when") {
  Shop shop;
  CHECK(shop.one(shop.list_caps()).caps.empty());
  const outlay::Time until = std::chrono::floor<std::chrono::seconds>(shop.fixture.now()) + 1h;
  const std::string strange = "b\0\xFF%:\0"s;
  shop.one(shop.set_cap(Shop::counter(strange), {.tokens = 7}, until));
  shop.one(shop.set_cap(Shop::counter("a"), {.usd = cents(-0), .input_tokens = INT64_MAX - 1, .concurrent = 0}));
  shop.one(shop.set_cap(Shop::counter("gone"), {.calls = 1}));
  shop.one(shop.set_cap(Shop::counter("gone"), {}));
  const std::vector<outlay::StoreCap> caps = shop.one(shop.list_caps()).caps;
  REQUIRE(caps.size() == 2);
  CHECK(caps[0].name == "a");
  CHECK(caps[0].window == "forever");
  CHECK(caps[0].limits == outlay::Limits{.usd = Usd{}, .input_tokens = INT64_MAX - 1, .concurrent = 0});
  CHECK_FALSE(caps[0].until);
  CHECK(caps[1].name == strange);
  CHECK(caps[1].limits == outlay::Limits{.tokens = 7});
  CHECK(caps[1].by == "op \x01");
  CHECK(caps[1].reason == "launch");
  CHECK(caps[1].until == until);
  const auto apart = caps[1].since - shop.fixture.now();
  CHECK((apart < 5s && apart > -5s));
}

OUTLAY_STORE_CASE("a snapshot tells whether anything is kept of a name and window") {
  Shop shop;
  const auto is_known = [&](const StoreCounter& counter) {
    const StoreReply::State state = shop.look(counter);
    return state.known || state.life != 0;
  };
  const StoreCounter day = Shop::counter("known", cents(100)), other = Shop::counter("other", cents(100));
  CHECK_FALSE(is_known(day));
  shop.one(shop.reserve(a, {day}, money(5)));
  CHECK(is_known(day));
  shop.one(shop.release(a, {day}));
  CHECK(is_known(day));  // although nothing is spent there
  CHECK_FALSE(is_known(other));
}

OUTLAY_STORE_CASE("a counter that nobody has used is at zero") {
  Shop shop;
  const StoreReply reply = shop.one(shop.snapshot({Shop::counter("new"), Shop::counter("other")}));
  CHECK(reply.outcome == Outcome::done);
  REQUIRE(reply.states.size() == 2);
  for (const auto& state : reply.states) {
    CHECK(state.spent == Amounts{});
    CHECK(state.reserved == Amounts{});
  }
  CHECK(reply.crossed.empty());
}

OUTLAY_STORE_CASE("a reply tells the store's time and which life of the data it is") {
  Shop shop;
  const StoreReply reply = shop.one(shop.snapshot({Shop::counter("x")}));
  CHECK_FALSE(reply.epoch.empty());
  const auto apart = reply.now - shop.fixture.now();
  CHECK((apart < 5s && apart > -5s));
}

OUTLAY_STORE_CASE("the version grows with every change and the epoch stays") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(100));
  std::int64_t version = 0;
  std::string epoch;
  const auto changes = [&](StoreCommand command) {
    const StoreReply reply = shop.one(std::move(command));
    CHECK(reply.version > version);
    version = reply.version;
    if (epoch.empty()) epoch = reply.epoch;
    CHECK(reply.epoch == epoch);
  };
  const auto keeps = [&](StoreCommand command) {
    const StoreReply reply = shop.one(std::move(command));
    CHECK(reply.version >= version);
    version = reply.version;
    CHECK(reply.epoch == epoch);
  };
  changes(shop.reserve(a, {counter}, money(10)));
  keeps(shop.reserve(a, {counter}, money(10)));
  changes(shop.extend(a, {counter}, money(20)));
  keeps(shop.snapshot({counter}));
  changes(shop.settle(a, {counter}, money(15)));
  keeps(shop.settle(a, {counter}, money(15)));
  changes(shop.adjust(b, {counter}, money(-5)));
  changes(shop.reserve(c, {counter}, money(10)));
  keeps(shop.renew({c}, long_lease));
  keeps(shop.reserve(d, {counter}, money(1'000)));  // refused
  changes(shop.release(c, {counter}));
}

OUTLAY_STORE_CASE("no commands have no answers") {
  Shop shop;
  CHECK(shop.run({}).empty());
}

OUTLAY_STORE_CASE("commands are executed in their order, and one that is refused does not touch the others") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(10));
  std::vector<StoreCommand> commands{
      shop.reserve(a, {counter}, money(6)),
      shop.reserve(b, {counter}, money(6)),
      shop.settle(a, {counter}, money(2)),
      shop.reserve(c, {counter}, money(6)),
      shop.snapshot({counter}),
  };
  for (StoreCommand& command : commands) command.now = shop.fixture.now();
  const auto replies = shop.run(commands);
  REQUIRE(replies.size() == 5);
  CHECK(replies[0].value().outcome == Outcome::done);
  CHECK(replies[1].value().outcome == Outcome::refused);
  CHECK(replies[2].value().outcome == Outcome::done);
  CHECK(replies[3].value().outcome == Outcome::done);
  REQUIRE(replies[4].value().states.size() == 1);
  CHECK(replies[4].value().states[0].spent.usd == cents(2));
  CHECK(replies[4].value().states[0].reserved.usd == cents(6));
}

OUTLAY_STORE_CASE("a snapshot changes nothing") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(10));
  shop.one(shop.reserve(a, {counter}, money(4)));
  for (int i = 0; i < 3; ++i) shop.expect(counter, 0, 4);
}

OUTLAY_STORE_CASE("another connection sees the same counters and ids") {
  Shop shop;
  const auto other = shop.fixture.another();
  if (!other) return;
  const auto counter = Shop::counter("x", cents(10));
  const StoreReply mine = shop.one(shop.reserve(a, {counter}, money(4)));
  std::vector<StoreCommand> commands{shop.reserve(a, {counter}, money(4)), shop.reserve(b, {counter}, money(7)),
                                     shop.settle(a, {counter}, money(3))};
  for (StoreCommand& command : commands) command.now = shop.fixture.now();
  const auto replies = other->execute(commands, timeout);
  REQUIRE(replies.size() == 3);
  CHECK(replies[0].value().outcome == Outcome::done);
  CHECK(replies[0].value().states.at(0).reserved.usd == cents(4));
  CHECK(replies[0].value().epoch == mine.epoch);
  CHECK(replies[1].value().outcome == Outcome::refused);
  CHECK(replies[2].value().outcome == Outcome::done);
  shop.expect(counter, 3, 0);
  CHECK(shop.one(shop.settle(a, {counter}, money(3))).outcome == Outcome::ended);
}

// --- reserve ---

OUTLAY_STORE_CASE("a reservation is added to what every counter has reserved") {
  Shop shop;
  const Amounts amount{cents(3), 100, 60, 40, 1, 1};
  const auto first = Shop::counter("first", cents(10)), second = Shop::counter("second");
  const StoreReply reply = shop.one(shop.reserve(a, {first, second}, amount));
  CHECK(reply.outcome == Outcome::done);
  REQUIRE(reply.states.size() == 2);
  for (const auto& state : reply.states) {
    CHECK(state.spent == Amounts{});
    CHECK(state.reserved == amount);
  }
  CHECK(shop.look(first).reserved == amount);
  CHECK(shop.look(second).reserved == amount);
}

OUTLAY_STORE_CASE(
    "a reservation that one of several counters has no room for changes none, and names the states of all") {
  Shop shop;
  const auto wide = Shop::counter("wide", cents(100)), tight = Shop::counter("tight", cents(10)),
             full = Shop::counter("full", cents(5)), open = Shop::counter("open");
  shop.one(shop.settle(a, {full}, money(3)));
  shop.one(shop.reserve(b, {tight}, money(8)));
  const StoreReply reply = shop.one(shop.reserve(c, {wide, tight, full, open}, money(4)));
  CHECK(reply.outcome == Outcome::refused);
  REQUIRE(reply.states.size() == 4);
  CHECK(reply.states[0].reserved == Amounts{});
  CHECK(reply.states[1].reserved.usd == cents(8));
  CHECK(reply.states[2].spent.usd == cents(3));
  CHECK(reply.states[2].reserved == Amounts{});
  CHECK(reply.states[3].reserved == Amounts{});
  shop.expect(wide, 0, 0);
  shop.expect(tight, 0, 8);
  shop.expect(full, 3, 0);
  shop.expect(open, 0, 0);
  // The id was not used up.
  CHECK(shop.one(shop.reserve(c, {wide, tight, full, open}, money(2))).outcome == Outcome::done);
}

OUTLAY_STORE_CASE("an exact hit fits and one nano-dollar more does not") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(10));
  shop.one(shop.settle(a, {counter}, money(3)));
  shop.one(shop.reserve(b, {counter}, money(3)));
  Amounts more = money(4);
  more.usd += Usd::from_nanos(1);
  CHECK(shop.one(shop.reserve(c, {counter}, more)).outcome == Outcome::refused);
  CHECK(shop.one(shop.reserve(c, {counter}, money(4))).outcome == Outcome::done);
  shop.expect(counter, 3, 7);
}

OUTLAY_STORE_CASE("each dimension has its own limit, and one in which nothing is asked for is not looked at") {
  Shop shop;
  for (std::size_t n = 0; n < outlay_test::dimensions; ++n) {
    INFO("dimension " << n);
    auto counter = Shop::counter("dimension" + std::to_string(n));
    counter.limits = limit_of(n, 10);
    const auto id = [&](std::uint64_t i) { return store_id(0x100 * (n + 1) + i); };
    CHECK(shop.one(shop.reserve(id(1), {counter}, amount_of(n, 11))).outcome == Outcome::refused);
    CHECK(shop.one(shop.reserve(id(2), {counter}, amount_of(n, 10))).outcome == Outcome::done);
    CHECK(shop.one(shop.reserve(id(3), {counter}, amount_of(n, 1))).outcome == Outcome::refused);
    const std::size_t another = (n + 1) % outlay_test::dimensions;
    CHECK(shop.one(shop.reserve(id(4), {counter}, amount_of(another, 1'000))).outcome == Outcome::done);
    auto lower = counter;
    lower.limits = limit_of(n, 5);  // someone else's idea of the cap, passed already
    CHECK(shop.one(shop.reserve(id(5), {lower}, amount_of(another, 1))).outcome == Outcome::done);
    CHECK(shop.one(shop.reserve(id(6), {lower}, amount_of(n, 1))).outcome == Outcome::refused);
  }
}

OUTLAY_STORE_CASE("a limit of zero has room for nothing") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(0));
  CHECK(shop.one(shop.reserve(a, {counter}, money(1))).outcome == Outcome::refused);
  CHECK(shop.one(shop.reserve(a, {counter}, {})).outcome == Outcome::done);
}

OUTLAY_STORE_CASE("where Room is below, one call may cross the limit and the next may not") {
  Shop shop;
  auto counter = Shop::counter("x", cents(10));
  counter.room = Room::below;
  CHECK(shop.one(shop.reserve(a, {counter}, money(9))).outcome == Outcome::done);
  CHECK(shop.one(shop.reserve(b, {counter}, money(9))).outcome == Outcome::done);
  CHECK(shop.one(shop.reserve(c, {counter}, money(1))).outcome == Outcome::refused);
  shop.expect(counter, 0, 18);
  shop.one(shop.release(b, {counter}));
  shop.one(shop.settle(a, {counter}, money(10)));  // at the limit is not below it
  CHECK(shop.one(shop.reserve(c, {counter}, money(1))).outcome == Outcome::refused);
  CHECK(shop.one(shop.reserve(c, {counter}, amount_of(1, 1))).outcome == Outcome::done);  // no money asked for
}

OUTLAY_STORE_CASE("where Room is any, the limit is not looked at, and other counters still are") {
  Shop shop;
  auto counter = Shop::counter("x", cents(10));
  counter.room = Room::any;
  const auto strict = Shop::counter("strict", cents(30));
  CHECK(shop.one(shop.reserve(a, {counter, strict}, money(30))).outcome == Outcome::done);
  CHECK(shop.one(shop.reserve(b, {counter, strict}, money(1))).outcome == Outcome::refused);
  shop.expect(counter, 0, 30);
  shop.expect(strict, 0, 30);
}

OUTLAY_STORE_CASE("reserving an id that is held changes nothing, whatever the amount") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(10));
  shop.one(shop.reserve(a, {counter}, money(6)));
  for (const std::int64_t again : {6, 1, 10}) {
    const StoreReply reply = shop.one(shop.reserve(a, {counter}, money(again)));
    CHECK(reply.outcome == Outcome::done);
    CHECK(reply.states.at(0).reserved.usd == cents(6));
  }
  shop.expect(counter, 0, 6);
}

OUTLAY_STORE_CASE("an id that has ended is never reserved again") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(10));
  shop.one(shop.reserve(a, {counter}, money(1)));
  shop.one(shop.settle(a, {counter}, money(2)));
  shop.one(shop.reserve(b, {counter}, money(1)));
  shop.one(shop.release(b, {counter}));
  for (const std::string& id : {a, b})
    for (int i = 0; i < 2; ++i) {
      const StoreReply reply = shop.one(shop.reserve(id, {counter}, money(1)));
      CHECK(reply.outcome == Outcome::ended);
      CHECK(reply.states.at(0).spent.usd == cents(2));
    }
  shop.expect(counter, 2, 0);
}

OUTLAY_STORE_CASE("64 counters are one step") {
  Shop shop;
  std::vector<StoreCounter> counters;
  for (int i = 0; i < 64; ++i) counters.push_back(Shop::counter("c" + std::to_string(i), cents(10 + i)));
  CHECK(shop.one(shop.reserve(a, counters, money(8))).outcome == Outcome::done);
  const StoreReply refused = shop.one(shop.reserve(b, counters, money(5)));
  CHECK(refused.outcome == Outcome::refused);
  REQUIRE(refused.states.size() == 64);
  for (const auto& state : refused.states) CHECK(state.reserved.usd == cents(8));
  CHECK(shop.one(shop.extend(a, counters, money(10))).outcome == Outcome::done);
  CHECK(shop.one(shop.settle(a, counters, money(3))).outcome == Outcome::done);
  const StoreReply all = shop.one(shop.snapshot(counters));
  REQUIRE(all.states.size() == 64);
  for (const auto& state : all.states) {
    CHECK(state.spent.usd == cents(3));
    CHECK(state.reserved == Amounts{});
  }
}

// --- extend ---

OUTLAY_STORE_CASE("an extension sets what the id holds in all") {
  Shop shop;
  const auto first = Shop::counter("first", cents(10)), second = Shop::counter("second");
  shop.one(shop.reserve(a, {first, second}, money(4)));
  for (int i = 0; i < 2; ++i) {  // the second time it is a repetition
    const StoreReply reply = shop.one(shop.extend(a, {first, second}, money(10)));
    CHECK(reply.outcome == Outcome::done);
    REQUIRE(reply.states.size() == 2);
    CHECK(reply.states[0].reserved.usd == cents(10));
    CHECK(reply.states[1].reserved.usd == cents(10));
  }
  shop.one(shop.settle(a, {first, second}, money(1)));
  shop.expect(first, 1, 0);
  shop.expect(second, 1, 0);
}

OUTLAY_STORE_CASE("an extension for which one counter has no room changes none") {
  Shop shop;
  const auto first = Shop::counter("first", cents(100)), second = Shop::counter("second", cents(10));
  shop.one(shop.reserve(a, {first, second}, money(4)));
  shop.one(shop.settle(b, {second}, money(5)));
  const StoreReply reply = shop.one(shop.extend(a, {first, second}, money(6)));
  CHECK(reply.outcome == Outcome::refused);
  REQUIRE(reply.states.size() == 2);
  CHECK(reply.states[0].reserved.usd == cents(4));
  CHECK(reply.states[1].spent.usd == cents(5));
  CHECK(reply.states[1].reserved.usd == cents(4));
  shop.expect(first, 0, 4);
  shop.expect(second, 5, 4);
  CHECK(shop.one(shop.extend(a, {first, second}, money(5))).outcome == Outcome::done);
  shop.expect(second, 5, 5);
}

OUTLAY_STORE_CASE("an extension to the same or less is done and takes nothing away, however full the counter is") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(10));
  shop.one(shop.reserve(a, {counter}, money(6)));
  shop.one(shop.settle(b, {counter}, money(50)));
  for (const std::int64_t amount : {6, 3, 0}) {
    const StoreReply reply = shop.one(shop.extend(a, {counter}, money(amount)));
    CHECK(reply.outcome == Outcome::done);
    CHECK(reply.states.at(0).reserved.usd == cents(6));
  }
  shop.expect(counter, 50, 6);
}

OUTLAY_STORE_CASE("an extension obeys Room") {
  Shop shop;
  auto counter = Shop::counter("x", cents(10));
  shop.one(shop.reserve(a, {counter}, money(6)));
  counter.room = Room::below;
  CHECK(shop.one(shop.extend(a, {counter}, money(12))).outcome == Outcome::done);
  CHECK(shop.one(shop.extend(a, {counter}, money(13))).outcome == Outcome::refused);
  counter.room = Room::any;
  CHECK(shop.one(shop.extend(a, {counter}, money(20))).outcome == Outcome::done);
  shop.expect(counter, 0, 20);
}

OUTLAY_STORE_CASE("an unknown id is not extended") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(10));
  CHECK(shop.one(shop.extend(a, {counter}, money(5))).outcome == Outcome::ended);
  shop.expect(counter, 0, 0);
  CHECK(shop.one(shop.reserve(a, {counter}, money(5))).outcome == Outcome::done);
}

OUTLAY_STORE_CASE("an id that has ended is never extended") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(10));
  shop.one(shop.reserve(a, {counter}, money(1)));
  shop.one(shop.settle(a, {counter}, money(2)));
  shop.one(shop.release(b, {counter}));
  for (const std::string& id : {a, b}) CHECK(shop.one(shop.extend(id, {counter}, money(5))).outcome == Outcome::ended);
  shop.expect(counter, 2, 0);
}

// --- settle, release ---

OUTLAY_STORE_CASE("a settlement replaces the reservation by what was used, less or more, in every counter") {
  Shop shop;
  const auto first = Shop::counter("first", cents(10)), second = Shop::counter("second", cents(10));
  shop.one(shop.reserve(a, {first, second}, {cents(6), 100, 60, 40, 1, 1}));
  const StoreReply less = shop.one(shop.settle(a, {first, second}, {cents(2), 50, 30, 20, 1, 0}));
  CHECK(less.outcome == Outcome::done);
  REQUIRE(less.states.size() == 2);
  for (const auto& state : less.states) {
    CHECK(state.spent == Amounts{cents(2), 50, 30, 20, 1, 0});
    CHECK(state.reserved == Amounts{});
  }
  shop.one(shop.reserve(b, {first, second}, money(8)));
  CHECK(shop.one(shop.settle(b, {first, second}, money(20))).outcome == Outcome::done);  // in full
  shop.expect(first, 22, 0);
  shop.expect(second, 22, 0);
}

OUTLAY_STORE_CASE("an id is settled once, whatever comes after it") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(10));
  shop.one(shop.reserve(a, {counter}, money(6)));
  shop.one(shop.settle(a, {counter}, money(2)));
  for (const std::int64_t again : {2, 5}) {
    const StoreReply reply = shop.one(shop.settle(a, {counter}, money(again)));
    CHECK(reply.outcome == Outcome::ended);
    CHECK(reply.states.at(0).spent.usd == cents(2));
    CHECK(reply.crossed.empty());
  }
  CHECK(shop.one(shop.release(a, {counter})).outcome == Outcome::ended);
  shop.expect(counter, 2, 0);
}

OUTLAY_STORE_CASE("the settlement of an unknown id is booked all the same, once") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(10));
  CHECK(shop.one(shop.settle(a, {counter}, money(30))).outcome == Outcome::done);
  CHECK(shop.one(shop.settle(a, {counter}, money(30))).outcome == Outcome::ended);
  CHECK(shop.one(shop.reserve(a, {counter}, money(1))).outcome == Outcome::ended);
  CHECK(shop.one(shop.release(a, {counter})).outcome == Outcome::ended);
  shop.expect(counter, 30, 0);
}

OUTLAY_STORE_CASE("a settlement of nothing gives the reservation back and ends the id") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(10));
  shop.one(shop.reserve(a, {counter}, money(6)));
  CHECK(shop.one(shop.settle(a, {counter}, {})).outcome == Outcome::done);
  CHECK(shop.one(shop.settle(a, {counter}, money(1))).outcome == Outcome::ended);
  shop.expect(counter, 0, 0);
}

OUTLAY_STORE_CASE("a release gives back what the id held, once") {
  Shop shop;
  const auto first = Shop::counter("first", cents(10)), second = Shop::counter("second");
  shop.one(shop.reserve(a, {first, second}, {cents(6), 100, 60, 40, 1, 1}));
  shop.one(shop.reserve(b, {first, second}, money(4)));
  const StoreReply reply = shop.one(shop.release(a, {first, second}));
  CHECK(reply.outcome == Outcome::done);
  REQUIRE(reply.states.size() == 2);
  for (const auto& state : reply.states) {
    CHECK(state.spent == Amounts{});
    CHECK(state.reserved == money(4));
  }
  CHECK(shop.one(shop.release(a, {first, second})).outcome == Outcome::ended);
  CHECK(shop.one(shop.settle(a, {first, second}, money(5))).outcome == Outcome::ended);
  shop.expect(first, 0, 4);
  shop.expect(second, 0, 4);
}

OUTLAY_STORE_CASE("the release of an unknown id keeps a reservation that comes late from being made") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(10));
  CHECK(shop.one(shop.release(a, {counter})).outcome == Outcome::done);
  CHECK(shop.one(shop.release(a, {counter})).outcome == Outcome::ended);
  CHECK(shop.one(shop.reserve(a, {counter}, money(1))).outcome == Outcome::ended);
  CHECK(shop.one(shop.extend(a, {counter}, money(1))).outcome == Outcome::ended);
  CHECK(shop.one(shop.settle(a, {counter}, money(1))).outcome == Outcome::ended);
  shop.expect(counter, 0, 0);
}

OUTLAY_STORE_CASE("calls in flight are reserved and never spent") {
  Shop shop;
  auto counter = Shop::counter("x");
  counter.limits.concurrent = 2;
  const Amounts call{{}, 0, 0, 0, 1, 1};
  CHECK(shop.one(shop.reserve(a, {counter}, call)).outcome == Outcome::done);
  CHECK(shop.one(shop.reserve(b, {counter}, call)).outcome == Outcome::done);
  CHECK(shop.one(shop.reserve(c, {counter}, call)).outcome == Outcome::refused);
  const StoreReply reply = shop.one(shop.settle(a, {counter}, call));
  CHECK(reply.states.at(0).spent == Amounts{{}, 0, 0, 0, 1, 0});
  CHECK(reply.states.at(0).reserved == call);
  CHECK(shop.one(shop.reserve(c, {counter}, call)).outcome == Outcome::done);
}

// --- leases ---

OUTLAY_STORE_CASE("a reservation whose lease has run out is charged, in every counter") {
  Shop shop;
  const auto first = Shop::counter("first", cents(10)), second = Shop::counter("second");
  shop.one(shop.reserve(a, {first, second}, {cents(6), 100, 60, 40, 1, 1}, short_lease, OnExpiry::charge));
  shop.one(shop.reserve(b, {second}, money(1)));  // is renewed
  CHECK(shop.look(first).reserved.usd == cents(6));
  shop.let_leases_end(first);
  CHECK(shop.look(first).spent == Amounts{cents(6), 100, 60, 40, 1, 0});
  CHECK(shop.look(second).spent == Amounts{cents(6), 100, 60, 40, 1, 0});
  CHECK(shop.look(second).reserved == money(1));
}

OUTLAY_STORE_CASE("a reservation whose lease has run out is given back where it was made so") {
  Shop shop;
  const auto first = Shop::counter("first", cents(10)), second = Shop::counter("second");
  shop.one(shop.reserve(a, {first, second}, money(6), short_lease, OnExpiry::release));
  shop.let_leases_end(second);
  shop.expect(first, 0, 0);
  shop.expect(second, 0, 0);
}

OUTLAY_STORE_CASE("an admission deals with leases that have run out before it looks for room") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(10));
  shop.one(shop.reserve(a, {counter}, money(6), short_lease, OnExpiry::release));
  CHECK(shop.one(shop.reserve(b, {counter}, money(10))).outcome == Outcome::refused);
  shop.pass(short_lease + 1ms,
            [&] { return shop.one(shop.reserve(b, {counter}, money(10))).outcome == Outcome::done; });
  shop.expect(counter, 0, 10);
}

OUTLAY_STORE_CASE("a settlement that comes after the expiry corrects what was charged") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(100)), other = Shop::counter("other");
  shop.one(shop.reserve(a, {counter, other}, money(6), short_lease, OnExpiry::charge));
  shop.one(shop.reserve(b, {counter, other}, money(6), short_lease, OnExpiry::release));
  shop.let_leases_end(counter);
  shop.expect(counter, 6, 0);
  CHECK(shop.one(shop.settle(a, {counter, other}, money(2))).outcome == Outcome::done);
  shop.expect(counter, 2, 0);
  CHECK(shop.one(shop.settle(b, {counter, other}, money(3))).outcome == Outcome::done);
  shop.expect(counter, 5, 0);
  shop.expect(other, 5, 0);
  for (const std::string& id : {a, b}) {
    CHECK(shop.one(shop.settle(id, {counter, other}, money(9))).outcome == Outcome::ended);
    CHECK(shop.one(shop.release(id, {counter, other})).outcome == Outcome::ended);
  }
  shop.expect(counter, 5, 0);
  shop.expect(other, 5, 0);
}

OUTLAY_STORE_CASE("a detached reservation is ended in the place of what its expiry charged, days after it, and once") {
  Shop shop;
  const StoreCounter x = shop.counter("x", cents(100)), other = shop.hourly("other", 30min);
  StoreCommand held = shop.reserve(a, {x, other}, money(30), short_lease);
  held.detached = true;
  REQUIRE(shop.one(held).outcome == Outcome::done);
  shop.expect(x, 0, 30);
  shop.let_leases_end(x);
  shop.expect(x, 30, 0);
  shop.fixture.advance(26h);
  // Deals with what is due, though nothing is: the id was not forgotten.
  REQUIRE(shop.one(shop.reserve(b, {x}, money(1))).outcome == Outcome::done);
  StoreCommand settled = shop.settle(a, {x, other}, money(12));
  settled.detached = true;
  CHECK(shop.one(settled).outcome == Outcome::done);
  shop.expect(x, 12, 1);
  shop.expect(other, 12, 0);
  CHECK(shop.one(settled).outcome == Outcome::ended);
  // Also when the end is forgotten.
  shop.fixture.advance(30h);
  CHECK(shop.one(settled).outcome == Outcome::ended);
  settled.op = Op::release;
  CHECK(shop.one(settled).outcome == Outcome::ended);
  CHECK(shop.look(x).spent.usd >= cents(12));
}

OUTLAY_STORE_CASE("a detached id that is not known has ended, and a detached reservation in time is as any") {
  Shop shop;
  const StoreCounter x = shop.counter("x", cents(100));
  StoreCommand settled = shop.settle(a, {x}, money(12));
  settled.detached = true;
  CHECK(shop.one(settled).outcome == Outcome::ended);
  shop.expect(x, 0, 0);
  StoreCommand held = shop.reserve(b, {x}, money(30));
  held.detached = true;
  CHECK(shop.one(held).outcome == Outcome::done);
  CHECK(shop.one(shop.extend(b, {x}, money(40))).outcome == Outcome::done);
  settled.id = b;
  CHECK(shop.one(settled).outcome == Outcome::done);
  shop.expect(x, 12, 0);
  // Given back at its expiry, where it was made so.
  StoreCommand free = shop.reserve(c, {x}, money(30), short_lease, OnExpiry::release);
  free.detached = true;
  CHECK(shop.one(free).outcome == Outcome::done);
  shop.let_leases_end(x);
  shop.expect(x, 12, 0);
  settled.id = c;
  CHECK(shop.one(settled).outcome == Outcome::done);
  shop.expect(x, 24, 0);
}

OUTLAY_STORE_CASE("what ends a call two days after its lease ran out corrects what was charged") {
  Shop shop;
  const auto counter = Shop::counter("late", cents(100));
  shop.one(shop.reserve(a, {counter}, money(10), short_lease));
  shop.one(shop.reserve(b, {counter}, money(20), short_lease));
  if (!shop.fixture.advance(2s)) return;
  shop.expect(counter, 30, 0);
  shop.fixture.advance(47h);
  shop.one(shop.settle(c, {counter}, money(1)));  // so that what is due is forgotten
  shop.one(shop.settle(a, {counter}, money(4)));
  shop.one(shop.release(b, {counter}));
  shop.expect(counter, 5, 0);
}

OUTLAY_STORE_CASE("a release that comes after the expiry gives back what was charged") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(100)), other = Shop::counter("other");
  shop.one(shop.reserve(a, {counter, other}, {cents(6), 10, 5, 5, 1, 1}, short_lease, OnExpiry::charge));
  shop.one(shop.reserve(b, {counter, other}, money(6), short_lease, OnExpiry::release));
  shop.let_leases_end(counter);
  for (const std::string& id : {a, b}) {
    CHECK(shop.one(shop.release(id, {counter, other})).outcome == Outcome::done);
    CHECK(shop.one(shop.release(id, {counter, other})).outcome == Outcome::ended);
    CHECK(shop.one(shop.settle(id, {counter, other}, money(1))).outcome == Outcome::ended);
  }
  CHECK(shop.look(counter).spent == Amounts{});
  CHECK(shop.look(other).spent == Amounts{});
}

OUTLAY_STORE_CASE("an expired id is neither reserved nor extended again") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(100));
  shop.one(shop.reserve(a, {counter}, money(6), short_lease, OnExpiry::charge));
  shop.one(shop.reserve(b, {counter}, money(6), short_lease, OnExpiry::release));
  shop.let_leases_end(counter);
  for (const std::string& id : {a, b}) {
    CHECK(shop.one(shop.reserve(id, {counter}, money(6))).outcome == Outcome::ended);
    CHECK(shop.one(shop.extend(id, {counter}, money(9))).outcome == Outcome::ended);
    shop.one(shop.renew({id}, long_lease));
  }
  shop.expect(counter, 6, 0);
}

OUTLAY_STORE_CASE("renewing keeps a reservation, and no other") {
  Shop shop;
  const auto counter = Shop::counter("x", cents(100));
  shop.one(shop.reserve(a, {counter}, money(6), short_lease));
  shop.one(shop.reserve(b, {counter}, money(3), short_lease));
  shop.one(shop.settle(d, {counter}, money(1)));
  // Unknown and ended ids are passed over.
  CHECK(shop.one(shop.renew({c, a, d}, long_lease)).outcome == Outcome::done);
  CHECK(shop.one(shop.renew({c, a, d}, long_lease)).outcome == Outcome::done);
  shop.pass(short_lease + 1ms, [&] { return shop.look(counter).reserved != money(9); });
  shop.expect(counter, 4, 6);
  CHECK(shop.one(shop.reserve(c, {counter}, money(1))).outcome == Outcome::done);
  CHECK(shop.one(shop.settle(a, {counter}, money(5))).outcome == Outcome::done);
  shop.expect(counter, 9, 1);
}

OUTLAY_STORE_CASE("renewing shortens a lease too") {
  Shop shop;
  const auto counter = Shop::counter("x");
  shop.one(shop.reserve(a, {counter}, money(6), long_lease));
  shop.one(shop.renew({a}, short_lease));
  shop.let_leases_end(counter);
  shop.expect(counter, 6, 0);
}

OUTLAY_STORE_CASE("many leases that run out at once are all dealt with") {
  Shop shop;
  const auto counter = Shop::counter("x");
  for (std::uint64_t i = 1; i <= 300; ++i)
    shop.one(
        shop.reserve(store_id(i), {counter}, money(1), short_lease, i % 3 == 0 ? OnExpiry::release : OnExpiry::charge));
  shop.let_leases_end(counter);
  shop.expect(counter, 200, 0);
}

// --- windows ---

namespace {
namespace store_contract {
inline StoreCounter with_thresholds(std::string name, std::int64_t cap, const std::vector<int>& percent) {
  StoreCounter counter = Shop::counter(std::move(name), cents(cap));
  for (const int p : percent) {
    outlay::Limits at;
    at.usd = cents(cap * p / 100);
    counter.thresholds.push_back({p / 100.0, at});
  }
  return counter;
}
inline std::vector<std::pair<std::size_t, int>> told(const StoreReply& reply) {
  std::vector<std::pair<std::size_t, int>> list;
  for (const auto& crossed : reply.crossed)
    list.emplace_back(crossed.counter, static_cast<int>(std::lround(crossed.fraction * 100)));
  return list;
}
using Told = std::vector<std::pair<std::size_t, int>>;
inline const Told none;
}  // namespace store_contract
}  // namespace

OUTLAY_STORE_CASE("a reservation in a slot that is over, or has not begun, is turned away and changes nothing") {
  Shop shop;
  const auto present = shop.hourly("present", 30min), past = shop.hourly("past", 90min),
             future = shop.hourly("future", -30min);
  CHECK(shop.one(shop.reserve(a, {present}, money(1))).outcome == Outcome::done);
  CHECK(shop.one(shop.reserve(b, {past}, money(1))).outcome == Outcome::turned);
  CHECK(shop.one(shop.reserve(b, {future}, money(1))).outcome == Outcome::turned);
  CHECK(shop.one(shop.reserve(b, {present, Shop::counter("x"), past}, money(1))).outcome == Outcome::turned);
  shop.expect(present, 0, 1);
  shop.expect(past, 0, 0);
  shop.expect(future, 0, 0);
  shop.expect(Shop::counter("x"), 0, 0);
  CHECK(shop.one(shop.reserve(b, {present}, money(1))).outcome == Outcome::done);  // the id was not used up
}

OUTLAY_STORE_CASE("a slot without an end is the present one, however far a clock is put back") {
  Shop shop;
  StoreCounter forever = Shop::counter("forever", cents(2));
  forever.begin = forever.counted_from = forever.counted_to = shop.hourly("future", -30min).begin;
  CHECK(shop.one(shop.reserve(a, {forever}, money(1))).outcome == Outcome::done);
  CHECK(shop.one(shop.settle(a, {forever}, money(1))).outcome == Outcome::done);
  shop.expect(forever, 1, 0);
}

OUTLAY_STORE_CASE("what was admitted in a slot extends, settles and is released there after it is over") {
  Shop shop;
  auto slot = shop.hourly("x", 1h - 2s);  // two seconds are left
  slot.limits.usd = cents(10);
  auto next = Shop::after(slot);
  CHECK(shop.one(shop.reserve(a, {slot}, money(2))).outcome == Outcome::done);
  CHECK(shop.one(shop.reserve(b, {slot}, money(3))).outcome == Outcome::done);
  shop.pass(2s, [&] { return shop.one(shop.snapshot({slot})).now >= slot.end; });
  CHECK(shop.one(shop.reserve(c, {slot}, money(1))).outcome == Outcome::turned);
  // Held already: done, though the slot is over.
  CHECK(shop.one(shop.reserve(a, {slot}, money(2))).outcome == Outcome::done);
  CHECK(shop.one(shop.extend(a, {slot}, money(4))).outcome == Outcome::done);
  CHECK(shop.one(shop.extend(a, {slot}, money(8))).outcome == Outcome::refused);
  shop.expect(slot, 0, 7);
  shop.expect(next, 0, 0);
  CHECK(shop.one(shop.settle(a, {slot}, money(5))).outcome == Outcome::done);
  CHECK(shop.one(shop.release(b, {slot})).outcome == Outcome::done);
  shop.expect(slot, 5, 0);
  shop.expect(next, 0, 0);
  CHECK(shop.one(shop.reserve(c, {next}, money(10))).outcome == Outcome::done);
  shop.expect(next, 0, 10);
}

OUTLAY_STORE_CASE("a window that is one slot does not feel what came after it") {
  Shop shop;
  auto slot = shop.hourly("x", 1h - 2s);  // two seconds are left
  slot.limits.usd = cents(10);
  slot.thresholds.push_back({0.5, limit_of(0, cents(5).nanos())});
  auto next = Shop::after(slot);
  CHECK(shop.one(shop.reserve(a, {slot}, money(2))).outcome == Outcome::done);
  shop.pass(2s, [&] { return shop.one(shop.reserve(b, {next}, money(9))).outcome == Outcome::done; });
  CHECK(told(shop.one(shop.settle(b, {next}, money(9)))) == Told{{0, 50}});
  shop.expect(slot, 0, 2);
  CHECK(shop.one(shop.extend(a, {slot}, money(10))).outcome == Outcome::done);
  CHECK(told(shop.one(shop.settle(a, {slot}, money(4)))) == none);
  CHECK(told(shop.one(shop.settle(c, {slot}, money(1)))) == Told{{0, 50}});
  shop.expect(slot, 5, 0);
  shop.expect(next, 9, 0);
}

OUTLAY_STORE_CASE("the newest 61 slots of a rolling window count together") {
  Shop shop;
  // Slots of a minute; the newest began half a minute ago.
  auto newest = shop.rolling("x", 30s);
  std::uint64_t n = 1;
  for (int back = 62; back >= 0; --back) {  // two slots more than count
    const auto slot = Shop::earlier(newest, std::chrono::minutes(back));
    CHECK(shop.one(shop.settle(store_id(n++), {slot}, money(1))).outcome == Outcome::done);
  }
  shop.expect(newest, 61, 0);
  newest.limits.usd = cents(62);
  CHECK(shop.one(shop.reserve(store_id(n++), {newest}, money(2))).outcome == Outcome::refused);
  CHECK(shop.one(shop.reserve(store_id(n++), {newest}, money(1))).outcome == Outcome::done);
  shop.expect(newest, 61, 1);
  auto later = newest;  // what will count when three slots have left
  later.counted_from += 3min;
  shop.expect(later, 58, 1);
}

OUTLAY_STORE_CASE("what is reserved in older slots of a rolling window counts too, and ends there") {
  Shop shop;
  auto slot = shop.rolling("x", 57s);
  slot.limits.usd = cents(10);
  auto next = slot;
  next.begin += 1min, next.end += 1min, next.counted_from += 1min;
  CHECK(shop.one(shop.reserve(a, {slot}, money(6))).outcome == Outcome::done);
  shop.pass(3s, [&] { return shop.one(shop.reserve(b, {next}, money(4))).outcome == Outcome::done; });
  CHECK(shop.one(shop.reserve(c, {next}, money(1))).outcome == Outcome::refused);
  shop.expect(next, 0, 10);
  CHECK(shop.one(shop.settle(a, {slot}, money(5))).outcome == Outcome::done);
  shop.expect(next, 5, 4);
  auto without = next;
  without.counted_from = next.begin;
  shop.expect(without, 0, 4);
}

OUTLAY_STORE_CASE("calls in flight count in whatever slot they began, until they end") {
  Shop shop;
  auto slot = shop.hourly("x", 1h - 2s);  // two seconds are left
  slot.limits.concurrent = 2;
  auto next = Shop::after(slot);
  auto other = next;
  other.name = "y";
  const Amounts one{cents(1), 0, 0, 0, 1, 1};
  CHECK(shop.one(shop.reserve(a, {slot}, one)).outcome == Outcome::done);
  CHECK(shop.one(shop.reserve(b, {slot}, one)).outcome == Outcome::done);
  shop.pass(2s, [&] { return shop.one(shop.snapshot({slot})).now >= slot.end; });
  const StoreReply refused = shop.one(shop.reserve(c, {next}, one));
  CHECK(refused.outcome == Outcome::refused);
  CHECK(refused.states.at(0).reserved == Amounts{{}, 0, 0, 0, 0, 2});
  CHECK(shop.one(shop.reserve(c, {other}, one)).outcome == Outcome::done);
  CHECK(shop.one(shop.settle(a, {slot}, one)).outcome == Outcome::done);
  CHECK(shop.look(slot).reserved.concurrent == 1);
  CHECK(shop.look(next).reserved.concurrent == 1);
  CHECK(shop.one(shop.reserve(d, {next}, one)).outcome == Outcome::done);
  CHECK(shop.look(slot).reserved == Amounts{cents(1), 0, 0, 0, 1, 2});
  CHECK(shop.one(shop.release(b, {slot})).outcome == Outcome::done);
  CHECK(shop.look(next).reserved == one);
}

OUTLAY_STORE_CASE("calls whose leases ran out in another slot are in flight no more") {
  Shop shop;
  auto slot = shop.hourly("x", 1h - 500ms);
  auto next = Shop::after(slot);
  CHECK(shop.one(shop.reserve(a, {slot}, {cents(1), 0, 0, 0, 1, 1}, short_lease)).outcome == Outcome::done);
  CHECK(shop.look(next).reserved.concurrent == 1);
  shop.let_leases_end(next);
  shop.expect(slot, 1, 0);
}

OUTLAY_STORE_CASE("a rolling window that refuses says when enough of it will have gone") {
  Shop shop;
  auto newest = shop.rolling("x", 30s);
  newest.limits.usd = cents(10);
  shop.one(shop.settle(store_id(1), {Shop::earlier(newest, 60min)}, money(3)));
  shop.one(shop.settle(store_id(2), {Shop::earlier(newest, 20min)}, money(4)));
  shop.one(shop.settle(store_id(3), {Shop::earlier(newest, 10min)}, money(3)));
  // In how many minutes of the newest slot's begin. (Some stores keep microseconds.)
  const auto fits_in = [&](std::int64_t amount) -> std::optional<std::int64_t> {
    const StoreReply reply = shop.one(shop.reserve(a, {newest}, money(amount)));
    CHECK(reply.outcome == Outcome::refused);
    const std::optional<Time> when = reply.states.at(0).fits_at;
    return when ? std::optional(std::chrono::round<std::chrono::minutes>(*when - newest.begin).count()) : std::nullopt;
  };
  // A slot counts until the window begins behind it: the oldest has one minute more.
  CHECK(fits_in(3) == 1);
  CHECK(fits_in(4) == 41);
  CHECK(fits_in(7) == 41);
  CHECK(fits_in(8) == 51);
  CHECK_FALSE(fits_in(11));
  auto full = newest;
  full.limits = {};
  full.limits.concurrent = 1;
  CHECK(shop.one(shop.reserve(b, {newest}, {{}, 0, 0, 0, 0, 1})).outcome == Outcome::done);
  const StoreReply busy = shop.one(shop.reserve(c, {full}, {{}, 0, 0, 0, 0, 1}));
  CHECK(busy.outcome == Outcome::refused);
  CHECK_FALSE(busy.states.at(0).fits_at);  // time does not end calls
}

OUTLAY_STORE_CASE("windows of other kinds are other counters") {
  Shop shop;
  auto day = shop.hourly("x", 30min), month = day;
  month.window = "month@UTC";
  shop.one(shop.settle(a, {day}, money(1)));
  shop.one(shop.settle(b, {month}, money(2)));
  shop.expect(day, 1, 0);
  shop.expect(month, 2, 0);
  const StoreReply both = shop.one(shop.reserve(c, {day, month}, money(4)));
  CHECK(both.outcome == Outcome::done);
  shop.expect(day, 1, 4);
  shop.expect(month, 2, 4);
}

// --- names ---

OUTLAY_STORE_CASE("a name may hold any byte") {
  Shop shop;
  std::string every;
  for (int byte = 0; byte < 256; ++byte) every += static_cast<char>(byte);
  std::vector<std::string> names{every};
  for (int byte = 0; byte < 256; ++byte) names.push_back(std::string("n") + static_cast<char>(byte));
  for (int byte = 0; byte < 256; ++byte) names.push_back(std::string(1, static_cast<char>(byte)));
  for (const char* text : {"a:b", "a\\:b", "{a}", "a}b{", "'; DROP TABLE x; --", "%s", "a*", "a b"})
    names.emplace_back(text);
  names.emplace_back(256, 'x');
  names.emplace_back(255, 'x');
  names.push_back(std::string("n\0", 2) + "tail");
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto counter = Shop::counter(names[i]);
    shop.one(shop.reserve(store_id(i + 1), {counter}, money(1)));
    shop.one(shop.settle(store_id(i + 1), {counter}, Amounts{Usd::from_nanos(static_cast<std::int64_t>(i) + 1)}));
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    const StoreReply::State state = shop.look(Shop::counter(names[i]));
    if (state.spent.usd != Usd::from_nanos(static_cast<std::int64_t>(i) + 1) || state.reserved != Amounts{})
      FAIL("name " << i << " of " << names[i].size() << " bytes shares a counter");
  }
}

OUTLAY_STORE_CASE("a name and a window do not run into each other") {
  Shop shop;
  std::uint64_t n = 1;
  for (const auto& [name, window] : std::vector<std::pair<std::string, std::string>>{{"a", "bc"},
                                                                                     {"ab", "c"},
                                                                                     {"a:b", "c"},
                                                                                     {"a", "b:c"},
                                                                                     {"a|b", "c"},
                                                                                     {"a", "b|c"},
                                                                                     {"a/b", "c"},
                                                                                     {"a", "b/c"}}) {
    auto counter = Shop::counter(name);
    counter.window = window;
    const StoreReply reply = shop.one(shop.settle(store_id(n++), {counter}, money(1)));
    CHECK(reply.states.at(0).spent == money(1));
  }
}

// --- large amounts ---

OUTLAY_STORE_CASE("amounts up to the ends of 64 bits are exact") {
  Shop shop;
  for (std::size_t n = 0; n < 5; ++n) {
    INFO("dimension " << n);
    auto counter = Shop::counter("dimension" + std::to_string(n));
    counter.limits = limit_of(n, INT64_MAX);
    const std::string id = store_id(0x100 + n), more = store_id(0x200 + n), last = store_id(0x300 + n);
    // 2^53 + 1 is the first whole number that no double holds.
    const std::int64_t odd = (std::int64_t{1} << 53) + 1;
    CHECK(shop.one(shop.reserve(id, {counter}, amount_of(n, odd))).outcome == Outcome::done);
    CHECK(shop.one(shop.reserve(more, {counter}, amount_of(n, INT64_MAX - odd + 1))).outcome == Outcome::refused);
    CHECK(shop.one(shop.reserve(more, {counter}, amount_of(n, INT64_MAX - odd))).outcome == Outcome::done);
    CHECK(dims(shop.look(counter).reserved)[n] == INT64_MAX);
    CHECK(shop.one(shop.reserve(last, {counter}, amount_of(n, 1))).outcome == Outcome::refused);
    CHECK(shop.one(shop.settle(id, {counter}, amount_of(n, odd - 2))).outcome == Outcome::done);
    CHECK(shop.one(shop.settle(more, {counter}, amount_of(n, INT64_MAX - odd))).outcome == Outcome::done);
    CHECK(dims(shop.look(counter).spent)[n] == INT64_MAX - 2);
    CHECK(shop.one(shop.reserve(last, {counter}, amount_of(n, 3))).outcome == Outcome::refused);
    CHECK(shop.one(shop.reserve(last, {counter}, amount_of(n, 2))).outcome == Outcome::done);
  }
}

OUTLAY_STORE_CASE("an amount that would pass 64 bits is refused and changes nothing") {
  Shop shop;
  const auto counter = Shop::counter("x"), other = Shop::counter("other");
  const auto nearly = [](std::size_t n) { return amount_of(n, INT64_MAX - 5); };
  for (std::size_t n : {0U, 1U}) {
    const auto id = [&](std::uint64_t i) { return store_id(0x100 * (n + 1) + i); };
    shop.one(shop.settle(id(1), {counter}, nearly(n)));
    auto lax = counter;
    lax.room = Room::any;
    for (const auto& free : {counter, lax}) {
      CHECK(overflows(shop.try_one(shop.reserve(id(2), {other, free}, amount_of(n, 6)))));
      CHECK(overflows(shop.try_one(shop.settle(id(3), {other, free}, amount_of(n, 6)))));
      CHECK(overflows(shop.try_one(shop.adjust(id(4), {other, free}, amount_of(n, 6)))));
    }
    CHECK(shop.one(shop.reserve(id(5), {other, counter}, amount_of(n, 5))).outcome == Outcome::done);
    CHECK(overflows(shop.try_one(shop.extend(id(5), {other, counter}, amount_of(n, 6)))));
    CHECK(dims(shop.look(counter).spent)[n] == INT64_MAX - 5);
    CHECK(dims(shop.look(counter).reserved)[n] == 5);
    CHECK(dims(shop.look(other).spent)[n] == 0);
    CHECK(dims(shop.look(other).reserved)[n] == 5);
    // The refused ids were not used up, and what was held is held.
    CHECK(shop.one(shop.settle(id(5), {other, counter}, amount_of(n, 4))).outcome == Outcome::done);
    CHECK(shop.one(shop.settle(id(3), {other, counter}, amount_of(n, 1))).outcome == Outcome::done);
    CHECK(dims(shop.look(counter).spent)[n] == INT64_MAX);
    CHECK(dims(shop.look(counter).reserved)[n] == 0);
    CHECK(dims(shop.look(other).spent)[n] == 5);
  }
}

OUTLAY_STORE_CASE("a correction below the smallest amount is refused and changes nothing") {
  Shop shop;
  const auto counter = Shop::counter("x");
  CHECK(shop.one(shop.adjust(a, {counter}, amount_of(0, INT64_MIN + 1))).outcome == Outcome::done);
  CHECK(overflows(shop.try_one(shop.adjust(b, {counter}, amount_of(0, -2)))));
  CHECK(shop.look(counter).spent.usd == Usd::from_nanos(INT64_MIN + 1));
  CHECK(shop.one(shop.adjust(b, {counter}, amount_of(0, 1))).outcome == Outcome::done);
  CHECK(shop.look(counter).spent.usd == Usd::from_nanos(INT64_MIN + 2));
}

// --- thresholds ---

OUTLAY_STORE_CASE("a threshold is told once, by the settlement that reaches it exactly") {
  Shop shop;
  const auto counter = with_thresholds("x", 100, {50, 80, 100});
  shop.one(shop.reserve(a, {counter}, money(90)));
  CHECK(told(shop.one(shop.settle(a, {counter}, money(49)))) == none);
  CHECK(told(shop.one(shop.settle(b, {counter}, money(1)))) == Told{{0, 50}});
  CHECK(told(shop.one(shop.settle(c, {counter}, money(1)))) == none);
  CHECK(told(shop.one(shop.settle(d, {counter}, money(29)))) == Told{{0, 80}});
}

OUTLAY_STORE_CASE("several thresholds reached at once are told in order, and those of several counters with it") {
  Shop shop;
  const auto first = with_thresholds("first", 100, {50, 80, 100}), second = with_thresholds("second", 200, {10, 40});
  const auto plain = Shop::counter("plain");
  const Told list = told(shop.one(shop.settle(a, {first, plain, second}, money(90))));
  CHECK(list == Told{{0, 50}, {0, 80}, {2, 10}, {2, 40}});
  CHECK(told(shop.one(shop.settle(b, {first, plain, second}, money(100)))) == Told{{0, 100}});
}

OUTLAY_STORE_CASE("a reservation, however large, reaches no threshold") {
  Shop shop;
  const auto counter = with_thresholds("x", 100, {50});
  CHECK(shop.one(shop.reserve(a, {counter}, money(60))).crossed.empty());
  CHECK(shop.one(shop.extend(a, {counter}, money(90))).crossed.empty());
  CHECK(told(shop.one(shop.settle(a, {counter}, money(60)))) == Told{{0, 50}});
  CHECK(shop.one(shop.snapshot({counter})).crossed.empty());
}

OUTLAY_STORE_CASE(
    "an amount is announced once, whatever is refunded, and other amounts of a raised cap are other thresholds") {
  Shop shop;
  const auto counter = with_thresholds("x", 100, {50, 80});
  CHECK(told(shop.one(shop.settle(a, {counter}, money(60)))) == Told{{0, 50}});
  CHECK(shop.one(shop.adjust(b, {counter}, money(-60))).crossed.empty());
  CHECK(told(shop.one(shop.settle(c, {counter}, money(60)))) == none);
  const auto raised = with_thresholds("x", 1'000, {50, 80});
  CHECK(told(shop.one(shop.settle(d, {raised}, money(439)))) == none);
  CHECK(told(shop.one(shop.settle(store_id(1), {raised}, money(1)))) == Told{{0, 50}});
  const auto again = with_thresholds(
      "x", 500, {10, 100});  // 50 cents were announced as half of the first cap, 500 as half of the second
  CHECK(told(shop.one(shop.settle(store_id(2), {again}, money(1)))) == none);
}

OUTLAY_STORE_CASE("thresholds of budgets that share a name are all announced, and what they have in common once") {
  Shop shop;
  auto counter = with_thresholds("x", 100, {50});
  const auto other = with_thresholds("x", 50, {50, 100});  // 25 cents and 50
  counter.thresholds.insert(counter.thresholds.begin(), other.thresholds.begin(), other.thresholds.end());
  const StoreReply reply = shop.one(shop.settle(a, {counter}, money(60)));
  REQUIRE(reply.crossed.size() == 2);
  CHECK((reply.crossed[0].threshold == 0 && reply.crossed[0].fraction == 0.5));
  CHECK((reply.crossed[1].threshold == 1 && reply.crossed[1].fraction == 1.0));
  CHECK(reply.states.at(0).spent == money(60));  // the numbers that they were reached with
}

OUTLAY_STORE_CASE("a threshold of several dimensions is announced once, by the first that reaches it") {
  Shop shop;
  auto counter = Shop::counter("x");
  counter.thresholds.push_back({0.5, {cents(50), {}, {}, {}, 5, {}}});
  CHECK(told(shop.one(shop.settle(a, {counter}, {cents(1), 0, 0, 0, 5, 0}))) == Told{{0, 50}});
  CHECK(told(shop.one(shop.settle(b, {counter}, money(60)))) == none);
  auto money_alone = Shop::counter("x");  // of another budget, which caps money alone
  money_alone.thresholds.push_back({0.5, {cents(50), {}, {}, {}, {}, {}}});
  CHECK(told(shop.one(shop.settle(c, {money_alone}, money(1)))) == Told{{0, 50}});
}

OUTLAY_STORE_CASE("a correction may be the first to reach a threshold") {
  Shop shop;
  const auto counter = with_thresholds("x", 100, {50, 80});
  CHECK(told(shop.one(shop.adjust(a, {counter}, money(90)))) == Told{{0, 50}, {0, 80}});
  CHECK(shop.one(shop.adjust(a, {counter}, money(90))).crossed.empty());
}

OUTLAY_STORE_CASE("a settlement that is repeated tells again what it crossed, since its answer may have been lost") {
  Shop shop;
  StoreCounter counter = Shop::counter("x", cents(100));
  counter.thresholds = {{0.5, limit_of(0, cents(50).nanos())}, {0.9, limit_of(0, cents(90).nanos())}};
  shop.one(shop.reserve(a, {counter}, money(60)));
  REQUIRE(shop.one(shop.settle(a, {counter}, money(60))).crossed.size() == 1);
  const StoreReply again = shop.one(shop.settle(a, {counter}, money(60)));
  CHECK(again.outcome == Outcome::ended);
  REQUIRE(again.crossed.size() == 1);
  CHECK(again.crossed[0].counter == 0);
  CHECK(again.crossed[0].threshold == 0);
  CHECK(again.crossed[0].fraction == 0.5);
  // Not by another call, and not where the command asks for no thresholds.
  shop.one(shop.reserve(b, {counter}, money(1)));
  CHECK(shop.one(shop.settle(b, {counter}, money(1))).crossed.empty());
  CHECK(shop.one(shop.settle(b, {counter}, money(1))).crossed.empty());
  counter.thresholds.clear();
  CHECK(shop.one(shop.settle(a, {counter}, money(60))).crossed.empty());
  shop.expect(counter, 61, 0);
}

OUTLAY_STORE_CASE("a threshold that an expiry reached is told by the next settlement") {
  Shop shop;
  const auto counter = with_thresholds("x", 100, {50});
  shop.one(shop.reserve(a, {counter}, money(60), short_lease));
  shop.let_leases_end(counter);
  CHECK(told(shop.one(shop.settle(b, {counter}, money(1)))) == Told{{0, 50}});
}

OUTLAY_STORE_CASE("thresholds are of any dimension, and of one window each") {
  Shop shop;
  auto counter = shop.hourly("x", 30min);
  counter.thresholds.push_back({0.5, {cents(50), {}, {}, {}, 5, {}}});
  auto before = counter;
  before.begin -= 1h, before.end -= 1h, before.counted_from -= 1h, before.counted_to -= 1h;
  CHECK(told(shop.one(shop.settle(a, {before}, {{}, 0, 0, 0, 4, 0}))) == none);
  CHECK(told(shop.one(shop.settle(b, {before}, {{}, 0, 0, 0, 1, 0}))) == Told{{0, 50}});
  CHECK(told(shop.one(shop.settle(c, {counter}, money(49)))) == none);
  CHECK(told(shop.one(shop.settle(d, {counter}, money(1)))) == Told{{0, 50}});
}

OUTLAY_STORE_CASE("a threshold is told once over all connections") {
  Shop shop;
  const auto other = shop.fixture.another();
  if (!other) return;
  const auto counter = with_thresholds("x", 100, {10, 20, 30, 40, 50, 60, 70, 80, 90});
  std::vector<int> all;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    StoreCommand command = shop.settle(store_id(i), {counter}, money(1));
    command.now = shop.fixture.now();
    const StoreReply reply =
        (i % 2 == 0 ? shop.fixture.backend() : *other).execute({&command, 1}, timeout).at(0).value();
    for (const auto& [index, percent] : told(reply)) all.push_back(percent);
  }
  CHECK(all == std::vector<int>{10, 20, 30, 40, 50, 60, 70, 80, 90});
}

// --- adjust ---

OUTLAY_STORE_CASE("a correction adds to what every counter has spent, or takes from it, once for its id") {
  Shop shop;
  const auto first = Shop::counter("first", cents(10)), second = Shop::counter("second");
  shop.one(shop.settle(a, {first, second}, money(9)));
  const StoreReply back = shop.one(shop.adjust(b, {first, second}, money(-4)));
  CHECK(back.outcome == Outcome::done);
  REQUIRE(back.states.size() == 2);
  for (const auto& state : back.states) CHECK(state.spent == money(5));
  shop.one(shop.adjust(b, {first, second}, money(-4)));
  shop.expect(first, 5, 0);
  CHECK(shop.one(shop.reserve(c, {first, second}, money(5))).outcome == Outcome::done);
  CHECK(shop.one(shop.adjust(d, {first, second}, money(20))).outcome == Outcome::done);  // no limit applies
  shop.one(shop.adjust(d, {first, second}, money(20)));
  shop.expect(first, 25, 5);
  shop.expect(second, 25, 5);
}

OUTLAY_STORE_CASE("the id of a correction is remembered as long as the correction asks for, and no longer") {
  Shop shop;
  const auto counter = Shop::counter("corrected");
  StoreCommand correction = shop.adjust(a, {counter}, money(7));
  correction.lease = std::chrono::hours(60 * 24);
  shop.one(correction);
  if (!shop.fixture.advance(std::chrono::hours(59 * 24))) return;  // of a server: in its own tests
  CHECK(shop.one(correction).outcome == Outcome::ended);
  shop.expect(counter, 7, 0);
  shop.fixture.advance(std::chrono::hours(2 * 24));
  CHECK(shop.one(correction).outcome == Outcome::done);
}

// --- histories ---

OUTLAY_STORE_CASE("any history of commands gives the answers of the sequential model") {
  const char* given = std::getenv("OUTLAY_TEST_SEED");
  const auto seed = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device()();
  std::mt19937 random(seed);
  const auto pick = [&](std::uint64_t n) { return static_cast<std::uint64_t>(random() % n); };
  Shop shop;
  outlay_test::StoreModel model;
  const bool clock_moves = shop.fixture.advance(1ns);
  std::int64_t version = 0;

  // Some of one slot, one of a rolling window that moves on; few ids, so that most commands meet something.
  std::vector<StoreCounter> counters{with_thresholds("wide", 300, {20, 50, 90}),
                                     with_thresholds("tight", 60, {50, 100}), Shop::counter("open"),
                                     Shop::counter("calls")};
  counters[3].limits.calls = 12, counters[3].limits.concurrent = 4;
  const Time origin = shop.fixture.now();
  const auto rolling = [&] {
    StoreCounter counter = with_thresholds("rolling", 80, {50});
    counter.window = "rolling600s";
    const auto slots = clock_moves ? (shop.fixture.now() - origin) / 10s : 0;
    counter.begin = origin + slots * 10s;
    counter.end = clock_moves ? counter.begin + 10s : Time::max();
    counter.counted_from = counter.begin - 60 * 10s;
    counter.counted_to = Time::max();
    return counter;
  };
  // Slots that turn, and in which calls stay in flight; under one of two caps, as two programs may see it.
  const auto turning = [&] {
    StoreCounter counter =
        pick(2) == 0 ? with_thresholds("turning", 90, {50, 100}) : with_thresholds("turning", 60, {50, 75});
    counter.window = "20s";
    const auto slots = clock_moves ? (shop.fixture.now() - origin) / 20s : 0;
    counter.begin = counter.counted_from = counter.counted_to = origin + slots * 20s;
    counter.end = clock_moves ? counter.begin + 20s : Time::max();
    counter.limits.concurrent = 5;
    return counter;
  };
  struct Used {
    std::string id{};
    std::vector<StoreCounter> counters{};
    Amounts amount{};
  };
  std::vector<Used> used(24);
  std::uint64_t last_id = 0;

  for (int step = 0; step < 400; ++step) {
    std::vector<StoreCommand> batch;
    if (clock_moves && pick(6) == 0) {
      // Ahead, and now and then back, but never before the beginning.
      const auto step_by = std::chrono::milliseconds(1 + pick(15'000));
      shop.fixture.advance(pick(8) == 0 && shop.fixture.now() - step_by > origin ? -step_by : step_by);
      auto all = counters;
      all.push_back(rolling());
      all.push_back(turning());
      batch.push_back(shop.snapshot(all));
    }
    for (std::uint64_t n = 1 + pick(5); n != 0; --n) {
      Used& use = used[pick(used.size())];
      if (use.id.empty() || pick(12) == 0) {
        use = {};
        use.id = store_id(++last_id);
        for (const StoreCounter& counter : counters)
          if (pick(2) == 0) use.counters.push_back(counter);
        if (pick(3) == 0) use.counters.push_back(rolling());
        if (pick(3) == 0) use.counters.push_back(turning());
        if (use.counters.empty()) use.counters.push_back(counters[pick(counters.size())]);
        for (StoreCounter& counter : use.counters)
          if (pick(5) == 0) counter.room = pick(2) == 0 ? Room::below : Room::any;
        use.amount = {cents(static_cast<std::int64_t>(pick(30))), static_cast<std::int64_t>(pick(1'000)), 0, 0, 1, 1};
      }
      const std::string& id = use.id;
      const std::chrono::milliseconds lease = clock_moves ? std::chrono::milliseconds(1'000 + pick(30'000)) : 1h;
      const auto reserve =
          shop.reserve(id, use.counters, use.amount, lease, pick(3) == 0 ? OnExpiry::release : OnExpiry::charge);
      switch (pick(10)) {
        case 0:
        case 1:
        case 2:
        case 3:
          batch.push_back(reserve);
          break;
        case 4: {
          Amounts more = use.amount;  // all of it larger, or all of it smaller
          const std::int64_t sign = pick(4) == 0 ? -1 : 1;
          more.usd = std::max(Usd{}, more.usd + cents(sign * static_cast<std::int64_t>(pick(10))));
          more.tokens = std::max<std::int64_t>(0, more.tokens + sign * static_cast<std::int64_t>(pick(100)));
          batch.push_back(shop.extend(id, use.counters, more));
          batch.push_back(shop.renew({id}, lease));  // whether extending renews is left open too
          break;
        }
        case 5:
        case 6: {
          Amounts spent = use.amount;
          spent.usd = cents(static_cast<std::int64_t>(pick(40)));
          spent.concurrent = 0;
          batch.push_back(shop.settle(id, use.counters, spent));
          break;
        }
        case 7:
          batch.push_back(shop.release(id, use.counters));
          break;
        case 8:
          batch.push_back(shop.renew({id, store_id(1 + pick(last_id))}, lease));
          break;
        default: {
          auto all = counters;
          all.push_back(rolling());
          all.push_back(turning());
          if (pick(3) != 0)
            batch.push_back(shop.snapshot(all));
          else
            batch.push_back(shop.adjust(store_id(10'000 + static_cast<std::uint64_t>(step)), {all[pick(all.size())]},
                                        money(static_cast<std::int64_t>(pick(9)) - 6)));
        }
      }
    }
    for (StoreCommand& command : batch) command.now = shop.fixture.now();
    const auto replies = shop.run(batch);
    REQUIRE(replies.size() == batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      bool changed = false;
      const StoreReply expected = model.apply(batch[i], changed);
      INFO("OUTLAY_TEST_SEED=" << seed << ", step " << step << ", command " << i << ", op "
                               << static_cast<int>(batch[i].op) << ", id " << batch[i].id);
      REQUIRE(replies[i].has_value());
      const StoreReply& reply = replies[i].value();
      const bool repeated_adjust = batch[i].op == Op::adjust && expected.outcome == Outcome::ended;
      if (!repeated_adjust) REQUIRE(static_cast<int>(reply.outcome) == static_cast<int>(expected.outcome));
      REQUIRE(reply.states.size() == expected.states.size());
      for (std::size_t s = 0; s < expected.states.size(); ++s) {
        INFO("counter " << batch[i].counters[s].name);
        REQUIRE(dims(reply.states[s].spent) == dims(expected.states[s].spent));
        REQUIRE(dims(reply.states[s].reserved) == dims(expected.states[s].reserved));
        const auto apart = reply.states[s].fits_at.value_or(Time{}) - expected.states[s].fits_at.value_or(Time{});
        REQUIRE(reply.states[s].fits_at.has_value() == expected.states[s].fits_at.has_value());
        REQUIRE((apart < 2us && apart > -2us));  // some stores keep microseconds
      }
      REQUIRE(told(reply) == told(expected));
      REQUIRE((changed ? reply.version > version : reply.version >= version));
      version = reply.version;
    }
  }
}

#undef OUTLAY_STORE_CASE
