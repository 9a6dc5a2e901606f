// What outlay::redis does with the data and the settings of a real server. What goes wrong in between is in faults_test.cpp.
#include <cstring>
#include <set>

#include "fixture.hpp"
#include "outlay/outlay.hpp"
#include "outlay/redis.hpp"
#include "support/moved_clock.hpp"

using namespace outlay_test;

TEST_CASE("redis: scripts that the server has forgotten are left there again, within the call", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  const auto counter = forever("x");
  REQUIRE(run(backend, command(Op::reserve, 1, {counter}, 1_usd)));
  REQUIRE(server.command({"SCRIPT", "FLUSH"}) == "OK");
  const std::vector<StoreCommand> batch{command(Op::settle, 1, {counter}, 0.5_usd),
                                        command(Op::reserve, 2, {counter}, 1_usd), command(Op::snapshot, 0, {counter})};
  const auto results = backend.execute(batch, 5s);
  REQUIRE(results.size() == 3);
  for (const auto& result : results) REQUIRE(result);
  CHECK(results[2]->states[0].spent.usd == 0.5_usd);
  CHECK(results[2]->states[0].reserved.usd == 1_usd);
}

TEST_CASE("redis: after FLUSHALL it is another epoch, each time", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  const auto counter = forever("x");
  std::set<std::string> epochs;
  for (std::uint64_t life = 1; life <= 3; ++life) {
    const StoreReply reply = *run(backend, command(Op::settle, life, {counter}, 1_usd));
    CHECK(reply.epoch.size() == 32);
    CHECK(reply.states.at(0).spent.usd == 1_usd);
    epochs.insert(reply.epoch);
    REQUIRE(server.command({"FLUSHALL"}) == "OK");
  }
  CHECK(epochs.size() == 3);
}

TEST_CASE("redis: reading is enough to begin an epoch that stays", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend first(server.url(), "outlay"), second(server.url(), "outlay");
  const StoreReply a = *run(first, command(Op::snapshot, 0, {forever("x")}));
  const StoreReply b = *run(second, command(Op::snapshot, 0, {forever("x")}));
  CHECK(a.epoch == b.epoch);
}

TEST_CASE("redis: a server restarted from an older snapshot has the same epoch and a lower version", "[redis]") {
  NEEDS_REDIS();
  test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  const auto counter = forever("x");
  const StoreReply saved = *run(backend, command(Op::settle, 1, {counter}, 1_usd));
  REQUIRE(server.command({"SAVE"}) == "OK");
  const StoreReply lost = *run(backend, command(Op::settle, 2, {counter}, 1_usd));
  CHECK(lost.version > saved.version);
  server.kill();
  server.start();
  const StoreReply back = retry(backend, command(Op::snapshot, 0, {counter}));
  CHECK(back.epoch == saved.epoch);
  CHECK(back.version == saved.version);
  CHECK(back.states.at(0).spent.usd == 1_usd);
}

TEST_CASE("redis: with an append-only file nothing that was confirmed is lost when the server is killed", "[redis]") {
  NEEDS_REDIS();
  test::RedisServer server({.arguments = {"--appendonly", "yes", "--appendfsync", "always"}});
  RedisBackend backend(server.url(), "outlay");
  const auto counter = forever("x");
  REQUIRE(run(backend, command(Op::reserve, 1, {counter}, 2_usd)));
  const StoreReply before = *run(backend, command(Op::settle, 2, {counter}, 1_usd));
  server.kill();
  server.start();
  const StoreReply after = retry(backend, command(Op::snapshot, 0, {counter}));
  CHECK(after.epoch == before.epoch);
  CHECK(after.version == before.version);
  CHECK(after.states.at(0).spent.usd == 1_usd);
  CHECK(after.states.at(0).reserved.usd == 2_usd);
}

