#include "price_json.hpp"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "outlay/error.hpp"
#include "outlay/log.hpp"
#include "outlay/price.hpp"

namespace outlay::detail {

namespace {

namespace json = boost::json;

__extension__ using Wide = unsigned __int128;

// ---- a document as a flat list of events, with the exact text of its numbers

enum class Kind : std::uint8_t { object, array, key, string, number, boolean, null };

struct Event {
  std::string_view text;   // of keys, strings, numbers and booleans
  std::uint32_t next = 0;  // the index behind this value
  Kind kind = Kind::null;
};

struct Tape {
  std::vector<Event> events;
  std::deque<std::string> copies;  // texts that the input does not hold in one piece: those with escapes
};

class TapeHandler {
 public:
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = 1u << 16;
  static constexpr std::size_t max_string_size = 1u << 20;

  TapeHandler(Tape& tape, std::string_view input) : tape_(tape), input_(input) {}

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) { return open(Kind::object); }
  bool on_object_end(std::size_t, json::error_code&) { return close(); }
  bool on_array_begin(json::error_code&) { return open(Kind::array); }
  bool on_array_end(std::size_t, json::error_code&) { return close(); }
  bool on_key_part(json::string_view part, std::size_t, json::error_code&) { return collect(part); }
  bool on_key(json::string_view part, std::size_t, json::error_code&) { return text(Kind::key, part); }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) { return collect(part); }
  bool on_string(json::string_view part, std::size_t, json::error_code&) { return text(Kind::string, part); }
  bool on_number_part(json::string_view part, json::error_code&) { return collect(part); }
  bool on_int64(std::int64_t, json::string_view part, json::error_code&) { return text(Kind::number, part); }
  bool on_uint64(std::uint64_t, json::string_view part, json::error_code&) { return text(Kind::number, part); }
  bool on_double(double, json::string_view part, json::error_code&) { return text(Kind::number, part); }
  bool on_bool(bool value, json::error_code&) { return plain(Kind::boolean, value ? "true" : "false"); }
  bool on_null(json::error_code&) { return plain(Kind::null, {}); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  bool open(Kind kind) {
    open_.push_back(tape_.events.size());
    tape_.events.push_back({{}, 0, kind});
    return true;
  }
  bool close() {
    tape_.events[open_.back()].next = here();
    open_.pop_back();
    return true;
  }
  bool plain(Kind kind, std::string_view name) {
    tape_.events.push_back({name, here() + 1, kind});
    return true;
  }
  bool collect(json::string_view part) {
    parts_.append(part.data(), part.size());
    return true;
  }
  bool text(Kind kind, json::string_view part) {
    std::string_view whole(part.data(), part.size());
    const std::less<> before;
    const bool in_input =
        !before(whole.data(), input_.data()) && !before(input_.data() + input_.size(), whole.data() + whole.size());
    if (!parts_.empty() || !in_input) {
      parts_.append(whole);
      whole = tape_.copies.emplace_back(std::move(parts_));
      parts_.clear();
    }
    tape_.events.push_back({whole, here() + 1, kind});
    return true;
  }
  [[nodiscard]] std::uint32_t here() const noexcept { return static_cast<std::uint32_t>(tape_.events.size()); }

  Tape& tape_;
  std::string_view input_;
  std::string parts_;
  std::vector<std::size_t> open_;
};

[[noreturn]] void refuse(std::string_view file, const std::string& what) {
  throw ConfigError("price table " + printable_name(file) + ": " + what);
}

void read_tape(std::string_view text, std::string_view file, Tape& tape) {
  if (text.size() > max_price_file)
    refuse(file,
           "has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(max_price_file) + " are read");
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  tape.events.reserve(text.size() / 14);
  json::basic_parser<TapeHandler> parser(json::parse_options{}, tape, text);
  json::error_code ec;
  const std::size_t read = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && text.find_first_not_of(" \t\r\n", read) != std::string_view::npos) ec = json::error::extra_data;
  if (ec) refuse(file, "not JSON at byte " + std::to_string(read) + ": " + ec.message());
  if (tape.events.empty() || tape.events.front().kind != Kind::object)
    refuse(file, "the document is not a JSON object");
}

/// The members of an object, in order.
class Members {
 public:
  struct Member {
    std::string_view key;
    std::uint32_t value;
  };
  class Iterator {
   public:
    Iterator(const Tape& tape, std::uint32_t at) noexcept : tape_(&tape), at_(at) {}
    Member operator*() const noexcept { return {tape_->events[at_].text, at_ + 1}; }
    Iterator& operator++() noexcept {
      at_ = tape_->events[at_ + 1].next;
      return *this;
    }
    bool operator==(const Iterator& other) const noexcept { return at_ == other.at_; }

   private:
    const Tape* tape_;
    std::uint32_t at_;
  };
  Members(const Tape& tape, std::uint32_t object) noexcept : tape_(tape), object_(object) {}
  [[nodiscard]] Iterator begin() const noexcept { return {tape_, object_ + 1}; }
  [[nodiscard]] Iterator end() const noexcept { return {tape_, tape_.events[object_].next}; }

