#include "sqlite/schema.hpp"

#include <sqlite3.h>

#include <optional>
#include <string>

namespace outlay::detail {

namespace {

// Enumerations are stored as the numbers of record.hpp and usage.hpp, whose order is therefore part of the format. 0 in a column that
// refers to a dictionary means: nothing (no tags, no budgets, the empty name).
//
// What a report adds up comes first in `records`, and all of it is integers, so that its one pass is short. There is no index by tags:
// it would make each group commit touch a page for each tag set (measured: an eighth of the rows a second), and a report reads all
// rows anyway.
constexpr const char* format_1 = R"sql(
CREATE TABLE info(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO info VALUES('dictionary', 0), ('deleted', 0), ('deleted_until', -9223372036854775808);

CREATE TABLE writers(
  id INTEGER PRIMARY KEY, instance TEXT NOT NULL UNIQUE, pid INTEGER NOT NULL, opened INTEGER NOT NULL, last INTEGER NOT NULL
) STRICT;
CREATE TABLE names(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE tag_sets(id INTEGER PRIMARY KEY, tags TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE tags(
  tag_set INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY(tag_set, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_value ON tags(key, value);
CREATE TABLE budget_paths(id INTEGER PRIMARY KEY, budgets TEXT NOT NULL UNIQUE, path TEXT NOT NULL) STRICT;
CREATE TABLE budgets(
  budget_path INTEGER NOT NULL, depth INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY(budget_path, depth)
) STRICT, WITHOUT ROWID;

CREATE TABLE records(
  id INTEGER PRIMARY KEY,
  tag_set INTEGER NOT NULL, budget_path INTEGER NOT NULL, model INTEGER NOT NULL, provider INTEGER NOT NULL,
  ended INTEGER NOT NULL, status INTEGER NOT NULL, cost_source INTEGER NOT NULL, usd INTEGER NOT NULL,
  input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL,
  output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
  started INTEGER NOT NULL, reserved INTEGER NOT NULL, overrun INTEGER NOT NULL,
  requested_model INTEGER NOT NULL, admitted_model INTEGER NOT NULL, service_tier INTEGER NOT NULL, price_version INTEGER NOT NULL,
  unbounded INTEGER NOT NULL, writer INTEGER NOT NULL, call INTEGER NOT NULL
) STRICT;
CREATE INDEX records_by_time ON records(ended);
CREATE INDEX records_indeterminate ON records(ended) WHERE status = 2;
CREATE TABLE record_usage(
  id INTEGER PRIMARY KEY, input_audio INTEGER NOT NULL, input_image INTEGER NOT NULL, cache_read_audio INTEGER NOT NULL,
  output_audio INTEGER NOT NULL, output_image INTEGER NOT NULL, web_searches INTEGER NOT NULL
) STRICT;
CREATE TABLE record_extras(
  id INTEGER PRIMARY KEY, provider_cost INTEGER, table_cost INTEGER, reason TEXT NOT NULL, traceparent TEXT NOT NULL
) STRICT;

CREATE TABLE events(
  id INTEGER PRIMARY KEY,
  tag_set INTEGER NOT NULL, budget_path INTEGER NOT NULL, model INTEGER NOT NULL, time INTEGER NOT NULL, action INTEGER NOT NULL,
  new_model INTEGER NOT NULL, budget TEXT NOT NULL, path TEXT NOT NULL, description TEXT NOT NULL, reason TEXT NOT NULL,
  dimension INTEGER NOT NULL, projected INTEGER NOT NULL, cap INTEGER NOT NULL, threshold REAL NOT NULL,
  max_output_tokens INTEGER, writer INTEGER NOT NULL, call INTEGER NOT NULL, traceparent TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_time ON events(time);
CREATE INDEX events_refused ON events(time) WHERE action IN (0, 1);

CREATE VIEW calls AS
SELECT r.id, r.writer, r.call, strftime('%Y-%m-%dT%H:%M:%SZ', r.ended / 1000000000, 'unixepoch') AS ended,
  CASE r.status WHEN 0 THEN 'settled' WHEN 1 THEN 'estimated' WHEN 2 THEN 'indeterminate' WHEN 3 THEN 'rejected' END AS status,
  m.name AS model, p.name AS provider, r.usd AS usd_nanos, r.reserved AS reserved_nanos, r.overrun AS overrun_nanos,
  r.input, r.cache_read, r.cache_write, r.cache_write_1h, r.output, r.reasoning,
  coalesce(t.tags, '{}') AS tags, coalesce(b.path, '') AS budgets, coalesce(x.reason, '') AS reason
FROM records r LEFT JOIN names m ON m.id = r.model LEFT JOIN names p ON p.id = r.provider
LEFT JOIN tag_sets t ON t.id = r.tag_set LEFT JOIN budget_paths b ON b.id = r.budget_path LEFT JOIN record_extras x ON x.id = r.id;

CREATE VIEW indeterminate AS
SELECT r.id, strftime('%Y-%m-%dT%H:%M:%SZ', r.ended / 1000000000, 'unixepoch') AS ended, m.name AS model, r.usd AS usd_nanos,
  coalesce(t.tags, '{}') AS tags, coalesce(b.path, '') AS budgets, coalesce(x.reason, '') AS reason
FROM records r LEFT JOIN names m ON m.id = r.model LEFT JOIN tag_sets t ON t.id = r.tag_set
LEFT JOIN budget_paths b ON b.id = r.budget_path LEFT JOIN record_extras x ON x.id = r.id
WHERE r.status = 2;
)sql";

// The provider of refused calls. Writers are removed when they are done with, so that their ids must not be given out again, since records
// go on naming them; `used` says when a writer last wrote.
constexpr const char* format_2 = R"sql(
ALTER TABLE events ADD COLUMN provider INTEGER NOT NULL DEFAULT 0;
CREATE TABLE writers_2(
  id INTEGER PRIMARY KEY AUTOINCREMENT, instance TEXT NOT NULL UNIQUE, pid INTEGER NOT NULL, opened INTEGER NOT NULL,
  last INTEGER NOT NULL, used INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO writers_2 SELECT id, instance, pid, opened, last, CAST(strftime('%s', 'now') AS INTEGER) * 1000000000 FROM writers;
DROP TABLE writers;
ALTER TABLE writers_2 RENAME TO writers;
)sql";

// The tools beside searches of the web that are billed by use.
constexpr const char* format_3 = R"sql(
ALTER TABLE record_usage ADD COLUMN file_searches INTEGER NOT NULL DEFAULT 0;
ALTER TABLE record_usage ADD COLUMN code_sessions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE record_usage ADD COLUMN other_tools INTEGER NOT NULL DEFAULT 0;
)sql";

constexpr const char* all_steps[] = {format_1, format_2, format_3};

struct Format {
  std::int64_t application = 0;
  std::int64_t version = 0;
  std::int64_t tables = 0;

  /// Without a sink's tables: empty, or a store's alone.
  [[nodiscard]] bool fresh() const noexcept {
    return version == 0 && (application == application_id || (application == 0 && tables == 0));
  }
};

Format read_format(Database& database) {
  return {database.query_int("PRAGMA application_id"), database.query_int("PRAGMA user_version"),
          database.query_int("SELECT count(*) FROM sqlite_schema")};
}

[[noreturn]] void refuse_foreign(const Database& database) {
  throw SqliteError(
      errc::bad_file, SQLITE_NOTADB,
      "\"" + database.name() + "\" is a database of another program: choose another path; it was not changed");
}

[[noreturn]] void refuse_newer(const Database& database, std::int64_t version, std::int64_t newest) {
  throw SqliteError(errc::bad_file, SQLITE_NOTADB,
                    "\"" + database.name() + "\" was written by a newer outlay (its format is " +
                        std::to_string(version) + ", this one knows up to " + std::to_string(newest) +
                        "): use that version, or another path; it was not changed");
}

/// \return Its format; throws if the file is not outlay's, or too new.
Format check_format(Database& database, std::size_t newest) {
  // One snapshot: another process may be making the file's tables just now.
  std::optional<Transaction> snapshot;
  if (!database.in_transaction()) snapshot.emplace(database, Transaction::Kind::read);
  const Format format = read_format(database);
  snapshot.reset();
  if (format.fresh()) return format;
  if (format.application != application_id || format.version < 1) refuse_foreign(database);
  if (format.version > static_cast<std::int64_t>(newest))
    refuse_newer(database, format.version, static_cast<std::int64_t>(newest));
  return format;
}

}  // namespace

std::span<const char* const> schema_steps() noexcept { return all_steps; }

namespace {

void use_write_ahead_log(Database& database) {
  if (const std::string mode = database.query_text("PRAGMA journal_mode = WAL"); mode != "wal")
    throw SqliteError(errc::storage, SQLITE_CANTOPEN,
                      "\"" + database.name() + "\" cannot have a write-ahead log (its journal is \"" + mode +
                          "\"): use a local file system, not a network one");
}

void mark_as_ours(Database& database) {
  database.exec(("PRAGMA application_id = " + std::to_string(application_id)).c_str());
}

}  // namespace

void prepare_for_writing(Database& database, std::span<const char* const> steps) {
  Format format = check_format(database, steps.size());
  // Fixed with the first page of a file; a no-op later.
  if (format.fresh()) database.exec("PRAGMA auto_vacuum = INCREMENTAL");
  use_write_ahead_log(database);
  if (format.version == static_cast<std::int64_t>(steps.size())) return;
  Transaction transaction(database, Transaction::Kind::write);
  format = check_format(database, steps.size());  // another process may have been first
  if (format.version == static_cast<std::int64_t>(steps.size())) return;
  for (auto step = static_cast<std::size_t>(format.version); step < steps.size(); ++step) database.exec(steps[step]);
  mark_as_ours(database);
  database.exec(("PRAGMA user_version = " + std::to_string(steps.size())).c_str());
  transaction.commit();
}

void check_for_reading(Database& database, std::span<const char* const> steps) {
  const Format format = check_format(database, steps.size());
  if (format.fresh() && format.tables != 0)
    throw SqliteError(
        errc::bad_file, SQLITE_NOTADB,
        "\"" + database.name() +
            "\" has the counters of a sqlite_store and no records: open the file that a sqlite_sink writes, or "
            "give both the same path");
  if (format.fresh())
    throw SqliteError(errc::bad_file, SQLITE_NOTADB,
                      "\"" + database.name() + "\" is empty: check the path, or open it with sqlite_sink first");
  if (format.version < static_cast<std::int64_t>(steps.size()))
    throw SqliteError(errc::bad_file, SQLITE_NOTADB,
                      "\"" + database.name() + "\" has the older format " + std::to_string(format.version) +
                          " (this version reads " + std::to_string(steps.size()) +
                          "): open it once with sqlite_sink, which brings it up to date");
}

namespace {

// A store's tables, apart from the sink's and with a format of their own, so that one file may serve either or both.
//
// Each admission is a transaction of its own, and what that costs is the pages it changes. So a slot is one row with everything in it, the
// calls in flight too, in one blob that store_slot.cpp reads and writes; only ids that have ended are elsewhere. Names are blobs since
// they may hold any byte.
constexpr std::int64_t store_format = 3;
constexpr const char* store_tables = R"sql(
CREATE TABLE store_info(format INTEGER NOT NULL, epoch TEXT NOT NULL, version INTEGER NOT NULL) STRICT;
INSERT INTO store_info VALUES(2, lower(hex(randomblob(16))), 0);

CREATE TABLE store_slots(
  id INTEGER PRIMARY KEY AUTOINCREMENT, state BLOB NOT NULL, begins INTEGER NOT NULL, forget_at INTEGER NOT NULL,
  name BLOB NOT NULL, "window" BLOB NOT NULL, holds INTEGER NOT NULL DEFAULT 0, UNIQUE(name, "window", begins)
) STRICT;
CREATE INDEX store_slots_to_forget ON store_slots(forget_at);
CREATE INDEX store_slots_in_flight ON store_slots(name, "window") WHERE holds;

CREATE TABLE store_ids(
  id BLOB NOT NULL, slot INTEGER NOT NULL, until INTEGER NOT NULL, charged BLOB NOT NULL, PRIMARY KEY(id, slot)
) STRICT, WITHOUT ROWID;
)sql";
/// Which slots have calls in flight was not said beside the blob before: any of them may.
constexpr const char* store_tables_1_to_2 = R"sql(
ALTER TABLE store_slots ADD COLUMN holds INTEGER NOT NULL DEFAULT 0;
UPDATE store_slots SET holds = 1;
CREATE INDEX store_slots_in_flight ON store_slots(name, "window") WHERE holds;
UPDATE store_info SET format = 2;
)sql";
/// The caps that operators set.
constexpr const char* store_tables_2_to_3 = R"sql(
CREATE TABLE store_caps(
  name BLOB NOT NULL, "window" BLOB NOT NULL, limits BLOB NOT NULL, by BLOB NOT NULL, reason BLOB NOT NULL, since INTEGER NOT NULL,
  until INTEGER NOT NULL, PRIMARY KEY(name, "window")
) STRICT, WITHOUT ROWID;
UPDATE store_info SET format = 3;
)sql";

/// \return The format of the store's tables; 0 where the file has none.
std::int64_t store_format_of(Database& database) {
  std::optional<Transaction> snapshot;
  if (!database.in_transaction()) snapshot.emplace(database, Transaction::Kind::read);
  const Format format = read_format(database);
  if (format.application != application_id && !format.fresh()) refuse_foreign(database);
  if (database.query_int("SELECT count(*) FROM sqlite_schema WHERE name = 'store_info'") == 0) return 0;
  const std::int64_t version = database.query_int("SELECT format FROM store_info");
  if (version > store_format) refuse_newer(database, version, store_format);
  return version;
}

}  // namespace

void prepare_for_store(Database& database, bool create) {
  std::int64_t format = store_format_of(database);
  for (int looks = 50; format == 0 && !create && looks > 0; --looks) {  // it may be in the making
    Database::nap();
    format = store_format_of(database);
  }
  if (format == 0 && !create)
    throw SqliteError(errc::bad_file, SQLITE_NOTADB,
                      "\"" + database.name() +
                          "\" has no counters of a sqlite_store: check the path, or let the program that counts "
                          "there open it first");
  if (format == 0) {
    // Fixed with the first page of a file; no-ops later. Small pages, for commits that change two or three rows.
    database.exec("PRAGMA page_size = 1024");
    database.exec("PRAGMA auto_vacuum = INCREMENTAL");
  }
  use_write_ahead_log(database);
  if (format == store_format) return;
  Transaction transaction(database, Transaction::Kind::write);
  format = store_format_of(database);
  if (format == store_format) return;  // another process was first
  if (format < 2) database.exec(format == 0 ? store_tables : store_tables_1_to_2);
  database.exec(store_tables_2_to_3);
  mark_as_ours(database);
  transaction.commit();
}

}  // namespace outlay::detail
