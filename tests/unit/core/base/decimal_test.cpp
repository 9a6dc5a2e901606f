#include "core/base/decimal.hpp"

#include <cstdint>
#include <locale>
#include <random>
#include <string>
#include <string_view>

#include "support/catch.hpp"
#include "support/comma_decimal.hpp"

using namespace outlay;
using detail::DecimalError;
using detail::read_decimal;

namespace {

struct Case {
  std::string_view text;
  int scale;
  std::int64_t value;
};

}  // namespace

// It is what money literals are read with.
static_assert(read_decimal("0.5", 9, {}).value == 500'000'000);

TEST_CASE("decimal: numbers are read from their text, exactly", "[core][decimal]") {
  for (const Case& one :
       {Case{"2.5e-06", 12, 2'500'000}, Case{"0.0000025", 12, 2'500'000}, Case{"3.625e-09", 12, 3'625},
        Case{"25E-7", 12, 2'500'000}, Case{"1e-12", 12, 1}, Case{"0", 12, 0}, Case{"0.0e99999999", 12, 0},
        Case{"9223372.036854775807", 12, INT64_MAX}, Case{"1.10", 6, 1'100'000}, Case{"6730000", -1, 673'000},
        Case{"007", 0, 7}, Case{".5", 1, 5}, Case{"5.", 1, 50}, Case{"1e+2", 0, 100},
        Case{"9223372036854775807", 0, INT64_MAX}, Case{"1000000000000000000000000000000000000000000e-42", 0, 1}}) {
    INFO(one.text);
    const auto read = detail::scaled_decimal(one.text, one.scale);
    REQUIRE(read);
    CHECK(read->value == one.value);
    CHECK_FALSE(read->rounded);
  }
}

TEST_CASE("decimal: a finer number is rounded half to even and said to be", "[core][decimal]") {
  for (const Case& one :
       {Case{"0.5", 0, 0}, Case{"1.5", 0, 2}, Case{"2.5", 0, 2},
        Case{"2.5000000000000000000000000000000000000000000000000001", 0, 3},
        Case{"2.4999999999999999999999999999999999999999999999999999", 0, 2}, Case{"0.05e1", 0, 0},
        Case{"1e-400", 0, 0}, Case{"1e-99999999999999999999", 0, 0}, Case{"0.51", 0, 1},
        Case{"9223372036854775806.5", 0, INT64_MAX - 1}, Case{"2000000000000000000.7", 0, 2'000'000'000'000'000'001},
        Case{"15", -1, 2}, Case{"9", -1, 1}}) {
    INFO(one.text);
    const auto read = detail::scaled_decimal(one.text, one.scale);
    REQUIRE(read);
    CHECK(read->value == one.value);
    CHECK(read->rounded);
  }
  CHECK(read_decimal("-1.5", 0, {.sign = true}).value == -2);
  CHECK(read_decimal("-2.5", 0, {.sign = true}).value == -2);
}

TEST_CASE("decimal: what is no number, below zero or too large is no scaled decimal", "[core][decimal]") {
  for (const char* text : {"", "-1", "+1", "e5", "1e", "1e+", ".", "1.2.3", "1,5", "NaN", "Infinity", "0x1", " 1", "1 ",
                           "1e5x", "1'000"}) {
    INFO(text);
    CHECK_FALSE(detail::scaled_decimal(text, 0));
    CHECK(read_decimal(text, 0, {.exponent = true}).error == DecimalError::malformed);
  }
  for (const std::string& text :
       {std::string("9223372036854775808"), std::string("9223372036854775807.5"), std::string("1e99999999999"),
        std::string(5'000, '9'), "1e" + std::string(5'000, '9')}) {
    INFO(text);
    CHECK_FALSE(detail::scaled_decimal(text, 0));
    CHECK(read_decimal(text, 0, {.exponent = true}).error == DecimalError::overflow);
  }
}

TEST_CASE("decimal: signs, exponents and separators are read only where they are allowed", "[core][decimal]") {
  CHECK(read_decimal("-3", 0, {}).error == DecimalError::malformed);
  CHECK(read_decimal("-3", 0, {.sign = true}).value == -3);
  CHECK(read_decimal("+3", 0, {.sign = true}).value == 3);
  CHECK(read_decimal("--3", 0, {.sign = true}).error == DecimalError::malformed);
  CHECK(read_decimal("1e3", 0, {.sign = true}).error == DecimalError::malformed);
  CHECK(read_decimal("1e3", 0, {.exponent = true}).value == 1'000);
  CHECK(read_decimal("5'000", 0, {}).error == DecimalError::malformed);
  CHECK(read_decimal("5'000", 0, {.separators = true}).value == 5'000);
  CHECK(read_decimal("'", 0, {.separators = true}).error == DecimalError::malformed);
}

TEST_CASE("decimal: the most negative number can be read, the one below cannot", "[core][decimal]") {
  CHECK(read_decimal("-9223372036854775808", 0, {.sign = true}).value == INT64_MIN);
  CHECK(read_decimal("-9223372036854775809", 0, {.sign = true}).error == DecimalError::overflow);
  CHECK(read_decimal("-9223372036854775808.4", 0, {.sign = true}).value == INT64_MIN);
  CHECK(read_decimal("-9223372036854775808.6", 0, {.sign = true}).error == DecimalError::overflow);
}

TEST_CASE("decimal: random decimals agree with integer arithmetic", "[core][decimal]") {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    const auto picos = static_cast<std::int64_t>(random() >> (random() % 62 + 1));
    // The same number with the point anywhere.
    std::string digits = std::to_string(picos);
    const int exponent = static_cast<int>(random() % digits.size());
    std::string text = digits;
    text.insert(digits.size() - static_cast<std::size_t>(exponent), ".");
    if (text.back() == '.') text += '0';
    if (text.front() == '.') text.insert(0, "0");
    text += "e" + std::to_string(exponent - 12);
    const auto decimal = detail::scaled_decimal(text, 12);
    INFO(text);
    REQUIRE(decimal);
    REQUIRE(decimal->value == picos);
    REQUIRE_FALSE(decimal->rounded);
  }
}

TEST_CASE("decimal: billionths are written as the shortest exact number", "[core][decimal]") {
  CHECK(detail::billionths(0) == "0");
  CHECK(detail::billionths(1) == "0.000000001");
  CHECK(detail::billionths(-250'000'000) == "-0.25");
  CHECK(detail::billionths(100'000'000'000) == "100");
  CHECK(detail::billionths(INT64_MIN) == "-9223372036.854775808");
  CHECK(detail::decimal_usd(Usd::from_nanos(27'000)) == "0.000027");
  CHECK(detail::decimal_usd(Usd::from_nanos(-1'000'000'000)) == "-1.00");
}

TEST_CASE("decimal: a locale with a decimal comma changes nothing", "[core][decimal]") {
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new outlay_test::CommaDecimal));
  const auto read = detail::scaled_decimal("1.5", 1), comma = detail::scaled_decimal("1,5", 1);
  const std::string written = detail::billionths(1'234'500'000'000);
  std::locale::global(before);
  CHECK(read->value == 15);
  CHECK_FALSE(comma);
  CHECK(written == "1234.5");
}
