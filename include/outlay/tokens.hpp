#pragma once

#include <cstdint>
#include <string_view>

namespace outlay {

/// Counts, or bounds, the tokens of a text.
///
/// \par Thread safety
/// const members are called from any thread.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// Not below the true count, as far as the tokenizer knows: what a hard cap reserves.
  [[nodiscard]] virtual std::int64_t upper(std::string_view text) const = 0;
  /// The likeliest count: what an estimate shows.
  [[nodiscard]] virtual std::int64_t typical(std::string_view text) const = 0;
};

/// The estimate that needs no data: a scan of the text's bytes, linear in its length, without allocation.
///
/// Its errors are measured in tests/unit/core/tokens_test.cpp.
[[nodiscard]] const Tokenizer& built_in_tokenizer() noexcept;

}  // namespace outlay
