// URLs of HTTP servers: read, or refused by a ConfigError; and what was read is what was written.
#include "fuzz_url.hpp"
#include "outlay/error.hpp"
#include "url/url.hpp"

using outlay_fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  outlay_fuzz::Choices input(data, size);
  const std::string text = outlay_fuzz::url(input);
  outlay::detail::Url url;
  try {
    url = outlay::detail::parse_http_url(text, "fuzz: url");
  } catch (const outlay::ConfigError& error) {
    outlay_fuzz::check_refusal(error.what());
    return 0;
  }
  check(url.scheme == (url.tls ? "https" : "http"));
  check(!url.host.empty() && url.host.size() <= 253 && url.port != 0 && !url.user && !url.password);
  // What goes into the head of a request ends no line and begins no other.
  const std::string target = url.path + (url.query ? "?" + *url.query : "");
  for (const std::string& part : {url.authority(), target})
    for (const char c : part) check(c > 0x20 && c < 0x7F);
  check(url.path.empty() || url.path.front() == '/');
  // Written again from its parts it is the same URL.
  const auto again = outlay::detail::parse_http_url(url.scheme + "://" + url.authority() + target, "fuzz: url");
  check(again.tls == url.tls && again.host == url.host && again.port == url.port && again.path == url.path &&
        again.query == url.query && again.loopback() == url.loopback());
  return 0;
}
