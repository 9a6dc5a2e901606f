#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "outlay/call.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/json/api.hpp"
#include "outlay/json/stream.hpp"
#include "outlay/price.hpp"
#include "outlay/tags.hpp"

namespace outlay {

/// What a request does not say itself. Views: read before the function that takes them returns.
struct GuardOptions {
  /// The model, where it is part of the URL (Api::model_in_path()) or the request's own name is not to be priced. Empty: the request's.
  std::string_view model{};
  std::string_view service_tier{};  ///< Empty: the request's.
  TagsView tags{};                  ///< For this call alone.
  std::string_view traceparent{};   ///< The caller's W3C trace context.
  /// Make a streamed request ask for its usage, where the API must be asked (`stream_options.include_usage`).
  bool ask_for_usage = true;
  /// Who serves the request, as the price table names it in front of models (`"groq"`, `"vertex_ai"`), or the address that it goes to
  /// (`"https://api.groq.com/openai/v1"`): whose prices apply. Empty, or an address that is not known: the API's own provider, and for
  /// Api::openai_compatible anyone.
  std::string_view provider{};
};

/// An answer with its HTTP status, as a transport returns it to guard().
struct HttpReply {
  int status{200};
  boost::json::value body{};  ///< Null where the answer was not JSON.
};

/// A request as it is to be admitted: its model, its ceiling, its estimated input.
///
/// For programs that admit calls themselves; GuardedCall does it otherwise.
/// \par Lifetime
/// Refers to the request, which must live until body() has been called.
class OUTLAY_EXPORT GuardedRequest {
 public:
  /// \par Errors
  /// Error with errc::invalid_argument for a request without a model, or with a member of the wrong type; both are named.
  GuardedRequest(Api api, const boost::json::object& request, const GuardOptions& options = {});
  GuardedRequest(GuardedRequest&&) noexcept;
  GuardedRequest& operator=(GuardedRequest&&) noexcept;
  ~GuardedRequest();

  /// What to admit. Holds views into this object.
  [[nodiscard]] CallRequest call_request() const noexcept;
  /// A copy of the request with the model and the ceiling that were admitted, and otherwise untouched, but for `stream_options` as
  /// GuardOptions::ask_for_usage says.
  [[nodiscard]] boost::json::object body(const Call& call) const;

  [[nodiscard]] Api api() const noexcept;
  /// The request asks for a stream.
  [[nodiscard]] bool streamed() const noexcept;
  /// call_request() bounds the input. False where it may grow beyond what the request shows: earlier answers (`previous_response_id`),
  /// stored files, cached contents, and tools that the provider runs, whose results the model reads.
  [[nodiscard]] bool input_bounded() const noexcept;
  /// body() asks for a usage that the request did not ask for: drop events that are StreamEvent::usage_only for the request's sender.
  [[nodiscard]] bool drop_usage_event() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  friend class GuardedCall;
};

/// One request on its way: admitted, rewritten as the policies left it, ended by what the provider answers.
///
/// The steps of guard(), for transports that guard() does not fit, for streams and for coroutines.
///
/// \par Guarantee
/// Ends exactly once. Destroyed before sent() the call is released, after it charged as indeterminate.
/// \par Thread safety
/// Distinct objects: safe. Shared object: unsafe, but for const members.
class OUTLAY_EXPORT GuardedCall {
 public:
  /// Admits the request in the current context.
  ///
  /// \par Errors
  /// As GuardedRequest and as Call's constructor.
  /// \par Blocking
  /// As Call's constructor.
  GuardedCall(Api api, const boost::json::object& request, const GuardOptions& options = {});
  /// Takes a call that was admitted by `request.call_request()` elsewhere.
  GuardedCall(GuardedRequest request, Call call);

  [[nodiscard]] Api api() const noexcept { return request_.api(); }
  /// The request to send.
  [[nodiscard]] const boost::json::object& body() const noexcept { return body_; }
  /// The model to send; goes into the URL where Api::model_in_path().
  [[nodiscard]] const std::string& model() const noexcept { return call_.model(); }
  [[nodiscard]] Call& call() noexcept { return call_; }
  [[nodiscard]] const Call& call() const noexcept { return call_; }
  [[nodiscard]] const GuardedRequest& request() const noexcept { return request_; }

  /// It leaves now: from here on it may be billed.
  void sent() noexcept { call_.sent(); }
  /// A reply with status 2xx: settles by the usage it reports; without one by an estimate from its visible text, marked estimated.
  ///
  /// A usage with an invalid count, an error in place of an answer, and an answer that is still being made end the call as
  /// indeterminate, unless the error names a status that says otherwise.
  /// \par Errors
  /// Error with errc::bad_reply for a value that is not a reply in the format of its API, after the reservation has been charged. Never
  /// BudgetExceeded: a call that crosses a Raise budget is booked, and the next one is refused.
  Settled reply(const boost::json::value& reply);
  Settled reply(const boost::json::object& reply) { return this->reply(boost::json::value(reply)); }
  /// A reply with its status: other than 2xx the call is released, charged for its input, or charged as indeterminate, by the API's
  /// table.
  Settled reply(int status, const boost::json::value& body);
  /// It never left: no connection. Releases.
  void not_sent(std::string_view reason) noexcept { call_.release(reason); }
  /// It left and has no verdict: a time-out, a broken connection.
  Settled failed(std::string_view reason) noexcept { return call_.indeterminate(reason); }
  /// Meters the streamed answer and settles the call.
  [[nodiscard]] Stream stream(StreamMeterOptions options = {}) { return Stream(call_, request_.api(), options); }

