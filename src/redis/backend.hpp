#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/back_off.hpp"
#include "outlay/store.hpp"
#include "redis/address.hpp"
#include "redis/command.hpp"
#include "redis/connection.hpp"

namespace outlay::detail {

/// A Redis server, or the node of a Cluster that owns the prefix's hash slot.
///
/// All keys of a prefix have one hash tag, so one connection at a time is enough: to the node that the last redirection named.
class RedisBackend final : public StoreBackend {
 public:
  /// \par Errors
  /// ConfigError.
  RedisBackend(std::string_view url, std::string_view prefix);

  [[nodiscard]] std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands,
                                                        std::chrono::milliseconds timeout) override;
  [[nodiscard]] Distance distance() const noexcept override { return Distance::remote; }
  [[nodiscard]] std::string description() const override;

 private:
  /// The commands of one `execute`, and those that are still to be answered.
  struct Batch {
    std::span<const StoreCommand> commands;
    std::vector<std::optional<Result<StoreReply>>> results{};
    std::vector<std::size_t> pending{};  // ascending
    std::string epoch{};
    bool exact = false;            // an amount is too large for the faster script
    bool asked_elsewhere = false;  // some keys are on another node than the connection's
  };
  /// What the replies of one round ask for.
  struct Turn {
    std::vector<std::size_t> again;
    bool script_lost = false;
    bool large = false;
    bool wait = false;  // the keys are being moved from one node to another
    bool drop_connection = false;
    std::optional<RedisAddress> moved;
    std::optional<RedisAddress> ask;
  };

  void run(Batch& batch, Deadline deadline);
  [[nodiscard]] Turn round(RedisConnection& connection, Batch& batch, bool asking, Deadline deadline);
  void take_reply(const redisReply& reply, const RedisBatch& sent, const RedisAddress& from, Batch& batch, Turn& turn);
  /// Some counters more of the node that has just answered.
  void list_counters(const StoreCommand& command, Result<StoreReply>& result, Deadline deadline);
  [[nodiscard]] Failure unavailable(const std::string& why) const;

  void connect(Deadline deadline);
  /// Authenticates, loads the scripts, and reads the server's settings.
  void greet(RedisConnection& connection, Deadline deadline);
  void load_scripts(RedisConnection& connection, Deadline deadline);
  void note_failure(const std::string& why);

  const RedisUrl url_;
  const RedisKeys keys_;
  struct Script {
    std::string text;
    std::string sha;  // by the server
  };
  Script fast_, exact_;
  std::optional<RedisConnection> connection_;
  std::size_t connections_ = 0;            // so many were made
  std::optional<RedisAddress> moved_to_;   // the last redirection of a Cluster
  std::vector<RedisAddress> other_nodes_;  // of the Cluster, for when that node cannot be reached
  std::string last_said_;                  // what was last logged of the server's settings

  int failures_ = 0;  // in a row
  BackOff back_off_{std::chrono::milliseconds(32), std::chrono::milliseconds(1'024), {}};
  Deadline next_try_{};
  std::string trouble_;                       // why the last try failed
  std::vector<StoreReply::Expired> expired_;  // that no reply has told yet
  std::mt19937_64 random_;
};

}  // namespace outlay::detail
