#pragma once

#include "core/context/node.hpp"
#include "core/ledger/books.hpp"

namespace outlay::detail {

/// The ledger of what happens in a scope; null is outside every scope.
[[nodiscard]] inline Books& books_of(const Node* scope) noexcept {
  return scope && scope->books ? *scope->books : Books::default_books();
}

}  // namespace outlay::detail
