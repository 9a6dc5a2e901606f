#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

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
  [[nodiscard]] static constexpr Usd max() noexcept { return from_nanos(INT64_MAX); }
  [[nodiscard]] static constexpr Usd min() noexcept { return from_nanos(INT64_MIN); }

  /// Reads a decimal number of dollars: an optional sign, digits, an optional fraction (`"0.0075"`, `"-3"`).
  ///
  /// The locale is never consulted. The text must be a whole number of nano-dollars: digits beyond the ninth decimal must be zero.
  /// \par Errors
  /// Error with errc::invalid_argument for anything else, errc::overflow for a number too large.
  [[nodiscard]] static constexpr Usd parse(std::string_view text);

  [[nodiscard]] constexpr std::int64_t nanos() const noexcept { return nanos_; }

  constexpr auto operator<=>(const Usd&) const noexcept = default;

  constexpr Usd operator-() const {
    if (nanos_ == INT64_MIN) detail::throw_money_overflow();
    return from_nanos(-nanos_);
  }
  constexpr Usd& operator+=(Usd other) {
    if (__builtin_add_overflow(nanos_, other.nanos_, &nanos_)) detail::throw_money_overflow();
    return *this;
  }
  constexpr Usd& operator-=(Usd other) {
    if (__builtin_sub_overflow(nanos_, other.nanos_, &nanos_)) detail::throw_money_overflow();
    return *this;
  }
  constexpr Usd& operator*=(std::int64_t factor) {
    if (__builtin_mul_overflow(nanos_, factor, &nanos_)) detail::throw_money_overflow();
    return *this;
  }
  friend constexpr Usd operator+(Usd a, Usd b) { return a += b; }
  friend constexpr Usd operator-(Usd a, Usd b) { return a -= b; }
  friend constexpr Usd operator*(Usd a, std::int64_t n) { return a *= n; }
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
OUTLAY_EXPORT std::ostream& operator<<(std::ostream& out, Usd usd);

namespace detail {

enum class MoneyText { ok, malformed, overflow };

/// Decimal text to nano-dollars; exact or refused. `separators` allows the `'` of C++ literals.
constexpr MoneyText parse_nanos(std::string_view text, bool separators, std::int64_t& nanos) noexcept {
  std::size_t i = 0;
  bool negative = false;
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) negative = text[i++] == '-';
  std::int64_t value = 0;
  int decimals = -1;  // -1: no point seen
  bool digits = false;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\'' && separators) continue;
    if (c == '.' && decimals < 0) {
      decimals = 0;
      continue;
    }
    if (c < '0' || c > '9') return MoneyText::malformed;
    digits = true;
    if (decimals >= 9) {
      if (c != '0') return MoneyText::malformed;
      continue;
    }
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, c - '0', &value))
      return MoneyText::overflow;  // counted downwards, so that the most negative amount can be read
    if (decimals >= 0) ++decimals;
  }
  if (!digits) return MoneyText::malformed;
  for (int n = decimals < 0 ? 0 : decimals; n < 9; ++n)
    if (__builtin_mul_overflow(value, 10, &value)) return MoneyText::overflow;
  if (!negative && value == INT64_MIN) return MoneyText::overflow;
  nanos = negative ? value : -value;
  return MoneyText::ok;
}

}  // namespace detail

constexpr Usd Usd::parse(std::string_view text) {
  std::int64_t nanos = 0;
  switch (detail::parse_nanos(text, false, nanos)) {
    case detail::MoneyText::ok:
      break;
    case detail::MoneyText::overflow:
      detail::throw_money_overflow();
    case detail::MoneyText::malformed:
      detail::throw_bad_money(text);
  }
  return from_nanos(nanos);
}

inline namespace literals {

/// `0.50_usd`, `5'000_usd`. Checked at compile time: a literal finer than a nano-dollar or too large does not compile.
consteval Usd operator""_usd(const char* text) {
  std::int64_t nanos = 0;
  if (detail::parse_nanos(text, true, nanos) != detail::MoneyText::ok) detail::throw_bad_money(text);
  return Usd::from_nanos(nanos);
}

}  // namespace literals

}  // namespace outlay
