#include "otel/encode.hpp"

#include <array>
#include <charconv>
#include <utility>

#include "outlay/version.hpp"

namespace outlay::detail {

namespace {

template <class Integer>
void append_number(std::string& out, Integer number) {
  char digits[24];
  const auto result = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, result.ptr);
}

/// A 64-bit number as OTLP wants it.
template <class Integer>
void append_quoted(std::string& out, Integer number) {
  out += '"';
  append_number(out, number);
  out += '"';
}

/// `amount / 10^9` as a decimal number, exactly: seconds of nanoseconds, dollars of nano-dollars.
void append_billionths(std::string& out, std::int64_t amount) {
  if (amount < 0) out += '-';
  const std::uint64_t magnitude =
      amount < 0 ? 0 - static_cast<std::uint64_t>(amount) : static_cast<std::uint64_t>(amount);
  append_number(out, magnitude / 1'000'000'000);
  std::uint64_t rest = magnitude % 1'000'000'000;
  if (rest == 0) return;
  char digits[10] = {'.'};
  std::size_t length = 10;
  for (std::size_t i = 9; i > 0; --i, rest /= 10) digits[i] = static_cast<char>('0' + rest % 10);
  while (digits[length - 1] == '0') --length;
  out.append(digits, length);
}

enum class Unit { count, seconds, dollars };

void append_value(std::string& out, std::int64_t value, Unit unit) {
  if (unit == Unit::count) {
    out.append(R"("asInt":)");
    append_quoted(out, value);
  } else {
    out.append(R"("asDouble":)");
    append_billionths(out, value);
  }
}

std::string bounds_text(const std::array<std::int64_t, bound_count>& bounds, Unit unit) {
  std::string text = R"("explicitBounds":[)";
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    if (i > 0) text += ',';
    if (unit == Unit::count)
      append_number(text, bounds[i]);
    else
      append_billionths(text, bounds[i]);
  }
  return text += ']';
}

struct Metric {
  std::string_view name, description, unit;
};

/// Puts data points into metrics, and metrics into as few bodies as hold them.
class Writer {
 public:
  Writer(const OtelSettings& settings, Span span, std::size_t max_bytes)
      : head_(R"({"resourceMetrics":[{"resource":{"attributes":[)"), max_bytes_(max_bytes) {
    for (std::size_t i = 0; i < settings.resource.size(); ++i) {
      if (i > 0) head_ += ',';
      append_attribute(head_, settings.resource[i].first, settings.resource[i].second);
    }
    head_.append(R"(]},"scopeMetrics":[{"scope":{"name":"outlay","version":")" OUTLAY_VERSION_STRING
                 R"("},"metrics":[)");
    times_ = R"("startTimeUnixNano":)";
    append_quoted(times_, span.start);
    times_.append(R"(,"timeUnixNano":)");
    append_quoted(times_, span.time);
  }

