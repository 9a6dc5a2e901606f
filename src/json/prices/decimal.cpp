#include "decimal.hpp"

namespace outlay::detail {

namespace {

__extension__ using Wide = unsigned __int128;

}  // namespace

std::optional<std::int64_t> scaled(std::int64_t a, std::int64_t b, std::int64_t c) noexcept {
  const Wide product = static_cast<Wide>(static_cast<std::uint64_t>(a)) * static_cast<std::uint64_t>(b);
  const auto divisor = static_cast<std::uint64_t>(c);
  Wide quotient = product / divisor;
  const auto rest = static_cast<std::uint64_t>(product % divisor);
  const std::uint64_t other = divisor - rest;
  if (rest != 0 && (rest > other || (rest == other && (quotient & 1) != 0))) ++quotient;
  if (quotient > static_cast<Wide>(INT64_MAX)) return std::nullopt;
  return static_cast<std::int64_t>(quotient);
}

std::optional<ScaledDecimal> scaled_decimal(std::string_view text, int scale) noexcept {
  std::size_t i = 0;
  Wide digits = 0;
  int exponent = scale;
  bool any = false, point = false, lost = false;
  constexpr Wide most = static_cast<Wide>(1) << 120;  // leaves room for one more digit
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    any = true;
    if (digits < most) {
      digits = digits * 10 + static_cast<unsigned>(c - '0');
      if (point && exponent > -100'000) --exponent;
    } else {  // far beyond what is held: only whether something was there matters
      lost |= c != '0';
      if (!point && exponent < 100'000) ++exponent;
    }
  }
  if (!any) return std::nullopt;
  if (i < text.size()) {
    if (text[i] != 'e' && text[i] != 'E') return std::nullopt;
    ++i;
    bool negative = false;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) negative = text[i++] == '-';
    int power = 0;
    const std::size_t first = i;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i)
      if (power < 100'000) power = power * 10 + (text[i] - '0');
    if (i == first || i != text.size()) return std::nullopt;
    exponent += negative ? -power : power;
  }
  if (digits == 0) return ScaledDecimal{};
  for (; exponent > 0; --exponent) {
    if (digits > static_cast<Wide>(INT64_MAX)) return std::nullopt;
    digits *= 10;
  }
  if (exponent < 0) {
    // The last digit that goes decides, together with whether anything went before it.
    unsigned last = 0;
    for (; exponent < 0 && (digits != 0 || last != 0); ++exponent) {
      lost |= last != 0;
      last = static_cast<unsigned>(digits % 10);
      digits /= 10;
    }
    if (last > 5 || (last == 5 && (lost || (digits & 1) != 0))) ++digits;
    lost |= last != 0;
  }
  if (digits > static_cast<Wide>(INT64_MAX)) return std::nullopt;
  return ScaledDecimal{static_cast<std::int64_t>(digits), lost};
}

}  // namespace outlay::detail
