// Caps that come with calls: a rule is a windowed budget that is opened innermost, for one call.

#include "core/budget/rules.hpp"

#include <algorithm>
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
constexpr std::size_t max_counter_name = 256;  // StoreCounter::name

bool by_model(const Rule::Condition& condition) noexcept {
  return condition.key == "model" || condition.key == "provider";
}
bool any_value(const Rule::Condition& condition) noexcept { return condition.values.front() == "*"; }

/// Whether a value is this one, or begins as it does where it ends in `*`.
bool meets(std::string_view pattern, std::string_view value) noexcept {
  return pattern.ends_with('*') ? value.starts_with(pattern.substr(0, pattern.size() - 1)) : value == pattern;
}
bool meets_any(const std::vector<std::string>& patterns, std::string_view value) noexcept {
  return std::any_of(patterns.begin(), patterns.end(), [&](const auto& pattern) { return meets(pattern, value); });
}

// --- what rules are called ---

std::string joined(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : "|") + printable_name(value);
  return text;
}

std::string where(const Rule& rule) {
  if (!rule.name.empty()) return "the rule \"" + printable_name(rule.name) + '"';
  if (rule.match.conditions().empty()) return "the rule for every call";
  std::string text;
  for (const Rule::Condition& condition : rule.match.conditions())
    text += (text.empty() ? "the rule for " : " and ") + printable_name(condition.key) + "=" + joined(condition.values);
  return text;
}

