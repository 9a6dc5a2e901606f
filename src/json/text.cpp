#include "text.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/parser.hpp>
#include <boost/json/serialize.hpp>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "handler.hpp"
#include "outlay/error.hpp"

namespace json = boost::json;

namespace outlay::detail {

namespace {

// Above what any provider accepts. A parsed value takes up to twelve times the memory of its text.
constexpr std::size_t most_request_bytes = std::size_t{128} << 20;
// As deep as a request's input is counted.
constexpr std::size_t most_request_depth = 128;

json::parse_options request_options() {
  json::parse_options options;
  options.max_depth = most_request_depth;
  return options;
}

[[noreturn]] void bad_request(Api api, const std::string& what) {
  throw Error(errc::invalid_argument, std::string(api.name()) + ": the request " + what + ". Nothing was sent.");
}

bool is_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// What becomes of a value: replaced, removed, or changed further inside. Of no kind: left alone.
struct Change {
  enum class Kind : std::uint8_t { inside, set, remove };
  Kind kind = Kind::inside;
  std::string text;                                    // of the value that is set
  std::map<std::string, Change, std::less<>> members;  // inside an object
  std::map<std::size_t, Change> elements;              // inside an array
};

Change set_to(const json::value& value) {
  return {.kind = Change::Kind::set, .text = json::serialize(value), .members = {}, .elements = {}};
}

void compare(const json::object& before, const json::object& after, Change& change);

// Two arrays that differ only within objects.
bool same_but_objects(const json::value& before, const json::value& after) noexcept {
  if (!before.is_array() || !after.is_array()) return false;
  const json::array& old = before.get_array();
  const json::array& now = after.get_array();
  return std::equal(old.begin(), old.end(), now.begin(), now.end(), [](const json::value& a, const json::value& b) {
    return a == b || (a.is_object() && b.is_object());
  });
}

void compare(const json::value& before, const json::value& after, Change& change) {
  if (before.is_object() && after.is_object()) return compare(before.get_object(), after.get_object(), change);
  if (!same_but_objects(before, after)) {
    change = set_to(after);
    return;
  }
  const json::array& old = before.get_array();
  const json::array& now = after.get_array();
  for (std::size_t i = 0; i < old.size(); ++i)
    if (old[i] != now[i]) compare(old[i].get_object(), now[i].get_object(), change.elements[i]);
}

void compare(const json::object& before, const json::object& after, Change& change) {
  for (const auto& [key, now] : after) {
    const json::value* const old = before.if_contains(key);
    if (old == nullptr)
      change.members[key] = set_to(now);
    else if (*old != now)
      compare(*old, now, change.members[key]);
  }
  for (const auto& [key, old] : before)
    if (!after.contains(key)) change.members[key].kind = Change::Kind::remove;
}

/// Applies changes to a text. It is parsed in pieces that end with a character of JSON's structure each, so that where the parser reports
/// something is known from where its piece ended.
class Rewriter : public AnySize {
 public:
  using Text = json::string_view;
  using Code = boost::system::error_code;

  Rewriter(std::string_view text, const Change& change) : text_(text), next_(&change) {}

  /// The parser comes to this offset next.
  void piece_ends_at(std::size_t end) noexcept { end_ = end; }
  [[nodiscard]] std::string result() {
    copy_to(text_.size());
    return std::move(out_);
  }

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) { return open(); }
  bool on_object_end(std::size_t, Code&) { return close(); }
  bool on_array_begin(Code&) { return open(); }
  bool on_array_end(std::size_t, Code&) { return close(); }
  bool on_key_part(Text text, std::size_t, Code&) {
    key_.append(text.data(), text.size());
    return true;
  }
  bool on_key(Text text, std::size_t, Code&) {
    key_.append(text.data(), text.size());
    Open& object = open_.back();
    next_ = nullptr;
    if (object.change != nullptr)
      if (const auto found = object.change->members.find(key_); found != object.change->members.end()) {
        next_ = &found->second;
        object.seen.push_back(next_);
      }
    key_.clear();
    begin_ = skip_space(end_);  // the piece ends with the colon
    return true;
  }
  bool on_string_part(Text, std::size_t, Code&) { return true; }
  bool on_string(Text, std::size_t, Code&) { return scalar(); }
  bool on_number_part(Text, Code&) { return true; }
  bool on_int64(std::int64_t, Text, Code&) { return scalar(); }
  bool on_uint64(std::uint64_t, Text, Code&) { return scalar(); }
  bool on_double(double, Text, Code&) { return scalar(); }
  bool on_bool(bool, Code&) { return scalar(); }
  bool on_null(Code&) { return scalar(); }
  bool on_comment_part(Text, Code&) { return true; }
  bool on_comment(Text, Code&) { return true; }

 private:
  /// An object or array whose end has not come yet.
  struct Open {
    const Change* change;             // null: nothing changes in it
    std::size_t begin;                // of the value: its bracket
    std::size_t last_end;             // where its last value ended, or its bracket
    std::size_t index = 0;            // of the value that comes next
    std::size_t kept = 0;             // values that are not removed
    std::vector<const Change*> seen;  // of its members
  };

