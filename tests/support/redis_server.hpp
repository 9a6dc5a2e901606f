#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace test {

/// A redis-server of one's own, in a temporary directory; gone with the object.
class RedisServer {
 public:
  struct Options {
    std::vector<std::string> arguments{};              ///< As on the command line: `{"--appendonly", "yes"}`.
    bool tcp = false;                                  ///< Listens on a loopback port as well as on its Unix socket.
    bool cluster = false;                              ///< Implies tcp.
    std::map<std::string, std::string> environment{};  ///< Beside what this process has.
  };
  /// Whether there is a redis-server on this machine. Where there is none, says so loudly, once.
  [[nodiscard]] static bool installed();

  RedisServer();
  explicit RedisServer(Options options);
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;
  ~RedisServer();

  [[nodiscard]] std::string url() const;      ///< `unix://...`
  [[nodiscard]] std::string tcp_url() const;  ///< `redis://127.0.0.1:PORT`
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] std::filesystem::path directory() const { return directory_; }
  /// One command, over a connection of its own; what it answers, as text. An error begins with `-`.
  std::string command(const std::vector<std::string>& words) const;

  void send_signal(int signal) const;  ///< SIGSTOP, SIGCONT.
  void kill();                         ///< SIGKILL; its files stay.
  void start();                        ///< Again, on the same files, port and socket.

 private:
  [[nodiscard]] std::filesystem::path socket() const { return directory_ / "redis.sock"; }

  Options options_;
  std::filesystem::path directory_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

/// Three masters that share the slots.
class RedisCluster {
 public:
  RedisCluster();
  [[nodiscard]] RedisServer& node(std::size_t number) { return *nodes_.at(number); }
  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  /// The node that owns a key's slot.
  [[nodiscard]] std::size_t owner_of(const std::string& key) const;
  [[nodiscard]] static std::uint16_t first_slot(std::size_t number);

 private:
  std::vector<std::unique_ptr<RedisServer>> nodes_;
};

/// A free port on the loopback address; with room for a Cluster's bus ten thousand above it.
[[nodiscard]] std::uint16_t free_port();

/// Looks again and again until it has happened; false after `limit`.
[[nodiscard]] bool eventually(const std::function<bool()>& happened,
                              std::chrono::milliseconds limit = std::chrono::seconds(20));

}  // namespace test
