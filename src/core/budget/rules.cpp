// Caps that come with tags: a rule is a windowed budget that is opened innermost, for one call.

#include <cstdlib>

#include "core/call/admission.hpp"
#include "core/pricing/price_book.hpp"
#include "core/shared/store.hpp"
#include "outlay/rule.hpp"

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

}  // namespace

std::shared_ptr<const std::vector<Rule>> Books::rules() const {
  const std::lock_guard lock(prices_mutex_);
  return rules_;
}

void Books::add_rule(Rule rule) {
  if (rule.match.key.empty() != rule.match.value.empty())
    throw ConfigError(where(rule) + ": a match has a key and a value (`*` for each), or neither for every call");
  if (rule.window.kind() == Window::Kind::scope)
    throw ConfigError(where(rule) + " has no window: a rule outlives scopes, so give it a Window");
  validate(options_of(rule, rule.match.key.empty() ? "global" : rule.match.key + ":" + rule.match.value), *this,
           nullptr);
  const std::lock_guard lock(prices_mutex_);
  auto more = rules_ ? std::make_shared<std::vector<Rule>>(*rules_) : std::make_shared<std::vector<Rule>>();
  more->push_back(std::move(rule));
  rules_ = std::move(more);
  has_rules_.store(true, std::memory_order_relaxed);
}

bool Admission::open_rules() {
  Books& books = *draft_.books;
  const auto rules = books.rules();
  const auto value_of = [&](const std::string& key) -> std::optional<std::string_view> {
    for (auto tag = request_->tags.rbegin(); tag != request_->tags.rend(); ++tag)
      if (tag->key == key) return tag->value;  // the last one wins, as in records
    const Attribution* around = draft_.scope ? draft_.scope->attribution : nullptr;
    const std::string* value = around ? around->tags.find(key) : nullptr;
    return value ? std::optional<std::string_view>(*value) : std::nullopt;
  };
  for (const Rule& rule : *rules) {
    std::string name = "global";
    if (!rule.match.key.empty()) {
      const std::optional<std::string_view> value = value_of(rule.match.key);
      if (!value || (rule.match.value != "*" && *value != rule.match.value)) continue;
      if (value->size() > max_value)
        return refuse(errc::config,
                      "the tag " + rule.match.key + " has " + std::to_string(value->size()) +
                          " bytes, and a rule gives each of its values a counter: at most 200 are allowed"),
               false;
      name = rule.match.key + ":" + std::string(*value);
      if (name.size() > max_name)
        return refuse(errc::config, where(rule) + " would count in a name of " + std::to_string(name.size()) +
                                        " bytes, the tag's key and value: at most 256 are allowed"),
               false;
    }
    Node* const outer = draft_.scope;
    BudgetNode* const enclosing = outer ? outer->budget : nullptr;
    const Store& store = rule.store ? *rule.store : *process_store();
    if (enclosing && enclosing->chain_store && enclosing->chain_store != &const_cast<Store&>(store).queue())
      return refuse(errc::config, where(rule) + " counts in " + store.description() +
                                      ", and a budget around the call in " + enclosing->chain_store->description() +
                                      ": at most one store can answer for a call, so give both the same"),
             false;
    auto node = std::make_unique<BudgetNode>(options_of(rule, std::move(name)), enclosing);
    node->budget = node.get();
    node->books = outer ? outer->books : nullptr;
    node->attribution = intern(books, outer ? outer->attribution : nullptr, {true, node->name, {}, {}});
    if (outer) acquire(outer);
    node->parent = outer;
    rules_ = NodeRef::adopt(node.release());
    draft_.scope = rules_.get();
  }
  return true;
}

}  // namespace detail

void Ledger::add_rule(Rule rule) { books_->add_rule(std::move(rule)); }

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
                        "\", which is no amount of money: write dollars, as in 12.50");
    }
    add_rule(std::move(rule));
    ++added;
  }
  return added;
}

}  // namespace outlay
