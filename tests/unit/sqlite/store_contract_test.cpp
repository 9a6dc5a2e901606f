#include <chrono>
#include <memory>

#include "sqlite/store_backend.hpp"
#include "unit/sqlite/fixture.hpp"

namespace {

class SqliteStoreFixture {
 public:
  outlay::StoreBackend& backend() { return backend_; }
  [[nodiscard]] std::unique_ptr<outlay::StoreBackend> another() const {
    return std::make_unique<outlay::detail::SqliteStoreBackend>(dir_.db(), std::chrono::seconds(5));
  }
  [[nodiscard]] outlay::Time now() const noexcept { return now_; }
  bool advance(std::chrono::nanoseconds duration) noexcept {
    now_ += duration;
    return true;
  }

 private:
  outlay_test::TempDir dir_;
  outlay::detail::SqliteStoreBackend backend_{dir_.db(), std::chrono::seconds(5)};
  outlay::Time now_ = outlay_test::at(1'767'225'600);
};

}  // namespace

#define OUTLAY_STORE_NAME "sqlite"
#define OUTLAY_STORE_FIXTURE SqliteStoreFixture
#include "contract/store_contract.hpp"
