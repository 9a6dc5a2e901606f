#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "outlay/log.hpp"

namespace outlay_test {

/// What is logged while it lives, from any thread.
class LogCapture {
 public:
  LogCapture()
      : before_(outlay::set_log_handler([this](outlay::LogLevel, std::string_view message) {
          const std::lock_guard lock(mutex_);
          text_.append(message).append("\n");
        })) {}
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;
  ~LogCapture() { outlay::set_log_handler(std::move(before_)); }

  [[nodiscard]] bool contains(std::string_view part) const {
    const std::lock_guard lock(mutex_);
    return text_.find(part) != std::string::npos;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
  outlay::LogHandler before_;
};

}  // namespace outlay_test
