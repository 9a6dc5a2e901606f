#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/fwd.hpp>
#include <boost/json/value.hpp>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "outlay/asio/co_spawn.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/http/options.hpp"
#include "outlay/json/stream.hpp"
#include "outlay/tags.hpp"
#include "outlay/usage.hpp"

namespace outlay::http {

namespace detail {
struct ClientState;
struct StreamState;
struct OwnedRequest;
}  // namespace detail

/// What belongs to one request beside its JSON. Views: they are copied before the function that takes them returns, and braces stay legal in
/// a `co_await` expression on g++ 12.
struct RequestOptions {
  /// Required where the API has the model in the path (Gemini, Bedrock, Azure); ignored elsewhere.
  std::string_view model{};
  TagsView tags{};  ///< For this request alone, within the tags of the enclosing Track scopes.
  /// W3C trace context: sent as a header and kept in the record. Ignored if malformed.
  std::string_view traceparent{};
};

/// A piece of an answer. As outlay::StreamDelta, with texts of its own.
struct Delta {
  /// What it is a piece of.
  StreamDelta::Kind kind{};
  /// Which of the answers, from 0.
  std::int32_t choice{};
  /// Which tool call of the answer, as the provider numbers them; 0 where it does not.
  std::int32_t tool{};
  /// UTF-8 as the provider sent it.
  std::string text{};
  /// The tool call's id, in its first piece; empty otherwise.
  std::string tool_id{};
  /// The tool's name, in the call's first piece; empty otherwise.
  std::string tool_name{};
};

/// A streamed answer that is arriving.
///
/// Each piece has been reserved before it is returned. A stream that a budget cuts, and one that is destroyed or closed before its end,
/// closes its connection at once, so that the provider stops generating.
///
/// \par Guarantee
/// However it ends (at its end, cut, closed, cancelled, timed out, broken off at any byte, destroyed), its call is settled once: by what
/// the provider reported, otherwise by what it had shown.
/// \par Thread safety
/// Distinct objects: safe. Shared object: unsafe, but for const members; one next() at a time.
/// \par Suspension
/// May move between coroutines and threads while no next() is running, and outlive the Client.
class OUTLAY_EXPORT ReplyStream {
 public:
  /// The moved-from stream can only be assigned to or destroyed.
  ReplyStream(ReplyStream&&) noexcept;
  /// Closes the stream that was here.
  ReplyStream& operator=(ReplyStream&&) noexcept;
  ~ReplyStream();

  /// The next piece; nothing at the end, and after a Truncate policy has cut the stream: see truncated().
  ///
  /// \par Errors
  /// BudgetExceeded at the crossing where a budget cut the stream. Error with errc::timed_out, errc::stream_broken, errc::bad_reply (no
  /// stream of this API, or over SizeLimits), errc::provider_error (an error within the stream). After one of them: nothing.
  /// boost::system::system_error when it was cancelled. What was seen has been settled in each case.
  /// \par Cancellation
  /// Terminal: the stream is closed then. Other kinds have no effect.
  [[nodiscard]] boost::asio::awaitable<std::optional<Delta>> next();
  /// The same for any completion token: `void(std::exception_ptr, std::optional<Delta>)`. The stream must outlive the operation.
  template <class Token>
  decltype(auto) async_next(Token&& token) {
    return outlay::co_spawn(get_executor(), next(), std::forward<Token>(token));
  }

  /// Ends it here: closes the connection and settles by what was seen. Does nothing after the end.
  void close() noexcept;

  /// More may come.
  [[nodiscard]] bool open() const noexcept;
  /// The provider's end was seen.
  [[nodiscard]] bool complete() const noexcept;
  /// A Truncate policy ended it, quietly.
  [[nodiscard]] bool truncated() const noexcept;
  /// What the policies admitted.
  [[nodiscard]] const std::string& model() const noexcept;
  /// What the provider says it is; empty until known.
  [[nodiscard]] std::string served_model() const;
  /// So far; counted where the provider has not reported yet.
  [[nodiscard]] Usage usage() const;
  /// Call::id() of the attempt, as in its record.
  [[nodiscard]] std::uint64_t call_id() const noexcept;
  /// What was booked, once the stream has ended.
  [[nodiscard]] std::optional<Usd> charged() const noexcept;
  /// Where its connection lives.
  [[nodiscard]] boost::asio::any_io_executor get_executor() const;

  /// For components.
  explicit ReplyStream(std::unique_ptr<detail::StreamState> state) noexcept;  // for components

