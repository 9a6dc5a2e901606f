#pragma once

#include <utility>

#include "outlay/detail/export.hpp"
#include "outlay/detail/ref.hpp"

// How the current scope is kept, captured and carried. Not for programs: they use Context, Attach and, in coroutines, outlay/asio.hpp.

namespace outlay::detail {

/// A scope, as the contexts see it: one link of an immutable chain, counted by reference.
struct Node;

OUTLAY_EXPORT void acquire(Node* node) noexcept;
OUTLAY_EXPORT void release(Node* node) noexcept;

/// Empty is the empty context.
using NodeRef = Ref<Node>;

/// The innermost scope of whatever runs on this thread; null if there is none.
///
/// Opaque on purpose: a compiler may keep the address of a thread_local across a suspension, after which the coroutine may be on
/// another thread. Nothing obtained here may be held over a co_await.
[[nodiscard]] OUTLAY_EXPORT Node* ambient() noexcept;

/// The same, as an owning reference.
[[nodiscard]] OUTLAY_EXPORT NodeRef capture() noexcept;

/// Makes a scope the current one of this thread, and takes over an owning reference to it.
///
/// \return What was there before, for restore().
[[nodiscard]] OUTLAY_EXPORT Node* install(Node* scope) noexcept;
OUTLAY_EXPORT void restore(Node* previous) noexcept;

/// Makes a captured scope the thread's own for as long as this object lives, then puts back what was there before.
///
/// What was opened meanwhile and is still open (the coroutine suspended) leaves the thread with it.
class Install {
 public:
  [[nodiscard]] explicit Install(NodeRef scope) noexcept : previous_(install(scope.detach())) {}
  Install(const Install&) = delete;
  Install& operator=(const Install&) = delete;
  ~Install() { restore(previous_); }

 private:
  Node* previous_;
};

}  // namespace outlay::detail
