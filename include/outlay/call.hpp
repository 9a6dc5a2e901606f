#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "outlay/detail/export.hpp"
#include "outlay/detail/ref.hpp"
#include "outlay/error.hpp"
#include "outlay/record.hpp"
#include "outlay/tags.hpp"
#include "outlay/usage.hpp"

namespace outlay {

class Store;

namespace detail {
struct Reservation;
struct Access;
OUTLAY_EXPORT void acquire(Reservation* reservation) noexcept;
OUTLAY_EXPORT void release(Reservation* reservation) noexcept;  // the last one ends it as Call's destructor says
}  // namespace detail

/// What a call is expected to need.
///
/// Holds views and plain values only: they are read before the function that takes the request returns, and braces, those of `tags`
/// too, stay legal in a `co_await` expression on g++ 12. A request with a name refers to the texts that it was made from.
struct CallRequest {
  std::string_view model{};       ///< Required, at most 256 bytes.
  std::string_view input_text{};  ///< Estimated at its upper bound where `input_tokens` has no value. Never stored.
  /// A budget that counts the input (in tokens, or in money at a price for it) refuses a request that has neither (errc::invalid_argument).
  std::optional<std::int64_t> input_tokens{};
  /// The ceiling that the request carries, for one choice. Without it see Unbounded.
  std::optional<std::int64_t> max_output_tokens{};
  std::int64_t choices{1};          ///< How many answers are asked for; the ceiling counts that often. At least 1.
  std::optional<Usd> usd{};         ///< For flat-priced calls: what is reserved, instead of the table's price.
  std::string_view service_tier{};  ///< As the provider names it; prices the reservation.
  TagsView tags{};                  ///< For this call alone, within the tags of the enclosing Track scopes.
  std::string_view traceparent{};   ///< The caller's W3C trace context, carried into the record. Ignored if malformed.
  /// The smallest ceiling that the provider accepts: a policy that would clamp below it passes the decision to the next policy. At
  /// least 1.
  std::int64_t min_output_tokens{1};
  /// No other ceiling can be written into the request, so Clamp passes the decision to the next policy and Unbounded::clamp does
  /// nothing.
  bool fixed_ceiling{};
  /// Price the estimated input as if it were written to the provider's longer-lived cache, where that is dearer.
  bool long_cache{};
  /// How many searches of the web the provider may run at the most: their fees are reserved. Between 0 and 1,000,000.
  std::int64_t web_searches{};
  /// Who serves the call, as the price table names it in front of models (`groq`, `vertex_ai`), or the address that it goes to: its own
  /// prices come first, for the model that is named by the reply too. Empty: not known. At most 256 bytes.
  std::string_view provider{};
  /// For calls that outlive their process, batches and background answers: how long the store of the budgets around the call holds it from
  /// Call::detach() on. Between 1 second and 60 days. Empty: the call is not going to be detached.
  std::optional<std::chrono::seconds> lease{};
  /// What the request's format calls its output ceiling (`max_tokens`), for messages that advise to set or to lower it. Static text: not null,
  /// and as long-lived as the call and what its refusal says.
  const char* ceiling_name{"max_output_tokens"};
};

/// What a call was billed for, where Usage alone does not say it all.
struct Settlement {
  /// What the whole call used, other models included.
  Usage usage{};
  std::string_view served_model{};  ///< The model named by the reply; priced first. Empty: the admitted one.
  std::string_view service_tier{};  ///< The tier named by the reply. Empty: the requested one.
  /// A cost that the provider reports. Booked instead of the table's; both are kept.
  std::optional<Usd> provider_cost{};
  bool estimated{};  ///< `usage` was counted here, not reported.
  /// Of which of `usage`: what other models took, each priced at its own rates. Their sum is not above `usage`.
  std::span<const UsagePart> parts{};
};

/// What `{}` means to Call::settle.
enum class NoUsage : std::uint8_t {};

/// What a settle did.
struct Settled {
  Usd usd{};  ///< What was booked.
  /// What was booked with it.
  Usage usage{};
  Usd overrun{};    ///< The part of `usd` above the reservation.
  bool over_cap{};  ///< It took some budget over a cap (an `overrun` event was recorded for each).
  bool first{};     ///< False: the call had ended before (a budget has cut its stream, say), and nothing was done now.
  RecordStatus status =
      RecordStatus::rejected;                 ///< How it was booked; `rejected` where nothing was, as after a release.
  CostSource cost_source = CostSource::none;  ///< Where `usd` comes from; `none` where nothing was booked.
};

/// What became of a stream that asked for more room.
enum class Extension : std::uint8_t {
  granted,      ///< Reserved (or let through by Warn or a callback).
  cut,          ///< Does not fit: end the stream and throw `failure`.
  cut_quietly,  ///< Does not fit: end the stream and keep what arrived.
};
/// What Call::extend_output returns.
struct ExtensionResult {
  /// What the stream is to do.
  Extension extension{};
  std::optional<Failure> failure{};  ///< For cut and cut_quietly.
};

/// One attempt on the wire, admitted by every enclosing budget.
///
/// The constructor reserves the worst case in all of them in one atomic step, or throws. Say `sent()` when it leaves, and end it
/// once: settle, release, or let it go. Destroyed before `sent()` it is released; destroyed after it is *indeterminate*, charged at its
/// reservation or at what its stream had shown, because it may have been billed.
///
/// \par Guarantee
/// Every reservation ends exactly once; afterwards nothing of it is left in any budget.
/// \par Thread safety
/// Distinct objects: safe. Shared object: unsafe, but for const members.
/// \par Suspension
/// May live across `co_await`, move to another thread, and outlive the scopes that it was admitted in: it counts there all the same.
/// \par Example
/// \snippet tests/unit/core/call/call_test.cpp one_call
class [[nodiscard]] OUTLAY_EXPORT Call final {
 public:
  /// \par Errors
  /// BudgetExceeded: a cap is in the way, and the policies did not help; or a budget is closed to new calls, refuses requests without a ceiling, or, in a
  /// strict ledger, is missing: see reason(). PriceUnknown: no price under a USD cap. StoreUnavailable. Error with errc::invalid_argument for a request
  /// with a value out of range, errc::tag_required.
  /// \par Blocking
  /// One short lock; with a Wait policy until there is room or its timeout; with a Callback as long as that takes.
  explicit Call(const CallRequest& request);
  /// The moved-from call has ended: it holds nothing, and its destructor does nothing.
  Call(Call&& other) noexcept = default;
  /// Ends the call that was here as its destructor would, and takes the other one.
  Call& operator=(Call&& other) noexcept = default;
  ~Call() = default;