/// With everything that separates the parts of a counter's name as %XX.
std::string escaped(std::string_view text, std::string_view separators) {
  constexpr const char* digits = "0123456789ABCDEF";
  std::string safe;
  for (const char c : text) {
    if (c != '%' && separators.find(c) == separators.npos) {
      safe += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    safe += {'%', digits[byte >> 4U], digits[byte & 15U]};
  }
  return safe;
}

/// How a condition is called in the name of a counter, so that no two conditions are called alike.
///
/// \param value Of the call, where each has a counter of its own.
std::string counted(const Rule::Condition& condition, std::string_view value, bool alone) {
  const std::string key = escaped(condition.key, ":{");
  const std::string_view separators = alone ? "*|" : "*|,}";
  if (any_value(condition)) return key + ':' + escaped(value, separators);
  std::vector<std::string> values;
  for (const std::string& one : condition.values) {
    const bool beginning = one.ends_with('*');
    values.push_back(escaped(std::string_view(one).substr(0, one.size() - (beginning ? 1 : 0)), separators) +
                     (beginning ? "*" : ""));
  }
  std::sort(values.begin(), values.end());
  std::string text;
  for (const std::string& one : values) text += (text.empty() ? "" : "|") + one;
  return key + ':' + text;
}

BudgetOptions options_of(const Rule& rule, std::string name) {
  BudgetOptions options;
  options.name = std::move(name);
  options.usd = rule.usd;
  options.tokens = rule.tokens;
  options.input_tokens = rule.input_tokens;
  options.output_tokens = rule.output_tokens;
  options.calls = rule.calls;
  options.concurrent = rule.concurrent;
  options.on_exceed = rule.on_exceed;
  options.notify_at = rule.notify_at;
  options.window = rule.window;
  options.store = rule.store;
  return options;
}

const std::shared_ptr<Store>& store_of(const Rule& rule, const Books& books) noexcept {
  return rule.store ? rule.store : books.store;
}

// --- which rules apply ---

const Rule::Condition* condition_on(const Rule& rule, std::string_view key) noexcept {
  for (const Rule::Condition& condition : rule.match.conditions())
    if (condition.key == key) return &condition;
  return nullptr;
}

/// Whether some value meets both.
bool may_agree(const Rule::Condition& a, const Rule::Condition& b) noexcept {
  for (const std::string& one : a.values)
    for (const std::string& other : b.values) {
      const bool beginnings = one.ends_with('*') && other.ends_with('*');
      const std::string_view shorter = one.size() < other.size() ? one : other,
                             longer = one.size() < other.size() ? other : one;
      if (beginnings ? meets(shorter, longer.substr(0, longer.size() - 1)) : meets(one, other) || meets(other, one))
        return true;
    }
  return false;
}

/// Whether some call may be under both.
bool may_meet(const Rule& a, const Rule& b) noexcept {
  for (const Rule::Condition& condition : a.match.conditions())
    if (const Rule::Condition* other = condition_on(b, condition.key); other && !may_agree(condition, *other))
      return false;
  return true;
}

/// The larger, the more specific: `*`, a beginning, a list of values, a value.
std::size_t specificity(const Rule::Condition& condition) noexcept {
  constexpr std::size_t list = SIZE_MAX - 1, value = SIZE_MAX;
  if (condition.values.size() > 1) return list;
  return condition.values.front().ends_with('*') ? condition.values.front().size() : value;
}

/// Whether a rule stands in place of another one, where both match a call.
bool replaces(const Rule& special, const Rule& general) noexcept {
  const auto& conditions = special.match.conditions();
  if (special.also || conditions.size() != general.match.conditions().size() || !(special.window == general.window))
    return false;
  bool more = false;
  for (const Rule::Condition& condition : conditions) {
    const Rule::Condition* other = condition_on(general, condition.key);
    if (!other || specificity(condition) < specificity(*other)) return false;
    more |= specificity(condition) > specificity(*other);
  }
  return more;
}

/// A call as rules see it.
struct Ruled {
  Node* scope;
  const TagsView& tags;
  const RuledModel& model;

  [[nodiscard]] std::optional<std::string_view> tag(const std::string& key) const {
    std::optional<std::string_view> own;
    for (const Tag& tag : tags)
      if (tag.key == key) own = tag.value;  // the last one wins, as in records
    if (own) return own;
    const Attribution* around = scope ? scope->attribution : nullptr;
    const std::string* value = around ? around->tags.find(key) : nullptr;
    return value ? std::optional<std::string_view>(*value) : std::nullopt;
  }
  /// The value by which the call meets a condition; empty: it does not.
  [[nodiscard]] std::optional<std::string_view> meets(const Rule::Condition& condition) const {
    if (condition.key == "model") {
      for (const std::string_view name : {model.name, model.counted_as()})
        if (meets_any(condition.values, name)) return model.counted_as();
      return std::nullopt;
    }
    std::optional<std::string_view> value = tag(condition.key);
    if (condition.key == "provider") value = model.provider().empty() ? std::nullopt : std::optional(model.provider());
    if (!value || !meets_any(condition.values, *value)) return std::nullopt;
    return value;
  }
};

/// The name of the counter in which a call counts; empty: the rule does not match.
std::optional<std::string> counter_of(const Rule& rule, const Ruled& call) {
  const auto& conditions = rule.match.conditions();
  if (conditions.empty()) return "global";
  std::vector<std::string> parts;
  for (const Rule::Condition& condition : conditions) {
    const std::optional<std::string_view> value = call.meets(condition);
    if (!value) return std::nullopt;
    if (any_value(condition) && value->size() > max_value)
      throw ConfigError("the tag " + condition.key + " has " + std::to_string(value->size()) +
                        " bytes, and a rule that gives each value a counter allows at most 200. Shorten the value.");
    parts.push_back(counted(condition, *value, conditions.size() == 1));
  }
  std::sort(parts.begin(), parts.end());
  std::string name = parts.front();
  if (parts.size() > 1) {
    name = "{";
    for (const std::string& part : parts) name += (name.size() > 1 ? "," : "") + part;
    name += '}';
  }
  if (name.size() > max_counter_name)
    throw ConfigError(where(rule) + " needs a counter whose name, of keys and values, has " +
                      std::to_string(name.size()) + " bytes, and at most 256 are allowed. Shorten the value.");
  return name;
}

std::shared_ptr<const OnlyFor> only_for(const Rule& rule, const Ruled& call) {
  std::shared_ptr<OnlyFor> only;
  for (const Rule::Condition& condition : rule.match.conditions()) {
    if (!by_model(condition)) continue;
    if (!only) only = std::make_shared<OnlyFor>();
    const bool provider = condition.key == "provider";
    only->all.push_back({provider, any_value(condition)
                                       ? std::vector<std::string>{std::string(provider ? call.model.provider()
                                                                                       : call.model.counted_as())}
                                       : condition.values});
  }
  return only;
}

void check_required(const Rule& rule, const Ruled& call) {
  if (!rule.required) return;
  for (const Rule::Condition& condition : rule.match.conditions())
    if (!by_model(condition) && call.tag(condition.key).value_or("").empty())
      throw Error(errc::tag_required, "the call to \"" + printable_name(call.model.name) + "\" has no tag " +
                                          printable_name(condition.key) + ", which " + where(rule) +
                                          " requires. Open a Track with it, or set CallRequest::tags.");
}

}  // namespace

