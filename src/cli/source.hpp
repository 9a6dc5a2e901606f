#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "cli/arguments.hpp"
#include "outlay/sqlite/report.hpp"

namespace outlay::cli {

/// Where rows come from: a file that an SQLite sink or a JSONL sink wrote, or a running gateway. Every command reads through it, row by row: memory does not
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
  /// Between two readings that wait for more.
  [[nodiscard]] virtual std::chrono::milliseconds pause() const { return std::chrono::milliseconds(500); }
};

/// A gateway by its URL; a file by what it begins with: SQLite's mark, or a `{`; an empty one by the name's `.jsonl`.
[[nodiscard]] std::unique_ptr<Source> open_source(const SourceArguments& arguments, const ReportFilter& filter);
/// Of a file alone.
[[nodiscard]] std::unique_ptr<Source> open_file(const std::filesystem::path& path, const ReportFilter& filter);

/// As a page names it: a file's name, a gateway's host and port.
[[nodiscard]] std::string short_name(const SourceArguments& arguments);

/// \par Errors
/// Error with errc::storage where the file cannot be read; with errc::invalid_argument where the filter names a budget that no line has.
[[nodiscard]] std::unique_ptr<Source> open_jsonl(const std::filesystem::path& path, const ReportFilter& filter);

}  // namespace outlay::cli
