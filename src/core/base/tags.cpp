#include "outlay/tags.hpp"

#include <algorithm>
#include <stdexcept>

namespace outlay {

namespace {

auto lower_bound(auto& tags, std::string_view key) {
  return std::lower_bound(tags.begin(), tags.end(), key,
                          [](const Tags::value_type& tag, std::string_view wanted) { return tag.first < wanted; });
}

}  // namespace

Tags::Tags(std::initializer_list<Tag> tags) {
  tags_.reserve(tags.size());
  for (const Tag& tag : tags) set(tag.key, tag.value);
}

Tags::Tags(const TagsView& tags) {
  tags_.reserve(tags.size());
  for (const Tag& tag : tags) set(tag.key, tag.value);
}

void Tags::set(std::string_view key, std::string_view value) {
  const auto at = lower_bound(tags_, key);
  if (at != tags_.end() && at->first == key)
    at->second = value;
  else
    tags_.emplace(at, key, value);
}

const std::string* Tags::find(std::string_view key) const noexcept {
  const auto at = lower_bound(tags_, key);
  return at != tags_.end() && at->first == key ? &at->second : nullptr;
}

const std::string& Tags::at(std::string_view key) const {
  if (const std::string* value = find(key)) return *value;
  throw std::out_of_range("outlay::Tags::at: no tag \"" + std::string(key) + '"');
}

}  // namespace outlay
