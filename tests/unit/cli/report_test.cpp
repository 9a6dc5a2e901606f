#include <chrono>
#include <filesystem>
#include <functional>
#include <vector>

#include "cli/commands.hpp"
#include "cli/formats.hpp"
#include "cli/groups.hpp"
#include "outlay/jsonl_sink.hpp"
#include "outlay/sqlite.hpp"
#include "support/catch.hpp"
#include "unit/cli/command.hpp"

namespace cli = outlay::cli;
using command::has;
using namespace std::chrono_literals;

namespace {

outlay::Time at(std::string_view text) { return cli::parse_time(text, outlay::Time{}).value(); }

outlay::Record make_record(std::string_view when, std::int64_t nanos, const outlay::Tags& tags = {}) {
  outlay::Record record;
  record.started = record.ended = at(when);
  record.model = record.requested_model = record.admitted_model = "gpt-4o";
  record.provider = "openai";
  record.usd = outlay::Usd::from_nanos(nanos);
  record.usage = {.input = 100, .output = 20};
  record.tags = tags;
  return record;
}

/// The same rows in a file of each kind.
class Files {
 public:
  explicit Files(const std::function<void(outlay::Sink&)>& fill) {
    for (const auto& sink :
         {outlay::sqlite_sink({.path = sqlite()}), outlay::jsonl_sink({.path = jsonl(), .sync = false})}) {
      fill(*sink);
      sink->close();
    }
  }
  [[nodiscard]] std::string sqlite() const { return directory_.file("spend.db"); }
  [[nodiscard]] std::string jsonl() const { return directory_.file("spend.jsonl"); }

 private:
  command::Directory directory_;
};

/// Everything that may be in a file.
void fill(outlay::Sink& sink) {
  outlay::Record record = make_record("2026-03-28T22:30:00Z", 5'000'000, {{"user_id", "alice"}, {"feature", "search"}});
  record.budgets = {"team", "answer"};
  sink.write(record);
  record = make_record("2026-03-28T23:30:00Z", 3'000'001, {{"user_id", "bob"}});
  record.status = outlay::RecordStatus::estimated;
  record.model = "claude";
  record.provider = "anthropic";
  record.ended += 123'456'789ns;
  sink.write(record);
  record = make_record("2026-03-29T22:15:00Z", 2'000'000, {{"user_id", "alice"}});
  record.status = outlay::RecordStatus::indeterminate;
  record.cost_source = outlay::CostSource::none;
  record.usage.web_searches = 2;
  record.budgets = {"team"};
  sink.write(record);
  record = make_record("2026-04-02T00:00:00Z", 0);
  record.status = outlay::RecordStatus::rejected;
  sink.write(record);
  outlay::BudgetEvent event;
  event.time = at("2026-03-29T10:00:00Z");
  event.action = outlay::Action::blocked;
  event.budget = "answer";
  event.path = "team/answer";
  event.budgets = {"team", "answer"};
  event.model = "gpt-4o";
  event.tags = {{"user_id", "bob"}};
  sink.event(event);
}

}  // namespace

TEST_CASE("report: a file of JSON lines gives the same as an SQLite file", "[cli][report]") {
  const Files files(fill);
  for (const std::string options :
       {"", "--by user_id", "--by model,provider", "--by budget", "--by day --format csv",
        "--by user_id --since 2026-03-29", "--until 2026-03-29 --format csv", "--where user_id=alice --by feature",
        "--where model=claude", "--budget team --by budget", "--budget team/answer", "--where day=2026-03-28",
        "--format json --by user_id,week"}) {
    INFO(options);
    const command::Result sqlite = command::run_outlay("report " + files.sqlite() + " " + options);
    const command::Result jsonl = command::run_outlay("report " + files.jsonl() + " " + options);
    CHECK(sqlite.status == 0);
    CHECK(jsonl.status == 0);
    CHECK(sqlite.out == jsonl.out);
    CHECK(sqlite.err == jsonl.err);
  }
  for (const std::string& file : {files.sqlite(), files.jsonl()}) {
    const command::Result unknown = command::run_outlay("report " + file + " --budget taem");
    CHECK(unknown.status == cli::bad_input);
    CHECK(has(unknown.err, "was ever called \"taem\""));
  }
}

