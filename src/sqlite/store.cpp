#include "outlay/sqlite/store.hpp"

#include <memory>

#include "outlay/error.hpp"
#include "sqlite/store_backend.hpp"

namespace outlay {

std::shared_ptr<Store> sqlite_store(const SqliteStoreOptions& options) {
  if (options.path.empty())
    throw ConfigError("sqlite_store: the path is empty. Name the file, as in {.path = \"caps.db\"}.");
  return std::make_shared<Store>(
      std::make_unique<detail::SqliteStoreBackend>(options.path, options.timeout, options.create),
      StoreOptions{options.on_unreachable, options.timeout, options.lease, options.on_expiry});
}

}  // namespace outlay
