#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/detail/ref.hpp"
#include "outlay/tags.hpp"

namespace outlay::detail {

struct Attribution;
void acquire(const Attribution* attribution) noexcept;
void release(const Attribution* attribution) noexcept;

/// Keeps an attribution and its id in the dictionary; empty is the attribution outside every scope.
using AttributionRef = Ref<const Attribution>;

/// What a record is attributed to: the merged tags and the path of budget names, interned in a ledger's dictionary.
///
/// One per way in which scopes were opened (a trie: parent and what one scope added), so that opening the same scopes again finds
/// it by comparing only what the scope adds. Rows carry its id. It lives while nodes, thread caches or children refer to it, or while a
/// row or event in memory or in a sink's queue names it (Books::sweep).
struct Attribution {
  Counted references;  // the first one is the dictionary's
  std::uint64_t books_uid = 0;
  std::uint64_t hash = 0;
  std::uint32_t id = 0;  // dense in its books; 0 stands for no attribution: neither tags nor budgets
  AttributionRef parent;

  // What the scope added: a budget's name and description, or tags as they were given.
  bool is_budget = false;
  std::string name;
  std::string description;
  std::vector<Tags::value_type> added;

  // What holds inside it.
  Tags tags;
  std::vector<std::string> path;

  /// `run/answer`; empty outside every budget.
  [[nodiscard]] std::string joined_path() const;
};

inline void acquire(const Attribution* attribution) noexcept { attribution->references.add(); }

inline std::uint32_t id_of(const AttributionRef& attribution) noexcept { return attribution ? attribution->id : 0; }

/// Called with each attribution id that is in use (Books::sweep).
using Mark = std::function<void(std::uint32_t id)>;

inline constexpr TagsView no_tags{};

/// What reports use beside tags, so that no tag may be called so.
inline constexpr std::array<std::string_view, 4> reserved_keys{"model", "provider", "budget", "day"};
[[nodiscard]] constexpr bool is_reserved_key(std::string_view key) noexcept {
  return std::find(reserved_keys.begin(), reserved_keys.end(), key) != reserved_keys.end();
}

/// What a scope adds, before it is interned. Refers to what it was made from.
struct Addition {
  bool is_budget = false;
  std::string_view name{};
  std::string_view description{};
  const TagsView& tags = no_tags;
};

/// \par Errors
/// ConfigError for an empty, reserved or overlong key, an overlong value, or too many tags.
void validate_tags(const TagsView& tags, const Attribution* outer);

}  // namespace outlay::detail
