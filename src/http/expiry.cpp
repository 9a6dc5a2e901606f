#include "expiry.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>

namespace outlay::http::detail {

using boost::system::error_code;

namespace {

constexpr auto never = Expiry::Clock::time_point::max();

}  // namespace

struct Expiry::Watch : std::enable_shared_from_this<Watch> {
  explicit Watch(boost::asio::ip::tcp::socket& s) : socket(s), timer(s.get_executor()) {}

  void sleep(Clock::time_point until) {
    wakes = until;
    timer.expires_at(until);
    timer.async_wait([weak = weak_from_this()](const error_code& error) {
      if (const auto self = weak.lock(); self && !error) self->woke();
    });
  }
  void woke() {
    wakes = never;
    if (at == never) return;
    const auto now = Clock::now();
    if (at > now) return sleep(at);
    expired = true;
    error_code ignored;
    socket.cancel(ignored);
    // What has just ended is not cancelled, and may be followed by the next piece.
    sleep(now + std::chrono::milliseconds(100));
  }

  boost::asio::ip::tcp::socket& socket;  // only while something is set
  boost::asio::steady_timer timer;
  Clock::time_point at = never;
  Clock::time_point wakes = never;
  bool expired = false;
};

Expiry::Expiry(boost::asio::ip::tcp::socket& socket) : watch_(std::make_shared<Watch>(socket)) {}

void Expiry::set(Clock::time_point at) {
  watch_->expired = false;
  watch_->at = at;
  if (at < watch_->wakes) watch_->sleep(at);
}

void Expiry::clear() noexcept { watch_->at = never; }

void Expiry::rest() noexcept {
  clear();
  if (watch_->wakes == never) return;
  watch_->wakes = never;
  watch_->timer.cancel();
}

bool Expiry::expired() const noexcept { return watch_->expired; }

}  // namespace outlay::http::detail
