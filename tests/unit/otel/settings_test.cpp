#include "otel/settings.hpp"

#include "otel_support.hpp"
#include "outlay/error.hpp"
#include "outlay/version.hpp"
#include "support/catch.hpp"

using namespace test;
using outlay::ConfigError;
using outlay::OtelConventions;
using outlay::OtelOptions;
using outlay::detail::ExemplarFilter;
using outlay::detail::OtelSettings;
using outlay::detail::resolve;

namespace {

std::string resource_value(const OtelSettings& settings, std::string_view key) {
  for (const auto& [name, value] : settings.resource)
    if (name == key) return value;
  return "(absent)";
}

/// The message of the ConfigError that resolve() throws; empty if it throws none.
std::string refusal(const OtelOptions& options) {
  try {
    (void)resolve(options);
    return {};
  } catch (const ConfigError& thrown) {
    return thrown.what();
  }
}

std::string where(const OtelSettings& settings) {
  return std::string(settings.url.tls ? "https://" : "http://") + settings.url.host + ":" +
         std::to_string(settings.url.port) + settings.target;
}

}  // namespace

TEST_CASE("otel settings: without options and environment they are OpenTelemetry's defaults", "[otel][settings]") {
  const Environment none;
  const OtelSettings settings = resolve({});
  CHECK_FALSE(settings.disabled);
  CHECK(where(settings) == "http://localhost:4318/v1/metrics");
  CHECK(settings.headers.empty());
  CHECK(settings.interval == 60s);
  CHECK(settings.timeout == 10s);
  CHECK(settings.export_timeout == 30s);
  CHECK(settings.gzip);
  CHECK(settings.published);
  CHECK_FALSE(settings.coming);
  CHECK(settings.exemplars == ExemplarFilter::trace_based);
  CHECK(resource_value(settings, "service.name") == "unknown_service:outlay_otel_tests");
  CHECK(resource_value(settings, "telemetry.sdk.name") == "outlay");
  CHECK(resource_value(settings, "telemetry.sdk.language") == "cpp");
  CHECK(resource_value(settings, "telemetry.sdk.version") == OUTLAY_VERSION_STRING);
  CHECK(resource_value(settings, "service.instance.id").size() == 36);
  CHECK(resource_value(settings, "service.instance.id") != resource_value(resolve({}), "service.instance.id"));
}

TEST_CASE("otel settings: /v1/metrics is appended to a base address, whatever its end", "[otel][settings]") {
  const Environment none;
  for (const auto& [endpoint, whole] : std::map<std::string, std::string>{
           {"http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/metrics"},
           {"http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/metrics"},
           {"https://Otel.example/otlp", "https://otel.example:443/otlp/v1/metrics"},
           {"https://[::1]:1/otlp/", "https://::1:1/otlp/v1/metrics"},
       })
    CHECK(where(resolve({.endpoint = endpoint})) == whole);
}

