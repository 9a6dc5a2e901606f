#include "core/base/utf8.hpp"

namespace outlay::detail {

bool is_well_formed(std::string_view text) noexcept {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8 character = utf8_at(text, at);
    if (!character.valid()) return false;
    at += character.length;
  }
  return true;
}

std::string well_formed(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes && is_well_formed(text)) return std::string(text);
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8 character = utf8_at(text, at);
    const std::string_view piece = character.valid() ? text.substr(at, character.length) : utf8_replacement;
    if (piece.size() > max_bytes - result.size()) break;
    result += piece;
    at += character.length;
  }
  return result;
}

}  // namespace outlay::detail
