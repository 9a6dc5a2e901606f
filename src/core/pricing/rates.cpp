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

// Providers' words for the same thing.
std::string_view other_name_of_tier(std::string_view tier) noexcept {
  if (same_name(tier, "fast")) return "priority";
  if (same_name(tier, "batches")) return "batch";
  return {};
}

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
      output_image(rates.output_image.value_or(rates.output).picos()),
      worst_input(std::max(input, cache_write)),
      worst_input_long(std::max(worst_input, cache_write_1h)),
      worst_output(std::max({output, reasoning, output_audio, output_image})) {
  narrow = std::max({worst_input_long, cache_read, input_audio, input_image, cache_read_audio, worst_output}) <=
           max_narrow_rate;
}

PricedModel::PricedModel(std::string entry_name, const Price& entry_price, PriceRule matched, bool is_assumed)
    : name(std::move(entry_name)), price(&entry_price), rule(matched), assumed(is_assumed), base(entry_price.rates) {
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
  if (entry_price.request.nanos() <= max_short_request_nanos)
    request_picos = entry_price.request.nanos() * picos_per_nano;
}

const FlatRates& PricedModel::step_at(std::int64_t input, std::string_view service_tier) const noexcept {
  if (!service_tier.empty() && !tiers.empty())
    if (const auto* tier = service_tier_of(*this, service_tier))
      if (const auto* rates = step_of(tier->steps, input)) return *rates;
  const auto* rates = step_of(steps, input);
  return rates ? *rates : base;
}

std::string_view PricedModel::tier_at(std::int64_t input, std::string_view service_tier) const noexcept {
  if (service_tier.empty() || tiers.empty()) return {};
  const auto* tier = service_tier_of(*this, service_tier);
  return tier && step_of(tier->steps, input) ? std::string_view(tier->name) : std::string_view();
}

}  // namespace outlay::detail
