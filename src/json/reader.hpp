#pragma once

#include <array>
#include <boost/json/parse_options.hpp>
#include <boost/json/string_view.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api.hpp"
#include "handler.hpp"

namespace outlay::detail {

/// How replies and events are parsed.
[[nodiscard]] boost::json::parse_options reply_options();
/// Positions within a reply or an event are 32-bit.
inline constexpr std::size_t most_reply_bytes = std::size_t{1} << 30;

/// Called when a root object, or an element of a root array, is complete.
class EventSink {
 public:
  /// \return False: what follows is skipped.
  virtual bool event_read() = 0;

 protected:
  ~EventSink() = default;
};

/// Walks along an API's paths while a document is parsed, and keeps what they name; everything else costs a counter.
///
/// A handler for boost::json::basic_parser, and by walk() for values that are parsed already. No document is ever built.
class Reader : public AnySize {
 public:
  /// How deep a document may be nested.
  static constexpr std::size_t max_depth = 64;

  using Text = boost::json::string_view;
  using Error = boost::system::error_code;

  explicit Reader(const Format& format) : format_(&format), paths_(&format.paths()) {}

  void sink(EventSink* sink) noexcept { sink_ = sink; }
  /// Forgets the last event's pieces.
  void begin_event() noexcept;
  /// Forgets an unfinished document, before the parser starts again.
  void begin_document() noexcept;
  void walk(const boost::json::value& value);
  /// A whole reply, or a line of a batch's results with one, which then is of the batch tier.
  void walk_reply(const boost::json::value& reply);
  /// A root object, or an element of a root array, is open.
  [[nodiscard]] bool inside() const noexcept { return depth_ != 0 || skip_ != 0; }

  Facts facts;
  std::vector<Piece> pieces;
  [[nodiscard]] std::string_view text(Piece::Range range) const noexcept {
    return std::string_view(text_).substr(range.begin, range.size);
  }

  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_object_begin(Error&) { return begin(false); }
  bool on_object_end(std::size_t, Error&) { return end(false); }
  bool on_array_begin(Error&) { return begin(true); }
  bool on_array_end(std::size_t, Error&) { return end(true); }
  bool on_key_part(Text text, std::size_t, Error&) {
    if (skip_ == 0) scratch_.append(text.data(), text.size());
    return true;
  }
  bool on_key(Text text, std::size_t, Error&) {
    if (skip_ == 0) key({text.data(), text.size()});
    return true;
  }
  bool on_string_part(Text text, std::size_t, Error&) {
    if (skip_ == 0 && wanted()) scratch_.append(text.data(), text.size());
    return true;
  }
  bool on_string(Text text, std::size_t, Error&) {
    if (skip_ == 0 && (wanted() || unread(!text.empty()))) string({text.data(), text.size()});
    return true;
  }
  bool on_number_part(Text text, Error&) {
    if (skip_ == 0 && wanted()) scratch_.append(text.data(), text.size());
    return true;
  }
  bool on_int64(std::int64_t number, Text text, Error&) {
    if (skip_ == 0 && (wanted() || unread(number != 0))) integer(number, {text.data(), text.size()});
    return true;
  }
  bool on_uint64(std::uint64_t, Text text, Error&) {
    // Only numbers above INT64_MAX arrive here: none of them is a valid count.
    if (skip_ == 0 && (wanted() || unread(true))) integer(INT64_MAX, {text.data(), text.size()});
    return true;
  }
  bool on_double(double number, Text text, Error&) {
    if (skip_ == 0 && (wanted() || unread(number != 0))) real(number, {text.data(), text.size()});
    return true;
  }
  bool on_bool(bool value, Error&) {
    if (skip_ == 0 && (wanted() || unread(value))) boolean(value);
    return true;
  }
  bool on_null(Error&) {
    if (skip_ == 0 && raw_ != 0) raw_value("null");
    return true;
  }
  bool on_comment_part(Text, Error&) { return true; }
  bool on_comment(Text, Error&) { return true; }

 private:
  struct Frame {
    Paths::NodeId node;
    bool array;
  };

  // The place of the value that comes next.
  [[nodiscard]] Paths::NodeId place() const noexcept {
    if (depth_ == 0) return Paths::root;
    const Frame& top = frames_[depth_ - 1];
    return top.array ? paths_->element(top.node) : pending_;
  }
  // Whether a scalar that comes next is named by a path; looked at before its text is touched.
  [[nodiscard]] bool wanted() noexcept {
    if ((raw_ | unread_) != 0) return raw_ != 0;
    const Paths::NodeId node = place();
    if (node == Paths::nowhere) return false;
    field_ = paths_->field(node);
    return field_ < Field::choices;
  }

  // A scalar that no path names. Within a usage it may be something that is billed, unless it says that there was nothing of it.
  [[nodiscard]] bool unread(bool something) {
    if (usage_depth_ != 0 && something) note_unread();
    return false;
  }
  void note_unread();
  // An object without any member says that there was none.
  void note_error(bool array) noexcept {
    if (array)
      facts.error = true;
    else
      error_depth_ = depth_;
  }

  bool begin(bool array);
  bool end(bool array);
  void key(std::string_view text);
  void string(std::string_view text);
  void integer(std::int64_t number, std::string_view text);
  void real(double number, std::string_view text);
  void boolean(bool value);
  void scope_begins(Field field);
  void scope_ends(Field field);
  void count(std::int64_t number);
  void cost(std::string_view text);
  void raw_separator();
  void raw_value(std::string_view json);
  [[nodiscard]] Piece& new_piece(StreamDelta::Kind kind);
  [[nodiscard]] Piece::Range keep(std::string_view text);
  [[nodiscard]] std::string_view whole(std::string_view last_part);
  void walk(const boost::json::value& value, std::size_t depth);

  const Format* format_;
  const Paths* paths_;
  EventSink* sink_ = nullptr;
  bool over_ = false;  // the sink wants no more
  std::array<Frame, max_depth + 2> frames_;
  std::uint32_t depth_ = 0;        // of frames: containers on a path
  std::uint32_t skip_ = 0;         // containers entered off every path
  std::uint32_t raw_ = 0;          // containers entered below a value that is kept as JSON
  std::uint32_t error_depth_ = 0;  // frames up to the error that is open; 0: none is
  std::uint32_t usage_depth_ = 0;  // frames up to the usage that is open; 0: none is
  std::uint32_t unread_ = 0;       // containers entered below a member of it that no path names
  std::string unread_name_;        // of such a member
  bool raw_comma_ = false;
  bool raw_queries_ = false;  // such a value's list of queries is open: Gemini's searches are calls with arguments
  Paths::NodeId pending_ = Paths::nowhere;
  Field field_ = Field::none;

  std::string text_;     // of the event's pieces
  std::string scratch_;  // parts of a key, string or number

  // Where the open choice, tool call and part began among the pieces.
  std::size_t choice_begin_ = 0;
  std::size_t tool_begin_ = 0;
  std::size_t part_begin_ = 0;
  std::size_t whole_begin_ = 0;
  bool tier_changed_ = false;  // the event may say another tier
  bool saw_whole_ = false;     // the event has an answer as a whole
  std::int32_t choice_ = 0;
  std::int32_t tool_ = -1;
  std::int32_t outer_tool_ = -1;
  bool choice_finished_ = false;
  bool choice_usage_ = false;  // it has one of its own
  bool choice_at_ceiling_ = false;
  bool in_choice_ = false;
  bool thought_ = false;
  Piece::Range tool_id_;
  Piece::Range tool_name_;
};

}  // namespace outlay::detail
