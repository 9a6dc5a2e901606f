#pragma once

#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "outlay/otel/sink.hpp"
#include "url/url.hpp"

namespace outlay::detail {

/// Which calls leave an exemplar.
enum class ExemplarFilter { trace_based, always_on, always_off };

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// An otel sink's options, with the environment and the defaults in the places of those that are not set.
struct OtelSettings {
  bool disabled = false;
  Url url{};
  std::string target{};  ///< Path and query.
  Pairs headers{};
  std::shared_ptr<boost::asio::ssl::context> tls{};  ///< Null for http.
  bool gzip = true;
  std::chrono::milliseconds interval{60'000};
  std::chrono::milliseconds timeout{10'000};         ///< Of one request with its retries.
  std::chrono::milliseconds export_timeout{30'000};  ///< Of all requests of one export.
  std::chrono::milliseconds first_retry_delay{1'000};
  std::chrono::milliseconds max_retry_delay{5'000};
  std::chrono::milliseconds close_timeout{5'000};
  std::vector<std::string> tags{};
  Pairs resource{};  ///< Sorted by key.
  bool published = true;
  bool coming = false;
  bool usage_cost = false;
  std::string operation{};
  std::size_t max_values = 0;
  std::size_t max_series = 0;
  std::size_t max_request_bytes = 0;
  ExemplarFilter exemplars = ExemplarFilter::trace_based;
  std::shared_ptr<const Clock> clock{};  ///< Never null.
};

/// \par Errors
/// ConfigError. No message repeats an endpoint or a header's value.
[[nodiscard]] OtelSettings resolve(const OtelOptions& options);

/// The sink behind otel_sink().
[[nodiscard]] std::shared_ptr<OtelSink> make_otel_sink(OtelSettings settings);

}  // namespace outlay::detail
