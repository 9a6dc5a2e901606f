#include "core/ledger/attribution.hpp"

#include <algorithm>
#include <array>

#include "core/base/hash.hpp"
#include "core/ledger/books.hpp"
#include "core/ledger/thread_cache.hpp"
#include "outlay/error.hpp"

namespace outlay::detail {

namespace {

constexpr std::size_t max_tags = 32;
constexpr std::size_t max_key = 128;
constexpr std::size_t max_value = 1024;
constexpr std::array<std::string_view, 4> reserved_keys{"model", "provider", "budget", "day"};

std::uint64_t hash_of(const Attribution* parent, const Addition& addition) noexcept {
  std::uint64_t hash = parent ? parent->hash : 0x51ed270b7a1f3a5dULL;
  if (addition.is_budget) {
    hash = hash_text(addition.name, hash + 1);
    if (!addition.description.empty()) hash = hash_text(addition.description, hash);
  } else {
    for (const Tag& tag : addition.tags) hash = hash_text(tag.value, hash_text(tag.key, hash + 2));
  }
  return hash;
}

bool same(const Attribution& known, const Attribution* parent, const Addition& addition) noexcept {
  if (known.parent != parent || known.is_budget != addition.is_budget) return false;
  if (addition.is_budget)
    return same_text(known.name, addition.name) && same_text(known.description, addition.description);
  return std::equal(known.added.begin(), known.added.end(), addition.tags.begin(), addition.tags.end(),
                    [](const Tags::value_type& a, const Tag& b) {
                      return same_text(a.first, b.key) && same_text(a.second, b.value);
                    });
}

}  // namespace

void unpin(const Attribution* attribution) noexcept {
  // Its books keep the first pin until they sweep it out or end, so the count that reaches zero here is of ended books.
  while (attribution && attribution->pins.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    const Attribution* parent = attribution->parent;
    delete attribution;
    attribution = parent;
  }
}

const Attribution* intern(Books& books, const Attribution* parent, const Addition& addition) {
  const std::uint64_t hash = hash_of(parent, addition);
  ThreadCache& cache = thread_cache();
  const Attribution*& slot = cache.attributions[hash % ThreadCache::attribution_slots];
  if (slot && slot->hash == hash && slot->books_uid == books.uid && same(*slot, parent, addition)) {
    pin(slot);
    return slot;
  }
  const Attribution* found = books.find_or_add(hash, parent, addition);
  if (!cache.ended) {
    unpin(slot);
    slot = found;
    pin(found);
  }
  return found;
}

const Attribution* intern_in(Books& books, const Attribution* from) {
  if (!from) return nullptr;
  if (from->books_uid == books.uid) {
    pin(from);
    return from;
  }
  const Attribution* parent = intern_in(books, from->parent);
  std::vector<Tag> tags;
  for (const auto& [key, value] : from->added) tags.push_back({key, value});
  const Attribution* here = intern(books, parent, {from->is_budget, from->name, from->description, tags});
  unpin(parent);
  return here;
}

const Attribution* Books::find_or_add(std::uint64_t hash, const Attribution* parent, const Addition& addition) {
  bool full = false;
  const Attribution* result = nullptr;
  {
    const std::lock_guard lock(dictionary_mutex_);
    const auto [first, last] = attributions_.equal_range(hash);
    for (auto at = first; at != last; ++at)
      if (same(*at->second, parent, addition)) {
        pin(at->second);
        return at->second;
      }

    auto fresh = std::make_unique<Attribution>();
    fresh->books_uid = uid;
    fresh->hash = hash;
    fresh->is_budget = addition.is_budget;
    fresh->name = addition.name;
    fresh->description = addition.description;
    if (parent) {
      fresh->tags = parent->tags;
      fresh->path = parent->path;
    }
    if (addition.is_budget)
      fresh->path.emplace_back(addition.name.empty() ? "(unnamed)" : addition.name);
    else
      for (const Tag& tag : addition.tags) {
        fresh->added.emplace_back(tag.key, tag.value);
        fresh->tags.set(tag.key, tag.value);
      }
    if (free_ids_.empty()) {
      fresh->id = static_cast<std::uint32_t>(attribution_by_id_.size());
      attribution_by_id_.push_back(nullptr);
    } else {
      fresh->id = free_ids_.back();
      free_ids_.pop_back();
    }
    fresh->parent = parent;
    pin(parent);
    pin(fresh.get());  // the caller's
    attributions_.emplace(hash, fresh.get());
    attribution_by_id_[fresh->id] = fresh.get();
    result = fresh.release();
    full = attributions_.size() >= sweep_at_;
  }
  if (full) sweep();
  return result;
}

void validate_tags(std::span<const Tag> tags, const Attribution* outer) {
  for (const Tag& tag : tags) {
    if (tag.key.empty()) throw ConfigError("a tag has an empty key: name it, as in {\"feature\", \"chat\"}");
    if (tag.key.size() > max_key)
      throw ConfigError("a tag's key has " + std::to_string(tag.key.size()) + " bytes; at most 128 are allowed");
    if (tag.value.size() > max_value)
      throw ConfigError("the value of tag \"" + std::string(tag.key) + "\" has " + std::to_string(tag.value.size()) +
                        " bytes; at most 1024 are allowed");
    if (tag.key.size() <= 8 && std::find(reserved_keys.begin(), reserved_keys.end(), tag.key) != reserved_keys.end())
      throw ConfigError("the tag key \"" + std::string(tag.key) +
                        "\" is reserved for reports (model, provider, budget, day): choose another name");
  }
  std::size_t count = outer ? outer->tags.size() : 0;
  for (const Tag& tag : tags)
    if (!outer || !outer->tags.contains(tag.key)) ++count;
  if (count > max_tags) throw ConfigError(std::to_string(count) + " tags are open at once; at most 32 are allowed");
}

}  // namespace outlay::detail
