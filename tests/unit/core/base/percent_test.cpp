#include "core/base/percent.hpp"

#include <string>

#include "support/catch.hpp"

using outlay::detail::percent_decoded;
using outlay::detail::percent_encoded;

TEST_CASE("percent: everything is encoded but letters, digits and what is plain", "[core][percent]") {
  CHECK(percent_encoded("azAZ09", "") == "azAZ09");
  CHECK(percent_encoded("a-b/c d", "-") == "a-b%2Fc%20d");
  CHECK(percent_encoded("\xC3\xA4\r\n%", "") == "%C3%A4%0D%0A%25");
  CHECK(percent_encoded(std::string_view("\0", 1), "-") == "%00");
}

TEST_CASE("percent: what was encoded is decoded", "[core][percent]") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  CHECK(percent_decoded(percent_encoded(all, "-._~")) == all);
  CHECK(percent_decoded("a%2cb%2Cc") == "a,b,c");
  CHECK(percent_decoded("") == "");
}

TEST_CASE("percent: a sign without two hexadecimal digits is refused", "[core][percent]") {
  for (const char* text : {"%", "%4", "a%4", "%zz", "%4z", "%z4", "%-1", "%+1", "% 1", "%%20"}) {
    INFO(text);
    CHECK_FALSE(percent_decoded(text));
  }
}
