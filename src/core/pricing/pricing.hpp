#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

#include "core/pricing/rates.hpp"
#include "outlay/usage.hpp"
#include "outlay/usd.hpp"

namespace outlay::detail {

/// More than any one call costs; a larger cost is a fault.
inline constexpr Usd max_call_cost = Usd::from_nanos(1'000'000'000LL * 1'000'000'000LL);

/// What prices depend on beside the tokens: the tier that is asked for, whether the input is priced as if written to the longer-lived
/// cache, and searches.
struct PriceTerms {
  std::string_view tier{};
  bool long_cache = false;
  std::int64_t web_searches = 0;  // that the provider may run at the most
};

/// How a call is priced: one amount for the call, a table's model, one assumed rate for every token, or not at all.
///
/// Every sum is exact and rounded once, half to even, to nano-dollars. Amounts and rates are not negative.
/// \par Thread safety
/// A value.
/// \par Lifetime
/// A table's model must outlive it.
class Pricing {
 public:
  enum class Kind : std::uint8_t {
    unpriced,  ///< No price is known: $0.
    flat,      ///< One amount, whatever the tokens.
    table,     ///< The rates of a model in a price table.
    assumed,   ///< No price is known, and the budget assumes a rate for every token.
  };

  constexpr Pricing() noexcept = default;  ///< Unpriced.
  [[nodiscard]] static constexpr Pricing flat(Usd each) noexcept { return {Kind::flat, each.nanos()}; }
  [[nodiscard]] static Pricing table(const PricedModel& model) noexcept { return Pricing(model); }
  [[nodiscard]] static constexpr Pricing assumed(std::int64_t picos_a_token) noexcept {
    return {Kind::assumed, picos_a_token};
  }

  [[nodiscard]] constexpr Kind kind() const noexcept { return kind_; }
  /// Null for all kinds but `table`.
  [[nodiscard]] constexpr const PricedModel* model() const noexcept { return kind_ == Kind::table ? model_ : nullptr; }

  /// The most that this much input and output can cost: what a reservation must hold. Empty where that does not fit 64 bits.
  ///
  /// A table's input is at the dearest of input and cache_write (and cache_write_1h for a long cache), its output at the dearest of
  /// its rates, at the tier and long-context step that the input falls in, plus Price::request and the fees of the searches. Negative counts are 0.
  [[nodiscard]] std::optional<Usd> worst(std::int64_t input, std::int64_t output,
                                         const PriceTerms& terms = {}) const noexcept {
    return to_usd(worst_nanos(input, output, terms));
  }
  /// What a valid usage costs; empty on overflow. `tier` is the one that the provider says it served, or else the one that was
  /// asked for.
  ///
  /// \param listed Becomes false where the table does not list that tier, so that the rates are another's.
  [[nodiscard]] std::optional<Usd> cost(const Usage& usage, std::string_view tier, bool& listed) const noexcept {
    return to_usd(cost_nanos(usage, tier, listed));
  }
  [[nodiscard]] std::optional<Usd> cost(const Usage& usage, std::string_view tier = {}) const noexcept {
    bool listed = true;
    return cost(usage, tier, listed);
  }
  /// The most output tokens that `money` pays for beside the input: the exact inverse of worst(). -1: not even the input;
  /// INT64_MAX: any number.
  [[nodiscard]] std::int64_t affordable(std::int64_t input, Usd money, const PriceTerms& terms = {}) const noexcept;

 private:
  constexpr Pricing(Kind kind, std::int64_t number) noexcept : kind_(kind), number_(number) {}
  explicit Pricing(const PricedModel& model) noexcept : kind_(Kind::table), model_(&model) {}

  // Nano-dollars; -1 where they do not fit. An optional would leave these functions through memory.
  [[nodiscard]] std::int64_t worst_nanos(std::int64_t input, std::int64_t output,
                                         const PriceTerms& terms) const noexcept;
  [[nodiscard]] std::int64_t cost_nanos(const Usage& usage, std::string_view tier, bool& listed) const noexcept;
  [[nodiscard]] static std::optional<Usd> to_usd(std::int64_t nanos) noexcept {
    return nanos < 0 ? std::nullopt : std::optional(Usd::from_nanos(nanos));
  }

  Kind kind_ = Kind::unpriced;
  union {
    std::int64_t number_ = 0;   // nano-dollars a call, or pico-dollars a token
    const PricedModel* model_;  // of a table
  };
};
static_assert(std::is_trivially_copyable_v<Pricing>);

}  // namespace outlay::detail
