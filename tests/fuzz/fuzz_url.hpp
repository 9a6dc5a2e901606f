#pragma once

#include <array>
#include <string>
#include <string_view>

#include "fuzz_input.hpp"

namespace outlay_fuzz {

/// What must not be found in any message.
constexpr std::string_view secret = "hunter2-of-the-fuzzer";

/// Bytes as they are, or a URL of parts that are right, nearly right and wrong.
inline std::string url(Choices& input) {
  constexpr std::array<std::string_view, 9> schemes{"http", "https", "HTTPS", "redis", "rediss",
                                                    "unix", "file",  "",      "ht tp"};
  constexpr std::array<std::string_view, 10> hosts{"localhost", "127.0.0.1",        "[::1]",  "api.example.com",
                                                   "",          "[::ffff:1.2.3.4]", "[v1.x]", "a%2eb",
                                                   "1.2.3",     "EXAMPLE.com."};
  constexpr std::array<std::string_view, 10> ports{"",       ":",      ":80", ":443", ":0",
                                                   ":65535", ":65536", ":1x", ":-1",  ":00443"};
  constexpr std::array<std::string_view, 8> paths{"", "/", "/v1", "/0", "/16", "/a%20b%", "/%00", "/run/redis.sock"};
  constexpr std::array<std::string_view, 6> queries{"", "?", "?db=3", "?db=-1", "?a=b&c", "#x"};
  if (input.flag()) return input.remainder();
  std::string text(input.one_of(schemes));
  text += input.flag() ? "://" : input.flag() ? ":" : "://";
  switch (input.below(5)) {
    case 0:
      break;
    case 1:
      text.append("user:").append(secret).append("@");
      break;
    case 2:
      text.append(":").append(secret).append("@");
      break;
    case 3:
      text += input.text(20) + '@';
      break;
    default:
      text += input.text(20) + ':' + input.text(20) + '@';
  }
  text += input.flag() ? std::string(input.one_of(hosts)) : input.text(255);
  text += input.flag() ? std::string(input.one_of(ports)) : ":" + std::to_string(input.number());
  text += input.flag() ? std::string(input.one_of(paths)) : "/" + input.text(255);
  text += input.flag() ? std::string(input.one_of(queries)) : "?" + input.text(40);
  return text;
}

/// What is said of a URL that is refused: short, and without what may be a password.
inline void check_refusal(std::string_view message) {
  check(message.size() < 512);
  check(message.find(secret) == message.npos);
}

}  // namespace outlay_fuzz
