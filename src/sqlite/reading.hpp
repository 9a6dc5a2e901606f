#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include "sqlite/database.hpp"
#include "sqlite/schema.hpp"

namespace outlay::detail {

/// The file of a sink, open for one report.
struct Reading {
  explicit Reading(const std::filesystem::path& path) : database(path, Database::Mode::read_only) {
    database.set_deadline(std::chrono::steady_clock::now() + std::chrono::seconds(2));
    check_for_reading(database);
  }
  std::int64_t info(const char* key) {
    Statement statement(database, "SELECT value FROM info WHERE key = ?1");
    statement.bind(1, std::string_view(key));
    return statement.step() ? statement.integer(0) : 0;
  }
  const SqliteUse use{};  // before the connection
  Database database;
};

}  // namespace outlay::detail
