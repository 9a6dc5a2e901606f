#include "outlay/json/rules.hpp"

#include <chrono>
#include <utility>

#include "outlay/usage.hpp"
#include "rules.hpp"
#include "settings.hpp"

namespace outlay {

namespace detail {

namespace {

constexpr std::int64_t most = Usage::max_count;

Rule::Match match_of(const Setting& setting) {
  if (!setting.value().is_object()) setting.bad("must be an object of conditions: {\"user_id\": \"*\"}.");
  std::vector<Rule::Condition> conditions;
  for (const auto& member : setting.value().get_object()) {
    const std::string key(member.key().data(), member.key().size());
    conditions.emplace_back(key, Setting(member.value(), setting.place() + "." + key).texts());
  }
  return Rule::Match(std::move(conditions));
}

Window window_of(const Setting& setting) {
  const std::string text = setting.text();
  if (text == Window::scope().id()) setting.bad("must be a window in time, since a rule outlives scopes: \"day\".");
  try {
    return Window::parse(text);
  } catch (const ConfigError& error) {
    setting.bad(std::string("cannot be read: ") + error.what());
  }
}

Policy policy_of(const Setting& setting) {
  constexpr std::string_view words =
      "must be block, truncate, raise, warn, clamp, wait, or an object with downgrade, clamp or wait.";
  if (setting.value().is_string()) {
    const std::string word = setting.text();
    if (word == "block") return Block{};
    if (word == "truncate") return Truncate{};
    if (word == "raise") return Raise{};
    if (word == "warn") return Warn{};
    if (word == "clamp") return Clamp{};
    if (word == "wait") return Wait{};
    setting.bad(words);
  }
  if (!setting.value().is_object() || setting.value().get_object().size() != 1) setting.bad(words);
  SettingMembers kinds(setting);
  if (const auto downgrade = kinds.take("downgrade")) {
    if (!downgrade->value().is_object()) downgrade->bad("must be an object of models: {\"gpt-4o\": \"gpt-4o-mini\"}.");
    Downgrade policy;
    for (const auto& route : downgrade->value().get_object()) {
      const std::string from(route.key().data(), route.key().size());
      policy.map.push_back({from, Setting(route.value(), downgrade->place() + "." + from).text()});
    }
    return policy;
  }
  if (const auto clamp = kinds.take("clamp")) {
    Clamp policy;
    SettingMembers members(*clamp);
    if (const auto one = members.take("min_output_tokens")) policy.min_output_tokens = one->count(1, most);
    if (const auto one = members.take("max_output_tokens")) policy.max_output_tokens = one->count(1, most);
    members.done();
    return policy;
  }
  if (const auto wait = kinds.take("wait")) {
    Wait policy;
    SettingMembers members(*wait);
    if (const auto one = members.take("timeout_ms"))
      policy.timeout = std::chrono::milliseconds(one->count(0, 86'400'000));
    members.done();
    return policy;
  }
  kinds.done();
  setting.bad(words);
}

/// Policies are made from a list in braces, so a list of any length is put together by its length.
Policies policies_of(const Setting& setting) {
  if (!setting.value().is_array()) return Policies(policy_of(setting));
  std::vector<Policy> all;
  for (const Setting& one : setting.list()) all.push_back(policy_of(one));
  switch (all.size()) {
    case 0:
      setting.bad("is an empty list. Leave it out for block.");
    case 1:
      return {all[0]};
    case 2:
      return {all[0], all[1]};
    case 3:
      return {all[0], all[1], all[2]};
    case 4:
      return {all[0], all[1], all[2], all[3]};
    default:
      setting.bad("has more than 4 policies.");
  }
}

Rule rule_of(const Setting& setting, const std::shared_ptr<Store>& store) {
  Rule rule;
  rule.store = store;
  SettingMembers members(setting);
  if (const auto one = members.take("name")) rule.name = one->text();
  if (const auto one = members.take("match")) rule.match = match_of(*one);
  if (const auto one = members.take("usd")) rule.usd = one->money();
  for (const auto& [name, cap] : {std::pair{"tokens", &rule.tokens}, std::pair{"input_tokens", &rule.input_tokens},
                                  std::pair{"output_tokens", &rule.output_tokens}, std::pair{"calls", &rule.calls},
                                  std::pair{"concurrent", &rule.concurrent}})
    if (const auto one = members.take(name)) *cap = one->count(1, most);
  if (const auto one = members.take("on_exceed")) rule.on_exceed = policies_of(*one);
  if (const auto one = members.take("window")) rule.window = window_of(*one);
  if (const auto list = members.take("notify_at"))
    for (const Setting& one : list->list()) rule.notify_at.push_back(one.fraction());
  if (const auto one = members.take("also")) rule.also = one->flag();
  if (const auto one = members.take("required")) rule.required = one->flag();
  members.done();
  if (!rule.usd && !rule.tokens && !rule.input_tokens && !rule.output_tokens && !rule.calls && !rule.concurrent)
    setting.bad("has no cap. Write one of usd, tokens, input_tokens, output_tokens, calls, concurrent.");
  return rule;
}

}  // namespace

std::vector<Rule> rules_of(const Setting& list, const std::shared_ptr<Store>& store) {
  std::vector<Rule> rules;
  for (const Setting& one : list.list()) rules.push_back(rule_of(one, store));
  return rules;
}

}  // namespace detail

std::vector<Rule> read_rules(std::string_view json, const std::shared_ptr<Store>& store) {
  const boost::json::value value = detail::parse_settings(json, "rules");
  return detail::rules_of(detail::Setting(value, "rules"), store);
}

}  // namespace outlay
