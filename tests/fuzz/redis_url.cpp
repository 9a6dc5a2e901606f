// URLs of Redis servers: read, or refused by a ConfigError that does not repeat a password.
#include "fuzz_url.hpp"
#include "outlay/error.hpp"
#include "redis/address.hpp"

using outlay_fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  outlay_fuzz::Choices input(data, size);
  const std::string text = outlay_fuzz::url(input);
  try {
    const auto url = outlay::detail::parse_redis_url(text);
    // Either a socket or a server, and nothing that ends a C string before its end.
    check(url.address.path.empty() != url.address.host.empty());
    check(url.address.path.size() <= 107 && url.address.path.find('\0') == url.address.path.npos);
    check(url.address.host.size() <= 253 && url.address.host.find('\0') == url.address.host.npos);
    check(url.address.port != 0 && url.database >= 0 && url.database <= 65'535);
    check(url.user.empty() || !url.password.empty());
  } catch (const outlay::ConfigError& error) {
    outlay_fuzz::check_refusal(error.what());
  }
  return 0;
}
