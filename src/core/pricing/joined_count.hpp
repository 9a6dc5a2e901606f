#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "outlay/detail/export.hpp"

namespace outlay::detail {

/// Counts a text that arrives in pieces as the built-in tokenizer counts it whole: words that are cut are counted once.
class OUTLAY_EXPORT JoinedCount {
 public:
  void add(std::string_view piece);
  /// As Tokenizer::upper() of all pieces joined; 0 without any.
  [[nodiscard]] std::int64_t upper() const noexcept;

 private:
  std::int64_t weight_ = 0;  // of what is before the tail
  std::size_t bytes_ = 0;    // of the whole
  std::string tail_;         // from where a word that is still open may have begun
};

}  // namespace outlay::detail
