#include "otel/settings.hpp"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <boost/system/error_code.hpp>
#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>

#include "core/base/percent.hpp"
#include "http/connection.hpp"
#include "outlay/error.hpp"
#include "outlay/log.hpp"
#include "outlay/version.hpp"

namespace outlay::detail {

namespace {

/// What a variable says; empty where it is not set. Read while the sink is made, in the thread that makes it.
std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value ? value : "";
}

/// A value and where it comes from, for messages.
struct Found {
  std::string value{};
  std::string where{};
  bool of_metrics = false;  ///< From the variable of the metrics alone.
};

/// The option if it is set, else `OTEL_EXPORTER_OTLP_METRICS_<suffix>`, else `OTEL_EXPORTER_OTLP_<suffix>`.
Found find(const std::string& option, const char* member, const std::string& suffix) {
  if (!option.empty()) return {option, member, false};
  for (const char* prefix : {"OTEL_EXPORTER_OTLP_METRICS_", "OTEL_EXPORTER_OTLP_"}) {
    const std::string name = prefix + suffix;
    if (std::string value = environment(name.c_str()); !value.empty())
      return {std::move(value), name, name.find("METRICS") != name.npos};
  }
  return {};
}

void ignored(const std::string& variable, const std::string& because) {
  log(LogLevel::warning, "otel sink: " + variable + " is ignored: " + because);
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(" \t");
  if (from == text.npos) return {};
  return text.substr(from, text.find_last_not_of(" \t") + 1 - from);
}

constexpr std::int64_t longest_ms = std::int64_t{366} * 24 * 3600 * 1000;

/// Milliseconds from a variable, between 1 and a year.
std::optional<std::chrono::milliseconds> milliseconds_in(const Found& found) {
  if (found.value.empty()) return {};
  const std::string_view text = trimmed(found.value);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 1 || number > longest_ms) {
    ignored(found.where, "it must be between 1 and 31,622,400,000 ms");
    return {};
  }
  return std::chrono::milliseconds(number);
}

std::chrono::milliseconds checked(std::chrono::milliseconds time, const char* member) {
  if (time.count() < 0 || time.count() > longest_ms)
    throw ConfigError(std::string("otel sink: ") + member + " is " + std::to_string(time.count()) +
                      " ms. Use 1 to 31,622,400,000 ms, or 0 for the value of the environment or the default.");
  return time;
}

std::chrono::milliseconds time_of(std::chrono::milliseconds option, const char* member, const Found& variable,
                                  std::chrono::milliseconds otherwise) {
  if (checked(option, member).count() > 0) return option;
  return milliseconds_in(variable).value_or(otherwise);
}

/// `key=value,key2=value2`, percent-encoded: W3C baggage without properties. Empty where an entry is none, as OpenTelemetry has it.
std::optional<Pairs> list_in(std::string_view text) {
  Pairs list;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view entry = trimmed(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (entry.empty()) continue;
    const std::size_t equals = entry.find('=');
    if (equals == entry.npos) return {};
    auto key = percent_decoded(trimmed(entry.substr(0, equals)));
    auto value = percent_decoded(trimmed(entry.substr(equals + 1)));
    if (!key || key->empty() || !value) return {};
    list.emplace_back(std::move(*key), std::move(*value));
  }
  return list;
}

bool is_token(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

bool is_field_value(std::string_view value) {
  return std::none_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7F;
  });
}

/// Why a header cannot be sent; null if it can.
const char* fault_of(std::string_view name, std::string_view value) {
  static constexpr std::array<std::string_view, 7> own{
      "host", "content-length", "content-type", "content-encoding", "connection", "transfer-encoding", "expect"};
  if (!is_token(name)) return "HTTP does not allow its name";
  if (std::find(own.begin(), own.end(), lower(std::string(name))) != own.end()) return "the sink sets it itself";
  if (!is_field_value(value)) return "its value contains a control character";
  return nullptr;
}

Pairs headers_of(const OtelOptions& options) {
  std::map<std::string, std::pair<std::string, std::string>> by_name;
  const Found found = find("", "", "HEADERS");
  if (!found.value.empty()) {
    if (const auto list = list_in(found.value)) {
      for (const auto& [name, value] : *list) {
        if (const char* fault = fault_of(name, value))
          ignored("a header in " + found.where, fault);
        else
          by_name[lower(name)] = {name, value};
      }
    } else {
      ignored(found.where, "it must be a list of name=value, separated by commas, percent-encoded");
    }
  }
  for (const auto& [name, value] : options.headers) {
    if (const char* fault = fault_of(name, value))
      throw ConfigError("otel sink: header \"" + (is_token(name) ? name : std::string("?")) +
                        "\" cannot be sent: " + fault);
    by_name[lower(name)] = {name, value};
  }
  Pairs headers;
  for (auto& [ignored_key, header] : by_name) headers.push_back(std::move(header));
  return headers;
}

