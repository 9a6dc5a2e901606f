#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "core/budget/failure.hpp"
#include "core/budget/rules.hpp"
#include "core/call/reservation.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/detail/export.hpp"

namespace outlay::detail {

/// A call that is not yet admitted. Its request is checked and priced, and nearly always it is admitted here, under one lock; or refused, where
/// no policy but Block can speak. Otherwise, and where budgets count in a store, an Admission goes on with it.
class OUTLAY_EXPORT Arrival {
 public:
  /// The request and the current scope are looked at until the call is admitted or refused.
  explicit Arrival(const CallRequest& request) noexcept : request_(request) {}
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;

  enum class Step { admitted, refused, undecided };
  Step enter();
  /// Lets a call in that is over: no budget is asked, and nothing is held.
  ///
  /// \param wrong Becomes why its budgets would have refused it outright: errc::price_unknown, say.
  /// \return `admitted`, or `refused` for a request that cannot be right.
  Step enter_ended(errc& wrong);

  /// After `admitted`; once.
  [[nodiscard]] Ref<Reservation> take() noexcept { return std::move(reservation_); }
  /// Zero: none was asked for.
  [[nodiscard]] std::chrono::milliseconds lease() const noexcept {
    return request_.lease.value_or(std::chrono::seconds(0));
  }
  /// After `refused`; once.
  [[nodiscard]] Failure failure() noexcept { return Access::failure(failure_.release()); }

 private:
  friend class Admission;

  bool prepare();  // false: refused
  [[nodiscard]] bool input_is_stated() const noexcept;
  [[nodiscard]] bool counts_input(const PricedModel* priced) const noexcept;
  [[nodiscard]] std::int64_t usual_output(const ModelName& model) const;
  /// Checks the request and makes its quote. False: refused, as no budget could.
  ///
  /// \param outright Becomes why its budgets refuse it whatever room they have; errc::ok if they don't.
  bool examine(errc& outright);
  /// Opens the budgets of the rules that the call matches as a call to this model. Throws as open_rules() and check_required().
  void enter_rules(const RuledModel& model);
  void refuse(errc code, std::string text);
  bool refuse_outright(errc code);
  void observe_outright(const std::string& reason);  // the first reason only
  void refuse_by_block(std::unique_lock<std::mutex>& lock);
  void book_outright(Action action, const std::string& reason);
  void admitted();  // the amounts are held
  [[nodiscard]] std::int64_t started() const noexcept;
  /// What the budgets say about the request.
  [[nodiscard]] const Terms* terms() const noexcept;
  /// What the call is attributed to, its own tags included.
  [[nodiscard]] AttributionRef attribution() const;
  [[nodiscard]] std::string_view traceparent() const noexcept;
  [[nodiscard]] bool observing() const noexcept;

  const CallRequest& request_;
  Node* around_ = nullptr;  // the innermost scope
  Node* scope_ = nullptr;   // the same, or the innermost budget of its rules
  Books* books_ = nullptr;
  BudgetNode* budget_ = nullptr;  // innermost
  std::shared_ptr<const RuleSet> rule_set_;
  NodeRef rules_;  // the budgets of the rules that the call matches
  std::int64_t input_ = 0;
  bool refused_outright_ = false;  // in observe mode: its event is booked
  Ref<Reservation> reservation_;
  std::unique_ptr<FailureFacts> failure_;
};

}  // namespace outlay::detail
