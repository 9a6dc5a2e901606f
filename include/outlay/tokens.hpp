#pragma once

#include <cstdint>
#include <string_view>

#include "outlay/detail/export.hpp"

namespace outlay {

/// Counts, or bounds, the tokens of a text.
///
/// \par Thread safety
/// const members are called from any thread.
class OUTLAY_EXPORT Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// Not below the true count, as far as the tokenizer knows: what a hard cap reserves.
  [[nodiscard]] virtual std::int64_t upper(std::string_view text) const = 0;
  /// The likeliest count: what an estimate shows.
  [[nodiscard]] virtual std::int64_t typical(std::string_view text) const = 0;
};

/// The estimate that needs no data: a scan of the text's bytes, linear in its length, without allocation.
///
/// It weighs what it sees: words by how usual their letters are, digits by threes, punctuation, white space, and the characters
/// of each script. `upper` was fitted not to be below the count of OpenAI's o200k_base and cl100k_base vocabularies on text in 38
/// languages, source code, JSON, logs, base64 and hex; it is about 1.1 to 2 times the larger of the two. `typical` is within 20 %
/// of o200k_base on most texts of a page, and within 45 % in Chinese and Vietnamese. Rare ideographs and random characters may
/// take more than `upper` says, and so may other vendors' vocabularies. What always holds is that no text takes more tokens than
/// it has bytes in UTF-8; `upper` never exceeds that.
/// The errors are measured in tests/unit/core/pricing/tokens_test.cpp.
[[nodiscard]] OUTLAY_EXPORT const Tokenizer& built_in_tokenizer() noexcept;

}  // namespace outlay
