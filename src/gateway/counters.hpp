#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/budget/counter.hpp"
#include "core/budget/outside_counter.hpp"
#include "outlay/call.hpp"
#include "outlay/ledger.hpp"
#include "outlay/usage.hpp"

namespace outlay::gateway::detail {

/// What is left of the cap that is nearest to its end, of all budgets that the call counts in; a cap on calls in flight is left out, since its
/// room comes back. Empty where no budget has another cap. Below zero after an overrun.
///
/// \par Blocking
/// With counters in a file at most that file; a store that is far away is not asked.
[[nodiscard]] std::optional<Amount> least_left(const Call& call);
/// `$0.42`, `1200 tokens`.
[[nodiscard]] std::string left_text(Amount amount);

/// The counters of windows that the calls of this gateway have counted in lately, for its metrics and its list of caps.
///
/// \par Thread safety
/// Every member is safe from any thread.
class Counters {
 public:
  void note(const Call& call);
  /// Other rules may hold from now on.
  void forget();

  struct Reading {
    std::string name;
    std::string window;  // Window::id()
    outlay::detail::Counter counter;
  };
  /// As they are now, by name and window.
  ///
  /// \par Blocking
  /// As least_left().
  [[nodiscard]] std::vector<Reading> read(const Ledger& ledger) const;

 private:
  /// Names come from requests. Of more counters, the one that was used last stays.
  static constexpr std::size_t most = 1'000;
  struct Known {
    std::shared_ptr<outlay::detail::OutsideCounter> counter;
    std::string name;
    std::string window;
    outlay::detail::Vector caps{};
    std::uint64_t used = 0;
  };

  mutable std::mutex mutex_;
  std::unordered_map<const outlay::detail::OutsideCounter*, Known> known_{};
  std::uint64_t uses_ = 0;
};

}  // namespace outlay::gateway::detail
