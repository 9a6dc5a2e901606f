#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <exception>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "outlay/detail/export.hpp"

namespace outlay {

namespace detail {

enum class Until { all_done, one_succeeds };

struct OUTLAY_EXPORT GroupOutcome {
  std::vector<std::exception_ptr> errors;  // of each child; null: it succeeded
  std::vector<std::size_t> order;          // in which they ended

  /// The first child that ended well; with none, throws.
  [[nodiscard]] std::size_t winner() const;
  /// Throws if a child failed.
  void check() const;
};

/// Runs children at once, each with a home of its own, all on one strand, and waits until they have ended. The first error, or the
/// first success, cancels the others.
OUTLAY_EXPORT boost::asio::awaitable<GroupOutcome> run_group(std::vector<boost::asio::awaitable<void>> children,
                                                             Until until);

/// What a group holds for each child.
template <class T>
struct Slot {
  std::optional<T> value;
  boost::asio::awaitable<void> fill(boost::asio::awaitable<T> child) { value.emplace(co_await std::move(child)); }
  T take() { return std::move(*value); }
};
template <>
struct Slot<void> {
  boost::asio::awaitable<void> fill(boost::asio::awaitable<void> child) { return child; }
  std::monostate take() const noexcept { return {}; }
};

template <class T>
using Alternative = decltype(std::declval<Slot<T>&>().take());

template <class... Children>
std::vector<boost::asio::awaitable<void>> group_of(Children&&... children) {
  std::vector<boost::asio::awaitable<void>> group;
  group.reserve(sizeof...(children));
  (group.push_back(std::move(children)), ...);
  return group;
}

template <class T>
inline constexpr bool is_tuple = false;
template <class... T>
inline constexpr bool is_tuple<std::tuple<T...>> = true;

// What `t && u` yields, as Asio's own: nothing of void, unless it extends a tuple.
template <class T, class U>
auto both(Slot<T>& t, Slot<U>& u) {
  if constexpr (is_tuple<T>) {
    return std::tuple_cat(t.take(), std::tuple<Alternative<U>>(u.take()));
  } else if constexpr (std::is_void_v<T>) {
    if constexpr (!std::is_void_v<U>) return u.take();
  } else if constexpr (std::is_void_v<U>) {
    return t.take();
  } else {
    return std::tuple<T, U>(t.take(), u.take());
  }
}
template <class T, class U>
using Both = decltype(both(std::declval<Slot<T>&>(), std::declval<Slot<U>&>()));

// What `t || u` yields, as Asio's own: a variant, extended where the left one is already one.
template <class T, class U>
struct EitherOf {
  using type = std::variant<Alternative<T>, Alternative<U>>;
  static type left(Slot<T>& t) { return type(std::in_place_index<0>, t.take()); }
  static type right(Slot<U>& u) { return type(std::in_place_index<1>, u.take()); }
};
template <class... T, class U>
struct EitherOf<std::variant<T...>, U> {
  using type = std::variant<T..., Alternative<U>>;
  static type left(Slot<std::variant<T...>>& t) { return move_to(t.take(), std::index_sequence_for<T...>()); }
  static type right(Slot<U>& u) { return type(std::in_place_index<sizeof...(T)>, u.take()); }

