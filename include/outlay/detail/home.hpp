#pragma once

#include "outlay/detail/ambient.hpp"
#include "outlay/detail/export.hpp"

// What outlay/asio.hpp needs from core to carry contexts. Not for programs.

namespace outlay::detail {

/// A new coroutine home below a scope (empty: below nothing). Throws std::bad_alloc.
[[nodiscard]] OUTLAY_EXPORT NodeRef make_home(NodeRef enclosing);

/// The home of the running coroutine; a new one below the current context where there is none. Throws
/// std::bad_alloc.
[[nodiscard]] OUTLAY_EXPORT NodeRef current_home();

/// The context of work that is submitted now to an executor of the coroutine that owns `home`.
///
/// That is what runs on this thread, if it belongs to that coroutine. Otherwise other code is completing one
/// of its operations, and the context is the innermost scope open in the home. Where several threads of
/// execution share the home, it is not known which of them it is, so it is the home itself, and that is reported
/// (Misuse::ambiguous_home).
///
/// \return An owning reference.
[[nodiscard]] OUTLAY_EXPORT Node* resolve(Node* home) noexcept;

/// Tells core how to see whether this thread is inside an event loop, so that a scope in a coroutine frame
/// outside every context is noticed.
OUTLAY_EXPORT bool set_loop_probe(bool (*inside_loop)() noexcept) noexcept;

}  // namespace outlay::detail
