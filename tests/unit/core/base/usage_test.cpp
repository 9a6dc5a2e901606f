#include "outlay/usage.hpp"

#include <sstream>
#include <string>

#include "outlay/error.hpp"
#include "support/catch.hpp"

using namespace outlay::literals;
using outlay::Amount;
using outlay::Amounts;
using outlay::Dimension;
using outlay::Limits;
using outlay::Usage;

TEST_CASE("usage: an empty usage is valid", "[core][usage]") { CHECK(Usage{}.first_invalid() == nullptr); }

TEST_CASE("usage: each member is refused by name when it is negative", "[core][usage]") {
  const std::pair<const char*, std::int64_t Usage::*> members[] = {
      {"input", &Usage::input},
      {"cache_read", &Usage::cache_read},
      {"cache_write", &Usage::cache_write},
      {"cache_write_1h", &Usage::cache_write_1h},
      {"output", &Usage::output},
      {"reasoning", &Usage::reasoning},
      {"input_audio", &Usage::input_audio},
      {"input_image", &Usage::input_image},
      {"cache_read_audio", &Usage::cache_read_audio},
      {"output_audio", &Usage::output_audio},
      {"output_image", &Usage::output_image},
      {"web_searches", &Usage::web_searches},
  };
  for (const auto& [name, member] : members) {
    Usage usage;
    usage.*member = -1;
    INFO(name);
    REQUIRE(usage.first_invalid() != nullptr);
    CHECK(usage.first_invalid() == std::string(name));
  }
}

TEST_CASE("usage: the largest count is believed and one more is not", "[core][usage]") {
  Usage usage{.output = Usage::max_count};
  CHECK(usage.first_invalid() == nullptr);
  usage.output += 1;
  CHECK(usage.first_invalid() == std::string("output"));
  CHECK(Usage{.web_searches = INT64_MAX}.first_invalid() == std::string("web_searches"));
}

TEST_CASE("usage: a part may not exceed its whole", "[core][usage]") {
  CHECK(Usage{.output = 10, .reasoning = 10}.first_invalid() == nullptr);
  CHECK(Usage{.output = 10, .reasoning = 11}.first_invalid() == std::string("reasoning"));
  CHECK(Usage{.input = 5, .input_audio = 6}.first_invalid() == std::string("input_audio"));
  CHECK(Usage{.cache_read = 5, .cache_read_audio = 6}.first_invalid() == std::string("cache_read_audio"));
  CHECK(Usage{.cache_read = 9, .input_image = 1}.first_invalid() == std::string("input_image"));
}

TEST_CASE("usage: totals add the disjoint buckets once", "[core][usage]") {
  const Usage usage{
      .input = 1, .cache_read = 20, .cache_write = 300, .cache_write_1h = 4000, .output = 50000, .reasoning = 7};
  CHECK(usage.input_total() == 4321);
  CHECK(usage.total() == 54321);
}

TEST_CASE("usage: every dimension has a name of its own", "[core][usage]") {
  CHECK(to_string(Dimension::usd) == std::string("usd"));
  CHECK(to_string(Dimension::tokens) == std::string("tokens"));
  CHECK(to_string(Dimension::input_tokens) == std::string("input_tokens"));
  CHECK(to_string(Dimension::output_tokens) == std::string("output_tokens"));
  CHECK(to_string(Dimension::calls) == std::string("calls"));
  CHECK(to_string(Dimension::concurrent) == std::string("concurrent"));
}

TEST_CASE("amount: prints money as money and a count as a number", "[core][usage]") {
  CHECK(to_string(Amount(0.0125_usd)) == "$0.0125");
  CHECK(to_string(Amount(Dimension::usd, 10'000'000)) == "$0.01");
  CHECK(to_string(Amount(Dimension::tokens, 1'500)) == "1500");
  CHECK(to_string(Amount()) == "$0.00");
  std::ostringstream out;
  out << Amount(1_usd) << ' ' << Amount(Dimension::calls, 3);
  CHECK(out.str() == "$1.00 3");
}

TEST_CASE("amount: money gives no count, and a count no money", "[core][usage]") {
  CHECK(Amount(1_usd).usd() == 1_usd);
  CHECK(Amount(Dimension::calls, 3).count() == 3);
  const auto reason_of = [](auto&& ask) {
    try {
      static_cast<void>(ask());
    } catch (const outlay::Error& error) {
      return error.reason();
    }
    return outlay::errc::ok;
  };
  CHECK(reason_of([] { return Amount(1_usd).count(); }) == outlay::errc::invalid_argument);
  CHECK(reason_of([] { return Amount(Dimension::calls, 3).usd(); }) == outlay::errc::invalid_argument);
}

TEST_CASE("amount: compares within a dimension", "[core][usage]") {
  CHECK(Amount(0.01_usd) < Amount(0.02_usd));
  CHECK(Amount(Dimension::usd, 1'000'000'000) == 1_usd);
  CHECK(Amount(Dimension::calls, 3) >= Amount(Dimension::calls, 3));
  CHECK(Amount(Dimension::calls, 3) != Amount(Dimension::tokens, 3));
  CHECK((Amount(Dimension::calls, 3) <=> Amount(Dimension::tokens, 4)) == std::partial_ordering::unordered);
}

TEST_CASE("amounts: print the dimensions that have a value", "[core]") {
  CHECK(to_string(Amounts{}) == "nothing");
  CHECK(to_string(Amounts{.usd = 0.01_usd, .tokens = 1'500, .calls = -1}) == "usd=$0.01 tokens=1500 calls=-1");
  CHECK(to_string(Limits{}) == "none");
  CHECK(to_string(Limits{.usd = 0_usd, .concurrent = 4}) == "usd=$0.00 concurrent=4");
  std::ostringstream text;
  text << Amounts{.calls = 2} << ", " << Limits{.calls = 0};
  CHECK(text.str() == "calls=2, calls=0");
}
