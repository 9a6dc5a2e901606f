#include "outlay/redis/store.hpp"

#include <cstdlib>

#include "redis/backend.hpp"

namespace outlay {

std::shared_ptr<Store> redis_store(const RedisStoreOptions& options) {
  return std::make_shared<Store>(std::make_unique<detail::RedisBackend>(options.url, options.prefix),
                                 StoreOptions{.on_unreachable = options.on_unreachable,
                                              .timeout = options.timeout,
                                              .lease = options.lease,
                                              .on_expiry = options.on_expiry});
}

std::shared_ptr<Store> redis_store_from_environment(OnUnreachable on_unreachable) {
  const char* const url = std::getenv("OUTLAY_REDIS_URL");
  if (url == nullptr || *url == '\0') return nullptr;
  return redis_store({.url = url, .on_unreachable = on_unreachable});
}

}  // namespace outlay
