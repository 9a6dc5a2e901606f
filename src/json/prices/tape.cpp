#include "tape.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/system/error_code.hpp>
#include <functional>
#include <utility>

#include "core/pricing/price_book.hpp"
#include "outlay/error.hpp"

namespace outlay::detail {

namespace {

namespace json = boost::json;
using boost::system::error_code;
using Kind = Tape::Kind;

class TapeHandler {
 public:
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = 1u << 16;
  static constexpr std::size_t max_string_size = 1u << 20;

  TapeHandler(Tape& tape, std::string_view input) : tape_(tape), input_(input) {}

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return open(Kind::object); }
  bool on_object_end(std::size_t, error_code&) { return close(); }
  bool on_array_begin(error_code&) { return open(Kind::array); }
  bool on_array_end(std::size_t, error_code&) { return close(); }
  bool on_key_part(json::string_view part, std::size_t, error_code&) { return collect(part); }
  bool on_key(json::string_view part, std::size_t, error_code&) { return text(Kind::key, part); }
  bool on_string_part(json::string_view part, std::size_t, error_code&) { return collect(part); }
  bool on_string(json::string_view part, std::size_t, error_code&) { return text(Kind::string, part); }
  bool on_number_part(json::string_view part, error_code&) { return collect(part); }
  bool on_int64(std::int64_t, json::string_view part, error_code&) { return text(Kind::number, part); }
  bool on_uint64(std::uint64_t, json::string_view part, error_code&) { return text(Kind::number, part); }
  bool on_double(double, json::string_view part, error_code&) { return text(Kind::number, part); }
  bool on_bool(bool value, error_code&) { return plain(Kind::boolean, value ? "true" : "false"); }
  bool on_null(error_code&) { return plain(Kind::null, {}); }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }

 private:
  bool open(Kind kind) {
    open_.push_back(tape_.events.size());
    tape_.events.push_back({{}, 0, kind});
    return true;
  }
  bool close() {
    tape_.events[open_.back()].next = here();
    open_.pop_back();
    return true;
  }
  bool plain(Kind kind, std::string_view name) {
    tape_.events.push_back({name, here() + 1, kind});
    return true;
  }
  bool collect(json::string_view part) {
    parts_.append(part.data(), part.size());
    return true;
  }
  bool text(Kind kind, json::string_view part) {
    std::string_view whole(part.data(), part.size());
    const std::less<> before;
    const bool in_input =
        !before(whole.data(), input_.data()) && !before(input_.data() + input_.size(), whole.data() + whole.size());
    if (!parts_.empty() || !in_input) {
      parts_.append(whole);
      whole = tape_.copies.emplace_back(std::move(parts_));
      parts_.clear();
    }
    tape_.events.push_back({whole, here() + 1, kind});
    return true;
  }
  [[nodiscard]] std::uint32_t here() const noexcept { return static_cast<std::uint32_t>(tape_.events.size()); }

  Tape& tape_;
  std::string_view input_;
  std::string parts_;
  std::vector<std::size_t> open_;
};

}  // namespace

void refuse_prices(std::string_view file, const std::string& what) {
  throw ConfigError("price table " + printable_name(file) + ": " + what);
}

void read_tape(std::string_view text, std::string_view file, Tape& tape) {
  if (text.size() > max_price_file)
    refuse_prices(
        file, "has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(max_price_file) + " are read");
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  tape.events.reserve(text.size() / 14);
  json::basic_parser<TapeHandler> parser(json::parse_options{}, tape, text);
  error_code ec;
  const std::size_t read = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && text.find_first_not_of(" \t\r\n", read) != std::string_view::npos) ec = json::error::extra_data;
  if (ec) refuse_prices(file, "not JSON at byte " + std::to_string(read) + ": " + ec.message());
  if (tape.events.empty() || tape.events.front().kind != Kind::object)
    refuse_prices(file, "the document is not a JSON object");
}

}  // namespace outlay::detail
