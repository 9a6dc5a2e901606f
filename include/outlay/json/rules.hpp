#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "outlay/detail/export.hpp"
#include "outlay/rule.hpp"

namespace outlay {

/// Reads rules from JSON, for Ledger::set_rules(): a list of objects with the members of Rule, under its names.
///
/// ```json
/// [ { "match": {"user_id": "*"}, "usd": 10, "window": "day" },
///   { "name": "dear", "match": {"model": ["gpt-5", "o3"]}, "usd": "99.50",
///     "window": "month@Europe/Berlin+15d6h",
///     "on_exceed": [{"downgrade": {"gpt-5": "gpt-5-mini"}}, "truncate"], "notify_at": [0.8] } ]
/// ```
///
/// - `match`: an object; each member a condition, its value text or a list of texts.
/// - `usd`: a number or text; `tokens`, `input_tokens`, `output_tokens`, `calls`, `concurrent`: whole numbers from 1 on.
/// - `window`: as Window::parse reads it: `"day"` (the default), `"month@Europe/Berlin"`, `"week@UTC+sun0h"`, `"rolling3600s"`, `"forever"`.
/// - `on_exceed`: a policy or a list of them: `"block"`, `"truncate"`, `"raise"`, `"warn"`, `"clamp"`, `"wait"`, `{"downgrade": {"from": "to"}}`,
///   `{"clamp": {"min_output_tokens": 16, "max_output_tokens": 500}}`, `{"wait": {"timeout_ms": 30000}}`.
/// - `name`, `notify_at` (a list), `also` and `required` (true or false).
///
/// \param store Rule::store of each of them.
/// \par Errors
/// ConfigError that names the place (`rules[1].window.zone`) and what to write there, for text that is not JSON, a member that is not known, and a
/// value that is not valid. What only all rules together can show is said by Ledger::set_rules().
[[nodiscard]] OUTLAY_EXPORT std::vector<Rule> read_rules(std::string_view json,
                                                         const std::shared_ptr<Store>& store = nullptr);

}  // namespace outlay