 private:
  const Tape& tape_;
  std::uint32_t object_;
};

constexpr int picos_per_dollar = 12;  // as a power of ten
constexpr int nanos_per_dollar = 9;
constexpr int picos_per_dollar_a_million = 6;

/// a * b / c, half to even; empty on overflow.
std::optional<std::int64_t> scaled(std::int64_t a, std::int64_t b, std::int64_t c) noexcept {
  const Wide product = static_cast<Wide>(static_cast<std::uint64_t>(a)) * static_cast<std::uint64_t>(b);
  const auto divisor = static_cast<std::uint64_t>(c);
  Wide quotient = product / divisor;
  const auto rest = static_cast<std::uint64_t>(product % divisor);
  const std::uint64_t other = divisor - rest;
  if (rest != 0 && (rest > other || (rest == other && (quotient & 1) != 0))) ++quotient;
  if (quotient > static_cast<Wide>(INT64_MAX)) return std::nullopt;
  return static_cast<std::int64_t>(quotient);
}

// ---- LiteLLM

enum class Bucket : std::uint8_t {
  input,
  output,
  cache_read,
  cache_write,
  cache_write_1h,
  reasoning,
  input_audio,
  output_audio,
  input_image,
  output_image,
  cache_read_audio,
  count,
};
constexpr std::size_t buckets = static_cast<std::size_t>(Bucket::count);

enum class FieldKind : std::uint8_t {
  ignored,
  rate,
  cache_hit,    // an older name of the cache_read rate
  request_fee,  // a call or query
  web_search,
  max_input,
  max_output,
  max_tokens,  // an older name of max_output_tokens
  provider,
  tiered_pricing,
  multipliers,    // provider_specific_entry
  multiplier_eu,  // regional_processing_uplift_multiplier_eu
  multiplier_us,
  other_cost,  // by the second, image, page: what no token count tells
};

struct Field {
  FieldKind kind = FieldKind::ignored;
  Bucket bucket = Bucket::input;
  std::int64_t above = 0;
  std::string_view service_tier;
};

Field rate_field(std::string_view key) noexcept {
  static constexpr std::pair<std::string_view, Bucket> roots[] = {
      {"input_cost_per_token", Bucket::input},
      {"output_cost_per_token", Bucket::output},
      {"cache_read_input_token_cost", Bucket::cache_read},
      {"cache_creation_input_token_cost", Bucket::cache_write},
      {"output_cost_per_reasoning_token", Bucket::reasoning},
      {"input_cost_per_audio_token", Bucket::input_audio},
      {"output_cost_per_audio_token", Bucket::output_audio},
      {"input_cost_per_image_token", Bucket::input_image},
      {"output_cost_per_image_token", Bucket::output_image},
      {"cache_read_input_audio_token_cost", Bucket::cache_read_audio},
  };
  static constexpr std::pair<std::string_view, std::string_view> service_tiers[] = {
      {"", ""},          {"_batches", "batch"},       {"_flex", "flex"}, {"_priority", "priority"},
      {"_fast", "fast"}, {"_ultrafast", "ultrafast"},
  };
  for (const auto& [root, bucket] : roots) {
    if (!key.starts_with(root)) continue;
    Field field{FieldKind::rate, bucket, 0, {}};
    std::string_view rest = key.substr(root.size());
    if (bucket == Bucket::cache_write && rest.starts_with("_above_1hr")) {
      field.bucket = Bucket::cache_write_1h;
      rest.remove_prefix(10);
    }
    if (rest.starts_with("_above_")) {
      std::size_t at = 7;
      std::int64_t thousands = 0;
      for (; at < rest.size() && at < 14 && rest[at] >= '0' && rest[at] <= '9'; ++at)
        thousands = thousands * 10 + (rest[at] - '0');
      if (at == 7 || !rest.substr(at).starts_with("k_tokens")) return {FieldKind::other_cost, bucket, 0, {}};
      field.above = thousands * 1000;
      rest.remove_prefix(at + 8);
    }
    for (const auto& [suffix, name] : service_tiers)
      if (rest == suffix) {
        field.service_tier = name;
        return field;
      }
    return {FieldKind::other_cost, bucket, 0, {}};
  }
  return {FieldKind::other_cost, Bucket::input, 0, {}};
}

Field classify(std::string_view key) noexcept {
  static constexpr std::pair<std::string_view, FieldKind> names[] = {
      {"litellm_provider", FieldKind::provider},
      {"max_input_tokens", FieldKind::max_input},
      {"max_output_tokens", FieldKind::max_output},
      {"max_tokens", FieldKind::max_tokens},
      {"tiered_pricing", FieldKind::tiered_pricing},
      {"provider_specific_entry", FieldKind::multipliers},
      {"regional_processing_uplift_multiplier_eu", FieldKind::multiplier_eu},
      {"regional_processing_uplift_multiplier_us", FieldKind::multiplier_us},
      {"search_context_cost_per_query", FieldKind::web_search},
      {"input_cost_per_token_cache_hit", FieldKind::cache_hit},
      {"input_cost_per_request", FieldKind::request_fee},
      {"input_cost_per_query", FieldKind::request_fee},
      // In Databricks' own units, beside the same rates in dollars.
      {"input_dbu_cost_per_token", FieldKind::ignored},
      {"output_dbu_cost_per_token", FieldKind::ignored},
  };
  for (const auto& [name, kind] : names)
    if (key == name) return {kind, Bucket::input, 0, {}};
  if (key.find("cost") == std::string_view::npos) return {};
  return rate_field(key);
}

class LiteLlmReader {
 public:
  LiteLlmReader(const Tape& tape, std::string_view file) : tape_(tape), file_(file) {}

