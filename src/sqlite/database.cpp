#include "sqlite/database.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/at_fork.hpp"
#include "core/base/percent.hpp"
#include "core/base/utf8.hpp"

namespace outlay::detail {

namespace {

int primary(int code) noexcept { return code & 0xFF; }

struct Cause {
  errc code;
  const char* what;
  const char* remedy;
};

Cause cause_of(int code) noexcept {
  switch (primary(code)) {
    case SQLITE_NOTADB:
      return {errc::bad_file, "is no SQLite database",
              "Choose another path, or move the file away; it was not changed"};
    case SQLITE_CORRUPT:
    case SQLITE_MISMATCH:
      return {errc::bad_file, "is damaged",
              "Move it away together with its -wal and -shm, and save what can be read: sqlite3 OLD .recover "
              "| sqlite3 NEW"};
    case SQLITE_FULL:
      return {errc::storage, "cannot be written: the disk is full", "Free some room"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return {errc::storage, "is locked by another process", "Wait until it is done; lsof shows who holds the file"};
    case SQLITE_READONLY:
      return {errc::storage, "is read-only", "Check the permissions of the file and its directory, and the mount"};
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return {errc::storage, "cannot be opened", "Check that its directory exists, and the permissions"};
    case SQLITE_IOERR:
      return {errc::storage, "met an I/O error", "Check the disk"};
    case SQLITE_NOMEM:
      return {errc::storage, "found no memory", "Free some"};
    case SQLITE_TOOBIG:
      return {errc::storage, "was given a text that is too long", "Shorten tags and names"};
    case SQLITE_ERROR:
    case SQLITE_SCHEMA:
    case SQLITE_CONSTRAINT:
      return {errc::bad_file, "does not have the tables of its format",
              "Something else has changed them: move the file away, and start a new one"};
    default:
      return {errc::storage, "failed", "See SQLite's message"};
  }
}

}  // namespace

/// Who is in SQLite, and which connections are open.
class SqliteGate {
 public:
  static SqliteGate& get() noexcept {
    static SqliteGate& gate = *new SqliteGate;
    return gate;
  }
  void enter() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !forking_; });
    ++inside_;
  }
  void leave() noexcept {
    const std::lock_guard lock(mutex_);
    if (--inside_ == 0) changed_.notify_all();
  }
  void add(Database& database) {
    const std::lock_guard lock(mutex_);
    open_.push_back(&database);
  }
  void remove(const Database& database) noexcept {
    const std::lock_guard lock(mutex_);
    std::erase(open_, &database);
  }

 private:
  void before_fork() {
    std::unique_lock lock(mutex_);
    forking_ = true;
    changed_.wait(lock, [this] { return inside_ == 0; });
    lock.release();  // held until after the fork
  }
  void after_fork(bool in_child) noexcept {
    forking_ = false;
    if (in_child) {
      renew(changed_);
      for (Database* database : open_) database->close_in_child();
      open_.clear();
    }
    mutex_.unlock();
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int inside_ = 0;
  bool forking_ = false;
  std::vector<Database*> open_;
  const AtFork at_fork_{AtFork::Order::sqlite, [this] { before_fork(); },
                        [this](bool in_child) { after_fork(in_child); }};
};

SqliteUse::SqliteUse() { SqliteGate::get().enter(); }
SqliteUse::~SqliteUse() { SqliteGate::get().leave(); }

bool SqliteError::busy() const noexcept {
  const int code = primary(sqlite_code_);
  return code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_PROTOCOL;
}

