#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "otel/aggregate.hpp"
#include "otel/settings.hpp"

namespace outlay::detail {

/// When an aggregate's sums began, and the instant that they are reported for: nanoseconds since 1970, `start < time`.
struct Span {
  std::int64_t start = 0;
  std::int64_t time = 0;
};

/// An aggregate as bodies of OTLP's ExportMetricsServiceRequest in JSON, each of at most `max_bytes` where its data points allow it.
///
/// Not by Boost.JSON: whole numbers of 64 bits must be strings, money must not pass
/// through a double, and the attributes of a series, the bulk of a body, are put together once and not at every export.
[[nodiscard]] std::vector<std::string> encode(const Aggregate& aggregate, const OtelSettings& settings, Span span,
                                              std::size_t max_bytes);

}  // namespace outlay::detail
