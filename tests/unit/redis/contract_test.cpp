#include <memory>
#include <stdexcept>

#include "redis/backend.hpp"
#include "support/redis_server.hpp"

namespace {

/// A server of its own for each object.
class RedisFixture {
 public:
  RedisFixture() : server_(), backend_(server_.url(), "outlay") {}

  outlay::StoreBackend& backend() { return backend_; }
  std::unique_ptr<outlay::StoreBackend> another() {
    return std::make_unique<outlay::detail::RedisBackend>(server_.url(), "outlay");
  }
  static outlay::Time now() { return std::chrono::system_clock::now(); }
  static bool advance(std::chrono::nanoseconds) { return false; }

 private:
  test::RedisServer server_;
  outlay::detail::RedisBackend backend_;
};

}  // namespace

#define OUTLAY_STORE_NAME "redis"
#define OUTLAY_STORE_FIXTURE RedisFixture
#include "contract/store_contract.hpp"
