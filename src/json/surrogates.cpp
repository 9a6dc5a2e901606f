#include "surrogates.hpp"

#include <charconv>
#include <utility>

namespace outlay::detail {

namespace {

constexpr std::size_t escape_size = 6;  // of `\ud83d`

// What an escape at an offset stands for; 0 where there is none of that kind.
unsigned code_unit(std::string_view json, std::size_t at) noexcept {
  if (json.size() < escape_size || at > json.size() - escape_size || json[at] != '\\' || json[at + 1] != 'u') return 0;
  unsigned unit = 0;
  const char* const end = json.data() + at + escape_size;
  const auto [read, failed] = std::from_chars(json.data() + at + 2, end, unit, 16);
  return failed == std::errc() && read == end ? unit : 0;
}

constexpr bool is_high(unsigned unit) noexcept { return unit >= 0xD800 && unit <= 0xDBFF; }
constexpr bool is_low(unsigned unit) noexcept { return unit >= 0xDC00 && unit <= 0xDFFF; }

// Whether more bytes could make an escape of what a text ends with; nothing may be the beginning of one, too.
bool may_become_escape(std::string_view end) noexcept {
  constexpr std::string_view digits = "0123456789abcdefABCDEF";
  return end.size() < escape_size && std::string_view("\\u").starts_with(end.substr(0, 2)) &&
         (end.size() < 3 || end.find_first_not_of(digits, 2) == end.npos);
}

// How much of a text can be told from what follows it.
std::size_t decided(std::string_view json) noexcept {
  std::size_t at = json.find('\\');
  while (at < json.size()) {
    if (may_become_escape(json.substr(at))) return at;
    const unsigned unit = code_unit(json, at);
    if (is_high(unit) && may_become_escape(json.substr(at + escape_size))) return at;
    const bool pair = is_high(unit) && is_low(code_unit(json, at + escape_size));
    at = json.find('\\', at + (pair ? 2 * escape_size : unit != 0 ? escape_size : 2));
  }
  return json.size();
}

}  // namespace

std::string_view SurrogateMender::operator()(std::string_view bytes) {
  if (!kept_.empty()) {
    text_ = std::move(kept_) + std::string(bytes);
    kept_.clear();
    bytes = text_;
  }
  const std::size_t size = decided(bytes);
  kept_.assign(bytes.substr(size));
  bytes = bytes.substr(0, size);
  if (std::optional<std::string> mended = without_lone_surrogates(bytes)) {
    text_ = std::move(*mended);
    bytes = text_;
  }
  return bytes;
}

std::optional<std::string> without_lone_surrogates(std::string_view json) {
  std::optional<std::string> mended;
  for (std::size_t at = json.find('\\'); at != std::string_view::npos; at = json.find('\\', at)) {
    const unsigned unit = code_unit(json, at);
    if (is_high(unit) && is_low(code_unit(json, at + escape_size))) {
      at += 2 * escape_size;
    } else if (is_high(unit) || is_low(unit)) {
      if (!mended) mended.emplace(json);
      mended->replace(at, escape_size, "\\ufffd");
      at += escape_size;
    } else {
      at += 2;  // whatever is escaped, a backslash above all
    }
  }
  return mended;
}

}  // namespace outlay::detail
