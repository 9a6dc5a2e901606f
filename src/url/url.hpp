#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace outlay::detail {

/// A URL's parts (RFC 3986).
struct Url {
  bool tls = false;                   ///< The scheme is https.
  std::string scheme{};               ///< Lower case.
  std::optional<std::string> user{};  ///< Decoded, as is the password.
  std::optional<std::string> password{};
  std::string host{};                  ///< Lower case; an IPv6 address without its brackets. Empty where there is none.
  std::uint16_t port = 0;              ///< Where the URL names none: the scheme's own, or 0.
  std::string path{};                  ///< As it is written, percent-encoded.
  std::optional<std::string> query{};  ///< The same, without its question mark.

  /// `host[:port]` as a `Host` header has it: without the scheme's own port.
  [[nodiscard]] std::string authority() const;
  /// `localhost`, 127.0.0.0/8 or ::1.
  [[nodiscard]] bool loopback() const;
};

/// What a URL is for.
struct UrlUse {
  std::string_view who;   ///< What each message begins with: `http client: base_url`.
  std::string_view form;  ///< What each message ends with: `write redis://host`.
};

/// \par Errors
/// ConfigError for text that is not a URL, has a fragment, or has a host or port that is not valid. No message repeats the text: it may hold a
/// key or a password.
[[nodiscard]] Url parse_url(std::string_view text, const UrlUse& use);

/// An http or https URL that names a host and no user.
///
/// \par Errors
/// ConfigError, as parse_url().
[[nodiscard]] Url parse_http_url(std::string_view text, std::string_view who);

/// Throws the ConfigError `<who> <why>; <form>`.
[[noreturn]] void refuse_url(const UrlUse& use, std::string_view why);

/// How the address of an HTTP server is written.
inline constexpr std::string_view http_url_form = "write http://host[:port][/path] or https://host[:port][/path]";

}  // namespace outlay::detail
