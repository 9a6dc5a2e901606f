#pragma once

#include <atomic>

namespace test {

/// SQLite's file system with faults: while an object lives, every file that SQLite opens in this process goes through it. Operations are
/// counted from 1, over all files: writes, truncations, and synchronisations.
class FaultVfs {
 public:
  enum class Fault {
    none,
    full,         ///< The disk is full: SQLITE_FULL, nothing written.
    short_write,  ///< Half of the bytes are written, then the disk is full.
    io_error,     ///< SQLITE_IOERR of the operation's kind; of a synchronisation too.
    read_only,    ///< SQLITE_READONLY.
    kill,         ///< The process is killed with SIGKILL before the operation.
    kill_after,   ///< After it.
  };
  FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;
  ~FaultVfs();

  /// The n-th operation from now on meets `fault`, and all later ones if `lasting`.
  void arm(Fault fault, long nth, bool lasting = false) noexcept;
  void disarm() noexcept { arm(Fault::none, 0); }
  /// Operations since arm().
  [[nodiscard]] long operations() const noexcept;
  /// Whether a fault has struck since arm().
  [[nodiscard]] bool struck() const noexcept;
};

}  // namespace test
