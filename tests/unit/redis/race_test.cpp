// Many processes on one server, processes that die, and a Cluster.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <new>
#include <random>

#include "fixture.hpp"

using namespace outlay_test;

namespace {

/// Runs it in a child; its exit status is what it returns.
pid_t in_child(const std::function<int()>& work) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(work());
  return pid;
}

bool ended_well(pid_t pid) {
  int status = 0;
  return ::waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// So many calls of $0.01, a few at a time as a store's thread would hand them over; refused ones are not tried again.
int spend(const std::string& url, std::uint64_t process, int calls, const StoreCounter& counter) {
  RedisBackend backend(url, "outlay");
  for (int i = 0; i < calls; i += 8) {
    std::vector<StoreCommand> reserves, settles;
    for (int k = i; k < i + 8; ++k)
      reserves.push_back(command(Op::reserve, process << 32U | static_cast<std::uint64_t>(k + 1), {counter}, 0.01_usd));
    const auto results = backend.execute(reserves, 30s);
    for (std::size_t k = 0; k < results.size(); ++k) {
      if (!results[k]) return 1;
      if (results[k]->outcome != Outcome::done) continue;
      settles.push_back(reserves[k]);
      settles.back().op = Op::settle;
    }
    for (const auto& result : backend.execute(settles, 30s))
      if (!result || result->outcome != Outcome::done) return 2;
  }
  return 0;
}

/// A count that children share.
class SharedCount {
 public:
  SharedCount()
      : place_(::mmap(nullptr, sizeof(Count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)),
        count_(place_ == MAP_FAILED ? nullptr : new(place_) Count(0)) {
    REQUIRE(count_ != nullptr);
  }
  ~SharedCount() { ::munmap(place_, sizeof(Count)); }
  SharedCount(const SharedCount&) = delete;
  SharedCount& operator=(const SharedCount&) = delete;
  std::atomic<std::int64_t>* operator->() const noexcept { return count_; }

 private:
  using Count = std::atomic<std::int64_t>;
  void* place_;
  Count* count_;
};

void eight_processes(const std::string& url) {
  const StoreCounter counter = forever("race", 5_usd);
  std::vector<pid_t> children;
  for (std::uint64_t process = 1; process <= 8; ++process)
    children.push_back(in_child([&] { return spend(url, process, 1'000, counter); }));
  for (const pid_t child : children) CHECK(ended_well(child));
  RedisBackend backend(url, "outlay");
  CHECK(look(backend, counter).spent.usd == 5_usd);
  CHECK(look(backend, counter).reserved.usd == 0_usd);
}

}  // namespace

TEST_CASE("redis: 8 processes with 1,000 calls of $0.01 each spend exactly $5.00 of a cap of $5.00", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  eight_processes(server.url());
}

TEST_CASE("redis cluster: 8 processes with 1,000 calls of $0.01 each spend exactly $5.00 of a cap of $5.00",
          "[redis]") {
  NEEDS_REDIS();
  test::RedisCluster cluster;
  // By way of a node that does not own the keys.
  eight_processes(cluster.node((cluster.owner_of("{outlay}:meta") + 1) % cluster.size()).tcp_url());
}

TEST_CASE("redis: what killed processes held is charged within a lease, and the cap is never passed", "[redis]") {
  NEEDS_REDIS();
  const test::RedisServer server;
  const StoreCounter counter = forever("killed", 2_usd);
  std::random_device device;
  const unsigned seed = device();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  RedisBackend backend(server.url(), "outlay");
  constexpr std::int64_t processes = 100;
  const SharedCount settled;  // of which a process had heard that they are
  for (std::uint64_t process = 1; process <= processes; ++process) {
    const pid_t child = in_child([&] {
      RedisBackend own(server.url(), "outlay");
      for (std::uint64_t i = 1;; ++i) {
        StoreCommand reserve = command(Op::reserve, process << 32U | i, {counter}, 0.01_usd);
        reserve.lease = 1s;
        const auto result = own.execute({&reserve, 1}, 5s);
        if (!result[0]) return 1;
        if (result[0]->outcome != Outcome::done) continue;
        reserve.op = Op::settle;
        reserve.amount.usd = 0.002_usd;
        if (!own.execute({&reserve, 1}, 5s)[0]) return 1;
        settled->fetch_add(1);
      }
    });
    const auto until = Steady::now() + std::chrono::microseconds(random() % 20'000);
    // The first lives until it has settled something, so that something is spent.
    while (Steady::now() < until || settled->load() == 0) {
      const auto state = look(backend, counter);
      REQUIRE(state.spent.usd + state.reserved.usd <= 2_usd);
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  REQUIRE(test::eventually([&] { return look(backend, counter).reserved == outlay::Amounts{}; }));
  const outlay::Usd spent = look(backend, counter).spent.usd;
  CHECK(spent <= 2_usd);
  // What was settled, and at most the reservation that each process held when it died.
  const outlay::Usd heard = 0.002_usd * settled->load();
  CHECK(spent >= heard);
  CHECK(spent <= heard + 0.01_usd * processes);
  // None is held any more; what was is remembered for two days.
  const std::string in_a_day = std::to_string((std::stoll(server.command({"TIME"})) + 86'400) * 1'000'000);
  CHECK(server.command({"ZCOUNT", "{outlay}:leases", "-inf", in_a_day}) == "0");
}

TEST_CASE("redis cluster: any node leads to the one that owns the keys, and all keys of a prefix are there",
          "[redis]") {
  NEEDS_REDIS();
  test::RedisCluster cluster;
  const std::size_t owner = cluster.owner_of("{outlay}:meta");
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    RedisBackend by_port(cluster.node(i).tcp_url(), "outlay"), by_socket(cluster.node(i).url(), "outlay");
    REQUIRE(run(by_port, command(Op::settle, 2 * i + 1, {forever("a"), forever("b")}, 1_usd)));
    REQUIRE(run(by_socket, command(Op::reserve, 2 * i + 2, {forever("a"), forever("b")}, 1_usd)));
  }
  for (std::size_t i = 0; i < cluster.size(); ++i) CHECK((cluster.node(i).command({"DBSIZE"}) == "0") == (i != owner));
  RedisBackend backend(cluster.node(owner).url(), "outlay");
  CHECK(look(backend, forever("b")).spent.usd == 3_usd);
}

TEST_CASE("redis cluster: a slot that moves to another node is followed, also while it moves", "[redis]") {
  NEEDS_REDIS();
  test::RedisCluster cluster;
  const std::size_t from = cluster.owner_of("{outlay}:meta"), to = (from + 1) % cluster.size();
  test::RedisServer &source = cluster.node(from), &target = cluster.node(to);
  RedisBackend backend(source.tcp_url(), "outlay");
  const auto counter = forever("x");
  REQUIRE(run(backend, command(Op::reserve, 1, {counter}, 1_usd)));
  // A node answers ASK only where it has none of the keys and the other one has all of them.
  const std::vector<std::string> ended{"{outlay}:ended:0", "{outlay}:ended:1", "{outlay}:ended:2", "{outlay}:caps"};
  for (const std::string& key : ended) source.command({"HSET", key, id_of(99), ""});
  source.command({"ZADD", "{outlay}:corrections", "1", id_of(99)});
  const std::string slot = source.command({"CLUSTER", "KEYSLOT", "{outlay}:meta"});
  const std::string source_id = source.command({"CLUSTER", "MYID"}), target_id = target.command({"CLUSTER", "MYID"});
  REQUIRE(target.command({"CLUSTER", "SETSLOT", slot, "IMPORTING", source_id}) == "OK");
  REQUIRE(source.command({"CLUSTER", "SETSLOT", slot, "MIGRATING", target_id}) == "OK");
  // Half of the keys there, half of them here: it fails, and nothing is half done.
  REQUIRE(source.command({"MIGRATE", "127.0.0.1", std::to_string(target.port()), "{outlay}:meta", "0", "5000"}) ==
          "OK");
  const auto torn = unavailable(backend, command(Op::settle, 1, {counter}, 1_usd), 200ms);
  INFO(torn.message);
  CHECK(contains(torn.message, "TRYAGAIN"));
  CHECK(torn.took < 2s);
  std::vector<std::string> rest{"{outlay}:leases", "{outlay}:corrections", "{outlay}:in:forever:x", "{outlay}:held"};
  rest.insert(rest.end(), ended.begin(), ended.end());
  for (const std::string& key : rest)
    REQUIRE(source.command({"MIGRATE", "127.0.0.1", std::to_string(target.port()), key, "0", "5000"}) == "OK");
  // All of them there, but the slot not yet: ASK.
  const auto asked = retry(backend, command(Op::settle, 1, {counter}, 0.5_usd));
  CHECK(asked.outcome == Outcome::done);
  CHECK(asked.states.at(0).spent.usd == 0.5_usd);
  for (test::RedisServer* node : {&target, &source})
    REQUIRE(node->command({"CLUSTER", "SETSLOT", slot, "NODE", target_id}) == "OK");
  const auto moved = retry(backend, command(Op::settle, 2, {counter}, 0.5_usd));
  CHECK(moved.epoch == asked.epoch);
  CHECK(moved.states.at(0).spent.usd == 1_usd);
}

TEST_CASE("redis cluster: when the node of the URL is gone, the others are known", "[redis]") {
  NEEDS_REDIS();
  test::RedisCluster cluster;
  const std::size_t owner = cluster.owner_of("{outlay}:meta"), seed = (owner + 1) % cluster.size();
  cluster.node((owner + 2) % cluster.size()).command({"CONFIG", "SET", "cluster-require-full-coverage", "no"});
  cluster.node(owner).command({"CONFIG", "SET", "cluster-require-full-coverage", "no"});
  RedisBackend backend(cluster.node(seed).tcp_url(), "outlay");
  const auto counter = forever("x");
  REQUIRE(run(backend, command(Op::settle, 1, {counter}, 1_usd)));
  cluster.node(seed).kill();
  cluster.node(owner).command({"CLIENT", "KILL", "TYPE", "normal"});
  CHECK(retry(backend, command(Op::settle, 2, {counter}, 1_usd)).states.at(0).spent.usd == 2_usd);
}
