#include "sqlite/writer.hpp"

#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <unordered_set>

#include "core/base/json_writer.hpp"
#include "core/base/utf8.hpp"
#include "core/ledger/budget_path.hpp"
#include "sqlite/rows.hpp"
#include "sqlite/schema.hpp"

namespace outlay::detail {

namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::size_t max_dictionary = 65'536;
constexpr std::chrono::hours unused_writers_stay{24 * 7};

std::string make_instance() {
  std::uint64_t bits[2];
  sqlite3_randomness(sizeof bits, bits);
  char text[40];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(bits[0]),
                static_cast<unsigned long long>(bits[1]));
  return text;
}

/// Opens the file and brings it to the newest format; several processes may do so at once.
Database& prepared(Database& database, Durability durability, SteadyTime deadline) {
  database.set_deadline(deadline);
  retry_while_busy(deadline, [&] { prepare_for_writing(database); });
  database.exec(durability == Durability::full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
  database.exec("PRAGMA cache_size = -16000");            // KiB
  database.exec("PRAGMA journal_size_limit = 67108864");  // a log that long readers made grow is cut again
  return database;
}

}  // namespace

struct Writer::Statements {
  explicit Statements(Database& database)
      : generation(database, "SELECT value FROM info WHERE key = 'dictionary'"),
        find_writer(database, "SELECT last FROM writers WHERE id = ?1 AND instance = ?2"),
        add_writer(database, "INSERT INTO writers(instance, pid, opened, last, used) VALUES(?1, ?2, ?3, 0, ?3)"),
        set_last(database, "UPDATE writers SET last = ?2, used = ?3 WHERE id = ?1"),
        find_name(database, "SELECT id FROM names WHERE name = ?1"),
        add_name(database, "INSERT INTO names(name) VALUES(?1)"),
        find_tags(database, "SELECT id FROM tag_sets WHERE tags = ?1"),
        add_tags(database, "INSERT INTO tag_sets(tags) VALUES(?1)"),
        add_tag(database, "INSERT OR REPLACE INTO tags VALUES(?1, ?2, ?3)"),
        find_budgets(database, "SELECT id FROM budget_paths WHERE budgets = ?1"),
        add_budgets(database, "INSERT INTO budget_paths(budgets, path) VALUES(?1, ?2)"),
        add_budget(database, "INSERT OR REPLACE INTO budgets VALUES(?1, ?2, ?3)"),
        add_record(database,
                   "INSERT INTO records(tag_set, budget_path, model, provider, ended, status, cost_source, usd, "
                   "input, "
                   "cache_read, cache_write, cache_write_1h, output, reasoning, started, reserved, overrun, "
                   "requested_model, admitted_model, service_tier, price_version, unbounded, writer, call) "
                   "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24)"),
        add_usage(database, "INSERT INTO record_usage VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"),
        add_extras(database, "INSERT INTO record_extras VALUES(?1, ?2, ?3, ?4, ?5)"),
        add_event(
            database,
            "INSERT INTO events(tag_set, budget_path, model, time, action, new_model, budget, path, "
            "description, "
            "reason, dimension, projected, cap, threshold, max_output_tokens, writer, call, traceparent, provider) "
            "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19)") {}

  Statement generation, find_writer, add_writer, set_last, find_name, add_name, find_tags, add_tags, add_tag,
      find_budgets, add_budgets, add_budget, add_record, add_usage, add_extras, add_event;
};

Writer::Writer(const std::filesystem::path& path, Durability durability, SteadyTime deadline)
    : database_(path, Database::Mode::read_write),
      statements_(std::make_unique<Statements>(prepared(database_, durability, deadline))),
      instance_(make_instance()) {
  // The pages that the next rows go to: a file that was cut short shows here, not at the first commit.
  static_cast<void>(database_.query_int("SELECT max(id) FROM records"));
  static_cast<void>(database_.query_int("SELECT max(ended) FROM records"));
  static_cast<void>(database_.query_int("SELECT max(id) FROM events"));
}

Writer::~Writer() = default;

