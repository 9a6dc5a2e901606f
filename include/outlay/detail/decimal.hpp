#pragma once

#include <cstdint>
#include <string_view>

namespace outlay::detail {

/// What decimal text may have beside digits and one point.
struct DecimalForm {
  bool sign = false;        ///< `+` or `-` in front.
  bool exponent = false;    ///< `e-6` behind.
  bool separators = false;  ///< The `'` of C++ literals among the digits.
};

enum class DecimalError : std::uint8_t { none, malformed, overflow };

struct Decimal {
  std::int64_t value = 0;
  bool rounded = false;  ///< Digits beyond the scale were not all zero: the value was rounded half to even.
  DecimalError error = DecimalError::none;
};

/// Decimal text times 10^scale as an integer, whatever the locale. Text that is malformed and too large is called malformed.
constexpr Decimal read_decimal(std::string_view text, int scale, DecimalForm form) noexcept {
  constexpr Decimal malformed{0, false, DecimalError::malformed};
  bool negative = false;
  const auto read_sign = [&text] {
    const bool minus = text.starts_with('-');
    if (minus || text.starts_with('+')) text.remove_prefix(1);
    return minus;
  };
  if (form.sign) negative = read_sign();

  std::size_t size = 0;        // of what stands before the exponent
  std::int64_t place = scale;  // how many digits of the result are still to come
  bool digits = false, point = false;
  for (; size < text.size(); ++size) {
    const char c = text[size];
    if (c >= '0' && c <= '9') {
      digits = true;
      if (!point) ++place;
    } else if (c == '.' && !point) {
      point = true;
    } else if (c != '\'' || !form.separators) {
      break;
    }
  }
  if (!digits) return malformed;
  const std::string_view mantissa = text.substr(0, size);
  text.remove_prefix(size);
  if (!text.empty()) {
    if (!form.exponent || (text.front() != 'e' && text.front() != 'E')) return malformed;
    text.remove_prefix(1);
    const bool down = read_sign();
    if (text.empty()) return malformed;
    std::int64_t exponent = 0;
    for (const char c : text) {
      if (c < '0' || c > '9') return malformed;
      if (exponent < INT64_MAX / 100) exponent = exponent * 10 + (c - '0');  // beyond that no text is long enough
    }
    place += down ? -exponent : exponent;
  }

  std::int64_t value = 0;  // counted downwards, so that the most negative number can be read
  int next = 0;            // the first digit beyond the scale
  bool more = false, overflow = false;
  for (const char c : mantissa) {
    if (c < '0') continue;  // the point and separators
    const int digit = c - '0';
    --place;
    if (place >= 0)
      overflow = overflow || __builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, digit, &value);
    else if (place == -1)
      next = digit;
    else
      more = more || digit != 0;
  }
  for (; place > 0 && value != 0 && !overflow; --place) overflow = __builtin_mul_overflow(value, 10, &value);
  if (next > 5 || (next == 5 && (more || value % 2 != 0)))
    overflow = overflow || __builtin_sub_overflow(value, 1, &value);
  if (overflow || (!negative && value == INT64_MIN)) return {0, false, DecimalError::overflow};
  return {negative ? value : -value, next != 0 || more, DecimalError::none};
}

}  // namespace outlay::detail
