#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/client.hpp"
#include "gateway/upstream.hpp"
#include "outlay/gateway.hpp"

namespace outlay::gateway::detail {

/// The gateway's own keys, by their hashes: what a client sends is never compared with a secret, byte by byte.
class Keys {
 public:
  /// \par Errors
  /// ConfigError for a key that is not valid, and for two of one name or hash.
  explicit Keys(const std::vector<GatewayKey>& keys);

  [[nodiscard]] bool empty() const noexcept { return by_hash_.empty(); }
  /// Null for a key that is not one of them.
  [[nodiscard]] const GatewayKey* find(std::string_view presented) const;

 private:
  std::unordered_map<std::string, GatewayKey> by_hash_{};
};

/// What the client sends as its key; empty where it sends none.
[[nodiscard]] std::string presented_key(const Request& request, std::string_view query);
/// A field that carries a key.
[[nodiscard]] bool carries_key(std::string_view field) noexcept;
/// The query without the client's key.
[[nodiscard]] std::string without_key(std::string_view query);
/// The field by which the upstream is given its own key.
struct KeyHeader {
  std::string name{};
  std::string value{};
};
[[nodiscard]] KeyHeader key_header(const UpstreamState& upstream);
/// 64 hexadecimal digits, in lower case.
[[nodiscard]] bool is_hash(std::string_view text) noexcept;

}  // namespace outlay::gateway::detail
