#pragma once

#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/clock.hpp"
#include "outlay/sqlite/report.hpp"
#include "outlay/tags.hpp"

namespace outlay::cli {

class Calendar;

/// An option's value is not valid. The text begins with the option's name and ends with what to write.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Where a command's rows are.
struct SourceArguments {
  std::filesystem::path file{};        ///< Or the URL of a gateway's `/outlay/`.
  std::filesystem::path token_file{};  ///< With a gateway's admin token; empty: the variable OUTLAY_ADMIN_TOKEN has it.
};

/// Which rows a command looks at, as its options say it.
struct FilterArguments {
  std::string since{};
  std::string until{};
  std::vector<std::string> where{};  ///< `key=value`
  std::string budget{};
};

[[nodiscard]] Time system_now();

/// What `12h` means.
enum class From { past, future };
/// `30m`, `12h`, `7d`, `2w` before `now`, or behind it; `2026-11-01`; `2026-11-01T12:00:00Z`. A date is one of UTC.
///
/// \return Empty if it is none of them.
[[nodiscard]] std::optional<Time> parse_time(std::string_view text, Time now, From from = From::past);

/// Adds each `key=value` to `tags`.
///
/// \par Errors
/// UsageError.
void read_tags(const char* option, const std::vector<std::string>& given, Tags& tags);

/// Of a source in which nothing passes a filter: what is said then.
[[nodiscard]] std::string nothing_passes(const SourceArguments& source, const FilterArguments& filter);

/// \par Errors
/// UsageError.
/// \param calendar Whose dates, today and yesterday, and times without a `Z`, are meant; null: those of UTC.
[[nodiscard]] ReportFilter filter_of(const FilterArguments& arguments, Time now, const Calendar* calendar = nullptr);

}  // namespace outlay::cli
