#include "gateway/upstream.hpp"

#include <algorithm>

#include "core/pricing/name_rules.hpp"
#include "json/apis/table.hpp"
#include "outlay/error.hpp"

namespace outlay {

std::vector<Upstream> usual_upstreams() {
  std::vector<Upstream> upstreams;
  const auto add = [&](const char* name, std::vector<std::string> paths) {
    for (const detail::ApiRow& row : detail::api_rows())
      if (row.service.address && std::string_view(row.service.provider) == name) {
        upstreams.push_back({.name = name, .url = row.service.address, .paths = std::move(paths)});
        return;
      }
  };
  // "/v1/chat" alone is Cohere's; what is below it is not.
  add("openai", {"/v1/", "/v1/chat/"});
  add("anthropic", {"/v1/messages", "/v1/complete"});
  add("gemini", {"/v1beta/"});
  add("cohere", {"/v2/", "/v1/chat", "/v1/embed"});
  add("ollama", {"/api/"});
  for (const char* name : {"mistral", "deepseek", "xai", "openrouter"}) add(name, {});
  return upstreams;
}

namespace gateway::detail {

namespace {

using outlay::detail::api_rows;
using outlay::detail::ApiRow;

std::string about(const Upstream& upstream) { return "gateway: upstream \"" + upstream.name + "\""; }

/// `https://api.openai.com`, of the provider's own address; empty for one without.
std::string origin_of(std::string_view provider) {
  if (provider == "azure") return "https://openai.azure.com";
  for (const ApiRow& row : api_rows())
    if (row.service.address && provider == row.service.provider) {
      const http::detail::Url url = outlay::detail::parse_http_url(row.service.address, "gateway: upstream");
      return (url.tls ? "https://" : "http://") + url.authority();
    }
  return {};
}

bool known_provider(std::string_view name) {
  return std::any_of(api_rows().begin(), api_rows().end(),
                     [&](const ApiRow& row) { return name == row.service.provider; });
}

}  // namespace

UpstreamState::UpstreamState(const Upstream& upstream, const GatewayLimits& limits, std::size_t strands,
                             Authorities& authorities)
    : options(upstream) {
  for (std::size_t i = 0; i < strands; ++i)
    pools.emplace_back((limits.idle_upstream_connections + strands - 1) / strands, std::chrono::seconds(30));
  const bool named =
      !options.name.empty() && options.name.size() <= 64 &&
      std::all_of(options.name.begin(), options.name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
      });
  if (!named)
    throw ConfigError("gateway: an upstream's name must be 1 to 64 letters, digits, - or _; \"" +
                      options.name.substr(0, 64) + "\" is not.");
  url = outlay::detail::parse_http_url(options.url, about(options) + ": url");
  if (url.query) throw ConfigError(about(options) + ": url must not have a query.");
  while (url.path.ends_with('/')) url.path.pop_back();
  for (const std::string& path : options.paths)
    if (!path.starts_with('/') || path.starts_with("/to/") || path.starts_with("/outlay/"))
      throw ConfigError(about(options) + ": the path \"" + path +
                        "\" must begin with / and be none of the gateway's own (/to/, /outlay/).");
  if (url.tls) {
    // Reading the system's authorities takes tens of milliseconds and a few megabytes.
    std::shared_ptr<boost::asio::ssl::context>& shared = authorities[options.ca_file];
    if (!shared) shared = http::detail::make_tls_context(options.ca_file);
    tls = shared;
  }
  const std::string own = (url.tls ? "https://" : "http://") + url.authority();
  provider = options.like;
  if (provider.empty()) provider = outlay::detail::provider_at(own);
  // A server of one's own under a provider's name speaks as that provider does.
  if (provider.empty() && known_provider(options.name)) provider = options.name;
  origin = provider.empty() || outlay::detail::provider_at(own) == provider ? own : origin_of(provider);
  if (origin.empty()) origin = own;
}

std::string UpstreamState::path_of(std::string_view path) const {
  const bool doubled = !url.path.empty() && path.starts_with(url.path) &&
                       (path.size() == url.path.size() || path[url.path.size()] == '/');
  return doubled ? std::string(path) : url.path + std::string(path);
}

Upstreams make_upstreams(const std::vector<Upstream>& options, const GatewayLimits& limits, std::size_t strands) {
  Upstreams upstreams;
  UpstreamState::Authorities authorities;
  for (const Upstream& one : options) {
    for (const Upstream& other : options) {
      if (&other == &one) break;
      if (other.name == one.name) throw ConfigError("gateway: there are two upstreams named \"" + one.name + "\".");
      for (const std::string& path : one.paths)
        if (std::find(other.paths.begin(), other.paths.end(), path) != other.paths.end())
          throw ConfigError("gateway: the path \"" + path + "\" belongs to \"" + other.name + "\" and \"" + one.name +
                            "\". Leave it with one of them.");
    }
    upstreams.push_back(std::make_unique<UpstreamState>(one, limits, strands, authorities));
  }
  if (upstreams.empty())
    throw ConfigError("gateway: there are no upstreams. Name one, or leave them out for the usual ones.");
  return upstreams;
}

}  // namespace gateway::detail

}  // namespace outlay