TEST_CASE("report: the numbers are those of report_sqlite", "[cli][report]") {
  const Files files(fill);
  const std::vector<std::string> by{"model", "user_id"};
  const outlay::Report expected = outlay::report_sqlite(files.sqlite(), by);
  CHECK(command::run_outlay("report " + files.jsonl() + " --by model,user_id --format json").out ==
        cli::as_json(expected, expected.size()));
  CHECK(command::run_outlay("report " + files.sqlite() + " --by model,user_id --format csv").out ==
        cli::as_csv(expected, by, expected.size()));
}

TEST_CASE("report: hours, days, weeks and months are those of a time zone, in the order of time", "[cli][report]") {
  const Files files(fill);
  const auto keys = [&](const std::string& unit, const std::string& zone) {
    const std::string csv = command::run_outlay("report " + files.sqlite() + " --format csv --by " + unit +
                                                (zone.empty() ? "" : " --zone " + zone))
                                .out;
    std::vector<std::string> first;
    for (std::size_t begin = csv.find('\n') + 1; begin < csv.size(); begin = csv.find('\n', begin) + 1)
      first.push_back(csv.substr(begin, csv.find(',', begin) - begin));
    return first;
  };
  using List = std::vector<std::string>;
  CHECK(keys("day", "") == List{"2026-03-28", "2026-03-29", "2026-04-02"});
  CHECK(keys("day", "Europe/Berlin") == List{"2026-03-28", "2026-03-29", "2026-03-30", "2026-04-02"});
  CHECK(keys("week", "") == List{"2026-03-23", "2026-03-30"});
  CHECK(keys("month", "America/New_York") == List{"2026-03", "2026-04"});
  // The clocks of Berlin went forward in the night to the 29th.
  CHECK(keys("hour", "Europe/Berlin") == List{"2026-03-28T23:00+01:00", "2026-03-29T00:00+01:00",
                                              "2026-03-29T12:00+02:00", "2026-03-30T00:00+02:00",
                                              "2026-04-02T02:00+02:00"});
  CHECK(keys("hour", "")[0] == "2026-03-28T22:00Z");
  CHECK(keys("hour", "Asia/Kolkata")[0] == "2026-03-29T04:00+05:30");
  const command::Result unknown = command::run_outlay("report " + files.sqlite() + " --by day --zone Mars/Olympus");
  CHECK(unknown.status == cli::usage);
  CHECK(has(unknown.err, "Mars/Olympus"));
}

TEST_CASE("report: lines that no sink writes are left out, and that is said", "[cli][report]") {
  const Files files(fill);
  const std::string whole = command::read_file(files.jsonl());
  const std::string before = command::run_outlay("report " + files.jsonl()).out;
  command::write_file(files.jsonl(), whole + "{\"type\":\"call\"}\n" + "no JSON\n\n" + std::string(2'000'000, 'x') +
                                         "\n" + "{\"type\":\"call\",\"usd_nanos\":99");
  const command::Result result = command::run_outlay("report " + files.jsonl());
  CHECK(result.status == 0);
  CHECK(result.out == before);
  CHECK(has(result.err, "3 lines that a jsonl_sink does not write, the first is line 6"));
  command::write_file(files.jsonl(), whole + "{\"type\":\"call\",\"usd_nanos\":99");
  CHECK(has(command::run_outlay("report " + files.jsonl()).err, "last line that is not complete"));
}

