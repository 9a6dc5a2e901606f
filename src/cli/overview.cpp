#include <algorithm>
#include <chrono>

#include "cli/page.hpp"

namespace outlay::cli {

void Overview::add(const Record& record) {
  first_ = std::min(first_, record.started);
  last_ = std::max(last_, record.started);
  for (const auto& [key, value] : record.tags) {
    auto at = tags_.find(key);
    if (at == tags_.end()) {
      if (tags_.size() >= 256) continue;
      at = tags_.try_emplace(key).first;
    }
    if (at->second.size() <= most_values) at->second.insert(value);
  }
}

std::vector<std::string> Overview::keys() const {
  std::vector<std::string> keys{"model", "provider", "budget"};
  for (const auto& [key, values] : tags_)
    if (values.size() <= most_values && keys.size() < most_keys) keys.push_back(key);
  return keys;
}

std::vector<std::string> Overview::left_out() const {
  std::vector<std::string> keys;
  const std::vector<std::string> shown = this->keys();
  for (const auto& [key, values] : tags_)
    if (std::find(shown.begin(), shown.end(), key) == shown.end()) keys.push_back(key);
  return keys;
}

bool Overview::has_too_many(const std::string& key) const {
  const auto at = tags_.find(key);
  return at != tags_.end() && at->second.size() > most_values;
}

Calendar::Unit Overview::unit() const noexcept {
  using std::chrono::hours;
  if (first_ > last_ || last_ - first_ <= hours(4 * 24)) return Calendar::Unit::hour;
  if (last_ - first_ <= hours(100 * 24)) return Calendar::Unit::day;
  if (last_ - first_ <= hours(2 * 366 * 24)) return Calendar::Unit::week;
  return Calendar::Unit::month;
}

}  // namespace outlay::cli