  void begin_sum(const Metric& metric) {
    begin(metric, R"("sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[)");
  }
  void begin_gauge(const Metric& metric) { begin(metric, R"("gauge":{"dataPoints":[)"); }
  void begin_histogram(const Metric& metric, Unit unit) {
    begin(metric, R"("histogram":{"aggregationTemporality":2,"dataPoints":[)");
    bounds_ = bounds_text(unit == Unit::count ? token_bounds : duration_bounds, unit);
    unit_ = unit;
  }
  void end() {
    if (!in_metric_) return;
    body_.append("]}}");
    in_metric_ = false;
  }

  /// \param more Attributes beside the series' own: with a comma in front, or empty.
  void histogram(const std::string& attributes, const std::string& more, const Histogram& values) {
    std::string& out = begin_point(attributes, more);
    out.append(times_).append(R"(,"count":)");
    append_quoted(out, values.count);
    out.append(R"(,"sum":)");
    if (unit_ == Unit::count)
      append_number(out, values.sum);
    else
      append_billionths(out, values.sum);
    out.append(R"(,"bucketCounts":[)");
    for (const std::uint64_t bucket : values.buckets) {
      if (bucket == 0) {
        out.append(R"("0",)");
      } else {
        append_quoted(out, bucket);
        out += ',';
      }
    }
    out.back() = ']';
    out.append(",").append(bounds_);
    if (values.exemplars) {
      bool first = true;
      for (const Exemplar& one : *values.exemplars) first = exemplar(one, unit_, first);
      if (!first) out += ']';
    }
    end_point();
  }

  void sum(const std::string& attributes, const std::string& more, const Counter& counter, Unit unit = Unit::count) {
    std::string& out = begin_point(attributes, more);
    out.append(times_).append(",");
    append_value(out, counter.value, unit);
    if (!exemplar(counter.exemplar, unit, true)) out += ']';
    end_point();
  }

  void gauge(const EventSeries& series) {
    std::string& out = begin_point(series.attributes, {});
    out.append(R"("timeUnixNano":)");
    append_quoted(out, series.time);
    out += ',';
    append_value(out, series.total.value, Unit::count);
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
  void begin(const Metric& metric, std::string_view kind) {
    metric_ = R"({"name":")";
    metric_.append(metric.name)
        .append(R"(","description":")")
        .append(metric.description)
        .append(R"(","unit":")")
        .append(metric.unit);
    metric_.append(R"(",)").append(kind);
    in_metric_ = false;
  }

  std::string& begin_point(const std::string& attributes, const std::string& more) {
    point_at_ = body_.size();
    if (body_.empty()) body_ = head_;
    if (!in_metric_) {
      if (body_.size() > head_.size()) body_ += ',';
      body_.append(metric_);
    } else {
      body_ += ',';
    }
    inner_at_ = body_.size();
    body_.append(R"({"attributes":[)").append(attributes);
    // A series without attributes of its own takes no comma.
    if (!more.empty()) body_.append(more, attributes.empty() ? 1 : 0);
    body_.append("],");
    return body_;
  }

  void end_point() {
    body_ += '}';
    constexpr std::size_t closing = 3 + tail.size();  // of the metric, and of the body
    if (body_.size() + closing > max_bytes_ && point_at_ > 0) {
      // Too much: this data point opens the next body.
      const std::string point = body_.substr(inner_at_);
      body_.resize(point_at_);
      end();
      close_body();
      body_ = head_;
      body_.append(metric_).append(point);
    }
    in_metric_ = true;
  }

  void close_body() {
    if (body_.empty()) return;
    body_.append(tail);
    bodies_.push_back(std::exchange(body_, {}));
  }

  /// \return Still the first: nothing was written.
  bool exemplar(const Exemplar& one, Unit unit, bool first) {
    if (one.order == 0) return first;
    body_.append(first ? R"(,"exemplars":[{"timeUnixNano":)" : R"(,{"timeUnixNano":)");
    append_quoted(body_, one.time);
    body_ += ',';
    append_value(body_, one.value, unit);
    if (one.trace[0] != '\0') {
      body_.append(R"(,"spanId":")").append(one.span.data(), one.span.size());
      body_.append(R"(","traceId":")").append(one.trace.data(), one.trace.size()).append("\"");
    }
    body_ += '}';
    return false;
  }

  std::string head_;
  std::size_t max_bytes_;
  std::string times_{};
  std::string metric_{};  // its beginning
  std::string bounds_{};
  Unit unit_ = Unit::count;
  bool in_metric_ = false;  // the body's last metric is this one, and open
  std::size_t point_at_ = 0, inner_at_ = 0;
  std::string body_{};
  std::vector<std::string> bodies_{};
};

/// `,` and the attribute.
std::string extra(std::string_view key, std::string_view value) {
  std::string text = ",";
  append_attribute(text, key, value);
  return text;
}

std::string error_extra(const std::string& error) { return error.empty() ? std::string() : extra("error.type", error); }

void write_published(Writer& writer, const Aggregate& aggregate) {
  const std::string of_input = extra("gen_ai.token.type", "input"), of_output = extra("gen_ai.token.type", "output");
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
      writer.histogram(series.attributes, error_extra(outcome.error), outcome.duration);
  writer.end();
}

void write_histograms(Writer& writer, const Aggregate& aggregate, const Metric& metric, Unit unit, bool embeddings,
                      Histogram CallSeries::Outcome::* which) {
  writer.begin_histogram(metric, unit);
  for (const CallSeries& series : aggregate.calls()) {
    if (series.embeddings != embeddings) continue;
    for (const CallSeries::Outcome& outcome : series.outcomes)
      writer.histogram(series.attributes, error_extra(outcome.error), outcome.*which);
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
          writer.sum(series.attributes, extra("gen_ai.token.modality", names[modality]),
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
      const std::string more =
          extra("outlay.status", to_string(cost.status)) + extra("outlay.cost.source", to_string(cost.source));
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
