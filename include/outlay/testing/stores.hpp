#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "outlay/clock.hpp"
#include "outlay/store.hpp"

namespace outlay::testing {

/// A store that can be made to fail, to lose replies, to hang and to forget, shared by this handle and the Store made of it.
///
/// \par Thread safety
/// Every member is safe from any thread.
class Weather {
 public:
  /// Commands are not executed from now on, and are answered with errc::store_unavailable; or are again.
  void down(bool is_down = true) { set(down_, is_down); }
  /// Commands are executed from now on, and their replies are lost; or are not any more.
  void lose_replies(bool lost = true) { set(lost_, lost); }
  /// Commands wait until this is taken back; or do not any more.
  void hang(bool hangs = true) { set(hangs_, hangs); }
  /// Everything that was kept is gone.
  void forget() {
    const std::lock_guard lock(mutex_);
    backend_ = memory_backend();
  }
  /// The store's own clock, from now on; without one it believes the commands' time.
  void set_clock(std::shared_ptr<const Clock> clock) {
    const std::lock_guard lock(mutex_);
    clock_ = std::move(clock);
  }
  /// The nth command from now on (from 1) and no other fails unexecuted; 0: none.
  void fail_at(std::uint64_t nth) {
    const std::lock_guard lock(mutex_);
    fail_at_ = nth;
    count_ = 0;
  }
  /// How many commands it has been given since the start, or since fail_at(); those that failed while it was down are
  /// not counted.
  [[nodiscard]] std::uint64_t commands() const {
    const std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  friend class WeatheredBackend;
  void set(bool& flag, bool value) {
    {
      const std::lock_guard lock(mutex_);
      flag = value;
    }
    changed_.notify_all();
  }
  std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands, std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !hangs_; });
    std::vector<Result<StoreReply>> results;
    for (const StoreCommand& command : commands) {
      const bool fails = down_ || ++count_ == fail_at_;
      Result<StoreReply> result = Failure(errc::store_unavailable, "the weather is bad");
      if (!fails) {
        StoreCommand timed = command;
        if (clock_) timed.now = clock_->now();
        Result<StoreReply> done = std::move(backend_->execute({&timed, 1}, timeout).front());
        if (!lost_) result = std::move(done);
      }
      results.push_back(std::move(result));
    }
    return results;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<StoreBackend> backend_ = memory_backend();
  std::shared_ptr<const Clock> clock_;
  bool down_ = false, lost_ = false, hangs_ = false;
  std::uint64_t count_ = 0, fail_at_ = 0;
};

/// What Store is made of: `Store(std::make_unique<WeatheredBackend>(weather, StoreBackend::Distance::remote), options)`.
class WeatheredBackend final : public StoreBackend {
 public:
  /// A store in that weather, as near or far as `distance` says.
  WeatheredBackend(std::shared_ptr<Weather> weather, Distance distance)
      : weather_(std::move(weather)), distance_(distance) {}
  std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands,
                                          std::chrono::milliseconds timeout) override {
    return weather_->execute(commands, timeout);
  }
  /// As it was made with.
  [[nodiscard]] Distance distance() const noexcept override { return distance_; }
  [[nodiscard]] std::string description() const override { return "a store in the weather"; }

 private:
  std::shared_ptr<Weather> weather_;
  Distance distance_;
};

}  // namespace outlay::testing
