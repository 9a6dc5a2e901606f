#pragma once

#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/clock.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/record.hpp"
#include "outlay/report.hpp"
#include "outlay/tags.hpp"

namespace outlay {

/// Which records and events a report is made from.
struct ReportFilter {
  std::optional<Time> since{};  ///< Ended then or later.
  std::optional<Time> until{};  ///< Ended before.
  /// Only those that carry all of these; reserved names (`model`, `provider`, `budget`, `day`) count too. A budget means what it means to
  /// Report::assert_under, and a day is that of the admission, in UTC.
  Tags tags{};
};

/// Where the money went, from the file of an sqlite_sink: Ledger::report over everything that was ever committed to it.
///
/// Grouped by tags and by `model`, `provider`, `budget` and `day` (UTC), with the meaning of Ledger::report. One consistent snapshot;
/// writers go on meanwhile. The file may be on a read-only disk, and of any process.
///
/// Report::complete() is false where retention has deleted records that the filter asks for. Report::assert_under reads the file again
/// for what the report was not grouped by, up to the snapshot's last record.
/// \par Errors
/// Error with errc::bad_file, as for sqlite_sink; with errc::storage where the file is missing or cannot be read; with errc::overflow
/// where a sum exceeds Usd; with errc::invalid_argument where the filter names a budget that the file does not know.
/// \par Blocking
/// Reads the table once: about half a second for a million records.
[[nodiscard]] OUTLAY_EXPORT Report report_sqlite(const std::filesystem::path& path,
                                                 std::initializer_list<std::string_view> by = {},
                                                 const ReportFilter& filter = {});
/// The same of keys that are known only when the program runs.
[[nodiscard]] OUTLAY_EXPORT Report report_sqlite(const std::filesystem::path& path, const std::vector<std::string>& by,
                                                 const ReportFilter& filter = {});

/// What was billed, or may have been, and is not known: the records that ended without a verdict, oldest first.
///
/// Found by an index, however large the file is.
/// \param limit At most so many.
/// \par Errors
/// As report_sqlite.
[[nodiscard]] OUTLAY_EXPORT std::vector<Record> indeterminate_sqlite(const std::filesystem::path& path,
                                                                     const ReportFilter& filter = {},
                                                                     std::size_t limit = 1'000);

}  // namespace outlay
