#include "outlay/error.hpp"

#include <set>
#include <string>

#include "support/catch.hpp"

using outlay::errc;

TEST_CASE("errc: to_string is the enumerator's name", "[core][error]") {
  CHECK(outlay::to_string(errc::ok) == std::string("ok"));
  CHECK(outlay::to_string(errc::budget_exceeded) == std::string("budget_exceeded"));
  CHECK(outlay::to_string(errc::cancelled) == std::string("cancelled"));
  CHECK(outlay::to_string(static_cast<errc>(9'999)) == std::string("unknown"));
}

TEST_CASE("errc: every enumerator has a name and a sentence of its own", "[core][error]") {
  std::set<std::string> names, sentences;
  const int last = static_cast<int>(errc::tag_required);
  for (int code = 0; code <= last; ++code) {
    names.insert(outlay::to_string(static_cast<errc>(code)));
    sentences.insert(make_error_code(static_cast<errc>(code)).message());
  }
  CHECK(names.size() == static_cast<std::size_t>(last) + 1);
  CHECK(sentences.size() == static_cast<std::size_t>(last) + 1);
  CHECK(!names.contains("unknown"));
}
