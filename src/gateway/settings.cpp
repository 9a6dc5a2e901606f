#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/system/error_code.hpp>
#include <string>
#include <utility>

#include "gateway/server.hpp"
#include "gateway/tls.hpp"
#include "outlay/error.hpp"

namespace outlay::gateway::detail {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

void check(const GatewayOptions& options) {
  const auto bad = [](const std::string& what) { throw ConfigError("gateway: " + what); };
  error_code error;
  const asio::ip::address address = asio::ip::make_address(options.address, error);
  if (error) bad("address \"" + options.address + "\" is not an IP address. Write 127.0.0.1 or ::1.");
  const asio::ip::address admin = asio::ip::make_address(options.admin_address, error);
  if (error) bad("admin_address \"" + options.admin_address + "\" is not an IP address. Write 127.0.0.1 or ::1.");
  if (options.admin_port && !admin.is_loopback() && options.admin_sha256.empty())
    bad("admin_address " + options.admin_address +
        " can be reached from other machines, so admin_sha256 is needed. Set it, or use 127.0.0.1.");
  const std::string& secret = options.secret;
  const bool plain = std::all_of(secret.begin(), secret.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
  if (!secret.empty() && (secret.size() < 16 || secret.size() > 256 || !plain))
    bad("secret must be 16 to 256 letters and digits.");
  if (!address.is_loopback() && secret.empty() && options.keys.empty())
    bad("address " + options.address +
        " can be reached from other machines, so keys are needed. Name some in keys, or listen on 127.0.0.1.");
  if (!options.admin_sha256.empty() && !is_hash(options.admin_sha256))
    bad("admin_sha256 must be 64 hexadecimal digits in lower case, as \"outlay keys hash\" prints them.");
  if (options.admin_sha256 == hash_of_key(""))
    bad("admin_sha256 is the hash of nothing, so that no token would be asked for. Hash the token itself: outlay keys "
        "hash.");
  if (options.refusal_status != 429 && options.refusal_status != 402) bad("refusal_status must be 429 or 402.");
  const GatewayLimits& limits = options.limits;
  const auto sizes = {std::pair{"head_bytes", limits.head_bytes},
                      {"body_bytes", limits.body_bytes},
                      {"reply_bytes", limits.reply_bytes},
                      {"stream_bytes", limits.stream_bytes},
                      {"connections", limits.connections}};
  for (const auto& [name, value] : sizes)
    if (value == 0) bad(std::string("limits: ") + name + " must be above 0.");
  const auto times = {std::pair{"head", limits.head},
                      {"idle", limits.idle},
                      {"body", limits.body},
                      {"connect", limits.connect},
                      {"first_byte", limits.first_byte},
                      {"upstream_idle", limits.upstream_idle},
                      {"total", limits.total}};
  for (const auto& [name, value] : times)
    if (value.count() <= 0 || value > std::chrono::hours(24 * 365))
      bad(std::string("limits: ") + name + " must be above 0 and at most a year.");
  if (options.drain.count() < 0 || options.drain > std::chrono::hours(24 * 365)) bad("drain must be 0 to a year.");
  for (const std::string& member : options.trust_members)
    if (member != "user" && member != "safety_identifier" && member != "metadata" && member != "labels")
      bad("trust_members: \"" + member.substr(0, 64) +
          "\" is not one of user, safety_identifier, metadata, labels. Leave it out.");
  for (const std::string& pattern : options.pass) {
    const std::size_t space = pattern.find(' ');
    if (space == 0 || space == pattern.npos || pattern.substr(space + 1, 1) != "/")
      bad("pass: \"" + pattern + "\" must be a method and a path, as in \"POST /v1/audio/speech\".");
  }
}

GatewayOptions checked(GatewayOptions options) {
  check(options);
  return options;
}

}  // namespace

Settings::Settings(GatewayOptions opts, std::size_t strands)
    : options(checked(std::move(opts))),
      upstreams(make_upstreams(options.upstreams, options.limits, strands)),
      keys(options.keys),
      tls(tls_for_clients(options.tls_certificate, options.tls_key)) {}

}  // namespace outlay::gateway::detail
