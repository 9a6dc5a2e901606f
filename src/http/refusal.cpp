#include "refusal.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>

namespace outlay::http::detail {

namespace json = boost::json;

bool worth_retrying(int status, std::string_view code, bool may_bill_twice) noexcept {
  switch (status) {
    case 429:  // not where an account is empty or its monthly limit is reached: that does not pass in minutes
      return code != "insufficient_quota" && code != "enforced_spend_limit_reached" &&
             code != "billing_hard_limit_reached";
    case 503:
    case 529:
      return true;
    case 502:
    case 504:
      return may_bill_twice;
    default:
      return false;
  }
}

std::string plain_word(std::string_view text) {
  const bool plain = text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                              c == '-' || c == '.' || c == '[' || c == ']';
                     });
  // A key is a plain word too, but no code is as long as one, or begins like one.
  if (!plain || text.starts_with("sk-") || text.starts_with("AIza")) return {};
  return std::string(text);
}

namespace {

std::string word_in(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value) return {};
  if (const json::string* text = value->if_string()) return plain_word(*text);
  if (const std::int64_t* number = value->if_int64()) return std::to_string(*number);
  return {};
}

}  // namespace

json::value parse_error_body(std::string_view body) noexcept {
  try {
    json::parse_options options;
    options.max_depth = 32;
    boost::system::error_code failed;
    json::value value = json::parse(body, failed, {}, options);
    return failed ? json::value() : value;
  } catch (...) {
    return {};
  }
}

ErrorFacts read_error(const json::value& value) noexcept {
  ErrorFacts facts;
  try {
    const json::object* top = value.if_object();
    if (const json::array* list = value.if_array(); list && !list->empty())
      top = list->front().if_object();  // Gemini's array
    if (!top) return facts;
    facts.request_id = word_in(*top, "request_id");
    const json::value* nested = top->if_contains("error");
    const json::object& error = nested && nested->is_object() ? nested->get_object() : *top;
    // From the most specific to the least: OpenAI's `code`, Anthropic's and vLLM's `type`, Gemini's `status`.
    if (const json::value* inner = error.if_contains("innererror"); inner && inner->is_object())
      facts.code = word_in(inner->get_object(), "code");
    if (const json::value* details = error.if_contains("details");
        details && details->is_object() && facts.code.empty())
      facts.code = word_in(details->get_object(), "error_code");
    const json::value* code = error.if_contains("code");
    if (facts.code.empty() && code && code->is_string()) facts.code = word_in(error, "code");
    if (facts.code.empty()) facts.code = word_in(error, "status");
    if (facts.code.empty()) facts.code = word_in(error, "type");
    if (facts.code.empty()) facts.code = word_in(error, "code");
    facts.parameter = word_in(error, "param");
  } catch (...) {
    facts = {};
  }
  return facts;
}

std::optional<std::chrono::milliseconds> read_retry_after(std::string_view value, std::string_view milliseconds,
                                                          std::time_t now) noexcept {
  constexpr std::int64_t most = std::int64_t{366} * 24 * 3600;
  const auto read = [](std::string_view text) -> std::optional<std::int64_t> {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || number < 0) return {};
    // A fraction of a second, as some gateways send, is rounded up.
    const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
    if (rest.empty()) return number;
    if (rest.front() != '.' || rest.find_first_not_of("0123456789", 1) != rest.npos) return {};
    return number < most ? number + 1 : number;
  };
  if (const auto ms = read(milliseconds)) return std::chrono::milliseconds(std::min(*ms, most * 1000));
  if (const auto seconds = read(value)) return std::chrono::milliseconds(std::min(*seconds, most) * 1000);
  // RFC 9110's preferred form, in a locale-free way: Sun, 06 Nov 1994 08:49:37 GMT
  if (value.size() != 29 || !value.ends_with(" GMT") || value[3] != ',') return {};
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const std::size_t month = months.find(value.substr(8, 3));
  if (month == months.npos || month % 3 != 0) return {};
  const auto field = [&](std::size_t at, std::size_t length) -> int {
    int number = 0;
    const char* begin = value.data() + at;
    const auto [end, error] = std::from_chars(begin, begin + length, number);
    return error == std::errc{} && end == begin + length ? number : -1;
  };
  const int day = field(5, 2), year = field(12, 4), hour = field(17, 2), minute = field(20, 2), second = field(23, 2);
  if (day < 1 || year < 1970 || hour < 0 || minute < 0 || second < 0 || hour > 23 || minute > 59 || second > 60)
    return {};
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month / 3 + 1)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return {};
  const std::int64_t then =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::sys_days(date).time_since_epoch()).count() +
      std::int64_t{hour} * 3600 + std::int64_t{minute} * 60 + second;
  return std::chrono::milliseconds(std::clamp<std::int64_t>(then - static_cast<std::int64_t>(now), 0, most) * 1000);
}

}  // namespace outlay::http::detail
