#pragma once

#include <span>

#include "define.hpp"

namespace outlay::detail {

/// What Ollama's two ways to generate share: the counts, the options, the end.
class OllamaShape : public Format {
 public:
  [[nodiscard]] Report report(const Facts& facts) const override;
  void event(Facts& facts, std::vector<Piece>& pieces) const override;
  void read_request(const boost::json::object& request, RequestFacts& facts) const override;
  void write_ceiling(boost::json::object& request, std::int64_t ceiling) const override;
};

[[nodiscard]] std::span<const PathRule> ollama_rules() noexcept;

}  // namespace outlay::detail
