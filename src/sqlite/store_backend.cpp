#include "sqlite/store_backend.hpp"

#include <algorithm>
#include <utility>

#include "core/base/utf8.hpp"
#include "outlay/error.hpp"
#include "sqlite/database.hpp"
#include "sqlite/store_file.hpp"

namespace outlay::detail {

using Steady = std::chrono::steady_clock;

SqliteStoreBackend::SqliteStoreBackend(std::filesystem::path path, std::chrono::milliseconds timeout, bool create)
    : path_(std::move(path)), create_(create) {
  const SqliteUse use;
  file_ = std::make_unique<StoreFile>(path_, Steady::now() + timeout, create_);
}

SqliteStoreBackend::~SqliteStoreBackend() {
  const SqliteUse use;
  file_.reset();
}

std::string SqliteStoreBackend::description() const {
  return "the SQLite file \"" + well_formed(path_.native()) + "\"";
}

std::vector<Result<StoreReply>> SqliteStoreBackend::execute(std::span<const StoreCommand> commands,
                                                            std::chrono::milliseconds timeout) {
  std::vector<Result<StoreReply>> replies;
  if (commands.empty()) return replies;
  const SqliteUse use;
  const auto deadline = Steady::now() + timeout;
  std::string problem;
  try {
    replies.reserve(commands.size());
    if (file_ && file_->moved()) file_.reset();
    if (!file_) file_ = std::make_unique<StoreFile>(path_, deadline, create_);
    file_->execute(commands, deadline, replies, expired_);
    const auto told = std::find_if(replies.begin(), replies.end(), [](const auto& reply) { return bool(reply); });
    if (told != replies.end()) (*told)->expired = std::exchange(expired_, {});
    return replies;
  } catch (const SqliteError& error) {
    if (!error.busy()) file_.reset();
    problem = error.what();
  } catch (const std::exception& error) {
    file_.reset();
    problem = error.what();
  }
  // All commands were one transaction, so none was executed.
  replies.assign(commands.size(), Failure(errc::store_unavailable, "sqlite_store: " + problem));
  return replies;
}

}  // namespace outlay::detail
