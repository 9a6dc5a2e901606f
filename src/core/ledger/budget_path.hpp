#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/utf8.hpp"

namespace outlay::detail {

/// Adds a budget's name to the path of those around it. A `/` or `\` that is part of the name gets a `\` before it, so that no two paths
/// are written alike.
inline void append_to_path(std::string& path, std::string_view name) {
  if (!path.empty()) path += '/';
  for (const char c : name) {
    if (c == '/' || c == '\\') path += '\\';
    path += c;
  }
}

/// `run/answer`: names from the outermost in.
[[nodiscard]] inline std::string join_path(const std::vector<std::string>& names) {
  std::string path;
  for (const std::string& name : names) append_to_path(path, name);
  return path;
}

/// What `{"budget", value}` stands for in a filter: every budget of that name, or where no budget has that name, the one with that path;
/// and everything inside it.
class BudgetFilter {
 public:
  explicit BudgetFilter(std::string_view value) : value_(well_formed(value)) {}

  /// Every path that is known has to be shown before the first question.
  void show(const std::vector<std::string>& path) {
    named_ = named_ || has_name(path);
    placed_ = placed_ || has_prefix(path);
  }
  [[nodiscard]] bool known() const noexcept { return named_ || placed_; }
  [[nodiscard]] bool matches(const std::vector<std::string>& path) const {
    return named_ ? has_name(path) : has_prefix(path);
  }

 private:
  [[nodiscard]] bool has_name(const std::vector<std::string>& path) const {
    return std::any_of(path.begin(), path.end(), [&](const std::string& name) { return well_formed(name) == value_; });
  }
  [[nodiscard]] bool has_prefix(const std::vector<std::string>& path) const {
    std::string prefix;
    return std::any_of(path.begin(), path.end(), [&](const std::string& name) {
      append_to_path(prefix, well_formed(name));
      return prefix == value_;
    });
  }

  const std::string value_;
  bool named_ = false, placed_ = false;
};

}  // namespace outlay::detail
