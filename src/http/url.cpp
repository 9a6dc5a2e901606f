#include "url.hpp"

#include <algorithm>
#include <charconv>

#include "outlay/error.hpp"

namespace outlay::http::detail {

namespace {

[[noreturn]] void refuse(std::string_view what, const char* why) {
  throw ConfigError(std::string(what) + ' ' + why + "; write http://host[:port][/path] or https://host[:port][/path]");
}

bool visible(char c) { return c > 0x20 && c < 0x7F; }

}  // namespace

std::string Url::authority() const {
  std::string text = host.find(':') == host.npos ? host : "[" + host + "]";
  // Appended piece by piece: g++ 12 warns of `char + string` in Release (its bug 105329).
  if (port != (tls ? 443 : 80)) text.append(":").append(std::to_string(port));
  return text;
}

bool Url::loopback() const {
  if (host == "localhost" || host == "::1") return true;
  return host.starts_with("127.") &&
         std::all_of(host.begin(), host.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

Url parse_url(std::string_view text, std::string_view what) {
  const auto bad = [what](const char* why) { refuse(what, why); };
  Url url;
  if (text.size() > 2'048) bad("is longer than 2,048 bytes");
  if (!std::all_of(text.begin(), text.end(), visible))
    bad("contains a space, a control character or a byte above ASCII");
  if (text.starts_with("https://")) {
    url.tls = true;
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else {
    bad("does not begin with http:// or https://");
  }
  if (text.find_first_of("?#") != text.npos) bad("has a query or a fragment");
  const std::size_t slash = std::min(text.find('/'), text.size());
  std::string_view authority = text.substr(0, slash);
  url.path = text.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();
  if (authority.find('@') != authority.npos) bad("has a user name in it: a key goes into a header, or into api_key");

  std::string_view port;
  bool has_port = false;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == authority.npos) bad("has an unclosed [");
    url.host = authority.substr(1, end - 1);
    authority.remove_prefix(end + 1);
    if (!authority.empty() && authority.front() != ':') bad("has text after ]");
    has_port = !authority.empty();
    if (has_port) port = authority.substr(1);
  } else {
    const std::size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    has_port = colon != authority.npos;
    if (has_port) port = authority.substr(colon + 1);
  }
  if (url.host.empty()) bad("has no host");
  if (url.host.size() > 253) bad("has a host name longer than 253 bytes");
  std::transform(url.host.begin(), url.host.end(), url.host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  url.port = url.tls ? 443 : 80;
  if (has_port) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
    if (error != std::errc{} || end != port.data() + port.size() || url.port == 0)
      bad("has a port that is not 1..65535");
  }
  return url;
}

std::string encode_segment(std::string_view text) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += '%';
      encoded += digits[byte >> 4];
      encoded += digits[byte & 15];
    }
  }
  return encoded;
}

}  // namespace outlay::http::detail
