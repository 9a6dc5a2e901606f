#include "cli/terminal.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "core/base/utf8.hpp"

namespace outlay::cli {

using detail::Utf8;
using detail::utf8_at;

namespace {

/// By blocks: what East Asian scripts and emoji take, and what takes nothing (Unicode Standard Annex 11, in broad strokes).
std::size_t columns_of(char32_t code) noexcept {
  const auto in = [code](char32_t first, char32_t last) { return code >= first && code <= last; };
  if (in(0x300, 0x36F) || in(0x200B, 0x200F) || in(0x20D0, 0x20FF) || in(0xFE00, 0xFE0F)) return 0;
  if (in(0x1100, 0x115F) || in(0x2E80, 0xA4CF) || in(0xAC00, 0xD7A3) || in(0xF900, 0xFAFF) || in(0xFE30, 0xFE6F) ||
      in(0xFF00, 0xFF60) || in(0xFFE0, 0xFFE6) || in(0x1F300, 0x1FAFF) || in(0x20000, 0x3FFFD))
    return 2;
  return 1;
}

constexpr std::string_view ellipsis = "\xE2\x80\xA6";
constexpr std::string_view gap = "  ";
// How far a text column shrinks: to the first before other columns are left out, since it distinguishes rows; then to the second.
constexpr std::size_t readable = 16, narrowest = 4;

}  // namespace

Terminal standard_output() {
  Terminal terminal;
  if (::isatty(STDOUT_FILENO) == 0) return terminal;
  winsize size{};
  terminal.width = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col : 80;
  const char* no_colour = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): there is one thread
  const char* kind = std::getenv("TERM");           // NOLINT(concurrency-mt-unsafe)
  terminal.cursor = kind && *kind && std::string_view(kind) != "dumb";
  terminal.colour = terminal.cursor && !(no_colour && *no_colour);
  return terminal;
}

bool output_is_read() {
  pollfd output{STDOUT_FILENO, 0, 0};
  return ::poll(&output, 1, 0) <= 0 || (output.revents & (POLLERR | POLLHUP)) == 0;
}

std::string printable(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8 c = utf8_at(text, at);
    // C0, DEL, C1, and the marks that turn the direction of what follows.
    const bool control = c.code < 0x20 || (c.code >= 0x7F && c.code < 0xA0) || c.code == 0x61C || c.code == 0x200E ||
                         c.code == 0x200F || (c.code >= 0x202A && c.code <= 0x202E) ||
                         (c.code >= 0x2066 && c.code <= 0x2069);
    result += c.valid() && !control ? text.substr(at, c.length) : detail::utf8_replacement;
    at += c.length;
  }
  return result;
}

std::string printable_lines(std::string_view text) {
  std::string lines;
  for (std::size_t at = 0;;) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines += printable(text.substr(at, end - at));
    if (end == text.size()) return lines;
    lines += '\n';
    at = end + 1;
  }
}

void say(std::string_view text) { std::cerr << printable_lines("outlay: " + std::string(text) + '\n'); }

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8 c = utf8_at(text, at);
    width += columns_of(c.code);
    at += c.length;
  }
  return width;
}

std::string shortened(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  std::size_t at = 0;
  for (std::size_t used = 0; at < text.size();) {
    const Utf8 c = utf8_at(text, at);
    used += columns_of(c.code);
    if (used + 1 > width) break;
    at += c.length;
  }
  std::string result(text.substr(0, at));
  return width == 0 ? result : result.append(ellipsis);
}

void Table::add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
void Table::set_total(std::vector<std::string> cells) { total_ = std::move(cells); }

std::string Table::render(const Terminal& terminal) const {
  std::vector<std::size_t> shown(columns_.size());
  for (std::size_t i = 0; i < shown.size(); ++i) shown[i] = i;
  std::vector<std::size_t> widths(columns_.size());
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    widths[i] = display_width(columns_[i].title);
    for (const auto& row : rows_) widths[i] = std::max(widths[i], display_width(row[i]));
    if (!total_.empty()) widths[i] = std::max(widths[i], display_width(total_[i]));
  }
  const auto needed = [&] {
    std::size_t sum = shown.empty() ? 0 : gap.size() * (shown.size() - 1);
    for (const std::size_t i : shown) sum += widths[i];
    return sum;
  };
  if (terminal.width != 0) {
    const auto shrink_to = [&](std::size_t least) {
      while (needed() > terminal.width) {
        std::size_t* widest = nullptr;
        for (const std::size_t i : shown)
          if (!columns_[i].number && widths[i] > least && (!widest || widths[i] > *widest)) widest = &widths[i];
        if (!widest) break;
        --*widest;
      }
    };
    shrink_to(readable);
    while (needed() > terminal.width) {
      const auto spare = std::find_if(shown.rbegin(), shown.rend(), [&](std::size_t i) { return !columns_[i].needed; });
      if (spare == shown.rend()) break;
      shown.erase(std::next(spare).base());
    }
    shrink_to(narrowest);
  }
  std::string out;
  const auto line = [&](const auto& cell, const char* style) {
    std::string text;
    for (const std::size_t i : shown) {
      if (i != shown.front()) text += gap;
      const std::string part = shortened(cell(i), widths[i]);
      const std::string padding(widths[i] - std::min(widths[i], display_width(part)), ' ');
      text += columns_[i].number ? padding + part : part + padding;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += terminal.colour ? style + text + "\x1B[0m" : text;
    out += '\n';
  };
  line([&](std::size_t i) -> const std::string& { return columns_[i].title; }, "\x1B[1m");
  for (const auto& row : rows_) line([&](std::size_t i) -> const std::string& { return row[i]; }, "");
  if (!total_.empty()) line([&](std::size_t i) -> const std::string& { return total_[i]; }, "\x1B[1m");
  return out;
}

}  // namespace outlay::cli
