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
    for (std::uint16_t i = at.begin; i != at.end; ++i) {
      const Edge& edge = edges_[i];
      if (edge.size == key.size() && std::char_traits<char>::compare(edge.key, key.data(), edge.size) == 0)
        return edge.to;
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
  };
  struct Edge {
    const char* key;  // into the rules, which have static storage
    std::uint32_t size;
    NodeId to;
  };
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
};

}  // namespace outlay::detail
