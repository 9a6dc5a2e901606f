#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace outlay::detail {

/// The checksum of AWS's event streams and of zlib: CRC-32, reflected, polynomial 0xEDB88320.
[[nodiscard]] std::uint32_t crc32(std::string_view bytes) noexcept;

/// The bytes of a base64 text, in the alphabet of files or of addresses, padded or not; white space is passed over, as decoders do. Empty
/// for what has anything else in it.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

/// What a chunk of Bedrock's InvokeModelWithResponseStream carries: the JSON in its `bytes`, which are base64. Empty for what is no such
/// chunk.
[[nodiscard]] std::string unwrapped_chunk(std::string_view payload);

/// Cuts server-sent events out of bytes that are split anywhere.
///
/// Lines end with LF, CRLF or CR. An event is complete at its blank line, and keeps its bytes as they were.
class SseFraming {
 public:
  explicit SseFraming(std::size_t max_event_bytes) : max_(max_event_bytes) {}

  /// Takes the next bytes; they must stay where they are until next() has said false.
  void feed(std::string_view bytes) noexcept { rest_ = bytes; }
  /// The next whole event. False: more bytes are needed, and what is left of an event has been kept.
  ///
  /// \par Errors
  /// Error with errc::bad_reply for an event over the limit.
  bool next();
  /// What is left at the end of the stream, as an event. False if nothing is.
  bool last();

  [[nodiscard]] std::string_view bytes() const noexcept { return event_; }
  /// The event's data, its lines joined by LF. Empty for an event of comments.
  [[nodiscard]] std::string_view data() const noexcept { return data_; }

 private:
  bool scan(std::string_view text, std::size_t& at);
  void read(std::string_view event);
  void line(std::string_view text);

  std::size_t max_;
  std::string_view rest_;
  std::string kept_;         // an event that has begun
  bool line_began_ = false;  // the line that is being looked at is not blank
  bool after_cr_ = false;    // an LF that comes next belongs to the line end before it
  bool kept_is_event_ = false;
  std::string_view event_;
  std::string_view data_;
  std::string joined_;  // of data over several lines
  std::size_t data_lines_ = 0;
};

/// Cuts messages out of AWS's binary event stream, checking both of its checksums.
class EventStreamFraming {
 public:
  explicit EventStreamFraming(std::size_t max_event_bytes) : max_(max_event_bytes) {}

  void feed(std::string_view bytes) noexcept { rest_ = bytes; }
  /// \par Errors
  /// Error with errc::bad_reply for a broken checksum, lengths that contradict one another, or a message over the limit.
  bool next();
  /// Bytes of a message that never became whole.
  [[nodiscard]] bool torn() const noexcept { return !kept_.empty(); }

  [[nodiscard]] std::string_view payload() const noexcept { return payload_; }
  [[nodiscard]] bool exception() const noexcept { return exception_; }
  /// `:event-type` or `:exception-type`.
  [[nodiscard]] std::string_view type() const noexcept { return type_; }

 private:
  void read(std::string_view message);

  std::size_t max_;
  std::string_view rest_;
  std::string kept_;
  std::string_view payload_;
  std::string_view type_;
  bool exception_ = false;
  bool kept_is_message_ = false;
};

}  // namespace outlay::detail
