#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "outlay/detail/ambient.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/tags.hpp"

namespace outlay {

class BudgetHandle;
class Context;
class Ledger;

namespace detail {

struct Access;

/// A callable that runs in a captured context.
template <class F>
class Bound {
 public:
  Bound(NodeRef scope, F function) : scope_(std::move(scope)), function_(std::move(function)) {}

  template <class... Args>
    requires std::invocable<F&, Args...>
  decltype(auto) operator()(Args&&... args) {
    const Install run(scope_);
    return std::invoke(function_, std::forward<Args>(args)...);
  }
  template <class... Args>
    requires std::invocable<const F&, Args...>
  decltype(auto) operator()(Args&&... args) const {
    const Install run(scope_);
    return std::invoke(function_, std::forward<Args>(args)...);
  }

 private:
  NodeRef scope_;
  F function_;
};

}  // namespace detail

/// The scopes around the current task: budgets, tags and the ledger.
///
/// Immutable and cheap to copy (one counted pointer). It keeps its scopes' books alive: spending in a context whose budgets have
/// been closed still counts there.
///
/// \par Thread safety
/// A value: copies are independent and may be used from any thread.
class OUTLAY_EXPORT Context {
 public:
  /// The empty context: no budget, no tags, the default ledger.
  Context() noexcept = default;

  /// The context of the running task. A plain thread starts with the empty one.
  [[nodiscard]] static Context current() noexcept { return Context(detail::capture()); }

  /// Nothing is open: no budget, no tags, the default ledger.
  [[nodiscard]] bool empty() const noexcept;
  /// The innermost value of a tag.
  [[nodiscard]] std::optional<std::string> tag(std::string_view key) const;
  /// Every tag with its innermost value.
  [[nodiscard]] Tags tags() const;
  /// The names of the enclosing budgets from the outermost in; `"(unnamed)"` for one without a name.
  [[nodiscard]] std::vector<std::string> budgets() const;

  /// A copy of `function` that runs in this context, wherever and however often it is called.
  ///
  /// \par Thread safety
  /// As that of `function`.
  template <class F>
  [[nodiscard]] detail::Bound<std::decay_t<F>> bind(F&& function) const {
    return {scope_, std::forward<F>(function)};
  }

 private:
  friend struct detail::Access;
  explicit Context(detail::NodeRef scope) noexcept : scope_(std::move(scope)) {}

  detail::NodeRef scope_;
};

/// Makes a captured Context, or the budget of a BudgetHandle, the current one for a scope.
///
/// What the task's own scopes were before is put back at the end.
/// \par Thread safety
/// Opened and closed by one task.
class OUTLAY_EXPORT Attach final {
 public:
  /// Makes the context the current one.
  [[nodiscard]] explicit Attach(const Context& context);
  /// Makes the handle's budget the innermost one. The tags of the task stay, in front of those with which the handle was made. Budgets
  /// that are open here and do not enclose the handle's do not count what is spent inside: that is reported once.
  ///
  /// \par Errors
  /// ConfigError where there are more than 32 tags with those of the task.
  [[nodiscard]] explicit Attach(const BudgetHandle& handle);
  Attach(const Attach&) = delete;
  Attach& operator=(const Attach&) = delete;
  ~Attach();

 private:
  detail::Node* node_;
};

}  // namespace outlay