TEST_CASE("redis: where memory is full nothing is half done, and it goes on when there is room", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  const auto first = forever("first"), second = forever("second");
  REQUIRE(run(backend, command(Op::reserve, 1, {first, second}, 1_usd)));
  REQUIRE(server.command({"CONFIG", "SET", "maxmemory", "1"}) == "OK");
  const std::string before = server.command({"KEYS", "*"});
  CHECK(contains(unavailable(backend, command(Op::reserve, 2, {first, second}, 1_usd)).message, "OOM"));
  CHECK(contains(unavailable(backend, command(Op::settle, 1, {first, second}, 1_usd)).message, "OOM"));
  // What only reads still works.
  CHECK(look(backend, first).reserved.usd == 1_usd);
  CHECK(look(backend, second).spent.usd == 0_usd);
  CHECK(server.command({"KEYS", "*"}).size() == before.size());
  REQUIRE(server.command({"CONFIG", "SET", "maxmemory", "0"}) == "OK");
  CHECK(run(backend, command(Op::settle, 1, {first, second}, 1_usd)).value().outcome == Outcome::done);
  CHECK(run(backend, command(Op::reserve, 2, {first, second}, 1_usd)).value().outcome == Outcome::done);
  for (const auto& counter : {first, second}) {
    CHECK(look(backend, counter).spent.usd == 1_usd);
    CHECK(look(backend, counter).reserved.usd == 1_usd);
  }
}

TEST_CASE("redis: two prefixes are two stores", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend one(server.url(), "one"), two(server.url(), "two");
  REQUIRE(run(one, command(Op::settle, 1, {forever("x")}, 1_usd)));
  CHECK(look(two, forever("x")).spent.usd == 0_usd);
  CHECK(run(two, command(Op::settle, 1, {forever("x")}, 2_usd)).value().outcome == Outcome::done);
  CHECK(look(one, forever("x")).spent.usd == 1_usd);
}

TEST_CASE("redis: two databases of one server are two stores", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend zero(server.url(), "outlay"), three(server.url() + "?db=3", "outlay");
  REQUIRE(run(three, command(Op::settle, 1, {forever("x")}, 1_usd)));
  CHECK(look(zero, forever("x")).spent.usd == 0_usd);
  CHECK(look(three, forever("x")).spent.usd == 1_usd);
}

TEST_CASE(
    "redis: the keys of a window live on as long as their slots are kept, and a lease, and those without an end for "
    "ever",
    "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  const auto now = std::chrono::system_clock::now();
  const auto span = outlay::Window::minute().at(now + 1min);  // the next one: not about to turn
  StoreCounter minute = forever("m");
  minute.window = "minute";
  minute.begin = minute.counted_from = minute.counted_to = span.begin;
  minute.end = span.end.value();
  minute.keep_until = minute.end + 48h;
  REQUIRE(run(backend, command(Op::settle, 1, {minute, forever("f")}, 1_usd)));
  CHECK(server.command({"PTTL", "{outlay}:in:forever:f"}) == "-1");
  const auto left = std::chrono::milliseconds(std::stoll(server.command({"PTTL", "{outlay}:in:minute:m"})));
  CHECK(left > 48h);
  CHECK(left < 48h + 5min);
}

TEST_CASE("redis: slots that are over are forgotten when the next one comes", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  const outlay::Time now = std::chrono::system_clock::now();
  StoreCounter old = forever("x");
  old.window = "minute";
  old.begin = old.counted_from = old.counted_to = now - 24h;
  old.end = old.begin + 1min;
  old.keep_until = now - 1h;
  StoreCounter present = old;
  present.begin = present.counted_from = present.counted_to = now - 10s;
  present.end = now + 50s;
  present.keep_until = now + 48h;
  REQUIRE(run(backend, command(Op::settle, 1, {old}, 1_usd)));  // forgotten at once
  CHECK(server.command({"EXISTS", "{outlay}:in:minute:x"}) == "0");
  StoreCounter recent = old;
  recent.begin = recent.counted_from = recent.counted_to = now - 10min;
  recent.end = now - 9min;
  recent.keep_until = now + 1h;
  REQUIRE(run(backend, command(Op::settle, 2, {recent}, 1_usd)));
  REQUIRE(run(backend, command(Op::settle, 3, {present}, 1_usd)));
  CHECK(server.command({"HLEN", "{outlay}:in:minute:x"}) == "3");  // these two, and what is in flight
}

namespace {

/// A server that was started at another time.
struct MovedServer {
  explicit MovedServer(outlay::Time time) : server({.environment = (clock.set(time), clock.environment())}) {}

  test::MovedClock clock{};
  const test::RedisServer server;
};

}  // namespace

