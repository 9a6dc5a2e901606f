#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "outlay/usage.hpp"

namespace outlay::detail {

inline constexpr std::size_t dimension_count = 6;
/// An amount in every dimension, in the order of Dimension.
using Vector = std::array<std::int64_t, dimension_count>;
/// So large that it caps nothing. Amounts that a cap is compared with are never negative, so `cap - used` does not overflow.
inline constexpr std::int64_t no_cap = INT64_MAX;
inline constexpr Vector no_caps{no_cap, no_cap, no_cap, no_cap, no_cap, no_cap};

constexpr std::size_t index(Dimension dimension) noexcept { return static_cast<std::size_t>(dimension); }

constexpr Amounts to_amounts(const Vector& vector) noexcept {
  return {Usd::from_nanos(vector[0]), vector[1], vector[2], vector[3], vector[4], vector[5]};
}
constexpr Vector to_vector(const Amounts& amounts) noexcept {
  return {amounts.usd.nanos(),   amounts.tokens, amounts.input_tokens,
          amounts.output_tokens, amounts.calls,  amounts.concurrent};
}
/// no_cap where there is no value.
constexpr Vector to_vector(const Limits& limits) noexcept {
  return {
      limits.usd ? limits.usd->nanos() : no_cap, limits.tokens.value_or(no_cap), limits.input_tokens.value_or(no_cap),
      limits.output_tokens.value_or(no_cap),     limits.calls.value_or(no_cap),  limits.concurrent.value_or(no_cap)};
}
/// The values in the dimensions that `caps` caps.
inline Limits to_limits(const Vector& vector, const Vector& caps) noexcept {
  const auto value = [&](Dimension dimension) {
    const std::size_t d = index(dimension);
    return caps[d] == no_cap ? std::optional<std::int64_t>() : std::optional(vector[d]);
  };
  Limits limits;
  if (const auto usd = value(Dimension::usd)) limits.usd = Usd::from_nanos(*usd);
  limits.tokens = value(Dimension::tokens);
  limits.input_tokens = value(Dimension::input_tokens);
  limits.output_tokens = value(Dimension::output_tokens);
  limits.calls = value(Dimension::calls);
  limits.concurrent = value(Dimension::concurrent);
  return limits;
}

constexpr std::int64_t saturating_add(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? INT64_MAX : INT64_MIN;
}

constexpr void add(Vector& to, const Vector& more) noexcept {
  for (std::size_t d = 0; d < dimension_count; ++d) to[d] = saturating_add(to[d], more[d]);
}
constexpr void subtract(Vector& from, const Vector& less) noexcept {
  for (std::size_t d = 0; d < dimension_count; ++d)
    if (__builtin_sub_overflow(from[d], less[d], &from[d])) from[d] = less[d] < 0 ? INT64_MAX : INT64_MIN;
}
/// Of differences of amounts: INT64_MIN is none.
[[nodiscard]] constexpr bool none_above_zero(const Vector& changes) noexcept {
  std::int64_t below = 0;  // its sign, without a branch for each dimension
  for (const std::int64_t change : changes) below |= -change;
  return below >= 0;
}
/// For amounts whose difference is known to fit.
[[nodiscard]] constexpr Vector minus(const Vector& a, const Vector& b) noexcept {
  Vector difference{};
  for (std::size_t d = 0; d < dimension_count; ++d) difference[d] = a[d] - b[d];
  return difference;
}

}  // namespace outlay::detail
