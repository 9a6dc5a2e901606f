#include "core/pricing/rates.hpp"

#include <algorithm>
#include <utility>

namespace outlay::detail {

namespace {

constexpr std::int64_t max_short_request_nanos = 1'000'000'000'000'000;

bool same_name(std::string_view a, std::string_view b) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return lower(x) == lower(y); });
}

bool starts_with(std::string_view text, std::string_view head) noexcept {
  return text.size() >= head.size() && same_name(text.substr(0, head.size()), head);
}

// Enumerators of Gemini's serviceTier and trafficType.
std::string_view without_prefix(std::string_view tier) noexcept {
  for (const std::string_view prefix : {"SERVICE_TIER_", "ON_DEMAND_"})
    if (tier.size() > prefix.size() && starts_with(tier, prefix)) return tier.substr(prefix.size());
  return tier;
}

// Providers' words for the tier that a price list gives first.
bool is_default_tier(std::string_view tier) noexcept {
  for (const std::string_view name : {"", "default", "standard", "standard_only", "auto", "on_demand", "unspecified"})
    if (same_name(tier, name)) return true;
  return false;
}

// Providers' words for the same thing.
std::string_view other_name_of_tier(std::string_view tier) noexcept {
  if (same_name(tier, "fast")) return "priority";
  if (same_name(tier, "batches")) return "batch";
  return {};
}

// OpenAI, Google and Amazon sell both at half the price of the default tier ("Batch API", "Flex processing", "Gemini API pricing", "Amazon
// Bedrock pricing"); others sell batches so ("Batch processing" of Anthropic), and flex, if at all, at the price of the default tier
// (console.groq.com/docs/flex-processing).
bool is_sold_at_half(std::string_view tier, std::string_view provider) noexcept {
  if (same_name(tier, "batch") || same_name(tier, "batches")) return true;
  if (!same_name(tier, "flex")) return false;
  for (const std::string_view seller : {"openai", "gemini", "vertex_ai", "bedrock"})
    if (provider == seller) return true;
  return false;
}

// What raises every rate by the same factor, whatever the tier: where a call is computed.
bool is_place(std::string_view tier) noexcept { return same_name(tier, "us") || same_name(tier, "eu"); }

const PricedModel::ServiceTier* service_tier_of(const PricedModel& model, std::string_view tier) noexcept {
  for (const std::string_view name : {tier, other_name_of_tier(tier)}) {
    if (name.empty()) continue;
    for (const auto& one : model.tiers)
      if (same_name(one.name, name)) return &one;
  }
  return nullptr;
}

const FlatRates* step_of(const std::vector<PricedModel::Step>& steps, std::int64_t input) noexcept {
  for (const auto& step : steps)
    if (input >= step.from) return &step.rates;
  return nullptr;
}

}  // namespace

FlatRates::FlatRates(const Rates& rates) noexcept
    : input(rates.input.picos()),
      output(rates.output.picos()),
      cache_read(rates.cache_read.value_or(rates.input).picos()),
      cache_write(rates.cache_write.value_or(rates.input).picos()),
      cache_write_1h(rates.cache_write_1h ? rates.cache_write_1h->picos() : cache_write),
      reasoning(rates.reasoning.value_or(rates.output).picos()),
      input_audio(rates.input_audio.value_or(rates.input).picos()),
      input_image(rates.input_image.value_or(rates.input).picos()),
      cache_read_audio(rates.cache_read_audio ? rates.cache_read_audio->picos() : cache_read),
      output_audio(rates.output_audio.value_or(rates.output).picos()),
      output_image(rates.output_image.value_or(rates.output).picos()) {
  sum_up();
}

void FlatRates::sum_up() noexcept {
  worst_input = std::max(input, cache_write);
  worst_input_long = std::max(worst_input, cache_write_1h);
  worst_output = std::max({output, reasoning, output_audio, output_image});
  narrow = std::max({worst_input_long, cache_read, input_audio, input_image, cache_read_audio, worst_output}) <=
           max_narrow_rate;
}

