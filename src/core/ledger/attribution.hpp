#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/tags.hpp"

namespace outlay::detail {

class Books;

/// What a record is attributed to: the merged tags and the path of budget names, interned in a ledger's dictionary.
///
/// One per way in which scopes were opened (a trie: parent and what one scope added), so that opening the same scopes again finds
/// it by comparing only what the scope adds. Rows carry its id. Alive while pinned, by nodes, thread caches and children, or while a
/// row or event in memory or in a sink's queue names it (Books::sweep).
struct Attribution {
  mutable std::atomic<std::uint32_t> pins{1};  // the first is the dictionary's
  std::uint64_t books_uid = 0;
  std::uint64_t hash = 0;
  std::uint32_t id = 0;                 // dense in its books; 0 is nobody: neither tags nor budgets
  const Attribution* parent = nullptr;  // pinned

  // What the scope added: a budget's name and description, or tags as they were given.
  bool is_budget = false;
  std::string name;
  std::string description;
  std::vector<Tags::value_type> added;

  // What holds inside it.
  Tags tags;
  std::vector<std::string> path;
};

inline void pin(const Attribution* attribution) noexcept {
  if (attribution) attribution->pins.fetch_add(1, std::memory_order_relaxed);
}
void unpin(const Attribution* attribution) noexcept;

/// What a scope adds, before it is interned.
struct Addition {
  bool is_budget = false;
  std::string_view name{};
  std::string_view description{};
  std::span<const Tag> tags{};
};

/// The attribution inside a scope opened in `parent` (of the same books, or null); pinned for the caller.
///
/// A hit in the thread's cache takes no lock.
const Attribution* intern(Books& books, const Attribution* parent, const Addition& addition);

/// The same tags and budgets in other books; pinned for the caller.
const Attribution* intern_in(Books& books, const Attribution* from);

/// \par Errors
/// ConfigError for an empty, reserved or overlong key, an overlong value, or too many tags.
void validate_tags(std::span<const Tag> tags, const Attribution* outer);

}  // namespace outlay::detail