  std::vector<PriceEntry> read() {
    std::vector<PriceEntry> entries;
    for (const auto [name, value] : Members(tape_, 0)) {
      // Two members of the file are about the file, not models.
      if (name == "sample_spec" || name == "fallback_generalizations" || name.empty()) continue;
      if (tape_.events[value].kind != Kind::object) continue;
      ++models_;
      PriceEntry entry{std::string(name), {}, false};
      if (read_model(entry, value)) entries.push_back(std::move(entry));
    }
    return entries;
  }
  [[nodiscard]] std::size_t models() const noexcept { return models_; }

 private:
  using Row = std::array<std::int64_t, buckets>;  // pico-dollars a token; absent: none
  static constexpr std::int64_t none = -1;
  // Of one model. The file's own have a dozen at most; every tier is made for every step, and each is looked for among all.
  static constexpr std::size_t max_columns = 64;

  struct Column {
    std::string_view service_tier;
    std::int64_t above = 0;
    Row row{};
  };

  bool read_model(PriceEntry& entry, std::uint32_t object) {
    columns_.clear();
    model_ = entry.name;
    unpriceable_ = false;
    bool other_cost = false;
    std::int64_t cache_hit = none;
    std::optional<std::int64_t> max_tokens;
    std::uint32_t tiered = 0, multipliers = 0;
    std::int64_t multiplier_eu = 0, multiplier_us = 0;
    Price& price = entry.price;

    for (const auto [key, value] : Members(tape_, object)) {
      const Field& field = field_of(key);
      switch (field.kind) {
        case FieldKind::ignored:
          break;
        case FieldKind::rate:
          if (const auto rate = number(entry, key, value, picos_per_dollar))
            column(field.service_tier, field.above).row[static_cast<std::size_t>(field.bucket)] = *rate;
          break;
        case FieldKind::cache_hit:
          cache_hit = number(entry, key, value, picos_per_dollar).value_or(none);
          break;
        case FieldKind::request_fee:
          if (const auto fee = number(entry, key, value, nanos_per_dollar)) {
            std::int64_t sum = 0;
            if (__builtin_add_overflow(price.request.nanos(), *fee, &sum))
              refuse(file_, "model \"" + printable_name(entry.name) +
                                "\": its fees for a request are beyond 9.2 billion dollars");
            price.request = Usd::from_nanos(sum);
          }
          break;
        case FieldKind::web_search:
          price.web_search = web_search(entry, key, value);
          break;
        case FieldKind::max_input:
          price.max_input_tokens = limit(value);
          break;
        case FieldKind::max_output:
          price.max_output_tokens = limit(value);
          break;
        case FieldKind::max_tokens:
          max_tokens = limit(value);
          break;
        case FieldKind::provider:
          if (tape_.events[value].kind == Kind::string) price.provider = provider(tape_.events[value].text);
          break;
        case FieldKind::tiered_pricing:
          tiered = value;
          break;
        case FieldKind::multipliers:
          multipliers = value;
          break;
        case FieldKind::multiplier_eu:
          multiplier_eu = number(entry, key, value, picos_per_dollar).value_or(0);
          break;
        case FieldKind::multiplier_us:
          multiplier_us = number(entry, key, value, picos_per_dollar).value_or(0);
          break;
        case FieldKind::other_cost:
          if (const Event& event = tape_.events[value]; event.kind == Kind::number)
            other_cost |= event.text.find_first_of("123456789") < event.text.find_first_of("eE");
          break;
      }
    }
    if (!price.max_output_tokens) price.max_output_tokens = max_tokens;
    if (tiered != 0) read_tiered_pricing(entry, tiered);

    Row base = column({}, 0).row;
    if (at(base, Bucket::cache_read) == none) at(base, Bucket::cache_read) = cache_hit;
    if (at(base, Bucket::input) == none) {
      // Priced by the second, image or page, or not at all: unknown, which is not free.
      if (price.request == Usd{}) return false;
      at(base, Bucket::input) = 0;
    }
    if (at(base, Bucket::output) == none) at(base, Bucket::output) = at(base, Bucket::input);
    const bool free = std::all_of(base.begin(), base.end(), [](std::int64_t rate) { return rate <= 0; });
    if (free && other_cost && price.request == Usd{}) return false;

    price.rates = to_rates(base);
    add_tiers(entry, base);
    if (multipliers != 0 && tape_.events[multipliers].kind == Kind::object)
      for (const auto [key, value] : Members(tape_, multipliers))
        if (key == "us" || key == "eu" || key == "fast")
          if (const auto factor = number(entry, key, value, picos_per_dollar)) add_multiplied(entry, key, *factor);
    add_multiplied(entry, "eu", multiplier_eu);
    add_multiplied(entry, "us", multiplier_us);
    return !unpriceable_;
  }

