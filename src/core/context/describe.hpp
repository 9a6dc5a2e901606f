#pragma once

#include <string>

#include "core/context/node.hpp"

namespace outlay::detail {

/// A scope as the program knows it, for messages: `budget "answer"`. Null: `no scope`.
[[nodiscard]] std::string describe(const Node* node) noexcept;

}  // namespace outlay::detail
