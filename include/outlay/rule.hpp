#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "outlay/policy.hpp"
#include "outlay/usd.hpp"
#include "outlay/window.hpp"

namespace outlay {

class Store;

/// Caps that come with a call's tags, its model or its provider: Ledger::add_rule, Ledger::set_rules. A call that matches counts in them
/// without a Budget having been opened by hand.
///
/// `{.match = {"user_id", "*"}, .usd = 10_usd}` gives every user ten dollars a day: a call tagged `user_id=alice` counts in the counter
/// `user_id:alice`, as it would in `Budget({.name = "user_id:alice", .usd = 10_usd, .window = Window::day()})`.
///
/// Of rules with the same keys and the same window whose conditions a call meets, the more specific one replaces the general one: a value
/// goes before a list of values, that before a longer beginning, that before a shorter one, that before `*`. Of two that are alike, or of
/// which neither is more specific in every key, both apply.
struct Rule {
  /// One thing that has to hold of a call.
  struct Condition {
    /// A tag's key, or `model` or `provider`. A model matches by the name in the request, or by that of the entry that prices it.
    std::string key{};
    /// Any of them: whole values, or one value: `*`, where each value has a counter of its own, or a beginning and `*`, which have one
    /// counter together.
    std::vector<std::string> values{};

    /// Without a key: no rule may have it.
    Condition() = default;
    /// One value.
    template <std::convertible_to<std::string_view> Key, std::convertible_to<std::string_view> Value>
    Condition(const Key& k, const Value& value)
        : key(std::string_view(k)), values{std::string(std::string_view(value))} {}
    /// Any of these values.
    template <std::convertible_to<std::string_view> Key>
    Condition(const Key& k, std::initializer_list<std::string_view> any_of)
        : key(std::string_view(k)), values(any_of.begin(), any_of.end()) {}
    /// Any of these values.
    Condition(std::string k, std::vector<std::string> any_of) : key(std::move(k)), values(std::move(any_of)) {}
    /// The same key and values, in the same order.
    bool operator==(const Condition&) const = default;
  };
  /// All of its conditions have to hold; with none, every call matches, and counts in `global`.
  class Match {
   public:
    /// Every call.
    Match() = default;
    /// `{"user_id", "*"}`
    template <std::convertible_to<std::string_view> Key, std::convertible_to<std::string_view> Value>
    Match(const Key& key, const Value& value) : conditions_{Condition(key, value)} {}
    /// `{"plan", {"free", "trial"}}`
    template <std::convertible_to<std::string_view> Key>
    Match(const Key& key, std::initializer_list<std::string_view> any_of) : conditions_{Condition(key, any_of)} {}
    /// `{{"user_id", "*"}, {"model", "gpt-4o*"}}`
    Match(std::initializer_list<Condition> conditions) : conditions_(conditions) {}
    /// All of these.
    explicit Match(std::vector<Condition> conditions) : conditions_(std::move(conditions)) {}

    /// In the order in which they were given.
    [[nodiscard]] const std::vector<Condition>& conditions() const noexcept { return conditions_; }
    /// The same conditions, in the same order.
    bool operator==(const Match&) const = default;

   private:
    std::vector<Condition> conditions_{};
  };

  std::string
      name{};  ///< For Ledger::remove_rule, and in messages; empty, or another one than those of all other rules.
  /// Which calls count. Default: every call.
  Match match{};
  std::optional<Usd> usd{};  ///< Caps, as BudgetOptions has them; at least one.
  /// BudgetOptions::tokens.
  std::optional<std::int64_t> tokens{};
  /// BudgetOptions::input_tokens.
  std::optional<std::int64_t> input_tokens{};
  /// BudgetOptions::output_tokens.
  std::optional<std::int64_t> output_tokens{};
  /// BudgetOptions::calls.
  std::optional<std::int64_t> calls{};
  /// BudgetOptions::concurrent.
  std::optional<std::int64_t> concurrent{};
  Policies
      on_exceed{};  ///< As BudgetOptions::on_exceed. A Wait looks for room every 200 ms, and not in order of arrival.
  /// Of the counters. Default: days of UTC. Not Window::scope().
  Window window = Window::day();
  std::vector<double> notify_at{};  ///< As BudgetOptions::notify_at.
  std::shared_ptr<Store>
      store{};  ///< Null: the ledger's own memory. At most one in a chain, budgets and rules together.
  bool also{};  ///< It replaces no general rule: both apply.
  bool
      required{};  ///< A call without one of the tags of `match`, or with an empty one, is refused (errc::tag_required), whatever its other tags are.
};

}  // namespace outlay
