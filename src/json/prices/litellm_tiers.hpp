#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "litellm_fields.hpp"
#include "outlay/price.hpp"

namespace outlay::detail {

/// One rate a bucket, in pico-dollars a token.
class RateRow {
 public:
  static constexpr std::int64_t none = -1;

  RateRow() noexcept { picos_.fill(none); }
  [[nodiscard]] std::int64_t& operator[](Bucket bucket) noexcept { return picos_[static_cast<std::size_t>(bucket)]; }
  [[nodiscard]] std::int64_t operator[](Bucket bucket) const noexcept {
    return picos_[static_cast<std::size_t>(bucket)];
  }
  /// Every rate is zero or absent.
  [[nodiscard]] bool free() const noexcept;
  /// Takes the rates that `own` has.
  void overlay(const RateRow& own) noexcept;
  [[nodiscard]] Rates rates() const noexcept;

 private:
  std::array<std::int64_t, buckets> picos_;
};

/// The rates of one model, a column for each service tier and step for long inputs, and how they merge into the tiers of a Price.
///
/// The file states only what a column changes; a Price::Tier has all rates.
class LiteLlmTiers {
 public:
  /// `file` names the file in errors.
  explicit LiteLlmTiers(std::string_view file) noexcept : file_(file) {}

  /// Forgets the columns of the model before.
  void begin(std::string_view model);
  /// The column of a service tier from an input size on, made where there is none.
  ///
  /// \par Errors
  /// ConfigError for a model with more columns than any has.
  [[nodiscard]] RateRow& column(std::string_view service_tier, std::int64_t above);
  /// Adds the tiers of all columns, completed from `base`, the rates of the default tier.
  ///
  /// \par Errors
  /// ConfigError for a rate that cannot be held.
  void merge(Price& price, const RateRow& base) const;
  /// Adds a service tier whose rates are the default ones times a factor, in millionths of a millionth. Does nothing for a factor of 0, and
  /// for a tier that the price has already.
  ///
  /// \par Errors
  /// As merge().
  void multiply(Price& price, std::string_view service_tier, std::int64_t factor) const;

 private:
  struct Column {
    std::string_view service_tier;
    std::int64_t above = 0;
    RateRow row{};
  };

  [[nodiscard]] const RateRow* find(std::string_view service_tier, std::int64_t above) const noexcept;
  [[nodiscard]] std::int64_t in_ratio(std::int64_t rate, std::int64_t numerator, std::int64_t denominator) const;
  [[noreturn]] void refuse_rate() const;

  std::string_view file_;
  std::string_view model_;
  std::vector<Column> columns_;
};

}  // namespace outlay::detail