void Writer::add(const Record& record) {
  RecordRow row{};
  row.call = record.call_id;
  row.started = nanos(record.started), row.ended = nanos(record.ended);
  row.usd = record.usd.nanos(), row.reserved = record.reserved.nanos(), row.overrun = record.overrun.nanos();
  row.tags = tags_.number_of(record.tags);
  row.budgets = budgets_.number_of(record.budgets);
  row.model = models_.number_of(record.model);
  row.provider = providers_.number_of(record.provider);
  row.requested = requested_.number_of(record.requested_model);
  row.admitted = admitted_.number_of(record.admitted_model);
  row.tier = tiers_.number_of(record.service_tier);
  row.prices = prices_.number_of(record.price_version);
  row.status = static_cast<std::uint8_t>(record.status);
  row.source = static_cast<std::uint8_t>(record.cost_source);
  row.unbounded = record.unbounded;
  row.usage = record.usage;
  if (record.provider_cost || record.table_cost || !record.reason.empty() || !record.traceparent.empty())
    row.extra = std::make_unique<RecordRow::Extra>(RecordRow::Extra{
        record.provider_cost, record.table_cost, well_formed(record.reason), well_formed(record.traceparent)});
  row.number = next_number_;
  records_.push_back(std::move(row));
  ++next_number_;
}

void Writer::add(const BudgetEvent& event) {
  EventRow row{};
  row.tags = tags_.number_of(event.tags);
  row.budgets = budgets_.number_of(event.budgets);
  row.model = models_.number_of(event.model);
  row.new_model = models_.number_of(event.new_model);
  row.provider = providers_.number_of(event.provider);
  row.event = event;
  row.event.tags = {};
  row.event.budgets = {};
  for (std::string* text :
       {&row.event.budget, &row.event.path, &row.event.description, &row.event.reason, &row.event.traceparent})
    if (!is_well_formed(*text)) *text = well_formed(*text);
  row.number = next_number_;
  events_.push_back(std::move(row));
  ++next_number_;
}

void Writer::commit(SteadyTime deadline) {
  if (waiting() == 0) return;
  database_.set_deadline(deadline);
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  try {
    Transaction transaction(database_, Transaction::Kind::write);
    Statements& sql = *statements_;
    static_cast<void>(sql.generation.step());
    const std::int64_t generation = sql.generation.integer(0);
    sql.generation.reset();
    if (generation != generation_) forget_ids();
    generation_ = generation;

    std::uint64_t last = 0;
    if (writer_id_ != 0) {
      sql.find_writer.bind(1, writer_id_);
      sql.find_writer.bind(2, std::string_view(instance_));
      const bool known = sql.find_writer.step();
      last = known ? static_cast<std::uint64_t>(sql.find_writer.integer(0)) : 0;
      sql.find_writer.reset();
      if (!known) writer_id_ = 0;
    }
    if (writer_id_ == 0) {
      // Also after a first transaction whose outcome is unknown: its writer would be found by its instance.
      Statement found(database_, "SELECT id, last FROM writers WHERE instance = ?1");
      found.bind(1, std::string_view(instance_));
      if (found.step()) {
        writer_id_ = found.integer(0);
        last = static_cast<std::uint64_t>(found.integer(1));
      } else {
        sql.add_writer.bind(1, std::string_view(instance_));
        sql.add_writer.bind(2, static_cast<std::int64_t>(::getpid()));
        sql.add_writer.bind(3, now);
        sql.add_writer.run();
        writer_id_ = database_.last_insert_id();
        // Those that ended without saying so. One that tries a transaction again after so long a time would write it twice.
        Statement forget(database_, "DELETE FROM writers WHERE max(opened, used) < ?1");
        forget.bind(1, now - std::chrono::nanoseconds(unused_writers_stay).count());
        forget.run();
      }
    }

    for (const RecordRow& row : records_)
      if (row.number > last) insert(row);
    for (const EventRow& row : events_)
      if (row.number > last) insert(row);

    sql.set_last.bind(1, writer_id_);
    sql.set_last.bind(2, static_cast<std::int64_t>(next_number_ - 1));
    sql.set_last.bind(3, now);
    sql.set_last.run();
    transaction.commit();
  } catch (...) {
    writer_id_ = 0;
    forget_ids();
    throw;
  }
  records_.clear();
  events_.clear();
  if (tags_.size() > max_dictionary) tags_.clear();
  if (budgets_.size() > max_dictionary) budgets_.clear();
  for (Dictionary<std::string>* names : {&models_, &providers_, &requested_, &admitted_, &tiers_, &prices_})
    if (names->size() > max_dictionary) names->clear();
}

