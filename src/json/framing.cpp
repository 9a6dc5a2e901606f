#include "framing.hpp"

#include <algorithm>
#include <array>
#include <boost/crc.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <cstring>
#include <utility>

#include "outlay/error.hpp"

namespace outlay::detail {

namespace {

std::uint32_t big_endian(std::string_view bytes) noexcept {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) number = (number << 8) | static_cast<unsigned char>(bytes[i]);
  return number;
}

[[noreturn]] void over_limit(std::size_t limit) {
  throw Error(errc::bad_reply, "stream: an event is over the limit of " + std::to_string(limit) +
                                   " bytes. Raise StreamMeterOptions::max_event_bytes if such events are expected.");
}

}  // namespace

std::uint32_t crc32(std::string_view bytes) noexcept {
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

// Looks for the end of an event from `at` on: a line end where the line is blank. True: `at` is behind it.
bool SseFraming::scan(std::string_view text, std::size_t& at) {
  while (at < text.size()) {
    if (after_cr_) {
      after_cr_ = false;
      if (text[at] == '\n') {
        ++at;
        continue;
      }
    }
    // To the end of the line, LF or CR, whichever is first.
    const char* const begin = text.data() + at;
    const void* const lf = std::memchr(begin, '\n', text.size() - at);
    const std::size_t to_lf =
        lf == nullptr ? text.size() - at : static_cast<std::size_t>(static_cast<const char*>(lf) - begin);
    const void* const cr = std::memchr(begin, '\r', to_lf);
    const std::size_t size = cr == nullptr ? to_lf : static_cast<std::size_t>(static_cast<const char*>(cr) - begin);
    if (size != 0) line_began_ = true;
    at += size;
    if (at == text.size()) return false;
    after_cr_ = text[at] == '\r';
    ++at;
    if (!line_began_) return true;
    line_began_ = false;
  }
  return false;
}

bool SseFraming::next() {
  if (kept_is_event_) {
    kept_.clear();
    kept_is_event_ = false;
  }
  if (kept_.empty()) {
    std::size_t at = 0;
    if (scan(rest_, at)) {
      if (at > max_) over_limit(max_);
      event_ = rest_.substr(0, at);
      rest_.remove_prefix(at);
      read(event_);
      return true;
    }
    if (rest_.size() > max_) over_limit(max_);
    kept_.assign(rest_);
    rest_ = {};
    return false;
  }
  // Of a long chunk only what ends the kept event is copied.
  std::size_t at = 0;
  const bool whole = scan(rest_, at);
  if (kept_.size() + at > max_) over_limit(max_);
  kept_.append(rest_.substr(0, at));
  rest_.remove_prefix(at);
  if (!whole) return false;
  kept_is_event_ = true;
  event_ = kept_;
  read(event_);
  return true;
}

bool SseFraming::last() {
  if (kept_is_event_ || kept_.empty()) return false;
  kept_is_event_ = true;
  event_ = kept_;
  read(event_);
  return true;
}

void SseFraming::read(std::string_view event) {
  data_ = {};
  data_lines_ = 0;
  while (!event.empty()) {
    const void* const lf = std::memchr(event.data(), '\n', event.size());
    std::size_t size =
        lf == nullptr ? event.size() : static_cast<std::size_t>(static_cast<const char*>(lf) - event.data());
    const void* const cr = std::memchr(event.data(), '\r', size);
    if (cr != nullptr) size = static_cast<std::size_t>(static_cast<const char*>(cr) - event.data());
    line(event.substr(0, size));
    event.remove_prefix(std::min(event.size(), size + 1));
  }
}

void SseFraming::line(std::string_view text) {
  // Names other than data say nothing that the data does not say again, but for comments, which say nothing.
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (!text.starts_with("data")) return;
  text.remove_prefix(4);
  if (!text.empty()) {
    if (text.front() != ':') return;
    text.remove_prefix(1);
    if (text.starts_with(' ')) text.remove_prefix(1);
  }
  if (data_lines_++ == 0) {
    data_ = text;
    return;
  }
  if (data_lines_ == 2) joined_.assign(data_);
  joined_ += '\n';
  joined_ += text;
  data_ = joined_;
}

bool EventStreamFraming::next() {
  constexpr std::size_t prelude = 12;
  constexpr std::size_t least = prelude + 4;
  if (kept_is_message_) {
    kept_.clear();
    kept_is_message_ = false;
  }
  const auto length_of = [&](std::string_view message) -> std::size_t {
    const std::size_t length = big_endian(message);
    if (crc32(message.substr(0, 8)) != big_endian(message.substr(8)))
      throw Error(errc::bad_reply, "stream: a message's prelude has a wrong checksum");
    if (length < least || big_endian(message.substr(4)) > length - least)
      throw Error(errc::bad_reply, "stream: a message's lengths contradict one another");
    if (length > max_) over_limit(max_);
    return length;
  };
  if (kept_.empty() && rest_.size() >= prelude) {
    const std::size_t length = length_of(rest_);
    if (rest_.size() >= length) {
      read(rest_.substr(0, length));
      rest_.remove_prefix(length);
      return true;
    }
  }
  const auto take = [&](std::size_t size) {
    const std::size_t missing = size > kept_.size() ? size - kept_.size() : 0;
    kept_.append(rest_.substr(0, missing));
    rest_.remove_prefix(std::min(missing, rest_.size()));
    return kept_.size() >= size;
  };
  if (!take(prelude)) return false;
  if (!take(length_of(kept_))) return false;
  kept_is_message_ = true;
  read(kept_);
  return true;
}

void EventStreamFraming::read(std::string_view message) {
  if (crc32(message.substr(0, message.size() - 4)) != big_endian(message.substr(message.size() - 4)))
    throw Error(errc::bad_reply, "stream: a message has a wrong checksum");
  std::string_view headers = message.substr(12, big_endian(message.substr(4)));
  payload_ = message.substr(12 + headers.size(), message.size() - 16 - headers.size());
  exception_ = false;
  type_ = {};
  const auto malformed = [] { throw Error(errc::bad_reply, "stream: a message has malformed headers"); };
  const auto take = [&](std::size_t size) {
    if (headers.size() < size) malformed();
    const std::string_view taken = headers.substr(0, size);
    headers.remove_prefix(size);
    return taken;
  };
  // Sizes of the fixed types by their number: true, false, byte, short, integer, long, then bytes, string, timestamp, uuid.
  constexpr std::array<std::size_t, 10> sizes{0, 0, 1, 2, 4, 8, 0, 0, 8, 16};
  while (!headers.empty()) {
    const std::string_view name = take(static_cast<unsigned char>(take(1)[0]));
    const auto type = static_cast<unsigned char>(take(1)[0]);
    if (type >= sizes.size()) malformed();
    std::size_t size = sizes[type];
    if (type == 6 || type == 7) {
      const std::string_view length = take(2);
      size =
          static_cast<std::size_t>(static_cast<unsigned char>(length[0]) << 8 | static_cast<unsigned char>(length[1]));
    }
    const std::string_view value = take(size);
    if (type != 7) continue;
    if (name == ":message-type") exception_ = value == "exception" || value == "error";
    if (name == ":event-type" || name == ":exception-type" || name == ":error-code") type_ = value;
  }
}

std::optional<std::string> from_base64(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t bits = 0;
  unsigned held = 0;
  bool padded = false;
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    padded |= c == '=';
    if (c == '=') continue;
    const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+' || c == '-' ? 62
                      : c == '/' || c == '_' ? 63
                                             : -1;
    if (value < 0 || padded) return std::nullopt;  // nor does anything follow the padding
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    held += 6;
    if (held >= 8) bytes += static_cast<char>(bits >> (held -= 8) & 0xFFU);
  }
  return bytes;
}

std::string unwrapped_chunk(std::string_view payload) {
  boost::system::error_code failed;
  const boost::json::value chunk = boost::json::parse({payload.data(), payload.size()}, failed);
  if (failed || !chunk.is_object()) return {};
  const boost::json::value* const bytes = chunk.get_object().if_contains("bytes");
  if (bytes == nullptr || !bytes->is_string()) return {};
  const std::string_view text = bytes->get_string();
  if (std::optional<std::string> decoded = from_base64(text)) return std::move(*decoded);
  return std::string(text);  // no JSON either, and refused as that
}

}  // namespace outlay::detail
