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
  struct Spent {
    Usd usd{};
    bool known = false;  // some record, refused call or scope has ever carried all of the tags
  };
  /// The cost of those of the report's records that carry all of `tags`.
  ///
  /// \param what The tags in words, for messages: ` for feature=search`.
  /// \par Errors
  /// Error with errc::incomplete where records of the report are gone.
  [[nodiscard]] virtual Spent spent(const Tags& tags, std::string_view what) const = 0;
};

}  // namespace outlay
