#pragma once

#include <boost/asio/associator.hpp>
#include <functional>
#include <type_traits>
#include <utility>

#include "outlay/detail/access.hpp"

namespace outlay {

namespace detail {

/// A completion handler that runs in a captured context, with all of the handler's own associations.
template <class Handler>
class ContextBound {
 public:
  ContextBound(NodeRef scope, Handler handler) : scope_(std::move(scope)), handler_(std::move(handler)) {}

  [[nodiscard]] const Handler& handler() const noexcept { return handler_; }

  template <class... Args>
  decltype(auto) operator()(Args&&... args) && {
    const Install run(std::move(scope_));
    return std::invoke(std::move(handler_), std::forward<Args>(args)...);
  }
  template <class... Args>
  decltype(auto) operator()(Args&&... args) & {
    const Install run(scope_);
    return std::invoke(handler_, std::forward<Args>(args)...);
  }
  template <class... Args>
  decltype(auto) operator()(Args&&... args) const& {
    const Install run(scope_);
    return std::invoke(handler_, std::forward<Args>(args)...);
  }

 private:
  NodeRef scope_;
  Handler handler_;
};

}  // namespace detail

/// A completion handler that runs in the context of this call, for operations on a plain executor.
///
/// On a ContextExecutor a callback has the context of its start without this. The handler keeps its executor, allocator, cancellation
/// slot and whatever else is associated with it: `timer.async_wait(bind_context(bind_executor(strand, handler)))`.
template <class Handler>
[[nodiscard]] auto bind_context(Handler&& handler) {
  return detail::ContextBound<std::decay_t<Handler>>(detail::capture(), std::forward<Handler>(handler));
}

/// The same in a given context.
template <class Handler>
[[nodiscard]] auto bind_context(const Context& context, Handler&& handler) {
  return detail::ContextBound<std::decay_t<Handler>>(detail::Access::scope(context), std::forward<Handler>(handler));
}

}  // namespace outlay

template <template <class, class> class Associator, class Handler, class Default>
struct boost::asio::associator<Associator, outlay::detail::ContextBound<Handler>, Default>
    : Associator<Handler, Default> {
  static auto get(const outlay::detail::ContextBound<Handler>& bound) noexcept {
    return Associator<Handler, Default>::get(bound.handler());
  }
  static auto get(const outlay::detail::ContextBound<Handler>& bound, const Default& fallback) noexcept {
    return Associator<Handler, Default>::get(bound.handler(), fallback);
  }
};
