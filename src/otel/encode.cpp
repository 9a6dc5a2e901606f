#include "otel/encode.hpp"

#include <array>
#include <utility>

#include "core/base/decimal.hpp"
#include "core/base/json_writer.hpp"
#include "outlay/version.hpp"

namespace outlay::detail {

namespace {

enum class Unit { count, seconds, dollars };

void write_value(JsonWriter& json, std::int64_t value, Unit unit) {
  if (unit == Unit::count)
    json.key("asInt").quoted(value);
  else
    json.key("asDouble").raw(billionths(value));
}

std::string bounds_text(const std::array<std::int64_t, bound_count>& bounds, Unit unit) {
  std::string text;
  JsonWriter json(text);
  json.key("explicitBounds").begin_array();
  for (const std::int64_t bound : bounds) json.raw(unit == Unit::count ? std::to_string(bound) : billionths(bound));
  json.end_array();
  return text;
}

enum class MetricKind { sum, gauge, histogram };

struct Metric {
  std::string_view name, description, unit;
};

/// Puts data points into metrics, and metrics into as few bodies as hold them.
class Writer {
 public:
  Writer(const OtelSettings& settings, Span span, std::size_t max_bytes) : max_bytes_(max_bytes) {
    JsonWriter head(head_);
    head.begin_object().key("resourceMetrics").begin_array().begin_object();
    head.key("resource").begin_object().key("attributes").begin_array();
    for (const auto& [key, value] : settings.resource) write_attribute(head, key, value);
    head.end_array().end_object().key("scopeMetrics").begin_array().begin_object();
    head.key("scope").begin_object().key("name").text("outlay").key("version").text(OUTLAY_VERSION_STRING).end_object();
    head.key("metrics").begin_array();
    JsonWriter(times_).key("startTimeUnixNano").quoted(span.start).key("timeUnixNano").quoted(span.time);
  }

  void begin_sum(const Metric& metric) { begin(metric, MetricKind::sum); }
  void begin_gauge(const Metric& metric) { begin(metric, MetricKind::gauge); }
  void begin_histogram(const Metric& metric, Unit unit) {
    begin(metric, MetricKind::histogram);
    bounds_ = bounds_text(unit == Unit::count ? token_bounds : duration_bounds, unit);
    unit_ = unit;
  }
  void end() {
    if (in_metric_) json_.end_array().end_object().end_object();
    in_metric_ = false;
  }

  /// \param more Attributes beside the series' own.
  void histogram(const std::string& attributes, const std::string& more, const Histogram& values) {
    begin_point(attributes, more);
    json_.raw(times_).key("count").quoted(values.count);
    json_.key("sum").raw(unit_ == Unit::count ? std::to_string(values.sum) : billionths(values.sum));
    json_.key("bucketCounts").begin_array();
    for (const std::uint64_t bucket : values.buckets) json_.quoted(bucket);
    json_.end_array().raw(bounds_);
    if (values.exemplars) {
      bool first = true;
      for (const Exemplar& one : *values.exemplars) first = exemplar(one, unit_, first);
      if (!first) json_.end_array();
    }
    end_point();
  }

  void sum(const std::string& attributes, const std::string& more, const Counter& counter, Unit unit = Unit::count) {
    begin_point(attributes, more);
    json_.raw(times_);
    write_value(json_, counter.value, unit);
    if (!exemplar(counter.exemplar, unit, true)) json_.end_array();
    end_point();
  }

  void gauge(const EventSeries& series) {
    begin_point(series.attributes, {});
    json_.key("timeUnixNano").quoted(series.time);
    write_value(json_, series.total.value, Unit::count);
    end_point();
  }

  std::vector<std::string> finish() {
    end();
    close_body();
    return std::move(bodies_);
  }

 private:
  static constexpr std::string_view tail = "]}]}]}";  // metrics, scope, scopes, resource, resources, request

  // A metric begins with its first data point, so that none is without.
  void begin(const Metric& metric, MetricKind kind) {
    metric_ = metric;
    kind_ = kind;
    in_metric_ = false;
  }

  void open_body() {
    body_ = head_;
    json_ = JsonWriter(body_);
  }

