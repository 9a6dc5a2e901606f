#include "core/base/json_writer.hpp"

#include <cstdint>
#include <limits>
#include <locale>
#include <string>
#include <string_view>

#include "support/catch.hpp"
#include "support/comma_decimal.hpp"

using outlay::detail::JsonWriter;

namespace {

std::string text(std::string_view value) {
  std::string out;
  JsonWriter(out).text(value);
  return out;
}

}  // namespace

TEST_CASE("json writer: commas stand between members and between values, and nowhere else", "[core][json_writer]") {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("a").begin_array().end_array().key("b").begin_object().end_object();
  json.key("c").begin_array().number(std::int64_t{1}).text("x").begin_array().end_array().begin_object().end_object();
  json.boolean(true).end_array().key("d").begin_object().key("e").boolean(false).end_object().end_object();
  CHECK(out == R"({"a":[],"b":{},"c":[1,"x",[],{},true],"d":{"e":false}})");
}

TEST_CASE("json writer: what is JSON already is one value or some members", "[core][json_writer]") {
  std::string out;
  JsonWriter json(out);
  json.begin_object().raw(R"("a":1,"b":2)").key("c").begin_array().raw("3").raw("4").end_array().end_object();
  CHECK(out == R"({"a":1,"b":2,"c":[3,4]})");
}

TEST_CASE("json writer: a new line begins behind the comma", "[core][json_writer]") {
  std::string out;
  JsonWriter json(out);
  json.begin_array().line().text("a").line().text("b").end_array();
  CHECK(out == "[\n\"a\",\n\"b\"]");
}

TEST_CASE("json writer: texts are escaped", "[core][json_writer]") {
  CHECK(text("a\"b\\c\nd\re\tf\x01\x7F") == R"("a\"b\\c\nd\re\tf\u0001\u007f")");
  CHECK(text(std::string_view("\0", 1)) == R"("\u0000")");
  CHECK(text("z\xC3\xAB \xE2\x82\xAC \xF0\x9F\x98\x80") == "\"z\xC3\xAB \xE2\x82\xAC \xF0\x9F\x98\x80\"");
  CHECK(text("") == "\"\"");
  CHECK(text("\xFF\xE2\x82x\"\xC3") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDx\\\"\xEF\xBF\xBD\"");
  std::string out;
  JsonWriter(out).begin_object().key("k\"\n").text("").end_object();
  CHECK(out == R"({"k\"\n":""})");
}

TEST_CASE("json writer: tags are an object, texts an array", "[core][json_writer]") {
  std::string out;
  JsonWriter json(out);
  json.begin_array().tags({{"user", "al\"ice"}, {"a", "b"}}).tags({}).texts({"run", "answer"}).texts({}).end_array();
  CHECK(out == R"([{"a":"b","user":"al\"ice"},{},["run","answer"],[]])");
}

TEST_CASE("json writer: numbers are the shortest text, whatever the locale", "[core][json_writer]") {
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new outlay_test::CommaDecimal));
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  json.number(std::numeric_limits<std::int64_t>::min()).number(std::numeric_limits<std::uint64_t>::max());
  json.number(0.5).number(0.1).number(1e300).number(-0.0);
  json.number(std::numeric_limits<double>::infinity()).number(std::numeric_limits<double>::quiet_NaN());
  json.quoted(std::int64_t{-1'000}).quoted(std::numeric_limits<std::uint64_t>::max()).end_array();
  std::locale::global(before);
  CHECK(out ==
        "[-9223372036854775808,18446744073709551615,0.5,0.1,1e+300,-0,null,null,\"-1000\",\"18446744073709551615\"]");
}