void Writer::retire(SteadyTime deadline) {
  if (writer_id_ == 0) return;
  database_.set_deadline(deadline);
  Statement forget(database_, "DELETE FROM writers WHERE id = ?1 AND instance = ?2");
  forget.bind(1, writer_id_);
  forget.bind(2, std::string_view(instance_));
  forget.run();
  writer_id_ = 0;
}

void Writer::insert(const RecordRow& row) {
  Statement& add = statements_->add_record;
  add.bind(1, tags_id(row.tags));
  add.bind(2, budgets_id(row.budgets));
  add.bind(3, name_id(row.model, models_));
  add.bind(4, name_id(row.provider, providers_));
  add.bind(5, row.ended);
  add.bind(6, std::int64_t{row.status});
  add.bind(7, std::int64_t{row.source});
  add.bind(8, row.usd);
  add.bind(9, row.usage.input);
  add.bind(10, row.usage.cache_read);
  add.bind(11, row.usage.cache_write);
  add.bind(12, row.usage.cache_write_1h);
  add.bind(13, row.usage.output);
  add.bind(14, row.usage.reasoning);
  add.bind(15, row.started);
  add.bind(16, row.reserved);
  add.bind(17, row.overrun);
  add.bind(18, name_id(row.requested, requested_));
  add.bind(19, name_id(row.admitted, admitted_));
  add.bind(20, name_id(row.tier, tiers_));
  add.bind(21, name_id(row.prices, prices_));
  add.bind(22, std::int64_t{row.unbounded});
  add.bind(23, writer_id_);
  add.bind(24, static_cast<std::int64_t>(row.call));
  add.run();
  const Usage& usage = row.usage;
  const bool special = std::any_of(special_usage.begin(), special_usage.end(),
                                   [&](std::int64_t Usage::* count) { return usage.*count != 0; });
  if (!special && !row.extra) return;
  const std::int64_t id = database_.last_insert_id();
  if (special) {
    Statement& more = statements_->add_usage;
    more.bind(1, id);
    int column = 2;
    for (const auto count : special_usage) more.bind(column++, usage.*count);
    more.run();
  }
  if (row.extra) {
    Statement& more = statements_->add_extras;
    const auto bind_usd = [&](int parameter, const std::optional<Usd>& usd) {
      usd ? more.bind(parameter, usd->nanos()) : more.bind_null(parameter);
    };
    more.bind(1, id);
    bind_usd(2, row.extra->provider_cost);
    bind_usd(3, row.extra->table_cost);
    more.bind(4, std::string_view(row.extra->reason));
    more.bind(5, std::string_view(row.extra->traceparent));
    more.run();
  }
}

void Writer::insert(const EventRow& row) {
  Statement& add = statements_->add_event;
  const BudgetEvent& event = row.event;
  add.bind(1, tags_id(row.tags));
  add.bind(2, budgets_id(row.budgets));
  add.bind(3, name_id(row.model, models_));
  add.bind(4, nanos(event.time));
  add.bind(5, static_cast<std::int64_t>(event.action));
  add.bind(6, name_id(row.new_model, models_));
  add.bind(7, std::string_view(event.budget));
  add.bind(8, std::string_view(event.path));
  add.bind(9, std::string_view(event.description));
  add.bind(10, std::string_view(event.reason));
  add.bind(11, static_cast<std::int64_t>(event.dimension));
  add.bind(12, event.projected);
  add.bind(13, event.cap);
  add.bind(14, event.threshold);
  if (event.max_output_tokens)
    add.bind(15, *event.max_output_tokens);
  else
    add.bind_null(15);
  add.bind(16, writer_id_);
  add.bind(17, static_cast<std::int64_t>(event.call_id));
  add.bind(18, std::string_view(event.traceparent));
  add.bind(19, name_id(row.provider, providers_));
  add.run();
}

