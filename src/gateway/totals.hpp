#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "outlay/sink.hpp"
#include "outlay/usd.hpp"

namespace outlay::gateway::detail {

/// Sums over everything that is booked in a ledger while a gateway serves, for its metrics: sums over the ledger's own records shrink when
/// old ones are evicted.
class Totals final : public Sink {
 public:
  struct Sum {
    std::uint64_t calls = 0;
    std::int64_t nanos = 0;
    std::int64_t input = 0;
    std::int64_t output = 0;
  };

  void write(const Record& record) override;

  /// By model; further models than the first 200 are `other`, since names come from requests.
  [[nodiscard]] std::map<std::string, Sum> by_model() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Sum> sums_{};
};

/// How long requests took in the gateway itself, as Prometheus counts it: how many took at most so long.
class Latency {
 public:
  static constexpr std::array<double, 12> bounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                 0.01,   0.025,   0.05,   0.1,   0.5,    1};  // seconds

  void add(std::chrono::nanoseconds took) noexcept {
    std::size_t at = 0;
    while (at < bounds.size() && std::chrono::duration<double>(took).count() > bounds[at]) ++at;
    ++counts_[at];
    nanos_ += static_cast<std::uint64_t>(took.count());
  }
  /// Of requests that took at most `bounds[at]`; behind the last bound, of all.
  [[nodiscard]] std::uint64_t within(std::size_t at) const noexcept {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i <= at; ++i) sum += counts_[i];
    return sum;
  }
  [[nodiscard]] double seconds() const noexcept { return static_cast<double>(nanos_) / 1e9; }

 private:
  std::array<std::atomic<std::uint64_t>, bounds.size() + 1> counts_{};
  std::atomic<std::uint64_t> nanos_{0};
};

}  // namespace outlay::gateway::detail
