#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "cli/source.hpp"

namespace outlay::cli {

/// Where lines of a JSONL sink come from.
class LineInput {
 public:
  /// \param line Null for one that is too long to be of a sink.
  /// \param number Of the line, from 1.
  using OnLine = std::function<void(const std::string* line, std::uint64_t number)>;

  LineInput() = default;
  LineInput(const LineInput&) = delete;
  LineInput& operator=(const LineInput&) = delete;
  virtual ~LineInput() = default;

  /// What came since the last time; at first everything.
  ///
  /// \par Errors
  /// Error with errc::storage.
  virtual void read(const OnLine& on_line) = 0;
  /// The next read() begins with the first line.
  virtual void restart() = 0;
  /// As messages name it.
  [[nodiscard]] virtual std::string name() const = 0;
  /// The last line was not whole when it was read.
  [[nodiscard]] virtual bool torn() const { return false; }
  /// As Source.
  [[nodiscard]] virtual bool complete() const { return true; }
  [[nodiscard]] virtual std::chrono::milliseconds pause() const { return std::chrono::milliseconds(500); }
};

/// \par Errors
/// Error with errc::invalid_argument where the filter names a budget that no line has.
[[nodiscard]] std::unique_ptr<Source> open_lines(std::unique_ptr<LineInput> input, const ReportFilter& filter);

/// Of a running gateway, by its `/outlay/rows`.
///
/// \param filter What need not be sent.
/// \param token_file With the gateway's admin token; empty: the variable OUTLAY_ADMIN_TOKEN, if there is one.
/// \par Errors
/// ConfigError for a URL that is not valid; Error with errc::storage for a token that cannot be read.
[[nodiscard]] std::unique_ptr<LineInput> open_gateway(const std::string& url, const ReportFilter& filter,
                                                      const std::filesystem::path& token_file);

}  // namespace outlay::cli
