#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <mutex>
#include <unordered_set>

#include "gateway/client.hpp"
#include "gateway/upstream.hpp"
#include "outlay/gateway.hpp"

namespace outlay::gateway::detail {

/// What all requests share.
struct Server {
  Server(boost::asio::any_io_executor ex, GatewayOptions opts);

  boost::asio::any_io_executor executor;  // of connections that outlive a request, so without any context

  GatewayOptions options;
  Upstreams upstreams;
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> admitted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> cut{0};
  std::atomic<std::uint64_t> connections{0};
  std::atomic<std::uint64_t> streams{0};
  std::atomic<bool> stopping{false};
};

/// Counts one as long as it lives.
class Counted {
 public:
  explicit Counted(std::atomic<std::uint64_t>& count) noexcept : count_(count) { ++count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --count_; }

 private:
  std::atomic<std::uint64_t>& count_;
};

}  // namespace outlay::gateway::detail
