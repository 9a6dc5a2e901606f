#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace outlay::detail {

/// Woken when a waiting call should be decided again. Called from any thread, under no lock.
struct Waiter {
  virtual ~Waiter() = default;
  virtual void wake() noexcept = 0;
};

/// Waits on the calling thread.
class BlockingWaiter final : public Waiter {
 public:
  void wake() noexcept override {
    {
      const std::lock_guard lock(mutex_);
      woken_ = true;
    }
    condition_.notify_one();
  }
  /// False: the deadline passed first.
  bool wait_until(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    const bool woken = deadline == std::chrono::steady_clock::time_point::max()
                           ? (condition_.wait(lock, [this] { return woken_; }), true)
                           : condition_.wait_until(lock, deadline, [this] { return woken_; });
    woken_ = false;
    return woken;
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool woken_ = false;
};

}  // namespace outlay::detail
