#include "outlay/sqlite/reader.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "sqlite/reading.hpp"
#include "sqlite/rows.hpp"
#include "sqlite/selection.hpp"

namespace outlay {

namespace detail {

namespace {

/// The rows of a table above an id, those first that were committed first.
class Cursor {
 public:
  /// \param id, when, admitted The columns that say so.
  Cursor(Database& database, std::string_view select, const std::string& id, const std::string& when,
         const std::string& admitted, const Selection& selection, std::int64_t after)
      : selection_(selection),
        // "+": in the table's own order, which needs no sorting.
        statement_(database, std::string(select) + " WHERE " + id + " > ?1 AND +" + when + " >= ?2 AND +" + when +
                                 " <= ?3 AND +" + admitted + " >= ?4 AND +" + admitted + " <= ?5 ORDER BY " + id) {
    statement_.bind(1, after);
    statement_.bind(2, selection.ended.since);
    statement_.bind(3, selection.ended.last());
    statement_.bind(4, selection.admitted.since);
    statement_.bind(5, selection.admitted.last());
  }
  /// \return There is a row.
  bool next() {
    while (statement_.step())
      if (selection_.all_ids() ||
          selection_.has(statement_.integer(1), statement_.integer(2), statement_.integer(3), statement_.integer(4)))
        return true;
    return false;
  }
  [[nodiscard]] const Statement& row() const noexcept { return statement_; }
  [[nodiscard]] std::int64_t id() const noexcept { return statement_.integer(0); }
  [[nodiscard]] std::int64_t time() const noexcept { return statement_.integer(5); }

 private:
  const Selection& selection_;
  Statement statement_;
};

}  // namespace

}  // namespace detail

struct SqliteReader::State {
  std::filesystem::path path;
  ReportFilter filter;
  std::int64_t last_record = 0, last_event = 0;
  bool complete = true;
};

SqliteReader::SqliteReader(std::filesystem::path path, ReportFilter filter)
    : state_(new State{std::move(path), std::move(filter)}) {}
SqliteReader::~SqliteReader() = default;

bool SqliteReader::complete() const noexcept { return state_->complete; }

void SqliteReader::read(const OnRecord& on_record, const OnEvent& on_event) {
  using namespace detail;
  State& state = *state_;
  Reading reading(state.path);
  Database& database = reading.database;
  const Transaction snapshot(database, Transaction::Kind::read);
  const Selection selection = select(database, state.filter);
  const std::int64_t deleted = reading.info("deleted");
  state.complete = deleted == 0 || selection.ended.since > reading.info("deleted_until");
  if (selection.none()) return;
  const std::int64_t newest_record = database.query_int("SELECT max(id) FROM records"),
                     newest_event = database.query_int("SELECT max(id) FROM events");
  // Retention that has deleted the newest row gives its number out again.
  state.last_record = std::min(state.last_record, newest_record);
  state.last_event = std::min(state.last_event, newest_event);
  Names names(database);
  Cursor records(database, select_records, "r.id", "r.ended", "r.started", selection, state.last_record);
  Cursor events(database, select_events, "id", "time", "time", selection, state.last_event);
  Record record;
  BudgetEvent event;
  for (bool more_records = records.next(), more_events = events.next(); more_records || more_events;) {
    if (more_records && (!more_events || records.time() <= events.time())) {
      read_record(records.row(), names, record);
      on_record(record);
      state.last_record = records.id();
      more_records = records.next();
    } else {
      read_event(events.row(), names, event);
      on_event(event);
      state.last_event = events.id();
      more_events = events.next();
    }
  }
  // Rows that were not selected need not be looked at again.
  state.last_record = std::max(state.last_record, newest_record);
  state.last_event = std::max(state.last_event, newest_event);
}

}  // namespace outlay
