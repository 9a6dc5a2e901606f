#pragma once

#include <string_view>

#include "outlay/report.hpp"

namespace outlay {

/// What a report was made from: a ledger's books, or a file.
struct Report::Source {
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;
  /// The cost of those of the report's records that carry all of `tags`.
  ///
  /// \param what The tags in words, for messages: ` for feature=search`.
  /// \par Errors
  /// Error with errc::incomplete where records of the report are gone.
  [[nodiscard]] virtual Usd spent(const Tags& tags, std::string_view what) const = 0;
};

}  // namespace outlay