  /// The file names one provider's interfaces apart.
  static std::string provider(std::string_view name) {
    if (name.starts_with("vertex_ai")) return "vertex_ai";
    if (name == "bedrock_converse") return "bedrock";
    if (name == "cohere_chat") return "cohere";
    if (name == "text-completion-openai") return "openai";
    return std::string(name);
  }

  static std::int64_t& at(Row& row, Bucket bucket) noexcept { return row[static_cast<std::size_t>(bucket)]; }
  static std::int64_t at(const Row& row, Bucket bucket) noexcept { return row[static_cast<std::size_t>(bucket)]; }

  const Field& field_of(std::string_view key) {
    // The few hundred names come again in every model. The bound is for files that are not what they seem.
    if (fields_.size() >= 4096) fields_.clear();
    auto [known, inserted] = fields_.try_emplace(key);
    if (inserted) known->second = classify(key);
    return known->second;
  }

  Column& column(std::string_view service_tier, std::int64_t above) {
    for (auto& one : columns_)
      if (one.above == above && one.service_tier == service_tier) return one;
    if (columns_.size() == max_columns)
      refuse(file_, "model \"" + printable_name(model_) + "\": more than " + std::to_string(max_columns) +
                        " service tiers and steps for long inputs");
    Column& added = columns_.emplace_back(Column{service_tier, above, {}});
    added.row.fill(none);
    return added;
  }
  const Column* find_column(std::string_view service_tier, std::int64_t above) const noexcept {
    for (const auto& one : columns_)
      if (one.above == above && one.service_tier == service_tier) return &one;
    return nullptr;
  }

  /// Empty for null. A price below zero means "varies", which makes the entry unknown; other texts are
  /// errors.
  std::optional<std::int64_t> number(PriceEntry& entry, std::string_view key, std::uint32_t value, int scale) {
    const Event& event = tape_.events[value];
    if (event.kind == Kind::null) return std::nullopt;
    if (event.kind == Kind::number || event.kind == Kind::string) {
      if (const auto decimal = scaled_decimal(event.text, scale)) {
        entry.rounded |= decimal->rounded;
        return decimal->value;
      }
      if (event.text.starts_with('-') && scaled_decimal(event.text.substr(1), scale)) {
        unpriceable_ = true;
        return std::nullopt;
      }
    }
    refuse(file_, "model \"" + printable_name(entry.name) + "\": " + printable_name(key) +
                      " is not a price in dollars that can be held (0 to 9.2 million)");
  }

  std::optional<std::int64_t> limit(std::uint32_t value) const noexcept {
    const Event& event = tape_.events[value];
    if (event.kind != Kind::number) return std::nullopt;
    const auto decimal = scaled_decimal(event.text, 0);
    return decimal && decimal->value > 0 ? std::optional(decimal->value) : std::nullopt;
  }

  /// The medium size where it says more than one; the dearest of those that it does say otherwise.
  Usd web_search(PriceEntry& entry, std::string_view key, std::uint32_t value) {
    const Event& event = tape_.events[value];
    if (event.kind != Kind::object) return Usd::from_nanos(number(entry, key, value, nanos_per_dollar).value_or(0));
    std::int64_t dearest = 0;
    for (const auto [size, fee] : Members(tape_, value)) {
      const auto nanos = number(entry, size, fee, nanos_per_dollar);
      if (nanos && size == "search_context_size_medium") return Usd::from_nanos(*nanos);
      dearest = std::max(dearest, nanos.value_or(0));
    }
    return Usd::from_nanos(dearest);
  }

  /// A list of {range: [above, up to], rates}: the first is the base, the others are steps.
  void read_tiered_pricing(PriceEntry& entry, std::uint32_t list) {
    if (tape_.events[list].kind != Kind::array) return;
    bool first = true;
    for (std::uint32_t i = list + 1; i < tape_.events[list].next; i = tape_.events[i].next) {
      if (tape_.events[i].kind != Kind::object) continue;
      std::int64_t above = 0;
      for (const auto [key, value] : Members(tape_, i))
        if (key == "range" && tape_.events[value].kind == Kind::array && value + 1 < tape_.events[value].next)
          above = limit(value + 1).value_or(0);
      Row& row = column({}, first ? 0 : above).row;
      first = false;
      for (const auto [key, value] : Members(tape_, i)) {
        const Field& field = field_of(key);
        if (field.kind == FieldKind::rate && field.above == 0 && field.service_tier.empty())
          if (const auto rate = number(entry, key, value, picos_per_dollar)) at(row, field.bucket) = *rate;
      }
    }
  }

