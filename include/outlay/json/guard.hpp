#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "outlay/call.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/error.hpp"
#include "outlay/json/api.hpp"
#include "outlay/json/stream.hpp"
#include "outlay/price.hpp"
#include "outlay/tags.hpp"

namespace outlay {

namespace detail {
/// What reads as text, so that no text is taken for a JSON string.
template <class T>
concept Text = std::is_convertible_v<const T&, std::string_view>;
}  // namespace detail

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
  /// What an exception says of the call from whose `post` it came, for exceptions of a client's own: the HTTP status that the provider
  /// answered, by which the API's table judges the call; 0 where the request never left. Empty, as without a function: it may have been
  /// billed. Called inside the handler, where `throw;` throws it again; NotBilled is not shown to it. What it throws counts as empty.
  std::optional<int> (*judge)(const std::exception& thrown){};
};

/// An answer with its HTTP status, as a transport returns it to guard().
struct HttpReply {
  /// The status that the provider answered.
  int status{200};
  boost::json::value body{};  ///< Null where the answer was not JSON.
};

/// The same as text, for programs that have JSON of another library, or none.
struct TextReply {
  /// The status that the provider answered.
  int status{200};
  /// The answer as it came.
  std::string body{};
};

/// Thrown by a `post` that knows that its call costs nothing: guard() and async_guard() release the call, and the exception goes on.
class OUTLAY_EXPORT NotBilled : public Error {
 public:
  /// \param status The HTTP status with which the provider refused the request; 0: it never left. Kept in the call's record.
  explicit NotBilled(int status = 0);
  /// The HTTP status; 0: the request never left.
  [[nodiscard]] int status() const noexcept { return status_; }

 private:
  int status_;
};

/// A request as it is to be admitted: its model, its ceiling, its estimated input.
///
/// For programs that admit calls themselves; GuardedCall does it otherwise.
/// \par Lifetime
/// Refers to the request, object or text, which must live until body() or body_text() has been called.
class OUTLAY_EXPORT GuardedRequest {
 public:
  /// \par Errors
  /// Error with errc::invalid_argument for a request without a model, or with a member of the wrong type; both are named.
  GuardedRequest(Api api, const boost::json::object& request, const GuardOptions& options = {});
  /// \param body The whole request as JSON, at most 128 MiB and 128 levels deep. Of a member that it has twice the last one counts.
  /// \par Errors
  /// The same, and for text that is not one JSON object.
  GuardedRequest(Api api, std::string_view body, const GuardOptions& options = {});
  /// The moved-from request can only be assigned to or destroyed.
  GuardedRequest(GuardedRequest&&) noexcept;
  /// Takes the other request.
  GuardedRequest& operator=(GuardedRequest&&) noexcept;
  ~GuardedRequest();

  /// What to admit. Holds views into this object.
  [[nodiscard]] CallRequest call_request() const noexcept;
  /// A copy of the request with the model and the ceiling that were admitted, and otherwise untouched, but for `stream_options` as
  /// GuardOptions::ask_for_usage says.
  [[nodiscard]] boost::json::object body(const Call& call) const;
  /// The same as text. Of a request that was given as text only those members are written anew that body() changes, each in its place (all
  /// of one name, should there be several); a new one is the last of its object. Every other byte is as it was.
  [[nodiscard]] std::string body_text(const Call& call) const;

  /// The API that it was made for.
  [[nodiscard]] Api api() const noexcept;
  /// The request asks for a stream.
  [[nodiscard]] bool streamed() const noexcept;
  /// call_request() bounds the input: on recorded calls it was 1.25 to 12 times what was billed (examples/guide/concepts.md has it by
  /// vendor). False where the input may grow beyond what the request shows: earlier answers (`previous_response_id`), stored files, cached
  /// contents, and tools that the provider runs, whose results the model reads; and where its size bounds nothing: documents that are not
  /// text, compressed sound, video.
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
  /// The same of a request as text, which is read before this returns.
  GuardedCall(Api api, std::string_view body, const GuardOptions& options = {});
  /// Takes a call that was admitted by `request.call_request()` elsewhere.
  GuardedCall(GuardedRequest request, Call call);

  /// The API that it was made for.
  [[nodiscard]] Api api() const noexcept { return request_.api(); }
  /// The request to send.
  [[nodiscard]] const boost::json::object& body() const noexcept { return body_; }
  /// The request to send as text, as GuardedRequest::body_text() says.
  ///
  /// \par Errors
  /// Error with errc::invalid_argument for a call that was made from an object: serialise body().
  [[nodiscard]] const std::string& body_text() const;
  /// The model to send; goes into the URL where Api::model_in_path().
  [[nodiscard]] const std::string& model() const noexcept { return call_.model(); }
  /// The admitted call.
  [[nodiscard]] Call& call() noexcept { return call_; }
  /// The admitted call.
  [[nodiscard]] const Call& call() const noexcept { return call_; }
  /// The request as it was read.
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
  /// The same of an object.
  Settled reply(const boost::json::object& reply) { return this->reply(boost::json::value(reply)); }
  /// A reply with its status: other than 2xx the call is released, charged for its input, or charged as indeterminate, by the API's
  /// table.
  Settled reply(int status, const boost::json::value& body);
  /// The same of a reply as text; one that is not JSON is judged by its status. A streamed request's is its whole stream.
  ///
  /// \par Errors
  /// The same, and for a status 2xx whose text is not JSON.
  template <detail::Text T>
  Settled reply(int status, const T& body) {
    return reply_text(status, body);
  }
  /// The same without exceptions, for callbacks: an error is a Failure with its reason and message. The call has ended in any case.
  Result<Settled> try_reply(int status, std::string_view body) noexcept;
  /// It never left: no connection. Releases.
  void not_sent(std::string_view reason) noexcept { call_.release(reason); }
  /// It left and has no verdict: a time-out, a broken connection.
  Settled failed(std::string_view reason) noexcept { return call_.indeterminate(reason); }
  /// Meters the streamed answer and settles the call.
  [[nodiscard]] Stream stream(StreamMeterOptions options = {}) { return Stream(call_, request_.api(), options); }
  /// The same with the status of the answer: see Stream::answered().
  [[nodiscard]] Stream stream(int status, StreamMeterOptions options = {});

