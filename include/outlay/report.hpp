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
  /// What its calls cost.
  Usd usd{};
  /// What its calls used.
  Usage usage{};
  std::int64_t calls{};  ///< Wire attempts, rejected ones included.
  // How sure the sum is. The three parts of `usd` add up to it.
  /// Of calls whose usage the provider reported, and whose price is known.
  Usd exact{};
  /// Of calls whose usage was counted here, or whose price is assumed.
  Usd estimated{};
  /// Of calls that ended without a verdict.
  Usd indeterminate{};
  /// Calls without a price, or with a part that has none.
  std::int64_t unpriced_calls{};
  /// Calls in `estimated`.
  std::int64_t estimated_calls{};
  /// Calls in `indeterminate`.
  std::int64_t indeterminate_calls{};
  /// Calls that were sent and refused free of charge.
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
  /// Of a range of rows.
  using value_type = ReportRow;
  /// Of a range of rows.
  using const_iterator = std::vector<ReportRow>::const_iterator;

  /// Without rows.
  Report() = default;
  /// Of rows that were made elsewhere.
  Report(std::vector<ReportRow> rows, bool complete) : rows_(std::move(rows)), complete_(complete) {}

  /// The first row.
  [[nodiscard]] const_iterator begin() const noexcept { return rows_.begin(); }
  /// The end of the rows.
  [[nodiscard]] const_iterator end() const noexcept { return rows_.end(); }
  /// How many rows there are.
  [[nodiscard]] std::size_t size() const noexcept { return rows_.size(); }
  /// There are no rows.
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
  /// For components.
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
/// Writes to_string(report).
OUTLAY_EXPORT std::ostream& operator<<(std::ostream& out, const Report& report);

/// Ledger::current().report(by).
[[nodiscard]] OUTLAY_EXPORT Report report(std::initializer_list<std::string_view> by = {});
/// The same of keys that are known only when the program runs.
[[nodiscard]] OUTLAY_EXPORT Report report(const std::vector<std::string>& by);

/// A recount of the books.
struct Audit {
  /// What a recount says.
  enum class Verdict : std::uint8_t {
    agrees,       ///< The running totals are the sums of the records.
    differs,      ///< They are not: a mistake of the library's.
    cannot_tell,  ///< A record has an amount that is too large to be added up.
  };
  /// What this one says.
  Verdict verdict{};
  /// Where the counters differ from the records, or why that is not known; one sentence each.
  std::vector<std::string> findings{};
};

}  // namespace outlay