  // The change of a value that begins now: of its key, or of its place in an array.
  const Change* take() {
    if (!open_.empty() && open_.back().change != nullptr && !open_.back().change->elements.empty()) {
      const auto found = open_.back().change->elements.find(open_.back().index);
      next_ = found == open_.back().change->elements.end() ? nullptr : &found->second;
    }
    return std::exchange(next_, nullptr);
  }

  bool open() {
    const Change* const change = take();
    open_.push_back({.change = change, .begin = end_ - 1, .last_end = end_, .seen = {}});
    return true;
  }

  bool close() {
    const Open done = std::move(open_.back());
    open_.pop_back();
    if (done.change != nullptr && done.change->kind == Change::Kind::inside) add_members(done);
    ended(done.change, done.begin, end_);
    return true;
  }

  bool scalar() {
    // The piece ends with what follows the value: a comma or a bracket.
    std::size_t end = end_ - 1;
    while (is_space(text_[end - 1])) --end;
    ended(take(), begin_, end);
    return true;
  }

  void ended(const Change* change, std::size_t begin, std::size_t end) {
    if (open_.empty()) return;
    Open& around = open_.back();
    ++around.index;
    if (change != nullptr && change->kind == Change::Kind::remove) {
      // With the comma before it; the first one with the comma behind it.
      if (around.kept == 0) {
        copy_to(around.last_end);
        end = skip_space(end);
        if (text_[end] == ',') ++end;
      } else {
        copy_to(around.last_end);
      }
      copied_ = end;
    } else {
      ++around.kept;
      if (change != nullptr && change->kind == Change::Kind::set) {
        copy_to(begin);
        out_ += change->text;
        copied_ = end;
      }
    }
    around.last_end = end;
  }

  void add_members(const Open& object) {
    std::size_t kept = object.kept;
    for (const auto& [key, change] : object.change->members) {
      const bool seen = std::find(object.seen.begin(), object.seen.end(), &change) != object.seen.end();
      if (seen || change.kind != Change::Kind::set) continue;
      copy_to(object.last_end);
      if (kept++ != 0) out_ += ',';
      out_ += json::serialize(json::string(key)) + ':' + change.text;
    }
  }

  void copy_to(std::size_t end) {
    if (end <= copied_) return;
    out_ += text_.substr(copied_, end - copied_);
    copied_ = end;
  }

  [[nodiscard]] std::size_t skip_space(std::size_t at) const noexcept {
    while (is_space(text_[at])) ++at;
    return at;
  }

  std::string_view text_;
  std::size_t end_ = 0;     // of the piece that is being parsed
  std::size_t copied_ = 0;  // everything before it is in the result
  std::size_t begin_ = 0;   // of the value behind the last key
  std::string out_;
  std::string key_;
  const Change* next_;  // of the value that comes next
  std::vector<Open> open_;
};

}  // namespace

json::object parse_request(Api api, std::string_view text) {
  if (text.size() > most_request_bytes)
    bad_request(api, "has " + std::to_string(text.size()) + " bytes, and the limit is " +
                         std::to_string(most_request_bytes) + ". Shorten it");
  if (text.starts_with("\xEF\xBB\xBF"))
    bad_request(api, "begins with a byte order mark, which JSON does not have. Remove it");
  if (std::all_of(text.begin(), text.end(), is_space)) bad_request(api, "is empty. Pass the whole body");
  json::parser parser({}, request_options());
  boost::system::error_code failed;
  const std::size_t read = parser.write_some(text.data(), text.size(), failed);
  if (!failed && read < text.size()) failed = json::error::extra_data;
  if (failed)
    bad_request(api, "is not valid JSON (" + failed.message() + " at byte " +
                         std::to_string(std::min(read + 1, text.size())) + " of " + std::to_string(text.size()) +
                         "). Correct it");
  json::value value = parser.release();
  if (!value.is_object()) bad_request(api, "is not a JSON object. Pass the whole body");
  return std::move(value.get_object());
}

std::string rewrite(std::string_view text, const json::object& before, const json::object& after) {
  Change change;
  compare(before, after, change);
  if (change.members.empty()) return std::string(text);
  json::basic_parser<Rewriter> parser(request_options(), text, change);
  boost::system::error_code failed;
  for (std::size_t at = 0; at < text.size() && !failed && !parser.done();) {
    const std::size_t structure = text.find_first_of("{}[]:,", at);
    const std::size_t end = structure == std::string_view::npos ? text.size() : structure + 1;
    parser.handler().piece_ends_at(end);
    parser.write_some(end < text.size(), text.data() + at, end - at, failed);
    at = end;
  }
  if (failed) throw Error(errc::invalid_argument, "request: not valid JSON (" + failed.message() + ")");
  return parser.handler().result();
}

json::value parse_refusal(std::string_view text) noexcept {
  try {
    boost::system::error_code failed;
    json::value value = json::parse(text.substr(0, most_refusal_bytes), failed);
    return failed ? json::value() : value;
  } catch (...) {  // out of memory: the status says enough
    return {};
  }
}

}  // namespace outlay::detail
