#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "outlay/store.hpp"

namespace outlay::detail {

class StoreFile;

/// The backend of sqlite_store.
///
/// \par Errors
/// The constructor throws what sqlite_store does; execute never throws.
class SqliteStoreBackend final : public StoreBackend {
 public:
  SqliteStoreBackend(std::filesystem::path path, std::chrono::milliseconds timeout, bool create = true);
  SqliteStoreBackend(const SqliteStoreBackend&) = delete;
  SqliteStoreBackend& operator=(const SqliteStoreBackend&) = delete;
  ~SqliteStoreBackend() override;

  [[nodiscard]] std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands,
                                                        std::chrono::milliseconds timeout) override;
  [[nodiscard]] Distance distance() const noexcept override { return Distance::local; }
  [[nodiscard]] std::string description() const override;

 private:
  const std::filesystem::path path_;
  const bool create_;
  std::vector<StoreReply::Expired> expired_;  // that no reply has told yet
  std::unique_ptr<StoreFile> file_;           // null after a failure: the next command opens it again
};

}  // namespace outlay::detail
