#include "core/ledger/dictionary.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "core/base/hash.hpp"
#include "core/ledger/thread_cache.hpp"

namespace outlay::detail {

namespace {

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

[[gnu::hot]] bool same(const Attribution& known, const Attribution* parent, const Addition& addition) noexcept {
  if (known.parent.get() != parent || known.is_budget != addition.is_budget) return false;
  if (addition.is_budget)
    return same_text(known.name, addition.name) && same_text(known.description, addition.description);
  return std::equal(known.added.begin(), known.added.end(), addition.tags.begin(), addition.tags.end(),
                    [](const Tags::value_type& a, const Tag& b) {
                      return same_text(a.first, b.key) && same_text(a.second, b.value);
                    });
}

}  // namespace

LedgerDictionary::LedgerDictionary(std::uint64_t books_uid, std::function<void()> when_full)
    : books_uid_(books_uid), when_full_(std::move(when_full)) {
  attribution_by_id_.emplace_back();
  name_by_id_.push_back({});
  names_.emplace(name_by_id_.back().text, &name_by_id_.back());
  name_by_id_.push_back({"(other)", ModelName::overflow_id, 0});
}

const ModelName* LedgerDictionary::name(std::string_view text, NameOrigin origin) {
  const bool from_reply = origin == NameOrigin::reply;
  const std::lock_guard lock(mutex_);
  const auto known = names_.find(text);
  if (known != names_.end() && (from_reply || !known->second->from_reply)) return known->second;
  const std::size_t program_names = name_by_id_.size() - reply_names_;
  if (from_reply ? reply_names_ >= max_reply_names : program_names >= max_names)
    return &name_by_id_[ModelName::overflow_id];
  if (known != names_.end()) {
    known->second->from_reply = false;
    --reply_names_;
    return known->second;
  }
  name_by_id_.push_back(
      {std::string(text), static_cast<std::uint32_t>(name_by_id_.size()), hash_text(text), from_reply});
  names_.emplace(name_by_id_.back().text, &name_by_id_.back());
  reply_names_ += from_reply;
  return &name_by_id_.back();
}

[[gnu::hot]] AttributionRef LedgerDictionary::intern(const Attribution* parent, const Addition& addition) {
  const std::uint64_t hash = hash_of(parent, addition);
  ThreadCache& cache = thread_cache();
  AttributionRef& slot = cache.attributions[hash % ThreadCache::attribution_slots];
  if (slot && slot->hash == hash && slot->books_uid == books_uid_ && same(*slot, parent, addition)) [[likely]]
    return slot;
  validate_tags(addition.tags, parent);
  AttributionRef found = find_or_add(hash, parent, addition);
  if (!cache.ended) slot = found;
  return found;
}

AttributionRef LedgerDictionary::translate(const Attribution* from) {
  if (!from || from->books_uid == books_uid_) return AttributionRef::share(from);
  const AttributionRef parent = translate(from->parent.get());
  std::vector<Tag> tags;
  tags.reserve(from->added.size());
  for (const auto& [key, value] : from->added) tags.push_back({key, value});
  return intern(parent.get(), {from->is_budget, from->name, from->description, tags});
}

AttributionRef LedgerDictionary::find_or_add(std::uint64_t hash, const Attribution* parent, const Addition& addition) {
  bool full = false;
  AttributionRef result;
  {
    const std::lock_guard lock(mutex_);
    const auto [first, last] = attributions_.equal_range(hash);
    for (auto at = first; at != last; ++at)
      if (same(*at->second, parent, addition)) return AttributionRef::share(at->second);

    auto fresh = std::make_unique<Attribution>();
    fresh->books_uid = books_uid_;
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
    fresh->parent = AttributionRef::share(parent);
    if (free_ids_.empty()) {
      attribution_by_id_.emplace_back();
      free_ids_.push_back(static_cast<std::uint32_t>(attribution_by_id_.size() - 1));
    }
    fresh->id = free_ids_.back();
    attributions_.emplace(hash, fresh.get());
    free_ids_.pop_back();
    result = AttributionRef::share(fresh.get());
    AttributionRef& place = attribution_by_id_[fresh->id];
    place = AttributionRef::adopt(fresh.release());
    full = attributions_.size() >= sweep_at_;
  }
  if (full) when_full_();
  return result;
}

const std::string& LedgerDictionary::Reader::name(std::uint32_t id) const noexcept {
  return dictionary_.name_by_id_[id < dictionary_.name_by_id_.size() ? id : 0].text;
}

const Attribution* LedgerDictionary::Reader::attribution(std::uint32_t id) const noexcept {
  return id < dictionary_.attribution_by_id_.size() ? dictionary_.attribution_by_id_[id].get() : nullptr;
}

std::size_t LedgerDictionary::attribution_count() const {
  const std::lock_guard lock(mutex_);
  return attribution_by_id_.size();
}

void LedgerDictionary::sweep(const std::function<void(const Mark&)>& mark_used) {
  const std::lock_guard lock(mutex_);
  std::vector<bool> used(attribution_by_id_.size(), false);
  mark_used([&](std::uint32_t id) {
    if (id < used.size()) used[id] = true;
  });
  // A child refers to its parent, so removing one may free another. Repeated until nothing is freed.
  for (bool again = true; again;) {
    again = false;
    for (auto at = attributions_.begin(); at != attributions_.end();) {
      const Attribution& candidate = *at->second;
      if (used[candidate.id] || candidate.references.count() != 1) {
        ++at;
        continue;
      }
      free_ids_.push_back(candidate.id);
      at = attributions_.erase(at);
      attribution_by_id_[candidate.id] = {};  // the last reference
      again = true;
    }
  }
  sweep_at_ = std::max<std::size_t>(8192, attributions_.size() * 2);
}

}  // namespace outlay::detail
