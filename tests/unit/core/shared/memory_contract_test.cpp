#include <chrono>
#include <memory>

#include "outlay/store.hpp"

namespace {

class MemoryStoreFixture {
 public:
  outlay::StoreBackend& backend() { return *backend_; }
  [[nodiscard]] std::unique_ptr<outlay::StoreBackend> another() const { return nullptr; }
  [[nodiscard]] outlay::Time now() const noexcept { return now_; }
  bool advance(std::chrono::nanoseconds duration) noexcept {
    now_ += duration;
    return true;
  }

 private:
  std::unique_ptr<outlay::StoreBackend> backend_ = outlay::memory_backend();
  outlay::Time now_ = outlay::Time(std::chrono::seconds(1'767'225'600));
};

}  // namespace

#define OUTLAY_STORE_NAME "memory"
#define OUTLAY_STORE_FIXTURE MemoryStoreFixture
#include "contract/store_contract.hpp"
