#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "outlay/detail/export.hpp"

namespace outlay::http::detail {

/// Where a client connects to: a parsed base URL.
struct OUTLAY_EXPORT Url {
  bool tls = false;
  std::string host{};  ///< Lower case; an IPv6 address without its brackets.
  std::uint16_t port = 0;
  std::string path{};  ///< Without a trailing slash: what request paths are appended to.

  /// As a `Host` header has it.
  [[nodiscard]] std::string authority() const;
  /// `localhost`, 127.0.0.0/8 or ::1.
  [[nodiscard]] bool loopback() const;
};

/// \param what What is parsed, for the message.
/// \par Errors
/// ConfigError for anything but `http://host[:port][/path]` or `https://...`. Its message never repeats the text: a URL may hold a key.
[[nodiscard]] OUTLAY_EXPORT Url parse_url(std::string_view text, std::string_view what = "http client: base_url");

/// Percent-encodes everything but RFC 3986's unreserved characters, for one segment of a path.
[[nodiscard]] std::string encode_segment(std::string_view text);

}  // namespace outlay::http::detail
