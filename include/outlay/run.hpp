#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "outlay/budget.hpp"

namespace outlay {

namespace detail {

/// A type that a coroutine would await: refused by core's run and budgeted, which would close the budget before it ran.
template <class T>
concept AwaitableLike = requires(T& t) { t.await_ready(); } || requires(T&& t) {
  std::forward<T>(t).operator co_await();
} || requires(T&& t) { operator co_await(std::forward<T>(t)); } || requires {
  typename T::executor_type;
  typename T::value_type;
};

template <class R>
using RunResult = std::conditional_t<std::is_void_v<R>, bool, std::optional<std::remove_cvref_t<R>>>;

}  // namespace detail

/// Runs `function` under a budget of its own.
///
/// \return What it returned; for void `true`. Nothing (`false`) when and only when a Truncate policy of *this* budget refused a call
/// in it, whatever the function did with the exception.
/// \par Errors
/// ConfigError as Budget; everything else that `function` throws, refusals by enclosing budgets included.
template <std::invocable F>
detail::RunResult<std::invoke_result_t<F>> run(BudgetOptions options, F&& function) {
  using R = std::invoke_result_t<F>;
  static_assert(!detail::AwaitableLike<std::remove_cvref_t<R>>,
                "outlay::run: this callable returns an awaitable, which would run after the budget has closed. "
                "Include <outlay/asio.hpp> and write: co_await outlay::async_run(options, callable)");
  Budget budget(std::move(options));
  try {
    if constexpr (std::is_void_v<R>) {
      std::invoke(std::forward<F>(function));
      return !detail::truncated_a_call(budget);
    } else {
      std::optional<std::remove_cvref_t<R>> result(std::invoke(std::forward<F>(function)));
      if (detail::truncated_a_call(budget)) result.reset();
      return result;
    }
  } catch (...) {
    if (!detail::truncated_a_call(budget)) throw;
    return {};
  }
}

/// Wraps a function so that each call of it runs under a fresh budget, as by run().
template <class F>
[[nodiscard]] auto budgeted(BudgetOptions options, F&& function) {
  return [options = std::move(options), function = std::forward<F>(function)]<class... Args>(Args&&... args)
    requires std::invocable<const std::decay_t<F>&, Args...>
  {
    static_assert(!detail::AwaitableLike<std::remove_cvref_t<std::invoke_result_t<const std::decay_t<F>&, Args...>>>,
                  "outlay::budgeted: this callable returns an awaitable, which would run after the budget has closed. "
                  "Include <outlay/asio.hpp> and use outlay::async_budgeted");
    return run(options, [&]() -> decltype(auto) { return std::invoke(function, std::forward<Args>(args)...); });
  };
}

}  // namespace outlay
