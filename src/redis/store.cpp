#include "outlay/redis/store.hpp"

#include "redis/backend.hpp"

namespace outlay {

std::shared_ptr<Store> redis_store(const RedisStoreOptions& options) {
  return std::make_shared<Store>(std::make_unique<detail::RedisBackend>(options.url, options.prefix),
                                 StoreOptions{.on_unreachable = options.on_unreachable,
                                              .timeout = options.timeout,
                                              .lease = options.lease,
                                              .on_expiry = options.on_expiry});
}

}  // namespace outlay