  void open_metric() {
    json_.begin_object().key("name").text(metric_.name).key("description").text(metric_.description);
    json_.key("unit").text(metric_.unit);
    if (kind_ == MetricKind::gauge) {
      json_.key("gauge").begin_object();
    } else {
      json_.key(kind_ == MetricKind::sum ? "sum" : "histogram").begin_object();
      json_.key("aggregationTemporality").raw("2");  // cumulative
      if (kind_ == MetricKind::sum) json_.key("isMonotonic").boolean(true);
    }
    json_.key("dataPoints").begin_array();
    in_metric_ = true;
  }

  void begin_point(const std::string& attributes, const std::string& more) {
    point_at_ = body_.size();
    opens_metric_ = !in_metric_;
    if (body_.empty()) open_body();
    if (opens_metric_) open_metric();
    json_.begin_object();
    inner_at_ = body_.size() - 1;
    json_.key("attributes").begin_array();
    if (!attributes.empty()) json_.raw(attributes);
    if (!more.empty()) json_.raw(more);
    json_.end_array();
  }

  void end_point() {
    json_.end_object();
    constexpr std::size_t closing = 3 + tail.size();  // of the metric, and of the body
    if (body_.size() + closing <= max_bytes_ || point_at_ == 0) return;
    // Too much: this data point opens the next body.
    const std::string point = body_.substr(inner_at_);
    body_.resize(point_at_);
    in_metric_ = !opens_metric_;
    end();
    close_body();
    open_body();
    open_metric();
    json_.raw(point);
  }

  void close_body() {
    if (body_.empty()) return;
    body_.append(tail);
    bodies_.push_back(std::exchange(body_, {}));
  }

  /// \return Still the first: nothing was written.
  bool exemplar(const Exemplar& one, Unit unit, bool first) {
    if (one.order == 0) return first;
    if (first) json_.key("exemplars").begin_array();
    json_.begin_object().key("timeUnixNano").quoted(one.time);
    write_value(json_, one.value, unit);
    if (one.trace[0] != '\0') {
      json_.key("spanId").text({one.span.data(), one.span.size()});
      json_.key("traceId").text({one.trace.data(), one.trace.size()});
    }
    json_.end_object();
    return false;
  }

