#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "outlay/record.hpp"
#include "outlay/report.hpp"
#include "outlay/window.hpp"

namespace outlay::cli {

/// Dates and hours of one time zone.
class Calendar {
 public:
  enum class Unit : std::uint8_t { hour, day, week, month };
  /// \return Empty if it is no unit's name.
  [[nodiscard]] static std::optional<Unit> unit_of(std::string_view name) noexcept;
  [[nodiscard]] static const char* name_of(Unit unit) noexcept;

  /// Makes the zone that of the whole process: the C library knows only one.
  ///
  /// \par Errors
  /// ConfigError for a zone that is not known.
  explicit Calendar(const std::string& zone = "UTC");

  /// `2026-11-22T13:00+01:00`, `2026-11-22`, of a week its Monday, `2026-11`. Sorted as text they are in the order of time, but for the
  /// hour that comes twice.
  [[nodiscard]] const std::string& label(Time time, Unit unit);
  /// When the day begins that UTC has at `local`.
  [[nodiscard]] Time day_begin(Time local) const;
  /// When the day began that has the instant in it.
  [[nodiscard]] Time day_of(Time time) const { return day_.at(time).begin; }
  /// When the zone's clocks show what those of UTC show at `local`, to the second. Of a time that comes twice, and of one that is left out,
  /// the C library chooses.
  [[nodiscard]] Time instant(Time local) const;

 private:
  Window day_;
  // Rows come in runs: no zone changes its offset but at a whole minute.
  struct Last {
    std::int64_t minute = INT64_MIN;
    std::string label;
  };
  Last last_[4];
};

/// Whether the innermost budget of a path is called so: an operator's cap holds for a name, wherever the budget is.
[[nodiscard]] bool is_path_of(std::string_view path, std::string_view name) noexcept;

/// Sums of rows by keys: tags, `model`, `provider`, `budget`, and units of time (of the admission).
class Groups {
 public:
  /// \param calendar Outlives this.
  Groups(std::vector<std::string> by, Calendar& calendar);

  /// \par Errors
  /// Error with errc::overflow.
  void add(const Record& record);
  /// Counts refused calls; nothing else.
  void add(const BudgetEvent& event);

  [[nodiscard]] const std::vector<std::string>& by() const noexcept { return by_; }
  /// Dearest first; where the first key is a unit of time, in its order, and dearest first within one.
  [[nodiscard]] Report report(bool complete) const;
  [[nodiscard]] std::size_t size() const noexcept { return rows_.size(); }

 private:
  struct Key {
    std::string name;
    enum class Kind : std::uint8_t { tag, model, provider, budget, time } kind{};
    Calendar::Unit unit{};
    bool seen = false;  // a record has it
  };
  template <class Row>
  ReportRow& group(const Row& row, Time admitted, bool is_record);

  std::vector<std::string> by_;
  std::vector<Key> keys_;
  Calendar& calendar_;
  std::unordered_map<std::string, ReportRow> rows_;
  std::string id_, path_;  // reused
  bool any_ = false;
};

}  // namespace outlay::cli