void read_endpoint(const OtelOptions& options, OtelSettings& settings) {
  Found found = find(options.endpoint, "endpoint", "ENDPOINT");
  if (found.value.empty()) found = {"http://localhost:4318", "the default endpoint", false};
  const std::string who = "otel sink: " + found.where;
  settings.url = parse_http_url(trimmed(found.value), who);
  settings.target = settings.url.path;
  if (found.of_metrics) {  // used as it is
    if (settings.target.empty()) settings.target = "/";
    if (settings.url.query) settings.target.append("?").append(*settings.url.query);
    return;
  }
  if (settings.url.query)
    refuse_url({who, "give the whole address in OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"},
               "has a query, and /v1/metrics is to be appended");
  if (!settings.target.ends_with('/')) settings.target += '/';
  settings.target += "v1/metrics";
}

void read_tls(const OtelOptions& options, OtelSettings& settings) {
  const Found ca = find(options.ca_file, "ca_file", "CERTIFICATE");
  const Found certificate = find(options.client_certificate_file, "client_certificate_file", "CLIENT_CERTIFICATE");
  const Found key = find(options.client_key_file, "client_key_file", "CLIENT_KEY");
  if (certificate.value.empty() != key.value.empty())
    throw ConfigError("otel sink: " + (key.value.empty() ? certificate : key).where +
                      " is set alone. Set the client's certificate and its key together.");
  if (!settings.url.tls) return;
  try {
    settings.tls = http::detail::make_tls_context(ca.value);
  } catch (const ConfigError&) {
    if (ca.value.empty())
      throw ConfigError("otel sink: the system's certificate authorities cannot be read. Set ca_file.");
    throw ConfigError("otel sink: " + ca.where + " names a file that cannot be read as PEM certificates");
  }
  if (certificate.value.empty()) return;
  boost::system::error_code error;
  settings.tls->use_certificate_chain_file(certificate.value, error);
  if (error)
    throw ConfigError("otel sink: " + certificate.where + " names a file that cannot be read as a PEM certificate");
  settings.tls->use_private_key_file(key.value, boost::asio::ssl::context::pem, error);
  if (error || SSL_CTX_check_private_key(settings.tls->native_handle()) != 1)
    throw ConfigError("otel sink: " + key.where +
                      " names a file that cannot be read as the PEM key of the client's certificate");
}

Pairs resource_of(const OtelOptions& options) {
  std::map<std::string, std::string> by_key;
  by_key["service.name"] = std::string("unknown_service:") + program_invocation_short_name;
  by_key["service.instance.id"] = boost::uuids::to_string(boost::uuids::random_generator()());
  const std::string variable = environment("OTEL_RESOURCE_ATTRIBUTES");
  if (const auto list = list_in(variable)) {
    for (const auto& [key, value] : *list) by_key[key] = value;
  } else {
    ignored("OTEL_RESOURCE_ATTRIBUTES", "it must be a list of key=value, separated by commas, percent-encoded");
  }
  if (std::string name = environment("OTEL_SERVICE_NAME"); !name.empty()) by_key["service.name"] = std::move(name);
  for (const auto& [key, value] : options.resource) by_key[key] = value;
  if (!options.service_name.empty()) by_key["service.name"] = options.service_name;
  by_key["telemetry.sdk.name"] = "outlay";
  by_key["telemetry.sdk.language"] = "cpp";
  by_key["telemetry.sdk.version"] = OUTLAY_VERSION_STRING;
  return {by_key.begin(), by_key.end()};
}

