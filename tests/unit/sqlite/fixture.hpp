#pragma once

#include <sqlite3.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "outlay/sqlite.hpp"
#include "support/catch.hpp"

namespace outlay_test {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

/// A directory of its own for each case.
class TempDir {
 public:
  TempDir() {
    // In memory where that is possible: some cases make thousands of files.
    const std::filesystem::path shm = "/dev/shm";
    const bool in_memory = ::access(shm.c_str(), W_OK | X_OK) == 0;
    std::string name = ((in_memory ? shm : std::filesystem::temp_directory_path()) / "outlay-sqlite-XXXXXX").native();
    if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::filesystem::path db() const { return path_ / "spend.db"; }

 private:
  std::filesystem::path path_;
};

/// A plain connection, as any other program would open one.
class Raw {
 public:
  explicit Raw(const std::filesystem::path& path) {
    if (sqlite3_open(path.c_str(), &handle_) != SQLITE_OK) throw std::runtime_error("sqlite3_open failed");
    sqlite3_busy_timeout(handle_, 2'000);
  }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;
  ~Raw() { sqlite3_close(handle_); }

  void exec(const std::string& sql) {
    char* message = nullptr;
    if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, &message) == SQLITE_OK) return;
    const std::string text = message ? message : "?";
    sqlite3_free(message);
    throw std::runtime_error(sql + ": " + text);
  }
  sqlite3_stmt* prepare(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK)
      throw std::runtime_error(sql + ": " + sqlite3_errmsg(handle_));
    return statement;
  }
  /// The first column of the first row, as text.
  std::string text(const std::string& sql) {
    sqlite3_stmt* statement = prepare(sql);
    std::string result;
    if (sqlite3_step(statement) == SQLITE_ROW)
      if (const auto* bytes = sqlite3_column_text(statement, 0))
        result.assign(reinterpret_cast<const char*>(bytes),
                      static_cast<std::size_t>(sqlite3_column_bytes(statement, 0)));
    sqlite3_finalize(statement);
    return result;
  }
  std::int64_t number(const std::string& sql) { return std::stoll(text(sql)); }

 private:
  sqlite3* handle_ = nullptr;
};

inline outlay::Time at(std::int64_t seconds) { return outlay::Time(std::chrono::seconds(seconds)); }

/// A settled record: $0.001 x `call_id`, ended `call_id` seconds after 2026-01-01.
inline outlay::Record make_record(std::uint64_t call_id, const outlay::Tags& tags = {}) {
  outlay::Record record;
  record.call_id = call_id;
  record.started = at(1'767'225'600 + static_cast<std::int64_t>(call_id) - 1);
  record.ended = at(1'767'225'600 + static_cast<std::int64_t>(call_id));
  record.requested_model = record.admitted_model = record.model = "gpt-4o-mini";
  record.provider = "openai";
  record.usage.input = 100;
  record.usage.output = 20;
  record.usd = record.reserved = outlay::Usd::from_nanos(1'000'000 * static_cast<std::int64_t>(call_id));
  record.price_version = "fixture";
  record.tags = tags;
  return record;
}

inline Steady::time_point soon() { return Steady::now() + 5s; }

/// Waits until something that another thread does has happened.
inline bool eventually(const std::function<bool()>& happened, std::chrono::seconds limit = 20s) {
  for (const auto deadline = Steady::now() + limit; Steady::now() < deadline;) {
    if (happened()) return true;
    sqlite3_sleep(2);
  }
  return happened();
}

/// The failure of `call`, which must fail with an outlay::Error.
template <class F>
outlay::Error failure_of(F&& call) {
  try {
    std::forward<F>(call)();
  } catch (const outlay::Error& error) {
    return error;
  }
  throw std::logic_error("nothing was thrown");
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace outlay_test
