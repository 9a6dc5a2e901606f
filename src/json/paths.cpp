#include "paths.hpp"

namespace outlay::detail {

Paths::Paths(std::initializer_list<std::span<const PathRule>> rules) {
  std::vector<std::vector<Edge>> edges(1);
  nodes_.emplace_back();
  for (const std::span<const PathRule> some : rules) {
    for (const PathRule& rule : some) {
      NodeId at = root;
      std::string_view path = rule.path;
      while (!path.empty()) {
        const std::size_t dot = path.find('.');
        const std::string_view key = path.substr(0, dot);
        path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
        NodeId next = nowhere;
        if (key == "*") {
          next = nodes_[static_cast<std::size_t>(at)].element;
        } else {
          for (const Edge& edge : edges[static_cast<std::size_t>(at)])
            if (edge.text() == key) next = edge.to;
        }
        if (next == nowhere) {
          next = static_cast<NodeId>(nodes_.size());
          nodes_.emplace_back();
          edges.emplace_back();
          if (key == "*")
            nodes_[static_cast<std::size_t>(at)].element = next;
          else
            edges[static_cast<std::size_t>(at)].push_back({key.data(), tag_of(key), next});
        }
        at = next;
      }
      nodes_[static_cast<std::size_t>(at)].field = rule.field;
    }
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].begin = static_cast<std::uint16_t>(edges_.size());
    edges_.insert(edges_.end(), edges[i].begin(), edges[i].end());
    nodes_[i].end = static_cast<std::uint16_t>(edges_.size());
    for (const Edge& edge : edges[i]) nodes_[i].filter |= std::uint64_t{1} << filter_bit(edge.tag);
  }
}

}  // namespace outlay::detail
