#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outlay {

/// One key and its value, as handed to Track, CallRequest and the report's filters. A view: it owns nothing.
struct Tag {
  std::string_view key;
  std::string_view value;
};

/// A set of tags, sorted by key; each key at most once.
class Tags {
 public:
  using value_type = std::pair<std::string, std::string>;
  using const_iterator = std::vector<value_type>::const_iterator;

  Tags() = default;
  /// Of two tags with one key the later wins.
  Tags(std::initializer_list<Tag> tags);  // NOLINT: implicit by design

  /// Adds a tag or replaces its value.
  void set(std::string_view key, std::string_view value);
  /// \par Errors
  /// std::out_of_range without the key.
  [[nodiscard]] const std::string& at(std::string_view key) const;
  [[nodiscard]] const std::string* find(std::string_view key) const noexcept;
  [[nodiscard]] bool contains(std::string_view key) const noexcept { return find(key) != nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return tags_.size(); }
  [[nodiscard]] bool empty() const noexcept { return tags_.empty(); }
  [[nodiscard]] const_iterator begin() const noexcept { return tags_.begin(); }
  [[nodiscard]] const_iterator end() const noexcept { return tags_.end(); }
  bool operator==(const Tags&) const = default;
  auto operator<=>(const Tags&) const = default;

 private:
  std::vector<value_type> tags_;
};

}  // namespace outlay
