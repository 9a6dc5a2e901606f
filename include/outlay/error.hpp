#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "outlay/clock.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/detail/ref.hpp"
#include "outlay/usage.hpp"

namespace outlay {

/// Why something failed. Category `"outlay"`.
enum class errc {
  ok = 0,  ///< Success; no failure has it.
  /// A call does not fit. Nothing was sent. Retry when `retry_at()` says so, or with a smaller request.
  budget_exceeded,
  truncated,            ///< As budget_exceeded, by a Truncate policy outside outlay::run. Do not retry.
  closed_to_new_calls,  ///< Budget::close_to_new_calls was called on an enclosing budget. Do not retry.
  outside_budget,       ///< A strict ledger refused a call that no budget encloses. Open a Budget around it.
  unbounded_refused,    ///< The request has no output ceiling and a budget says Unbounded::refuse. Set one.
  price_unknown,        ///< No price for the model under a USD cap. Register one, or set `unpriced`.
  invalid_usage,        ///< A negative or too large count. The call is charged as indeterminate.
  invalid_argument,     ///< A malformed argument. The message names it.
  config,          ///< An option of a budget, ledger or price is not valid. The message says what to write instead.
  overflow,        ///< An amount of money beyond +-$9.2 billion.
  over_limit,      ///< Report::assert_under: more was spent than asserted.
  incomplete,      ///< Report::assert_under over records that were partly evicted: there is no answer.
  bad_reply,       ///< A provider's reply that cannot be read. What may have been billed is charged.
  stream_broken,   ///< A stream ended without its end. Charged for what it had shown.
  provider_error,  ///< The provider answered with an error. The message carries its status and code, never its prompt.
  network,         ///< No connection, or a broken one. Retry if nothing was sent.
  timed_out,       ///< A deadline passed.
  store_unavailable,  ///< A shared store cannot be reached.
  sink_failed,        ///< A durable sink failed or dropped rows.
  /// A file is damaged, is no file of outlay's, or was written by a newer version. Do not retry; the message says what to do.
  bad_file,
  /// A file cannot be opened, read or written: disk full, no permission, locked. Retry once the cause, which the message names, is gone.
  storage,
  cancelled,  ///< An asynchronous operation was cancelled before its call was admitted. Nothing was sent or reserved.
  tag_required,  ///< The call has no tag that a rule of the ledger requires. Nothing was sent. Add the tag.
};
/// The enumerator's name: `"budget_exceeded"`. `"unknown"` for a value that is none.
[[nodiscard]] OUTLAY_EXPORT const char* to_string(errc code) noexcept;
/// The category of errc, named `outlay`. Its messages are fixed texts; an exception's what() has the details.
[[nodiscard]] OUTLAY_EXPORT const std::error_category& outlay_category() noexcept;
/// The code in outlay_category(), so that `errc` converts to std::error_code.
[[nodiscard]] OUTLAY_EXPORT std::error_code make_error_code(errc code) noexcept;

namespace detail {
struct Access;
struct FailureFacts;
OUTLAY_EXPORT void acquire(const FailureFacts* facts) noexcept;
OUTLAY_EXPORT void release(const FailureFacts* facts) noexcept;
}  // namespace detail

/// One cap that was in the way of a call.
struct Breach {
  std::string path{};     ///< Names of the budgets from the outermost in, joined by `/`: `"run/answer"`.
  std::string budget{};   ///< The budget's own name; `"(unnamed)"` without one.
  Dimension dimension{};  ///< Of all four amounts.
  /// The cap.
  Amount limit{};
  Amount spent{};  ///< With this call in it where it was booked: by Raise, or by BudgetHandle::book.
  /// What running calls hold.
  Amount reserved{};
  /// What the refused call would have held.
  Amount requested{};
  std::optional<Time> retry_at{};  ///< When the window turns; empty where only time cannot help.
};

/// Why a call was refused, with every cap that was in the way.
///
/// Cheap to make and to copy: text is put together when it is asked for.
/// \par Thread safety
/// Immutable: safe from any thread.
class OUTLAY_EXPORT Failure {
 public:
  /// A failure that is no breach of a cap.
  Failure(errc reason, std::string message);

