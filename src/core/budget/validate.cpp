#include "outlay/policy.hpp"

#include <cmath>
#include <string>
#include <unordered_map>

#include "core/budget/policy_traits.hpp"
#include "core/budget/tree.hpp"
#include "core/ledger/books.hpp"

namespace outlay::detail {

namespace {

constexpr std::size_t max_name = 128;
constexpr std::size_t max_description = 1024;
constexpr std::size_t max_policies = 16;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

std::string where(const BudgetOptions& options) {
  return options.name.empty() ? std::string("an unnamed budget") : "budget \"" + options.name + '"';
}

[[noreturn]] void refuse(const BudgetOptions& options, const std::string& what) {
  throw ConfigError(where(options) + ": " + what);
}

void check(const BudgetOptions& options, const Downgrade& downgrade, Books& books) {
  if (!options.usd)
    refuse(options, "Downgrade saves money only, and the budget has no cap on it: set usd, or use Clamp or Block");
  if (downgrade.map.empty()) refuse(options, "Downgrade has no map: write Downgrade{{{\"gpt-4o\", \"gpt-4o-mini\"}}}");
  std::unordered_map<std::string_view, std::string_view> next;
  for (const Downgrade::Route& route : downgrade.map) {
    if (route.from.empty() || route.to.empty()) refuse(options, "Downgrade has a route without a model's name");
    if (!next.emplace(route.from, route.to).second)
      refuse(options, "Downgrade has two routes from \"" + route.from +
                          "\": write a chain, {from, middle}, {middle, small}, instead");
  }
  for (const Downgrade::Route& route : downgrade.map) {
    std::size_t steps = 0;
    for (auto at = next.find(route.from); at != next.end(); at = next.find(at->second))
      if (++steps > next.size())
        refuse(options, "Downgrade goes round in a circle at \"" + route.from + "\": take one of its routes out");
  }
  for (const Downgrade::Route& route : downgrade.map)
    if (!books.prices.resolve(route.to).priced)
      refuse(options, "Downgrade leads to \"" + route.to +
                          "\", whose price is unknown: register it with PriceTable::register_model first");
}

void check_policies(const BudgetOptions& options, Books& books) {
  const std::vector<Policy>* chain = options.on_exceed.chain();
  if (!chain) return;
  if (chain->empty()) refuse(options, "on_exceed is an empty chain: leave it out for Block, or name a policy");
  if (chain->size() > max_policies)
    refuse(options, "on_exceed has " + std::to_string(chain->size()) + " policies; at most 16 are allowed");
  const bool tokens = options.tokens || options.output_tokens;
  bool waits = false;
  for (std::size_t i = 0; i < chain->size(); ++i) {
    const Policy& policy = (*chain)[i];
    if (i + 1 < chain->size() && traits_of(policy).always_decides)
      refuse(options, std::string(traits_of((*chain)[i + 1]).name) + " can never be reached behind " +
                          traits_of(policy).name + ", which always decides: put it in front, or take it out");
    std::visit(
        Overloaded{[&](const Downgrade& downgrade) { check(options, downgrade, books); },
                   [&](const Clamp& clamp) {
                     if (!options.usd && !tokens)
                       refuse(options,
                              "Clamp sizes the output, and nothing here caps it: set usd, tokens or output_tokens");
                     if (clamp.min_output_tokens < 1)
                       refuse(options, "Clamp::min_output_tokens is " + std::to_string(clamp.min_output_tokens) +
                                           ": at least 1 token must be worth asking for");
                     if (clamp.max_output_tokens && *clamp.max_output_tokens < clamp.min_output_tokens)
                       refuse(options, "Clamp::max_output_tokens is " + std::to_string(*clamp.max_output_tokens) +
                                           ", and min_output_tokens " + std::to_string(clamp.min_output_tokens) +
                                           ": no ceiling lies between them. Raise max_output_tokens");
                   },
                   [&](const Callback& callback) {
                     if (!callback.decide)
                       refuse(options, "Callback holds no function: pass one that returns a Decision");
                   },
                   [&](const Wait& wait) {
                     if (wait.timeout <= std::chrono::nanoseconds::zero())
                       refuse(options, "Wait::timeout must be longer than zero: use Block in order not to wait");
                     if (waits)
                       refuse(options, "Wait stands in the chain twice: one with a longer timeout does the same");
                     waits = true;
                   },
                   [](const auto&) {}},
        policy);
  }
}

void check_count(const BudgetOptions& options, const char* name, const std::optional<std::int64_t>& cap) {
  if (cap && *cap < 1)
    refuse(options, std::string(name) + " is capped at " + std::to_string(*cap) +
                        ", so nothing could ever run: caps on counts start at 1");
}

void check_reserve(const BudgetOptions& options, const char* name, const std::optional<std::int64_t>& reserve) {
  if (reserve && (*reserve < 0 || *reserve > Usage::max_count))
    refuse(options, std::string(name) + " is " + std::to_string(*reserve) + ": it must be between 0 and " +
                        std::to_string(Usage::max_count) + " tokens");
}

}  // namespace

namespace {

void check_window(const BudgetOptions& options, const BudgetNode* enclosing) {
  const bool windowed = options.window.kind() != Window::Kind::scope;
  if (options.store && !windowed)
    refuse(options,
           "it has a store and no window, so its counter would belong to nobody: set window, "
           "Window::forever() for one that never turns");
  if (!windowed) return;
  if (options.name.empty())
    throw ConfigError("a budget has a window (" + options.window.id() +
                      ") and no name: its counter belongs to the name, so give it one");
  const std::shared_ptr<Store>& store = options.store ? options.store : process_store();
  if (enclosing && enclosing->store && enclosing->store != store)
    refuse(options, "its counter is in " + store->description() + ", and that of an enclosing budget in " +
                        enclosing->store->description() +
                        ": at most one store can answer for a call, so give both the same `store`");
}

void check_notify_at(const BudgetOptions& options) {
  double last = 0;
  for (const double fraction : options.notify_at) {
    if (!(fraction > 0 && fraction <= 1))
      refuse(options, "notify_at holds " + std::to_string(fraction) + ": fractions lie above 0 and at most at 1");
    if (fraction <= last) refuse(options, "notify_at must ascend, each fraction once");
    last = fraction;
  }
  if (!options.notify_at.empty() && !options.usd && !options.tokens && !options.input_tokens &&
      !options.output_tokens && !options.calls)
    refuse(options, "notify_at compares what is spent, and `concurrent` alone is never spent: cap something else too");
}

}  // namespace

void validate(const BudgetOptions& options, Books& books, const BudgetNode* enclosing) {
  if (options.name.size() > max_name)
    throw ConfigError("a budget's name has " + std::to_string(options.name.size()) + " bytes; at most 128 are allowed");
  if (options.description.size() > max_description)
    refuse(options,
           "the description has " + std::to_string(options.description.size()) + " bytes; at most 1024 are allowed");
  if (!options.usd && !options.tokens && !options.input_tokens && !options.output_tokens && !options.calls &&
      !options.concurrent)
    refuse(options, "it has no cap: set at least one of usd, tokens, input_tokens, output_tokens, calls, concurrent");
  if (options.usd && *options.usd < Usd{})
    refuse(options, "usd is capped at " + to_string(*options.usd) + ": a cap cannot be negative");
  check_count(options, "tokens", options.tokens);
  check_count(options, "input_tokens", options.input_tokens);
  check_count(options, "output_tokens", options.output_tokens);
  check_count(options, "calls", options.calls);
  check_count(options, "concurrent", options.concurrent);
  check_reserve(options, "output_reserve", options.output_reserve);
  check_reserve(options, "reasoning_reserve", options.reasoning_reserve);
  if (options.unpriced.kind() == Unpriced::Kind::assume && options.unpriced.per_million_tokens() <= Usd{})
    refuse(options, "Unpriced::assume needs a rate above $0: use Unpriced::ignore() to book nothing");
  if (options.unpriced.kind() == Unpriced::Kind::assume &&
      Rate::per_million(options.unpriced.per_million_tokens()).picos() == 0)
    refuse(options, "Unpriced::assume's rate is finer than a pico-dollar a token, and would count as $0");
  check_notify_at(options);
  check_window(options, enclosing);
  check_policies(options, books);
}

}  // namespace outlay::detail
