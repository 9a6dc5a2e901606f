#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "gateway/client.hpp"
#include "gateway/counters.hpp"
#include "gateway/desk.hpp"
#include "gateway/keys.hpp"
#include "gateway/totals.hpp"
#include "gateway/upstream.hpp"
#include "outlay/gateway.hpp"

namespace outlay::gateway::detail {

/// One reading of the options. A request keeps the one that it began with.
struct Settings {
  /// \par Errors
  /// ConfigError, as Gateway's constructor.
  Settings(GatewayOptions opts, std::size_t strands);

  GatewayOptions options;
  Upstreams upstreams;
  Keys keys;
  std::shared_ptr<boost::asio::ssl::context> tls;  // to clients; null: plain HTTP

  /// Closes the upstream connections that no request uses.
  void close_idle() const noexcept {
    for (const auto& upstream : upstreams)
      for (http::detail::Pool& pool : upstream->pools) pool.clear();
  }
};

/// What all requests share.
struct Server {
  Server(std::vector<boost::asio::any_io_executor> of, std::shared_ptr<const Settings> first)
      : strands(std::move(of)), settings_(std::move(first)) {}

  [[nodiscard]] std::shared_ptr<const Settings> settings() const {
    const std::lock_guard lock(mutex_);
    return settings_;
  }
  void replace(std::shared_ptr<const Settings> settings) {
    const std::lock_guard lock(mutex_);
    settings_.swap(settings);
  }

  /// Each runs one handler at a time. A client is served on one of them, and so are the upstream connections that it uses, which outlive its
  /// requests: hence without any context.
  const std::vector<boost::asio::any_io_executor> strands;
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> admitted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> cut{0};
  std::atomic<std::uint64_t> connections{0};
  std::atomic<std::uint64_t> streams{0};
  std::atomic<bool> stopping{false};
  const std::shared_ptr<Totals> totals = std::make_shared<Totals>();
  Latency added;
  Counters counters;
  Readiness readiness;
  Desk desk;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Settings> settings_;
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
