#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/sanitizer.hpp"

namespace outlay_test {

/// Chance in a test, from a seed that replays it.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}

  /// From `least` to `most`, both included.
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(most - least + 1));
  }
  bool chance(int percent) { return between(1, 100) <= percent; }
  template <class T>
  const T& one_of(const std::vector<T>& choices) {
    return choices[static_cast<std::size_t>(between(0, static_cast<std::int64_t>(choices.size()) - 1))];
  }

 private:
  std::mt19937_64 random_;
};

/// Runs `run(seed)`, which returns what went wrong, from rounds(`runs`) seeds on: OUTLAY_TEST_RUNS says how many in their place, and
/// OUTLAY_TEST_SEED where they start; alone it replays one.
template <class Run>
void for_each_seed(int runs, const Run& run) {
  std::uint64_t seed = std::random_device{}();
  runs = rounds(runs);
  if (const char* given = std::getenv("OUTLAY_TEST_SEED")) {
    seed = std::strtoull(given, nullptr, 10);
    runs = 1;
  }
  if (const char* given = std::getenv("OUTLAY_TEST_RUNS")) runs = std::atoi(given);
  for (int i = 0; i < runs; ++i, ++seed) {
    const std::string wrong = run(seed);
    INFO("replay with OUTLAY_TEST_SEED=" << seed << ": " << wrong);
    REQUIRE(wrong.empty());
  }
}

}  // namespace outlay_test
