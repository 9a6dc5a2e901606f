#pragma once

#include <atomic>

#include "core/budget/waiter.hpp"

namespace outlay_test {

struct CountingWaiter final : outlay::detail::Waiter {
  std::atomic<int> wakes{0};
  void wake() noexcept override { ++wakes; }
};

}  // namespace outlay_test
