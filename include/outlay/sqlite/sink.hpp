#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

#include "outlay/detail/export.hpp"
#include "outlay/sink.hpp"

namespace outlay {

/// What a confirmed row survives.
enum class Durability : std::uint8_t {
  /// The end of the process, however sudden. A power cut may take the last rows, never the file's consistency.
  normal,
  full,  ///< A power cut too: every commit waits for the disk.
};

/// Which rows leave the file again, oldest first; looked after in the background.
struct Retention {
  /// Rows that ended longer ago go. 0: age does not matter.
  std::chrono::seconds age{0};
  /// Rows go until the data fits this many bytes; the file then shrinks. 0: size does not matter; otherwise at least 1 MiB.
  ///
  /// Approximate: the file may be larger by the write-ahead log and by what has come since the last round.
  std::uint64_t bytes{0};
  /// How often a sink looks, beginning when it is opened. Above 0.
  std::chrono::seconds every{60};
};

/// How an sqlite_sink writes. The order of the members is part of the interface, for designated initialisers.
struct SqliteSinkOptions {
  /// The file; made if it is missing, its directory is not. Beside it lie `-wal` and `-shm` while it is in use. No network file system:
  /// SQLite's write-ahead log needs shared memory.
  std::filesystem::path path{};
  /// What a flush promises. Default Durability::normal.
  Durability durability{Durability::normal};
  /// Rows in one transaction. 1 to 65,536.
  std::size_t batch{1'000};
  /// How long a row may wait for its transaction to fill. 0: every row is its own, unless `batch` rows come at once.
  std::chrono::milliseconds max_delay{100};
  /// Which rows leave the file again. Default: none.
  Retention retain{};
  /// How long a commit waits for another process that holds the file's lock, unless a flush's deadline is earlier.
  std::chrono::milliseconds busy_timeout{2'000};
};

/// A durable sink that keeps every record and event in one SQLite file.
///
/// Rows are committed in groups, by write-ahead log, so that readers never wait. Several processes may write one file. The format has a
/// version and is migrated when it is opened; `src/sqlite/README.md` describes it, for queries of one's own.
///
/// \par Guarantee
/// A row for which Ledger::flush has returned is in the file once, whatever kills the process afterwards (Durability). A transaction
/// that fails is kept, up to 65,536 rows, and tried again: a disk that has room again, or a lock that is released, loses nothing and
/// doubles nothing. Only beyond that are rows refused, and counted in SinkStats::dropped.
/// \par Errors
/// ConfigError for options out of range. Error with errc::bad_file for a file that is damaged, no SQLite database, another program's
/// database, or of a newer format; with errc::storage where it cannot be opened, made or locked. Later failures throw from the sink to
/// its ledger: Ledger::flush then throws errc::sink_failed, and the log has the reason.
/// \par Blocking
/// Opening reads and, for a new file, writes a few pages. Everything later happens on the ledger's thread for this sink and on one of
/// its own.
/// \par Fork
/// The child of a fork(2) opens another one. In the one that it has inherited write() throws errc::storage, flush() and close() do nothing,
/// and what waits is written by the parent. fork(2) waits for a transaction that is under way.
[[nodiscard]] OUTLAY_EXPORT std::shared_ptr<Sink> sqlite_sink(const SqliteSinkOptions& options);

}  // namespace outlay