  static Rates to_rates(const Row& row) noexcept {
    const auto rate = [&](Bucket bucket) -> std::optional<Rate> {
      const std::int64_t picos = at(row, bucket);
      return picos == none ? std::nullopt : std::optional(Rate::from_picos(picos));
    };
    return {.input = Rate::from_picos(at(row, Bucket::input)),
            .output = Rate::from_picos(at(row, Bucket::output)),
            .cache_read = rate(Bucket::cache_read),
            .cache_write = rate(Bucket::cache_write),
            .cache_write_1h = rate(Bucket::cache_write_1h),
            .reasoning = rate(Bucket::reasoning),
            .input_audio = rate(Bucket::input_audio),
            .output_audio = rate(Bucket::output_audio),
            .input_image = rate(Bucket::input_image),
            .output_image = rate(Bucket::output_image),
            .cache_read_audio = rate(Bucket::cache_read_audio)};
  }

  void add_tiers(PriceEntry& entry, const Row& base) {
    std::vector<std::int64_t> thresholds;
    std::vector<std::string_view> service_tiers;
    for (const auto& one : columns_) {
      if (one.above != 0 && std::find(thresholds.begin(), thresholds.end(), one.above) == thresholds.end())
        thresholds.push_back(one.above);
      if (!one.service_tier.empty() &&
          std::find(service_tiers.begin(), service_tiers.end(), one.service_tier) == service_tiers.end())
        service_tiers.push_back(one.service_tier);
    }
    std::sort(thresholds.begin(), thresholds.end());
    std::sort(service_tiers.begin(), service_tiers.end());
    const bool inclusive = entry.price.provider == "xai";
    const auto add = [&](std::string_view tier, std::int64_t above, const Row& row) {
      entry.price.tiers.push_back({std::string(tier), above, inclusive && above != 0, to_rates(row)});
    };

    std::vector<Row> steps;
    for (const std::int64_t above : thresholds) {
      Row row = base;
      if (const auto* own = find_column({}, above)) overlay(row, own->row);
      at(row, Bucket::cache_write_1h) = at(base, Bucket::cache_write_1h) == none
                                            ? none
                                            : std::max(at(row, Bucket::cache_write_1h), at(row, Bucket::cache_write));
      add({}, above, row);
      steps.push_back(row);
    }
    for (const auto tier : service_tiers) {
      Row row = base;
      if (tier == "batch") {
        // Halved or so as a whole; a cache discount on top is not a given, a surcharge is.
        at(row, Bucket::cache_read) = none;
        at(row, Bucket::cache_read_audio) = none;
      }
      if (const auto* own = find_column(tier, 0)) {
        if (at(own->row, Bucket::output) != none) at(row, Bucket::reasoning) = none;
        overlay(row, own->row);
        if (tier == "batch")
          for (const Bucket bucket : {Bucket::cache_write, Bucket::cache_write_1h})
            if (at(base, bucket) != none && at(own->row, bucket) == none)
              at(row, bucket) = in_ratio(entry, at(base, bucket), at(row, Bucket::input), at(base, Bucket::input));
      }
      add(tier, 0, row);
      for (std::size_t i = 0; i < thresholds.size(); ++i) {
        // Where the file has both, a tier changes a step by the same factor as the base; so where it lacks
        // one, it is made.
        Row step = steps[i];
        for (std::size_t b = 0; b < buckets; ++b)
          step[b] = row[b] == none || step[b] == none ? row[b] : in_ratio(entry, steps[i][b], row[b], base[b]);
        if (const auto* own = find_column(tier, thresholds[i])) overlay(step, own->row);
        add(tier, thresholds[i], step);
      }
    }
  }

  static void overlay(Row& row, const Row& own) noexcept {
    for (std::size_t b = 0; b < buckets; ++b)
      if (own[b] != none) row[b] = own[b];
  }

  /// rate * numerator / denominator; a rate of nothing scales to the numerator.
  std::int64_t in_ratio(PriceEntry& entry, std::int64_t rate, std::int64_t numerator, std::int64_t denominator) const {
    if (denominator <= 0) return std::max(rate, numerator);
    const auto result = scaled(rate, numerator, denominator);
    if (!result)
      refuse(file_, "model \"" + printable_name(entry.name) + "\": a rate is beyond 9.2 million dollars a token");
    return *result;
  }