 private:
  Settled reply_text(int status, std::string_view body);

  GuardedRequest request_;
  Call call_;
  boost::json::object body_;
  std::string text_;
};

/// What an answer's status means for the call that it answers.
enum class ReplyVerdict : std::uint8_t {
  paid,           ///< 2xx: read its usage.
  released,       ///< Refused free of charge.
  input_charged,  ///< Refused after its input had been read.
  indeterminate,  ///< It may have been billed.
};
/// By the API's table of statuses, or by what its body says where that says more than the status.
///
/// \param provider Who answered, as GuardOptions::provider: Azure charges the input of some requests that it refuses, whatever the API.
[[nodiscard]] OUTLAY_EXPORT ReplyVerdict judge_reply(Api api, int status, const boost::json::value& body,
                                                     std::string_view provider = {});

namespace detail {

template <class R>
concept PlainReply = std::is_same_v<std::remove_cvref_t<R>, boost::json::value> ||
                     std::is_same_v<std::remove_cvref_t<R>, boost::json::object>;
template <class R>
concept Reply = PlainReply<R> || std::is_same_v<std::remove_cvref_t<R>, HttpReply>;

/// Throws for a request that asks for a stream: guard() returns one JSON value, by which a stream cannot be booked.
OUTLAY_EXPORT void refuse_stream(const GuardedRequest& request, const boost::json::object& body);
/// Ends a call whose transport has thrown, as the exception says. Called while it is handled.
OUTLAY_EXPORT void end_thrown(GuardedCall& call, const GuardOptions& options) noexcept;

/// Admits a guarded request, sends it by `send` and settles it by the reply.
template <class Send>
auto guard_by(GuardedRequest request, const Send& send, const GuardOptions& options) {
  using R = std::remove_cvref_t<std::invoke_result_t<const Send&, const GuardedCall&>>;
  Call admitted(request.call_request());
  GuardedCall call(std::move(request), std::move(admitted));
  call.sent();
  R reply = [&]() -> R {
    try {
      return send(std::as_const(call));
    } catch (...) {
      end_thrown(call, options);
      throw;
    }
  }();
  if constexpr (PlainReply<R>)
    call.reply(reply);
  else
    call.reply(reply.status, reply.body);
  return reply;
}

}  // namespace detail

/// Sends a request within the budgets around: admits it, has `post` send it as the policies left it, settles by the reply.
///
/// \param post Called once with the rewritten request (`const boost::json::object&`), or with the whole `const GuardedCall&`, which
/// has the model for a URL. Returns the reply as boost::json::value, or as HttpReply with its status.
/// \return What `post` returned. A paid reply is never lost: under a Raise budget that it crosses it is returned, and the next call is
/// refused.
/// \par Errors
/// As GuardedCall's constructor, before anything is sent. What `post` throws, after the call has been released where that is NotBilled,
/// ended as GuardOptions::judge says, and otherwise charged as indeterminate: it may have left. Error with errc::bad_reply as
/// GuardedCall::reply. Error with errc::invalid_argument for a request that asks for a stream: use GuardedCall::stream.
/// \par Blocking
/// As Call's constructor, and as long as `post` takes.
/// \par Example
/// \snippet tests/unit/json/guard_test.cpp guard_example
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
  const auto send = [&post](const GuardedCall& call) -> R {
    if constexpr (takes_object)
      return std::invoke(post, call.body());
    else
      return std::invoke(post, call);
  };
  GuardedRequest guarded(api, request, options);
  detail::refuse_stream(guarded, request);
  return detail::guard_by(std::move(guarded), send, options);
}

/// The same for a request as text, without a JSON type in the program.
///
/// \param body As in GuardedRequest's constructor.
/// \param post Called once with the rewritten request (`const std::string&`), in which every byte is as in `body` that no policy has to
/// change, or with the whole `const GuardedCall&`. Returns the reply as TextReply.
/// \par Errors
/// The same. A request that asks for a stream may be sent where `post` returns the whole stream as the reply's text.
/// \par Example
/// \snippet tests/unit/json/text_test.cpp guard_text
template <class Post>
auto guard(Api api, std::string_view body, Post&& post, const GuardOptions& options = {}) {
  constexpr bool takes_text = std::is_invocable_v<Post&, const std::string&>;
  constexpr bool takes_call = std::is_invocable_v<Post&, const GuardedCall&>;
  static_assert(takes_text || takes_call,
                "guard: post must be callable with const std::string& or const outlay::GuardedCall&");
  using Argument = std::conditional_t<takes_text, const std::string&, const GuardedCall&>;
  using R = std::remove_cvref_t<std::invoke_result_t<Post&, Argument>>;
  static_assert(std::is_same_v<R, TextReply>, "guard: post must return outlay::TextReply{status, body}");
  const auto send = [&post](const GuardedCall& call) -> R {
    if constexpr (takes_text)
      return std::invoke(post, call.body_text());
    else
      return std::invoke(post, call);
  };
  return detail::guard_by(GuardedRequest(api, body, options), send, options);
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
/// The same of a request as text, as GuardedRequest reads it.
[[nodiscard]] OUTLAY_EXPORT Estimate estimate(Api api, std::string_view body, const GuardOptions& options = {});

}  // namespace outlay