 private:
  std::unique_ptr<detail::StreamState> state_;
};

/// An HTTP client for one LLM provider, whose requests stay inside the budgets around them.
///
/// Takes and returns the provider's own JSON. Each attempt on the wire is one Call: admitted before it is sent, charged when it returns,
/// released where the provider refused it free of charge, indeterminate where the client does not know. The policies may change model and
/// ceiling of what is sent. Redirects are never followed: the key would go along.
///
/// A handle: copies share connections. Made for a program, not for a request.
///
/// \par Thread safety
/// Safe from any thread, from any number of coroutines, on any executor; no strand is needed.
/// \par Suspension
/// Requests run in the coroutine that awaits them, in its context.
/// \par Fork
/// The child of a fork(2) makes an io_context and a client of its own, or goes on with those that it has inherited as Asio has it: fork while
/// no thread runs the io_context, and call its `notify_fork`. A request of the child never goes out on a connection of the parent's. Requests
/// and streams that were under way are the parent's: in the child, do not run them.
/// \par Example
/// \snippet tests/unit/http/client_test.cpp post_example
class OUTLAY_EXPORT Client {
 public:
  /// \param executor Where sockets and timers live; any thread may run it. Not `this_coro::executor`, which keeps a coroutine's context.
  /// \par Errors
  /// ConfigError: no usable address, a key that would travel unencrypted, a header with control characters, a CA file that cannot be read.
  explicit Client(const boost::asio::any_io_executor& executor, const ClientOptions& options = {});
  /// The same on an execution context's executor, as an io_context or a thread_pool.
  template <class ExecutionContext>
    requires std::convertible_to<ExecutionContext&, boost::asio::execution_context&>
  explicit Client(ExecutionContext& context, const ClientOptions& options = {})
      : Client(boost::asio::any_io_executor(context.get_executor()), options) {}

  /// Sends a request and returns the whole reply.
  ///
  /// The request is copied. Under a Raise budget the reply that crosses its cap is returned; the next call is refused.
  /// \par Errors
  /// BudgetExceeded, PriceUnknown: refused before it was sent. ProviderError: the provider answered with an error, after the last attempt.
  /// Error with errc::invalid_argument (a request that is not valid, or over SizeLimits), errc::network (no connection, or a broken
  /// one), errc::timed_out, errc::bad_reply (the reply is not in the format of this API). What may have been billed is charged in each case.
  /// \par Cancellation
  /// Terminal: the connection is closed, the call is indeterminate if it had been sent. Other kinds have no effect.
  [[nodiscard]] boost::asio::awaitable<boost::json::value> post(const boost::json::object& request,
                                                                const RequestOptions& options = {}) const;
  /// Sends a request for a streamed reply, and returns when its head has arrived.
  ///
  /// `"stream": true`, and what makes the provider report usage, are written into the request where they are missing.
  /// \par Errors
  /// As post().
  [[nodiscard]] boost::asio::awaitable<ReplyStream> stream(const boost::json::object& request,
                                                           const RequestOptions& options = {}) const;

  /// The same for any completion token: `void(std::exception_ptr, boost::json::value)`, run on the client's executor.
  template <class Token>
  decltype(auto) async_post(const boost::json::object& request, const RequestOptions& options, Token&& token) const {
    return outlay::co_spawn(get_executor(), post(request, options), std::forward<Token>(token));
  }
  /// The same with default options.
  template <class Token>
  decltype(auto) async_post(const boost::json::object& request, Token&& token) const {
    return async_post(request, RequestOptions{}, std::forward<Token>(token));
  }
  /// The executor that it was made with.
  [[nodiscard]] boost::asio::any_io_executor get_executor() const;

  /// ClientOptions::api.
  [[nodiscard]] Api api() const noexcept;
  /// Connections that wait for the next request.
  [[nodiscard]] std::size_t idle_connections() const noexcept;
  /// Closes them.
  void close_idle_connections() noexcept;

 private:
  std::shared_ptr<detail::ClientState> state_;
};

/// Sends a request from code without coroutines, and waits for the reply.
///
/// As Client::post on a connection of its own.
/// \par Blocking
/// Until the reply or an error; see Timeouts. Policies may wait besides.
[[nodiscard]] OUTLAY_EXPORT boost::json::value post(const boost::json::object& request,
                                                    const ClientOptions& options = {},
                                                    const RequestOptions& request_options = {});

}  // namespace outlay::http
