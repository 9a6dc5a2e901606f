#include "outlay/pool.hpp"

#include "core/budget/failure.hpp"
#include "core/budget/tree.hpp"
#include "core/pricing/pricing.hpp"
#include "outlay/detail/access.hpp"

namespace outlay {

namespace {

detail::BudgetNode& node_of(const detail::NodeRef& ref) { return static_cast<detail::BudgetNode&>(*ref.get()); }

}  // namespace

Pool::Pool(const PoolOptions& options) {
  const auto refuse = [&](const char* what) {
    throw ConfigError("pool \"" + options.name + "\": the cap on " + what + " is negative. Use 0 or more.");
  };
  if (options.name.size() > 128)
    throw ConfigError("a pool's name has " + std::to_string(options.name.size()) +
                      " bytes, and at most 128 are allowed. Shorten it.");
  if (options.usd && *options.usd < Usd{}) refuse("usd");
  if (options.tokens && *options.tokens < 0) refuse("tokens");
  if (options.input_tokens && *options.input_tokens < 0) refuse("input_tokens");
  if (options.output_tokens && *options.output_tokens < 0) refuse("output_tokens");
  BudgetOptions caps;
  caps.name = options.name;
  caps.usd = options.usd;
  caps.tokens = options.tokens;
  caps.input_tokens = options.input_tokens;
  caps.output_tokens = options.output_tokens;
  auto node = std::make_unique<detail::BudgetNode>(std::move(caps), nullptr, nullptr);
  node->budget = node.get();
  node_ = detail::NodeRef::adopt(node.release());
}

Result<Amounts> Pool::book(const Usage& usage, Usd cost) {
  if (const char* member = usage.first_invalid())
    return Failure(errc::invalid_usage,
                   std::string("a pool was given a usage with an invalid ") + member +
                       ". Pass counts between 0 and 2,000,000,000, and no part larger than its whole.");
  if (cost < Usd{} || cost > detail::max_call_cost)
    return Failure(errc::invalid_usage,
                   "a pool was given a cost of " + to_string(cost) + ". Pass a cost between $0.00 and $1,000,000,000.");
  detail::BudgetNode& node = node_of(node_);
  const detail::Vector by{cost.nanos(), usage.total(), usage.input_total(), usage.output, 1, 0};
  auto facts = std::make_unique<detail::FailureFacts>();
  detail::Vector totals;
  {
    const auto lock = node.lock_tree();
    detail::add(node.counter.used, by);
    for (std::size_t d = 0; d < detail::dimension_count; ++d)
      if (node.counter.room(d) < 0)
        facts->add() = {&node, static_cast<Dimension>(d), node.counter.cap[d], node.counter.used[d], 0, by[d], {}};
    totals = node.counter.used;
  }
  if (facts->count == 0) return detail::to_amounts(totals);
  facts->code = errc::budget_exceeded;
  facts->booked = true;
  facts->refuser = &node;
  facts->scope = node_;
  facts->text = "It was booked. Raise the cap, or stop here.";
  return detail::Access::failure(facts.release());
}

Result<Amounts> Pool::try_record(const Usage& usage, std::string_view model) {
  Usd cost;
  std::optional<Failure> unknown;
  const bool capped = node_of(node_).counter.capped(detail::index(Dimension::usd));
  if (model.empty()) {
    if (capped)
      unknown = Failure(errc::price_unknown,
                        "a pool that caps money was given neither a model nor a cost, so it booked the tokens and no "
                        "money. Pass one of them.");
  } else {
    try {
      if (!usage.first_invalid()) cost = Ledger::current().prices().cost(model, usage).usd;
    } catch (const PriceUnknown& problem) {
      if (capped)
        unknown =
            Failure(errc::price_unknown, std::string(problem.what()) + " The pool booked the tokens and no money.");
    }
  }
  Result<Amounts> booked = book(usage, cost);
  if (booked && unknown) return std::move(*unknown);
  return booked;
}

Amounts Pool::record(const Usage& usage, std::string_view model) { return try_record(usage, model).value(); }
Amounts Pool::record(const Usage& usage, Usd cost) { return book(usage, cost).value(); }

Amounts Pool::totals() const {
  const auto lock = node_of(node_).lock_tree();
  return detail::to_amounts(node_of(node_).counter.used);
}

Limits Pool::limits() const { return detail::to_limits(node_of(node_).counter.cap, node_of(node_).counter.cap); }

void Pool::reset() {
  const auto lock = node_of(node_).lock_tree();
  node_of(node_).counter.used = {};
}

}  // namespace outlay
