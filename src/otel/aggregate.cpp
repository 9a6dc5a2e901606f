#include "otel/aggregate.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "core/base/traceparent.hpp"
#include "core/base/utf8.hpp"

namespace outlay::detail {

namespace {

constexpr std::string_view other = "other";
constexpr std::string_view absent{};  // null data
constexpr std::size_t max_text = 1'024;
constexpr const char* operation_tag = "gen_ai.operation.name";

std::int64_t added(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
}

std::int64_t nanoseconds(Time time) noexcept { return time.time_since_epoch().count(); }

std::vector<SeriesMap<CallSeries>::Field> call_fields(const std::vector<std::string>& tags) {
  std::vector<SeriesMap<CallSeries>::Field> fields{
      {operation_tag}, {"gen_ai.provider.name"}, {"gen_ai.request.model"}, {"gen_ai.response.model"}};
  for (const std::string& tag : tags) fields.push_back({tag});
  return fields;
}

std::vector<SeriesMap<EventSeries>::Field> event_fields(const std::vector<std::string>& tags) {
  std::vector<SeriesMap<EventSeries>::Field> fields{
      {"outlay.budget"}, {"outlay.action"}, {"outlay.dimension"}, {"gen_ai.provider.name"}, {"gen_ai.request.model"}};
  for (const std::string& tag : tags) fields.push_back({tag});
  return fields;
}

/// A view that is absent where it is empty.
std::string_view unless_empty(std::string_view text) noexcept { return text.empty() ? absent : text; }

std::string_view tag_of(const Tags& tags, std::string_view key) noexcept {
  const std::string* value = tags.find(key);
  return value ? std::string_view(*value) : absent;
}

}  // namespace

std::string clean_text(std::string_view text) { return well_formed(text, max_text); }

void write_attribute(JsonWriter& json, std::string_view key, std::string_view value) {
  json.begin_object().key("key").text(clean_text(key)).key("value").begin_object();
  json.key("stringValue").text(clean_text(value)).end_object().end_object();
}

std::string_view provider_name(std::string_view provider) noexcept {
  if (provider.empty()) return "unknown";
  if (provider == "azure") return "azure.ai.openai";
  if (provider == "azure_ai") return "azure.ai.inference";
  if (provider.starts_with("bedrock")) return "aws.bedrock";
  if (provider == "gemini") return "gcp.gemini";
  if (provider.starts_with("vertex_ai")) return "gcp.vertex_ai";
  if (provider == "mistral") return "mistral_ai";
  if (provider == "moonshot") return "moonshot_ai";
  if (provider == "watsonx") return "ibm.watsonx.ai";
  if (provider == "xai") return "x_ai";
  return provider;
}

std::string_view error_type(const Record& record) noexcept {
  if (record.status == RecordStatus::settled || record.status == RecordStatus::estimated) return {};
  const std::string_view reason = record.reason;
  const auto digit = [&](std::size_t i) { return reason[i] >= '0' && reason[i] <= '9'; };
  if (reason.starts_with("HTTP ") && reason.size() >= 8 && digit(5) && digit(6) && digit(7) &&
      (reason.size() == 8 || !digit(8)))
    return reason.substr(5, 3);
  return "_OTHER";
}

template <class Series>
void SeriesMap<Series>::write_key(const std::vector<std::string_view>& values) {
  key_.clear();
  for (const std::string_view value : values) {
    const std::uint32_t length = value.data() ? static_cast<std::uint32_t>(value.size()) : UINT32_MAX;
    char bytes[sizeof length];
    std::memcpy(bytes, &length, sizeof length);
    key_.append(bytes, sizeof length).append(value);
  }
}

template <class Series>
Series& SeriesMap<Series>::at(const std::vector<std::string_view>& values, bool& folded) {
  // Keys are made of clean and known values alone, so one that is found needs no further look.
  fresh_ = nullptr;
  write_key(values);
  if (const auto found = by_key_.find(std::string_view(key_)); found != by_key_.end()) return *found->second;
  return slow_at(values, folded);
}

template <class Series>
Series& SeriesMap<Series>::slow_at(const std::vector<std::string_view>& values, bool& folded) {
  std::vector<std::string> texts(values.size());
  std::vector<std::string_view> admitted(values.size());
  const auto find = [&]() -> Series* {
    write_key(admitted);
    const auto found = by_key_.find(std::string_view(key_));
    return found == by_key_.end() ? nullptr : found->second;
  };
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i].data()) continue;
    texts[i] = clean_text(values[i]);
    const bool known = known_[i].contains(std::string_view(texts[i])) || known_[i].size() < max_values_;
    if (!known) folded = true;
    admitted[i] = known ? std::string_view(texts[i]) : other;
  }
  if (Series* found = find()) return *found;
  if (all_.size() >= max_series_) {
    folded = true;
    for (std::size_t i = 0; i < values.size(); ++i)
      if (values[i].data()) admitted[i] = other;
    if (Series* found = find()) return *found;
    // At most one more for each set of absent attributes: the tags that a record does not have.
    if (all_.size() >= max_series_ * 2 + 1) {
      std::fill(admitted.begin(), admitted.end(), other);
      if (Series* found = find()) return *found;
    }
  }
  Series& series = all_.emplace_back();
  JsonWriter attributes(series.attributes);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!admitted[i].data()) continue;
    if (admitted[i] != other && known_[i].size() < max_values_) known_[i].emplace(admitted[i]);
    write_attribute(attributes, fields_[i].name, admitted[i]);
  }
  by_key_.emplace(key_, &series);
  fresh_ = &series;
  return series;
}

