#include "core/budget/failure.hpp"

#include <algorithm>
#include <memory>

#include "core/budget/policy_traits.hpp"
#include "core/context/scopes.hpp"
#include "core/pricing/price_book.hpp"

namespace outlay {

namespace detail {

void acquire(const FailureFacts* facts) noexcept { facts->references.add(); }

void release(const FailureFacts* facts) noexcept {
  if (facts->references.drop()) delete facts;
}

std::string shown_model(const FailureFacts& facts) {
  const std::string asked_for = facts.model.empty() ? "the call" : printable_name(facts.model);
  return facts.refused_model.empty() ? asked_for
                                     : printable_name(facts.refused_model) + " (rerouted from " + asked_for + ')';
}

const RawBreach* FailureFacts::primary() const noexcept {
  const RawBreach* found = nullptr;
  for (std::size_t i = 0; i < count; ++i)
    if (at(i).budget == refuser && (!found || at(i).shut())) found = &at(i);
  return found || count == 0 ? found : &first[0];
}

}  // namespace detail

Failure::Failure(errc reason, std::string message) {
  auto facts = std::make_unique<detail::FailureFacts>();
  facts->code = reason;
  facts->text = std::move(message);
  facts_ = detail::Ref<const detail::FailureFacts>::adopt(facts.release());
}

errc Failure::reason() const noexcept { return facts_ ? facts_->code : errc::ok; }

std::vector<Breach> Failure::breaches() const {
  std::vector<Breach> breaches;
  if (!facts_) return breaches;
  breaches.reserve(facts_->count);
  for (std::size_t i = 0; i < facts_->count; ++i) {
    const detail::RawBreach& raw = facts_->at(i);
    const auto amount = [&](std::int64_t value) { return Amount(raw.dimension, value); };
    breaches.push_back({raw.budget->path(), raw.budget->shown_name(), raw.dimension, amount(raw.limit),
                        amount(raw.spent), amount(raw.reserved), amount(raw.requested), raw.retry_at});
  }
  return breaches;
}

std::string Failure::budget() const {
  return facts_ && facts_->refuser ? facts_->refuser->shown_name() : std::string();
}
std::string Failure::model() const { return facts_ ? facts_->model : std::string(); }

Dimension Failure::dimension() const noexcept {
  const detail::RawBreach* primary = facts_ ? facts_->primary() : nullptr;
  return primary ? primary->dimension : Dimension::usd;
}

namespace {

std::string amount_of(const detail::FailureFacts* facts, std::int64_t detail::RawBreach::* member) {
  const detail::RawBreach* primary = facts ? facts->primary() : nullptr;
  return primary ? to_string(Amount(primary->dimension, primary->*member)) : std::string();
}

}  // namespace

std::string Failure::limit() const { return amount_of(facts_.get(), &detail::RawBreach::limit); }
std::string Failure::spent() const { return amount_of(facts_.get(), &detail::RawBreach::spent); }
std::string Failure::reserved() const { return amount_of(facts_.get(), &detail::RawBreach::reserved); }
std::string Failure::requested() const { return amount_of(facts_.get(), &detail::RawBreach::requested); }

std::string Failure::remaining() const {
  const detail::RawBreach* primary = facts_ ? facts_->primary() : nullptr;
  if (!primary) return {};
  const std::int64_t used = detail::saturating_add(primary->spent, primary->reserved);
  return to_string(
      Amount(primary->dimension, detail::saturating_add(primary->limit, -std::max(used, -detail::no_cap))));
}

std::optional<std::chrono::seconds> Failure::retry_after() const noexcept {
  const std::optional<Time> when = retry_at();
  if (!when) return {};
  const Time now = detail::books_of(facts_->scope.get()).time();
  return std::chrono::ceil<std::chrono::seconds>(std::max(*when - now, Time::duration::zero()));
}

bool Failure::held_by_running() const noexcept {
  if (!facts_ || facts_->count == 0) return false;
  for (std::size_t i = 0; i < facts_->count; ++i) {
    const detail::RawBreach& raw = facts_->at(i);
    if (detail::saturating_add(raw.spent, raw.requested) > raw.limit) return false;
  }
  return true;
}

std::optional<Time> Failure::retry_at() const noexcept {
  std::optional<Time> latest;
  for (std::size_t i = 0; facts_ && i < facts_->count; ++i) {
    const std::optional<Time> one = facts_->at(i).retry_at;
    if (!one) return {};
    if (!latest || *one > *latest) latest = one;
  }
  return latest;
}

namespace {

std::string quantity(const detail::RawBreach& raw, std::int64_t value) {
  std::string amount = to_string(Amount(raw.dimension, value));
  switch (raw.dimension) {
    case Dimension::usd:
      return amount;
    case Dimension::tokens:
      return amount + " tokens";
    case Dimension::input_tokens:
      return amount + " input tokens";
    case Dimension::output_tokens:
      return amount + " output tokens";
    case Dimension::calls:
      return amount + (value == 1 ? " call" : " calls");
    case Dimension::concurrent:
      return amount + (value == 1 ? " call in flight" : " calls in flight");
  }
  return amount;
}

/// `this call needs up to $0.12`
std::string need(const detail::FailureFacts& facts, const detail::RawBreach& raw) {
  const std::string amount = quantity(raw, raw.requested);
  if (facts.booked) return "this call used " + amount;
  if (facts.stream) return "this stream needs another " + amount;
  const bool exact = raw.dimension == Dimension::calls || raw.dimension == Dimension::concurrent;
  return exact ? "this is one more " + amount.substr(amount.find(' ') + 1) : "this call needs up to " + amount;
}

/// `$0.004 of $0.02 is left, and running calls hold $0.016`
std::string what_is_left(const detail::RawBreach& raw) {
  const auto amount = [&](std::int64_t value) { return to_string(Amount(raw.dimension, value)); };
  if (raw.dimension == Dimension::concurrent)
    return amount(raw.reserved) + " of " + amount(raw.limit) + (raw.limit == 1 ? " is running" : " are running");
  const std::int64_t used = detail::saturating_add(raw.spent, raw.reserved);
  const char* is = raw.dimension == Dimension::usd ? " is" : " are";
  std::string text = used <= raw.limit ? amount(raw.limit - used) + " of " + amount(raw.limit) + is + " left"
                                       : amount(raw.spent) + " of " + amount(raw.limit) + is + " spent";
  if (raw.reserved > 0) text += ", and running calls hold " + amount(raw.reserved);
  return text;
}

/// What of the cap is in the way: `this call needs up to $0.12, $0.004 of $0.02 is left`
std::string obstacle(const detail::FailureFacts& facts, const detail::RawBreach& raw) {
  if (raw.shut()) return "an operator has closed it to calls";
  return need(facts, raw) + ", " + what_is_left(raw);
}

/// What helps this call under this budget.
std::string next_step(const detail::RawBreach& raw, const std::string& ceiling_name) {
  if (raw.shut()) return "Open it again with \"outlay caps reopen\", or POST /outlay/caps/reopen of its gateway.";
  std::vector<std::string> steps;
  // A call that ends is a call all the same; of the rest it may have used less than it holds.
  if (raw.reserved > 0 && raw.dimension != Dimension::calls && raw.requested <= raw.limit - raw.spent)
    steps.emplace_back("try again when a running call has ended");
  if (raw.remedy == detail::Remedy::lower_ceiling) steps.emplace_back("lower " + ceiling_name);
  if (raw.remedy == detail::Remedy::set_ceiling) steps.emplace_back("set " + ceiling_name);
  if (raw.remedy == detail::Remedy::less_input) steps.emplace_back("send less input");
  if (raw.remedy == detail::Remedy::less_of_both) steps.emplace_back("send less input and lower " + ceiling_name);
  steps.emplace_back(raw.by_operator ? "raise the cap that an operator has set" : "raise the cap");
  const auto& policies = raw.budget->policy_list();
  const bool ceiling = raw.remedy == detail::Remedy::lower_ceiling || raw.remedy == detail::Remedy::set_ceiling;
  if (raw.dimension == Dimension::usd && raw.remedy != detail::Remedy::none)
    steps.emplace_back(detail::has<Downgrade>(policies) ? "add a cheaper model to its Downgrade" : "add a Downgrade");
  else if (ceiling && !detail::has<Clamp>(policies))
    steps.emplace_back("add a Clamp");
  if (raw.dimension == Dimension::concurrent && !detail::has<Wait>(policies)) steps.emplace_back("add a Wait");
  if (steps.size() == 1) steps.emplace_back("stop here");
  std::string text;
  for (std::size_t i = 0; i < steps.size(); ++i)
    text += (i == 0 ? "" : i + 1 == steps.size() ? ", or " : ", ") + steps[i];
  text.front() = static_cast<char>(text.front() - 'a' + 'A');
  return text + '.';
}

}  // namespace

std::string Failure::message() const {
  if (!facts_) return {};
  if (facts_->count == 0) return facts_->text;
  const detail::RawBreach& first = *facts_->primary();
  const std::string model = detail::shown_model(*facts_);
  std::string text = "budget \"" + first.budget->path() + '"';
  if (facts_->booked)
    text += " is over its cap after " + model + ": " + to_string(Amount(first.dimension, first.spent)) + " of " +
            quantity(first, first.limit) + (first.dimension == Dimension::usd ? " is" : " are") + " spent, " +
            to_string(Amount(first.dimension, first.requested)) + " by this call. ";
  else
    text += " refused " + model + ": " + obstacle(*facts_, first) + ". ";
  text += facts_->text.empty() ? next_step(first, facts_->ceiling_name) : facts_->text;
  if (const std::optional<Time> when = retry_at()) text += " It may fit again from " + to_iso8601(*when) + " on.";
  for (std::size_t i = 0; i < facts_->count; ++i) {
    const detail::RawBreach& raw = facts_->at(i);
    if (&raw == &first) continue;
    text += "\nAlso in the way: budget \"" + raw.budget->path() + "\": " + obstacle(*facts_, raw) + '.';
  }
  return text;
}

}  // namespace outlay
