#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <memory>

#include "outlay/detail/export.hpp"

namespace outlay::http::detail {

/// Cancels what a socket is waiting for when that takes too long.
///
/// Each read and write has a deadline, and nearly all end long before it. So a deadline is only noted, and one timer runs until the earliest
/// that was noted, looks at what holds by then, and goes on.
///
/// \par Thread safety
/// All members belong to the socket's executor, which runs one handler at a time. The destructor may run elsewhere while nothing is set.
class OUTLAY_EXPORT Expiry {
 public:
  using Clock = std::chrono::steady_clock;

  /// \param socket Outlives this.
  explicit Expiry(boost::asio::ip::tcp::socket& socket);

  /// What the socket does from now on is cancelled at `at`, again and again until the next call; never for the maximum.
  void set(Clock::time_point at);
  /// What was set does not count any longer. The timer may run on, and keeps an io_context running.
  void clear() noexcept;
  /// The same, without a timer from now on.
  void rest() noexcept;
  /// What was set last has passed.
  [[nodiscard]] bool expired() const noexcept;

 private:
  struct Watch;
  std::shared_ptr<Watch> watch_;
};

}  // namespace outlay::http::detail
