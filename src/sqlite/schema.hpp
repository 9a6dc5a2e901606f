#pragma once

#include <cstdint>
#include <span>

#include "sqlite/database.hpp"

namespace outlay::detail {

constexpr std::int64_t application_id = 0x4F55544C;  // "OUTL"

/// The steps that make a file of format n from one of format n - 1. Released steps never change; see README.md beside this file.
[[nodiscard]] std::span<const char* const> schema_steps() noexcept;

/// Makes the file a database of the newest format: a new one, or one of an older format, in one transaction.
///
/// \par Errors
/// SqliteError: another program's database, or a newer format.
void prepare_for_writing(Database& database, std::span<const char* const> steps = schema_steps());

/// Checks that the file can be read as it is.
void check_for_reading(Database& database, std::span<const char* const> steps = schema_steps());

/// The same for a store, whose tables may be beside a sink's or alone.
///
/// \param create False: SqliteError where the file has none, which stays as it is.
void prepare_for_store(Database& database, bool create);

}  // namespace outlay::detail
