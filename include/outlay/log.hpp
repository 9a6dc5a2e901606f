#pragma once

#include <functional>
#include <string_view>

#include "outlay/detail/export.hpp"

namespace outlay {

/// How serious a line of the log is.
enum class LogLevel {
  debug,    ///< What helps to find a mistake in a program.
  info,     ///< What a program may want to know, and is no trouble.
  warning,  ///< Something is not as it should be, and the library goes on.
  error,    ///< Something that was asked for was not done.
};
/// `"debug"`, `"info"`, `"warning"` or `"error"`.
[[nodiscard]] OUTLAY_EXPORT const char* to_string(LogLevel level) noexcept;

/// Receives everything that the library has to say. Never prompt text, never a key.
using LogHandler = std::function<void(LogLevel, std::string_view message)>;

/// Replaces the log handler of the process and returns the previous one. The default writes warnings and errors to stderr; an empty
/// handler restores it.
///
/// \par Thread safety
/// Safe from any thread. The handler may be called from any thread, never under a lock of the library; what it throws is swallowed.
OUTLAY_EXPORT LogHandler set_log_handler(LogHandler handler);

namespace detail {
OUTLAY_EXPORT void log(LogLevel level, std::string_view message) noexcept;
}

}  // namespace outlay
