#include "outlay/log.hpp"

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "core/base/at_fork.hpp"

namespace outlay {

namespace {

struct Handler {
  std::mutex mutex;
  std::shared_ptr<const LogHandler> current;
  const detail::AtFork at_fork{detail::AtFork::Order::log, [this] { mutex.lock(); }, [this](bool) { mutex.unlock(); }};
};

Handler& handler() noexcept {
  static Handler& instance = *new Handler;  // scopes may close during static destruction
  return instance;
}

}  // namespace

const char* to_string(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "unknown";
}

LogHandler set_log_handler(LogHandler next) {
  std::shared_ptr<const LogHandler> fresh = next ? std::make_shared<const LogHandler>(std::move(next)) : nullptr;
  Handler& shared = handler();
  {
    const std::lock_guard lock(shared.mutex);
    std::swap(shared.current, fresh);
  }
  return fresh ? *fresh : LogHandler{};
}

namespace detail {

void log(LogLevel level, std::string_view message) noexcept try {
  std::shared_ptr<const LogHandler> current;
  {
    Handler& shared = handler();
    const std::lock_guard lock(shared.mutex);
    current = shared.current;
  }
  if (current) {
    (*current)(level, message);
  } else if (level >= LogLevel::warning) {
    const std::string line = std::string("outlay: ") + to_string(level) + ": " + std::string(message) + '\n';
    std::fwrite(line.data(), 1, line.size(), stderr);
  }
} catch (...) {  // a handler that throws, or no memory for a log line: there is no other place to report it
}

}  // namespace detail

}  // namespace outlay
