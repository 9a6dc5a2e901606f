#include "gateway/head.hpp"

#include <algorithm>

namespace outlay::gateway::detail {

namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool token_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool control(char c) noexcept { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F; }

std::string_view trimmed(std::string_view text) noexcept {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

bool same_word(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

bool HeadCheck::bad(const char* why) noexcept {
  why_ = why;
  return false;
}

HeadCheck::State HeadCheck::look(std::string_view bytes) {
  while (!ended_) {
    const std::size_t end = bytes.find('\n', seen_);
    if (end == bytes.npos) {
      seen_ = bytes.size();
      return State::more;
    }
    if (end == line_ || bytes[end - 1] != '\r') {
      bad("a line of its head does not end with CR LF");
      return State::bad;
    }
    const std::string_view text = bytes.substr(line_, end - 1 - line_);
    seen_ = line_ = end + 1;
    if (!line(text)) return State::bad;
  }
  return State::whole;
}

bool HeadCheck::line(std::string_view text) {
  if (std::any_of(text.begin(), text.end(), control)) return bad("its head contains a control character");
  if (first_) {
    first_ = false;
    http10_ = text.ends_with(" HTTP/1.0");
    if (!http10_ && !text.ends_with(" HTTP/1.1")) return bad("its first line does not end with HTTP/1.1 or HTTP/1.0");
    if (std::count(text.begin(), text.end(), ' ') != 2) return bad("its first line does not have two spaces");
    return true;
  }
  if (!text.empty()) return field(text);
  ended_ = true;
  if (lengths_ + encodings_ > 1) return bad("it gives its length twice");
  if (http10_ && encodings_ > 0) return bad("it is chunked, which HTTP/1.0 does not know");
  if (hosts_ > 1 || (hosts_ == 0 && !http10_)) return bad("it must have one Host field");
  return true;
}

bool HeadCheck::field(std::string_view text) {
  if (text.front() == ' ' || text.front() == '\t') return bad("a field goes on in the next line");
  const std::size_t colon = text.find(':');
  if (colon == text.npos || colon == 0 ||
      !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon), token_char))
    return bad("a field's name is not valid");
  const std::string_view name = text.substr(0, colon);
  const std::string_view value = trimmed(text.substr(colon + 1));
  if (same_word(name, "host")) ++hosts_;
  if (same_word(name, "content-length")) {
    ++lengths_;
    const bool digits = std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (value.empty() || value.size() > 18 || !digits) return bad("its Content-Length is not a number");
  }
  if (same_word(name, "transfer-encoding")) {
    ++encodings_;
    if (!same_word(value, "chunked")) return bad("its Transfer-Encoding is not chunked");
  }
  return true;
}

}  // namespace outlay::gateway::detail