  /// Why: errc::budget_exceeded for a cap, errc::price_unknown, errc::store_unavailable and the like.
  [[nodiscard]] errc reason() const noexcept;
  /// Every cap in the way, innermost budget first.
  [[nodiscard]] std::vector<Breach> breaches() const;
  /// The name of the budget whose policy refused; empty if no budget did.
  [[nodiscard]] std::string budget() const;
  /// The model that was asked for.
  [[nodiscard]] std::string model() const;
  /// Of the refusing budget's first breach; Dimension::usd and empty texts if there is none.
  [[nodiscard]] Dimension dimension() const noexcept;
  /// The cap of that breach as text: `$0.02`, `1500`.
  [[nodiscard]] std::string limit() const;
  /// What was spent there, as text.
  [[nodiscard]] std::string spent() const;
  /// What running calls held there, as text.
  [[nodiscard]] std::string reserved() const;
  /// What the call asked for there, as text.
  [[nodiscard]] std::string requested() const;
  /// limit() less spent() and reserved(), as text; negative after an overrun.
  [[nodiscard]] std::string remaining() const;
  /// When the same call may fit again because a window turns; empty where only time cannot help.
  [[nodiscard]] std::optional<Time> retry_at() const noexcept;
  /// How long until then, by the clock of the ledger in which it was refused; 0 once it has passed. Rounded up to whole seconds, as a
  /// `Retry-After` header has them.
  [[nodiscard]] std::optional<std::chrono::seconds> retry_after() const noexcept;
  /// True where running calls hold the room: every cap in the way would let the call pass once they have ended without using it all. Then
  /// trying again soon helps, long before retry_at(). False where no cap is in the way.
  [[nodiscard]] bool held_by_running() const noexcept;
  /// One sentence that names the budgets, the numbers and the next step. Never prompt text, never a key.
  [[nodiscard]] std::string message() const;

 private:
  friend struct detail::Access;
  explicit Failure(detail::Ref<const detail::FailureFacts> facts) noexcept : facts_(std::move(facts)) {}

  detail::Ref<const detail::FailureFacts> facts_;
};

/// Base of every exception that the library throws.
class OUTLAY_EXPORT Error : public std::system_error {
 public:
  /// Of a code and the sentence that what() returns.
  Error(errc code, const std::string& message);
  /// The code as errc.
  [[nodiscard]] errc reason() const noexcept { return static_cast<errc>(code().value()); }
  /// One sentence with the numbers and the next step. Never prompt text, never a key.
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

/// A call was refused, or crossed a Raise budget. Carries what Failure carries.
class OUTLAY_EXPORT BudgetExceeded : public Error {
 public:
  /// Of what the refusal says.
  explicit BudgetExceeded(Failure failure);
  /// The refusal as a value, as try_call returns it.
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
  /// Failure::breaches().
  [[nodiscard]] std::vector<Breach> breaches() const { return failure_.breaches(); }
  /// Failure::budget().
  [[nodiscard]] std::string budget() const { return failure_.budget(); }
  /// Failure::model().
  [[nodiscard]] std::string model() const { return failure_.model(); }
  /// Failure::dimension().
  [[nodiscard]] Dimension dimension() const noexcept { return failure_.dimension(); }
  /// Failure::limit().
  [[nodiscard]] std::string limit() const { return failure_.limit(); }
  /// Failure::spent().
  [[nodiscard]] std::string spent() const { return failure_.spent(); }
  /// Failure::reserved().
  [[nodiscard]] std::string reserved() const { return failure_.reserved(); }
  /// Failure::requested().
  [[nodiscard]] std::string requested() const { return failure_.requested(); }
  /// Failure::remaining().
  [[nodiscard]] std::string remaining() const { return failure_.remaining(); }
  /// Failure::retry_at().
  [[nodiscard]] std::optional<Time> retry_at() const noexcept { return failure_.retry_at(); }
  /// Failure::retry_after().
  [[nodiscard]] std::optional<std::chrono::seconds> retry_after() const noexcept { return failure_.retry_after(); }
  /// Failure::held_by_running().
  [[nodiscard]] bool held_by_running() const noexcept { return failure_.held_by_running(); }

 private:
  Failure failure_;
};

/// No price is known for a model under a USD cap.
class OUTLAY_EXPORT PriceUnknown : public Error {
 public:
  /// Of a refusal with errc::price_unknown.
  explicit PriceUnknown(const Failure& failure);
  /// Of a model's name and the sentence that what() returns.
  PriceUnknown(std::string model, const std::string& message);
  /// The model that has no price.
  [[nodiscard]] const std::string& model() const noexcept { return model_; }

