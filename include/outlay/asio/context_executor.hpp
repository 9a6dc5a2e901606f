#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/context_as.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/execution/prefer_only.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/strand.hpp>
#include <concepts>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "outlay/detail/ambient.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/detail/home.hpp"

namespace outlay {

template <class Inner>
class ContextExecutor;

namespace detail {

/// A handler that runs in a captured context.
template <class F>
struct Run {
  NodeRef scope;
  F function;

  void operator()() {
    // Also where it is the thread's own already: what the handler leaves open must leave the thread with it.
    const Install run(std::move(scope));
    std::move(function)();
  }
};

/// A question to a ContextExecutor behind an any_io_executor, whose type only it knows itself. It answers when its context is
/// queried on the thread that asks.
struct Rewrap {
  NodeRef home;         // for the new executor; empty: the old one's
  bool strand = false;  // the new one is a strand
  boost::asio::any_io_executor answer;
};
/// Takes the question that is being asked on this thread; null: none is.
[[nodiscard]] OUTLAY_EXPORT Rewrap* take_pending_rewrap() noexcept;

/// The same executor for work of another home; `executor` may be of any kind.
[[nodiscard]] OUTLAY_EXPORT boost::asio::any_io_executor with_home(const boost::asio::any_io_executor& executor,
                                                                   NodeRef home);
/// A strand of the same home; the same one if it is a strand already.
[[nodiscard]] OUTLAY_EXPORT boost::asio::any_io_executor strand_of(const boost::asio::any_io_executor& executor);

/// An executor that is too large for any_io_executor's own storage together with a context, by reference.
///
/// Asio would share the pair, too, but counts with a fence that ThreadSanitizer does not see: every program with a strand would be
/// reported.
template <class Inner>
class SharedExecutor {
 public:
  // Deduced: no copy of this may ask whether it converts to an any_io_executor, for which it would have to be copyable.
  template <std::same_as<Inner> Executor>
  explicit SharedExecutor(Executor inner) : inner_(std::make_shared<const Inner>(std::move(inner))) {}

  [[nodiscard]] const Inner& get_inner_executor() const noexcept { return *inner_; }

  template <class F>
  void execute(F&& function) const {
    inner_->execute(std::forward<F>(function));
  }
  template <class Property>
    requires(boost::asio::can_require<const Inner&, const Property&>::value)
  [[nodiscard]] auto require(const Property& property) const {
    return share(boost::asio::require(*inner_, property));
  }
  template <class Property>
    requires(boost::asio::can_prefer<const Inner&, const Property&>::value)
  [[nodiscard]] auto prefer(const Property& property) const {
    return share(boost::asio::prefer(*inner_, property));
  }
  template <class Property>
    requires(boost::asio::can_query<const Inner&, const Property&>::value)
  [[nodiscard]] decltype(auto) query(const Property& property) const {
    return boost::asio::query(*inner_, property);
  }

  friend bool operator==(const SharedExecutor& a, const SharedExecutor& b) noexcept {
    return a.inner_ == b.inner_ || *a.inner_ == *b.inner_;
  }
  friend bool operator!=(const SharedExecutor& a, const SharedExecutor& b) noexcept { return !(a == b); }

 private:
  template <class Other>
  static SharedExecutor<Other> share(Other inner) {
    return SharedExecutor<Other>(std::move(inner));
  }

