// The model in time over a server whose clock is moved: what is compared is said in contract/time_driver.hpp.
#include "contract/time_driver.hpp"
#include "support/moved_clock.hpp"
#include "unit/redis/fixture.hpp"

namespace {

using namespace outlay_test::in_time;

class Redis final : public Backing {
 public:
  Redis(test::RedisServer& server, test::MovedClock& clock) : server_(server), clock_(clock) { forget(); }
  std::unique_ptr<StoreBackend> connect() override {
    return std::make_unique<outlay::detail::RedisBackend>(server_.url(), "outlay");
  }
  void forget() override { (void)server_.command({"FLUSHALL"}); }
  bool set_clock(outlay::Time time) override {
    clock_.set(time);
    return true;
  }
  [[nodiscard]] Seconds remembers() const override { return 3'000; }

 private:
  test::RedisServer& server_;
  test::MovedClock& clock_;
};

}  // namespace

TEST_CASE("time: random steps over a server agree with the model", "[redis][store][property]") {
  NEEDS_REDIS();
  test::MovedClock clock;
  test::RedisServer server({.environment = clock.environment()});
  run_in_time(10, [&] { return std::make_unique<Redis>(server, clock); });
}
