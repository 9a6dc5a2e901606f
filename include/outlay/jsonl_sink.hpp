#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "outlay/detail/export.hpp"
#include "outlay/record.hpp"
#include "outlay/sink.hpp"

namespace outlay {

/// How a jsonl_sink writes.
struct JsonlSinkOptions {
  /// The file; made if it is missing (mode 0644 less the umask), appended to otherwise. Its directory is not made.
  std::filesystem::path path{};
  /// Ledger::flush waits until the disk has the lines, so that they survive a power cut. Without it they survive the process.
  bool sync{false};
};

/// A durable sink that appends one JSON object (RFC 8259, UTF-8) a line to a file: to_json_line() of every record and event.
///
/// Each line is one write at the end of the file, so several processes may append to one. A line that a full disk cut short is ended
/// before the next one, and a last line without its end is ended when the file is opened: a reader meets at most one line that is no
/// JSON where a write failed.
/// \par Errors
/// ConfigError without a path. Error with errc::storage where the file cannot be opened, here; where it cannot be written, from the
/// sink to its ledger, which counts the row as dropped (Ledger::flush then throws errc::sink_failed).
[[nodiscard]] OUTLAY_EXPORT std::shared_ptr<Sink> jsonl_sink(const JsonlSinkOptions& options);

/// A record as one line of JSON, without the line's end.
///
/// `"type":"call"`; times in RFC 3339, UTC, nanoseconds; money as whole nano-dollars (`usd_nanos`, `reserved_nanos` ...) and, for people,
/// as decimal text (`usd`). Members that say nothing are left out: empty texts, the special usage counts at 0. Bytes that are no UTF-8
/// become U+FFFD. The locale is never consulted.
[[nodiscard]] OUTLAY_EXPORT std::string to_json_line(const Record& record);
/// As above, with `"type":"event"`.
[[nodiscard]] OUTLAY_EXPORT std::string to_json_line(const BudgetEvent& event);

}  // namespace outlay
