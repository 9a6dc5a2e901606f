#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string_view>

namespace outlay::detail {

/// What a W3C `traceparent` says. Refers to its text.
struct TraceParent {
  std::string_view trace_id;
  std::string_view parent_id;
  bool sampled = false;
};

/// Reads version 00 of W3C's Trace Context, `00-<32 digits>-<16 digits>-<2 digits>`: hexadecimal digits in lower case, neither id all
/// zeros. Empty for anything else, later versions included, whose form is not known.
[[nodiscard]] constexpr std::optional<TraceParent> read_traceparent(std::string_view text) noexcept {
  constexpr std::size_t size = 55;
  if (text.size() != size || !text.starts_with("00-") || text[35] != '-' || text[52] != '-') return std::nullopt;
  const std::string_view trace_id = text.substr(3, 32), parent_id = text.substr(36, 16), flags = text.substr(53);
  for (const std::string_view digits : {trace_id, parent_id, flags})
    if (digits.find_first_not_of("0123456789abcdef") != digits.npos) return std::nullopt;
  if (trace_id.find_first_not_of('0') == trace_id.npos || parent_id.find_first_not_of('0') == parent_id.npos)
    return std::nullopt;
  const char last = flags[1];
  const int bits = last <= '9' ? last - '0' : last - 'a' + 10;
  return TraceParent{trace_id, parent_id, (bits & 1) != 0};
}

[[nodiscard]] constexpr bool is_traceparent(std::string_view text) noexcept {
  return read_traceparent(text).has_value();
}

}  // namespace outlay::detail