  std::string head_{};
  std::size_t max_bytes_;
  std::string times_{};
  Metric metric_{};
  MetricKind kind_ = MetricKind::sum;
  std::string bounds_{};
  Unit unit_ = Unit::count;
  bool in_metric_ = false;     // the body's last metric is this one, and open
  bool opens_metric_ = false;  // the data point that is being written is the metric's first in this body
  std::size_t point_at_ = 0, inner_at_ = 0;
  std::string body_{};
  JsonWriter json_{body_};
  std::vector<std::string> bodies_{};
};

std::string attribute(std::string_view key, std::string_view value) {
  std::string text;
  JsonWriter json(text);
  write_attribute(json, key, value);
  return text;
}

std::string error_attribute(const std::string& error) {
  return error.empty() ? std::string() : attribute("error.type", error);
}

void write_published(Writer& writer, const Aggregate& aggregate) {
  const std::string of_input = attribute("gen_ai.token.type", "input"),
                    of_output = attribute("gen_ai.token.type", "output");
  writer.begin_histogram({"gen_ai.client.token.usage", "Number of input and output tokens used.", "{token}"},
                         Unit::count);
  for (const CallSeries& series : aggregate.calls()) {
    if (series.input.count > 0) writer.histogram(series.attributes, of_input, series.input);
    if (series.output.count > 0) writer.histogram(series.attributes, of_output, series.output);
  }
  writer.end();
  writer.begin_histogram({"gen_ai.client.operation.duration", "GenAI operation duration.", "s"}, Unit::seconds);
  for (const CallSeries& series : aggregate.calls())
    for (const CallSeries::Outcome& outcome : series.outcomes)
      writer.histogram(series.attributes, error_attribute(outcome.error), outcome.duration);
  writer.end();
}

void write_histograms(Writer& writer, const Aggregate& aggregate, const Metric& metric, Unit unit, bool embeddings,
                      Histogram CallSeries::Outcome::* which) {
  writer.begin_histogram(metric, unit);
  for (const CallSeries& series : aggregate.calls()) {
    if (series.embeddings != embeddings) continue;
    for (const CallSeries::Outcome& outcome : series.outcomes)
      writer.histogram(series.attributes, error_attribute(outcome.error), outcome.*which);
  }
  writer.end();
}

void write_coming(Writer& writer, const Aggregate& aggregate) {
  static constexpr std::array<Metric, token_kinds> counters{
      Metric{"gen_ai.client.inference.usage.input_tokens", "Input tokens used, cached ones included.", "{token}"},
      Metric{"gen_ai.client.inference.usage.output_tokens", "Output tokens used, reasoning included.", "{token}"},
      Metric{"gen_ai.client.inference.usage.cache_read.input_tokens", "Of the input tokens: read from a cache.",
             "{token}"},
      Metric{"gen_ai.client.inference.usage.cache_write.input_tokens", "Of the input tokens: written to a cache.",
             "{token}"},
      Metric{"gen_ai.client.inference.usage.reasoning.output_tokens", "Of the output tokens: reasoning.", "{token}"}};
  static constexpr std::array<std::string_view, modalities> names{"unknown", "text", "audio", "image"};
  for (std::size_t kind = 0; kind < token_kinds; ++kind) {
    writer.begin_sum(counters[kind]);
    for (const CallSeries& series : aggregate.calls()) {
      if (!series.tokens || series.embeddings) continue;
      for (std::size_t modality = 0; modality < modalities; ++modality)
        if (series.tokens->seen[kind][modality])
          writer.sum(series.attributes, attribute("gen_ai.token.modality", names[modality]),
                     {series.tokens->value[kind][modality], {}});
    }
    writer.end();
  }
  using Outcome = CallSeries::Outcome;
  write_histograms(writer, aggregate,
                   {"gen_ai.client.inference.operation.input_tokens", "Input tokens of an operation.", "{token}"},
                   Unit::count, false, &Outcome::input);
  write_histograms(writer, aggregate,
                   {"gen_ai.client.inference.operation.output_tokens", "Output tokens of an operation.", "{token}"},
                   Unit::count, false, &Outcome::output);
  write_histograms(writer, aggregate, {"gen_ai.client.inference.duration", "Duration of an inference operation.", "s"},
                   Unit::seconds, false, &Outcome::duration);
  write_histograms(writer, aggregate,
                   {"gen_ai.client.embeddings.operation.input_tokens", "Input tokens of an operation.", "{token}"},
                   Unit::count, true, &Outcome::input);
  write_histograms(writer, aggregate,
                   {"gen_ai.client.embeddings.duration", "Duration of an embeddings operation.", "s"}, Unit::seconds,
                   true, &Outcome::duration);
}

}  // namespace

std::vector<std::string> encode(const Aggregate& aggregate, const OtelSettings& settings, Span span,
                                std::size_t max_bytes) {
  Writer writer(settings, span, max_bytes);
  if (settings.published) write_published(writer, aggregate);
  if (settings.coming) write_coming(writer, aggregate);

  writer.begin_sum({"outlay.cost", "What calls cost, in billionths of a dollar.", "{nanodollar}"});
  for (const CallSeries& series : aggregate.calls())
    for (const CallSeries::Cost& cost : series.costs) {
      const std::string more = attribute("outlay.status", to_string(cost.status)) + "," +
                               attribute("outlay.cost.source", to_string(cost.source));
      writer.sum(series.attributes, more, cost.total);
    }
  writer.end();
  if (settings.usage_cost) {
    writer.begin_sum({"gen_ai.usage.cost", "What calls cost, in dollars.", "{USD}"});
    for (const CallSeries& series : aggregate.calls()) {
      std::int64_t sum = 0;
      for (const CallSeries::Cost& cost : series.costs)
        if (__builtin_add_overflow(sum, cost.total.value, &sum)) sum = INT64_MAX;
      writer.sum(series.attributes, {}, {sum, {}}, Unit::dollars);
    }
    writer.end();
  }

  writer.begin_sum({"outlay.budget.events", "What budgets did.", "{event}"});
  for (const EventSeries& series : aggregate.events()) writer.sum(series.attributes, {}, series.total);
  writer.end();
  writer.begin_gauge(
      {"outlay.budget.remaining",
       "The cap less what was spent, when a threshold was reached last: nano-dollars for usd, else counts.", "1"});
  for (const EventSeries& series : aggregate.remaining()) writer.gauge(series);
  return writer.finish();
}

}  // namespace outlay::detail
