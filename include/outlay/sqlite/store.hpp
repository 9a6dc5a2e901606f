#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "outlay/detail/export.hpp"
#include "outlay/store.hpp"

namespace outlay {

/// How an sqlite_store is opened. The order of the members is part of the interface, for designated initialisers.
struct SqliteStoreOptions {
  /// The file; made if it is missing, for its owner alone (mode 0600), its directory is not. Beside it lie `-wal` and `-shm` while it is
  /// in use. It may be the file of an sqlite_sink too. No network file system: SQLite's write-ahead log needs shared memory.
  std::string path{};
  /// The file may be locked for too long, full, or gone.
  OnUnreachable on_unreachable = OnUnreachable::deny();
  std::chrono::milliseconds timeout{1'000};  ///< As StoreOptions::timeout.
  std::chrono::milliseconds lease{60'000};   ///< As StoreOptions::lease.
  OnExpiry on_expiry{};                      ///< As StoreOptions::on_expiry.
  /// False: the file must have counters already, as for a tool that looks at a program's. What has none is left as it is.
  bool create{true};
};

/// Counters in one SQLite file, shared by the processes of one machine.
///
/// Each admission is one transaction, and all processes agree on the machine's clock. `src/sqlite/README.md` describes the tables.
///
/// \par Guarantee
/// As Store. What was answered is kept, even where the process is killed. A power cut may lose the last commands, but never leaves an
/// inconsistent file.
///
/// Replaced by another file, or by an older copy of itself, it is opened again; StoreReply::epoch and StoreReply::version show it.
/// \par Errors
/// ConfigError for options out of range. Error with errc::bad_file for a file that is damaged, no SQLite database, another program's
/// database, of a newer format, or without counters where they are not to be made; with errc::storage where it cannot be opened, made or locked. Later failures are StoreUnavailable, or
/// what `on_unreachable` says.
/// \par Thread safety
/// As Store. Make one for each file in a process, and share it.
/// \par Blocking
/// Opening reads and, for a new file, writes a few pages. Admissions wait at most `timeout` for the locks of other processes.
/// \par Fork
/// As Store: the child opens another one. fork(2) waits for a transaction that is under way, and the child closes its copy of the
/// connection without touching the file.
[[nodiscard]] OUTLAY_EXPORT std::shared_ptr<Store> sqlite_store(const SqliteStoreOptions& options);

}  // namespace outlay
