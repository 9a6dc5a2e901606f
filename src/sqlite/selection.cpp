#include "sqlite/selection.hpp"

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <iterator>
#include <string_view>
#include <utility>

#include "core/base/iso_time.hpp"
#include "core/base/utf8.hpp"
#include "core/ledger/budget_path.hpp"
#include "outlay/error.hpp"

namespace outlay::detail {

namespace {

std::unordered_set<std::int64_t> ids_of(Database& database, const char* sql,
                                        std::initializer_list<std::string_view> texts) {
  Statement statement(database, sql);
  int parameter = 0;
  for (const std::string_view text : texts) statement.bind(++parameter, text);
  std::unordered_set<std::int64_t> ids;
  while (statement.step()) ids.insert(statement.integer(0));
  return ids;
}

void keep(Selection::Ids& ids, std::unordered_set<std::int64_t> more) {
  if (!ids) {
    ids = std::move(more);
    return;
  }
  for (auto id = ids->begin(); id != ids->end();) id = more.count(*id) != 0 ? std::next(id) : ids->erase(id);
}

std::unordered_set<std::int64_t> paths_of(Database& database, const std::string& budget) {
  const auto paths = budget_paths(database);
  BudgetFilter filter(budget);
  for (const auto& [id, names] : paths) filter.show(names);
  if (!filter.known())
    throw Error(errc::invalid_argument, "no budget in \"" + database.name() + "\" was ever called \"" +
                                            well_formed(budget) + "\". Check its name: report by budget lists them.");
  std::unordered_set<std::int64_t> ids;
  for (const auto& [id, names] : paths)
    if (filter.matches(names)) ids.insert(id);
  return ids;
}

Selection::Range day_of(std::string_view text) {
  const std::optional<std::chrono::sys_days> day = parse_iso_date(text);
  std::int64_t begin = 0, end = 0;
  if (!day || __builtin_mul_overflow(day->time_since_epoch().count(), day_length, &begin) ||
      __builtin_add_overflow(begin, day_length, &end))
    return {INT64_MAX, INT64_MIN};
  return {begin, end};
}

}  // namespace

std::map<std::int64_t, std::vector<std::string>> budget_paths(Database& database) {
  std::map<std::int64_t, std::vector<std::string>> paths;
  Statement statement(database, "SELECT budget_path, name FROM budgets ORDER BY budget_path, depth");
  while (statement.step()) paths[statement.integer(0)].push_back(statement.text(1));
  return paths;
}

bool Selection::none() const noexcept {
  const auto empty = [](const Range& range) { return range.since >= range.before; };
  const auto nothing = [](const Ids& ids) { return ids && ids->empty(); };
  return empty(ended) || empty(admitted) || nothing(tag_sets) || nothing(budget_paths) || nothing(models) ||
         nothing(providers);
}

bool Selection::has(std::int64_t tag_set, std::int64_t path, std::int64_t model, std::int64_t provider) const {
  const auto in = [](const Ids& ids, std::int64_t id) { return !ids || ids->count(id) != 0; };
  return in(tag_sets, tag_set) && in(budget_paths, path) && in(models, model) && in(providers, provider);
}

void Selection::narrow(Database& database, const Tags& tags) {
  for (const auto& [given_key, given_value] : tags) {
    const std::string key = well_formed(given_key), value = well_formed(given_value);
    if (key == "day") {
      const Range day = day_of(value);
      admitted.since = std::max(admitted.since, day.since);
      admitted.before = std::min(admitted.before, day.before);
    } else if (key == "budget") {
      keep(budget_paths, paths_of(database, value));
    } else if (key == "model" || key == "provider") {
      // An absent value is no value: nothing carries it.
      keep(key == "model" ? models : providers,
           value.empty() ? std::unordered_set<std::int64_t>()
                         : ids_of(database, "SELECT id FROM names WHERE name = ?1", {value}));
    } else {
      keep(tag_sets, ids_of(database, "SELECT tag_set FROM tags WHERE key = ?1 AND value = ?2", {key, value}));
    }
  }
}

Selection select(Database& database, const ReportFilter& filter) {
  Selection selection;
  if (filter.since) selection.ended.since = filter.since->time_since_epoch().count();
  if (filter.until) selection.ended.before = filter.until->time_since_epoch().count();
  selection.narrow(database, filter.tags);
  return selection;
}

}  // namespace outlay::detail
