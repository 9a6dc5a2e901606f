// Servers that are not there, stop, lie, or answer when it is too late. What was sent without an answer is sent again and counts once.
#include <csignal>
#include <thread>

#include "fixture.hpp"
#include "support/tcp_gate.hpp"

using namespace outlay_test;

namespace {

std::string url_of(std::uint16_t port) { return "redis://127.0.0.1:" + std::to_string(port); }

}  // namespace

TEST_CASE("redis faults: where nobody listens it fails at once and says where", "[redis]") {
  const std::uint16_t port = test::free_port();
  RedisBackend backend(url_of(port), "outlay");
  const auto refused = unavailable(backend, command(Op::snapshot, 0, {forever("x")}));
  CHECK(contains(refused.message, "redis at 127.0.0.1:" + std::to_string(port)));
  CHECK(contains(refused.message, "refused"));
  CHECK(refused.took < 1s);
  RedisBackend socket("unix:///nowhere/redis.sock", "outlay");
  CHECK(contains(unavailable(socket, command(Op::snapshot, 0, {forever("x")})).message, "/nowhere/redis.sock"));
}

TEST_CASE("redis faults: a host that has no address is an error", "[redis]") {
  RedisBackend backend("redis://no-such-host.invalid", "outlay");
  CHECK(contains(unavailable(backend, command(Op::snapshot, 0, {forever("x")})).message, "no-such-host.invalid"));
}

TEST_CASE("redis faults: after a failure it does not knock at every call", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server({.arguments = {}, .tcp = true});
  test::TcpGate gate(server.port());
  gate.close();
  RedisBackend backend(url_of(gate.port()), "outlay");
  constexpr int calls = 2'000;
  for (int i = 0; i < calls; ++i) {
    const auto failed = unavailable(backend, command(Op::snapshot, 0, {forever("x")}));
    REQUIRE(failed.took < 1s);
  }
  CHECK(gate.accepted() > 0);
  CHECK(gate.accepted() < calls / 10);
  gate.pass();
  CHECK(retry(backend, command(Op::settle, 1, {forever("x")}, 1_usd)).outcome == Outcome::done);
}

TEST_CASE("redis faults: a server that is stopped costs no more than the timeout, and nothing counts twice",
          "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  const auto counter = forever("x");
  REQUIRE(run(backend, command(Op::reserve, 1, {counter}, 1_usd)));
  server.send_signal(SIGSTOP);
  const auto settle = command(Op::settle, 1, {counter}, 1_usd);
  const auto timed_out = unavailable(backend, settle, 200ms);
  CHECK(contains(timed_out.message, "did not answer in time"));
  CHECK(timed_out.took >= 200ms);
  CHECK(timed_out.took < 2s);
  // While it waits for its next try it fails at once; that try costs no more than the timeout again.
  for (int i = 0; i < 5; ++i) CHECK(unavailable(backend, settle, 200ms).took < 2s);
  server.send_signal(SIGCONT);
  // The first one may have been executed by now: then it has ended.
  const auto outcome = retry(backend, settle).outcome;
  CHECK((outcome == Outcome::done || outcome == Outcome::ended));
  CHECK(look(backend, counter).spent.usd == 1_usd);
  CHECK(look(backend, counter).reserved.usd == 0_usd);
}

TEST_CASE("redis faults: a server that is busy with something else costs no more than the timeout", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server({.arguments = {"--enable-debug-command", "yes"}});
  RedisBackend backend(server.url(), "outlay");
  const auto counter = forever("x");
  REQUIRE(run(backend, command(Op::settle, 1, {counter}, 1_usd)));
  std::thread busy([&] { server.command({"DEBUG", "SLEEP", "1"}); });
  bool was_late = false;
  for (std::uint64_t i = 2; !was_late && i < 10'000; ++i) {
    const auto start = Steady::now();
    const auto result = run(backend, command(Op::settle, i, {counter}, 1_usd), 100ms);
    CHECK(Steady::now() - start < 900ms);
    was_late = !result;
  }
  CHECK(was_late);
  busy.join();
  CHECK(retry(backend, command(Op::settle, 1, {counter}, 1_usd)).outcome == Outcome::ended);
}

TEST_CASE("redis faults: a server that was restarted is found again", "[redis]") {
  NEEDS_REDIS();
  test::RedisServer server({.arguments = {"--appendonly", "yes", "--appendfsync", "always"}});
  RedisBackend backend(server.url(), "outlay");
  const auto counter = forever("x");
  REQUIRE(run(backend, command(Op::reserve, 1, {counter}, 1_usd)));
  server.kill();
  CHECK(contains(unavailable(backend, command(Op::settle, 1, {counter}, 1_usd)).message, "cannot be connected to"));
  server.start();
  CHECK(retry(backend, command(Op::settle, 1, {counter}, 1_usd)).outcome == Outcome::done);
  CHECK(look(backend, counter).spent.usd == 1_usd);
}

TEST_CASE("redis faults: an idle connection that the server has closed is opened anew within the call", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  RedisBackend backend(server.url(), "outlay");
  const auto counter = forever("x");
  for (std::uint64_t i = 1; i <= 3; ++i) {
    REQUIRE(run(backend, command(Op::settle, i, {counter}, 1_usd)));
    server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  }
  CHECK(look(backend, counter).spent.usd == 3_usd);
}

