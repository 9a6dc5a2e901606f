// Headers that say when to try again, and the bodies of errors: read, or not believed.
#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <ctime>

#include "fuzz_input.hpp"
#include "http/refusal.hpp"

using outlay_fuzz::check;
using outlay_fuzz::Choices;
namespace http = outlay::http::detail;

namespace {

constexpr std::int64_t longest = std::int64_t{366} * 24 * 3600 * 1000;  // ms

/// A date of RFC 9110, right but for what the input changes.
std::string date(Choices& input, std::time_t at) {
  constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 14> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
                                               "Aug", "Sep", "Oct", "Nov", "Dec", "anF", "dec"};
  std::tm tm{};
  if (::gmtime_r(&at, &tm) == nullptr) return {};
  const auto off = [&](int value) {
    return input.below(8) == 7 ? value + static_cast<int>(input.byte()) - 128 : value;
  };
  const std::size_t month = input.below(8) == 7 ? input.below(months.size()) : static_cast<std::size_t>(tm.tm_mon);
  std::array<char, 128> text;
  std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                days[static_cast<std::size_t>(tm.tm_wday)], off(tm.tm_mday), months[month], off(tm.tm_year + 1900),
                off(tm.tm_hour), off(tm.tm_min), off(tm.tm_sec));
  return text.data();
}

std::string value(Choices& input, std::time_t now) {
  switch (input.below(5)) {
    case 0:
      return std::to_string(input.number());
    case 1:
      return std::to_string(input.number()) + '.' + std::to_string(input.byte());
    case 2:
      return date(input, now + static_cast<std::time_t>(input.number() % 40'000'000));
    case 3:
      return {};
    default:
      return input.text(60);
  }
}

void check_word(const std::string& word) { check(word.size() <= 64 && word == http::plain_word(word)); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Choices input(data, size);
  const std::time_t now = std::time_t{1'700'000'000} + input.byte();
  // A date that is right says exactly how long to wait.
  const std::time_t wait = static_cast<std::time_t>(input.number() % 30'000'000);
  Choices unchanged(nullptr, 0);
  const auto exact = http::read_retry_after(date(unchanged, now + wait), "", now);
  check(exact && exact->count() == (wait < 0 ? 0 : std::int64_t{wait} * 1000));

  const std::string seconds = value(input, now), milliseconds = value(input, now);
  const auto read = http::read_retry_after(seconds, milliseconds, now);
  check(!read || (read->count() >= 0 && read->count() <= longest));

  // From what an error is made, whoever sent it, go plain words alone into messages.
  const auto facts = http::read_error(http::parse_error_body(input.remainder()));
  for (const std::string& word : {facts.code, facts.parameter, facts.request_id}) check_word(word);
  check(!http::worth_retrying(200, facts.code, true));
  return 0;
}
