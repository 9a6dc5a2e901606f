#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/detail/export.hpp"
#include "outlay/tags.hpp"
#include "outlay/usage.hpp"

namespace outlay {

/// One group of a report, and the sums over its records.
struct ReportRow {
  /// The values of the keys that were asked for. A key that the records do not have is absent.
  Tags tags{};
  Usd usd{};
  Usage usage{};
  std::int64_t calls{};  ///< Wire attempts, rejected ones included.
  // How sure the sum is. The three parts of `usd` add up to it.
  Usd exact{};
  Usd estimated{};
  Usd indeterminate{};
  std::int64_t unpriced_calls{};
  std::int64_t estimated_calls{};
  std::int64_t indeterminate_calls{};
  std::int64_t rejected_calls{};
  std::int64_t blocked_calls{};  ///< Refused before they were sent (events; they are no part of `calls`).
};

/// Where the money went: a snapshot of a ledger's records, grouped.
///
/// Rows come dearest first, then by tags.
/// \par Thread safety
/// A value.
class OUTLAY_EXPORT Report {
 public:
  using value_type = ReportRow;
  using const_iterator = std::vector<ReportRow>::const_iterator;

  Report() = default;
  Report(std::vector<ReportRow> rows, bool complete) : rows_(std::move(rows)), complete_(complete) {}

  [[nodiscard]] const_iterator begin() const noexcept { return rows_.begin(); }
  [[nodiscard]] const_iterator end() const noexcept { return rows_.end(); }
  [[nodiscard]] std::size_t size() const noexcept { return rows_.size(); }
  [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }
  /// \par Errors
  /// std::out_of_range.
  [[nodiscard]] const ReportRow& at(std::size_t index) const { return rows_.at(index); }
  /// The sum over all rows, without tags.
  [[nodiscard]] ReportRow total() const;
  /// False where the ledger has evicted records: the sums are then of what is left.
  [[nodiscard]] bool complete() const noexcept { return complete_; }

  /// Those of the keys that it was grouped by which are tags that none of its records has: misspelt, most likely. Empty where there are
  /// no records.
  [[nodiscard]] const std::vector<std::string>& missing_keys() const noexcept { return missing_keys_; }

  /// Cost as a test assertion: fails if the records that carry all of `tags` cost more than `limit`.
  ///
  /// `tags` may name any tag or reserved key, whether the report was grouped by it or not. `{"budget", name}` means every budget of that
  /// name and everything inside it; where no budget has that name, it is a path as a report's rows write it.
  /// \par Errors
  /// Error with errc::over_limit, with the numbers. Rather than pass by mistake, with errc::incomplete where records were evicted, and
  /// with errc::invalid_argument where no call and no scope ever had these tags together, such as the name of no budget.
  void assert_under(Usd limit, const Tags& tags = {}) const;

  struct Source;  // what the report was made from, kept for assert_under
  Report(std::vector<ReportRow> rows, bool complete, std::shared_ptr<const Source> source,
         std::vector<std::string> missing_keys)
      : rows_(std::move(rows)),
        complete_(complete),
        source_(std::move(source)),
        missing_keys_(std::move(missing_keys)) {}

 private:
  std::vector<ReportRow> rows_;
  bool complete_ = true;
  std::shared_ptr<const Source> source_;
  std::vector<std::string> missing_keys_;
};

/// An aligned table: the keys, money, calls, tokens in and out, refused calls; the total below. Control characters in tags are shown as U+FFFD.
[[nodiscard]] OUTLAY_EXPORT std::string to_string(const Report& report);
OUTLAY_EXPORT std::ostream& operator<<(std::ostream& out, const Report& report);

/// Ledger::current().report(by).
[[nodiscard]] OUTLAY_EXPORT Report report(std::initializer_list<std::string_view> by = {});
[[nodiscard]] OUTLAY_EXPORT Report report(const std::vector<std::string>& by);

/// A recount of the books.
struct Audit {
  enum class Verdict : std::uint8_t { agrees, differs, cannot_tell };
  Verdict verdict{};
  /// Where the counters differ from the records, or why that is not known; one sentence each.
  std::vector<std::string> findings{};
};

}  // namespace outlay
