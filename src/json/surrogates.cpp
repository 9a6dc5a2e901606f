#include "surrogates.hpp"

#include <charconv>

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

}  // namespace

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