  /// A service tier whose rates are the default ones times a factor (in millionths of a millionth).
  void add_multiplied(PriceEntry& entry, std::string_view tier, std::int64_t factor) const {
    if (factor <= 0) return;
    auto& tiers = entry.price.tiers;
    if (std::any_of(tiers.begin(), tiers.end(), [&](const auto& one) { return one.service_tier == tier; })) return;
    const auto times = [&](Rates rates) {
      const auto apply = [&](Rate& rate) {
        const auto picos = scaled(rate.picos(), factor, 1'000'000'000'000);
        if (!picos)
          refuse(file_, "model \"" + printable_name(entry.name) + "\": a rate is beyond 9.2 million dollars a token");
        rate = Rate::from_picos(*picos);
      };
      apply(rates.input);
      apply(rates.output);
      for (auto* rate :
           {&rates.cache_read, &rates.cache_write, &rates.cache_write_1h, &rates.reasoning, &rates.input_audio,
            &rates.output_audio, &rates.input_image, &rates.output_image, &rates.cache_read_audio})
        if (*rate) apply(**rate);
      return rates;
    };
    std::vector<Price::Tier> added;
    added.push_back({std::string(tier), 0, false, times(entry.price.rates)});
    for (const auto& step : tiers)
      if (step.service_tier.empty())
        added.push_back({std::string(tier), step.above_input_tokens, step.inclusive, times(step.rates)});
    tiers.insert(tiers.end(), added.begin(), added.end());
  }

  const Tape& tape_;
  std::string_view file_;
  std::unordered_map<std::string_view, Field> fields_;
  std::vector<Column> columns_;
  std::string_view model_;  // whose columns they are
  std::size_t models_ = 0;
  bool unpriceable_ = false;
};

// ---- the library's own format

class PriceReader {
 public:
  PriceReader(const Tape& tape, std::string_view file) : tape_(tape), file_(file) {}

  std::shared_ptr<const PriceBook> read() {
    std::string format, version, source;
    std::optional<std::chrono::sys_days> as_of;
    std::uint32_t models = 0, deployments = 0;
    for (const auto [key, value] : Members(tape_, 0)) {
      if (key == "format")
        format = text("format", value);
      else if (key == "version")
        version = text("version", value);
      else if (key == "source")
        source = text("source", value);
      else if (key == "as_of")
        as_of = date(value);
      else if (key == "models")
        models = object("models", value);
      else if (key == "deployments")
        deployments = object("deployments", value);
      else if (key != "$schema")
        unknown("the table", key);
    }
    if (format != "outlay-prices-1")
      refuse(file_, "\"format\" is \"" + printable_name(format) + "\"; this library reads \"outlay-prices-1\"");
    if (models == 0) refuse(file_, "\"models\" is missing");

    std::vector<PriceEntry> entries;
    for (const auto [name, value] : Members(tape_, models)) {
      where_ = "model \"" + printable_name(name) + "\"";
      if (name.empty()) refuse(file_, "a model has an empty name");
      entries.push_back(model(name, object("the model", value)));
    }
    auto book = make_price_book(std::move(entries), std::move(version), std::move(source), as_of);
    if (deployments != 0)
      for (const auto [name, value] : Members(tape_, deployments)) {
        where_ = "deployment \"" + printable_name(name) + "\"";
        if (name.empty()) refuse(file_, "a deployment has an empty name");
        const auto like = text("its model", value);
        if (!book->deploy(std::string(name), like))
          refuse(file_, where_ + ": its model \"" + printable_name(like) + "\" is not in the table");
      }
    return book;
  }

 private:
  PriceEntry model(std::string_view name, std::uint32_t members) {
    PriceEntry entry{std::string(name), {}, false};
    Price& price = entry.price;
    RateReader rates(*this, entry, price.rates);
    for (const auto [key, value] : Members(tape_, members)) {
      if (rates.read(key, value)) continue;
      if (key == "provider")
        price.provider = text(key, value);
      else if (key == "web_search")
        price.web_search = dollars(entry, key, value);
      else if (key == "request")
        price.request = dollars(entry, key, value);
      else if (key == "max_input_tokens")
        price.max_input_tokens = count(key, value);
      else if (key == "max_output_tokens")
        price.max_output_tokens = count(key, value);
      else if (key == "tiers")
        tiers(entry, value);
      else
        unknown(where_, key);
    }
    rates.finish();
    return entry;
  }

  void tiers(PriceEntry& entry, std::uint32_t list) {
    if (tape_.events[list].kind != Kind::array) refuse(file_, where_ + ": \"tiers\" is not an array");
    for (std::uint32_t i = list + 1; i < tape_.events[list].next; i = tape_.events[i].next) {
      Price::Tier tier;
      RateReader rates(*this, entry, tier.rates);
      for (const auto [key, value] : Members(tape_, object("a tier", i))) {
        if (rates.read(key, value)) continue;
        if (key == "service_tier")
          tier.service_tier = text(key, value);
        else if (key == "above_input_tokens")
          tier.above_input_tokens = count(key, value);
        else if (key == "inclusive")
          tier.inclusive = boolean(key, value);
        else
          unknown(where_ + ", a tier", key);
      }
      rates.finish();
      if (tier.service_tier.empty() && tier.above_input_tokens == 0)
        refuse(file_,
               where_ + ": a tier has neither \"service_tier\" nor \"above_input_tokens\", so it would always apply");
      entry.price.tiers.push_back(std::move(tier));
    }
  }