TEST_CASE("redis: what a rolling window has forgotten in its time is not lost data", "[redis]") {
  NEEDS_REDIS();
  const outlay::Time start{std::chrono::sys_days(std::chrono::year(2026) / 5 / 1)};
  MovedServer moved(start);
  auto& [clock, server] = moved;
  const auto store = outlay::redis_store({.url = server.url(), .on_unreachable = outlay::OnUnreachable::deny()});
  (void)store->state("x", outlay::Window::rolling(30 * 24h));  // by now it knows the server's clock
  const outlay::Budget budget({.name = "x", .calls = 10, .window = outlay::Window::rolling(30 * 24h), .store = store});
  const auto call = [] {
    return outlay::try_call({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = outlay::Usd{}});
  };
  REQUIRE(call());  // released, but the name is known
  store->adjust({.name = "x", .window = outlay::Window::rolling(30 * 24h), .amounts = {.calls = 3}});
  const auto look_on_day = [&](int day) {
    clock.set(start + day * 24h);
    (void)store->state("x", outlay::Window::rolling(30 * 24h));
    return store->state("x", outlay::Window::rolling(30 * 24h)).spent.calls;
  };
  CHECK(look_on_day(29) == 3);
  CHECK(look_on_day(33) == 0);
  CHECK(call());
  CHECK(look_on_day(100) == 0);
  CHECK(call());
}

TEST_CASE("redis: an ended id is known where the clock is put back over the turn of an hour", "[redis]") {
  NEEDS_REDIS();
  const outlay::Time hour{std::chrono::sys_days(std::chrono::year(2026) / 5 / 1)};
  MovedServer moved(hour - 2min);
  auto& [clock, server] = moved;
  RedisBackend backend(server.url(), "outlay");
  const StoreCounter counter = forever("x");
  const auto settle = [&](std::uint64_t id) { return run(backend, command(Op::settle, id, {counter}, 1_usd)).value(); };
  CHECK(settle(1).outcome == Outcome::done);
  clock.set(hour + 2min);
  CHECK(settle(2).outcome == Outcome::done);
  for (const auto back : {1min, 59min, 3h + 0min}) {
    clock.set(hour - back);
    CHECK(settle(1).outcome == Outcome::ended);
    CHECK(settle(2).outcome == Outcome::ended);
  }
  CHECK(look(backend, counter).spent.usd == 2_usd);
}

TEST_CASE("redis: the id of a correction is remembered as long as the correction asks for, and no longer", "[redis]") {
  NEEDS_REDIS();
  const outlay::Time start{std::chrono::sys_days(std::chrono::year(2026) / 5 / 1)};
  MovedServer moved(start);
  auto& [clock, server] = moved;
  RedisBackend backend(server.url(), "outlay");
  const StoreCounter counter = forever("x");
  const auto adjust = [&](std::uint64_t id) {
    StoreCommand correction = command(Op::adjust, id, {counter}, 1_usd);
    correction.lease = 60 * 24h;
    return run(backend, correction).value().outcome;
  };
  CHECK(adjust(1) == Outcome::done);
  CHECK(adjust(1) == Outcome::ended);
  clock.set(start + 59 * 24h);
  CHECK(adjust(1) == Outcome::ended);
  CHECK(adjust(2) == Outcome::done);
  clock.set(start + 61 * 24h);
  CHECK(adjust(2) == Outcome::ended);
  CHECK(adjust(1) == Outcome::done);
  CHECK(look(backend, counter).spent.usd == 3_usd);
  CHECK(server.command({"ZCARD", "{outlay}:corrections"}) == "2");
}

