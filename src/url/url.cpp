#include "url/url.hpp"

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>

#include "outlay/error.hpp"

namespace outlay::detail {

namespace {

constexpr std::size_t max_url = 2'048;
constexpr std::size_t max_host = 253;  // of a name in the DNS

template <class View>
std::string lower(View text) {
  std::string result(text.begin(), text.end());
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

bool read_port(std::string_view text, std::uint16_t& port) noexcept {
  const char* const end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, port);
  return error == std::errc() && last == end && port != 0;
}

std::uint16_t own_port(const Url& url) noexcept { return url.tls ? 443 : url.scheme == "http" ? 80 : 0; }

}  // namespace

std::string Url::authority() const {
  std::string text = host.find(':') == host.npos ? host : "[" + host + "]";
  // Appended piece by piece: g++ 12 warns of `char + string` in Release (its bug 105329).
  if (port != own_port(*this)) text.append(":").append(std::to_string(port));
  return text;
}

bool Url::loopback() const {
  if (host == "localhost" || host == "::1") return true;
  return host.starts_with("127.") &&
         std::all_of(host.begin(), host.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

void refuse_url(const UrlUse& use, std::string_view why) {
  throw ConfigError(std::string(use.who).append(" ").append(why).append("; ").append(use.form));
}

Url parse_url(std::string_view text, const UrlUse& use) {
  if (text.size() > max_url) refuse_url(use, "is longer than 2,048 bytes");
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; }))
    refuse_url(use, "contains a space, a control character or a byte above ASCII: write it as %XX");
  const auto parsed = boost::urls::parse_uri({text.data(), text.size()});
  if (!parsed) refuse_url(use, "is not a URL: in a name, password or path, signs such as @ and # are written as %XX");
  const boost::urls::url_view& view = *parsed;
  if (view.has_fragment()) refuse_url(use, "has a fragment");

  Url url;
  url.scheme = lower(view.scheme());
  url.tls = url.scheme == "https";
  if (view.has_userinfo()) url.user = view.user();
  if (view.has_password()) url.password = view.password();
  const auto host = view.encoded_host_address();
  url.host = lower(host);
  if (url.host.find('%') != url.host.npos) refuse_url(use, "has a % in its host");
  if (url.host.size() > max_host) refuse_url(use, "has a host name longer than 253 bytes");
  const auto path = view.encoded_path();
  url.path.assign(path.begin(), path.end());
  // Boost 1.81 lets a port wrap around, and takes "host:1x" for a port and a path.
  url.port = own_port(url);
  if (view.has_port() && !read_port({view.port().data(), view.port().size()}, url.port))
    refuse_url(use, "has a port that is not 1 to 65535");
  if (!url.path.empty() && url.path.front() != '/') refuse_url(use, "has a port that is not 1 to 65535");
  if (view.has_query()) {
    const auto query = view.encoded_query();
    url.query.emplace(query.begin(), query.end());
  }
  return url;
}

Url parse_http_url(std::string_view text, std::string_view who) {
  const UrlUse use{who, http_url_form};
  Url url = parse_url(text, use);
  if (url.scheme != "http" && url.scheme != "https") refuse_url(use, "does not begin with http:// or https://");
  if (url.user) refuse_url(use, "has a user name in it: a key goes into a header, or into api_key");
  if (url.host.empty()) refuse_url(use, "has no host");
  return url;
}

}  // namespace outlay::detail
