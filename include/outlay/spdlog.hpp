#pragma once

#include <memory>

#include "outlay/detail/export.hpp"
#include "outlay/log.hpp"
#include "outlay/sink.hpp"

#include <spdlog/fwd.h>  // small: spdlog's own classes, declared

namespace outlay {

/// A log handler that hands everything to an spdlog logger: set_log_handler(spdlog_handler(logger)).
///
/// debug, info, warning and error become spdlog's debug, info, warn and err. The message is never read as a format.
/// \par Errors
/// ConfigError for a null logger.
/// \par Thread safety
/// The handler may be called from any thread, so the logger's sinks must be safe for that: spdlog's `_mt` ones.
[[nodiscard]] OUTLAY_EXPORT LogHandler spdlog_handler(std::shared_ptr<spdlog::logger> logger);

/// How an spdlog_sink writes.
struct SpdlogSinkOptions {
  /// Where lines go. Not null.
  std::shared_ptr<spdlog::logger> logger{};
  LogLevel records{LogLevel::info};     ///< The level of records.
  LogLevel events{LogLevel::info};      ///< The level of events, but for refused calls.
  LogLevel refused{LogLevel::warning};  ///< The level of events that refused or cut a call: blocked, truncated, cut.
};

/// A sink that writes each record and event as one structured line: to_json_line(), after whatever the logger's pattern puts before it.
///
/// Not durable: a logger may drop lines. Lines below the logger's level are not put together at all.
/// \par Errors
/// ConfigError for a null logger.
[[nodiscard]] OUTLAY_EXPORT std::shared_ptr<Sink> spdlog_sink(const SpdlogSinkOptions& options);

}  // namespace outlay
