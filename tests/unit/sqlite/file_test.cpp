#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include "sqlite/schema.hpp"
#include "support/fault_vfs.hpp"
#include "unit/sqlite/fixture.hpp"

using namespace outlay_test;

namespace {

void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// What both ways into a file say of it.
std::vector<outlay::Error> refusals(const std::filesystem::path& path) {
  return {failure_of([&] { static_cast<void>(outlay::sqlite_sink({.path = path, .busy_timeout = 10ms})); }),
          failure_of([&] { static_cast<void>(outlay::report_sqlite(path)); })};
}

void fill(const std::filesystem::path& path, std::uint64_t rows) {
  const auto sink = outlay::sqlite_sink({.path = path});
  for (std::uint64_t i = 1; i <= rows; ++i) sink->write(make_record(i, {{"n", std::to_string(i % 100)}}));
  sink->close();
}

}  // namespace

TEST_CASE("sqlite: a file that is no database is refused and left as it was", "[sqlite][file]") {
  const TempDir dir;
  const std::string bytes = "model,usd\n" + std::string(10'000, 'x');
  write_bytes(dir.db(), bytes);
  for (const outlay::Error& error : refusals(dir.db())) {
    CHECK(error.reason() == outlay::errc::bad_file);
    CHECK(contains(error.what(), "is no SQLite database"));
    CHECK(contains(error.what(), "another path"));
  }
  CHECK(read_bytes(dir.db()) == bytes);
}

TEST_CASE("sqlite: another program's database is refused and left as it was", "[sqlite][file]") {
  const TempDir dir;
  Raw(dir.db()).exec("CREATE TABLE invoices(id INTEGER)");
  const std::string bytes = read_bytes(dir.db());
  for (const outlay::Error& error : refusals(dir.db())) {
    CHECK(error.reason() == outlay::errc::bad_file);
    CHECK(contains(error.what(), "another program"));
  }
  CHECK(read_bytes(dir.db()) == bytes);
}

TEST_CASE("sqlite: a file of a newer format is refused with both numbers", "[sqlite][file]") {
  const TempDir dir;
  fill(dir.db(), 1);
  Raw(dir.db()).exec("PRAGMA user_version = 99");
  for (const outlay::Error& error : refusals(dir.db())) {
    CHECK(error.reason() == outlay::errc::bad_file);
    CHECK(contains(error.what(), "its format is 99, this one knows up to 3"));
  }
  CHECK(Raw(dir.db()).number("SELECT count(*) FROM records") == 1);
}

TEST_CASE("sqlite: a file that was cut short is refused with what to do", "[sqlite][file]") {
  const TempDir dir;
  fill(dir.db(), 5'000);
  std::filesystem::resize_file(dir.db(), std::filesystem::file_size(dir.db()) / 2);
  for (const outlay::Error& error : refusals(dir.db())) {
    CHECK(error.reason() == outlay::errc::bad_file);
    CHECK(contains(error.what(), ".recover"));
  }
}

TEST_CASE("sqlite: a damaged page is reported by the report, never summed over", "[sqlite][file]") {
  const TempDir dir;
  fill(dir.db(), 5'000);
  const std::int64_t root = Raw(dir.db()).number("SELECT rootpage FROM sqlite_schema WHERE name = 'records'");
  std::fstream file(dir.db(), std::ios::binary | std::ios::in | std::ios::out);
  file.seekp((root - 1) * 4096);
  file << std::string(4096, '\xAA');
  file.close();
  CHECK(failure_of([&] { static_cast<void>(outlay::report_sqlite(dir.db())); }).reason() == outlay::errc::bad_file);
}

TEST_CASE("sqlite: missing tables are refused, not made up", "[sqlite][file]") {
  const TempDir dir;
  fill(dir.db(), 1);
  Raw(dir.db()).exec("DROP TABLE tags");
  CHECK(failure_of([&] { static_cast<void>(outlay::sqlite_sink({.path = dir.db()})); }).reason() ==
        outlay::errc::bad_file);
  CHECK(failure_of([&] { static_cast<void>(outlay::report_sqlite(dir.db(), {"n"})); }).reason() ==
        outlay::errc::bad_file);
}

TEST_CASE("sqlite: a missing directory and a missing file are told apart", "[sqlite][file]") {
  const TempDir dir;
  const auto nowhere = dir.path() / "missing" / "spend.db";
  const outlay::Error sink = failure_of([&] { static_cast<void>(outlay::sqlite_sink({.path = nowhere})); });
  CHECK(sink.reason() == outlay::errc::storage);
  CHECK(contains(sink.what(), "directory exists"));
  const outlay::Error report = failure_of([&] { static_cast<void>(outlay::report_sqlite(dir.db())); });
  CHECK(report.reason() == outlay::errc::storage);
  CHECK(contains(report.what(), "does not exist"));
  for (const outlay::Error& error : refusals(dir.path())) CHECK(contains(error.what(), "is a directory"));
  CHECK_FALSE(std::filesystem::exists(dir.db()));  // a report makes no file
}

TEST_CASE("sqlite: names that mean something to SQLite are plain file names here", "[sqlite][file]") {
  const TempDir dir;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  fill(":memory:", 1);
  const std::int64_t calls = outlay::report_sqlite(":memory:").at(0).calls;
  std::filesystem::current_path(before);
  CHECK(calls == 1);
  CHECK(std::filesystem::exists(dir.path() / ":memory:"));
}

TEST_CASE("sqlite: a file that may not be written is refused by the sink when it is made", "[sqlite][file]") {
  const TempDir dir;
  fill(dir.db(), 3);
  namespace fs = std::filesystem;
  fs::permissions(dir.path(), fs::perms::all);
  fs::permissions(dir.db(), fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read);
  const bool root = ::geteuid() == 0;  // who may write anything
  if (root) REQUIRE(::seteuid(65'534) == 0);
  std::string said;
  try {
    static_cast<void>(outlay::sqlite_sink({.path = dir.db()}));
  } catch (const outlay::Error& error) {
    said = error.what();
    if (error.reason() != outlay::errc::storage) said += " (another reason)";
  }
  if (root) REQUIRE(::seteuid(0) == 0);
  CHECK(contains(said, "is read-only"));
  CHECK_FALSE(contains(said, "another reason"));
  CHECK(outlay::report_sqlite(dir.db()).at(0).calls == 3);
}

TEST_CASE("sqlite: a report reads a file that lies on a read-only disk", "[sqlite][file]") {
  // A real read-only mount needs privileges, and root may write anyway: the disk is one on which SQLite can open nothing for writing.
  const TempDir dir;
  const auto odd = dir.path() / "a b%3F?#.db";
  fill(odd, 3);
  REQUIRE_FALSE(std::filesystem::exists(odd.native() + "-wal"));
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit none{0, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &none);  // the index of the write-ahead log cannot be made
  std::int64_t calls = 0;
  std::string problem;
  try {
    calls = outlay::report_sqlite(odd).at(0).calls;
  } catch (const std::exception& error) {
    problem = error.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  INFO(problem);
  CHECK(calls == 3);
}

TEST_CASE("sqlite: a file of an older format is brought up to date once, in one step", "[sqlite][file]") {
  const TempDir dir;
  const char* const one[] = {"CREATE TABLE a(x INTEGER)"};
  const char* const two[] = {"CREATE TABLE a(x INTEGER)", "ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 5"};
  using outlay::detail::Database;
  {
    Database database(dir.db(), Database::Mode::read_write);
    outlay::detail::prepare_for_writing(database, one);
    database.exec("INSERT INTO a VALUES(1)");
  }
  {
    Database database(dir.db(), Database::Mode::read_only);
    CHECK(contains(failure_of([&] { outlay::detail::check_for_reading(database, two); }).what(), "older format 1"));
  }
  for (int again = 0; again < 2; ++again) {
    Database database(dir.db(), Database::Mode::read_write);
    outlay::detail::prepare_for_writing(database, two);
    CHECK(database.query_int("PRAGMA user_version") == 2);
    CHECK(database.query_int("SELECT sum(y) FROM a") == 5);
  }
}

TEST_CASE("sqlite: a file of format 1 keeps its rows, and gets the providers of refused calls", "[sqlite][file]") {
  const TempDir dir;
  {
    outlay::detail::Database database(dir.db(), outlay::detail::Database::Mode::read_write);
    outlay::detail::prepare_for_writing(database, outlay::detail::schema_steps().first(1));
    database.exec("INSERT INTO names VALUES(1, 'gpt-4o')");
    database.exec("INSERT INTO writers VALUES(7, 'old', 1, 1, 1)");
    database.exec(
        "INSERT INTO records VALUES(1, 0, 0, 1, 0, 2000, 0, 0, 1000000, 1, 0, 0, 0, 1, 0, 1000, 0, 0, 1, 1, 0, 0, 0, "
        "7, 1)");
    database.exec("INSERT INTO record_usage VALUES(1, 0, 0, 0, 0, 0, 5)");
    database.exec("INSERT INTO events VALUES(1, 0, 0, 1, 3000, 0, 0, 'b', 'b', '', '', 0, 1, 1, 0, NULL, 7, 2, '')");
  }
  {
    const auto sink = outlay::sqlite_sink({.path = dir.db()});
    outlay::BudgetEvent event;
    event.action = outlay::Action::blocked;
    event.model = "gpt-4o";
    event.provider = "openai";
    sink->event(event);
    sink->flush(soon());
    CHECK(Raw(dir.db()).number("SELECT max(id) FROM writers") == 8);
  }
  CHECK(Raw(dir.db()).number("PRAGMA user_version") == 3);
  const outlay::Report report = outlay::report_sqlite(dir.db(), {"provider"});
  REQUIRE(report.size() == 2);
  CHECK(report.at(0).usd == outlay::Usd::from_nanos(1'000'000));
  CHECK(report.at(0).usage == outlay::Usage{.input = 1, .output = 1, .web_searches = 5});
  CHECK(report.at(0).blocked_calls == 1);
  CHECK(report.at(1).tags.at("provider") == "openai");
  CHECK(report.at(1).blocked_calls == 1);
}

TEST_CASE("sqlite: a migration that fails leaves the older format whole", "[sqlite][file]") {
  const TempDir dir;
  const char* const one[] = {"CREATE TABLE a(x INTEGER)"};
  const char* const broken[] = {one[0], "CREATE TABLE b(x INTEGER); INSERT INTO nowhere VALUES(1)"};
  using outlay::detail::Database;
  Database database(dir.db(), Database::Mode::read_write);
  outlay::detail::prepare_for_writing(database, one);
  CHECK_THROWS_AS(outlay::detail::prepare_for_writing(database, broken), outlay::Error);
  CHECK(database.query_int("PRAGMA user_version") == 1);
  CHECK(database.query_int("SELECT count(*) FROM sqlite_schema WHERE name = 'b'") == 0);
  CHECK_NOTHROW(outlay::detail::prepare_for_writing(database, one));
}

TEST_CASE("sqlite: the file says what it is", "[sqlite][file]") {
  const TempDir dir;
  fill(dir.db(), 2);
  Raw raw(dir.db());
  CHECK(raw.number("PRAGMA application_id") == 0x4F55544C);
  CHECK(raw.number("PRAGMA user_version") == 3);
  CHECK(raw.text("PRAGMA journal_mode") == "wal");
  CHECK(raw.number("SELECT sum(usd_nanos) FROM calls WHERE model = 'gpt-4o-mini' AND status = 'settled'") == 3'000'000);
  CHECK(raw.number("SELECT count(*) FROM tags WHERE key = 'n' AND value = '1'") == 1);
}

TEST_CASE("sqlite: what is billed but unknown is found by its index", "[sqlite][file]") {
  const TempDir dir;
  fill(dir.db(), 1);
  Raw raw(dir.db());
  // The fourth column of a plan's row is its text.
  sqlite3_stmt* plan = raw.prepare("EXPLAIN QUERY PLAN SELECT * FROM indeterminate");
  std::string steps;
  while (sqlite3_step(plan) == SQLITE_ROW) steps += reinterpret_cast<const char*>(sqlite3_column_text(plan, 3));
  sqlite3_finalize(plan);
  CHECK(contains(steps, "records_indeterminate"));
}

TEST_CASE("sqlite: a store's file that is opened as one of records says what it is", "[sqlite][file]") {
  const TempDir dir;
  {
    outlay::detail::Database database(dir.db(), outlay::detail::Database::Mode::read_write);
    outlay::detail::prepare_for_store(database, true);
  }
  const outlay::Error error = failure_of([&] { static_cast<void>(outlay::report_sqlite(dir.db())); });
  CHECK(error.reason() == outlay::errc::bad_file);
  CHECK(contains(error.what(), "has the counters of a sqlite_store and no records"));
}
