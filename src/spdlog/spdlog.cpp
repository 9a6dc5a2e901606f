#include "outlay/spdlog.hpp"

#include <spdlog/spdlog.h>

#include <string>
#include <utility>

#include "outlay/error.hpp"
#include "outlay/jsonl_sink.hpp"

namespace outlay {

namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

void check(const std::shared_ptr<spdlog::logger>& logger, const char* who) {
  if (!logger)
    throw ConfigError(std::string(who) + " was given no logger. Pass spdlog::default_logger(), or make one.");
}

class SpdlogSink final : public Sink {
 public:
  explicit SpdlogSink(const SpdlogSinkOptions& options) : options_(options) { check(options_.logger, "spdlog_sink"); }

  void write(const Record& record) override { line(options_.records, record); }
  void event(const BudgetEvent& budget_event) override {
    const bool refused = budget_event.action == Action::blocked || budget_event.action == Action::truncated ||
                         budget_event.action == Action::cut;
    line(refused ? options_.refused : options_.events, budget_event);
  }
  void flush(std::chrono::steady_clock::time_point /*deadline*/) override { options_.logger->flush(); }

 private:
  template <class Row>
  void line(LogLevel level, const Row& row) {
    if (options_.logger->should_log(to_spdlog(level)))
      options_.logger->log(to_spdlog(level), spdlog::string_view_t(to_json_line(row)));
  }

  const SpdlogSinkOptions options_;
};

}  // namespace

LogHandler spdlog_handler(std::shared_ptr<spdlog::logger> logger) {
  check(logger, "spdlog_handler");
  return [logger = std::move(logger)](LogLevel level, std::string_view message) {
    logger->log(to_spdlog(level), spdlog::string_view_t(message.data(), message.size()));
  };
}

std::shared_ptr<Sink> spdlog_sink(const SpdlogSinkOptions& options) { return std::make_shared<SpdlogSink>(options); }

}  // namespace outlay
