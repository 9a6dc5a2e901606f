#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "outlay/detail/export.hpp"

namespace outlay::detail {

/// A character of UTF-8, or a byte that belongs to none.
struct Utf8 {
  static constexpr char32_t none = 0xFFFFFFFF;

  char32_t code = none;
  std::size_t length = 1;  ///< In bytes.

  [[nodiscard]] constexpr bool valid() const noexcept { return code != none; }
};

/// As utf8_at(), of a byte that is not ASCII.
[[nodiscard]] constexpr Utf8 utf8_beyond_ascii(std::string_view text, std::size_t at) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  const std::size_t length = lead >= 0xF0 && lead <= 0xF4 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 0;
  if (length == 0 || lead > 0xF4 || text.size() - at < length) return {};
  char32_t code = lead & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(at + i) & 0x3FU);
  }
  constexpr char32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < smallest[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {code, length};
}

/// What stands at `at`, which is inside the text. Overlong forms, surrogates and what is beyond U+10FFFF are no characters (RFC
/// 3629, section 4).
[[nodiscard]] constexpr Utf8 utf8_at(std::string_view text, std::size_t at = 0) noexcept {
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) return {lead, 1};
  return utf8_beyond_ascii(text, at);
}

/// U+FFFD, which stands for what cannot be shown.
inline constexpr std::string_view utf8_replacement = "\xEF\xBF\xBD";

[[nodiscard]] OUTLAY_EXPORT bool is_well_formed(std::string_view text) noexcept;
/// The text with U+FFFD for each byte that belongs to no character, cut between two characters to at most `max_bytes`.
[[nodiscard]] OUTLAY_EXPORT std::string well_formed(std::string_view text,
                                                    std::size_t max_bytes = std::string_view::npos);

}  // namespace outlay::detail
