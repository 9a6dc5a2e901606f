#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "outlay/sqlite/report.hpp"
#include "sqlite/database.hpp"

namespace outlay::detail {

constexpr std::int64_t day_length = 86'400'000'000'000;  // nanoseconds

/// Which rows a report looks at: its filter, in the file's ids.
struct Selection {
  struct Range {
    std::int64_t since = INT64_MIN, before = INT64_MAX;  // `before` is exclusive, but at its maximum
    [[nodiscard]] std::int64_t last() const noexcept { return before == INT64_MAX ? INT64_MAX : before - 1; }
  };
  Range ended{}, admitted{};  // nanoseconds since 1970, UTC
  std::int64_t last_record = INT64_MAX, last_event = INT64_MAX;
  using Ids = std::optional<std::unordered_set<std::int64_t>>;  // empty: any
  Ids tag_sets{}, budget_paths{}, models{}, providers{};

  /// Leaves out what does not carry all of these.
  ///
  /// \par Errors
  /// Error with errc::invalid_argument for a budget that the file does not know.
  void narrow(Database& database, const Tags& tags);

  [[nodiscard]] bool none() const noexcept;
  [[nodiscard]] bool all_ids() const noexcept { return !tag_sets && !budget_paths && !models && !providers; }
  [[nodiscard]] bool has(std::int64_t tag_set, std::int64_t path, std::int64_t model, std::int64_t provider) const;
};

[[nodiscard]] Selection select(Database& database, const ReportFilter& filter);

/// The names of the budgets of each path in the file, from the outermost in.
[[nodiscard]] std::map<std::int64_t, std::vector<std::string>> budget_paths(Database& database);

}  // namespace outlay::detail
