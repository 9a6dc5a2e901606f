#include "outlay/usd.hpp"

#include <array>
#include <ostream>

#include "outlay/error.hpp"

namespace outlay {

namespace {

// '-', '$', ten digits, '.', nine digits.
using Buffer = std::array<char, 24>;

std::string_view print(Usd usd, Buffer& buffer) noexcept {
  const bool negative = usd.nanos() < 0;
  // Negated as unsigned, so that the most negative amount prints too.
  std::uint64_t rest = static_cast<std::uint64_t>(usd.nanos());
  if (negative) rest = 0 - rest;

  char* const end = buffer.data() + buffer.size();
  char* at = end;
  char* last = end;  // one past what is shown
  for (int decimal = 9; decimal > 0; --decimal) {
    *--at = static_cast<char>('0' + rest % 10);
    rest /= 10;
    if (decimal > 2 && last == at + 1 && *at == '0') last = at;
  }
  *--at = '.';
  do {
    *--at = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  *--at = '$';
  if (negative) *--at = '-';
  return {at, static_cast<std::size_t>(last - at)};
}

}  // namespace

std::string to_string(Usd usd) {
  Buffer buffer;
  return std::string(print(usd, buffer));
}

std::ostream& operator<<(std::ostream& out, Usd usd) {
  Buffer buffer;
  return out << print(usd, buffer);
}

namespace detail {

void throw_money_overflow() {
  throw Error(errc::overflow,
              "an amount of money is beyond +-$9.2 billion. Check the counts and rates that it was computed from.");
}

void throw_bad_money(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, 40)) shown += c >= ' ' && c <= '~' ? c : '?';
  if (text.size() > 40) shown += "...";
  throw Error(errc::invalid_argument,
              "\"" + shown +
                  "\" is not an amount of money. Write dollars as a plain decimal number with at most "
                  "nine decimals, such as 0.0075.");
}

}  // namespace detail

}  // namespace outlay