TEST_CASE("report: a terminal gets bars, other readers do not", "[cli][report]") {
  outlay::ReportRow dear, cheap;
  dear.tags = {{"user_id", "alice"}};
  dear.usd = outlay::Usd::from_nanos(2'000'000'000);
  cheap.tags = {{"user_id", "bob"}};
  cheap.usd = outlay::Usd::from_nanos(1'000'000'000);
  const outlay::Report report({dear, cheap}, true);
  const std::string block = "\xE2\x96\x88";
  const auto times = [&](const std::string& text) {
    std::size_t count = 0;
    for (std::size_t begin = 0; (begin = text.find(block, begin)) != text.npos; begin += block.size()) ++count;
    return count;
  };
  CHECK(times(cli::as_table(report, {"user_id"}, 2, {.width = 80})) == 16 + 8);
  CHECK(times(cli::as_table(report, {"user_id"}, 2, {})) == 0);
  CHECK(times(cli::as_table(report, {"user_id"}, 2, {.width = 30})) == 0);  // no room
}

TEST_CASE("report: sums that do not fit are an error, not a plausible number", "[cli][report]") {
  cli::Calendar calendar;
  cli::Groups groups({}, calendar);
  outlay::Record record = make_record("2026-03-28", INT64_MAX - 1);
  groups.add(record);
  CHECK_THROWS_AS(groups.add(record), outlay::Error);
}

TEST_CASE("report: a page has the sums in its cells, and harmful names as text", "[cli][report][page]") {
  const Files files([](outlay::Sink& sink) {
    fill(sink);
    sink.write(make_record("2026-03-30T00:00:00Z", 1, {{"user_id", "<script>alert('x')</script>\"&\x1B"}}));
  });
  for (const std::string& file : {files.sqlite(), files.jsonl()}) {
    const std::string page = files.sqlite() + ".html";
    const command::Result result = command::run_outlay("report " + file + " --html " + page);
    CHECK(result.status == 0);
    CHECK(result.out.empty());
    const std::string text = command::read_file(page);
    CHECK(has(text, "id=\"total\" data-n=\"10000002\""));
    CHECK(has(text, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\xEF\xBF\xBD"));
    CHECK_FALSE(has(text, "<script>alert"));
    CHECK(has(text, "default-src 'none'"));
    CHECK(has(text, "1 call has no price"));
    CHECK_FALSE(has(text, " style=\""));
  }
  CHECK(command::run_outlay("report " + files.sqlite() + " --html /nowhere/page.html").status == cli::bad_input);
}

TEST_CASE("report: a page has a table by all names of --by together", "[cli][report][page]") {
  const Files files(fill);
  const std::string page = files.sqlite() + ".html";
  CHECK(command::run_outlay("report " + files.sqlite() + " --by user_id,feature --html " + page).status == 0);
  const std::string text = command::read_file(page);
  CHECK(has(text, "value=\"together\"><bdi>user_id,feature</bdi>"));
  const auto row = [](const char* user, const char* feature, const char* nanos) {
    const auto cell = [](const std::string& name) {
      return "<th scope=\"row\"><bdi class=\"name\" title=\"" + name + "\">" + name + "</bdi></th>";
    };
    return "<tr>" + cell(user) + cell(feature) + "<td class=\"num\" data-n=\"" + nanos + "\"";
  };
  const std::size_t search = text.find(row("alice", "search", "5000000"));
  const std::size_t bob = text.find(row("bob", "(none)", "3000001"));
  const std::size_t other = text.find(row("alice", "(none)", "2000000"));
  CHECK(search < bob);
  CHECK(bob < other);
  CHECK(other < text.size());
  for (const char* const by : {"", "--by user_id"}) {
    CHECK(command::run_outlay("report " + files.sqlite() + " " + by + " --html " + page).status == 0);
    CHECK_FALSE(has(command::read_file(page), "together"));
  }
}

TEST_CASE("report: a page lists the dearest rows of names together, and what the others spent", "[cli][report][page]") {
  const Files files([](outlay::Sink& sink) {
    for (int i = 0; i < 1'002; ++i)
      sink.write(make_record("2026-03-28", i < 2 ? 5'000'000'000 : 10'000'000'000,
                             {{"user_id", std::to_string(i % 501)}, {"feature", std::to_string(i / 501)}}));
  });
  const std::string page = files.sqlite() + ".html";
  CHECK(command::run_outlay("report " + files.sqlite() + " --by user_id,feature --html " + page).status == 0);
  CHECK(has(command::read_file(page), "The dearest 1,000 rows of 1,002; the others spent $10.00."));
}

TEST_CASE("report: a page of a file without calls says so", "[cli][report][page]") {
  const Files files([](outlay::Sink&) {});
  const std::string page = files.sqlite() + ".html";
  CHECK(command::run_outlay("report " + files.sqlite() + " --html " + page).status == 0);
  CHECK(has(command::read_file(page), "No calls"));
}

TEST_CASE(
    "report: a page says what refused, downgraded, clamped and cut calls did not cost, and of how many it is not known",
    "[cli][report][page]") {
  const Files files([](outlay::Sink& sink) {
    std::uint64_t id = 0;
    // Two calls of gpt-4o cost 3 and 5: a refused one would have cost about 4.
    for (const std::int64_t nanos : {3'000, 5'000}) {
      outlay::Record record = make_record("2026-03-30T00:00:00Z", nanos);
      record.call_id = ++id;
      sink.write(record);
    }
    outlay::BudgetEvent event;
    event.time = at("2026-03-30T00:00:00Z");
    event.path = event.budget = "team";
    event.budgets = {"team"};
    event.action = outlay::Action::blocked;
    event.model = "gpt-4o";
    sink.event(event);
    event.action = outlay::Action::truncated;
    sink.event(event);
    event.action = outlay::Action::blocked;
    event.model = "never-ran";
    sink.event(event);
    // A downgrade from gpt-4o: 1,000 tokens in and none out are $0.0025 there. One to a model without a price says nothing.
    outlay::Record cheaper = make_record("2026-03-30T00:00:01Z", 500'000);
    cheaper.call_id = ++id;
    cheaper.admitted_model = cheaper.model = "gpt-4o-mini";
    cheaper.usage = {.input = 1'000};
    sink.write(cheaper);
    cheaper.call_id = ++id;
    cheaper.admitted_model = cheaper.model = "gpt-house";
    cheaper.cost_source = outlay::CostSource::none;
    sink.write(cheaper);
    // A clamp of money says how far over the cap the call would have been, one of tokens does not.
    event.action = outlay::Action::clamped;
    event.model = "gpt-4o-mini";
    event.cap = 10'000;
    event.projected = 17'000;
    sink.event(event);
    event.dimension = outlay::Dimension::tokens;
    sink.event(event);
    // Cut at 2 of 9 that were held: one whose record says so, and one without.
    event.dimension = outlay::Dimension::usd;
    event.action = outlay::Action::cut;
    for (int i = 0; i < 2; ++i) {
      event.call_id = ++id;
      event.time = at("2026-03-30T00:00:02Z");
      sink.event(event);
    }
    outlay::Record cut = make_record("2026-03-30T00:00:02Z", 2'000);
    cut.admitted_model = cut.model = cut.requested_model = "o3";
    cut.call_id = id;
    cut.reserved = outlay::Usd::from_nanos(9'000);
    cut.budgets = {"team"};
    sink.write(cut);
  });
  for (const std::string& file : {files.sqlite(), files.jsonl()}) {
    INFO(file);
    const std::string page = file + ".html";
    CHECK(command::run_outlay("report " + file + " --html " + page).status == 0);
    const std::string html = command::read_file(page);
    CHECK(has(html, "id=\"saved-refused\" data-n=\"8000\""));
    CHECK(has(html, "in 2 calls; not known of 1 call<"));
    CHECK(has(html, "id=\"saved-downgraded\" data-n=\"2000000\""));
    CHECK(has(html, "id=\"saved-clamped\" data-n=\"7000\""));
    CHECK(has(html, "id=\"saved-cut\" data-n=\"7000\""));
  }
}

TEST_CASE("report: a page without such calls says nothing of savings", "[cli][report][page]") {
  const Files files([](outlay::Sink& sink) { sink.write(make_record("2026-03-30T00:00:00Z", 1)); });
  const std::string page = files.sqlite() + ".html";
  CHECK(command::run_outlay("report " + files.sqlite() + " --html " + page).status == 0);
  CHECK_FALSE(has(command::read_file(page), "saved-"));
}

TEST_CASE("report: the highest line of a chart is above the highest bar", "[cli][report][page]") {
  const Files files([](outlay::Sink& sink) { sink.write(make_record("2026-03-30T00:00:00Z", 38'000'000'000)); });
  const std::string page = files.sqlite() + ".html";
  CHECK(command::run_outlay("report " + files.sqlite() + " --html " + page).status == 0);
  CHECK(has(command::read_file(page), ">$40</text>"));
}

TEST_CASE("report: a page shows the cap that an operator has set last", "[cli][report][page]") {
  const Files files([](outlay::Sink& sink) {
    outlay::BudgetEvent event;
    event.time = at("2026-03-30T00:00:00Z");
    event.action = outlay::Action::threshold;
    event.path = "run/team";
    event.threshold = 0.5;
    event.projected = 5'000'000'000;
    event.cap = 10'000'000'000;
    sink.event(event);
    event.time += 1min;
    event.action = outlay::Action::cap_set;
    event.path = "team";
    event.projected = 0;
    event.cap = 40'000'000'000;
    sink.event(event);
  });
  const std::string page = files.sqlite() + ".html";
  CHECK(command::run_outlay("report " + files.sqlite() + " --html " + page).status == 0);
  CHECK(has(command::read_file(page), "data-n=\"40000000000\""));
  CHECK(has(command::read_file(page), "12.5 %"));
}

TEST_CASE("report: what no event says of a budget's spend is not shown as nothing", "[cli][report][page]") {
  const Files files([](outlay::Sink& sink) {
    outlay::BudgetEvent event;
    event.time = at("2026-03-30T00:00:00Z");
    event.action = outlay::Action::blocked;
    event.path = event.budget = "service";
    event.projected = 12'000'000'000;
    event.cap = 10'000'000'000;
    sink.event(event);
  });
  const std::string page = files.sqlite() + ".html";
  CHECK(command::run_outlay("report " + files.sqlite() + " --html " + page).status == 0);
  const std::string html = command::read_file(page);
  CHECK(has(html, "data-n=\"10000000000\""));
  CHECK(has(html, "not said</td><td class=\"num\" data-n=\"-1\">not said"));
}

TEST_CASE("report: a page never takes the place of its source, and never of half a page", "[cli][report][page]") {
  const Files files(fill);
  for (const std::string& file : {files.sqlite(), files.jsonl()}) {
    const std::string before = command::read_file(file);
    std::filesystem::create_symlink(file, file + ".link");
    for (const std::string& path : {file, file + ".link"}) {
      const command::Result result = command::run_outlay("report " + file + " --html " + path);
      CHECK(result.status == cli::usage);
      CHECK(has(result.err, "is the file that the page is made from"));
    }
    CHECK(command::read_file(file) == before);
  }
  // Where the disk is full, what was there stays. A file may have one block here.
  const std::string page = files.sqlite() + ".html";
  command::write_file(page, "before");
  const command::Result full = command::run_outlay("report " + files.sqlite() + " --html " + page,
                                                   "bash -c 'trap \"\" XFSZ; ulimit -f 1; exec \"$@\"' --");
  INFO(full.err);
  CHECK(full.status != 0);
  CHECK(command::read_file(page) == "before");
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(page).parent_path()))
    CHECK_FALSE(has(entry.path().native(), ".part"));
}

TEST_CASE("report: --html and --format exclude each other", "[cli][report]") {
  const Files files(fill);
  CHECK(command::run_outlay("report " + files.sqlite() + " --format csv --html " + files.sqlite() + ".html").status ==
        cli::usage);
}

TEST_CASE("report: dates without an offset are those of the zone", "[cli][report]") {
  const Files files(fill);
  const auto calls = [&](const std::string& options) {
    const std::string out = command::run_outlay("report " + files.sqlite() + " --format json " + options).out;
    const std::size_t begin = out.find("\"calls\":") + 8;
    return out.substr(begin, out.find(',', begin) - begin);
  };
  // 22:15 in UTC on the 29th is the 30th in Berlin, whose clocks went forward on the 29th.
  CHECK(calls("--since 2026-03-30") == "1");
  CHECK(calls("--since 2026-03-30 --zone Europe/Berlin") == "2");
  CHECK(calls("--until 2026-03-29 --zone Europe/Berlin") == "1");
  CHECK(calls("--since 2026-03-30T00:15:00 --zone Europe/Berlin") == "2");
  CHECK(calls("--since 2026-03-30T00:15:01 --zone Europe/Berlin") == "1");
  CHECK(calls("--since 2026-03-30T00:00:00Z --zone Europe/Berlin") == "1");
  // The day that the clocks of Beirut took the first hour of.
  cli::Calendar beirut("Asia/Beirut");
  CHECK(beirut.day_begin(at("2026-03-29")) == at("2026-03-28T22:00:00Z"));
  const cli::Calendar utc;
  CHECK(utc.day_begin(at("2026-03-29")) == at("2026-03-29"));
}

TEST_CASE("report: today and yesterday are days of the zone", "[cli][report]") {
  const auto since = [](const char* day, const char* now, const cli::Calendar* calendar) {
    return cli::filter_of({.since = day}, at(now), calendar).since.value();
  };
  {
    const cli::Calendar berlin("Europe/Berlin");
    CHECK(since("today", "2026-03-29T23:30:00Z", &berlin) == at("2026-03-29T22:00:00Z"));
    // The clocks went forward on the 29th, which had 23 hours.
    CHECK(since("yesterday", "2026-03-29T23:30:00Z", &berlin) == at("2026-03-28T23:00:00Z"));
    CHECK(since("today", "2026-03-29T22:00:00Z", &berlin) == at("2026-03-29T22:00:00Z"));
    CHECK(since("today", "2026-03-29T21:59:59Z", &berlin) == at("2026-03-28T23:00:00Z"));
  }
  const cli::Calendar utc;
  for (const cli::Calendar* calendar : {&utc, static_cast<const cli::Calendar*>(nullptr)}) {
    CHECK(since("today", "2026-03-01T23:30:00Z", calendar) == at("2026-03-01"));
    CHECK(since("yesterday", "2026-03-01T23:30:00Z", calendar) == at("2026-02-28"));
  }
  const Files files(fill);
  CHECK(command::run_outlay("report " + files.sqlite() + " --since yesterday --until today --zone Asia/Tokyo").status ==
        0);
}

TEST_CASE("report: an empty file of JSON lines has no calls, and one that was cut is read from its begin",
          "[cli][report]") {
  const command::Directory directory;
  const std::string file = directory.file("spend.jsonl");
  command::write_file(file, "");
  const command::Result result = command::run_outlay("report " + file + " --format csv");
  INFO(result.err);
  CHECK(result.status == 0);
  CHECK(has(result.out, "usd,"));
}

TEST_CASE("report: counts that no call has are refused, not added up", "[cli][report]") {
  const command::Directory directory;
  const std::string file = directory.file("spend.db");
  {
    const auto sink = outlay::sqlite_sink({.path = file});
    outlay::Record record = make_record("2026-03-30T00:00:00Z", 1);
    record.usage.input = INT64_MAX;
    record.usage.cache_read = INT64_MAX;
    sink->write(record);
    sink->close();
  }
  for (const std::string& arguments : {std::string("report ") + file, std::string("tail --once ") + file}) {
    const command::Result result = command::run_outlay(arguments);
    CHECK(result.status == cli::bad_input);
    CHECK(has(result.err, "impossible count (9223372036854775807)"));
  }
}