TEST_CASE("otel settings: the metrics' own endpoint is used as it is and wins over the general one",
          "[otel][settings]") {
  const Environment both(Variables{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1/base"},
                                   {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://b:2/x?y=z"}});
  CHECK(where(resolve({})) == "http://b:2/x?y=z");
  CHECK(where(resolve({.endpoint = "http://c:3"})) == "http://c:3/v1/metrics");
}

TEST_CASE("otel settings: an endpoint of the metrics without a path gets a slash", "[otel][settings]") {
  const Environment set(Variables{{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://b:2"}});
  CHECK(where(resolve({})) == "http://b:2/");
}

TEST_CASE("otel settings: the general endpoint is a base address", "[otel][settings]") {
  const Environment set(
      Variables{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1/base"}, {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", ""}});
  CHECK(where(resolve({})) == "http://a:1/base/v1/metrics");
}

TEST_CASE(
    "otel settings: an endpoint that makes no sense is refused by the name of where it stands, without its "
    "text",
    "[otel][settings]") {
  const Environment set(Variables{{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector.example:4318?key=hunter2"}});
  const std::string message = refusal({});
  CHECK(message.find("OTEL_EXPORTER_OTLP_ENDPOINT") != std::string::npos);
  CHECK(message.find("http://host[:port]") != std::string::npos);
  CHECK(message.find("hunter2") == std::string::npos);
  for (const char* bad : {"ftp://host", "http://", "http://host:0", "http://host:99999", "http://user:hunter2@host",
                          "http://host/a b", "http://host/?q=hunter2", "http://host/#f", "http://host\r\nX: y"}) {
    INFO(bad);
    const std::string refused = refusal({.endpoint = bad});
    CHECK(refused.find("otel sink: endpoint") == 0);
    CHECK(refused.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("otel settings: headers are merged, decoded, and an option's wins by name", "[otel][settings]") {
  const Environment set(Variables{{"OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20abc, x-tenant = a%2Cb "}});
  const OtelSettings settings = resolve({.headers = {{"X-Tenant", "c"}, {"x-more", "d"}}});
  CHECK(settings.headers == outlay::detail::Pairs{{"Authorization", "Bearer abc"}, {"x-more", "d"}, {"X-Tenant", "c"}});
}

TEST_CASE("otel settings: the metrics' own headers win over the general ones as a whole", "[otel][settings]") {
  const Environment set(
      Variables{{"OTEL_EXPORTER_OTLP_HEADERS", "a=1,b=2"}, {"OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=3"}});
  CHECK(resolve({}).headers == outlay::detail::Pairs{{"a", "3"}});
}

TEST_CASE("otel settings: a header that cannot be sent is refused without its value", "[otel][settings]") {
  const Environment none;
  using Header = std::pair<std::string, std::string>;
  for (const Header& bad :
       {Header{"", "hunter2"}, Header{"a b", "hunter2"}, Header{"x\r\ny", "hunter2"}, Header{"x", "hunter2\r\nEvil: 1"},
        Header{"Content-Length", "hunter2"}, Header{"HOST", "hunter2"}}) {
    const std::string message = refusal({.headers = {bad}});
    INFO(message);
    CHECK(message.find("otel sink: header") == 0);
    CHECK(message.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("otel settings: malformed headers in the environment are ignored with a warning without their values",
          "[otel][settings]") {
  const Environment set(Variables{{"OTEL_EXPORTER_OTLP_HEADERS", "a=1,hunter2"}});
  const Log log;
  CHECK(resolve({}).headers.empty());
  CHECK(log.count("OTEL_EXPORTER_OTLP_HEADERS") == 1);
  CHECK(log.count("hunter2") == 0);
}

TEST_CASE("otel settings: numbers and words come from the environment, the metrics' own first", "[otel][settings]") {
  const Environment set(Variables{{"OTEL_METRIC_EXPORT_INTERVAL", "1500"},
                                  {"OTEL_METRIC_EXPORT_TIMEOUT", "40000"},
                                  {"OTEL_EXPORTER_OTLP_TIMEOUT", "1"},
                                  {"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "2500"},
                                  {"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"},
                                  {"OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"},
                                  {"OTEL_METRICS_EXEMPLAR_FILTER", "always_off"},
                                  {"OTEL_SEMCONV_STABILITY_OPT_IN", "http, gen_ai_latest_experimental/dup"}});
  const OtelSettings settings = resolve({});
  CHECK(settings.interval == 1'500ms);
  CHECK(settings.timeout == 2'500ms);
  CHECK(settings.export_timeout == 40s);
  CHECK_FALSE(settings.gzip);
  CHECK(settings.exemplars == ExemplarFilter::always_off);
  CHECK(settings.published);
  CHECK(settings.coming);
  const OtelSettings told =
      resolve({.interval = 7s, .timeout = 8s, .gzip = true, .conventions = OtelConventions::published});
  CHECK(told.interval == 7s);
  CHECK(told.timeout == 8s);
  CHECK(told.gzip);
  CHECK_FALSE(told.coming);
}

TEST_CASE("otel settings: the opt-in to the latest conventions leaves the published ones out", "[otel][settings]") {
  const Environment set(Variables{{"OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental"}});
  const OtelSettings settings = resolve({});
  CHECK_FALSE(settings.published);
  CHECK(settings.coming);
}

TEST_CASE("otel settings: variables that make no sense are ignored, each with a warning", "[otel][settings]") {
  for (const auto& [name, value] :
       std::map<std::string, std::string>{{"OTEL_METRIC_EXPORT_INTERVAL", "soon"},
                                          {"OTEL_METRIC_EXPORT_TIMEOUT", "-1"},
                                          {"OTEL_EXPORTER_OTLP_TIMEOUT", "10s"},
                                          {"OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "zstd"},
                                          {"OTEL_METRICS_EXEMPLAR_FILTER", "some"},
                                          {"OTEL_RESOURCE_ATTRIBUTES", "a=1,b"},
                                          {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
                                          {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"}}) {
    const Environment set(Variables{{name, value}});
    const Log log;
    const OtelSettings settings = resolve({});
    INFO(name);
    CHECK(log.count("warning: otel sink: " + name) == 1);
    CHECK(log.lines().size() == 1);
    CHECK(settings.interval == 60s);
    CHECK(settings.timeout == 10s);
    CHECK(settings.export_timeout == 30s);
    CHECK(settings.gzip);
    CHECK(resource_value(settings, "a") == "(absent)");
  }
}

TEST_CASE("otel settings: the resource is the environment's with the options' in front", "[otel][settings]") {
  const Environment set(
      Variables{{"OTEL_RESOURCE_ATTRIBUTES",
                 "service.name=from-list,deployment.environment.name=pro%64,service.instance.id=i-1"}});
  CHECK(resource_value(resolve({}), "service.name") == "from-list");
  CHECK(resource_value(resolve({}), "deployment.environment.name") == "prod");
  CHECK(resource_value(resolve({}), "service.instance.id") == "i-1");
  const Environment named(
      Variables{{"OTEL_RESOURCE_ATTRIBUTES", "service.name=from-list"}, {"OTEL_SERVICE_NAME", "from-name"}});
  CHECK(resource_value(resolve({}), "service.name") == "from-name");
  CHECK(resource_value(resolve({.service_name = "from-option", .resource = {{"a", "b"}}}), "service.name") ==
        "from-option");
  CHECK(resource_value(resolve({.resource = {{"a", "b"}}}), "a") == "b");
}

TEST_CASE("otel settings: certificates are read when the sink is made", "[otel][settings]") {
  const Environment set(Variables{{"OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"}});
  CHECK(refusal({.endpoint = "https://localhost"})
            .find("OTEL_EXPORTER_OTLP_CERTIFICATE names a file that cannot be read") != std::string::npos);
  CHECK(refusal({.endpoint = "http://localhost"}).empty());  // not needed
  CHECK(refusal({.endpoint = "https://localhost", .client_key_file = "/nowhere/key.pem"})
            .find("client_key_file is set alone") != std::string::npos);
}

TEST_CASE("otel settings: options out of range are refused with what to write instead", "[otel][settings]") {
  const Environment none;
  CHECK(refusal({.tags = {""}}).find("empty name") != std::string::npos);
  CHECK(refusal({.tags = {"a", "a"}}).find("listed twice") != std::string::npos);
  CHECK(refusal({.tags = {"error.type"}}).find("\"error.type\"") != std::string::npos);
  CHECK(refusal({.interval = -1ms}).find("interval is -1 ms") != std::string::npos);
  CHECK(refusal({.operation = ""}).find("operation") != std::string::npos);
  OtelOptions options;
  options.max_values = 0;
  CHECK(refusal(options).find("at least 1") != std::string::npos);
  options = {};
  options.max_request_bytes = 100;
  CHECK(refusal(options).find("between 16 KiB and 64 MiB") != std::string::npos);
}