 private:
  std::string model_;
};

/// An option of a budget, policy, ledger or price is out of range or contradicts another. The message says what to write instead.
class OUTLAY_EXPORT ConfigError : public Error {
 public:
  /// Of the sentence that what() returns.
  explicit ConfigError(const std::string& message) : Error(errc::config, message) {}
};

/// A shared store cannot be reached, and its OnUnreachable says to refuse.
class OUTLAY_EXPORT StoreUnavailable : public Error {
 public:
  /// Of the sentence that what() returns.
  explicit StoreUnavailable(const std::string& message) : Error(errc::store_unavailable, message) {}
};

namespace detail {
/// Throws the exception that belongs to a failure: BudgetExceeded, PriceUnknown, StoreUnavailable, ConfigError or Error.
[[noreturn]] OUTLAY_EXPORT void throw_failure(Failure failure);
}  // namespace detail

/// A value, or the Failure that kept it from being made: what std::expected<T, Failure> is in C++23.
///
/// \par Thread safety
/// Distinct objects: safe. Shared object: safe as long as only const members are used.
template <class T>
class [[nodiscard]] Result {
 public:
  /// A value.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  /// A failure.
  Result(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) {}  // NOLINT

  /// There is a value, and no failure.
  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  /// has_value()
  explicit operator bool() const noexcept { return has_value(); }

  /// \par Errors
  /// Throws what the throwing form of the operation would have thrown.
  [[nodiscard]] T& value() & { return check(), **this; }
  /// The same of a constant.
  [[nodiscard]] const T& value() const& { return check(), **this; }
  /// The same; the value is moved out.
  [[nodiscard]] T&& value() && { return check(), *std::move(*this); }

  /// The value, or `other` converted to one.
  template <class U = T>
  [[nodiscard]] T value_or(U&& other) const& {
    return has_value() ? **this : static_cast<T>(std::forward<U>(other));
  }
  /// The same; the value is moved out.
  template <class U = T>
  [[nodiscard]] T value_or(U&& other) && {
    return has_value() ? *std::move(*this) : static_cast<T>(std::forward<U>(other));
  }

  /// The value, without a check.
  ///
  /// \par Preconditions
  /// It has a value; otherwise the behaviour is undefined.
  [[nodiscard]] T& operator*() & noexcept { return *std::get_if<0>(&state_); }
  /// The same of a constant.
  [[nodiscard]] const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
  /// The same; the value is moved out.
  [[nodiscard]] T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  /// A member of the value, without a check.
  [[nodiscard]] T* operator->() noexcept { return std::get_if<0>(&state_); }
  /// The same of a constant.
  [[nodiscard]] const T* operator->() const noexcept { return std::get_if<0>(&state_); }

  /// \par Preconditions
  /// It has no value; otherwise the behaviour is undefined.
  [[nodiscard]] const Failure& error() const& noexcept { return *std::get_if<1>(&state_); }
  /// The same; the failure is moved out.
  [[nodiscard]] Failure&& error() && noexcept { return std::move(*std::get_if<1>(&state_)); }

 private:
  void check() const {
    if (!has_value()) detail::throw_failure(error());
  }
  std::variant<T, Failure> state_;
};

/// Success, or the Failure that prevented it.
template <>
class [[nodiscard]] Result<void> {
 public:
  /// Success.
  Result() noexcept = default;
  /// A failure.
  Result(Failure failure) : failure_(std::move(failure)) {}  // NOLINT: implicit by design

  /// It has succeeded.
  [[nodiscard]] bool has_value() const noexcept { return !failure_; }
  /// has_value()
  explicit operator bool() const noexcept { return has_value(); }

  /// \par Errors
  /// Throws what the throwing form of the operation would have thrown.
  void value() const {
    if (failure_) detail::throw_failure(*failure_);
  }
  /// Does nothing.
  ///
  /// \par Preconditions
  /// It has a value.
  void operator*() const noexcept {}

  /// \par Preconditions
  /// It has no value; otherwise the behaviour is undefined.
  [[nodiscard]] const Failure& error() const& noexcept { return *failure_; }
  /// The same; the failure is moved out.
  [[nodiscard]] Failure&& error() && noexcept { return *std::move(failure_); }

 private:
  std::optional<Failure> failure_;
};

}  // namespace outlay

template <>
struct std::is_error_code_enum<outlay::errc> : std::true_type {};
