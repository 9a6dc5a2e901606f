#include "support/redis_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <stdexcept>

namespace test {

namespace {

std::string text_of(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_INTEGER) return std::to_string(reply.integer);
  if (reply.type == REDIS_REPLY_ARRAY) {
    std::string text;
    for (std::size_t i = 0; i < reply.elements; ++i) text.append(i == 0 ? "" : "\n").append(text_of(*reply.element[i]));
    return text;
  }
  const std::string text = reply.str ? std::string(reply.str, reply.len) : std::string();
  return reply.type == REDIS_REPLY_ERROR ? "-" + text : text;
}

bool binds(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const bool done = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return done;
}

}  // namespace

bool eventually(const std::function<bool()>& happened, std::chrono::milliseconds limit) {
  for (const auto give_up = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < give_up;) {
    if (happened()) return true;
    ::poll(nullptr, 0, 5);  // between two looks
  }
  return happened();
}

std::uint16_t free_port() {
  for (;;) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const bool done = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    ::close(fd);
    const std::uint16_t port = ntohs(address.sin_port);
    if (done && port < 55'000 && binds(static_cast<std::uint16_t>(port + 10'000))) return port;
  }
}

bool RedisServer::installed() {
  static const bool found = [] {
    std::istringstream path(std::getenv("PATH") ? std::getenv("PATH") : "");
    for (std::string directory; std::getline(path, directory, ':');)
      if (::access((directory + "/redis-server").c_str(), X_OK) == 0) return true;
    std::cerr << "WARNING: there is no redis-server here: what outlay::redis does on a server is NOT TESTED "
                 "(apt-get install redis-server)\n";
    return false;
  }();
  return found;
}

RedisServer::RedisServer() : RedisServer(Options{}) {}

RedisServer::RedisServer(Options options) : options_(std::move(options)) {
  std::string name = (std::filesystem::temp_directory_path() / "outlay-redis-XXXXXX").native();
  if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
  directory_ = name;
  if (options_.tcp || options_.cluster) port_ = free_port();
  start();
}

RedisServer::~RedisServer() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string RedisServer::url() const { return "unix://" + socket().native(); }
std::string RedisServer::tcp_url() const { return "redis://127.0.0.1:" + std::to_string(port_); }

void RedisServer::start() {
  std::vector<std::string> words{"redis-server",
                                 "--port",
                                 std::to_string(port_),
                                 "--bind",
                                 "127.0.0.1",
                                 "--dir",
                                 directory_.native(),
                                 "--logfile",
                                 "redis.log",
                                 "--unixsocket",
                                 socket().native(),
                                 "--save",
                                 "",
                                 "--protected-mode",
                                 "no"};
  if (options_.cluster)
    for (const char* word :
         {"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000"})
      words.emplace_back(word);
  words.insert(words.end(), options_.arguments.begin(), options_.arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::filesystem::remove(socket());
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, 0), ::dup2(null, 1), ::dup2(null, 2);
    for (const auto& [name, value] : options_.environment) ::setenv(name.c_str(), value.c_str(), 1);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  if (!eventually([this] {
        const std::string answer = command({"PING"});
        return answer == "PONG" || answer.starts_with("-NOAUTH") || answer.starts_with("-NOPERM");
      }))
    throw std::runtime_error("redis-server has not started: see " + (directory_ / "redis.log").native());
}

void RedisServer::send_signal(int signal) const {
  if (pid_ > 0) ::kill(pid_, signal);
}

void RedisServer::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

std::string RedisServer::command(const std::vector<std::string>& words) const {
  const std::unique_ptr<redisContext, decltype(&redisFree)> context(redisConnectUnix(socket().c_str()), redisFree);
  if (!context || context->err != 0) return "-cannot connect";
  std::vector<const char*> argv;
  std::vector<std::size_t> sizes;
  for (const std::string& word : words) argv.push_back(word.data()), sizes.push_back(word.size());
  void* reply = redisCommandArgv(context.get(), static_cast<int>(argv.size()), argv.data(), sizes.data());
  if (!reply) return "-no answer";
  const std::unique_ptr<void, decltype(&freeReplyObject)> owner(reply, freeReplyObject);
  return text_of(*static_cast<const redisReply*>(reply));
}

RedisCluster::RedisCluster() {
  for (int i = 0; i < 3; ++i)
    nodes_.push_back(std::make_unique<RedisServer>(RedisServer::Options{.arguments = {}, .cluster = true}));
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const int last = i + 1 == nodes_.size() ? 16'383 : first_slot(i + 1) - 1;
    nodes_[i]->command({"CLUSTER", "ADDSLOTSRANGE", std::to_string(first_slot(i)), std::to_string(last)});
    nodes_[i]->command({"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)});
  }
  for (std::size_t i = 1; i < nodes_.size(); ++i)
    nodes_[0]->command({"CLUSTER", "MEET", "127.0.0.1", std::to_string(nodes_[i]->port())});
  const bool whole = eventually([this] {
    for (const auto& node : nodes_) {
      const std::string info = node->command({"CLUSTER", "INFO"});
      if (info.find("cluster_state:ok") == info.npos || info.find("cluster_known_nodes:3") == info.npos) return false;
    }
    return true;
  });
  if (!whole) throw std::runtime_error("the Cluster has not formed");
}

std::uint16_t RedisCluster::first_slot(std::size_t number) { return static_cast<std::uint16_t>(number * 5'461); }

std::size_t RedisCluster::owner_of(const std::string& key) const {
  const int slot = std::stoi(nodes_[0]->command({"CLUSTER", "KEYSLOT", key}));
  std::size_t owner = 0;
  while (owner + 1 < nodes_.size() && first_slot(owner + 1) <= slot) ++owner;
  return owner;
}

}  // namespace test
