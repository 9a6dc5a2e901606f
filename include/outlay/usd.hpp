#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include "outlay/detail/decimal.hpp"
#include "outlay/detail/export.hpp"

namespace outlay {

namespace detail {
[[noreturn]] OUTLAY_EXPORT void throw_money_overflow();
[[noreturn]] OUTLAY_EXPORT void throw_bad_money(std::string_view text);
}  // namespace detail

/// An exact amount of US dollars.
///
/// A signed 64-bit count of nano-dollars (10^-9 USD), so about +-$9.2 billion. Arithmetic is exact and checked: an
/// operation whose result does not fit throws outlay::Error with errc::overflow and never wraps.
///
/// \par Thread safety
/// A value: distinct objects are independent.
class Usd {
 public:
  /// $0
  constexpr Usd() noexcept = default;

  /// \par Units
  /// Whole nano-dollars.
  [[nodiscard]] static constexpr Usd from_nanos(std::int64_t nanos) noexcept {
    Usd usd;
    usd.nanos_ = nanos;
    return usd;
  }
  // Binary fractions would be cut to whole numbers in silence.
  template <std::floating_point F>
  static constexpr Usd from_nanos(F) = delete;
  /// The largest amount: about 9.2 billion dollars.
  [[nodiscard]] static constexpr Usd max() noexcept { return from_nanos(INT64_MAX); }
  /// The lowest amount: about -9.2 billion dollars.
  [[nodiscard]] static constexpr Usd min() noexcept { return from_nanos(INT64_MIN); }

  /// Reads a decimal number of dollars: an optional sign, digits, an optional fraction (`"0.0075"`, `"-3"`).
  ///
  /// The locale is never consulted. The text must be a whole number of nano-dollars: digits beyond the ninth decimal must be zero.
  /// \par Errors
  /// Error with errc::invalid_argument for anything else, errc::overflow for a number too large.
  [[nodiscard]] static constexpr Usd parse(std::string_view text);

  /// \par Units
  /// Whole nano-dollars.
  [[nodiscard]] constexpr std::int64_t nanos() const noexcept { return nanos_; }

  /// By the amount.
  constexpr auto operator<=>(const Usd&) const noexcept = default;

  /// \par Errors
  /// Error with errc::overflow where the result is out of range, as of all arithmetic below.
  constexpr Usd operator-() const {
    if (nanos_ == INT64_MIN) detail::throw_money_overflow();
    return from_nanos(-nanos_);
  }
  /// Adds, checked.
  constexpr Usd& operator+=(Usd other) {
    if (__builtin_add_overflow(nanos_, other.nanos_, &nanos_)) detail::throw_money_overflow();
    return *this;
  }
  /// Subtracts, checked.
  constexpr Usd& operator-=(Usd other) {
    if (__builtin_sub_overflow(nanos_, other.nanos_, &nanos_)) detail::throw_money_overflow();
    return *this;
  }
  /// Multiplies by a whole number, checked.
  constexpr Usd& operator*=(std::int64_t factor) {
    if (__builtin_mul_overflow(nanos_, factor, &nanos_)) detail::throw_money_overflow();
    return *this;
  }
  /// The sum, checked.
  friend constexpr Usd operator+(Usd a, Usd b) { return a += b; }
  /// The difference, checked.
  friend constexpr Usd operator-(Usd a, Usd b) { return a -= b; }
  /// The product, checked.
  friend constexpr Usd operator*(Usd a, std::int64_t n) { return a *= n; }
  /// The product, checked.
  friend constexpr Usd operator*(std::int64_t n, Usd a) { return a *= n; }
  template <std::floating_point F>
  constexpr Usd& operator*=(F) = delete;
  template <std::floating_point F>
  friend constexpr Usd operator*(Usd, F) = delete;
  template <std::floating_point F>
  friend constexpr Usd operator*(F, Usd) = delete;

 private:
  std::int64_t nanos_ = 0;
};

/// Prints with `$`, no thousands separator, at least two decimals and no trailing zeros beyond them, whatever the locale:
/// `$0.01`, `$0.0125`, `$5000.00`, `-$1.00`.
[[nodiscard]] OUTLAY_EXPORT std::string to_string(Usd usd);
/// Writes the dollars as to_string() does.
OUTLAY_EXPORT std::ostream& operator<<(std::ostream& out, Usd usd);

namespace detail {

/// Decimal text to nano-dollars; exact or refused.
constexpr Decimal parse_nanos(std::string_view text, DecimalForm form) noexcept {
  Decimal nanos = read_decimal(text, 9, form);
  if (nanos.rounded) nanos.error = DecimalError::malformed;
  return nanos;
}

}  // namespace detail

constexpr Usd Usd::parse(std::string_view text) {
  const detail::Decimal nanos = detail::parse_nanos(text, {.sign = true});
  if (nanos.error == detail::DecimalError::overflow) detail::throw_money_overflow();
  if (nanos.error == detail::DecimalError::malformed) detail::throw_bad_money(text);
  return from_nanos(nanos.value);
}

inline namespace literals {

/// `0.50_usd`, `5'000_usd`. Checked at compile time: a literal finer than a nano-dollar or too large does not compile.
consteval Usd operator""_usd(const char* text) {
  const detail::Decimal nanos = detail::parse_nanos(text, {.separators = true});
  if (nanos.error != detail::DecimalError::none) detail::throw_bad_money(text);
  return Usd::from_nanos(nanos.value);
}

}  // namespace literals

}  // namespace outlay
