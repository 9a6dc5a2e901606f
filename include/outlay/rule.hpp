#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "outlay/usd.hpp"
#include "outlay/window.hpp"

namespace outlay {

class Store;

/// Caps that come with tags: Ledger::add_rule. A call that carries the tag counts in them without a Budget having been opened by hand.
///
/// `{.match = {"user_id", "*"}, .usd = 10_usd}` gives every user ten dollars a day: a call tagged `user_id=alice` counts in the counter
/// `user_id:alice`, as it would in `Budget({.name = "user_id:alice", .usd = 10_usd, .window = Window::day()})`.
struct Rule {
  struct Match {
    std::string key{};    ///< Of the tag; empty: every call, counted in `global`.
    std::string value{};  ///< `*`: each value has a counter of its own. Else only this one.
  };
  Match match{};
  std::optional<Usd> usd{};  ///< Caps, as BudgetOptions has them; at least one.
  std::optional<std::int64_t> tokens{};
  std::optional<std::int64_t> input_tokens{};
  std::optional<std::int64_t> output_tokens{};
  std::optional<std::int64_t> calls{};
  Window window = Window::day();
  std::vector<double> soft{};      ///< As BudgetOptions::notify_at: announced, and not enforced.
  std::shared_ptr<Store> store{};  ///< Null: this process's memory. At most one in a chain, budgets and rules together.
};

}  // namespace outlay
