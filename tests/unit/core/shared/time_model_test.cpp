// The model in time over memory: what is compared is said in contract/time_driver.hpp.
#include <chrono>
#include <memory>

#include "contract/time_driver.hpp"

using namespace outlay_test::in_time;

namespace {

using Distance = StoreBackend::Distance;

/// A memory that several processes share, as if it were so far away: then it has a clock of its own.
class SharedMemory final : public Backing {
 public:
  explicit SharedMemory(Distance distance) : memory_(std::make_shared<Memory>(distance)) {}
  std::unique_ptr<StoreBackend> connect() override { return std::make_unique<Shared>(memory_); }
  void forget() override {
    const std::lock_guard lock(memory_->mutex);
    memory_->backend = outlay::memory_backend();
  }
  bool set_clock(outlay::Time time) override {
    const std::lock_guard lock(memory_->mutex);
    memory_->clock = time;
    return memory_->distance == Distance::remote;
  }

 private:
  struct Memory {
    explicit Memory(Distance far) : distance(far) {}
    const Distance distance;
    std::mutex mutex{};
    std::unique_ptr<StoreBackend> backend = outlay::memory_backend();
    outlay::Time clock{};
  };
  class Shared final : public StoreBackend {
   public:
    explicit Shared(std::shared_ptr<Memory> memory) : memory_(std::move(memory)) {}
    std::vector<outlay::Result<StoreReply>> execute(std::span<const StoreCommand> commands,
                                                    std::chrono::milliseconds timeout) override {
      const std::lock_guard lock(memory_->mutex);
      if (memory_->distance != Distance::remote) return memory_->backend->execute(commands, timeout);
      std::vector<StoreCommand> timed(commands.begin(), commands.end());
      for (StoreCommand& command : timed) command.now = memory_->clock;
      return memory_->backend->execute(timed, timeout);
    }
    [[nodiscard]] Distance distance() const noexcept override { return memory_->distance; }
    [[nodiscard]] std::string description() const override { return "memory"; }

   private:
    std::shared_ptr<Memory> memory_;
  };
  std::shared_ptr<Memory> memory_;
};

/// The memory of the one ledger.
class OwnMemory final : public Backing {
 public:
  std::unique_ptr<StoreBackend> connect() override { return nullptr; }
  void forget() override {}
};

}  // namespace

TEST_CASE("time: random steps over a ledger's own memory agree with the model", "[core][store][property]") {
  run_in_time(20, [] { return std::make_unique<OwnMemory>(); });
}
TEST_CASE("time: random steps over memory agree with the model", "[core][store][property]") {
  run_in_time(20, [] { return std::make_unique<SharedMemory>(Distance::memory); });
}
TEST_CASE("time: random steps over a store on this machine agree with the model", "[core][store][property]") {
  run_in_time(10, [] { return std::make_unique<SharedMemory>(Distance::local); });
}
TEST_CASE("time: random steps over a store far away agree with the model", "[core][store][property]") {
  run_in_time(10, [] { return std::make_unique<SharedMemory>(Distance::remote); });
}