  /// The members that are rates, in dollars a million tokens.
  class RateReader {
   public:
    RateReader(PriceReader& reader, PriceEntry& entry, Rates& rates) : reader_(reader), entry_(entry), rates_(rates) {}

    bool read(std::string_view key, std::uint32_t value) {
      if (key == "input" || key == "output") {
        (key == "input" ? has_input_ : has_output_) = true;
        (key == "input" ? rates_.input : rates_.output) = rate(key, value);
        return true;
      }
      const std::pair<std::string_view, std::optional<Rate>*> others[] = {
          {"cache_read", &rates_.cache_read},
          {"cache_write", &rates_.cache_write},
          {"cache_write_1h", &rates_.cache_write_1h},
          {"reasoning", &rates_.reasoning},
          {"input_audio", &rates_.input_audio},
          {"output_audio", &rates_.output_audio},
          {"input_image", &rates_.input_image},
          {"output_image", &rates_.output_image},
          {"cache_read_audio", &rates_.cache_read_audio},
      };
      for (const auto& [name, member] : others)
        if (key == name) {
          *member = rate(key, value);
          return true;
        }
      return false;
    }
    /// A rate that was forgotten must not be zero.
    void finish() const {
      if (!has_input_ || !has_output_)
        refuse(reader_.file_, reader_.where_ + ": \"" + (has_input_ ? "output" : "input") +
                                  "\" is missing; write \"0\" for what costs nothing");
    }

   private:
    Rate rate(std::string_view key, std::uint32_t value) {
      return Rate::from_picos(reader_.decimal(entry_, key, value, picos_per_dollar_a_million));
    }
    PriceReader& reader_;
    PriceEntry& entry_;
    Rates& rates_;
    bool has_input_ = false, has_output_ = false;
  };

  std::int64_t decimal(PriceEntry& entry, std::string_view key, std::uint32_t value, int scale) {
    const Event& event = tape_.events[value];
    const bool fits = event.kind == Kind::number || event.kind == Kind::string;
    const auto number = fits ? scaled_decimal(event.text, scale) : std::nullopt;
    if (!number)
      refuse(file_, where_ + ": \"" + printable_name(key) +
                        "\" must be dollars as a decimal number or string, not negative and not beyond what "
                        "can be held");
    entry.rounded |= number->rounded;
    return number->value;
  }
  Usd dollars(PriceEntry& entry, std::string_view key, std::uint32_t value) {
    return Usd::from_nanos(decimal(entry, key, value, nanos_per_dollar));
  }
  std::int64_t count(std::string_view key, std::uint32_t value) const {
    const Event& event = tape_.events[value];
    const auto number = event.kind == Kind::number ? scaled_decimal(event.text, 0) : std::nullopt;
    if (!number || number->rounded)
      refuse(file_, where_ + ": \"" + printable_name(key) + "\" must be a whole number of tokens, 0 or more");
    return number->value;
  }
  bool boolean(std::string_view key, std::uint32_t value) const {
    const Event& event = tape_.events[value];
    if (event.kind != Kind::boolean) refuse(file_, where_ + ": \"" + printable_name(key) + "\" must be true or false");
    return event.text == "true";
  }
  std::string text(std::string_view key, std::uint32_t value) const {
    if (tape_.events[value].kind != Kind::string)
      refuse(file_, where_ + ": \"" + printable_name(key) + "\" must be a string");
    return std::string(tape_.events[value].text);
  }
  std::uint32_t object(std::string_view key, std::uint32_t value) const {
    if (tape_.events[value].kind != Kind::object)
      refuse(file_, where_ + ": \"" + printable_name(key) + "\" must be an object");
    return value;
  }
  std::chrono::sys_days date(std::uint32_t value) const {
    const std::string day = text("as_of", value);
    int parts[3] = {};
    bool good = day.size() == 10 && day[4] == '-' && day[7] == '-';
    for (std::size_t i = 0; good && i < day.size(); ++i) {
      if (i == 4 || i == 7) continue;
      good = day[i] >= '0' && day[i] <= '9';
      int& part = parts[i < 4 ? 0 : i < 7 ? 1 : 2];
      part = part * 10 + (day[i] - '0');
    }
    const std::chrono::year_month_day date{std::chrono::year(parts[0]),
                                           std::chrono::month(static_cast<unsigned>(parts[1])),
                                           std::chrono::day(static_cast<unsigned>(parts[2]))};
    if (!good || !date.ok())
      refuse(file_, "\"as_of\" is \"" + printable_name(day) + "\"; write a date such as 2026-08-01");
    return date;
  }
  [[noreturn]] void unknown(const std::string& where, std::string_view key) const {
    refuse(file_,
           where + ": \"" + printable_name(key) + "\" is not a member of the format (see price_table.schema.json)");
  }

