#include "support/fault_vfs.hpp"

#include <sqlite3.h>

#include <csignal>
#include <cstring>
#include <new>

namespace test {

namespace {

using Fault = FaultVfs::Fault;

// One shim at a time, in one process: its state is plain atomics.
std::atomic<Fault> armed_fault{Fault::none};
std::atomic<long> strike_at{0};
std::atomic<bool> lasts{false};
std::atomic<long> count{0};
std::atomic<bool> has_struck{false};
sqlite3_vfs* real = nullptr;

struct File {
  sqlite3_file base;
  sqlite3_file* inner() noexcept { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
sqlite3_file* inner(sqlite3_file* file) noexcept { return reinterpret_cast<File*>(file)->inner(); }

Fault next_fault() noexcept {
  const long number = ++count;
  const long at = strike_at;
  const Fault fault = armed_fault;
  if (fault == Fault::none || !(number == at || (lasts && number > at))) return Fault::none;
  has_struck = true;
  if (fault == Fault::kill) ::raise(SIGKILL);
  return fault;
}

int error_for(Fault fault, int io_error) noexcept {
  switch (fault) {
    case Fault::full:
    case Fault::short_write:
      return SQLITE_FULL;
    case Fault::read_only:
      return SQLITE_READONLY;
    case Fault::io_error:
      return io_error;
    default:
      return SQLITE_OK;
  }
}

int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
  const Fault fault = next_fault();
  sqlite3_file* f = inner(file);
  if (fault == Fault::short_write) f->pMethods->xWrite(f, bytes, size / 2, offset);
  if (const int code = error_for(fault, SQLITE_IOERR_WRITE); code != SQLITE_OK) return code;
  const int code = f->pMethods->xWrite(f, bytes, size, offset);
  if (fault == Fault::kill_after) ::raise(SIGKILL);
  return code;
}
int truncate(sqlite3_file* file, sqlite3_int64 size) {
  const Fault fault = next_fault();
  if (const int code = error_for(fault, SQLITE_IOERR_TRUNCATE); code != SQLITE_OK) return code;
  const int code = inner(file)->pMethods->xTruncate(inner(file), size);
  if (fault == Fault::kill_after) ::raise(SIGKILL);
  return code;
}
int sync(sqlite3_file* file, int flags) {
  const Fault fault = next_fault();
  // A disk that is full or read-only does not fail to synchronise.
  if (fault == Fault::io_error) return SQLITE_IOERR_FSYNC;
  const int code = inner(file)->pMethods->xSync(inner(file), flags);
  if (fault == Fault::kill_after) ::raise(SIGKILL);
  return code;
}
int close(sqlite3_file* file) { return inner(file)->pMethods->xClose(inner(file)); }
int read(sqlite3_file* file, void* bytes, int size, sqlite3_int64 offset) {
  return inner(file)->pMethods->xRead(inner(file), bytes, size, offset);
}
int file_size(sqlite3_file* file, sqlite3_int64* size) { return inner(file)->pMethods->xFileSize(inner(file), size); }
int lock(sqlite3_file* file, int level) { return inner(file)->pMethods->xLock(inner(file), level); }
int unlock(sqlite3_file* file, int level) { return inner(file)->pMethods->xUnlock(inner(file), level); }
int check_reserved(sqlite3_file* file, int* out) { return inner(file)->pMethods->xCheckReservedLock(inner(file), out); }
int control(sqlite3_file* file, int op, void* arg) { return inner(file)->pMethods->xFileControl(inner(file), op, arg); }
int sector(sqlite3_file* file) { return inner(file)->pMethods->xSectorSize(inner(file)); }
int traits(sqlite3_file* file) { return inner(file)->pMethods->xDeviceCharacteristics(inner(file)); }
int shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  return inner(file)->pMethods->xShmMap(inner(file), page, size, extend, out);
}
int shm_lock(sqlite3_file* file, int offset, int n, int flags) {
  return inner(file)->pMethods->xShmLock(inner(file), offset, n, flags);
}
void shm_barrier(sqlite3_file* file) { inner(file)->pMethods->xShmBarrier(inner(file)); }
int shm_unmap(sqlite3_file* file, int remove) { return inner(file)->pMethods->xShmUnmap(inner(file), remove); }

// Version 2: without memory-mapped reads, so that every access passes here.
const sqlite3_io_methods methods = {2,        close,       read,           write,   truncate, sync,   file_size,
                                    lock,     unlock,      check_reserved, control, sector,   traits, shm_map,
                                    shm_lock, shm_barrier, shm_unmap,      nullptr, nullptr};

int open(sqlite3_vfs* /*vfs*/, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  auto* shim = reinterpret_cast<File*>(file);
  std::memset(shim->inner(), 0, static_cast<std::size_t>(real->szOsFile));
  const int code = real->xOpen(real, name, shim->inner(), flags, out_flags);
  shim->base.pMethods = shim->inner()->pMethods ? &methods : nullptr;
  return code;
}

sqlite3_vfs shim_vfs;

}  // namespace

FaultVfs::FaultVfs() {
  sqlite3_initialize();
  real = sqlite3_vfs_find(nullptr);
  shim_vfs = *real;  // path functions, dynamic loading, time: as they are
  shim_vfs.pNext = nullptr;
  shim_vfs.zName = "outlay_fault";
  shim_vfs.szOsFile = static_cast<int>(sizeof(File)) + real->szOsFile;
  shim_vfs.xOpen = open;
  disarm();
  sqlite3_vfs_register(&shim_vfs, 1);
}

FaultVfs::~FaultVfs() {
  disarm();
  sqlite3_vfs_register(real, 1);
  sqlite3_vfs_unregister(&shim_vfs);
}

void FaultVfs::arm(Fault fault, long nth, bool lasting) noexcept {
  armed_fault = Fault::none;
  count = 0;
  has_struck = false;
  strike_at = nth;
  lasts = lasting;
  armed_fault = fault;
}
long FaultVfs::operations() const noexcept { return count; }
bool FaultVfs::struck() const noexcept { return has_struck; }

}  // namespace test
