#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace outlay::detail {

/// What each model of a ledger has lately written in answers without a ceiling, to reserve for the next one.
///
/// \par Thread safety
/// Every member is safe from any thread.
class UsualOutput {
 public:
  static constexpr std::size_t remembered = 100;  // answers of a model

  /// \param model By its id in the ledger's dictionary. \param tokens Of one choice.
  void note(std::uint32_t model, std::int64_t tokens) {
    const std::lock_guard lock(mutex_);
    Answers& of = models_[model];
    of.tokens[of.next++ % remembered] = tokens;
    of.usual = percentile_95(of);
  }
  /// The 95th percentile of the last 100 answers, in tokens of one choice; 0 where there were none.
  [[nodiscard]] std::int64_t of(std::uint32_t model) const {
    const std::lock_guard lock(mutex_);
    const auto found = models_.find(model);
    return found == models_.end() ? 0 : found->second.usual;
  }
  void reset() {
    const std::lock_guard lock(mutex_);
    models_.clear();
  }
  [[nodiscard]] std::unique_lock<std::mutex> lock() const { return std::unique_lock(mutex_); }

 private:
  struct Answers {
    std::array<std::int64_t, remembered> tokens{};
    std::size_t next = 0;
    std::int64_t usual = 0;
  };

  /// The smallest that at least 95 of 100 are not above.
  [[nodiscard]] static std::int64_t percentile_95(const Answers& of) {
    std::array<std::int64_t, remembered> sorted = of.tokens;
    const std::size_t count = std::min(of.next, remembered);
    const std::size_t rank = (count * 95 + 99) / 100 - 1;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(rank),
                     sorted.begin() + static_cast<std::ptrdiff_t>(count));
    return sorted[rank];
  }

  mutable std::mutex mutex_;
  std::unordered_map<std::uint32_t, Answers> models_;
};

}  // namespace outlay::detail
