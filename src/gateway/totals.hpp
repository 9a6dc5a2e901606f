#pragma once

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

}  // namespace outlay::gateway::detail
