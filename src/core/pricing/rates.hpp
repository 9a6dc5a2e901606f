#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/price.hpp"

namespace outlay::detail {

inline constexpr std::int64_t picos_per_nano = 1000;

/// Five buckets of Usage::max_count at most, at this rate, and a request fee of at most max_short_request_nanos are below 2^63
/// pico-dollars.
inline constexpr std::int64_t max_narrow_rate = 400'000'000;

/// Rates with every fallback filled in, in pico-dollars a token, and the sums that reservations are made of.
struct FlatRates {
  std::int64_t input = 0, output = 0;
  std::int64_t cache_read = 0, cache_write = 0, cache_write_1h = 0;
  std::int64_t reasoning = 0;
  std::int64_t input_audio = 0, input_image = 0, cache_read_audio = 0;
  std::int64_t output_audio = 0, output_image = 0;

  std::int64_t worst_input = 0;       // dearest of input and cache_write
  std::int64_t worst_input_long = 0;  // and of cache_write_1h
  std::int64_t worst_output = 0;      // dearest of output, reasoning, output_audio and output_image
  bool narrow = false;                // no sum over a valid usage leaves 64 bits

  FlatRates() = default;
  explicit FlatRates(const Rates& rates) noexcept;
  void sum_up() noexcept;  // the worst ones and `narrow`, of the others

  static const std::array<std::int64_t FlatRates::*, 11> members;
};

inline constexpr std::array<std::int64_t FlatRates::*, 11> FlatRates::members = {
    &FlatRates::input,        &FlatRates::output,         &FlatRates::cache_read,
    &FlatRates::cache_write,  &FlatRates::cache_write_1h, &FlatRates::reasoning,
    &FlatRates::input_audio,  &FlatRates::input_image,    &FlatRates::cache_read_audio,
    &FlatRates::output_audio, &FlatRates::output_image};

/// One resolved look-up. Its address is stable as long as its PriceBook lives.
struct PricedModel {
  std::string name;              // the table's entry
  const Price* price = nullptr;  // never null
  PriceRule rule = PriceRule::exact;
  bool assumed = false;

  struct Step {
    std::int64_t from = 0;  // the smallest input that it applies to
    FlatRates rates;
  };
  struct ServiceTier {
    std::string name;
    std::vector<Step> steps;
  };
  FlatRates base;
  std::vector<Step> steps;  // of the default tier, highest first
  std::vector<ServiceTier> tiers;
  std::int64_t request_picos = -1;  // -1: too large for sums in 64 bits

  PricedModel(std::string entry_name, const Price& entry_price, PriceRule matched, bool is_assumed,
              bool is_own = false);
  /// The program registered it: its own word on the price.
  bool own = false;

  /// The rates of a tier for an input of some size.
  struct Rating {
    const FlatRates* rates = nullptr;  // of `tier`
    std::string_view tier{};           // empty: the default one
    /// The tier is sold at half the price, and is not listed: each sum over the rates counts half.
    bool halved = false;
    bool listed = true;  // these are the rates of the tier that was asked for
  };
  [[nodiscard]] Rating rating(std::int64_t input, std::string_view tier) const noexcept {
    // Most models have neither steps nor tiers, and most calls ask for none.
    return steps.empty() && tier.empty() ? Rating{&base} : rating_of(input, tier);
  }
  /// The rates that a reservation is made by: those of a listed tier, or else of the default one, never half of them.
  [[nodiscard]] const FlatRates& rates_at(std::int64_t input, std::string_view tier) const noexcept {
    return *rating(input, tier).rates;
  }
  /// Whether it has a fee for everything that a usage has of what is billed by use.
  [[nodiscard]] bool prices_tools(const Usage& usage) const noexcept;

 private:
  [[nodiscard]] Rating rating_of(std::int64_t input, std::string_view tier) const noexcept;
  void compose_tiers();
};

}  // namespace outlay::detail
