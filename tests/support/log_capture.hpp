#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "outlay/log.hpp"

namespace outlay_test {

/// What the library says while it lives, from any thread.
class LogCapture {
 public:
  using Line = std::pair<outlay::LogLevel, std::string>;

  LogCapture()
      : before_(outlay::set_log_handler([this](outlay::LogLevel level, std::string_view message) {
          const std::lock_guard lock(mutex_);
          lines_.emplace_back(level, message);
        })) {}
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;
  ~LogCapture() { outlay::set_log_handler(std::move(before_)); }

  [[nodiscard]] std::vector<Line> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  /// How many lines, as text() has them, have this in them.
  [[nodiscard]] std::size_t count(std::string_view part) const {
    const std::vector<Line> all = lines();
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [&](const Line& line) { return shown(line).find(part) != std::string::npos; }));
  }
  [[nodiscard]] bool contains(std::string_view part) const { return count(part) != 0; }
  /// A line each, as `warning: ...`.
  [[nodiscard]] std::string text() const {
    std::string all;
    for (const Line& line : lines()) all.append(shown(line)).append("\n");
    return all;
  }

 private:
  static std::string shown(const Line& line) { return outlay::to_string(line.first) + (": " + line.second); }

  mutable std::mutex mutex_;
  std::vector<Line> lines_;
  outlay::LogHandler before_;
};

}  // namespace outlay_test