  std::shared_ptr<const Inner> inner_;
};

template <class Executor>
[[nodiscard]] boost::asio::any_io_executor erased(const Executor& executor) {
  return executor;
}
template <class Inner>
[[nodiscard]] boost::asio::any_io_executor erased(const SharedExecutor<Inner>& executor) {
  return executor.get_inner_executor();
}

/// What a ContextExecutor over an executor holds.
template <class Executor>
using Compact = std::conditional_t<(sizeof(Executor) > 2 * sizeof(void*)), SharedExecutor<Executor>, Executor>;

template <class T>
inline constexpr bool is_strand = false;
template <class Inner>
inline constexpr bool is_strand<boost::asio::strand<Inner>> = true;
template <class Inner>
inline constexpr bool is_strand<SharedExecutor<Inner>> = is_strand<Inner>;

template <class T>
inline constexpr bool is_context_executor = false;
template <class Inner>
inline constexpr bool is_context_executor<ContextExecutor<Inner>> = true;

template <class Property>
inline constexpr bool is_tracked =
    std::same_as<Property, boost::asio::execution::outstanding_work_t::tracked_t> ||
    // As it arrives through any_io_executor.
    std::same_as<Property, boost::asio::execution::prefer_only<boost::asio::execution::outstanding_work_t::tracked_t>>;

template <class Property>
inline constexpr bool is_context_query =
    std::same_as<Property, boost::asio::execution::context_t> ||
    std::same_as<Property, boost::asio::execution::context_as_t<boost::asio::execution_context&>>;

}  // namespace detail

/// An executor that runs work in the context that was current where the work was submitted.
///
/// Made by outlay::co_spawn, which hands it to the coroutine as `this_coro::executor`, and by outlay::on. Everything that Asio starts
/// from it carries the context of its start: awaits, callbacks, timers, `co_spawn`, parallel groups.
///
/// What it cannot do: a handler that code outside the coroutine invokes through no executor runs in that code's context until its
/// next suspension; a coroutine that hops to a plain executor (`bind_executor(plain, use_awaitable)`) has no context there until then,
/// see outlay::on; and a strand must lie *inside*: start coroutines with `outlay::co_spawn(strand, ...)`, not on a strand made from
/// `this_coro::executor`, which would run all its handlers in one submitter's context.
///
/// An executor that a program keeps from `prefer(executor, outstanding_work.tracked)` keeps the context of that moment.
///
/// \par Thread safety
/// As any executor: every member is safe from any thread.
template <class Inner>
class ContextExecutor {
 public:
  /// The executor that this one wraps.
  using inner_executor_type = Inner;

  /// Unbound: captures when work is submitted. For components; programs use outlay::co_spawn and outlay::on.
  ContextExecutor(Inner inner, detail::NodeRef home) noexcept
      : inner_(std::move(inner)), scope_(reinterpret_cast<std::uintptr_t>(home.detach())) {}
  /// A copy has the same inner executor and the same context.
  ContextExecutor(const ContextExecutor& other) noexcept : inner_(other.inner_), scope_(other.scope_) {
    if (node()) detail::acquire(node());
  }
  /// The moved-from executor has no context.
  ContextExecutor(ContextExecutor&& other) noexcept : inner_(std::move(other.inner_)), scope_(other.scope_) {
    other.scope_ = bound_bit;
  }
  /// As a copy or a move of `other`.
  ContextExecutor& operator=(ContextExecutor other) noexcept {
    std::swap(inner_, other.inner_);
    std::swap(scope_, other.scope_);
    return *this;
  }
  ~ContextExecutor() {
    if (node()) detail::release(node());
  }

  /// The executor that this one wraps, for timers and sockets of one's own.
  [[nodiscard]] const Inner& get_inner_executor() const noexcept { return inner_; }

  /// Runs `function` on the inner executor, in the context that this executor holds, or else in that of the caller.
  template <class F>
  void execute(F&& function) const {
    inner_.execute(detail::Run<std::decay_t<F>>{context(), std::forward<F>(function)});
  }

  /// As boost::asio::require of the inner executor; the result keeps the context.
  template <class Property>
    requires(boost::asio::can_require<const Inner&, const Property&>::value)
  [[nodiscard]] auto require(const Property& property) const {
    return rewrap<detail::is_tracked<Property>>(boost::asio::require(inner_, property));
  }
  /// As boost::asio::prefer of the inner executor; the result keeps the context.
  template <class Property>
    requires(boost::asio::can_prefer<const Inner&, const Property&>::value)
  [[nodiscard]] auto prefer(const Property& property) const {
    return rewrap<detail::is_tracked<Property>>(boost::asio::prefer(inner_, property));
  }
  /// As boost::asio::query of the inner executor.
  template <class Property>
    requires(boost::asio::can_query<const Inner&, const Property&>::value)
  [[nodiscard]] decltype(auto) query(const Property& property) const {
    if constexpr (detail::is_context_query<Property>) {
      if (detail::Rewrap* question = detail::take_pending_rewrap()) answer(*question);
    }
    return boost::asio::query(inner_, property);
  }

