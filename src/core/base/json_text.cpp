#include "core/base/json_text.hpp"

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>

namespace outlay::detail {

namespace {

/// The length of the character that starts here; 0 if none does. Overlong forms, surrogates and what is beyond U+10FFFF are none
/// (RFC 3629, section 4).
std::size_t character_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned second = byte(1);
    const bool fits = first == 0xE0 ? second >= 0xA0 : first == 0xED ? second <= 0x9F : true;
    return fits && tail(1) && tail(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned second = byte(1);
    const bool fits = first == 0xF0 ? second >= 0x90 : first == 0xF4 ? second <= 0x8F : true;
    return fits && tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

constexpr std::string_view replacement = "\xEF\xBF\xBD";

template <class T>
void append_chars(std::string& out, T number) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, number);
  out.append(text, end.ptr);
}

}  // namespace

bool is_well_formed(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string well_formed(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    result += length == 0 ? replacement : text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return result;
}

void append_json(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const char c = text.front();
    const std::size_t length = character_length(text);
    if (length != 1) {
      out += length == 0 ? replacement : text.substr(0, length);
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      // DEL need not be escaped, but terminals and line-based tools are happier.
      switch (c) {
        case '\n':
          out += "\\n";
          break;
        case '\r':
          out += "\\r";
          break;
        case '\t':
          out += "\\t";
          break;
        default: {
          char code[8];
          std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
          out += code;
        }
      }
    } else {
      out += c;
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

void append_json(std::string& out, const Tags& tags) {
  out += '{';
  bool first = true;
  for (const auto& [key, value] : tags) {
    if (!first) out += ',';
    first = false;
    append_json(out, key);
    out += ':';
    append_json(out, value);
  }
  out += '}';
}

void append_json(std::string& out, const std::vector<std::string>& list) {
  out += '[';
  bool first = true;
  for (const std::string& text : list) {
    if (!first) out += ',';
    first = false;
    append_json(out, text);
  }
  out += ']';
}

void append_number(std::string& out, std::int64_t number) { append_chars(out, number); }
void append_number(std::string& out, std::uint64_t number) { append_chars(out, number); }
void append_number(std::string& out, double number) {
  if (std::isfinite(number))
    append_chars(out, number);
  else
    out += "null";
}

std::string decimal_usd(Usd usd) {
  std::string text = to_string(usd);
  text.erase(text.find('$'), 1);
  return text;
}

void append_time(std::string& out, Time time) {
  using namespace std::chrono;
  const std::string seconds_text = to_iso8601(time);
  const auto nanos = (time - floor<seconds>(time)).count();
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%09dZ", static_cast<int>(nanos));
  out.append(seconds_text, 0, seconds_text.size() - 1).append(fraction);
}

}  // namespace outlay::detail