void read_conventions(const OtelOptions& options, OtelSettings& settings) {
  OtelConventions conventions = options.conventions.value_or(OtelConventions::published);
  if (!options.conventions) {
    std::string variable = environment("OTEL_SEMCONV_STABILITY_OPT_IN");  // a list for all kinds of instrumentation
    std::string_view rest = variable;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view word = trimmed(rest.substr(0, comma));
      if (word == "gen_ai_latest_experimental") conventions = OtelConventions::coming;
      if (word == "gen_ai_latest_experimental/dup") conventions = OtelConventions::both;
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  settings.published = conventions != OtelConventions::coming;
  settings.coming = conventions != OtelConventions::published;
}

void read_tags(const OtelOptions& options, OtelSettings& settings) {
  static constexpr std::array<std::string_view, 12> taken{
      "gen_ai.operation.name", "gen_ai.provider.name",  "gen_ai.request.model", "gen_ai.response.model",
      "gen_ai.token.type",     "gen_ai.token.modality", "error.type",           "outlay.status",
      "outlay.cost.source",    "outlay.budget",         "outlay.action",        "outlay.dimension"};
  for (const std::string& tag : options.tags) {
    if (tag.empty()) throw ConfigError("otel sink: `tags` has an empty name. Remove it.");
    if (std::find(taken.begin(), taken.end(), tag) != taken.end())
      throw ConfigError("otel sink: the tag \"" + tag +
                        "\" has the name of an attribute that the sink writes itself. Choose another name.");
    if (std::find(settings.tags.begin(), settings.tags.end(), tag) != settings.tags.end())
      throw ConfigError("otel sink: the tag \"" + tag + "\" is listed twice. Remove one.");
    settings.tags.push_back(tag);
  }
}

/// Words that name what is not spoken here are worth a line: data would look wrong, or not arrive.
void warn_of_other_protocols() {
  const Found protocol = find("", "", "PROTOCOL");
  if (lower(protocol.value) == "grpc")
    ignored(protocol.where,
            "the sink sends OTLP over HTTP in JSON. Let the collector listen for it, by default on port 4318");
  const std::string temporality = lower(environment("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"));
  if (!temporality.empty() && temporality != "cumulative")
    ignored("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "the sink sends cumulative sums");
  const std::string histograms = lower(environment("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"));
  if (!histograms.empty() && histograms != "explicit_bucket_histogram")
    ignored("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "the GenAI conventions name their buckets");
}

class SystemClock final : public Clock {
 public:
  [[nodiscard]] Time now() const noexcept override {
    return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
  }
};

}  // namespace

OtelSettings resolve(const OtelOptions& options) {
  OtelSettings settings;
  settings.disabled = lower(environment("OTEL_SDK_DISABLED")) == "true";
  read_endpoint(options, settings);
  settings.headers = headers_of(options);
  read_tls(options, settings);
  settings.interval =
      time_of(options.interval, "interval",
              {environment("OTEL_METRIC_EXPORT_INTERVAL"), "OTEL_METRIC_EXPORT_INTERVAL", true}, settings.interval);
  settings.timeout = time_of(options.timeout, "timeout", find("", "", "TIMEOUT"), settings.timeout);
  settings.export_timeout = std::max(
      settings.timeout, time_of({}, "", {environment("OTEL_METRIC_EXPORT_TIMEOUT"), "OTEL_METRIC_EXPORT_TIMEOUT", true},
                                settings.export_timeout));
  settings.gzip = options.gzip.value_or(true);
  if (!options.gzip) {
    const Found compression = find("", "", "COMPRESSION");
    const std::string word = lower(compression.value);
    if (word == "none")
      settings.gzip = false;
    else if (!word.empty() && word != "gzip")
      ignored(compression.where, "it must be gzip or none");
  }
  read_tags(options, settings);
  settings.resource = resource_of(options);
  read_conventions(options, settings);
  settings.usage_cost = options.usage_cost;
  if (options.operation.empty()) throw ConfigError("otel sink: `operation` is empty. Name it, as in \"chat\".");
  settings.operation = options.operation;
  if (options.max_values == 0 || options.max_series == 0)
    throw ConfigError("otel sink: max_values and max_series must be at least 1, and one of them is 0.");
  settings.max_values = options.max_values;
  settings.max_series = options.max_series;
  constexpr std::size_t least = std::size_t{16} << 10, most = std::size_t{64} << 20;
  if (options.max_request_bytes < least || options.max_request_bytes > most)
    throw ConfigError("otel sink: max_request_bytes is " + std::to_string(options.max_request_bytes) +
                      ". Use a value between 16 KiB and 64 MiB.");
  settings.max_request_bytes = options.max_request_bytes;
  const std::string filter = lower(environment("OTEL_METRICS_EXEMPLAR_FILTER"));
  if (filter == "always_on")
    settings.exemplars = ExemplarFilter::always_on;
  else if (filter == "always_off")
    settings.exemplars = ExemplarFilter::always_off;
  else if (!filter.empty() && filter != "trace_based")
    ignored("OTEL_METRICS_EXEMPLAR_FILTER", "it must be trace_based, always_on or always_off");
  settings.clock = options.clock ? options.clock : std::make_shared<const SystemClock>();
  warn_of_other_protocols();
  return settings;
}

}  // namespace outlay::detail