  /// Of the same inner executor, and with the same context.
  friend bool operator==(const ContextExecutor& a, const ContextExecutor& b) noexcept {
    return a.scope_ == b.scope_ && a.inner_ == b.inner_;
  }
  /// The negation of `==`.
  friend bool operator!=(const ContextExecutor& a, const ContextExecutor& b) noexcept { return !(a == b); }

 private:
  template <class>
  friend class ContextExecutor;

  static constexpr std::uintptr_t bound_bit = 1;
  struct Tagged {};
  ContextExecutor(Tagged, Inner inner, std::uintptr_t scope) noexcept : inner_(std::move(inner)), scope_(scope) {}

  [[nodiscard]] detail::Node* node() const noexcept {
    return reinterpret_cast<detail::Node*>(scope_ & ~bound_bit);  // NOLINT(performance-no-int-to-ptr)
  }
  [[nodiscard]] bool bound() const noexcept { return (scope_ & bound_bit) != 0; }

  [[nodiscard]] detail::NodeRef context() const noexcept {
    return bound() ? detail::NodeRef::share(node()) : detail::NodeRef::adopt(detail::resolve(node()));
  }

  template <bool capture, class Other>
  [[nodiscard]] ContextExecutor<std::decay_t<Other>> rewrap(Other&& inner) const noexcept {
    using Result = ContextExecutor<std::decay_t<Other>>;
    if constexpr (capture) {
      if (!bound()) {
        detail::Node* captured = detail::resolve(node());
        return Result(typename Result::Tagged{}, std::forward<Other>(inner),
                      reinterpret_cast<std::uintptr_t>(captured) | bound_bit);
      }
    }
    if (node()) detail::acquire(node());
    return Result(typename Result::Tagged{}, std::forward<Other>(inner), scope_);
  }

  void answer(detail::Rewrap& question) const {
    detail::NodeRef home = std::move(question.home);
    if (!home) home = bound() ? detail::current_home() : detail::NodeRef::share(node());
    if constexpr (!detail::is_strand<Inner>) {
      if (question.strand) {
        // Over the erased executor: one type for all, and the group's work is I/O.
        using Strand = boost::asio::strand<boost::asio::any_io_executor>;
        using Held = detail::Compact<Strand>;
        question.answer = ContextExecutor<Held>(Held(Strand(detail::erased(inner_))), std::move(home));
        return;
      }
    }
    question.answer = ContextExecutor(inner_, std::move(home));
  }

  Inner inner_;
  std::uintptr_t scope_;  // a counted Node*: the captured scope if the low bit is set (bound), else the home (unbound)
};

/// The executor of this coroutine over another executor: `bind_executor(outlay::on(pool), use_awaitable)`.
///
/// Where a coroutine hops to a plain executor its context is empty until its next suspension. On this one it is right, and scopes
/// that it opens there stay its own. Outside a coroutine: an executor that carries the current context to where work runs.
/// \param executor Anything that fits any_io_executor.
template <class Executor>
[[nodiscard]] ContextExecutor<detail::Compact<Executor>> on(const Executor& executor) {
  return {detail::Compact<Executor>(executor), detail::current_home()};
}
/// The same over an execution context's executor, as an io_context's or a thread_pool's.
template <class ExecutionContext>
  requires std::convertible_to<ExecutionContext&, boost::asio::execution_context&>
[[nodiscard]] auto on(ExecutionContext& context) {
  return on(context.get_executor());
}

}  // namespace outlay
