#include "json/prices/decimal.hpp"

#include <cstdint>
#include <random>
#include <string>

#include "support/catch.hpp"

using namespace outlay;

TEST_CASE("prices from JSON: numbers are read from their text, exactly", "[json][price]") {
  const auto read = [](std::string_view text, int scale) {
    const auto decimal = detail::scaled_decimal(text, scale);
    REQUIRE(decimal);
    CHECK_FALSE(decimal->rounded);
    return decimal->value;
  };
  CHECK(read("2.5e-06", 12) == 2'500'000);
  CHECK(read("0.0000025", 12) == 2'500'000);
  CHECK(read("3.625e-09", 12) == 3'625);
  CHECK(read("25E-7", 12) == 2'500'000);
  CHECK(read("1e-12", 12) == 1);
  CHECK(read("0", 12) == 0);
  CHECK(read("0.0e99999999", 12) == 0);
  CHECK(read("9223372.036854775807", 12) == INT64_MAX);
  CHECK(read("1.10", 6) == 1'100'000);
  CHECK(read("1000000000000000000000000000000000000000000e-42", 0) == 1);
}

TEST_CASE("prices from JSON: a finer number is rounded half to even and said to be", "[json][price]") {
  const auto read = [](std::string_view text) {
    const auto decimal = detail::scaled_decimal(text, 0);
    REQUIRE(decimal);
    CHECK(decimal->rounded);
    return decimal->value;
  };
  CHECK(read("0.5") == 0);
  CHECK(read("1.5") == 2);
  CHECK(read("2.5") == 2);
  CHECK(read("2.5000000000000000000000000000000000000000000000000001") == 3);
  CHECK(read("2.4999999999999999999999999999999999999999999999999999") == 2);
  CHECK(read("0.05e1") == 0);
  CHECK(read("1e-400") == 0);
  CHECK(read("1e-99999999999999999999") == 0);
  CHECK(read("0.51") == 1);
}

TEST_CASE("prices from JSON: what is no number, below zero or too large is not read", "[json][price]") {
  for (const char* text :
       {"", "-1", "+1", "e5", "1e", "1e+", ".", "1.2.3", "1,5", "NaN", "Infinity", "0x1", " 1", "1 ", "1e5x"}) {
    INFO(text);
    CHECK_FALSE(detail::scaled_decimal(text, 0));
  }
  CHECK_FALSE(detail::scaled_decimal("9223372036854775808", 0));
  CHECK_FALSE(detail::scaled_decimal("9223372036854775807.5", 0));
  CHECK_FALSE(detail::scaled_decimal("1e99999999999", 0));
  CHECK_FALSE(detail::scaled_decimal(std::string(5000, '9'), 0));
}

TEST_CASE("prices from JSON: random decimals agree with integer arithmetic", "[json][price]") {
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
