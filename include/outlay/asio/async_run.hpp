#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "outlay/asio/co_spawn.hpp"
#include "outlay/budget.hpp"
#include "outlay/run.hpp"

namespace outlay {

namespace detail {

template <class F>
using AwaitedBy = typename std::remove_cvref_t<std::invoke_result_t<F>>::value_type;

/// Keeps options and function in its frame.
template <class F>
boost::asio::awaitable<RunResult<AwaitedBy<F&>>> run_in_frame(BudgetOptions options, F function) {
  using R = AwaitedBy<F&>;
  Budget budget(std::move(options));
  try {
    if constexpr (std::is_void_v<R>) {
      co_await std::invoke(function);
      co_return !truncated_a_call(budget);
    } else {
      std::optional<std::remove_cvref_t<R>> result(co_await std::invoke(function));
      if (truncated_a_call(budget)) result.reset();
      co_return result;
    }
  } catch (...) {
    // Whatever the function, or a group of its children, has made of the refusal.
    if (!truncated_a_call(budget)) throw;
  }
  co_return RunResult<R>{};
}

template <class F>
class AsyncBudgeted {
 public:
  AsyncBudgeted(BudgetOptions options, F function) : options_(std::move(options)), function_(std::move(function)) {}

  template <class... Args>
    requires AwaitableFunction<F&, std::decay_t<Args>&...>
  [[nodiscard]] auto operator()(Args&&... args) const {
    // Everything is copied into the frame: it runs after this call.
    auto call = [function = function_, ... kept = std::decay_t<Args>(std::forward<Args>(args))]() mutable {
      return std::invoke(function, kept...);
    };
    return run_in_frame(BudgetOptions(options_), std::move(call));
  }

 private:
  BudgetOptions options_;
  F function_;
};

}  // namespace detail

/// As run(), for coroutines: `co_await async_run(options, [&]() -> boost::asio::awaitable<int> { ... })`.
///
/// The budget is open while the awaitable that `function` returns runs; options and function are kept in the coroutine's frame.
///
/// \return optional of what the function's awaitable yields; for void, bool. Nothing (`false`) when and only when a Truncate policy of
/// *this* budget refused a call in it, whatever the function made of that: then nothing that it throws comes out.
/// \par Errors
/// When it is awaited: ConfigError as Budget; everything else that the function throws, refusals by enclosing budgets included.
/// \par Suspension
/// As Budget: the caller runs on outlay's context executor.
template <class F>
  requires detail::AwaitableFunction<std::decay_t<F>&> && detail::SafeTemporary<F>
[[nodiscard]] auto async_run(const BudgetOptions& options, F&& function) {
  return detail::run_in_frame(BudgetOptions(options), std::decay_t<F>(std::forward<F>(function)));
}

/// Wraps a function that returns an awaitable so that each call of it runs under a fresh budget, as by async_run().
///
/// The arguments of a call are copied into its frame, as what they are: where the function takes a reference, pass its own type, since a
/// reference to a converted argument would dangle at the first suspension.
template <class F>
[[nodiscard]] auto async_budgeted(const BudgetOptions& options, F&& function) {
  return detail::AsyncBudgeted<std::decay_t<F>>(options, std::forward<F>(function));
}

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
template <class F>
auto async_run(BudgetOptions&&, F&&) {
  static_assert(detail::never<F>,
                "g++ 12 destroys a temporary of this type twice in a co_await expression. Give the options a "
                "name first: "
                "outlay::BudgetOptions options{...}; co_await outlay::async_run(options, function);");
}
template <class F>
  requires(detail::AwaitableFunction<std::decay_t<F>&> && !detail::SafeTemporary<F>)
auto async_run(const BudgetOptions&, F&&) {
  static_assert(detail::never<F>,
                "g++ 12 destroys a temporary lambda with captures by value twice in a co_await expression. "
                "Give it a name first: "
                "auto function = [...]...; co_await outlay::async_run(options, function);");
}
#endif

}  // namespace outlay
