#include "outlay/usage.hpp"

#include <string>

#include "support/catch.hpp"

using outlay::Dimension;
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
