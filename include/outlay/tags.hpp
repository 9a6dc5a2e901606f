#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "outlay/detail/export.hpp"

// Lets a compiler that knows it warn of a view of braces that are gone.
#if defined(__has_cpp_attribute)
#if __has_cpp_attribute(clang::lifetimebound)
#define OUTLAY_LIFETIME_BOUND [[clang::lifetimebound]]
#endif
#endif
#ifndef OUTLAY_LIFETIME_BOUND
#define OUTLAY_LIFETIME_BOUND
#endif

namespace outlay {

/// One key and its value, as Track, CallRequest and the report's filters take it. A view: it owns nothing.
struct Tag {
  /// Not empty.
  std::string_view key;
  /// Any text, also an empty one.
  std::string_view value;
};

class TagsView;

/// A set of tags, sorted by key; each key at most once.
class OUTLAY_EXPORT Tags {
 public:
  /// A key and its value.
  using value_type = std::pair<std::string, std::string>;
  /// Over the tags, by key.
  using const_iterator = std::vector<value_type>::const_iterator;

  /// No tags.
  Tags() = default;
  /// Of two tags with one key the later wins.
  Tags(std::initializer_list<Tag> tags);  // NOLINT: implicit by design
  /// A copy of them. Of two tags with one key the later wins.
  explicit Tags(const TagsView& tags);

  /// Adds a tag or replaces its value.
  void set(std::string_view key, std::string_view value);
  /// \par Errors
  /// std::out_of_range without the key.
  [[nodiscard]] const std::string& at(std::string_view key) const;
  /// The value of a key; null without the key.
  [[nodiscard]] const std::string* find(std::string_view key) const noexcept;
  /// There is a tag with this key.
  [[nodiscard]] bool contains(std::string_view key) const noexcept { return find(key) != nullptr; }
  /// How many there are.
  [[nodiscard]] std::size_t size() const noexcept { return tags_.size(); }
  /// There are none.
  [[nodiscard]] bool empty() const noexcept { return tags_.empty(); }
  /// The first tag, by key.
  [[nodiscard]] const_iterator begin() const noexcept { return tags_.begin(); }
  /// The end of the tags.
  [[nodiscard]] const_iterator end() const noexcept { return tags_.end(); }
  /// The same tags.
  bool operator==(const Tags&) const = default;
  /// By keys, then values.
  auto operator<=>(const Tags&) const = default;

 private:
  std::vector<value_type> tags_;
};

/// Tags as a function takes them: up to eight in braces, or Tags, or any array, vector or span of Tag.
///
/// \par Lifetime
/// Refers to the container that it was made from. What is in braces it holds itself, so that a named CallRequest may be made from them; the
/// texts of a Tag are views in any case.
class TagsView {
  /// \cond
  enum class Kind : unsigned char { own, tags, pairs };
  // A Tag in braces, in three quarters of its size: every CallRequest has room for eight.
  struct Own {
    constexpr Own() noexcept = default;
    constexpr Own(const Tag& tag) noexcept  // NOLINT: of every tag in braces
        : key(tag.key.data()), value(tag.value.data()), key_size(bounded(tag.key)), value_size(bounded(tag.value)) {}
    static constexpr std::uint32_t bounded(std::string_view text) noexcept {
      return text.size() < UINT32_MAX ? static_cast<std::uint32_t>(text.size()) : UINT32_MAX;
    }

    const char* key = nullptr;
    const char* value = nullptr;
    std::uint32_t key_size = 0;
    std::uint32_t value_size = 0;
  };
  /// \endcond

 public:
  /// Over the tags, in their order. A forward iterator whose elements are made as they are read.
  class iterator {
   public:
    /// What it reads.
    using value_type = Tag;
    /// As iterators have it.
    using difference_type = std::ptrdiff_t;
    /// As iterators have it.
    using iterator_concept = std::forward_iterator_tag;

    /// Of no tags.
    constexpr iterator() noexcept = default;
    /// A view of the tag.
    [[nodiscard]] Tag operator*() const noexcept {
      if (kind_ == Kind::tags) return *static_cast<const Tag*>(at_);
      if (kind_ == Kind::pairs) {
        const auto& pair = *static_cast<const Tags::value_type*>(at_);
        return {pair.first, pair.second};
      }
      const auto& own = *static_cast<const Own*>(at_);
      return {{own.key, own.key_size}, {own.value, own.value_size}};
    }
    /// The next tag.
    iterator& operator++() noexcept {
      at_ = static_cast<const char*>(at_) + size_;
      return *this;
    }
    /// The next tag.
    iterator operator++(int) noexcept {
      const iterator before = *this;
      ++*this;
      return before;
    }
    /// At the same tag of the same container.
    bool operator==(const iterator&) const noexcept = default;

   private:
    friend class TagsView;
    template <class Element>
    iterator(const Element* at, Kind kind) noexcept : at_(at), size_(sizeof(Element)), kind_(kind) {}

    const void* at_ = nullptr;
    std::uint32_t size_ = 0;  // of an element, in bytes
    Kind kind_ = Kind::tags;
  };

  /// No tags.
  constexpr TagsView() noexcept : tags_(nullptr) {}
  // No initializer_list: g++ 12 refuses one in a co_await expression.
  /// Up to eight, in braces. Of a text of 4 GiB or more its beginning.
  constexpr TagsView(const Tag& a, const Tag& b = none, const Tag& c = none, const Tag& d = none,  // NOLINT: all are
                     const Tag& e = none, const Tag& f = none, const Tag& g = none,                // implicit by design
                     const Tag& h = none) noexcept
      : own_{a, b, c, d, e, f, g, h}, kind_(Kind::own), size_(1) {
    for (const Tag* tag : {&b, &c, &d, &e, &f, &g, &h})
      if (tag != &none) ++size_;
  }
  /// Those of `tags`, which must live as long as this view.
  TagsView(const Tags& tags OUTLAY_LIFETIME_BOUND) noexcept  // NOLINT
      : pairs_(tags.empty() ? nullptr : &*tags.begin()), kind_(Kind::pairs), size_(tags.size()) {}
  /// Those of a container of Tag, which must live as long as this view.
  template <class Range>
    requires std::convertible_to<const Range&, std::span<const Tag>>
  constexpr TagsView(const Range& tags OUTLAY_LIFETIME_BOUND) noexcept  // NOLINT
      : tags_(std::span<const Tag>(tags).data()), kind_(Kind::tags), size_(std::span<const Tag>(tags).size()) {}

  /// How many there are.
  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
  /// There are none.
  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
  /// The first tag.
  [[nodiscard]] iterator begin() const noexcept { return at(0); }
  /// The end of the tags.
  [[nodiscard]] iterator end() const noexcept { return at(size_); }

 private:
  static const Tag none;

  [[nodiscard]] iterator at(std::size_t i) const noexcept {
    if (size_ == 0) return {};
    if (kind_ == Kind::pairs) return {pairs_ + i, kind_};
    if (kind_ == Kind::tags) return {tags_ + i, kind_};
    return {own_ + i, kind_};
  }

  /// \cond
  union {
    Own own_[8];
    const Tag* tags_;
    const Tags::value_type* pairs_;
  };
  /// \endcond
  Kind kind_ = Kind::tags;
  std::size_t size_ = 0;
};
inline constexpr Tag TagsView::none{};

}  // namespace outlay
