// A Callback policy: the program is asked, outside every lock, and its answer is remembered.

#include <algorithm>

#include "core/call/admission.hpp"
#include "core/call/refusal.hpp"
#include "core/pricing/price_book.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

/// The callbacks that run on this thread, innermost first.
struct CallbackFrame {
  const BudgetNode* budget;
  CallbackFrame* outer;
};
constinit thread_local CallbackFrame* callback_frames = nullptr;

/// A callback that throws counts as Decision::block().
Decision ask_callback(const BudgetNode& budget, const Callback& callback, const Exceeded& exceeded) noexcept {
  CallbackFrame frame{&budget, callback_frames};
  callback_frames = &frame;
  Decision decision = Decision::block();
  try {
    decision = callback.decide(exceeded);
  } catch (const std::exception& problem) {
    log(LogLevel::error, "the callback of budget \"" + budget.shown_name() +
                             "\" threw, which counts as Decision::block(): " + problem.what());
  } catch (...) {
    log(LogLevel::error,
        "the callback of budget \"" + budget.shown_name() + "\" threw, which counts as Decision::block()");
  }
  callback_frames = frame.outer;
  return decision;
}

}  // namespace

bool in_callback_of(const BudgetNode& budget) noexcept {
  for (const CallbackFrame* frame = callback_frames; frame; frame = frame->outer)
    if (frame->budget == &budget) return true;
  return false;
}

Admission::State Admission::prepare_callback(std::unique_lock<std::mutex>& lock, ChainView chain,
                                             const Verdict& verdict) {
  asked_of_program_ = verdict;
  asked_of_program_.reason = errc::budget_exceeded;
  auto facts = facts_of(asked_of_program_, chain, moment_, [](const BudgetNode&) { return std::optional<Time>(); });
  lock.unlock();
  facts->scope = NodeRef::share(arrival_ ? arrival_->scope_ : reservation_.scope.get());
  const Attribution* around =
      arrival_ ? (arrival_->scope_ ? arrival_->scope_->attribution : nullptr) : reservation_.attribution;
  Tags tags = around ? around->tags : Tags();
  if (arrival_)
    for (const Tag& tag : arrival_->request_.tags) tags.set(tag.key, tag.value);
  const Quote& quote = verdict.quote;
  exceeded_.emplace(Access::failure(facts.release()), quote.requested->text, quote.model.name->text,
                    quote.ceiling == Quote::no_ceiling ? std::nullopt : std::optional(quote.ceiling), std::move(tags),
                    moment_.stream);
  return state_ = State::asking_program;
}

void Admission::ask_program() {
  const auto& callback = std::get<Callback>(asked_of_program_.budget->policy_list()[asked_of_program_.policy]);
  const Decision decision = ask_callback(*asked_of_program_.budget, callback, *exceeded_);
  Answer answer{.budget = asked_of_program_.budget,
                .policy = asked_of_program_.policy,
                .stream = moment_.stream,
                .model = asked_of_program_.quote.model.name,
                .ceiling = asked_of_program_.quote.ceiling,
                .kind = decision.kind(),
                .max_output_tokens = decision.max_output_tokens()};
  if (decision.kind() == Decision::Kind::reroute) {
    const std::string& model = decision.model();
    if (model.empty() || model.size() > 256)
      answer.kind = Decision::Kind::block;
    else
      memory_.models.add(answer.reroute = model_of(model));
  }
  if (moment_.stream) {  // it is asked about a stream once, not about each piece
    const auto lock = budget_->lock_tree();
    const auto same = [&](const Answer& one) { return one.budget == answer.budget && one.policy == answer.policy; };
    if (std::none_of(reservation_.answers.begin(), reservation_.answers.end(), same))
      reservation_.answers.push_back(answer);
  } else {
    memory_.answers.push_back(answer);
  }
}

}  // namespace outlay::detail
