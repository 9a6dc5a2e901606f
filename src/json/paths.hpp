#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "facts.hpp"

namespace outlay::detail {

/// A place in a JSON document and what it means there: member names joined by dots, `*` for any element of an array.
struct PathRule {
  std::string_view path;
  Field field;
};

/// The places of one API as a tree, in which a reader walks along with the parser: what is not in it is skipped.
class Paths {
 public:
  using NodeId = std::int16_t;
  static constexpr NodeId nowhere = -1;
  static constexpr NodeId root = 0;

  explicit Paths(std::initializer_list<std::span<const PathRule>> rules);

  [[nodiscard]] NodeId member(NodeId node, std::string_view key) const noexcept {
    const Node& at = nodes_[static_cast<std::size_t>(node)];
    const std::uint32_t tag = tag_of(key);
    // Most members of a reply are on no path: few of them get past this.
    if ((at.filter >> filter_bit(tag) & 1U) == 0) return nowhere;
    for (std::uint16_t i = at.begin; i != at.end; ++i) {
      const Edge& edge = edges_[i];
      if (edge.tag == tag && std::char_traits<char>::compare(edge.key, key.data(), key.size()) == 0) return edge.to;
    }
    return nowhere;
  }
  [[nodiscard]] NodeId element(NodeId node) const noexcept { return nodes_[static_cast<std::size_t>(node)].element; }
  [[nodiscard]] Field field(NodeId node) const noexcept { return nodes_[static_cast<std::size_t>(node)].field; }

 private:
  struct Node {
    Field field = Field::none;
    NodeId element = nowhere;
    std::uint16_t begin = 0;  // its edges
    std::uint16_t end = 0;
    std::uint64_t filter = 0;  // bit n: an edge whose tag has this bit begins here
  };
  struct Edge {
    const char* key;  // into the rules, which have static storage
    std::uint32_t tag;
    NodeId to;
    [[nodiscard]] std::string_view text() const noexcept { return {key, tag >> 8U}; }
  };
  // A key's size and its first letter.
  [[nodiscard]] static std::uint32_t tag_of(std::string_view key) noexcept {
    const std::uint32_t first = key.empty() ? 0U : static_cast<unsigned char>(key.front());
    return static_cast<std::uint32_t>(key.size()) << 8U | first;
  }
  [[nodiscard]] static std::uint32_t filter_bit(std::uint32_t tag) noexcept { return ((tag >> 8U) * 7U + tag) & 63U; }
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
};

}  // namespace outlay::detail
