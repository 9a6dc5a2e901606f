#pragma once

#include <atomic>
#include <cstdint>

#include "core/context/node.hpp"
#include "outlay/detail/home.hpp"

namespace outlay::detail {

/// A one-word lock for critical sections of a few instructions.
class SpinLock {
 public:
  void lock() noexcept;
  void unlock() noexcept { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

/// A transparent scope at the base of a coroutine: what the coroutine falls back to when an operation resumes it that does not hold its
/// executor.
///
/// A second thread of execution in the same coroutine (a child that Asio started) that opens scopes gets a
/// *split* home of its own, so that `last` never mixes the scopes of two.
struct HomeNode final : Node {
  /// \param enclosing Taken over; may be null.
  HomeNode(Node* enclosing, HomeNode* split_from) noexcept;
  ~HomeNode() override;

  HomeNode* const root;  // the home that this one was split from; itself otherwise. Alive through the parents
  std::atomic<std::uint32_t> splits{0};  // in a root: how many split homes there are
  SpinLock lock;
  // (lock) The innermost open scope of this home, or the home itself. Not owned: an open scope has a handle.
  Node* last;

  [[nodiscard]] bool split() const noexcept { return root != this; }
  /// `node` was opened on top of `head`; false if `head` is not the innermost scope of this home (nothing is
  /// done then).
  bool enter(const Node* head, Node* node) noexcept;
  /// `node` is closed.
  void leave(const Node* node) noexcept;
  /// For a root: what an operation that does not hold its executor completes in. An owning reference.
  [[nodiscard]] Node* fall_back() noexcept;
};

}  // namespace outlay::detail
