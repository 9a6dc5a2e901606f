#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "outlay/clock.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/sink.hpp"
#include "outlay/tags.hpp"

namespace outlay {

/// Which names of OpenTelemetry's GenAI conventions are written.
enum class OtelConventions : std::uint8_t {
  /// `gen_ai.client.token.usage` and `gen_ai.client.operation.duration`: what backends know today.
  published,
  /// What the conventions' own repository says next, still in development there: `gen_ai.client.inference.duration`, the counters
  /// `gen_ai.client.inference.usage.*` and the histograms `gen_ai.client.inference.operation.*`; `gen_ai.client.embeddings.*` for
  /// embeddings.
  coming,
  both,  ///< Each number under both names.
};

/// How an otel_sink is made. The order of the members is part of the interface, for designated initialisers.
///
/// What is set here wins. What is not comes from the environment, as OpenTelemetry specifies it, a variable of the metrics alone before
/// the general one, and is read once, when the sink is made. After that comes the default. An empty variable is none. A number or a word
/// there that is not valid is reported to the log handler and ignored.
///
/// | member | environment | default |
/// | --- | --- | --- |
/// | endpoint | OTEL_EXPORTER_OTLP_METRICS_ENDPOINT (as it is), OTEL_EXPORTER_OTLP_ENDPOINT (`/v1/metrics` is appended) | `http://localhost:4318` |
/// | headers | OTEL_EXPORTER_OTLP_METRICS_HEADERS, OTEL_EXPORTER_OTLP_HEADERS; merged, `headers` wins name by name | none |
/// | service_name | OTEL_SERVICE_NAME, `service.name` in OTEL_RESOURCE_ATTRIBUTES | `unknown_service:` and the program's name |
/// | resource | OTEL_RESOURCE_ATTRIBUTES; merged, `resource` wins key by key | |
/// | interval | OTEL_METRIC_EXPORT_INTERVAL | 60 s |
/// | timeout | OTEL_EXPORTER_OTLP_METRICS_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT | 10 s |
/// | gzip | OTEL_EXPORTER_OTLP_METRICS_COMPRESSION, OTEL_EXPORTER_OTLP_COMPRESSION (`gzip`, `none`) | true |
/// | ca_file | OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE, OTEL_EXPORTER_OTLP_CERTIFICATE | the system's authorities |
/// | client_certificate_file | OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE, OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE | none |
/// | client_key_file | OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY, OTEL_EXPORTER_OTLP_CLIENT_KEY | none |
/// | conventions | OTEL_SEMCONV_STABILITY_OPT_IN: `gen_ai_latest_experimental` is `coming`, with `/dup` it is `both` | published |
///
/// Without a member: OTEL_SDK_DISABLED (`true`: the sink does nothing, whatever is set here), OTEL_METRIC_EXPORT_TIMEOUT (30 s, of an
/// export of several requests), OTEL_METRICS_EXEMPLAR_FILTER (`trace_based`, the default: of sampled traces; `always_on`; `always_off`).
/// Only JSON over HTTP and cumulative sums are spoken: OTEL_EXPORTER_OTLP_PROTOCOL=grpc and another
/// OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE are reported to the log handler.
struct OtelOptions {
  /// The collector: `http://host[:port][/path]` or `https://...`; `/v1/metrics` is appended.
  std::string endpoint{};
  /// The tags that become attributes, by their own keys. No other tag leaves the process.
  std::vector<std::string> tags{};
  /// Names and values of header fields sent along, for keys. Values are never logged.
  std::vector<std::pair<std::string, std::string>> headers{};
  /// The resource's name. Empty: see above.
  std::string service_name{};
  /// Further resource attributes. `service.instance.id` is a random one for each sink unless it is named here or in the environment.
  Tags resource{};
  /// Between two exports. 0: see above.
  std::chrono::milliseconds interval{};
  /// For one request with all its retries. 0: see above.
  std::chrono::milliseconds timeout{};
  /// Whether requests are compressed. Empty: see above.
  std::optional<bool> gzip{};
  std::string ca_file{};                  ///< PEM.
  std::string client_certificate_file{};  ///< PEM, for a collector that asks for one. Goes with client_key_file.
  /// PEM, the key of `client_certificate_file`. Empty: see above.
  std::string client_key_file{};
  /// Under which names tokens and durations are sent. Empty: see above.
  std::optional<OtelConventions> conventions{};
  /// Writes the cost a second time, as the counter `gen_ai.usage.cost` in dollars. No convention has it; some backends know it.
  bool usage_cost = false;
  /// `gen_ai.operation.name` of calls without a tag of that name.
  std::string operation = "chat";
  /// Values of one attribute (a model, a tag, a budget's path) that are kept apart; later ones are `other`. At least 1.
  std::size_t max_values = 200;
  /// Sets of attributes of one metric; a further one is `other` in all of them. At least 1.
  std::size_t max_series = 2'000;
  /// Of one request before compression, in bytes; what is larger goes in several. At least 16 KiB, at most 64 MiB.
  std::size_t max_request_bytes = std::size_t{4} << 20;
  /// The time of the data points. Null: the system's clock. The interval keeps to a clock of its own.
  std::shared_ptr<const Clock> clock{};
};

/// What an otel_sink has done so far.
struct OtelStats {
  std::uint64_t exports{};         ///< Everything was accepted; or all but the data points in `rejected_points`.
  std::uint64_t failed_exports{};  ///< Not sent, or not accepted: the next one carries the same sums.
  std::uint64_t requests{};        ///< Sent, retries included.
  /// Requests that were sent again, after a failure that may pass.
  std::uint64_t retries{};
  std::uint64_t rejected_points{};  ///< Data points that the collector says it refused ("partial success").
  std::uint64_t folded{};           ///< Records and events with an attribute that became `other`.
};

/// The sink that otel_sink() makes.
///
/// \par Thread safety
/// As any Sink; stats() is safe from any thread.
class OUTLAY_EXPORT OtelSink : public Sink {
 public:
  /// What it has done so far.
  [[nodiscard]] virtual OtelStats stats() const = 0;
};

/// A sink that sends metrics to an OpenTelemetry collector: OTLP over HTTP, in JSON.
///
/// Adds records and events up as they come and sends the sums at each interval, from a thread of its own. The sums are cumulative and
/// begin when the sink is made, so a collector that was away for an hour misses nothing that it could still use, and nothing is kept for
/// it beyond them.
///
/// | metric | kind, unit | attributes beside the listed tags |
/// | --- | --- | --- |
/// | `gen_ai.client.token.usage` | histogram, `{token}` | `gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.request.model`, `gen_ai.response.model` (where a reply came), `gen_ai.token.type` |
/// | `gen_ai.client.operation.duration` | histogram, `s` | the same without the token type; `error.type` (the HTTP status, or `_OTHER`) |
/// | `outlay.cost` | counter, `{nanodollar}` | the same without an error type; `outlay.status`, `outlay.cost.source` as in Record |
/// | `outlay.budget.events` | counter, `{event}` | `outlay.budget` (the path), `outlay.action`, `outlay.dimension`, `gen_ai.provider.name` and `gen_ai.request.model` (where there is a call) |
/// | `outlay.budget.remaining` | gauge, `1` (nano-dollars for usd, else counts) | `outlay.budget`, `outlay.dimension` |
///
/// Token histograms hold every call that used tokens, estimated and indeterminate ones included, so that their sums are those of the
/// report. `outlay.budget.remaining` is the cap less what was spent, where a sink learns both: at each `notify_at` threshold. Its data
/// point carries the time of that moment, not of the export.
///
/// Data points of calls with a W3C trace context (CallRequest::traceparent) carry it as an exemplar.
///
/// \par Errors
/// ConfigError: an endpoint or a header that is not valid, a file that cannot be read, a limit out of its range, a tag that is named
/// like an attribute above. What goes wrong later is counted (OtelStats) and reported to the log handler, once for each kind until an
/// export succeeds. A collector that answers 429, 502, 503 or 504, or breaks the connection, is asked again, not before the time that it
/// names, else after 1 s and then ever longer; after 413 the requests are made smaller; after any other answer, and where no
/// connection comes about, the next interval is waited for. Redirects are not followed.
/// \par Blocking
/// Does no I/O. The sink's flush() waits for an export until its deadline, unless nothing has come since the last one; a collector that
/// is not there costs it a refused connect, and one that does not answer holds one flush only: later ones do not wait until an export has
/// succeeded. The sink's close() exports what no export has tried to send yet, within what is left of the
/// last flush's deadline if nothing came after it, else within 5 s.
/// \par Fork
/// The child of a fork(2) makes another one. The one that it has inherited takes nothing, sends nothing and ends at once there; the parent
/// exports what it had.
/// \par Example
/// \snippet tests/unit/otel/sink_test.cpp otel_sink
[[nodiscard]] OUTLAY_EXPORT std::shared_ptr<OtelSink> otel_sink(const OtelOptions& options = {});

}  // namespace outlay
