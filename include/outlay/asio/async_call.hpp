#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/system_executor.hpp>
#include <concepts>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "outlay/call.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/error.hpp"

namespace outlay {

namespace detail {

/// A CallRequest together with what it refers to; the input text is counted and forgotten.
class OUTLAY_EXPORT OwnedRequest {
 public:
  explicit OwnedRequest(const CallRequest& request);

  /// Refers to this object.
  [[nodiscard]] CallRequest view() const;

 private:
  CallRequest plain_;
  std::string model_;
  std::string service_tier_;
  std::string traceparent_;
  Tags tags_;
};

/// Empty: cancelled.
using Admitted = std::optional<Result<Call>>;

/// Admits in the current context; `done` is called through the executor, never from within.
OUTLAY_EXPORT void start_call(OwnedRequest request, boost::asio::any_completion_handler<void(Admitted)> done,
                              const boost::asio::any_io_executor& executor, boost::asio::cancellation_slot slot);

/// What the throwing form throws.
[[nodiscard]] OUTLAY_EXPORT std::exception_ptr exception_of(const Admitted& admitted) noexcept;
[[nodiscard]] OUTLAY_EXPORT Result<Call> result_of(Admitted admitted);

template <class Handler>
[[nodiscard]] boost::asio::any_io_executor executor_of(const Handler& handler) {
  using Executor = boost::asio::associated_executor_t<Handler, boost::asio::system_executor>;
  static_assert(std::constructible_from<boost::asio::any_io_executor, Executor>,
                "the handler's associated executor must be convertible to boost::asio::any_io_executor");
  return boost::asio::any_io_executor(boost::asio::get_associated_executor(handler, boost::asio::system_executor()));
}

template <class Handler, class Complete>
void start_call_for(Handler handler, OwnedRequest request, Complete complete) {
  const boost::asio::any_io_executor executor = executor_of(handler);
  const boost::asio::cancellation_slot slot = boost::asio::get_associated_cancellation_slot(handler);
  start_call(
      std::move(request),
      [handler = std::move(handler), complete](Admitted admitted) mutable {
        complete(std::move(handler), std::move(admitted));
      },
      executor, slot);
}

}  // namespace detail

/// As Call's constructor, without ever blocking a thread: `Call call = co_await async_call(request, use_awaitable)`.
///
/// Where a Wait policy lets the call wait, it waits in line as an asynchronous operation. Admitted in the context in which the
/// operation starts: for `use_awaitable` and `deferred`, where it is awaited.
///
/// \param request Read before this returns; braces are fine.
/// \param token For `void(std::exception_ptr, Call)`. Without an exception the call is open; with one it is empty. (Boost 1.81 cannot
/// await a `deferred` operation of that signature directly; `use_awaitable` can be.)
/// \par Errors
/// As Call's constructor: `co_await` throws the same BudgetExceeded. When cancelled, boost::system::system_error with
/// boost::asio::error::operation_aborted.
/// \par Blocking
/// One short lock; a Callback policy is asked on the calling thread, or after a wait on the handler's executor.
/// \par Cancellation
/// Every type. Nothing is reserved then, and the place in the line is left. A call that was admitted before still goes to the handler.
template <class Token>
auto async_call(const CallRequest& request, Token&& token) {
  return boost::asio::async_initiate<Token, void(std::exception_ptr, Call)>(
      [](auto handler, detail::OwnedRequest owned) {
        detail::start_call_for(std::move(handler), std::move(owned), [](auto&& own, detail::Admitted admitted) {
          const std::exception_ptr error = detail::exception_of(admitted);
          Call call = error ? detail::Access::call({}) : std::move(**admitted);
          std::forward<decltype(own)>(own)(error, std::move(call));
        });
      },
      token, detail::OwnedRequest(request));
}

/// As async_call(), without an exception: the refusal is a value.
///
/// \param token For `void(Result<Call>)`.
/// \par Cancellation
/// As async_call(); the failure is errc::cancelled.
template <class Token>
auto async_try_call(const CallRequest& request, Token&& token) {
  return boost::asio::async_initiate<Token, void(Result<Call>)>(
      [](auto handler, detail::OwnedRequest owned) {
        detail::start_call_for(std::move(handler), std::move(owned), [](auto&& own, detail::Admitted admitted) {
          std::forward<decltype(own)>(own)(detail::result_of(std::move(admitted)));
        });
      },
      token, detail::OwnedRequest(request));
}

}  // namespace outlay
