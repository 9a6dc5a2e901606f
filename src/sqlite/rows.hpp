#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "outlay/record.hpp"
#include "outlay/tags.hpp"
#include "sqlite/database.hpp"

namespace outlay::detail {

/// The dictionaries of a file, as far as they were needed. What is kept is forgotten when it has grown to `most` entries.
class Names {
 public:
  explicit Names(Database& database)
      : names_(database, "SELECT name FROM names WHERE id = ?1"),
        tags_(database, "SELECT key, value FROM tags WHERE tag_set = ?1"),
        budgets_(database, "SELECT name FROM budgets WHERE budget_path = ?1 ORDER BY depth") {}

  // Valid until the next question of the same kind.
  [[nodiscard]] const std::string& name(std::int64_t id);
  [[nodiscard]] const Tags& tags(std::int64_t id);
  [[nodiscard]] const std::vector<std::string>& budgets(std::int64_t id);

 private:
  static constexpr std::size_t most = 16'384;
  template <class Value, class Read>
  const Value& find(std::unordered_map<std::int64_t, Value>& known, std::int64_t id, Statement& statement, Read read);

  Statement names_, tags_, budgets_;
  std::unordered_map<std::int64_t, std::string> known_names_;
  std::unordered_map<std::int64_t, Tags> known_tags_;
  std::unordered_map<std::int64_t, std::vector<std::string>> known_budgets_;
};

/// What only few records have: `record_usage` has a column for each, in this order.
inline constexpr std::array<std::int64_t Usage::*, 9> special_usage{
    &Usage::input_audio,  &Usage::input_image,   &Usage::cache_read_audio, &Usage::output_audio, &Usage::output_image,
    &Usage::web_searches, &Usage::file_searches, &Usage::code_sessions,    &Usage::other_tools};

/// A statement that begins so has rows which read_record() understands. The first six columns are the id, those of Selection::has(), and
/// when the call ended.
inline constexpr std::string_view select_records = R"sql(
SELECT r.id, r.tag_set, r.budget_path, r.model, r.provider, r.ended, r.status, r.cost_source, r.usd, r.input, r.cache_read,
  r.cache_write, r.cache_write_1h, r.output, r.reasoning, r.started, r.reserved, r.overrun, r.requested_model, r.admitted_model,
  r.service_tier, r.price_version, r.unbounded, r.call, u.input_audio, u.input_image, u.cache_read_audio, u.output_audio,
  u.output_image, u.web_searches, u.file_searches, u.code_sessions, u.other_tools, x.provider_cost, x.table_cost, x.reason,
  x.traceparent
FROM records r LEFT JOIN record_usage u ON u.id = r.id LEFT JOIN record_extras x ON x.id = r.id)sql";
void read_record(const Statement& row, Names& names, Record& record);

/// The same for events; the sixth column is when it happened.
inline constexpr std::string_view select_events = R"sql(
SELECT id, tag_set, budget_path, model, provider, time, action, new_model, budget, path, description, reason, dimension, projected,
  cap, threshold, max_output_tokens, call, traceparent FROM events)sql";
void read_event(const Statement& row, Names& names, BudgetEvent& event);

}  // namespace outlay::detail
