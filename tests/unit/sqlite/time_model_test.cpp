// The model in time over a file: what is compared is said in contract/time_driver.hpp.
#include "contract/time_driver.hpp"
#include "sqlite/store_backend.hpp"
#include "unit/sqlite/fixture.hpp"

namespace {

using namespace outlay_test::in_time;

class SqliteFile final : public Backing {
 public:
  std::unique_ptr<StoreBackend> connect() override {
    return std::make_unique<outlay::detail::SqliteStoreBackend>(dir_.db(), std::chrono::seconds(5));
  }
  void forget() override {
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(dir_.db().native() + suffix);
  }

 private:
  outlay_test::TempDir dir_;
};

}  // namespace

TEST_CASE("time: random steps over a file agree with the model", "[sqlite][store][property]") {
  run_in_time(10, [] { return std::make_unique<SqliteFile>(); });
}