PricedModel::PricedModel(std::string entry_name, const Price& entry_price, PriceRule matched, bool is_assumed,
                         bool is_own)
    : name(std::move(entry_name)),
      price(&entry_price),
      rule(matched),
      assumed(is_assumed),
      base(entry_price.rates),
      own(is_own) {
  for (const auto& tier : entry_price.tiers) {
    auto* into = &steps;
    if (!tier.service_tier.empty()) {
      auto at = std::find_if(tiers.begin(), tiers.end(),
                             [&](const ServiceTier& one) { return same_name(one.name, tier.service_tier); });
      if (at == tiers.end()) at = tiers.insert(at, ServiceTier{tier.service_tier, {}});
      into = &at->steps;
    }
    const std::int64_t threshold = tier.above_input_tokens;
    // "0: always" includes a call without any input.
    const std::int64_t from = threshold == 0 || tier.inclusive || threshold == INT64_MAX ? threshold : threshold + 1;
    // Highest first; of two for the same input, the later one.
    auto before = std::find_if(into->begin(), into->end(), [&](const Step& one) { return one.from <= from; });
    if (before != into->end() && before->from == from)
      before->rates = FlatRates(tier.rates);
    else
      into->insert(before, Step{from, FlatRates(tier.rates)});
  }
  compose_tiers();
  if (entry_price.request.nanos() <= max_short_request_nanos)
    request_picos = entry_price.request.nanos() * picos_per_nano;
}

namespace {

/// `rates` raised as `place` raises `base`, half up.
FlatRates raised(const FlatRates& rates, const FlatRates& place, const FlatRates& base) noexcept {
  __extension__ using Wide = __int128;
  FlatRates result = rates;
  for (const auto member : FlatRates::members) {
    const std::int64_t from = base.*member;
    if (from == 0) continue;
    const Wide picos = (static_cast<Wide>(rates.*member) * (place.*member) + from / 2) / from;
    result.*member = picos > INT64_MAX ? INT64_MAX : static_cast<std::int64_t>(picos);
  }
  result.sum_up();
  return result;
}

}  // namespace

void PricedModel::compose_tiers() {
  const std::size_t listed = tiers.size();
  for (std::size_t p = 0; p < listed; ++p) {
    if (!is_place(tiers[p].name)) continue;
    for (std::size_t t = 0; t < listed; ++t) {
      if (is_place(tiers[t].name)) continue;
      ServiceTier composed{tiers[t].name + '+' + tiers[p].name, {}};
      if (service_tier_of(*this, composed.name) != nullptr) continue;
      for (const Step& step : tiers[t].steps) {
        const FlatRates* const place = step_of(tiers[p].steps, step.from);
        const FlatRates* const plain = step_of(steps, step.from);
        composed.steps.push_back({step.from, place ? raised(step.rates, *place, plain ? *plain : base) : step.rates});
      }
      tiers.push_back(std::move(composed));
    }
  }
}

PricedModel::Rating PricedModel::rating_of(std::int64_t input, std::string_view service_tier) const noexcept {
  const FlatRates* const plain = step_of(steps, input);
  Rating rating{plain ? plain : &base};
  std::string_view tier = without_prefix(service_tier);
  // OpenAI raises the price of a place for models from March 2026 on, which tables list (openai.com/api/pricing, "Data residency"); of others
  // it costs nothing more.
  const std::size_t last = tier.rfind('+');
  const std::string_view place = tier.substr(last == tier.npos ? 0 : last + 1);
  if (is_place(place) && price->provider == "openai" && service_tier_of(*this, place) == nullptr)
    tier = tier.substr(0, last == tier.npos ? 0 : last);
  if (is_default_tier(tier)) return rating;
  const auto take = [&](std::string_view wanted) {
    const ServiceTier* const found = service_tier_of(*this, wanted);
    const FlatRates* const rates = found ? step_of(found->steps, input) : nullptr;
    if (rates) rating.rates = rates, rating.tier = found->name;
    return rates != nullptr;
  };
  if (take(tier)) return rating;
  rating.listed = false;
  if (const std::size_t plus = tier.find('+'); plus != tier.npos) {
    take(tier.substr(plus + 1));
    tier = tier.substr(0, plus);
    if (rating.tier.empty()) take(tier);
  }
  rating.halved = is_sold_at_half(tier, price->provider) && !same_name(rating.tier, tier);
  return rating;
}

[[gnu::hot]] bool PricedModel::prices_tools(const Usage& usage) const noexcept {
  return (usage.web_searches == 0 || price->web_search) && (usage.file_searches == 0 || price->file_search) &&
         (usage.code_sessions == 0 || price->code_session) && (usage.other_tools == 0 || price->other_tool);
}

}  // namespace outlay::detail
