#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace outlay::detail {

/// A place where a server listens.
struct RedisAddress {
  std::string host{};  ///< An IPv6 address without its brackets. Empty for a Unix socket.
  std::uint16_t port = 6379;
  std::string path{};  ///< Of a Unix socket.

  bool operator==(const RedisAddress&) const = default;
  /// For messages: `127.0.0.1:6379`, `/run/redis.sock`.
  [[nodiscard]] std::string text() const;
};

struct RedisUrl {
  RedisAddress address{};
  std::string user{};
  std::string password{};
  int database = 0;
};

/// \par Errors
/// ConfigError, whose message never repeats the text: it may hold a password.
[[nodiscard]] RedisUrl parse_redis_url(std::string_view text);

}  // namespace outlay::detail
