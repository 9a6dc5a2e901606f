#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <concepts>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "outlay/asio/async_call.hpp"
#include "outlay/asio/co_spawn.hpp"
#include "outlay/json/guard.hpp"

namespace outlay {

namespace detail {

/// GuardOptions together with what they refer to.
class OwnedGuardOptions {
 public:
  explicit OwnedGuardOptions(const GuardOptions& options)
      : model_(options.model),
        service_tier_(options.service_tier),
        traceparent_(options.traceparent),
        provider_(options.provider),
        tags_(options.tags),
        ask_for_usage_(options.ask_for_usage),
        judge_(options.judge) {}

  /// Refers to this object.
  [[nodiscard]] GuardOptions view() const {
    return {.model = model_,
            .service_tier = service_tier_,
            .tags = tags_,
            .traceparent = traceparent_,
            .ask_for_usage = ask_for_usage_,
            .provider = provider_,
            .judge = judge_};
  }

 private:
  std::string model_;
  std::string service_tier_;
  std::string traceparent_;
  std::string provider_;
  Tags tags_;
  bool ask_for_usage_;
  decltype(GuardOptions::judge) judge_;
};

template <class Post>
concept TakesRequest = AwaitableFunction<Post&, const boost::json::object&>;
template <class Post>
concept TakesCall = AwaitableFunction<Post&, const GuardedCall&>;
template <class Post>
concept AsyncTransport = TakesRequest<Post> || TakesCall<Post>;

template <class Post>
struct ReplyOf {
  using type = typename std::remove_cvref_t<std::invoke_result_t<Post&, const GuardedCall&>>::value_type;
};
template <TakesRequest Post>
struct ReplyOf<Post> {
  using type = typename std::remove_cvref_t<std::invoke_result_t<Post&, const boost::json::object&>>::value_type;
};

template <class Post, class R = typename ReplyOf<Post>::type>
boost::asio::awaitable<R> guard_in_frame(Api api, boost::json::object request, Post post, OwnedGuardOptions options) {
  const GuardOptions views = options.view();
  GuardedRequest guarded(api, request, views);
  refuse_stream(guarded, request);
  const CallRequest wanted = guarded.call_request();
  Call admitted = co_await async_call(wanted, boost::asio::use_awaitable);
  GuardedCall call(std::move(guarded), std::move(admitted));
  call.sent();
  std::optional<R> reply;
  try {
    if constexpr (TakesRequest<Post>) {
      reply.emplace(co_await std::invoke(post, call.body()));
    } else {
      reply.emplace(co_await std::invoke(post, std::as_const(call)));
    }
  } catch (...) {
    end_thrown(call, views);
    throw;
  }
  if constexpr (std::is_same_v<R, HttpReply>) {
    call.reply(reply->status, reply->body);
  } else {
    call.reply(*reply);
  }
  co_return std::move(*reply);
}

}  // namespace detail

/// As guard(), for transports that are coroutines: admits the request, has `post` send it, settles by the reply.
///
/// \param request Copied before this returns.
/// \param post Called once with the rewritten request (`const boost::json::object&`, alive until `post` has ended), or with the whole
/// `const GuardedCall&` by those who need the model for a URL. Returns `boost::asio::awaitable` of the reply as boost::json::value, or
/// of HttpReply with its status. Kept alive in the operation's frame.
/// \param token For `void(std::exception_ptr, R)`, R being what `post` yields.
/// \return By the token: what `post` yielded. A paid reply is never lost: under a Raise budget that it crosses it is returned, and the
/// next call is refused.
/// \par Errors
/// As guard(), and what `post` throws as it is treated there.
/// \par Blocking
/// As async_call(): where a Wait policy lets the call wait, no thread is held.
/// \par Cancellation
/// As co_spawn(). Before the call is admitted nothing is reserved; once `post` runs it is cancelled, and the call charged as
/// indeterminate.
/// \par Suspension
/// Runs on the handler's executor, in the context in which the operation starts; `post` may open scopes.
template <class Post, class Token>
  requires detail::AsyncTransport<std::decay_t<Post>> && detail::SafeTemporary<Post>
auto async_guard(Api api, const boost::json::object& request, Post&& post, Token&& token,
                 const GuardOptions& options = {}) {
  using Transport = std::decay_t<Post>;
  using R = typename detail::ReplyOf<Transport>::type;
  static_assert(detail::Reply<R>,
                "async_guard: post must return boost::asio::awaitable<boost::json::value> or "
                "awaitable<outlay::HttpReply>");
  return boost::asio::async_initiate<Token, void(std::exception_ptr, R)>(
      [](auto handler, Api to, boost::json::object body, Transport transport, detail::OwnedGuardOptions owned) {
        const boost::asio::any_io_executor executor = detail::executor_of(handler);
        outlay::co_spawn(executor,
                         detail::guard_in_frame<Transport>(to, std::move(body), std::move(transport), std::move(owned)),
                         std::move(handler));
      },
      token, api, request, Transport(std::forward<Post>(post)), detail::OwnedGuardOptions(options));
}

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
template <class Post, class Token>
auto async_guard(Api, boost::json::object&&, Post&&, Token&&, const GuardOptions& = {}) {
  static_assert(detail::never<Post>,
                "g++ 12 may destroy a temporary request twice in a co_await expression. Give it a name first: "
                "const boost::json::object request{...}; co_await outlay::async_guard(api, request, post, token);");
}
template <class Post, class Token>
  requires(detail::AsyncTransport<std::decay_t<Post>> && !detail::SafeTemporary<Post>)
auto async_guard(Api, const boost::json::object&, Post&&, Token&&, const GuardOptions& = {}) {
  static_assert(detail::never<Post>,
                "g++ 12 destroys a temporary lambda with captures by value twice in a co_await expression. "
                "Give it a name first: "
                "auto post = [...]...; co_await outlay::async_guard(api, request, post, token);");
}
#endif

}  // namespace outlay