std::string_view RuledModel::provider() const noexcept {
  return priced ? std::string_view(priced->price->provider) : std::string_view();
}

bool OnlyFor::covers(const RuledModel& model) const noexcept {
  return std::all_of(all.begin(), all.end(), [&](const One& one) {
    if (one.provider) return meets_any(one.values, model.provider());
    return meets_any(one.values, model.name) || meets_any(one.values, model.counted_as());
  });
}

void check_required(const RuleSet& set, Node* scope, const TagsView& tags, const RuledModel& model) {
  const Ruled call{scope, tags, model};
  for (const Rule& rule : set.rules) check_required(rule, call);
}

NodeRef open_rules(const RuleSet& set, Books& books, Node* scope, const TagsView& tags, const RuledModel& model) {
  const Ruled call{scope, tags, model};
  struct Matched {
    const Rule* rule;
    std::string counter;
  };
  std::vector<Matched> matched;
  for (const Rule& rule : set.rules) {
    if (std::optional<std::string> counter = counter_of(rule, call)) matched.push_back({&rule, std::move(*counter)});
  }
  NodeRef innermost;
  for (Matched& one : matched) {
    const Rule& rule = *one.rule;
    if (std::any_of(matched.begin(), matched.end(), [&](const Matched& other) { return replaces(*other.rule, rule); }))
      continue;
    NodeRef outer = innermost ? std::move(innermost) : NodeRef::share(scope);
    BudgetNode* const enclosing = outer ? outer->budget : nullptr;
    const std::shared_ptr<Store>& store = store_of(rule, books);
    if (enclosing && enclosing->store && enclosing->store != store)
      throw ConfigError(where(rule) + " counts in " + store->description() +
                        ", and a budget around the call counts in another store, in " +
                        enclosing->store->description() +
                        ". One call can ask one store only: give both the same store.");
    auto node = std::make_unique<BudgetNode>(options_of(rule, std::move(one.counter)), enclosing, books);
    node->only_for = only_for(rule, call);
    node->budget = node.get();
    node->books = outer ? outer->books : nullptr;
    node->attribute(books.dictionary.intern(outer ? outer->attribution : nullptr, {true, node->name, {}, {}}));
    node->parent = outer.detach();
    innermost = NodeRef::adopt(node.release());
  }
  return innermost;
}

namespace {

/// Whether calls under the rule may count in a counter of this name: the other way round from counter_of().
bool may_count_in(const Rule& rule, std::string_view counter) {
  const auto& conditions = rule.match.conditions();
  if (conditions.empty()) return counter == "global";
  const bool alone = conditions.size() == 1;
  if (!alone) {
    if (!counter.starts_with('{') || !counter.ends_with('}')) return false;
    counter = counter.substr(1, counter.size() - 2);
  }
  std::size_t parts = 0;
  while (!counter.empty()) {
    const std::string_view part = alone ? counter : counter.substr(0, counter.find(','));
    counter.remove_prefix(std::min(counter.size(), part.size() + 1));
    const bool met = std::any_of(conditions.begin(), conditions.end(), [&](const Rule::Condition& condition) {
      const std::string name = counted(condition, {}, alone);
      return any_value(condition) ? part.starts_with(name) && part.find_first_of("*|") == part.npos : part == name;
    });
    if (!met) return false;
    ++parts;
  }
  return parts == conditions.size();
}

}  // namespace

Vector caps_by_rules(const std::vector<Rule>& rules, std::string_view counter, const Window& window) {
  std::vector<const Rule*> counted;
  for (const Rule& rule : rules)
    if (rule.window == window && may_count_in(rule, counter)) counted.push_back(&rule);
  Vector caps = no_caps;
  for (const Rule* rule : counted) {
    if (std::any_of(counted.begin(), counted.end(), [&](const Rule* other) { return replaces(*other, *rule); }))
      continue;
    const Vector own = to_vector(Limits{.usd = rule->usd,
                                        .tokens = rule->tokens,
                                        .input_tokens = rule->input_tokens,
                                        .output_tokens = rule->output_tokens,
                                        .calls = rule->calls,
                                        .concurrent = rule->concurrent});
    for (std::size_t d = 0; d < dimension_count; ++d) caps[d] = std::min(caps[d], own[d]);
  }
  return caps;
}

