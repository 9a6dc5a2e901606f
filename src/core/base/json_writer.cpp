#include "core/base/json_writer.hpp"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "core/base/utf8.hpp"

namespace outlay::detail {

namespace {

template <class T>
void append_chars(std::string& out, T number) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, number);
  out.append(text, end.ptr);
}

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
    case '\\':
      out += '\\';
      out += c;
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default: {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      out += code;
    }
  }
}

}  // namespace

JsonWriter& JsonWriter::open(char bracket) {
  comma();
  *out_ += bracket;
  comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  *out_ += bracket;
  comma_ = true;
  return *this;
}

void JsonWriter::append_text(std::string_view value) {
  std::string& out = *out_;
  out += '"';
  std::size_t plain = 0;  // where the text begins that needs no escape
  for (std::size_t at = 0; at < value.size();) {
    const Utf8 character = utf8_at(value, at);
    // JSON does not require that DEL is escaped, but terminals and line-based tools do.
    const bool escaped = character.valid() && (character.code < 0x20 || character.code == '"' ||
                                               character.code == '\\' || character.code == 0x7F);
    if (escaped || !character.valid()) {
      out += value.substr(plain, at - plain);
      plain = at + 1;
      if (escaped)
        append_escaped(out, value[at]);
      else
        out += utf8_replacement;
    }
    at += character.length;
  }
  out += value.substr(plain);
  out += '"';
}

JsonWriter& JsonWriter::key(std::string_view name) {
  comma();
  append_text(name);
  *out_ += ':';
  comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::text(std::string_view value) {
  comma();
  append_text(value);
  comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::number(std::int64_t value) {
  comma();
  append_chars(*out_, value);
  comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::number(std::uint64_t value) {
  comma();
  append_chars(*out_, value);
  comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::number(double value) {
  if (!std::isfinite(value)) return raw("null");
  comma();
  append_chars(*out_, value);
  comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::quoted(std::int64_t value) {
  comma();
  *out_ += '"';
  append_chars(*out_, value);
  *out_ += '"';
  comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::quoted(std::uint64_t value) {
  comma();
  *out_ += '"';
  append_chars(*out_, value);
  *out_ += '"';
  comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::boolean(bool value) { return raw(value ? "true" : "false"); }

JsonWriter& JsonWriter::tags(const Tags& value) {
  begin_object();
  for (const auto& [name, content] : value) key(name).text(content);
  return end_object();
}

JsonWriter& JsonWriter::texts(const std::vector<std::string>& list) {
  begin_array();
  for (const std::string& one : list) text(one);
  return end_array();
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  comma();
  *out_ += json;
  comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::line() {
  comma();
  *out_ += '\n';
  comma_ = false;
  return *this;
}

}  // namespace outlay::detail
