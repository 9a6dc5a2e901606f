#include "outlay/policy.hpp"

#include <cmath>
#include <string>
#include <unordered_map>

#include "core/budget/policy_traits.hpp"
#include "core/budget/tree.hpp"
#include "core/ledger/books.hpp"

namespace outlay::detail {

namespace {

constexpr std::size_t max_budget_name = 128;
constexpr std::size_t max_description = 1024;
constexpr std::size_t max_policies = 16;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

std::string where(const BudgetOptions& options) {
  return options.name.empty() ? std::string("an unnamed budget") : "budget \"" + options.name + '"';
}

[[noreturn, gnu::cold]] void refuse(const BudgetOptions& options, const std::string& what) {
  throw ConfigError(where(options) + ": " + what);
}

void check(const BudgetOptions& options, const Downgrade& downgrade, Books& books) {
  if (!options.usd) refuse(options, "Downgrade saves money, and usd is not capped. Set usd, or use Clamp or Block.");
  if (downgrade.map.empty()) refuse(options, "Downgrade has no map. Write Downgrade{{{\"gpt-4o\", \"gpt-4o-mini\"}}}.");
  std::unordered_map<std::string_view, std::string_view> next;
  for (const Downgrade::Route& route : downgrade.map) {
    if (route.from.empty() || route.to.empty())
      refuse(options, "Downgrade has a route without a model's name. Name both of its models.");
    if (!next.emplace(route.from, route.to).second)
      refuse(options, "Downgrade has two routes from \"" + route.from +
                          "\". Write a chain instead: {from, middle}, {middle, small}.");
  }
  for (const Downgrade::Route& route : downgrade.map) {
    std::size_t steps = 0;
    for (auto at = next.find(route.from); at != next.end(); at = next.find(at->second))
      if (++steps > next.size())
        refuse(options, "Downgrade's routes form a circle at \"" + route.from + "\". Remove one of them.");
  }
  for (const Downgrade::Route& route : downgrade.map)
    if (!books.prices.resolve(route.to).priced)
      refuse(options, "Downgrade leads to \"" + route.to +
                          "\", whose price is unknown. Register it with PriceTable::register_model first.");
}

void check_policies(const BudgetOptions& options, Books& books) {
  const std::vector<Policy>* chain = options.on_exceed.chain();
  if (!chain) return;
  if (chain->empty()) refuse(options, "on_exceed is an empty chain. Leave it out for Block, or name a policy.");
  if (chain->size() > max_policies)
    refuse(options,
           "on_exceed has " + std::to_string(chain->size()) + " policies, and at most 16 are allowed. Remove some.");
  const bool tokens = options.tokens || options.output_tokens;
  bool waits = false;
  for (std::size_t i = 0; i < chain->size(); ++i) {
    const Policy& policy = (*chain)[i];
    if (i + 1 < chain->size() && traits_of(policy).always_decides)
      refuse(options, std::string(traits_of((*chain)[i + 1]).name) + " is never reached: " + traits_of(policy).name +
                          " stands before it and always decides. Remove one of them, or put " + traits_of(policy).name +
                          " last.");
    std::visit(
        Overloaded{
            [&](const Downgrade& downgrade) { check(options, downgrade, books); },
            [&](const Clamp& clamp) {
              if (!options.usd && !tokens)
                refuse(options,
                       "Clamp limits the output, and no cap depends on the output. Set usd, tokens or output_tokens.");
              if (clamp.min_output_tokens < 1)
                refuse(options, "Clamp::min_output_tokens must be at least 1, and is " +
                                    std::to_string(clamp.min_output_tokens) + '.');
              if (clamp.max_output_tokens && *clamp.max_output_tokens < clamp.min_output_tokens)
                refuse(options, "Clamp::max_output_tokens is " + std::to_string(*clamp.max_output_tokens) +
                                    " and min_output_tokens is " + std::to_string(clamp.min_output_tokens) +
                                    ", so no ceiling lies between them. Raise max_output_tokens.");
            },
            [&](const Callback& callback) {
              if (!callback.decide) refuse(options, "Callback holds no function. Pass one that returns a Decision.");
            },
            [&](const Wait& wait) {
              if (wait.timeout <= std::chrono::nanoseconds::zero())
                refuse(options, "Wait::timeout must be longer than zero. Use Block in order not to wait.");
              if (waits) refuse(options, "Wait stands in the chain twice. Use one with a longer timeout.");
              waits = true;
            },
            [](const auto&) {}},
        policy);
  }
}

[[gnu::hot]] void check_count(const BudgetOptions& options, const char* name, const std::optional<std::int64_t>& cap) {
  if (cap && *cap < 1)
    refuse(options, std::string(name) + " is capped at " + std::to_string(*cap) +
                        ", so no call could ever run. Use a cap of 1 or more.");
}

[[gnu::hot]] void check_reserve(const BudgetOptions& options, const char* name,
                                const std::optional<std::int64_t>& reserve) {
  if (reserve && (*reserve < 0 || *reserve > Usage::max_count))
    refuse(options,
           std::string(name) + " must be between 0 and 2,000,000,000 tokens, and is " + std::to_string(*reserve) + '.');
}

}  // namespace

namespace {

void check_window(const BudgetOptions& options, const Books& books, const BudgetNode* enclosing) {
  const bool windowed = options.window.kind() != Window::Kind::scope;
  if (options.store && !windowed)
    refuse(options,
           "store is set and window is not, so no later scope could find its counter. Set window; "
           "Window::forever() never turns.");
  if (!windowed) return;
  if (options.name.empty())
    throw ConfigError("a budget has the window " + options.window.id() +
                      " and no name, and its counter is found by its name. Set name.");
  const std::shared_ptr<Store>& store = options.store ? options.store : books.store;
  if (enclosing && enclosing->store && enclosing->store != store)
    refuse(options, "its counter is in " + store->description() +
                        ", and the counter of an enclosing budget is in another store, in " +
                        enclosing->store->description() +
                        ". One call can ask one store only: give both budgets the same store.");
}

void check_notify_at(const BudgetOptions& options) {
  double last = 0;
  for (const double fraction : options.notify_at) {
    if (!(fraction > 0 && fraction <= 1))
      refuse(options, "notify_at holds " + std::to_string(fraction) + ". Use fractions above 0 and up to 1.");
    if (fraction <= last) refuse(options, "notify_at does not ascend. List each fraction once, the smallest first.");
    last = fraction;
  }
  if (!options.notify_at.empty() && !options.usd && !options.tokens && !options.input_tokens &&
      !options.output_tokens && !options.calls)
    refuse(options, "notify_at compares what is spent, and concurrent is never spent. Cap another dimension too.");
}

}  // namespace

[[gnu::hot]] void validate(const BudgetOptions& options, Books& books, const BudgetNode* enclosing) {
  if (options.name.size() > max_budget_name)
    throw ConfigError("a budget's name has " + std::to_string(options.name.size()) +
                      " bytes, and at most 128 are allowed. Shorten it.");
  if (options.description.size() > max_description)
    refuse(options, "the description has " + std::to_string(options.description.size()) +
                        " bytes, and at most 1,024 are allowed. Shorten it.");
  if (!options.usd && !options.tokens && !options.input_tokens && !options.output_tokens && !options.calls &&
      !options.concurrent)
    refuse(options, "no cap is set. Set at least one of usd, tokens, input_tokens, output_tokens, calls, concurrent.");
  if (options.usd && *options.usd < Usd{})
    refuse(options, "usd is capped at " + to_string(*options.usd) + ". Use a cap of $0.00 or more.");
  check_count(options, "tokens", options.tokens);
  check_count(options, "input_tokens", options.input_tokens);
  check_count(options, "output_tokens", options.output_tokens);
  check_count(options, "calls", options.calls);
  check_count(options, "concurrent", options.concurrent);
  check_reserve(options, "output_reserve", options.output_reserve);
  check_reserve(options, "reasoning_reserve", options.reasoning_reserve);
  if (options.unpriced.kind() == Unpriced::Kind::assume && options.unpriced.per_million_tokens() <= Usd{})
    refuse(options, "Unpriced::assume has a rate of " + to_string(options.unpriced.per_million_tokens()) +
                        ". Use a rate above $0.00, or Unpriced::ignore() to book nothing.");
  if (options.unpriced.kind() == Unpriced::Kind::assume &&
      Rate::per_million(options.unpriced.per_million_tokens()).picos() == 0)
    refuse(options,
           "Unpriced::assume has a rate below one pico-dollar a token, which counts as $0.00. Use a larger rate.");
  check_notify_at(options);
  check_window(options, books, enclosing);
  check_policies(options, books);
}

}  // namespace outlay::detail
