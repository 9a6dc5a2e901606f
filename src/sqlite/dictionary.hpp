#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/hash.hpp"
#include "outlay/tags.hpp"
#include "sqlite/database.hpp"

namespace outlay::detail {

struct TextHash {
  std::size_t operator()(const std::string& text) const noexcept { return static_cast<std::size_t>(hash_text(text)); }
  std::size_t operator()(const std::vector<std::string>& list) const noexcept {
    std::uint64_t hash = list.size();
    for (const std::string& text : list) hash = hash_text(text, hash);
    return static_cast<std::size_t>(hash);
  }
  std::size_t operator()(const Tags& tags) const noexcept {
    std::uint64_t hash = tags.size();
    for (const auto& [key, value] : tags) hash = hash_text(value, hash_text(key, hash));
    return static_cast<std::size_t>(hash);
  }
};

/// Names that rows refer to: a number here at once, and an id in the file once a transaction needs it. Number 0, like id 0, is the empty
/// value.
template <class Value>
class Dictionary {
 public:
  std::uint32_t number_of(const Value& value) {
    if (!entries_.empty() && *entries_[last_].value == value) return last_ + 1;  // rows come in runs
    if (value.empty()) return 0;
    auto at = numbers_.find(value);
    if (at == numbers_.end()) {
      at = numbers_.emplace(value, static_cast<std::uint32_t>(entries_.size())).first;
      entries_.push_back({&at->first, 0});
    }
    last_ = at->second;
    return last_ + 1;
  }

  /// The id in the file; `add` finds or makes it where it is not known yet.
  template <class Add>
  std::int64_t id_of(std::uint32_t number, const Add& add) {
    if (number == 0) return 0;
    Entry& entry = entries_[number - 1];
    if (entry.id == 0) entry.id = add(*entry.value);
    return entry.id;
  }

  /// Ids are not known any more: the transaction that made some was undone, or another process removed some.
  void forget_ids() noexcept {
    for (Entry& entry : entries_) entry.id = 0;
  }
  void clear() noexcept {
    entries_.clear();
    numbers_.clear();
    last_ = 0;
  }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  struct Entry {
    const Value* value;
    std::int64_t id;
  };
  std::unordered_map<Value, std::uint32_t, TextHash> numbers_;
  std::vector<Entry> entries_;
  std::uint32_t last_ = 0;
};

}  // namespace outlay::detail