Database::Database(const std::filesystem::path& path, Mode mode) : name_(well_formed(path.native())) {
  std::error_code ignored;
  // Absolute, so that no name means anything special to SQLite (":memory:", "").
  std::string where = std::filesystem::absolute(path, ignored).native();
  if (where.find('\0') != where.npos) throw ConfigError("the path \"" + name_ + "\" contains a NUL byte");
  if (std::filesystem::is_directory(path, ignored))
    throw SqliteError(errc::storage, SQLITE_CANTOPEN, "\"" + name_ + "\" is a directory: name a file in it");
  if (mode != Mode::read_only) {
    open(where.c_str(), SQLITE_OPEN_READWRITE | (mode == Mode::read_write ? SQLITE_OPEN_CREATE : 0));
    // SQLite opens what may not be written for reading alone, and fails at the first commit, which is too late
    // for the caller that chose the path.
    if (sqlite3_db_readonly(handle_, "main") != 0) {
      close();
      const Cause cause = cause_of(SQLITE_READONLY);
      throw SqliteError(cause.code, SQLITE_READONLY, "\"" + name_ + "\" " + cause.what + ". " + cause.remedy);
    }
    return;
  }
  if (!std::filesystem::exists(path, ignored))
    throw SqliteError(errc::storage, SQLITE_CANTOPEN,
                      "\"" + name_ + "\" does not exist: check the path, or open it with sqlite_sink first");
  open(where.c_str(), SQLITE_OPEN_READONLY);
  // The first read finds out whether the write-ahead log's index can be made. Where it cannot (a read-only or a full disk) and there is no log
  // to be read, the file does not change, and may be read as it lies.
  sqlite3_stmt* probe = nullptr;
  int code = sqlite3_prepare_v2(handle_, "SELECT count(*) FROM sqlite_schema", -1, &probe, nullptr);
  if (code == SQLITE_OK) code = sqlite3_step(probe);
  sqlite3_finalize(probe);
  if (code == SQLITE_ROW) return;
  const bool unwritable = primary(code) == SQLITE_CANTOPEN || primary(code) == SQLITE_READONLY ||
                          code == SQLITE_IOERR_SHMOPEN || code == SQLITE_IOERR_SHMSIZE || code == SQLITE_IOERR_SHMMAP;
  std::error_code no_log;
  const bool has_log = std::filesystem::file_size(where + "-wal", no_log) > 0 && !no_log;
  if (!unwritable || has_log) {
    try {
      fail(code);
    } catch (...) {
      close();
      throw;
    }
  }
  close();
  const std::string uri = "file:" + percent_encoded(where, "/.-_") + "?immutable=1";
  open(uri.c_str(), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

Database::~Database() { close(); }

void Database::open(const char* where, int flags) {
  const int code = sqlite3_open_v2(where, &handle_, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  if (code != SQLITE_OK) {
    try {
      fail(code);
    } catch (...) {
      close();
      throw;
    }
  }
  sqlite3_busy_handler(handle_, &Database::wait_for_lock, this);
  SqliteGate::get().add(*this);
}

void Database::close() noexcept {
  SqliteGate::get().remove(*this);
  sqlite3_close_v2(std::exchange(handle_, nullptr));
}

void Database::close_in_child() noexcept {
  // At rest there is neither a transaction nor a lock in it that counts here. Without a checkpoint it does not look whether it is the last
  // connection, and so leaves the file and its log alone.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  while (sqlite3_stmt* statement = sqlite3_next_stmt(handle_, nullptr)) sqlite3_finalize(statement);
  sqlite3_close(std::exchange(handle_, nullptr));
}

int Database::wait_for_lock(void* self, int tries) noexcept {
  using namespace std::chrono;
  const auto left = static_cast<Database*>(self)->deadline_ - steady_clock::now();
  if (left <= steady_clock::duration::zero()) return 0;
  // SQLite wakes no thread when the lock is free, and the process that has just held it asks first. Commits take up to two milliseconds,
  // so no nap is longer than that: then a long wait gives no worse chances than a short one. (Measured, 8 processes that do nothing but
  // commit, on 2 busy cores: the longest wait is 0.2 s, and was 0.7 s with naps up to 6.4 ms.)
  const auto nap = std::min<steady_clock::duration>(microseconds(50 << std::min(tries, 4)), left);
  std::this_thread::sleep_for(nap);
  return 1;
}

void Database::nap() noexcept { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }

void Database::fail(int code) const {
  const Cause cause = cause_of(code);
  std::string message = "\"" + name_ + "\" " + cause.what;
  if (handle_) {
    message += std::string(" (SQLite: ") + sqlite3_errmsg(handle_);
    if (const int error = sqlite3_system_errno(handle_);
        error != 0 && primary(code) != SQLITE_CORRUPT && primary(code) != SQLITE_NOTADB)
      message += "; " + std::generic_category().message(error);
    message += ')';
  }
  throw SqliteError(cause.code, code, message + ". " + cause.remedy);
}

void Database::exec(const char* sql) {
  if (const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK) fail(code);
}

std::int64_t Database::query_int(const char* sql) {
  Statement statement(*this, sql);
  return statement.step() ? statement.integer(0) : 0;
}

std::string Database::query_text(const char* sql) {
  Statement statement(*this, sql);
  return statement.step() ? statement.text(0) : std::string();
}

bool Database::in_transaction() const noexcept { return sqlite3_get_autocommit(handle_) == 0; }
std::int64_t Database::last_insert_id() const noexcept { return sqlite3_last_insert_rowid(handle_); }
std::int64_t Database::changes() const noexcept { return sqlite3_changes64(handle_); }

Statement::Statement(Database& database, std::string_view sql) : database_(database) {
  const int code = sqlite3_prepare_v3(database.handle(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &handle_, nullptr);
  if (code != SQLITE_OK) database.fail(code);
}

Statement::~Statement() { sqlite3_finalize(handle_); }

void Statement::bind(int parameter, std::int64_t value) {
  if (const int code = sqlite3_bind_int64(handle_, parameter, value); code != SQLITE_OK) database_.fail(code);
}
void Statement::bind(int parameter, double value) {
  if (const int code = sqlite3_bind_double(handle_, parameter, value); code != SQLITE_OK) database_.fail(code);
}
void Statement::bind(int parameter, std::string_view value) {
  // A null pointer would bind NULL, not the empty text.
  const char* text = value.data() ? value.data() : "";
  const int code = sqlite3_bind_text64(handle_, parameter, text, value.size(), SQLITE_STATIC, SQLITE_UTF8);
  if (code != SQLITE_OK) database_.fail(code);
}
void Statement::bind_blob(int parameter, std::string_view bytes) {
  const char* data = bytes.data() ? bytes.data() : "";
  if (const int code = sqlite3_bind_blob64(handle_, parameter, data, bytes.size(), SQLITE_STATIC); code != SQLITE_OK)
    database_.fail(code);
}
void Statement::bind_null(int parameter) {
  if (const int code = sqlite3_bind_null(handle_, parameter); code != SQLITE_OK) database_.fail(code);
}

bool Statement::step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) {
    // The message is of the step, not of the reset that follows.
    try {
      database_.fail(code);
    } catch (...) {
      sqlite3_reset(handle_);
      throw;
    }
  }
  return false;
}

void Statement::reset() noexcept { sqlite3_reset(handle_); }

void Statement::run() {
  while (step()) {
  }
  reset();
}

std::int64_t Statement::integer(int column) const noexcept { return sqlite3_column_int64(handle_, column); }
double Statement::real(int column) const noexcept { return sqlite3_column_double(handle_, column); }
std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  return bytes ? std::string(bytes, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))) : std::string();
}
std::string_view Statement::blob(int column) const noexcept {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(handle_, column));
  return {bytes, bytes ? static_cast<std::size_t>(sqlite3_column_bytes(handle_, column)) : 0};
}
bool Statement::is_null(int column) const noexcept { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }

Transaction::~Transaction() {
  // Some failures have undone it already. What cannot be undone now is when the connection closes.
  if (database_.in_transaction()) sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

}  // namespace outlay::detail
