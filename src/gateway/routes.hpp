#pragma once

#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/upstream.hpp"
#include "outlay/json/api.hpp"

namespace outlay::gateway::detail {

/// Where a request goes.
struct Route {
  UpstreamState* upstream = nullptr;
  std::string path{};   // as the client wrote it, without the secret and the query
  std::string query{};  // with its question mark; empty without one
  std::string to{};     // the path at the upstream
  bool free = false;    // it costs nothing: a list of models, a count of tokens

  /// The path and query to ask for, with another model in the path if `model` is not the one that is there.
  [[nodiscard]] std::string target(std::optional<Api> api, std::string_view model) const;
};

/// Splits a target and finds its upstream; `why` says what is wrong with it otherwise.
///
/// \param target Without the gateway's secret.
[[nodiscard]] std::optional<Route> find_route(const Upstreams& upstreams, std::string_view method,
                                              std::string_view target, std::string& why);
/// Which API a request is for; empty for one that cannot be metered.
[[nodiscard]] std::optional<Api> api_of(const Route& route, std::string_view method, const boost::json::value& body);
/// The model that the path names, decoded; empty where it names none.
[[nodiscard]] std::string model_in_path(Api api, std::string_view path);
/// One of `patterns`, as `POST /v1/audio/*`, is this request.
[[nodiscard]] bool listed(const std::vector<std::string>& patterns, std::string_view method, std::string_view path);

}  // namespace outlay::gateway::detail
