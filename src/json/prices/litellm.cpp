#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "decimal.hpp"
#include "formats.hpp"
#include "litellm_fields.hpp"
#include "litellm_tiers.hpp"
#include "outlay/log.hpp"
#include "tape.hpp"

namespace outlay::detail {

namespace {

using Kind = Tape::Kind;
using FieldKind = LiteLlmField::Kind;

class LiteLlmReader {
 public:
  LiteLlmReader(const Tape& tape, std::string_view file) : tape_(tape), file_(file), tiers_(file) {}

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
  bool read_model(PriceEntry& entry, std::uint32_t object) {
    tiers_.begin(entry.name);
    unpriceable_ = false;
    bool other_cost = false;
    std::int64_t cache_hit = RateRow::none;
    std::optional<std::int64_t> max_tokens;
    std::uint32_t tiered = 0, multipliers = 0;
    std::int64_t multiplier_eu = 0, multiplier_us = 0;
    Price& price = entry.price;

    for (const auto [key, value] : Members(tape_, object)) {
      const LiteLlmField& field = field_of(key);
      switch (field.kind) {
        case FieldKind::ignored:
          break;
        case FieldKind::rate:
          if (const auto rate = number(entry, key, value, picos_per_dollar))
            tiers_.column(field.service_tier, field.above)[field.bucket] = *rate;
          break;
        case FieldKind::cache_hit:
          cache_hit = number(entry, key, value, picos_per_dollar).value_or(RateRow::none);
          break;
        case FieldKind::request_fee:
          if (const auto fee = number(entry, key, value, nanos_per_dollar)) {
            std::int64_t sum = 0;
            if (__builtin_add_overflow(price.request.nanos(), *fee, &sum))
              refuse_prices(file_, "model \"" + printable_name(entry.name) +
                                       "\": its fees for a request are beyond 9.2 billion dollars");
            price.request = Usd::from_nanos(sum);
          }
          break;
        case FieldKind::web_search:
          if (const Usd fee = web_search(entry, key, value); fee > Usd{}) price.web_search = fee;
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
          if (const Tape::Event& event = tape_.events[value]; event.kind == Kind::number)
            other_cost |= event.text.find_first_of("123456789") < event.text.find_first_of("eE");
          break;
      }
    }
    if (!price.max_output_tokens) price.max_output_tokens = max_tokens;
    if (tiered != 0) read_tiered_pricing(entry, tiered);

    RateRow base = tiers_.column({}, 0);
    if (base[Bucket::cache_read] == RateRow::none) base[Bucket::cache_read] = cache_hit;
    if (base[Bucket::input] == RateRow::none) {
      // Priced by the second, image or page, or not at all: unknown, which is not free.
      if (price.request == Usd{}) return false;
      base[Bucket::input] = 0;
    }
    if (base[Bucket::output] == RateRow::none) base[Bucket::output] = base[Bucket::input];
    if (base.free() && other_cost && price.request == Usd{}) return false;

    price.rates = base.rates();
    tiers_.merge(price, base);
    if (multipliers != 0 && tape_.events[multipliers].kind == Kind::object)
      for (const auto [key, value] : Members(tape_, multipliers))
        if (key == "us" || key == "eu" || key == "fast")
          if (const auto factor = number(entry, key, value, picos_per_dollar)) tiers_.multiply(price, key, *factor);
    tiers_.multiply(price, "eu", multiplier_eu);
    tiers_.multiply(price, "us", multiplier_us);
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

  const LiteLlmField& field_of(std::string_view key) {
    // The few hundred names come again in every model. The bound is for files that are not LiteLLM's.
    if (fields_.size() >= 4096) fields_.clear();
    auto [known, inserted] = fields_.try_emplace(key);
    if (inserted) known->second = litellm_field(key);
    return known->second;
  }

  /// Empty for null. A price below zero means "varies", which makes the entry unknown; other texts are errors.
  std::optional<std::int64_t> number(PriceEntry& entry, std::string_view key, std::uint32_t value, int scale) {
    const Tape::Event& event = tape_.events[value];
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
    refuse_prices(file_, "model \"" + printable_name(entry.name) + "\": " + printable_name(key) +
                             " is not a price in dollars that can be held (0 to 9.2 million)");
  }

  std::optional<std::int64_t> limit(std::uint32_t value) const noexcept {
    const Tape::Event& event = tape_.events[value];
    if (event.kind != Kind::number) return std::nullopt;
    const auto decimal = scaled_decimal(event.text, 0);
    return decimal && decimal->value > 0 ? std::optional(decimal->value) : std::nullopt;
  }

  /// The medium size where it says more than one; the dearest of those that it does say otherwise.
  Usd web_search(PriceEntry& entry, std::string_view key, std::uint32_t value) {
    const Tape::Event& event = tape_.events[value];
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
      RateRow& row = tiers_.column({}, first ? 0 : above);
      first = false;
      for (const auto [key, value] : Members(tape_, i)) {
        const LiteLlmField& field = field_of(key);
        if (field.kind == FieldKind::rate && field.above == 0 && field.service_tier.empty())
          if (const auto rate = number(entry, key, value, picos_per_dollar)) row[field.bucket] = *rate;
      }
    }
  }

  const Tape& tape_;
  std::string_view file_;
  std::unordered_map<std::string_view, LiteLlmField> fields_;
  LiteLlmTiers tiers_;
  std::size_t models_ = 0;
  bool unpriceable_ = false;
};

/// Tells two files apart. Not safe against a file that was made to look like another.
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

std::shared_ptr<const PriceBook> read_litellm(std::string_view text, std::string_view file) {
  Tape tape;
  read_tape(text, file, tape);
  LiteLlmReader reader(tape, file);
  auto entries = reader.read();
  if (entries.empty())
    refuse_prices(file, "none of its " + std::to_string(reader.models()) +
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

}  // namespace outlay::detail
