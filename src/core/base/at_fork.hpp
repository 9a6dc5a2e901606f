#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <new>

#include "outlay/detail/export.hpp"

namespace outlay::detail {

/// Takes part in every fork(2) of the process for as long as it lives.
///
/// In the child there is the forking thread alone, and what another thread had locked would stay locked for ever. So `before` takes a lock
/// that the child may need, and `after` releases it in both processes; in the child it also lets go of what belongs to the parent. Both run
/// on the forking thread.
/// \par Thread safety
/// The constructor and the destructor wait for a fork that is under way: they must not be called under a lock that any `before` takes.
class OUTLAY_EXPORT AtFork {
 public:
  /// Locks are taken in this order.
  enum class Order : std::uint8_t { sqlite, stores, books, price_books, misuse, log };
  static constexpr std::size_t orders = 6;

  AtFork(Order order, std::function<void()> before, std::function<void(bool in_child)> after);
  AtFork(const AtFork&) = delete;
  AtFork& operator=(const AtFork&) = delete;
  ~AtFork();

 private:
  friend struct ForkRegistry;
  const Order order_;
  const std::function<void()> before_;
  const std::function<void(bool in_child)> after_;
  AtFork* next_ = nullptr;
  AtFork* previous_ = nullptr;
};

/// Grows in the child of every fork: what was made under another number belongs to a parent.
[[nodiscard]] OUTLAY_EXPORT std::uint64_t fork_generation() noexcept;

/// Begins the life of a mutex or a condition variable anew, in a child. Its destructor would wait for threads that are not there.
template <class T>
void renew(T& stale) noexcept {
  ::new (static_cast<void*>(&stale)) T;
}

/// Keeps what belongs to the parent until the child ends: to destroy it would touch what the two share, or wait for threads that are not there.
OUTLAY_EXPORT void abandon(std::shared_ptr<const void> of_parent) noexcept;

}  // namespace outlay::detail
