#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "outlay/clock.hpp"

namespace test {

/// The wall clock of programs that are started with its environment: it stands where it was set. Their other clocks go on.
///
/// By a library that is loaded into them before the C library (`LD_PRELOAD`), so only programs that are linked dynamically.
class MovedClock {
 public:
  MovedClock();
  MovedClock(const MovedClock&) = delete;
  MovedClock& operator=(const MovedClock&) = delete;
  ~MovedClock();

  [[nodiscard]] std::map<std::string, std::string> environment() const;
  void set(outlay::Time time) noexcept;

 private:
  std::filesystem::path file_;
  std::int64_t* nanos_;  // shared with the programs
};

}  // namespace test