TEST_CASE("redis: an ended id is remembered over the turn of an hour, and forgotten after the next", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  const auto counter = forever("x");
  // Where the hours take turns; the server's clock is read, never set.
  const auto hour = [&] { return std::stoll(server.command({"TIME"})) / 3'600; };
  const auto key = [](std::int64_t of) { return "{outlay}:ended:" + std::to_string(of % 3); };
  const auto age_by_hours = [&](std::int64_t hours) {
    std::string meta = server.command({"GET", "{outlay}:meta"});
    const double ended = static_cast<double>(hour() - hours);
    REQUIRE(meta.size() == 24 + 32);
    std::memcpy(&meta[16], &ended, sizeof ended);
    REQUIRE(server.command({"SET", "{outlay}:meta", meta}) == "OK");
  };
  std::int64_t now = 0;
  do {  // all in one hour of the server's
    REQUIRE(server.command({"FLUSHALL"}) == "OK");
    now = hour();
    REQUIRE(run(backend, command(Op::settle, 1, {counter}, 1_usd)).value().outcome == Outcome::done);
    REQUIRE(server.command({"RENAME", key(now), key(now - 1)}) == "OK");
    age_by_hours(1);
    CHECK(run(backend, command(Op::settle, 1, {counter}, 1_usd)).value().outcome == Outcome::ended);
    CHECK(run(backend, command(Op::settle, 2, {counter}, 1_usd)).value().outcome == Outcome::done);
    CHECK(run(backend, command(Op::settle, 1, {counter}, 1_usd)).value().outcome == Outcome::ended);
    CHECK(std::stoll(server.command({"PTTL", key(now)})) > 2 * 3'600'000);
    // Three hours later that hash has its turn again.
    age_by_hours(3);
    CHECK(run(backend, command(Op::settle, 3, {counter}, 1_usd)).value().outcome == Outcome::done);
    CHECK(server.command({"HKEYS", key(now)}) == id_of(3));
    CHECK(server.command({"EXISTS", key(now - 1)}) == "0");
  } while (hour() != now);
}

TEST_CASE("redis: a settlement whose slot was forgotten meanwhile does no harm", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  const auto counter = forever("x");
  REQUIRE(run(backend, command(Op::reserve, 1, {counter}, 3_usd)));
  REQUIRE(run(backend, command(Op::reserve, 2, {counter}, 1_usd)));
  REQUIRE(server.command({"DEL", "{outlay}:in:forever:x"}) == "1");
  const StoreReply reply = *run(backend, command(Op::settle, 1, {counter}, 2_usd));
  CHECK(reply.states.at(0).spent.usd == 2_usd);
  CHECK(reply.states.at(0).reserved.usd == 0_usd);
  CHECK(run(backend, command(Op::release, 2, {counter})).value().states.at(0).reserved.usd == 0_usd);
}

TEST_CASE("redis: commands that make no sense are refused without being sent, and the others are executed", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  const auto good = command(Op::settle, 1, {forever("x")}, 1_usd);
  std::vector<StoreCommand> batch(8, good);
  batch[0].id = "short";
  batch[1].id = std::string(32, 'g');
  batch[2].counters[0].name.clear();
  batch[3].counters[0].name = std::string(257, 'x');
  batch[4].counters.assign(65, forever("x"));
  batch[5].amount.tokens = -1;
  batch[6].counters[0].end = batch[6].counters[0].begin;
  const auto results = backend.execute(batch, 5s);
  REQUIRE(results.size() == 8);
  for (std::size_t i = 0; i < 7; ++i) {
    INFO(i);
    REQUIRE(!results[i]);
    CHECK(results[i].error().reason() == outlay::errc::invalid_argument);
  }
  REQUIRE(results[7]);
  CHECK(results[7]->states.at(0).spent.usd == 1_usd);
}

TEST_CASE("redis: a thousand commands at once are answered in their order", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  std::vector<StoreCommand> batch;
  for (std::uint64_t i = 1; i <= 1'000; ++i) batch.push_back(command(Op::reserve, i, {forever("x", 5_usd)}, 0.01_usd));
  const auto results = backend.execute(batch, 20s);
  REQUIRE(results.size() == 1'000);
  for (std::size_t i = 0; i < results.size(); ++i) {
    REQUIRE(results[i]);
    REQUIRE(results[i]->outcome == (i < 500 ? Outcome::done : Outcome::refused));
  }
}

TEST_CASE("redis: plain and exact arithmetic meet in one counter", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  const outlay::Usd huge = outlay::Usd::from_nanos((std::int64_t{1} << 53) + 1);
  const auto counter = forever("x", outlay::Usd::max());
  std::vector<StoreCommand> batch;
  outlay::Usd sum;
  for (std::uint64_t i = 1; i <= 60; ++i) {
    const outlay::Usd usd = i % 3 == 0 ? huge : outlay::Usd::from_nanos(static_cast<std::int64_t>(i));
    batch.push_back(command(Op::settle, i, {counter}, usd));
    sum += usd;
    if (i % 10 != 0) continue;
    for (const auto& result : backend.execute(batch, 5s)) REQUIRE(result);
    batch.clear();
    REQUIRE(look(backend, counter).spent.usd == sum);
  }
  // Back to small numbers, in the fast script again.
  REQUIRE(run(backend, command(Op::adjust, 100, {counter}, -sum)));
  REQUIRE(run(backend, command(Op::settle, 101, {counter}, 1_usd)));
  CHECK(look(backend, counter).spent.usd == 1_usd);
}

TEST_CASE("redis: a key that something else has put there is an error that says so", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  REQUIRE(server.command({"LPUSH", "{outlay}:in:forever:x", "1"}) == "1");
  CHECK(contains(unavailable(backend, command(Op::settle, 1, {forever("x")}, 1_usd)).message, "WRONGTYPE"));
  CHECK(run(backend, command(Op::settle, 2, {forever("y")}, 1_usd)));
}

// --- who may use the server ---

TEST_CASE("redis: a password is used, and a wrong one is an error without it", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server({.arguments = {"--requirepass", "hunter2"}});
  const std::string path = server.url().substr(7);
  RedisBackend right("unix://:hunter2@" + path, "outlay");
  CHECK(run(right, command(Op::settle, 1, {forever("x")}, 1_usd)));
  Log log;
  RedisBackend wrong("unix://:hunter3@" + path, "outlay"), none(server.url(), "outlay");
  const std::string refused = unavailable(wrong, command(Op::snapshot, 0, {forever("x")})).message;
  CHECK(contains(refused, "WRONGPASS"));
  CHECK(contains(refused, "user, password or database of the URL"));
  const std::string asked = unavailable(none, command(Op::snapshot, 0, {forever("x")})).message;
  CHECK(contains(asked, "NOAUTH"));
  for (const std::string& text : {refused, asked, log.text(), right.description(), wrong.description()}) {
    CHECK_FALSE(contains(text, "hunter"));
  }
}

TEST_CASE("redis: a user with few rights is enough, and what cannot be checked is said", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  const std::string path = server.url().substr(7);
  // As README.md in src/redis says.
  std::vector<std::string> rule{"ACL", "SETUSER", "caps", "on", ">secret", "~{outlay}:*", "-@all"};
  for (const char* allowed :
       {"evalsha", "script|load", "time", "get", "set", "hget", "hmget", "hset", "hdel", "hgetall", "exists", "pexpire",
        "pexpireat", "unlink", "zadd", "zrem", "zrange", "zrangebyscore"})
    rule.push_back(std::string("+") + allowed);
  REQUIRE(server.command(rule) == "OK");
  Log log;
  RedisBackend backend("unix://caps:secret@" + path, "outlay");
  REQUIRE(run(backend, command(Op::reserve, 1, {forever("x")}, 1_usd)));
  CHECK(run(backend, command(Op::settle, 1, {forever("x")}, 1_usd)).value().states.at(0).spent.usd == 1_usd);
  CHECK(contains(log.text(), "warning: "));
  CHECK(contains(log.text(), "CONFIG GET is not allowed"));
  // What it may not do fails alone. A lease that had run out by then is told by the next answer.
  StoreCommand left_alone = command(Op::reserve, 2, {forever("y")}, 3_usd);
  left_alone.lease = {};
  REQUIRE(run(backend, left_alone));
  StoreCommand list;
  list.op = Op::list_counters;
  CHECK(contains(unavailable(backend, list).message, "NOPERM"));
  const auto next = run(backend, command(Op::snapshot, 0, {forever("y")}));
  CHECK(next.value().states.at(0).spent.usd == 3_usd);
  REQUIRE(next.value().expired.size() == 1);
  CHECK(next.value().expired[0].counter.name == "y");
  CHECK(next.value().expired[0].charged.usd == 3_usd);
  REQUIRE(server.command({"ACL", "SETUSER", "caps", "+scan"}) == "OK");
  CHECK(run(backend, list).value().counters.size() == 2);
  // Another prefix is none of its keys.
  RedisBackend foreign("unix://caps:secret@" + path, "other");
  CHECK(contains(unavailable(foreign, command(Op::settle, 1, {forever("x")}, 1_usd)).message, "NOPERM"));
  // A user that may not run scripts.
  REQUIRE(server.command({"ACL", "SETUSER", "poor", "on", ">secret", "~*", "-@all", "+get"}) == "OK");
  RedisBackend poor("unix://poor:secret@" + path, "outlay");
  CHECK(contains(unavailable(poor, command(Op::snapshot, 0, {forever("x")})).message, "NOPERM"));
}

// --- what it says of the server's settings ---

TEST_CASE("redis: a server that evicts nothing and appends to a file is only mentioned", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server({.arguments = {"--appendonly", "yes"}});
  Log log;
  RedisBackend backend(server.url(), "outlay");
  REQUIRE(run(backend, command(Op::snapshot, 0, {forever("x")})));
  REQUIRE(log.lines().size() == 1);
  CHECK(log.lines()[0].first == outlay::LogLevel::info);
  CHECK(contains(log.text(), "maxmemory-policy is noeviction"));
  CHECK(contains(log.text(), "appendonly is yes"));
}

TEST_CASE("redis: a server that may evict counters, or forgets them over a restart, is warned of", "[redis]") {
  NEEDS_REDIS();
  for (const std::string policy : {"allkeys-lru", "volatile-ttl"}) {
    const test::RedisServer server({.arguments = {"--maxmemory-policy", policy}});
    Log log;
    RedisBackend backend(server.url(), "outlay");
    REQUIRE(run(backend, command(Op::snapshot, 0, {forever("x")})));
    REQUIRE(log.lines().size() == 1);
    CHECK(log.lines()[0].first == outlay::LogLevel::warning);
    CHECK(contains(log.text(), policy));
    CHECK(contains(log.text(), "set it to noeviction"));
    CHECK(contains(log.text(), "no snapshots"));
  }
  const test::RedisServer server({.arguments = {"--save", "3600 1"}});
  Log log;
  RedisBackend backend(server.url(), "outlay");
  REQUIRE(run(backend, command(Op::snapshot, 0, {forever("x")})));
  CHECK(contains(log.text(), "goes back to the last snapshot"));
}

TEST_CASE("redis: a call whose lease has run out is kept for two days, a detached one for a week, and then no more",
          "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  const auto counter = forever("x");
  const auto expire = [&](std::uint64_t id, bool detached) {
    StoreCommand held = command(Op::reserve, id, {counter}, 1_usd);
    held.lease = 20ms;
    held.detached = detached;
    REQUIRE(run(backend, held)->outcome == Outcome::done);
    REQUIRE(test::eventually([&] { return look(backend, counter).reserved.usd == 0_usd; }));
  };
  const auto settle = [&](std::uint64_t id) {
    StoreCommand settled = command(Op::settle, id, {counter}, 0.25_usd);
    settled.detached = true;
    return run(backend, settled)->outcome;
  };
  expire(1, true);
  expire(2, true);
  CHECK(look(backend, counter).spent.usd == 2_usd);
  const double in_a_week = std::stod(server.command({"ZSCORE", "{outlay}:leases", id_of(1)})) / 1e6;
  const double now = std::stod(server.command({"TIME"}));
  CHECK(in_a_week - now > 7 * 86'400 - 60);
  CHECK(in_a_week - now < 7 * 86'400 + 60);
  // Hours later, when ids that ended are forgotten.
  for (const char* turn : {"0", "1", "2"}) server.command({"DEL", std::string("{outlay}:ended:") + turn});
  CHECK(settle(1) == Outcome::done);
  CHECK(settle(1) == Outcome::ended);
  CHECK(look(backend, counter).spent.usd == 1.25_usd);
  // A week later.
  server.command({"ZADD", "{outlay}:leases", "1", id_of(2)});
  expire(3, false);
  CHECK(server.command({"HLEN", "{outlay}:held"}) == "1");
  CHECK(server.command({"ZCARD", "{outlay}:leases"}) == "1");
  // Its process was only slow, and renews what it takes to be held.
  StoreCommand renewed = command(Op::renew, 0, {});
  renewed.ids = {id_of(3), id_of(77)};
  renewed.id.clear();
  renewed.lease = 60s;
  const auto renewal = run(backend, renewed);
  INFO((renewal ? std::string() : renewal.error().message()));
  REQUIRE(renewal);
  const double in_two_days = std::stod(server.command({"ZSCORE", "{outlay}:leases", id_of(3)})) / 1e6;
  CHECK(std::abs(in_two_days - now - 2 * 86'400) < 60);
  CHECK(settle(2) == Outcome::ended);
  CHECK(look(backend, counter).spent.usd == 2.25_usd);
  CHECK(run(backend, command(Op::settle, 3, {counter}, 0.25_usd))->outcome == Outcome::done);
  CHECK(look(backend, counter).spent.usd == 1.5_usd);
  CHECK(server.command({"HLEN", "{outlay}:held"}) == "0");
}
