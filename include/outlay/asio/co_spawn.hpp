#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

#include "outlay/asio/context_executor.hpp"
#include "outlay/asio/detail/loop.hpp"  // IWYU pragma: keep
#include "outlay/detail/ambient.hpp"
#include "outlay/detail/home.hpp"

namespace outlay {

namespace detail {

template <class T>
inline constexpr bool is_awaitable = false;
template <class T, class Executor>
inline constexpr bool is_awaitable<boost::asio::awaitable<T, Executor>> = true;

/// A boost::asio::awaitable, or a function that returns one when it is called with Args.
template <class F, class... Args>
concept AwaitableFunction =
    std::invocable<F, Args...> && is_awaitable<std::remove_cvref_t<std::invoke_result_t<F, Args...>>>;

template <class F>
concept Spawnable = is_awaitable<std::remove_cvref_t<F>> || AwaitableFunction<std::decay_t<F>&>;

template <class F>
struct SpawnedExecutor {
  using type = typename std::remove_cvref_t<std::invoke_result_t<std::decay_t<F>&>>::executor_type;
};
template <class T, class Executor>
struct SpawnedExecutor<boost::asio::awaitable<T, Executor>> {
  using type = Executor;
};

template <class Executor>
concept AnExecutor = boost::asio::execution::is_executor<Executor>::value;

template <class Target, class Executor>
[[nodiscard]] Target wrap(const Executor& executor, NodeRef home) {
  if constexpr (std::same_as<Executor, boost::asio::any_io_executor>) {
    return with_home(executor, std::move(home));
  } else if constexpr (is_context_executor<Executor>) {
    return ContextExecutor(executor.get_inner_executor(), std::move(home));
  } else {
    return ContextExecutor<Compact<Executor>>(Compact<Executor>(executor), std::move(home));
  }
}

template <class Executor, class F, class Token>
decltype(auto) spawn(const Executor& executor, NodeRef home, F&& function, Token&& token) {
  using Target = typename SpawnedExecutor<std::remove_cvref_t<F>>::type;
  static_assert(std::same_as<Target, boost::asio::any_io_executor> || is_context_executor<Target>,
                "outlay::co_spawn: the coroutine must return boost::asio::awaitable<T>, whose executor can be any; an "
                "awaitable<T, SomeExecutor> has no place for the context.");
  return boost::asio::co_spawn(wrap<Target>(executor, std::move(home)), std::forward<F>(function),
                               std::forward<Token>(token));
}

// g++ 12 destroys a temporary twice in `co_await f(temporary)` if it is a lambda that captures by value and returns an awaitable.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
template <class F>
concept SafeTemporary = std::is_lvalue_reference_v<F> || std::is_trivially_destructible_v<std::remove_cvref_t<F>>;
#else
template <class F>
concept SafeTemporary = true;
#endif
template <class>
inline constexpr bool never = false;

}  // namespace detail

/// Starts a coroutine whose scopes follow it, below the scopes that are open here.
///
/// As boost::asio::co_spawn, with a ContextExecutor around the executor: the coroutine starts in the context of this call (whatever
/// the token, also where a deferred operation is launched later), and everything that Asio starts from its `this_coro::executor`
/// carries the context on. A scope opened in the coroutine leaves the thread when it suspends and comes back when it resumes. The
/// budgets that are open here stay in force for it, however long it lives. To start with none, see co_spawn_root(); for a child that
/// is awaited at once, branch().
///
/// \param executor Any executor, or an execution context: io_context, thread_pool, strand, any_io_executor, system_executor,
/// `this_coro::executor`. A strand belongs here: `co_spawn(make_strand(pool), ...)`.
/// \param function A boost::asio::awaitable, or a function that returns one. The function is kept in the coroutine's frame, so a lambda
/// with captures is passed itself; `co_spawn(executor, lambda(), token)` would leave it dangling at the first suspension.
/// \param token Any completion token.
/// \par Errors
/// What the coroutine throws, handed to the token as a std::exception_ptr.
/// \par Cancellation
/// As boost::asio::co_spawn. Emit from the coroutine's strand or only thread: cancellation in Asio is not thread-safe. Before Boost 1.86
/// a coroutine on another thread must not be cancelled before its first run: Asio would end the process.
/// \par Suspension
/// The context is not found by a call in a coroutine that has hopped to a plain executor (see on()), nor in a handler that another
/// thread invokes through no executor. Both find it again from the next suspension on.
template <detail::AnExecutor Executor, detail::Spawnable F, class Token>
decltype(auto) co_spawn(const Executor& executor, F&& function, Token&& token) {
  return detail::spawn(executor, detail::make_home(detail::capture()), std::forward<F>(function),
                       std::forward<Token>(token));
}
/// The same on an execution context's executor, as an io_context's or a thread_pool's.
template <class ExecutionContext, detail::Spawnable F, class Token>
  requires std::convertible_to<ExecutionContext&, boost::asio::execution_context&>
decltype(auto) co_spawn(ExecutionContext& context, F&& function, Token&& token) {
  // Qualified: Asio's own would be found as well.
  return outlay::co_spawn(context.get_executor(), std::forward<F>(function), std::forward<Token>(token));
}

/// Starts a coroutine whose scopes follow it, in the empty context: no budget and no tag of the caller's holds for it.
///
/// Otherwise as co_spawn(), which inherits. For servers that start a session inside a request's scopes, say.
template <detail::AnExecutor Executor, detail::Spawnable F, class Token>
decltype(auto) co_spawn_root(const Executor& executor, F&& function, Token&& token) {
  return detail::spawn(executor, detail::make_home({}), std::forward<F>(function), std::forward<Token>(token));
}
/// The same on an execution context's executor.
template <class ExecutionContext, detail::Spawnable F, class Token>
  requires std::convertible_to<ExecutionContext&, boost::asio::execution_context&>
decltype(auto) co_spawn_root(ExecutionContext& context, F&& function, Token&& token) {
  return co_spawn_root(context.get_executor(), std::forward<F>(function), std::forward<Token>(token));
}

/// Awaits a child with a context of its own below the current one.
///
/// The child starts when it is awaited, on the caller's executor; a scope that it leaves open or closes out of order does not touch
/// the caller. What it throws is thrown here; cancelling the caller cancels it.
template <class T>
[[nodiscard]] boost::asio::awaitable<T> branch(boost::asio::awaitable<T> child) {
  const boost::asio::any_io_executor executor = co_await boost::asio::this_coro::executor;
  co_return co_await outlay::co_spawn(executor, std::move(child), boost::asio::use_awaitable);
}

/// The same for a function, which is kept alive until the child has ended.
template <class F>
  requires detail::AwaitableFunction<std::decay_t<F>&> && detail::SafeTemporary<F>
[[nodiscard]] auto branch(F&& function) -> std::invoke_result_t<std::decay_t<F>&> {
  return [](std::decay_t<F> kept) -> std::invoke_result_t<std::decay_t<F>&> {
    co_return co_await branch(std::invoke(kept));
  }(std::forward<F>(function));
}
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
template <class F>
  requires(detail::AwaitableFunction<std::decay_t<F>&> && !detail::SafeTemporary<F>)
auto branch(F&&) {
  static_assert(detail::never<F>,
                "g++ 12 destroys a temporary lambda with captures by value twice in a co_await expression. "
                "Give it a name first: "
                "auto child = [...]...; co_await outlay::branch(child);");
}
#endif

}  // namespace outlay
