#include "core/ledger/attribution.hpp"

#include "core/ledger/budget_path.hpp"
#include "outlay/error.hpp"

namespace outlay::detail {

namespace {

constexpr std::size_t max_tags = 32;
constexpr std::size_t max_key = 128;
constexpr std::size_t max_value = 1024;

}  // namespace

[[gnu::hot]] void release(const Attribution* attribution) noexcept {
  // A chain may be long and end all at once, so there is no recursion. The dictionary keeps the first reference until it sweeps the
  // attribution out or ends.
  while (attribution && attribution->references.drop()) {
    const Attribution* parent = const_cast<Attribution*>(attribution)->parent.detach();
    delete attribution;
    attribution = parent;
  }
}

std::string Attribution::joined_path() const { return join_path(path); }

[[gnu::hot]] void validate_tags(const TagsView& tags, const Attribution* outer) {
  for (const Tag& tag : tags) {
    if (tag.key.empty()) throw ConfigError("a tag has an empty key. Name it, as in {\"feature\", \"chat\"}.");
    if (tag.key.size() > max_key)
      throw ConfigError("a tag's key has " + std::to_string(tag.key.size()) +
                        " bytes, and at most 128 are allowed. Shorten it.");
    if (tag.value.size() > max_value)
      throw ConfigError("the value of tag \"" + std::string(tag.key) + "\" has " + std::to_string(tag.value.size()) +
                        " bytes, and at most 1,024 are allowed. Shorten it.");
    if (tag.key.size() <= 8 && is_reserved_key(tag.key))
      throw ConfigError("the tag key \"" + std::string(tag.key) +
                        "\" is reserved: reports use model, provider, budget and day. Choose another name.");
  }
  std::size_t count = outer ? outer->tags.size() : 0;
  if (count + tags.size() <= max_tags) return;
  for (const Tag& tag : tags)
    if (!outer || !outer->tags.contains(tag.key)) ++count;
  if (count > max_tags)
    throw ConfigError(std::to_string(count) + " tags are open at once, and at most 32 are allowed. Open fewer.");
}

}  // namespace outlay::detail
