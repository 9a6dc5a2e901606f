#include "redis/url.hpp"

#include <algorithm>
#include <charconv>

#include "outlay/error.hpp"

namespace outlay::detail {

namespace {

[[noreturn]] void refuse(const char* why) {
  throw ConfigError(std::string("redis_store: the URL ") + why +
                    "; write redis://[user:password@]host[:port][/db] or unix:///path[?db=N]");
}

template <class Number>
bool read(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

std::string decode(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    unsigned byte = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || error != std::errc{} || end != digits.data() + 2)
      refuse("has a % without two hexadecimal digits");
    plain += static_cast<char>(byte);
    i += 2;
  }
  return plain;
}

int database(std::string_view text) {
  int number = 0;
  if (!read(text, number) || number < 0 || number > 65'535) refuse("has a database that is no number from 0 to 65535");
  return number;
}

void credentials(std::string_view text, RedisUrl& url) {
  const std::size_t colon = text.find(':');
  if (colon == text.npos) refuse("has a user name without a password");
  url.user = decode(text.substr(0, colon));
  url.password = decode(text.substr(colon + 1));
  if (url.password.empty()) refuse("has an empty password");
}

void host_and_port(std::string_view text, RedisAddress& address) {
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == text.npos) refuse("has an unclosed [");
    address.host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
    if (!rest.empty() && rest.front() != ':') refuse("has text after ]");
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    address.host = text.substr(0, colon);
    rest = text.substr(colon);
  }
  if (address.host.empty()) refuse("has no host");
  if (address.host.size() > 253) refuse("has a host name longer than 253 bytes");
  if (!rest.empty() && (!read(rest.substr(1), address.port) || address.port == 0))
    refuse("has a port that is not 1 to 65535");
}

}  // namespace

std::string RedisAddress::text() const {
  if (!path.empty()) return path;
  std::string text = host.find(':') == host.npos ? host : "[" + host + "]";
  text.append(":").append(std::to_string(port));
  return text;
}

RedisUrl parse_redis_url(std::string_view text) {
  RedisUrl url;
  if (text.size() > 2'048) refuse("is longer than 2,048 bytes");
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; }))
    refuse("contains a space, a control character or a byte above ASCII: write it as %XX");
  if (text.starts_with("rediss://"))
    throw ConfigError(
        "redis_store: a rediss:// URL asks for TLS, and outlay::redis is built without it; lead the "
        "connection "
        "through a TLS tunnel on this machine and write redis:// or unix://");
  if (text.starts_with("unix://")) {
    text.remove_prefix(7);
    const std::size_t query = text.find('?');
    if (query != text.npos) {
      if (!text.substr(query).starts_with("?db=")) refuse("has a query other than ?db=N");
      url.database = database(text.substr(query + 4));
      text = text.substr(0, query);
    }
    const std::size_t slash = text.find('/');
    if (slash == text.npos) refuse("has no path");
    if (slash != 0) {
      if (text[slash - 1] != '@') refuse("has a host in front of its path: a Unix socket has none");
      credentials(text.substr(0, slash - 1), url);
    }
    url.address.path = decode(text.substr(slash));
    if (url.address.path.size() > 107) refuse("has a path longer than 107 bytes, which no Unix socket can have");
    if (url.address.path.size() == 1 || url.address.path.find('\0') != url.address.path.npos)
      refuse("has a path that is no file");
    return url;
  }
  if (!text.starts_with("redis://")) refuse("does not begin with redis:// or unix://");
  text.remove_prefix(8);
  if (text.find_first_of("?#") != text.npos) refuse("has a query or a fragment");
  // A password is written with its @ and / as %40 and %2F; whoever does not gets the last @ as the one that counts.
  const std::size_t at = text.rfind('@');
  if (at != text.npos) {
    credentials(text.substr(0, at), url);
    text.remove_prefix(at + 1);
  }
  const std::size_t slash = std::min(text.find('/'), text.size());
  host_and_port(text.substr(0, slash), url.address);
  if (slash + 1 < text.size()) url.database = database(text.substr(slash + 1));
  return url;
}

}  // namespace outlay::detail