TEST_CASE("redis faults: a reply lost at any byte is asked for again and counts once", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server({.arguments = {}, .tcp = true});
  test::TcpGate gate(server.port());
  RedisBackend backend(url_of(gate.port()), "outlay");
  const auto counter = forever("x", 1'000_usd);
  REQUIRE(run(backend, command(Op::snapshot, 0, {counter})));
  std::uint64_t n = 0;
  for (std::size_t cut = 0; cut < 330; cut += 11) {
    ++n;
    gate.cut_replies_after(cut);
    std::vector<StoreCommand> batch{command(Op::reserve, n, {counter}, 1_usd),
                                    command(Op::settle, n, {counter}, 0.5_usd)};
    auto results = backend.execute(batch, 5s);
    REQUIRE(results.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
      INFO("cut after " << cut << ", command " << i);
      // The connection was not a fresh one, so it is tried again at once; executed before, both have ended.
      REQUIRE(results[i]);
      CHECK((results[i]->outcome == Outcome::done || results[i]->outcome == Outcome::ended));
    }
    const auto state = look(backend, counter);
    REQUIRE(state.spent.usd == 0.5_usd * static_cast<std::int64_t>(n));
    REQUIRE(state.reserved.usd == 0_usd);
  }
  CHECK(gate.accepted() > 20);
}

TEST_CASE("redis faults: a partition in one direction or both fails within the timeout, and nothing counts twice",
          "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server({.arguments = {}, .tcp = true});
  test::TcpGate gate(server.port());
  RedisBackend backend(url_of(gate.port()), "outlay");
  const auto counter = forever("x", 1'000_usd);
  REQUIRE(run(backend, command(Op::snapshot, 0, {counter})));
  std::int64_t n = 0;
  for (int round = 0; round < 4; ++round) {
    const auto settle = command(Op::settle, static_cast<std::uint64_t>(++n), {counter}, 1_usd);
    // With only the replies gone, the server executes what the caller is told nothing of.
    round % 2 == 0 ? gate.stall_replies() : gate.stall();
    CHECK(unavailable(backend, settle, 100ms).took < 2s);
    gate.pass();
    const Outcome outcome = retry(backend, settle).outcome;
    CHECK((outcome == Outcome::done || outcome == Outcome::ended));
    REQUIRE(look(backend, counter).spent.usd == 1_usd * n);
  }
}

TEST_CASE("redis faults: what is no reply of Redis is an error, and the next connection a new one", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server({.arguments = {}, .tcp = true});
  test::TcpGate gate(server.port());
  RedisBackend backend(url_of(gate.port()), "outlay");
  const auto counter = forever("x");
  const std::vector<std::string> garbage{"HTTP/1.1 400 Bad Request\r\n\r\n",
                                         std::string("\0\0\0\0\0\0", 6),
                                         "*2147483647\r\n",
                                         "*1000000\r\n$1\r\nx\r\n",
                                         "$9999999999999\r\nx",
                                         "$-7\r\n",
                                         ":1\r\n",
                                         "+OK\r\n",
                                         "$3\r\nabc\r\n",
                                         "*-1\r\n",
                                         "-MOVED\r\n",
                                         "-MOVED 1 :\r\n",
                                         "-MOVED 1 x:99999\r\n",
                                         "-ASK 1 127.0.0.1:\r\n",
                                         "-NOSCRIPT\r\n",
                                         "$40\r\n0123456789012345678901234567890123456789\r\n",
                                         std::string("$400\r\n") + std::string(400, 'x') + "\r\n"};
  std::uint64_t n = 0;
  for (const std::string& bytes : garbage) {
    INFO(bytes.substr(0, 30));
    // In the middle of a connection, and on a new one.
    retry(backend, command(Op::settle, ++n, {counter}, 0.01_usd));
    for (int i = 0; i < 2; ++i) {
      gate.answer(bytes);
      const auto failed = unavailable(backend, command(Op::settle, n + 1, {counter}, 0.01_usd), 300ms);
      CHECK(failed.took < 3s);
    }
    gate.pass();
  }
  const StoreReply last = retry(backend, command(Op::settle, ++n, {counter}, 0.01_usd));
  CHECK(last.states.at(0).spent.usd == 0.01_usd * static_cast<std::int64_t>(n));
}

TEST_CASE("redis faults: a server that was made a replica is unavailable until it is a master again", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer master, server;
  RedisBackend backend(server.url(), "outlay");
  const auto counter = forever("x");
  REQUIRE(run(backend, command(Op::settle, 1, {counter}, 1_usd)));
  REQUIRE(server.command({"REPLICAOF", "127.0.0.1", "1"}) == "OK");
  CHECK(contains(unavailable(backend, command(Op::settle, 2, {counter}, 1_usd)).message, "READONLY"));
  REQUIRE(server.command({"REPLICAOF", "NO", "ONE"}) == "OK");
  CHECK(retry(backend, command(Op::settle, 2, {counter}, 1_usd)).states.at(0).spent.usd == 2_usd);
}
