#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "outlay/store.hpp"

namespace outlay::detail {

/// Where a prefix's keys are. All of them have one hash tag, and so one place in a Cluster.
class RedisKeys {
 public:
  explicit RedisKeys(std::string_view prefix) : base_("{" + std::string(prefix) + "}:") {}

  [[nodiscard]] std::string meta() const { return base_ + "meta"; }
  [[nodiscard]] std::string leases() const { return base_ + "leases"; }
  [[nodiscard]] std::string held() const { return base_ + "held"; }
  [[nodiscard]] std::string ended(int third) const { return base_ + "ended:" + std::to_string(third); }
  [[nodiscard]] std::string corrections() const { return base_ + "corrections"; }
  [[nodiscard]] std::string caps() const { return base_ + "caps"; }
  /// Any byte may be in a name; two names never have one key.
  [[nodiscard]] std::string counter(const StoreCounter& counter) const;
  /// Of which counter a key is; empty: of none.
  [[nodiscard]] std::optional<StoreReply::Name> counter(std::string_view key) const;
  /// The pattern of the keys of all counters whose names begin with `prefix`.
  [[nodiscard]] std::string counters(std::string_view prefix) const;

 private:
  std::string base_;
};

/// Whether the script can execute the command.
[[nodiscard]] bool is_valid(const StoreCommand& command);

/// Some commands as one call of `redis_script`, and its answer.
class RedisBatch {
 public:
  explicit RedisBatch(const RedisKeys& keys);

  /// \param number What the caller knows the command by. It must be valid and outlive this.
  void add(const StoreCommand& command, std::size_t number);
  /// A call is limited, so that the server can soon answer other clients.
  [[nodiscard]] bool full() const noexcept { return commands_.size() >= 64 || counters_ >= 256; }
  [[nodiscard]] const std::vector<std::size_t>& numbers() const noexcept { return numbers_; }

  /// \param sha The script's name on the server.
  /// \param epoch 32 characters, for a server that has none yet. Each call needs new ones.
  void append(std::string& bytes, std::string_view sha, std::string_view epoch) const;

  struct Answer {
    std::vector<StoreReply> replies{};  ///< One for each command.
    std::vector<bool> overflows{};      ///< Nothing was changed: a number would have passed 64 bits.
    bool leases_due = false;            ///< More leases had run out than one call ends.
    std::vector<StoreReply::Expired> expired{};
  };
  /// \return False if the bytes are not in the format of an answer to these commands.
  [[nodiscard]] bool read(std::string_view bytes, Answer& answer) const;

 private:
  /// What several commands name, kept once and referred to by a number from 1 on.
  class Numbered {
   public:
    std::size_t number_of(std::string thing);
    [[nodiscard]] const std::vector<const std::string*>& in_order() const noexcept { return in_order_; }

   private:
    std::unordered_map<std::string, std::size_t> numbers_;
    std::vector<const std::string*> in_order_;
  };

  const RedisKeys& keys_;
  std::vector<const StoreCommand*> commands_;
  std::vector<std::size_t> numbers_;
  std::vector<std::string> packed_;
  std::size_t counters_ = 0;  // of all commands
  Numbered counter_keys_;
  Numbered places_;
};

}  // namespace outlay::detail