Aggregate::Aggregate(const OtelSettings& settings)
    : tags_(settings.tags),
      operation_(settings.operation),
      coming_(settings.coming),
      filter_(settings.exemplars),
      calls_(call_fields(settings.tags), settings.max_values, settings.max_series),
      events_(event_fields(settings.tags), settings.max_values, settings.max_series),
      remaining_({{"outlay.budget"}, {"outlay.dimension"}}, settings.max_values, settings.max_series) {}

void Aggregate::read_trace(std::string_view traceparent, Time time) {
  exemplar_ = {};
  if (filter_ == ExemplarFilter::always_off) return;
  const std::optional<TraceParent> trace = read_traceparent(traceparent);
  if (filter_ == ExemplarFilter::trace_based && !(trace && trace->sampled)) return;
  if (trace) {
    trace->trace_id.copy(exemplar_.trace.data(), exemplar_.trace.size());
    trace->parent_id.copy(exemplar_.span.data(), exemplar_.span.size());
  }
  exemplar_.order = ++exemplar_order_;
  exemplar_.time = nanoseconds(time);
}

void Aggregate::add(Histogram& histogram, const std::array<std::int64_t, bound_count>& bounds, std::int64_t value) {
  const auto bucket = static_cast<std::size_t>(std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin());
  ++histogram.buckets[bucket];
  ++histogram.count;
  histogram.sum = added(histogram.sum, value);
  if (exemplar_.order == 0) return;
  if (!histogram.exemplars) histogram.exemplars = std::make_unique<std::array<Exemplar, bound_count + 1>>();
  Exemplar& exemplar = (*histogram.exemplars)[bucket];
  exemplar = exemplar_;
  exemplar.value = value;
}

void Aggregate::add(Counter& counter, std::int64_t value) {
  counter.value = added(counter.value, value);
  if (exemplar_.order == 0) return;
  counter.exemplar = exemplar_;
  counter.exemplar.value = value;
}

void Aggregate::add_tokens(CallSeries& series, const Usage& usage) {
  if (!series.tokens) series.tokens = std::make_unique<CallSeries::Tokens>();
  CallSeries::Tokens& tokens = *series.tokens;
  const auto count = [&](TokenKind kind, Modality modality, std::int64_t value, bool even_if_none = false) {
    const auto k = static_cast<std::size_t>(kind), m = static_cast<std::size_t>(modality);
    if (value == 0 && !even_if_none) return;
    tokens.value[k][m] = added(tokens.value[k][m], value);
    tokens.seen[k][m] = true;
  };
  // What no modality was reported for is text only where others were: a provider that splits reports them all.
  const auto split = [&](TokenKind kind, std::int64_t total, std::int64_t audio, std::int64_t image,
                         bool even_if_none) {
    count(kind, Modality::audio, audio);
    count(kind, Modality::image, image);
    count(kind, audio + image > 0 ? Modality::text : Modality::unknown, total - audio - image,
          even_if_none && audio + image == 0);
  };
  split(TokenKind::input, usage.input_total(), usage.input_audio + usage.cache_read_audio, usage.input_image, true);
  if (!series.embeddings) split(TokenKind::output, usage.output, usage.output_audio, usage.output_image, true);
  split(TokenKind::cache_read, usage.cache_read, usage.cache_read_audio, 0, false);
  split(TokenKind::cache_write, usage.cache_write + usage.cache_write_1h, 0, 0, false);
  split(TokenKind::reasoning, usage.reasoning, 0, 0, false);
}

