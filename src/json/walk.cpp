// The reader's way through a value that is parsed already: the same calls as a parser's.
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <charconv>

#include "batch_line.hpp"
#include "outlay/error.hpp"
#include "reader.hpp"

namespace json = boost::json;

namespace outlay::detail {

void Reader::walk(const json::value& value) {
  begin_document();
  walk(value, 0);
}

void Reader::walk_reply(const json::value& reply) {
  const json::value* const inner = reply_in_line(reply);
  walk(inner != nullptr ? *inner : reply);
  if (inner == nullptr) return;
  facts.tier = "batch";
  facts.compose_tier();
}

void Reader::walk(const json::value& value, std::size_t depth) {
  Error unused;
  if (skip_ == 0 && raw_ == 0 && !value.is_structured() && !wanted()) {
    const bool nothing = value.is_null() || (value.is_number() && value.to_number<double>() == 0) ||
                         (value.is_bool() && !value.get_bool()) || (value.is_string() && value.get_string().empty());
    static_cast<void>(unread(!nothing));
    return;
  }
  switch (value.kind()) {
    case json::kind::object:
      if (depth > max_depth) throw outlay::Error(errc::bad_reply, "reply: nested deeper than 64");
      begin(false);
      if (skip_ == 0)
        for (const auto& [name, inner] : value.get_object()) {
          key(name);
          if (raw_ != 0 || pending_ != Paths::nowhere || usage_depth_ != 0) walk(inner, depth + 1);
        }
      end(false);
      break;
    case json::kind::array:
      if (depth > max_depth) throw outlay::Error(errc::bad_reply, "reply: nested deeper than 64");
      begin(true);
      if (skip_ == 0)
        for (const json::value& inner : value.get_array()) walk(inner, depth + 1);
      end(true);
      break;
    case json::kind::string:
      string(value.get_string());
      break;
    case json::kind::int64:
    case json::kind::uint64: {
      std::array<char, 24> text{};
      const bool is_signed = value.is_int64();
      const auto result = is_signed ? std::to_chars(text.data(), text.data() + text.size(), value.get_int64())
                                    : std::to_chars(text.data(), text.data() + text.size(), value.get_uint64());
      const std::string_view digits(text.data(), static_cast<std::size_t>(result.ptr - text.data()));
      integer(is_signed                                        ? value.get_int64()
              : value.get_uint64() <= std::uint64_t{INT64_MAX} ? static_cast<std::int64_t>(value.get_uint64())
                                                               : INT64_MAX,
              digits);
      break;
    }
    case json::kind::double_: {
      // The shortest text that reads back as this double: what the reply said, up to 15 digits.
      std::array<char, 32> text{};
      const auto result = std::to_chars(text.data(), text.data() + text.size(), value.get_double());
      real(value.get_double(), {text.data(), static_cast<std::size_t>(result.ptr - text.data())});
      break;
    }
    case json::kind::bool_:
      boolean(value.get_bool());
      break;
    case json::kind::null:
      on_null(unused);
      break;
  }
}

}  // namespace outlay::detail
