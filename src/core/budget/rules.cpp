// Caps that come with tags: a rule is a windowed budget that is opened innermost, for one call.

#include "core/budget/rules.hpp"

#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "core/budget/tree.hpp"
#include "core/ledger/books.hpp"
#include "core/pricing/price_book.hpp"
#include "outlay/ledger.hpp"

namespace outlay {

namespace detail {

namespace {

constexpr std::size_t max_value = 200;
constexpr std::size_t max_name = 256;  // StoreCounter::name

std::string where(const Rule& rule) {
  return rule.match.key.empty() ? std::string("the rule for every call")
                                : "the rule for " + rule.match.key + "=" + rule.match.value;
}

BudgetOptions options_of(const Rule& rule, std::string name) {
  BudgetOptions options;
  options.name = std::move(name);
  options.usd = rule.usd;
  options.tokens = rule.tokens;
  options.input_tokens = rule.input_tokens;
  options.output_tokens = rule.output_tokens;
  options.calls = rule.calls;
  options.notify_at = rule.soft;
  options.window = rule.window;
  options.store = rule.store;
  return options;
}

/// Whether some call may be under both.
bool may_meet(const Rule& a, const Rule& b) noexcept {
  return a.match.key != b.match.key || a.match.value == b.match.value || a.match.value == "*" || b.match.value == "*";
}

const std::shared_ptr<Store>& store_of(const Rule& rule, const Books& books) noexcept {
  return rule.store ? rule.store : books.store;
}

}  // namespace

NodeRef open_rules(const RuleSet& set, Books& books, Node* scope, const TagsView& tags) {
  const auto value_of = [&](const std::string& key) -> std::optional<std::string_view> {
    std::optional<std::string_view> own;
    for (const Tag& tag : tags)
      if (tag.key == key) own = tag.value;  // the last one wins, as in records
    if (own) return own;
    const Attribution* around = scope ? scope->attribution : nullptr;
    const std::string* value = around ? around->tags.find(key) : nullptr;
    return value ? std::optional<std::string_view>(*value) : std::nullopt;
  };
  NodeRef innermost;
  for (const Rule& rule : set.rules) {
    std::string name = "global";
    if (!rule.match.key.empty()) {
      const std::optional<std::string_view> value = value_of(rule.match.key);
      if (!value || (rule.match.value != "*" && *value != rule.match.value)) continue;
      if (value->size() > max_value)
        throw ConfigError("the tag " + rule.match.key + " has " + std::to_string(value->size()) +
                          " bytes, and a rule that gives each value a counter allows at most 200. Shorten the value.");
      name = rule.match.key + ":" + std::string(*value);
      if (name.size() > max_name)
        throw ConfigError(where(rule) + " needs a counter whose name, the tag's key and value, has " +
                          std::to_string(name.size()) + " bytes, and at most 256 are allowed. Shorten the value.");
    }
    NodeRef outer = innermost ? std::move(innermost) : NodeRef::share(scope);
    BudgetNode* const enclosing = outer ? outer->budget : nullptr;
    const std::shared_ptr<Store>& store = store_of(rule, books);
    if (enclosing && enclosing->store && enclosing->store != store)
      throw ConfigError(where(rule) + " counts in " + store->description() +
                        ", and a budget around the call counts in another store, in " +
                        enclosing->store->description() +
                        ". One call can ask one store only: give both the same store.");
    auto node = std::make_unique<BudgetNode>(options_of(rule, std::move(name)), enclosing, books.store);
    node->budget = node.get();
    node->books = outer ? outer->books : nullptr;
    node->attribute(books.dictionary.intern(outer ? outer->attribution : nullptr, {true, node->name, {}, {}}));
    node->parent = outer.detach();
    innermost = NodeRef::adopt(node.release());
  }
  return innermost;
}

}  // namespace detail

void Ledger::add_rule(Rule rule) {
  using namespace detail;
  if (rule.match.key.empty() != rule.match.value.empty())
    throw ConfigError(where(rule) +
                      " has a key without a value, or a value without a key. Set both (the value * stands for every "
                      "value), or neither to match every call.");
  if (rule.window.kind() == Window::Kind::scope)
    throw ConfigError(where(rule) + " has no window, and a rule outlives scopes. Set window.");
  validate(options_of(rule, rule.match.key.empty() ? "global" : rule.match.key + ":" + rule.match.value), *books_,
           nullptr);
  books_->change_rules([&](const RuleSet* present) {
    for (const Rule& other : present ? std::span<const Rule>(present->rules) : std::span<const Rule>())
      if (store_of(other, *books_) != store_of(rule, *books_) && may_meet(rule, other))
        throw ConfigError(where(rule) + " counts in " + store_of(rule, *books_)->description() + ", and " +
                          where(other) + ", which may apply to the same call, in another store, in " +
                          store_of(other, *books_)->description() +
                          ". One call can ask one store only: give both the same store.");
    auto more = present ? std::make_shared<RuleSet>(*present) : std::make_shared<RuleSet>();
    more->rules.push_back(std::move(rule));
    return more;
  });
}

std::size_t Ledger::add_rules_from_environment(const std::shared_ptr<Store>& store) {
  struct Known {
    const char* variable;
    Rule::Match match;
  };
  const Known all[] = {{"OUTLAY_DAILY_USER_USD", {"user_id", "*"}},
                       {"OUTLAY_DAILY_PROJECT_USD", {"project", "*"}},
                       {"OUTLAY_DAILY_GLOBAL_USD", {}}};
  std::size_t added = 0;
  for (const Known& known : all) {
    const char* const text = std::getenv(known.variable);
    if (text == nullptr || *text == '\0') continue;
    Rule rule;
    rule.match = known.match;
    rule.store = store;
    try {
      rule.usd = Usd::parse(text);
    } catch (const std::exception&) {
      throw ConfigError(std::string(known.variable) + " is \"" + detail::printable_name(text) +
                        "\", which is not an amount of money. Write dollars, as in 12.50.");
    }
    add_rule(std::move(rule));
    ++added;
  }
  return added;
}

}  // namespace outlay
