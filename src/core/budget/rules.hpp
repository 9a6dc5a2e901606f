#pragma once

#include <vector>

#include "core/context/node.hpp"
#include "outlay/rule.hpp"
#include "outlay/tags.hpp"

namespace outlay::detail {

class Books;

/// The rules of a ledger (Books::rules); a set is never changed, but replaced.
struct RuleSet {
  std::vector<Rule> rules;
};

/// Opens, for one call in `scope`, a budget for each rule that its tags match, the first one outermost.
///
/// \param scope The innermost scope around the call; null: none.
/// \param tags The call's own, within those of the scope.
/// \return The innermost of these budgets, below `scope`; empty where no rule matches.
/// \par Errors
/// ConfigError where a value is too long for the name of a counter, or a rule's store is not that of the budgets around.
[[nodiscard]] NodeRef open_rules(const RuleSet& rules, Books& books, Node* scope, const TagsView& tags);

}  // namespace outlay::detail
