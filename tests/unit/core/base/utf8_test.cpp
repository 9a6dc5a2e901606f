#include "core/base/utf8.hpp"

#include <string>
#include <string_view>

#include "support/catch.hpp"

using outlay::detail::is_well_formed;
using outlay::detail::Utf8;
using outlay::detail::utf8_at;
using outlay::detail::utf8_replacement;
using outlay::detail::well_formed;

TEST_CASE("utf8: the first and the last character of each length are read", "[core][utf8]") {
  struct Case {
    std::string_view text;
    char32_t code;
  };
  for (const Case& one :
       {Case{std::string_view("\0", 1), 0}, Case{"\x7F", 0x7F}, Case{"\xC2\x80", 0x80}, Case{"\xDF\xBF", 0x7FF},
        Case{"\xE0\xA0\x80", 0x800}, Case{"\xED\x9F\xBF", 0xD7FF}, Case{"\xEE\x80\x80", 0xE000},
        Case{"\xEF\xBF\xBF", 0xFFFF}, Case{"\xF0\x90\x80\x80", 0x10000}, Case{"\xF4\x8F\xBF\xBF", 0x10FFFF}}) {
    INFO(static_cast<std::uint32_t>(one.code));
    const std::string inside = "a" + std::string(one.text) + "b";
    const Utf8 character = utf8_at(inside, 1);
    CHECK(character.valid());
    CHECK(character.code == one.code);
    CHECK(character.length == one.text.size());
    CHECK(is_well_formed(inside));
    CHECK(well_formed(inside) == inside);
  }
}

TEST_CASE("utf8: each byte that belongs to no character becomes U+FFFD", "[core][utf8]") {
  struct Case {
    std::string_view bytes;
    int replaced;
  };
  for (const Case& one : {Case{"\xFF", 1}, Case{"\xC3", 1},                      // cut short
                          Case{"\xE2\x82", 2}, Case{"\xF0\x9F\x98", 3},          // cut short
                          Case{"\xC0\xAF", 2}, Case{"\xE0\x9F\xBF", 3},          // overlong
                          Case{"\xF0\x8F\xBF\xBF", 4}, Case{"\xED\xA0\x80", 3},  // overlong; a surrogate
                          Case{"\xF4\x90\x80\x80", 4}, Case{"\xF5\x80\x80", 3},  // beyond U+10FFFF
                          Case{"\x80", 1}}) {
    std::string expected;
    for (int i = 0; i < one.replaced; ++i) expected += utf8_replacement;
    for (const std::string_view behind : {"", "x"}) {
      const std::string text = std::string(one.bytes) + std::string(behind);
      CHECK_FALSE(utf8_at(text).valid());
      CHECK(utf8_at(text).length == 1);
      CHECK_FALSE(is_well_formed(text));
      CHECK(well_formed(text) == expected + std::string(behind));
    }
  }
}

TEST_CASE("utf8: text is cut between two characters", "[core][utf8]") {
  const std::string text = "a\xC3\xBC\xE2\x82\xAC";
  CHECK(well_formed(text, 6) == text);
  CHECK(well_formed(text, 5) == "a\xC3\xBC");
  CHECK(well_formed(text, 3) == "a\xC3\xBC");
  CHECK(well_formed(text, 2) == "a");
  CHECK(well_formed(text, 0).empty());
  CHECK(well_formed("\xFF\xFF", 5) == utf8_replacement);  // what stands for a byte is longer than it
}