 private:
  GuardedRequest request_;
  Call call_;
  boost::json::object body_;
};

/// What an answer's status means for the call that it answers.
enum class ReplyVerdict : std::uint8_t {
  paid,           ///< 2xx: read its usage.
  released,       ///< Refused free of charge.
  input_charged,  ///< Refused after its input had been read.
  indeterminate,  ///< It may have been billed.
};
[[nodiscard]] OUTLAY_EXPORT ReplyVerdict judge_reply(Api api, int status, const boost::json::value& body);

namespace detail {

template <class R>
concept PlainReply = std::is_same_v<std::remove_cvref_t<R>, boost::json::value> ||
                     std::is_same_v<std::remove_cvref_t<R>, boost::json::object>;
template <class R>
concept Reply = PlainReply<R> || std::is_same_v<std::remove_cvref_t<R>, HttpReply>;

/// Throws for a request that asks for a stream: guard() returns one JSON value, by which a stream cannot be booked.
OUTLAY_EXPORT void refuse_stream(const GuardedRequest& request, const boost::json::object& body);

}  // namespace detail

/// Sends a request within the budgets around: admits it, has `post` send it as the policies left it, settles by the reply.
///
/// \param post Called once with the rewritten request (`const boost::json::object&`), or with the whole `const GuardedCall&`, which
/// has the model for a URL. Returns the reply as boost::json::value, or as HttpReply with its status.
/// \return What `post` returned. A paid reply is never lost: under a Raise budget that it crosses it is returned, and the next call is
/// refused.
/// \par Errors
/// As GuardedCall's constructor, before anything is sent. What `post` throws, after the call has been charged as indeterminate: it may
/// have left. Error with errc::bad_reply as GuardedCall::reply. Error with errc::invalid_argument for a request that asks for a stream: use
/// GuardedCall::stream.
/// \par Blocking
/// As Call's constructor, and as long as `post` takes.
/// \par Example
/// \snippet tests/unit/json/guard_test.cpp guard
template <class Post>
auto guard(Api api, const boost::json::object& request, Post&& post, const GuardOptions& options = {}) {
  constexpr bool takes_object = std::is_invocable_v<Post&, const boost::json::object&>;
  constexpr bool takes_call = std::is_invocable_v<Post&, const GuardedCall&>;
  static_assert(takes_object || takes_call,
                "guard: post must be callable with const boost::json::object& or const outlay::GuardedCall&");
  using Argument = std::conditional_t<takes_object, const boost::json::object&, const GuardedCall&>;
  using R = std::remove_cvref_t<std::invoke_result_t<Post&, Argument>>;
  static_assert(detail::Reply<R>,
                "guard: post must return boost::json::value or outlay::HttpReply; for a coroutine use "
                "outlay::async_guard");
  GuardedRequest guarded(api, request, options);
  detail::refuse_stream(guarded, request);
  Call admitted(guarded.call_request());
  GuardedCall call(std::move(guarded), std::move(admitted));
  call.sent();
  R reply = [&]() -> R {
    try {
      if constexpr (takes_object)
        return std::invoke(post, call.body());
      else
        return std::invoke(post, std::as_const(call));
    } catch (...) {
      call.failed("the transport threw");
      throw;
    }
  }();
  if constexpr (std::is_same_v<R, HttpReply>)
    call.reply(reply.status, reply.body);
  else
    call.reply(reply);
  return reply;
}

/// What a request would cost. Nothing is sent, nothing is reserved.
struct Estimate {
  Usd usd{};  ///< At most: the input at its upper bound, the output at its ceiling, at the dearest rates that apply.
  Usage usage{};               ///< The likeliest input, and the output at its ceiling.
  std::int64_t input_upper{};  ///< The input's upper bound.
  std::string model{};         ///< The request's.
  std::string priced_as{};     ///< The price table's entry.
  PriceRule rule{};            ///< How it was found.
  bool bounded{};  ///< The request has an output ceiling. Without one 256 tokens are counted, and `usd` is not a bound.
  bool input_bounded{};  ///< As GuardedRequest::input_bounded(). Where it is not, `usd` is no bound either.
};

/// \par Errors
/// PriceUnknown for a model without a price in the current ledger's table; otherwise as GuardedRequest.
[[nodiscard]] OUTLAY_EXPORT Estimate estimate(Api api, const boost::json::object& request,
                                              const GuardOptions& options = {});

}  // namespace outlay
