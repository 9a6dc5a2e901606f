#include "watchdog.hpp"

#include <sys/socket.h>

#include <boost/system/error_code.hpp>

namespace outlay::http::detail {

void Watchdog::watch(int descriptor) {
  std::unique_lock lock(mutex_);
  descriptor_ = descriptor;
  fired_ = false;
  if (deadline_ < armed_) arm(lock);  // it may have woken while there was nothing to shut down
}

void Watchdog::forget() noexcept {
  const std::lock_guard lock(mutex_);
  descriptor_ = -1;
}

void Watchdog::set(Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  deadline_ = deadline;
  if (deadline_ < armed_) arm(lock);
}

void Watchdog::rest() noexcept {
  const std::lock_guard lock(mutex_);
  deadline_ = armed_ = Clock::time_point::max();
  ++generation_;
  try {
    timer_.cancel();
  } catch (...) {  // NOLINT(bugprone-empty-catch): a timer that stays runs into a generation that is over
  }
}

bool Watchdog::fired() const noexcept {
  const std::lock_guard lock(mutex_);
  return fired_;
}

void Watchdog::arm(std::unique_lock<std::mutex>&) {
  armed_ = deadline_;
  timer_.expires_at(deadline_);
  timer_.async_wait([self = shared_from_this(), generation = ++generation_](const boost::system::error_code& error) {
    if (!error) self->wake(generation);
  });
}

void Watchdog::wake(std::uint64_t generation) {
  std::unique_lock lock(mutex_);
  if (generation != generation_) return;
  armed_ = Clock::time_point::max();
  if (deadline_ == Clock::time_point::max()) return;
  if (Clock::now() < deadline_) return arm(lock);
  if (descriptor_ < 0) return;
  fired_ = true;
  ::shutdown(descriptor_, SHUT_RDWR);
}

}  // namespace outlay::http::detail
