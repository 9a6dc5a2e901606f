#pragma once

#include <cstddef>
#include <cstdint>

namespace outlay::detail {

/// The bounds that boost::json::basic_parser asks of a handler: none here, since texts are bounded before they are parsed.
struct AnySize {
  static constexpr std::size_t max_object_size = SIZE_MAX;
  static constexpr std::size_t max_array_size = SIZE_MAX;
  static constexpr std::size_t max_key_size = SIZE_MAX;
  static constexpr std::size_t max_string_size = SIZE_MAX;
};

}  // namespace outlay::detail
