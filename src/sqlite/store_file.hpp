#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/vector.hpp"
#include "outlay/store.hpp"
#include "sqlite/database.hpp"
#include "sqlite/store_tables.hpp"

namespace outlay::detail {

/// An open file, and how the commands of a store are executed in it.
class StoreFile {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  /// \param create False: SqliteError where the file has no counters yet.
  StoreFile(const std::filesystem::path& path, Deadline deadline, bool create);

  /// Whether the path names another file by now, or none.
  [[nodiscard]] bool moved() const noexcept;

  /// Executes the commands in one transaction. Where it throws, nothing has changed.
  ///
  /// \param expired The leases that had run out are put behind it.
  void execute(std::span<const StoreCommand> commands, Deadline deadline, std::vector<Result<StoreReply>>& replies,
               std::vector<StoreReply::Expired>& expired);

 private:
  using Outcome = StoreReply::Outcome;

  Database& prepared(const std::filesystem::path& path, Deadline deadline, bool create);
  Result<StoreReply> apply(const StoreCommand& command);
  Outcome hold(const StoreCommand& command, std::int64_t now);
  [[nodiscard]] bool has_room(const std::vector<StoreCounter>& counters, const Vector& more);
  bool end(const StoreCommand& command, std::int64_t now, StoreReply& reply);
  void tell(const std::vector<StoreCounter>& counters, std::vector<StoreReply::Crossed>& crossed);
  void renew(const StoreCommand& command, std::int64_t until);

  const bool made_;  // the file was not there
  Database database_;
  StoreTables tables_;
  Statement begin_, commit_;
  std::vector<std::optional<Time>> fits_at_;  // of each counter of a command that was refused
  // The slots of the calls that were reserved through this connection, since a renewal names the id only.
  std::unordered_map<std::string, std::vector<std::int64_t>> held_in_;
};

}  // namespace outlay::detail
