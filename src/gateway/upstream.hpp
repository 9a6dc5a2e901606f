#pragma once

#include <boost/asio/ssl/context.hpp>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/connection.hpp"
#include "outlay/gateway.hpp"

namespace outlay::gateway::detail {

/// One upstream, ready to be connected to.
struct UpstreamState {
  /// \param authorities By the name of the file that they are in, for all upstreams that trust the same.
  using Authorities = std::map<std::string, std::shared_ptr<boost::asio::ssl::context>>;
  UpstreamState(const Upstream& upstream, const GatewayLimits& limits, std::size_t strands, Authorities& authorities);

  /// The path to ask for, for what follows `/to/<name>` or for a request's own path.
  [[nodiscard]] std::string path_of(std::string_view path) const;

  Upstream options;
  http::detail::Url url;
  std::shared_ptr<boost::asio::ssl::context> tls;  // null for http://
  std::deque<http::detail::Pool> pools{};          // one for each of the gateway's strands
  std::string origin;                              // by which APIs are told apart: scheme and host
  std::string provider;                            // as CallRequest::provider
};

using Upstreams = std::vector<std::unique_ptr<UpstreamState>>;

/// \param strands Of the gateway: what it keeps idle is shared among them.
/// \par Errors
/// ConfigError for an upstream that is not valid, and for two of one name or with one path.
[[nodiscard]] Upstreams make_upstreams(const std::vector<Upstream>& options, const GatewayLimits& limits,
                                       std::size_t strands);

}  // namespace outlay::gateway::detail