 private:
  template <std::size_t... I>
  static type move_to(std::variant<T...> from, std::index_sequence<I...>) {
    std::optional<type> result;
    ((from.index() == I ? static_cast<void>(result.emplace(std::in_place_index<I>, std::move(std::get<I>(from))))
                        : static_cast<void>(0)),
     ...);
    return std::move(result).value();
  }
};
template <class T, class U>
using Either = typename EitherOf<T, U>::type;

}  // namespace detail

/// `&&` and `||` on awaitables: `using namespace outlay::awaitable_operators;`
///
/// As `boost::asio::experimental::awaitable_operators`, with the same result types, and
/// - each child has a home of its own below the current context: what it opens never touches the caller or its siblings;
/// - the children run on one strand, on which the caller starts them, because cancellation in Asio is not thread-safe: these
///   operators are safe on a pool of threads, Asio's own are not. So the children of one group do not run on two threads at once;
/// - where one child failed and the others only because they were cancelled for it, the failure itself is thrown (a BudgetExceeded,
///   say), not boost::asio::multiple_exceptions; where all were refused by budgets, the first BudgetExceeded.
///
/// Not to be used together with Asio's own in one scope: calls would be ambiguous.
namespace awaitable_operators {

/// Waits for both; the first that fails cancels the other.
///
/// \return Nothing, the value of the one that has one, or a tuple; a tuple on the left is extended (by std::monostate for void).
/// \par Errors
/// What the child threw; boost::asio::multiple_exceptions with the first one if both failed each by itself, and not both with
/// BudgetExceeded.
/// \par Cancellation
/// Passed on to both.
template <class T, class U>
[[nodiscard]] boost::asio::awaitable<detail::Both<T, U>> operator&&(boost::asio::awaitable<T> t,
                                                                    boost::asio::awaitable<U> u) {
  detail::Slot<T> left;
  detail::Slot<U> right;
  std::vector<boost::asio::awaitable<void>> group = detail::group_of(left.fill(std::move(t)), right.fill(std::move(u)));
  const detail::GroupOutcome outcome = co_await detail::run_group(std::move(group), detail::Until::all_done);
  outcome.check();
  co_return detail::both(left, right);
}

/// Waits for one to succeed, and cancels the other then.
///
/// \return A variant with the value of the first that succeeded (std::monostate for void); a variant on the left is extended.
/// \par Errors
/// boost::asio::multiple_exceptions with the first failure if both failed, and not both with BudgetExceeded: then that.
/// \par Cancellation
/// Passed on to both.
template <class T, class U>
[[nodiscard]] boost::asio::awaitable<detail::Either<T, U>> operator||(boost::asio::awaitable<T> t,
                                                                      boost::asio::awaitable<U> u) {
  detail::Slot<T> left;
  detail::Slot<U> right;
  std::vector<boost::asio::awaitable<void>> group = detail::group_of(left.fill(std::move(t)), right.fill(std::move(u)));
  const detail::GroupOutcome outcome = co_await detail::run_group(std::move(group), detail::Until::one_succeeds);
  if (outcome.winner() == 0) co_return detail::EitherOf<T, U>::left(left);
  co_return detail::EitherOf<T, U>::right(right);
}

}  // namespace awaitable_operators

/// `&&` over a range: waits for all children; the first that fails cancels the others. No child: done at once.
///
/// \return Their values, in the order of the range; nothing for void.
/// \par Errors
/// As operator&&.
template <class T>
[[nodiscard]] boost::asio::awaitable<std::vector<T>> wait_all(std::vector<boost::asio::awaitable<T>> children) {
  std::vector<detail::Slot<T>> slots(children.size());
  std::vector<boost::asio::awaitable<void>> group;
  group.reserve(children.size());
  for (std::size_t i = 0; i < children.size(); ++i) group.push_back(slots[i].fill(std::move(children[i])));
  const detail::GroupOutcome outcome = co_await detail::run_group(std::move(group), detail::Until::all_done);
  outcome.check();
  std::vector<T> values;
  values.reserve(slots.size());
  for (detail::Slot<T>& slot : slots) values.push_back(slot.take());
  co_return values;
}
/// The same of children without values.
[[nodiscard]] OUTLAY_EXPORT boost::asio::awaitable<void> wait_all(std::vector<boost::asio::awaitable<void>> children);

/// `||` over a range: waits for one child to succeed, and cancels the others then.
///
/// \return Which it was, and its value.
/// \par Errors
/// As operator||. Error with errc::invalid_argument for an empty range: nothing could succeed.
template <class T>
[[nodiscard]] boost::asio::awaitable<std::pair<std::size_t, T>> wait_any(
    std::vector<boost::asio::awaitable<T>> children) {
  std::vector<detail::Slot<T>> slots(children.size());
  std::vector<boost::asio::awaitable<void>> group;
  group.reserve(children.size());
  for (std::size_t i = 0; i < children.size(); ++i) group.push_back(slots[i].fill(std::move(children[i])));
  const detail::GroupOutcome outcome = co_await detail::run_group(std::move(group), detail::Until::one_succeeds);
  const std::size_t winner = outcome.winner();
  co_return std::pair<std::size_t, T>(winner, slots[winner].take());
}
/// The same of children without values. \return Which it was.
[[nodiscard]] OUTLAY_EXPORT boost::asio::awaitable<std::size_t> wait_any(
    std::vector<boost::asio::awaitable<void>> children);

}  // namespace outlay
