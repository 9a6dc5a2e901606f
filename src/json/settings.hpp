#pragma once

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/error.hpp"
#include "outlay/usd.hpp"

namespace outlay::detail {

/// A value in a file of settings, with the place where it stands: every message begins with it.
///
/// Inline, since more than one component reads settings. All of its errors are ConfigErrors, and none repeats a value: it may be a secret.
class Setting {
 public:
  Setting(const boost::json::value& value, std::string place) : value_(&value), place_(std::move(place)) {}

  [[nodiscard]] const boost::json::value& value() const noexcept { return *value_; }
  [[nodiscard]] const std::string& place() const noexcept { return place_; }
  [[noreturn]] void bad(std::string_view what) const { throw ConfigError(place_ + ": " + std::string(what)); }

  [[nodiscard]] std::string text() const {
    if (!value_->is_string()) bad("must be text. Write it in quotes.");
    return std::string(value_->get_string());
  }
  [[nodiscard]] bool flag() const {
    if (!value_->is_bool()) bad("must be true or false.");
    return value_->get_bool();
  }
  [[nodiscard]] std::int64_t count(std::int64_t least, std::int64_t most) const {
    const std::int64_t* number = value_->if_int64();
    if (!number || *number < least || *number > most)
      bad("must be a whole number from " + std::to_string(least) + " to " + std::to_string(most) + ".");
    return *number;
  }
  [[nodiscard]] double fraction() const {
    const double number = value_->is_double()  ? value_->get_double()
                          : value_->is_int64() ? static_cast<double>(value_->get_int64())
                                               : 0.0;
    if (!(number > 0 && number <= 1)) bad("must be a number above 0 and at most 1.");
    return number;
  }
  /// US dollars: `5`, `0.5` or `"0.50"`.
  [[nodiscard]] Usd money() const {
    std::string text;
    if (value_->is_string()) {
      text = value_->get_string();
    } else if (value_->is_int64()) {
      text = std::to_string(value_->get_int64());
    } else if (value_->is_double()) {
      // The shortest decimal number that reads back the same is the one that was written.
      char digits[64];
      const auto [end, error] =
          std::to_chars(digits, digits + sizeof digits, value_->get_double(), std::chars_format::fixed);
      if (error == std::errc()) text.assign(digits, end);
    }
    try {
      const Usd usd = Usd::parse(text);
      if (usd >= Usd{}) return usd;
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): said below, with the place
    }
    bad("must be an amount of US dollars, as 5, 0.5 or \"0.50\".");
  }
  [[nodiscard]] std::vector<Setting> list() const {
    if (!value_->is_array()) bad("must be a list: [ ... ].");
    std::vector<Setting> all;
    for (const boost::json::value& one : value_->get_array())
      all.emplace_back(one, place_ + "[" + std::to_string(all.size()) + "]");
    return all;
  }
  /// Text, or a list of texts.
  [[nodiscard]] std::vector<std::string> texts() const {
    if (value_->is_string()) return {text()};
    if (!value_->is_array()) bad("must be text or a list of texts.");
    std::vector<std::string> all;
    for (const Setting& one : list()) all.push_back(one.text());
    return all;
  }

 private:
  const boost::json::value* value_;
  std::string place_;
};

/// The members of an object, each taken once; what has not been taken is refused.
class SettingMembers {
 public:
  explicit SettingMembers(const Setting& setting) : setting_(setting) {
    if (!setting.value().is_object()) setting.bad("must be an object: { ... }.");
  }

  std::optional<Setting> take(std::string_view name) {
    known_.emplace_back(name);
    const boost::json::value* found = setting_.value().get_object().if_contains({name.data(), name.size()});
    if (!found) return std::nullopt;
    return Setting(*found, place_of(name));
  }
  /// \par Errors
  /// ConfigError for a member that is not one of those that were asked for.
  void done() const {
    for (const auto& member : setting_.value().get_object()) {
      const std::string_view name(member.key().data(), member.key().size());
      if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
      std::string all;
      for (const std::string& one : known_) all += (all.empty() ? "" : ", ") + one;
      Setting(member.value(), place_of(name.substr(0, 64))).bad("is not known. Write one of " + all + ".");
    }
  }

 private:
  [[nodiscard]] std::string place_of(std::string_view name) const {
    const std::string& place = setting_.place();
    return place.empty() ? std::string(name) : place + "." + std::string(name);
  }

  Setting setting_;
  std::vector<std::string> known_{};
};

/// Refuses an object that names a member twice: only one of them would hold, and the other might be the cap.
///
/// \param text Valid JSON.
inline void refuse_repeated_members(std::string_view text, const std::string& who) {
  std::vector<std::set<std::string>> open;  // the members of each object around, so far
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '{') open.emplace_back();
    if (text[at] == '}') open.pop_back();
    if (text[at] != '"') continue;
    const std::size_t begin = at++;
    while (text[at] != '"') at += text[at] == '\\' ? 2 : 1;
    const std::size_t next = text.find_first_not_of(" \t\r\n", at + 1);
    if (next == text.npos || text[next] != ':') continue;
    const std::string_view quoted = text.substr(begin, at + 1 - begin);
    const boost::json::value name = boost::json::parse({quoted.data(), quoted.size()});
    if (open.back().emplace(name.get_string()).second) continue;
    const auto line = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(begin), '\n') + 1;
    throw ConfigError(who + ": line " + std::to_string(line) + ": \"" + std::string(name.get_string()).substr(0, 64) +
                      "\" is there twice. Leave one.");
  }
}

/// \param who What a message begins with: `rules`, a file's name.
/// \par Errors
/// ConfigError for text that is not JSON, names a member twice or is longer than 16 MiB.
inline boost::json::value parse_settings(std::string_view text, const std::string& who) {
  if (text.size() > (std::size_t{16} << 20)) throw ConfigError(who + ": is longer than 16 MiB.");
  boost::json::parse_options options;
  options.max_depth = 32;
  boost::json::stream_parser parser({}, options);
  boost::system::error_code error;
  const std::size_t read = parser.write_some(text.data(), text.size(), error);
  const auto line =
      std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(read, text.size())), '\n') + 1;
  const bool rest = text.find_first_not_of(" \t\r\n", std::min(read, text.size())) != text.npos;
  if (!error && !rest) parser.finish(error);
  if (error || rest)
    throw ConfigError(who + ": line " + std::to_string(line) + " is not valid JSON" +
                      (error ? " (" + error.message() + ")." : ": something follows its end."));
  refuse_repeated_members(text, who);
  return parser.release();
}

}  // namespace outlay::detail
