#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/vector.hpp"
#include "core/context/node.hpp"
#include "core/pricing/rates.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/rule.hpp"
#include "outlay/tags.hpp"

namespace outlay::detail {

class Books;

/// The rules of a ledger (Books::rules); a set is never changed, but replaced.
struct RuleSet {
  std::vector<Rule> rules;
  bool by_model = false;  ///< Some match by model or provider, so that another model may have other rules.
};

/// A model as rules see it.
struct RuledModel {
  std::string_view name;                // as it is requested, or as a policy chose it
  const PricedModel* priced = nullptr;  // null: unknown

  /// What a rule that gives each model a counter counts by.
  [[nodiscard]] std::string_view counted_as() const noexcept { return priced ? priced->name : name; }
  /// Empty where it is not known.
  [[nodiscard]] std::string_view provider() const noexcept;
};

/// For which models a rule's budget is there, where its rule matches by model or provider.
struct OnlyFor {
  struct One {
    bool provider = false;
    std::vector<std::string> values;  // as Rule::Condition::values, but for `*`: there the value that was counted
  };
  std::vector<One> all;
  [[nodiscard]] bool covers(const RuledModel& model) const noexcept;
};

/// Throws Error with errc::tag_required for a call without a tag that a rule requires. Parameters as of open_rules().
void check_required(const RuleSet& rules, Node* scope, const TagsView& tags, const RuledModel& model);

/// Opens, for one call in `scope`, a budget for each rule that it matches, the first one outermost.
///
/// \param scope The innermost scope around the call; null: none.
/// \param tags The call's own, within those of the scope.
/// \return The innermost of these budgets, below `scope`; empty where no rule matches.
/// \par Errors
/// ConfigError where a value is too long for the name of a counter, or a rule's store is not that of the budgets around.
[[nodiscard]] NodeRef open_rules(const RuleSet& rules, Books& books, Node* scope, const TagsView& tags,
                                 const RuledModel& model);

/// The caps that rules give the counter of this name and window, before any call has counted in it; no_cap in dimensions without one.
[[nodiscard]] OUTLAY_EXPORT Vector caps_by_rules(const std::vector<Rule>& rules, std::string_view counter,
                                                 const Window& window);

}  // namespace outlay::detail