namespace {

/// The id of a text in a dictionary's table, which is made if it is not there.
/// \return The id, and whether it is new.
std::pair<std::int64_t, bool> find_or_add(Database& database, Statement& find, Statement& add, std::string_view text) {
  find.bind(1, text);
  const bool known = find.step();
  const std::int64_t id = known ? find.integer(0) : 0;
  find.reset();
  if (known) return {id, false};
  add.bind(1, text);
  add.run();
  return {database.last_insert_id(), true};
}

}  // namespace

std::int64_t Writer::name_id(std::uint32_t number, Dictionary<std::string>& names) {
  return names.id_of(number, [&](const std::string& name) {
    return find_or_add(database_, statements_->find_name, statements_->add_name, well_formed(name)).first;
  });
}

std::int64_t Writer::tags_id(std::uint32_t number) {
  return tags_.id_of(number, [&](const Tags& tags) {
    std::string json;
    JsonWriter(json).tags(tags);
    const auto [id, fresh] = find_or_add(database_, statements_->find_tags, statements_->add_tags, json);
    if (!fresh) return id;
    Statement& add = statements_->add_tag;
    for (const auto& [key, value] : tags) {
      const std::string clean_key = well_formed(key), clean_value = well_formed(value);
      add.bind(1, id);
      add.bind(2, std::string_view(clean_key));
      add.bind(3, std::string_view(clean_value));
      add.run();
    }
    return id;
  });
}

std::int64_t Writer::budgets_id(std::uint32_t number) {
  return budgets_.id_of(number, [&](const std::vector<std::string>& budgets) {
    std::string json, path;
    JsonWriter(json).texts(budgets);
    for (const std::string& name : budgets) append_to_path(path, well_formed(name));
    statements_->add_budgets.bind(2, std::string_view(path));
    const auto [id, fresh] = find_or_add(database_, statements_->find_budgets, statements_->add_budgets, json);
    if (!fresh) return id;
    Statement& add = statements_->add_budget;
    for (std::size_t depth = 0; depth < budgets.size(); ++depth) {
      const std::string name = well_formed(budgets[depth]);
      add.bind(1, id);
      add.bind(2, static_cast<std::int64_t>(depth));
      add.bind(3, std::string_view(name));
      add.run();
    }
    return id;
  });
}

void Writer::forget_ids() noexcept {
  for (Dictionary<std::string>* names : {&models_, &providers_, &requested_, &admitted_, &tiers_, &prices_})
    names->forget_ids();
  tags_.forget_ids();
  budgets_.forget_ids();
}

bool Writer::remove_oldest(std::int64_t upto, std::int64_t limit, SteadyTime deadline) {
  database_.set_deadline(deadline);
  Transaction transaction(database_, Transaction::Kind::write);
  // Everything up to one instant, so that a report can say from when on it is complete.
  const auto oldest = [&](const char* sql) -> std::optional<std::int64_t> {
    Statement statement(database_, sql);
    statement.bind(1, upto);
    statement.bind(2, limit);
    if (!statement.step() || statement.is_null(0)) return std::nullopt;
    return statement.integer(0);
  };
  const auto record =
      oldest("SELECT max(ended) FROM (SELECT ended FROM records WHERE ended <= ?1 ORDER BY ended LIMIT ?2)");
  const auto event = oldest("SELECT max(time) FROM (SELECT time FROM events WHERE time <= ?1 ORDER BY time LIMIT ?2)");
  if (!record && !event) return false;
  // The earlier of the two: neither table gives up more than its share.
  const std::int64_t cut = std::min(record.value_or(INT64_MAX), event.value_or(INT64_MAX));
  std::int64_t removed = 0;
  const auto remove = [&](const char* sql) {
    Statement statement(database_, sql);
    statement.bind(1, cut);
    statement.run();
    return database_.changes();
  };
  remove("DELETE FROM record_usage WHERE id IN (SELECT id FROM records WHERE ended <= ?1)");
  remove("DELETE FROM record_extras WHERE id IN (SELECT id FROM records WHERE ended <= ?1)");
  removed += remove("DELETE FROM records WHERE ended <= ?1");
  removed += remove("DELETE FROM events WHERE time <= ?1");
  Statement count(database_, "UPDATE info SET value = value + ?1 WHERE key = 'deleted'");
  count.bind(1, removed);
  count.run();
  Statement until(database_, "UPDATE info SET value = max(value, ?1) WHERE key = 'deleted_until'");
  until.bind(1, cut);
  until.run();
  transaction.commit();
  return true;
}

