#include "litellm_tiers.hpp"

#include <algorithm>
#include <string>

#include "core/pricing/price_book.hpp"
#include "decimal.hpp"
#include "tape.hpp"

namespace outlay::detail {

namespace {

// Of one model. The file's own have a dozen at most; every tier is made for every step, and each is looked for among all.
constexpr std::size_t max_columns = 64;

}  // namespace

bool RateRow::free() const noexcept {
  return std::all_of(picos_.begin(), picos_.end(), [](std::int64_t rate) { return rate <= 0; });
}

void RateRow::overlay(const RateRow& own) noexcept {
  for (std::size_t b = 0; b < buckets; ++b)
    if (own.picos_[b] != none) picos_[b] = own.picos_[b];
}

Rates RateRow::rates() const noexcept {
  const auto rate = [&](Bucket bucket) -> std::optional<Rate> {
    const std::int64_t picos = (*this)[bucket];
    return picos == none ? std::nullopt : std::optional(Rate::from_picos(picos));
  };
  return {.input = Rate::from_picos((*this)[Bucket::input]),
          .output = Rate::from_picos((*this)[Bucket::output]),
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

void LiteLlmTiers::begin(std::string_view model) {
  columns_.clear();
  model_ = model;
}

RateRow& LiteLlmTiers::column(std::string_view service_tier, std::int64_t above) {
  for (Column& one : columns_)
    if (one.above == above && one.service_tier == service_tier) return one.row;
  if (columns_.size() == max_columns)
    refuse_prices(file_, "model \"" + printable_name(model_) + "\": more than " + std::to_string(max_columns) +
                             " service tiers and steps for long inputs");
  return columns_.emplace_back(Column{service_tier, above}).row;
}

const RateRow* LiteLlmTiers::find(std::string_view service_tier, std::int64_t above) const noexcept {
  for (const Column& one : columns_)
    if (one.above == above && one.service_tier == service_tier) return &one.row;
  return nullptr;
}

void LiteLlmTiers::merge(Price& price, const RateRow& base) const {
  std::vector<std::int64_t> thresholds;
  std::vector<std::string_view> service_tiers;
  for (const Column& one : columns_) {
    if (one.above != 0 && std::find(thresholds.begin(), thresholds.end(), one.above) == thresholds.end())
      thresholds.push_back(one.above);
    if (!one.service_tier.empty() &&
        std::find(service_tiers.begin(), service_tiers.end(), one.service_tier) == service_tiers.end())
      service_tiers.push_back(one.service_tier);
  }
  std::sort(thresholds.begin(), thresholds.end());
  std::sort(service_tiers.begin(), service_tiers.end());
  const bool inclusive = price.provider == "xai";
  const auto add = [&](std::string_view tier, std::int64_t above, const RateRow& row) {
    price.tiers.push_back({std::string(tier), above, inclusive && above != 0, row.rates()});
  };

  std::vector<RateRow> steps;
  for (const std::int64_t above : thresholds) {
    RateRow row = base;
    if (const RateRow* const own = find({}, above)) row.overlay(*own);
    row[Bucket::cache_write_1h] = base[Bucket::cache_write_1h] == RateRow::none
                                      ? RateRow::none
                                      : std::max(row[Bucket::cache_write_1h], row[Bucket::cache_write]);
    add({}, above, row);
    steps.push_back(row);
  }
  for (const std::string_view tier : service_tiers) {
    RateRow row = base;
    if (tier == "batch") {
      // Halved or so as a whole; a cache discount on top is not a given, a surcharge is.
      row[Bucket::cache_read] = RateRow::none;
      row[Bucket::cache_read_audio] = RateRow::none;
    }
    if (const RateRow* const own = find(tier, 0)) {
      if ((*own)[Bucket::output] != RateRow::none) row[Bucket::reasoning] = RateRow::none;
      row.overlay(*own);
      if (tier == "batch")
        for (const Bucket bucket : {Bucket::cache_write, Bucket::cache_write_1h})
          if (base[bucket] != RateRow::none && (*own)[bucket] == RateRow::none)
            row[bucket] = in_ratio(base[bucket], row[Bucket::input], base[Bucket::input]);
    }
    add(tier, 0, row);
    for (std::size_t i = 0; i < thresholds.size(); ++i) {
      // Where the file has both, a tier changes a step by the same factor as the base; so where it lacks one, it is made.
      RateRow step = steps[i];
      for (std::size_t b = 0; b < buckets; ++b) {
        const auto bucket = static_cast<Bucket>(b);
        step[bucket] = row[bucket] == RateRow::none || step[bucket] == RateRow::none
                           ? row[bucket]
                           : in_ratio(steps[i][bucket], row[bucket], base[bucket]);
      }
      if (const RateRow* const own = find(tier, thresholds[i])) step.overlay(*own);
      add(tier, thresholds[i], step);
    }
  }
}

void LiteLlmTiers::multiply(Price& price, std::string_view service_tier, std::int64_t factor) const {
  if (factor <= 0) return;
  auto& tiers = price.tiers;
  if (std::any_of(tiers.begin(), tiers.end(), [&](const auto& one) { return one.service_tier == service_tier; }))
    return;
  const auto times = [&](Rates rates) {
    const auto apply = [&](Rate& rate) {
      const auto picos = scaled(rate.picos(), factor, 1'000'000'000'000);
      if (!picos) refuse_rate();
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
  added.push_back({std::string(service_tier), 0, false, times(price.rates)});
  for (const auto& step : tiers)
    if (step.service_tier.empty())
      added.push_back({std::string(service_tier), step.above_input_tokens, step.inclusive, times(step.rates)});
  tiers.insert(tiers.end(), added.begin(), added.end());
}

/// rate * numerator / denominator; a rate of nothing scales to the numerator.
std::int64_t LiteLlmTiers::in_ratio(std::int64_t rate, std::int64_t numerator, std::int64_t denominator) const {
  if (denominator <= 0) return std::max(rate, numerator);
  const auto result = scaled(rate, numerator, denominator);
  if (!result) refuse_rate();
  return *result;
}

void LiteLlmTiers::refuse_rate() const {
  refuse_prices(file_, "model \"" + printable_name(model_) + "\": a rate is beyond 9.2 million dollars a token");
}

}  // namespace outlay::detail