void Aggregate::add(const Record& record) {
  const std::string_view operation = tag_of(record.tags, operation_tag);
  const bool answered = record.status == RecordStatus::settled || record.status == RecordStatus::estimated;
  values_.clear();
  values_.push_back(operation.empty() ? std::string_view(operation_) : operation);
  values_.push_back(provider_name(record.provider));
  values_.push_back(unless_empty(record.requested_model));
  values_.push_back(answered ? unless_empty(record.model) : absent);
  for (const std::string& tag : tags_) values_.push_back(tag_of(record.tags, tag));
  bool folded = false;
  CallSeries& series = calls_.at(values_, folded);
  if (calls_.fresh()) series.embeddings = values_[0] == "embeddings";

  read_trace(record.traceparent, record.ended);
  const Usage& usage = record.usage;
  if (usage.total() > 0) {
    add(series.input, token_bounds, usage.input_total());
    if (!series.embeddings) add(series.output, token_bounds, usage.output);
  }

  const std::string_view error = error_type(record);
  auto outcome = std::find_if(series.outcomes.begin(), series.outcomes.end(),
                              [&](const CallSeries::Outcome& o) { return o.error == error; });
  if (outcome == series.outcomes.end()) {
    outcome = series.outcomes.insert(series.outcomes.end(), CallSeries::Outcome{});
    outcome->error = error;
  }
  add(outcome->duration, duration_bounds,
      std::max<std::int64_t>(0, nanoseconds(record.ended) - nanoseconds(record.started)));
  if (coming_) {
    add(outcome->input, token_bounds, usage.input_total());
    if (!series.embeddings) add(outcome->output, token_bounds, usage.output);
    add_tokens(series, usage);
  }

  auto cost = std::find_if(series.costs.begin(), series.costs.end(), [&](const CallSeries::Cost& c) {
    return c.status == record.status && c.source == record.cost_source;
  });
  if (cost == series.costs.end())
    cost = series.costs.insert(series.costs.end(), CallSeries::Cost{record.status, record.cost_source, {}});
  add(cost->total, std::max<std::int64_t>(0, record.usd.nanos()));

  if (folded) ++folded_;
  ++version_;
}

void Aggregate::add(const BudgetEvent& event) {
  bool folded = false;
  read_trace(event.traceparent, event.time);
  values_.clear();
  values_.push_back(unless_empty(event.path));
  values_.push_back(to_string(event.action));
  values_.push_back(to_string(event.dimension));
  values_.push_back(event.provider.empty() ? absent : provider_name(event.provider));
  values_.push_back(unless_empty(event.model));
  for (const std::string& tag : tags_) values_.push_back(tag_of(event.tags, tag));
  add(events_.at(values_, folded).total, 1);

  if (event.action == Action::threshold) {  // the only one that reports what was spent
    values_.clear();
    values_.push_back(unless_empty(event.path));
    values_.push_back(to_string(event.dimension));
    EventSeries& gauge = remaining_.at(values_, folded);
    std::int64_t left = 0;
    if (!__builtin_sub_overflow(event.cap, event.projected, &left) && nanoseconds(event.time) >= gauge.time) {
      gauge.total.value = left;
      gauge.time = nanoseconds(event.time);
    }
  }
  if (folded) ++folded_;
  ++version_;
}

void Aggregate::forget_exemplars(std::uint64_t up_to) {
  const auto forget = [up_to](Exemplar& exemplar) {
    if (exemplar.order <= up_to) exemplar.order = 0;
  };
  const auto forget_all = [&](Histogram& histogram) {
    if (histogram.exemplars)
      for (Exemplar& exemplar : *histogram.exemplars) forget(exemplar);
  };
  for (CallSeries& series : calls_.all()) {
    forget_all(series.input);
    forget_all(series.output);
    for (CallSeries::Outcome& outcome : series.outcomes) {
      forget_all(outcome.duration);
      forget_all(outcome.input);
      forget_all(outcome.output);
    }
    for (CallSeries::Cost& cost : series.costs) forget(cost.total.exemplar);
  }
  for (EventSeries& series : events_.all()) forget(series.total.exemplar);
}

}  // namespace outlay::detail
