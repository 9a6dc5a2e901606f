#include "outlay/usd.hpp"

#include <cstdint>
#include <iomanip>
#include <locale>
#include <random>
#include <sstream>
#include <string>

#include "outlay/error.hpp"
#include "support/catch.hpp"
#include "support/comma_decimal.hpp"
#include "support/reason_of.hpp"

using namespace outlay::literals;
using outlay::errc;
using outlay::Error;
using outlay::Usd;
using outlay_test::reason_of;

namespace {

__extension__ using Signed128 = __int128;

// Amounts of every magnitude, the edges among them.
class EveryMagnitude {
 public:
  std::int64_t next() {
    switch (random_() % 8) {
      case 0:
        return INT64_MAX - static_cast<std::int64_t>(random_() % 3);
      case 1:
        return INT64_MIN + static_cast<std::int64_t>(random_() % 3);
      case 2:
        return static_cast<std::int64_t>(random_() % 5) - 2;
      default:
        return static_cast<std::int64_t>(random_()) >> (random_() % 63);
    }
  }

 private:
  std::mt19937_64 random_{20260801};
};

bool fits(Signed128 value) { return value >= INT64_MIN && value <= INT64_MAX; }

/// An independent printer: digits of the absolute value, then the rules of the format.
std::string printed(std::int64_t nanos) {
  const Signed128 value = nanos < 0 ? -static_cast<Signed128>(nanos) : static_cast<Signed128>(nanos);
  std::string whole = std::to_string(static_cast<std::uint64_t>(value / 1'000'000'000));
  std::string decimals = std::to_string(static_cast<std::uint64_t>(value % 1'000'000'000));
  decimals.insert(0, 9 - decimals.size(), '0');
  while (decimals.size() > 2 && decimals.back() == '0') decimals.pop_back();
  return (nanos < 0 ? "-$" : "$") + whole + "." + decimals;
}

}  // namespace

TEST_CASE("usd: prints at least two decimals and no trailing zeros beyond", "[core][usd]") {
  CHECK(to_string(0.01_usd) == "$0.01");
  CHECK(to_string(0.0125_usd) == "$0.0125");
  CHECK(to_string(5000_usd) == "$5000.00");
  CHECK(to_string(-1_usd) == "-$1.00");
  CHECK(to_string(Usd{}) == "$0.00");
  CHECK(to_string(0.000'000'001_usd) == "$0.000000001");
  CHECK(to_string(1.10_usd) == "$1.10");
  CHECK(to_string(1.100'000'010_usd) == "$1.10000001");
}

TEST_CASE("usd: the largest and the smallest amount print in full", "[core][usd]") {
  CHECK(to_string(Usd::max()) == "$9223372036.854775807");
  CHECK(to_string(Usd::min()) == "-$9223372036.854775808");
}

TEST_CASE("usd: what is printed without its sign of currency reads back", "[core][usd]") {
  EveryMagnitude amounts;
  for (int i = 0; i < 20'000; ++i) {
    const auto nanos = amounts.next();
    const Usd usd = Usd::from_nanos(nanos);
    std::string text = to_string(usd);
    REQUIRE(text == printed(nanos));
    text.erase(text.find('$'), 1);
    REQUIRE(Usd::parse(text) == usd);
  }
}

TEST_CASE("usd: sums, differences and products agree with wide integers or overflow", "[core][usd]") {
  EveryMagnitude amounts;
  int overflows = 0;
  for (int i = 0; i < 50'000; ++i) {
    const auto a = amounts.next(), b = amounts.next();
    const Usd x = Usd::from_nanos(a), y = Usd::from_nanos(b);
    const auto check = [&](Signed128 expected, auto&& operation) {
      if (fits(expected)) {
        REQUIRE(operation().nanos() == static_cast<std::int64_t>(expected));
      } else {
        ++overflows;
        REQUIRE(reason_of(operation) == errc::overflow);
      }
    };
    check(static_cast<Signed128>(a) + b, [&] { return x + y; });
    check(static_cast<Signed128>(a) - b, [&] { return x - y; });
    check(static_cast<Signed128>(a) * b, [&] { return x * b; });
    check(-static_cast<Signed128>(a), [&] { return -x; });
  }
  CHECK(overflows > 1000);
}

TEST_CASE("usd: an operation that overflows leaves nothing wrapped behind", "[core][usd]") {
  CHECK(reason_of([] { return Usd::max() + Usd::from_nanos(1); }) == errc::overflow);
  CHECK(reason_of([] { return Usd::min() - Usd::from_nanos(1); }) == errc::overflow);
  CHECK(reason_of([] { return -Usd::min(); }) == errc::overflow);
  CHECK(Usd::max() + Usd::min() == Usd::from_nanos(-1));
}

TEST_CASE("usd: parse reads plain decimals exactly", "[core][usd]") {
  CHECK(Usd::parse("0.0075").nanos() == 7'500'000);
  CHECK(Usd::parse("-3").nanos() == -3'000'000'000);
  CHECK(Usd::parse("+.5").nanos() == 500'000'000);
  CHECK(Usd::parse("7.").nanos() == 7'000'000'000);
  CHECK(Usd::parse("1.0000000010000").nanos() == 1'000'000'001);
  CHECK(Usd::parse("9223372036.854775807") == Usd::max());
  CHECK(Usd::parse("-9223372036.854775808") == Usd::min());
}

TEST_CASE("usd: parse refuses what is no amount, and names it", "[core][usd]") {
  for (const char* text :
       {"", "-", ".", "1,5", "$1", "1e3", "0x10", "1 ", " 1", "--1", "1.2.3", "nan", "0.0000000001", "1'000"}) {
    INFO(text);
    CHECK(reason_of([&] { return Usd::parse(text); }) == errc::invalid_argument);
  }
  CHECK_THROWS_WITH(Usd::parse("1,5"), ContainsSubstring("\"1,5\""));
}

TEST_CASE("usd: parse refuses an amount that is too large", "[core][usd]") {
  CHECK(reason_of([] { return Usd::parse("9223372036.854775808"); }) == errc::overflow);
  CHECK(reason_of([] { return Usd::parse("-9223372036.854775809"); }) == errc::overflow);
  CHECK(reason_of([] { return Usd::parse(std::string(400, '9')); }) == errc::overflow);
}

TEST_CASE("usd: hostile text in a message is short and printable", "[core][usd]") {
  std::string text(10'000, '\n');
  text[0] = '\0';
  try {
    (void)Usd::parse(text);
    FAIL("was read as an amount");
  } catch (const Error& error) {
    const std::string message = error.what();
    CHECK(message.size() < 300);
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.find('\0') == std::string::npos);
  }
}

TEST_CASE("usd: a locale with a decimal comma changes nothing", "[core][usd]") {
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new outlay_test::CommaDecimal));
  std::ostringstream out;
  out << std::setprecision(2) << 5000.0125_usd;
  const std::string text = to_string(1234567.5_usd);
  const Usd read = Usd::parse("0.0125");
  std::locale::global(before);
  CHECK(out.str() == "$5000.0125");
  CHECK(text == "$1234567.50");
  CHECK(read == 0.0125_usd);
}

TEST_CASE("usd: streams honour width and fill as for a string", "[core][usd]") {
  std::ostringstream out;
  out << std::setw(10) << std::setfill('.') << 1.5_usd << '|';
  CHECK(out.str() == ".....$1.50|");
}
