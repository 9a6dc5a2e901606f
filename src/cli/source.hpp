#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "outlay/sqlite/report.hpp"

namespace outlay::cli {

/// Where rows come from: a file that an SQLite sink or a JSONL sink wrote. Every command reads through it, row by row: memory does not
/// grow with the file.
class Source {
 public:
  using OnRecord = std::function<void(const Record&)>;
  using OnEvent = std::function<void(const BudgetEvent&)>;

  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  /// Hands over what was written since the last time; at first everything. The objects are reused.
  ///
  /// \par Errors
  /// As SqliteReader::read.
  virtual void read(const OnRecord& on_record, const OnEvent& on_event) = 0;
  /// False where older rows that the filter asks for were deleted.
  [[nodiscard]] virtual bool complete() const = 0;
  /// What a reader has to know of what was read, a sentence with its next step; empty: nothing.
  [[nodiscard]] virtual std::string remark() const { return {}; }
};

/// By what the file begins with: SQLite's mark, or a `{`; of an empty file, by the name's `.jsonl`.
[[nodiscard]] std::unique_ptr<Source> open_source(const std::filesystem::path& path, const ReportFilter& filter);

/// \par Errors
/// Error with errc::storage where the file cannot be read; with errc::invalid_argument where the filter names a budget that no line has.
[[nodiscard]] std::unique_ptr<Source> open_jsonl(const std::filesystem::path& path, const ReportFilter& filter);

}  // namespace outlay::cli