namespace {

void check_condition(const Rule& rule, const Rule::Condition& condition) {
  const auto refuse = [&](const std::string& what) { throw ConfigError(where(rule) + ' ' + what); };
  if (condition.key.empty() || condition.values.empty() ||
      std::any_of(condition.values.begin(), condition.values.end(), [](const auto& value) { return value.empty(); }))
    refuse(
        "has a key without a value, or a value without a key. Set both (the value * stands for every value), or "
        "leave match empty to match every call.");
  if (condition.key == "budget" || condition.key == "day")
    refuse("matches by " + condition.key +
           ", which is no tag, and no call has it before it is admitted. Match by tags, model or provider.");
  if (std::count_if(rule.match.conditions().begin(), rule.match.conditions().end(),
                    [&](const Rule::Condition& other) { return other.key == condition.key; }) > 1)
    refuse("has two conditions on " + printable_name(condition.key) +
           ". Give one condition a list of values, of which any may hold.");
  for (const std::string& value : condition.values) {
    const std::size_t star = value.find('*');
    if (star != value.npos && star + 1 != value.size())
      refuse("has the value \"" + printable_name(value) + "\", and * may only stand at its end.");
    if (star != value.npos && condition.values.size() > 1)
      refuse("has \"" + printable_name(value) + "\" in a list, which holds whole values. Make it a rule of its own.");
  }
}

/// A set with one rule more.
///
/// \par Errors
/// ConfigError where the rule could never match, be kept, or stand beside the others.
void add(RuleSet& set, Rule rule, Books& books) {
  for (const Rule::Condition& condition : rule.match.conditions()) {
    check_condition(rule, condition);
    set.by_model |= by_model(condition);
  }
  if (rule.window.kind() == Window::Kind::scope)
    throw ConfigError(where(rule) + " has no window, and a rule outlives scopes. Set window.");
  std::string longest = "global";
  if (!rule.match.conditions().empty()) {
    longest.clear();
    for (const Rule::Condition& condition : rule.match.conditions())
      longest += (longest.empty() ? "" : ",") + counted(condition, {}, false);
  }
  if (longest.size() > max_counter_name)
    throw ConfigError(where(rule) + " needs a counter whose name has " + std::to_string(longest.size()) +
                      " bytes, and at most 256 are allowed. Shorten its keys and values.");
  validate(options_of(rule, longest.substr(0, 100)), books, nullptr);
  for (const Rule& other : set.rules) {
    if (!rule.name.empty() && other.name == rule.name)
      throw ConfigError("two rules are called \"" + printable_name(rule.name) +
                        "\". Give each a name of its own, or none.");
    if (store_of(other, books) != store_of(rule, books) && may_meet(rule, other))
      throw ConfigError(where(rule) + " counts in " + store_of(rule, books)->description() + ", and " + where(other) +
                        ", which may apply to the same call, in another store, in " +
                        store_of(other, books)->description() +
                        ". One call can ask one store only: give both the same store.");
  }
  set.rules.push_back(std::move(rule));
}

}  // namespace

}  // namespace detail

void Ledger::add_rule(Rule rule) {
  using namespace detail;
  books_->change_rules([&](const RuleSet* present) {
    auto more = present ? std::make_shared<RuleSet>(*present) : std::make_shared<RuleSet>();
    add(*more, std::move(rule), *books_);
    return more;
  });
}

void Ledger::set_rules(std::vector<Rule> rules) {
  using namespace detail;
  auto set = rules.empty() ? nullptr : std::make_shared<RuleSet>();
  for (Rule& rule : rules) add(*set, std::move(rule), *books_);
  books_->change_rules([&](const RuleSet*) { return set; });
}

std::vector<Rule> Ledger::rules() const {
  const std::shared_ptr<const detail::RuleSet> set = books_->rules();
  return set ? set->rules : std::vector<Rule>();
}

bool Ledger::remove_rule(std::string_view name) {
  using namespace detail;
  bool found = false;
  books_->change_rules([&](const RuleSet* present) -> std::shared_ptr<const RuleSet> {
    auto fewer = std::make_shared<RuleSet>();
    for (const Rule& rule : present ? std::span<const Rule>(present->rules) : std::span<const Rule>()) {
      if (!name.empty() && rule.name == name)
        found = true;
      else
        add(*fewer, rule, *books_);
    }
    return fewer->rules.empty() ? nullptr : fewer;
  });
  return found;
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