std::int64_t Writer::row_span() {
  return database_.query_int("SELECT max(id) - min(id) + 1 FROM records") +
         database_.query_int("SELECT max(id) - min(id) + 1 FROM events");
}

std::uint64_t Writer::data_bytes() {
  const std::int64_t pages = database_.query_int("PRAGMA page_count") - database_.query_int("PRAGMA freelist_count");
  return static_cast<std::uint64_t>(pages * database_.query_int("PRAGMA page_size"));
}

bool Writer::shrink(SteadyTime deadline) {
  database_.set_deadline(deadline);
  constexpr std::int64_t at_once = 256, worthwhile = 64;
  const std::int64_t before = database_.query_int("PRAGMA freelist_count");
  if (before < worthwhile) return false;
  Statement vacuum(database_, "PRAGMA incremental_vacuum(" + std::to_string(at_once) + ")");
  vacuum.run();
  return database_.query_int("PRAGMA freelist_count") >= worthwhile;
}

bool Writer::remove_unused(const Unused& unused, SteadyTime deadline) {
  if (unused.tag_sets.empty() && unused.budget_paths.empty()) return true;
  database_.set_deadline(deadline);
  Transaction transaction(database_, Transaction::Kind::write);
  // Where rows were deleted meanwhile their ids may be in use again, and "newer" says nothing: another time.
  if (database_.query_int("SELECT value FROM info WHERE key = 'deleted'") != unused.deleted) return false;
  const auto used_since = [&](const char* sql) {
    std::unordered_set<std::int64_t> ids;
    Statement statement(database_, sql);
    statement.bind(1, unused.last_record);
    statement.bind(2, unused.last_event);
    while (statement.step()) ids.insert(statement.integer(0));
    return ids;
  };
  const auto remove = [&](const std::vector<std::int64_t>& candidates, const std::unordered_set<std::int64_t>& used,
                          const char* sql) {
    Statement statement(database_, sql);
    for (const std::int64_t id : candidates) {
      if (used.count(id) != 0) continue;
      statement.bind(1, id);
      statement.run();
    }
  };
  const auto tag_sets =
      used_since("SELECT tag_set FROM records WHERE id > ?1 UNION SELECT tag_set FROM events WHERE id > ?2");
  remove(unused.tag_sets, tag_sets, "DELETE FROM tags WHERE tag_set = ?1");
  remove(unused.tag_sets, tag_sets, "DELETE FROM tag_sets WHERE id = ?1");
  const auto paths =
      used_since("SELECT budget_path FROM records WHERE id > ?1 UNION SELECT budget_path FROM events WHERE id > ?2");
  remove(unused.budget_paths, paths, "DELETE FROM budgets WHERE budget_path = ?1");
  remove(unused.budget_paths, paths, "DELETE FROM budget_paths WHERE id = ?1");
  // Every writer that keeps ids in memory looks them up again.
  database_.exec("UPDATE info SET value = value + 1 WHERE key = 'dictionary'");
  transaction.commit();
  return true;
}

}  // namespace outlay::detail
