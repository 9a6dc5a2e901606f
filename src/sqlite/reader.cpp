#include "outlay/sqlite/reader.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
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

/// Up to which row of a table everything was handed over.
///
/// A new row gets the number above the highest one that is there. So after retention has deleted the newest rows their numbers are given out
/// again, and a number alone does not say which row is meant. But below a row that is still there no number was: the newest row handed
/// over that is still there, with what it held, is the end of what was read. Rows that the filter left out it leaves out again.
class Progress {
 public:
  /// What tells a row from another that got its number.
  using Facts = std::array<std::int64_t, 5>;

  /// \param facts A query for Facts by the number.
  explicit Progress(const char* facts) : facts_(facts) {}

  /// \param deleted How many rows retention has deleted from the file.
  /// \return The number above which rows are new.
  std::int64_t begin(Database& database, std::int64_t deleted) {
    Statement find(database, facts_);
    const auto is_there = [&](const Row& row) {
      find.bind(1, row.id);
      bool same = find.step();
      for (std::size_t i = 0; same && i < row.facts.size(); ++i)
        same = find.integer(static_cast<int>(i)) == row.facts[i];
      find.reset();
      return same;
    };
    if (deleted != deleted_ || (!rows_.empty() && !is_there(rows_.back()))) {
      while (!rows_.empty() && !is_there(rows_.back())) rows_.pop_back();
      last_ = rows_.empty() ? 0 : rows_.back().id;
    }
    deleted_ = deleted;
    return last_;
  }
  void handed_over(std::int64_t id, const Facts& facts) {
    last_ = id;
    rows_.push_back({id, facts});
    if (rows_.size() > most) rows_.pop_front();
  }
  /// Rows up to here that were not selected need not be looked at again.
  void end(std::int64_t newest) { last_ = std::max(last_, newest); }

 private:
  static constexpr std::size_t most = 65'536;
  struct Row {
    std::int64_t id;
    Facts facts;
  };
  const char* facts_;
  std::deque<Row> rows_{};  // the last that were handed over
  std::int64_t last_ = 0, deleted_ = 0;
};

}  // namespace

}  // namespace detail

struct SqliteReader::State {
  std::filesystem::path path;
  ReportFilter filter;
  detail::Progress records{"SELECT call, ended, started, usd, tag_set FROM records WHERE id = ?1"};
  detail::Progress events{"SELECT call, time, action, projected, tag_set FROM events WHERE id = ?1"};
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
  Names names(database);
  Cursor records(database, select_records, "r.id", "r.ended", "r.started", selection,
                 state.records.begin(database, deleted));
  Cursor events(database, select_events, "id", "time", "time", selection, state.events.begin(database, deleted));
  Record record;
  BudgetEvent event;
  for (bool more_records = records.next(), more_events = events.next(); more_records || more_events;) {
    if (more_records && (!more_events || records.time() <= events.time())) {
      read_record(records.row(), names, record);
      on_record(record);
      const Statement& row = records.row();
      state.records.handed_over(records.id(),
                                {row.integer(23), row.integer(5), row.integer(15), row.integer(8), row.integer(1)});
      more_records = records.next();
    } else {
      read_event(events.row(), names, event);
      on_event(event);
      const Statement& row = events.row();
      state.events.handed_over(events.id(),
                               {row.integer(17), row.integer(5), row.integer(6), row.integer(13), row.integer(1)});
      more_events = events.next();
    }
  }
  state.records.end(newest_record);
  state.events.end(newest_event);
}

}  // namespace outlay