  /// The number of the call, of which no other call of this process has it; as in Record::call_id and
  /// BudgetEvent::call_id. Not in the order of time.
  [[nodiscard]] std::uint64_t id() const noexcept;
  /// The model that was admitted: the policies may have changed it. Send this one.
  [[nodiscard]] const std::string& model() const noexcept;
  /// The model as CallRequest::model named it.
  [[nodiscard]] const std::string& requested_model() const noexcept;
  /// The output ceiling per choice to send; empty where the request had none and no budget set one.
  [[nodiscard]] std::optional<std::int64_t> max_output_tokens() const noexcept;
  /// What is held for it now; zero once it has ended.
  [[nodiscard]] Amounts reserved() const;
  /// Not yet ended.
  [[nodiscard]] bool open() const noexcept;

  /// It has left: from here on it may be billed.
  void sent() noexcept;

  /// Replaces the reservation by what was really used and writes the record. The unused part is returned.
  ///
  /// \par Errors
  /// Error with errc::invalid_usage for a negative or too large count: the call is then charged as indeterminate. BudgetExceeded under a
  /// Raise budget that this call took over its cap, after booking. A second settle does nothing, which a debug line in the log reports.
  Settled settle(const Usage& usage);
  /// The same, for a bill that says more than its usage.
  Settled settle(const Settlement& settlement);
  /// `settle({})`: nothing was used but what each call costs.
  Settled settle(NoUsage) { return settle(Usage{}); }
  /// The same without exceptions; over a Raise cap the result is a Settled all the same.
  Result<Settled> try_settle(const Settlement& settlement) noexcept;

  /// Ends a call that never left, or that was refused free of charge: nothing is booked.
  ///
  /// After sent() it leaves a record with status `rejected`, with `reason`, at $0.
  /// \return False if it had ended before.
  bool release(std::string_view reason = {}) noexcept;
  /// Ends a call that was sent and has no verdict: charged at its reservation, or at `shown` where a stream had shown more.
  ///
  /// \return As settle.
  Settled indeterminate(std::string_view reason = {}) noexcept;

  /// Reserves more output, for programs that meter their own streams.
  ///
  /// \param output_tokens How many tokens in all, over every choice, the stream will have shown. Less than is reserved: granted at once.
  /// \par Blocking
  /// Never waits; a Callback policy is asked.
  ExtensionResult extend_output(std::int64_t output_tokens);

  /// Leaves a call that was admitted with CallRequest::lease to any process with the same store: of it nothing is left here, and no record is
  /// written before it is resumed and ended.
  ///
  /// Until then the store holds its amounts, and after the lease charges them or gives them back, as StoreOptions::on_expiry says; what ends the
  /// call in the 7 days after that corrects the same slot, as long as that is kept (48 hours after its window). A call that is never resumed has
  /// no record but the event of its expiry; resume it and call indeterminate() for one.
  /// \return One line of printable text, some hundred bytes and what names and tags take, for a file, a queue or a database. It has the
  /// budgets, tags and prices of the admission in it, and nothing of the request's text.
  /// \par Errors
  /// Error with errc::invalid_argument, and the call stays as it was: it has ended, or has no lease, or a budget around it counts in this
  /// process alone. StoreUnavailable, and the same, where the store does not answer, or did not when the call was admitted.
  /// \par Blocking
  /// The store is asked to hold it for the lease: at most StoreOptions::timeout.
  /// \par Example
  /// \snippet tests/unit/core/call/detached_test.cpp detached_call
  [[nodiscard]] std::string detach();
  /// The call that detach() left, ready to be ended once: by its admission's budgets, tags, day and prices, in the current ledger.
  ///
  /// Let go without an end it stays detached. It is settled under its budgets' caps, but not their policies: BudgetExceeded is not thrown where
  /// one of them was a Raise. Of several that resume it the first that ends it counts, and the others are told so by
  /// Settled::first and by the result of release().
  /// \par Errors
  /// Error with errc::invalid_argument for a text that detach() has not returned, or not wholly; ConfigError for a null store.
  /// \par Blocking
  /// What ends the call asks the store, for at most StoreOptions::timeout; in a coroutine, do it on another thread where that is far away.
  /// Without an answer the call is booked, and the store's thread delivers it; then two that end it at the same time may both have a record.
  [[nodiscard]] static Call resume(std::string_view text, const std::shared_ptr<Store>& store);

 private:
  friend struct detail::Access;
  explicit Call(detail::Ref<detail::Reservation> reservation) noexcept : reservation_(std::move(reservation)) {}

  detail::Ref<detail::Reservation> reservation_;  // a stream may have a share in it
};

/// As Call's constructor, without an exception: the refusal is a value.
[[nodiscard]] OUTLAY_EXPORT Result<Call> try_call(const CallRequest& request);

}  // namespace outlay
