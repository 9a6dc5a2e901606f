#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "outlay/detail/export.hpp"

namespace outlay::detail {

/// JSON in which each half of a surrogate pair that stands alone, `\ud83d`, is U+FFFD; empty if there is none.
///
/// Programs in JavaScript and Python write such halves where a text was cut within an emoji, and Boost.JSON takes them for no JSON. Half a
/// character must not cost the usage report behind it.
[[nodiscard]] OUTLAY_EXPORT std::optional<std::string> without_lone_surrogates(std::string_view json);

/// The same for JSON that comes in pieces. What is not decided yet, an escape that breaks off, waits for the next piece: it is within a
/// string, so never the end of a document.
class SurrogateMender {
 public:
  /// \return What came before and was kept, and of `bytes` what is decided; it lives as `bytes` do, and until the next call.
  [[nodiscard]] std::string_view operator()(std::string_view bytes);

 private:
  std::string kept_, text_;
};

}  // namespace outlay::detail
