#pragma once

#include <hiredis/hiredis.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "redis/address.hpp"

namespace outlay::detail {

using Deadline = std::chrono::steady_clock::time_point;

/// The connection cannot be used any more. Whether the server has executed what was sent is not known.
class ConnectionLost : public std::runtime_error {
 public:
  explicit ConnectionLost(const std::string& why, bool after_timeout = false)
      : std::runtime_error(why), timed_out(after_timeout) {}
  const bool timed_out;
};

/// Appends one command to what will be sent.
void append_command(std::string& bytes, std::span<const std::string_view> words);
void append_command(std::string& bytes, std::initializer_list<std::string_view> words);

/// One connection to one server. Every operation ends by its deadline; one that throws ConnectionLost was the last.
class RedisConnection {
 public:
  /// Connects, and sends nothing yet.
  RedisConnection(const RedisAddress& address, Deadline deadline);

  using Take = std::function<void(std::size_t number, const redisReply& reply)>;
  /// Sends all of `bytes` and passes `count` replies to `take` as they come.
  ///
  /// Reads while it still writes, so that a batch larger than the buffers of both sides cannot block them.
  void exchange(std::string_view bytes, std::size_t count, Deadline deadline, const Take& take);

  [[nodiscard]] const RedisAddress& address() const noexcept { return address_; }

 private:
  void wait(short events, Deadline deadline, short& ready);

  struct Free {
    void operator()(redisContext* context) const noexcept { redisFree(context); }
  };
  RedisAddress address_;
  std::unique_ptr<redisContext, Free> context_;
};

}  // namespace outlay::detail
