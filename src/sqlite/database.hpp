#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "outlay/clock.hpp"
#include "outlay/error.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace outlay::detail {

/// As the tables have times.
inline std::int64_t nanos(Time time) noexcept { return time.time_since_epoch().count(); }

/// A failure that SQLite reported.
class SqliteError : public Error {
 public:
  SqliteError(errc code, int sqlite_code, const std::string& message)
      : Error(code, message), sqlite_code_(sqlite_code) {}
  /// SQLite's extended result code.
  [[nodiscard]] int sqlite_code() const noexcept { return sqlite_code_; }
  /// Another connection holds a lock: worth another try.
  [[nodiscard]] bool busy() const noexcept;

 private:
  int sqlite_code_;
};

/// While one lives, fork(2) waits: a connection of SQLite's must be at rest then, and so must SQLite's own locks.
///
/// One for each piece of work of a thread, from outside: a second one inside it may wait for the fork that waits for the first.
class SqliteUse {
 public:
  SqliteUse();
  SqliteUse(const SqliteUse&) = delete;
  SqliteUse& operator=(const SqliteUse&) = delete;
  ~SqliteUse();
};

/// One connection to one file.
///
/// In the child of a fork it is closed, without a word to the file: what SQLite knows of a file in a process, such as the locks that it holds,
/// is wrong there as long as a connection of the parent is open, and would spoil those that the child opens. It must not be used any more.
///
/// \par Thread safety
/// One thread at a time, within a SqliteUse; SQLite's own locks are off.
class Database {
 public:
  enum class Mode {
    read_only,   ///< Never writes, not even beside the file where the disk is read-only.
    read_write,  ///< Makes the file if it is missing.
    present,     ///< Writes a file that is there.
  };
  Database(const std::filesystem::path& path, Mode mode);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  /// How long a statement that meets another connection's lock may wait.
  void set_deadline(std::chrono::steady_clock::time_point deadline) noexcept { deadline_ = deadline; }

  void exec(const char* sql);
  [[nodiscard]] std::int64_t query_int(const char* sql);
  [[nodiscard]] std::string query_text(const char* sql);

  [[nodiscard]] bool in_transaction() const noexcept;
  [[nodiscard]] std::int64_t last_insert_id() const noexcept;
  [[nodiscard]] std::int64_t changes() const noexcept;
  [[nodiscard]] sqlite3* handle() const noexcept { return handle_; }
  /// As it goes into messages: well-formed UTF-8.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// Between two tries.
  static void nap() noexcept;

  /// Throws what the last failed call deserves.
  [[noreturn]] void fail(int code) const;

 private:
  friend class SqliteGate;
  void open(const char* where, int flags);
  void close() noexcept;
  void close_in_child() noexcept;
  static int wait_for_lock(void* self, int tries) noexcept;

  std::string name_;
  sqlite3* handle_ = nullptr;
  std::chrono::steady_clock::time_point deadline_{};
};

/// Repeats what opening a file does until the deadline: SQLite does not call the busy handler for every lock that it meets there.
template <class F>
void retry_while_busy(std::chrono::steady_clock::time_point deadline, F&& work) {
  for (;;) {
    try {
      return work();
    } catch (const SqliteError& error) {
      if (!error.busy() || std::chrono::steady_clock::now() >= deadline) throw;
      Database::nap();
    }
  }
}

/// A prepared statement.
class Statement {
 public:
  Statement(Database& database, std::string_view sql);
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  // Parameters count from 1. Text is not copied: it must live until reset().
  void bind(int parameter, std::int64_t value);
  void bind(int parameter, double value);
  void bind(int parameter, std::string_view value);
  void bind_blob(int parameter, std::string_view bytes);
  void bind_null(int parameter);

  /// \return There is a row.
  bool step();
  void reset() noexcept;
  /// step() to the end, and reset().
  void run();

  // Columns count from 0.
  [[nodiscard]] std::int64_t integer(int column) const noexcept;
  [[nodiscard]] double real(int column) const noexcept;
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] std::string_view blob(int column) const noexcept;  // until the next step
  [[nodiscard]] bool is_null(int column) const noexcept;

 private:
  Database& database_;
  sqlite3_stmt* handle_ = nullptr;
};

/// A transaction that is undone unless it was committed.
class Transaction {
 public:
  enum class Kind { read, write };
  Transaction(Database& database, Kind kind) : database_(database) {
    database_.exec(kind == Kind::write ? "BEGIN IMMEDIATE" : "BEGIN");
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();
  void commit() { database_.exec("COMMIT"); }

 private:
  Database& database_;
};

}  // namespace outlay::detail
