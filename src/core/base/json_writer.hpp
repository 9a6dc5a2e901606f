#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/tags.hpp"

namespace outlay::detail {

/// Appends JSON (RFC 8259) to a string, and puts the commas. That objects and arrays are closed, and that a member has a key, is for
/// the caller to see to.
///
/// For output only: what is parsed goes through Boost.JSON, which core does without.
class OUTLAY_EXPORT JsonWriter {
 public:
  explicit JsonWriter(std::string& out) noexcept : out_(&out) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);

  /// Escaped; each byte that is no UTF-8 becomes U+FFFD.
  JsonWriter& text(std::string_view value);
  JsonWriter& number(std::int64_t value);
  JsonWriter& number(std::uint64_t value);
  /// The shortest text that reads back the same; null if it is not finite.
  JsonWriter& number(double value);
  /// A whole number as a string, for readers whose numbers are doubles.
  JsonWriter& quoted(std::int64_t value);
  JsonWriter& quoted(std::uint64_t value);
  JsonWriter& boolean(bool value);
  JsonWriter& tags(const Tags& value);                      // an object
  JsonWriter& texts(const std::vector<std::string>& list);  // an array
  /// One or more values or members that are JSON already.
  JsonWriter& raw(std::string_view json);
  /// Begins a new line before the next value.
  JsonWriter& line();

 private:
  void comma() {
    if (comma_) *out_ += ',';
  }
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  void append_text(std::string_view value);

  std::string* out_;
  bool comma_ = false;  // what comes next stands behind a value or member
};

}  // namespace outlay::detail
