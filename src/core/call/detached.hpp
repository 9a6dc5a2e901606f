#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/shared/claim.hpp"
#include "outlay/budget.hpp"
#include "outlay/price.hpp"
#include "outlay/tags.hpp"

namespace outlay::detail {

/// All of a call that another process needs to end it as the one that admitted it would have.
struct DetachedCall {
  DetachedHold hold;
  std::string requested, model;
  std::string tier, under, traceparent;  // each may be empty
  std::int64_t started = 0;
  std::int64_t input = 0, choices = 1, ceiling = 0, output = 0;
  bool unbounded = false;
  Tags tags;
  /// How it was priced: by a model's price, or at so much for the call or for each token (pico-dollars), or not at all.
  std::optional<Price> price;
  bool price_is_assumed = false;
  std::string prices;  // the version of the table
  std::optional<std::int64_t> flat, assumed;
  struct CountedBy {
    std::string name, description, window;
    Limits caps;
    std::vector<double> notify_at;
  };
  std::vector<CountedBy> budgets;  // outermost first
};

/// Printable, in one line.
[[nodiscard]] std::string to_text(const DetachedCall& call);
/// Throws Error with errc::invalid_argument for a text that to_text() cannot have written.
[[nodiscard]] DetachedCall read_detached(std::string_view text);

}  // namespace outlay::detail
