#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "outlay/detail/export.hpp"
#include "outlay/record.hpp"
#include "outlay/sqlite/report.hpp"

namespace outlay {

/// Reads the file of an sqlite_sink row by row: everything that is in it, and later what has been added since.
///
/// \par Guarantee
/// Memory is bounded by the texts of about 65,000 rows, however large the file is. Each row is handed over once, whatever retention deletes
/// meanwhile; where it deletes the last 65,536 that were handed over and leaves older ones, those come again.
/// \par Thread safety
/// Distinct objects: safe. Shared object: unsafe.
class OUTLAY_EXPORT SqliteReader final {
 public:
  /// Gets a record. What it throws leaves the reading function.
  using OnRecord = std::function<void(const Record&)>;
  /// Gets an event. What it throws leaves the reading function.
  using OnEvent = std::function<void(const BudgetEvent&)>;

  /// \param filter Of records by when they ended, of events by when they happened.
  explicit SqliteReader(std::filesystem::path path, ReportFilter filter = {});
  SqliteReader(const SqliteReader&) = delete;
  SqliteReader& operator=(const SqliteReader&) = delete;
  ~SqliteReader();

  /// Hands over the records and events that were committed since the last call; at the first call, all of them.
  ///
  /// Both come in the order in which they were committed, interleaved by their times. The objects are reused: copy what is to be kept.
  /// One consistent snapshot; writers go on meanwhile. If a function throws, reading ends, and what was not handed
  /// over comes at the next call. The functions must not use this or another file of outlay's, nor call fork(2).
  /// \par Errors
  /// As report_sqlite, and what the functions throw.
  /// \par Blocking
  /// Reads from the disk: a few seconds for a million rows.
  void read(const OnRecord& on_record, const OnEvent& on_event);

  /// Whether, at the last read(), retention had deleted nothing that the filter asks for.
  [[nodiscard]] bool complete() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace outlay
