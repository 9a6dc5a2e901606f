#include "redis/address.hpp"

#include <charconv>

#include "core/base/percent.hpp"
#include "outlay/error.hpp"
#include "url/url.hpp"

namespace outlay::detail {

namespace {

constexpr UrlUse use{"redis_store: the URL", "write redis://[user:password@]host[:port][/db] or unix:///path[?db=N]"};

[[noreturn]] void refuse(std::string_view why) { refuse_url(use, why); }

int database(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 0 || number > 65'535)
    refuse("has a database that is not a number from 0 to 65535");
  return number;
}

void read_socket(const Url& parts, RedisUrl& url) {
  if (!parts.host.empty() || parts.port != 0) refuse("has a host in front of its path: a Unix socket has none");
  if (parts.path.empty()) refuse("has no path");
  url.address.path = *percent_decoded(parts.path);
  if (url.address.path.size() > 107) refuse("has a path longer than 107 bytes, which no Unix socket can have");
  if (url.address.path.size() == 1 || url.address.path.find('\0') != url.address.path.npos)
    refuse("has a path that is not a file");
  if (!parts.query) return;
  if (!parts.query->starts_with("db=")) refuse("has a query other than ?db=N");
  url.database = database(std::string_view(*parts.query).substr(3));
}

void read_server(const Url& parts, RedisUrl& url) {
  if (parts.query) refuse("has a query");
  if (parts.host.empty()) refuse("has no host");
  url.address.host = parts.host;
  if (parts.port != 0) url.address.port = parts.port;
  if (parts.path.size() > 1) url.database = database(std::string_view(parts.path).substr(1));
}

}  // namespace

std::string RedisAddress::text() const {
  if (!path.empty()) return path;
  std::string text = host.find(':') == host.npos ? host : "[" + host + "]";
  text.append(":").append(std::to_string(port));
  return text;
}

RedisUrl parse_redis_url(std::string_view text) {
  const Url parts = parse_url(text, use);
  if (parts.scheme == "rediss")
    throw ConfigError(
        "redis_store: a rediss:// URL asks for TLS, and outlay::redis is built without it; lead the "
        "connection "
        "through a TLS tunnel on this machine and write redis:// or unix://");
  if (parts.scheme != "redis" && parts.scheme != "unix") refuse("does not begin with redis:// or unix://");
  RedisUrl url;
  if (parts.user) {
    if (!parts.password) refuse("has a user name without a password");
    if (parts.password->empty()) refuse("has an empty password");
    url.user = *parts.user;
    url.password = *parts.password;
  }
  if (parts.scheme == "unix")
    read_socket(parts, url);
  else
    read_server(parts, url);
  return url;
}

}  // namespace outlay::detail
