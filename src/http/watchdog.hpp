#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <mutex>

namespace outlay::http::detail {

/// Ends a socket's operations when a deadline passes, from whatever thread the timer runs on.
///
/// Asio's sockets may not be touched by two threads at once, and a client is used from pools of threads without a strand. So the timer
/// does not cancel the operation but shuts the descriptor down, which the kernel allows at any time: a pending connect, read or write
/// then completes with an error, where its coroutine waits, and `fired()` tells why.
///
/// The timer is moved only when a deadline comes nearer; one that fires too early waits on. A read of a chunk thus costs no timer.
class Watchdog : public std::enable_shared_from_this<Watchdog> {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Watchdog(const boost::asio::any_io_executor& executor) : timer_(executor) {}

  /// Watches a descriptor, until forget(). Call forget() before the descriptor is closed.
  void watch(int descriptor);
  void forget() noexcept;
  /// From now on the deadline is this one. Clock::time_point::max() is none.
  void set(Clock::time_point deadline);
  /// No deadline, and no timer that would keep an io_context running.
  void rest() noexcept;
  /// The deadline has passed and the descriptor was shut down.
  [[nodiscard]] bool fired() const noexcept;

 private:
  void arm(std::unique_lock<std::mutex>& lock);
  void wake(std::uint64_t generation);

  mutable std::mutex mutex_;
  boost::asio::steady_timer timer_;
  Clock::time_point deadline_ = Clock::time_point::max();
  Clock::time_point armed_ = Clock::time_point::max();  // when the timer wakes; max: it is not running
  std::uint64_t generation_ = 0;  // a wake-up that was overtaken by a later arm() is not ours any more
  int descriptor_ = -1;
  bool fired_ = false;
};

}  // namespace outlay::http::detail