  const Tape& tape_;
  std::string_view file_;
  std::string where_ = "the table";
};

/// Tells two files apart; not meant to stand up to someone who wants them to look the same.
std::string fingerprint(std::string_view text) {
  std::uint64_t hash = 0x9e3779b97f4a7c15u ^ text.size();
  while (!text.empty()) {
    std::uint64_t word = 0;
    const std::size_t n = std::min(text.size(), sizeof word);
    std::memcpy(&word, text.data(), n);
    text.remove_prefix(n);
    hash = (hash ^ word) * 0xff51afd7ed558ccdu;
    hash ^= hash >> 32;
  }
  std::string hex(16, '0');
  for (char& digit : hex) {
    digit = "0123456789abcdef"[hash >> 60];
    hash <<= 4;
  }
  return hex;
}

}  // namespace

std::optional<ScaledDecimal> scaled_decimal(std::string_view text, int scale) noexcept {
  std::size_t i = 0;
  Wide digits = 0;
  int exponent = scale;
  bool any = false, point = false, lost = false;
  constexpr Wide most = static_cast<Wide>(1) << 120;  // leaves room for one more digit
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    any = true;
    if (digits < most) {
      digits = digits * 10 + static_cast<unsigned>(c - '0');
      if (point && exponent > -100'000) --exponent;
    } else {  // far beyond what is held: only whether something was there matters
      lost |= c != '0';
      if (!point && exponent < 100'000) ++exponent;
    }
  }
  if (!any) return std::nullopt;
  if (i < text.size()) {
    if (text[i] != 'e' && text[i] != 'E') return std::nullopt;
    ++i;
    bool negative = false;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) negative = text[i++] == '-';
    int power = 0;
    const std::size_t first = i;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i)
      if (power < 100'000) power = power * 10 + (text[i] - '0');
    if (i == first || i != text.size()) return std::nullopt;
    exponent += negative ? -power : power;
  }
  if (digits == 0) return ScaledDecimal{};
  for (; exponent > 0; --exponent) {
    if (digits > static_cast<Wide>(INT64_MAX)) return std::nullopt;
    digits *= 10;
  }
  if (exponent < 0) {
    // The last digit that goes decides, together with whether anything went before it.
    unsigned last = 0;
    for (; exponent < 0 && (digits != 0 || last != 0); ++exponent) {
      lost |= last != 0;
      last = static_cast<unsigned>(digits % 10);
      digits /= 10;
    }
    if (last > 5 || (last == 5 && (lost || (digits & 1) != 0))) ++digits;
    lost |= last != 0;
  }
  if (digits > static_cast<Wide>(INT64_MAX)) return std::nullopt;
  return ScaledDecimal{static_cast<std::int64_t>(digits), lost};
}

std::shared_ptr<const PriceBook> read_litellm(std::string_view text, std::string_view file) {
  Tape tape;
  read_tape(text, file, tape);
  LiteLlmReader reader(tape, file);
  auto entries = reader.read();
  if (entries.empty())
    refuse(file, "none of its " + std::to_string(reader.models()) +
                     " models has a price per token or request; is it LiteLLM's "
                     "model_prices_and_context_window.json?");
  const std::size_t left_out = reader.models() - entries.size();
  if (left_out != 0)
    log(LogLevel::info, "price table " + printable_name(file) + ": " + std::to_string(left_out) + " of " +
                            std::to_string(reader.models()) +
                            " models have no price per token or request and are unknown to the table");
  return make_price_book(std::move(entries), "litellm-" + fingerprint(text), "BerriAI/litellm, " + printable_name(file),
                         std::nullopt);
}

std::shared_ptr<const PriceBook> read_prices(std::string_view text, std::string_view file) {
  Tape tape;
  read_tape(text, file, tape);
  return PriceReader(tape, file).read();
}

namespace {

std::string read_file(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  std::ifstream in(path, std::ios::binary);
  std::error_code ec;
  if (!in || std::filesystem::is_directory(path, ec)) refuse(name, "cannot be opened for reading; check the path");
  std::string text;
  const auto size = std::filesystem::file_size(path, ec);
  if (!ec) text.reserve(static_cast<std::size_t>(std::min<std::uintmax_t>(size, max_price_file)) + 1);
  constexpr std::size_t piece = 1u << 18;
  while (in && text.size() <= max_price_file) {
    const std::size_t had = text.size();
    text.resize(had + piece);
    in.read(text.data() + had, piece);
    text.resize(had + static_cast<std::size_t>(in.gcount()));
  }
  if (in.bad()) refuse(name, "cannot be read to its end");
  return text;  // one byte too many is refused by whoever parses it
}

}  // namespace

}  // namespace outlay::detail

namespace outlay {

PriceTable PriceTable::load_litellm(const std::filesystem::path& path) {
  const std::string text = detail::read_file(path);
  PriceTable table;
  table.book_ = detail::read_litellm(text, path.filename().string());
  return table;
}

PriceTable PriceTable::load(const std::filesystem::path& path) {
  const std::string text = detail::read_file(path);
  PriceTable table;
  table.book_ = detail::read_prices(text, path.filename().string());
  return table;
}

}  // namespace outlay
