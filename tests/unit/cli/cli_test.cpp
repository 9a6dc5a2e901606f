#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/formats.hpp"
#include "cli/terminal.hpp"
#include "outlay/sqlite.hpp"
#include "support/catch.hpp"
#include "unit/cli/command.hpp"

namespace cli = outlay::cli;
using command::has;
using command::Result;
using namespace std::chrono_literals;

namespace {

/// Runs the command in a shell. What it says on standard error comes first in `out` only where `arguments` say 2>&1.
Result run(const std::string& arguments) {
  Result result;
  std::FILE* pipe = ::popen((std::string("exec '" OUTLAY_COMMAND "' ") + arguments).c_str(), "r");
  if (!pipe) throw std::runtime_error("popen failed");
  std::array<char, 4096> block{};
  for (std::size_t n = 0; (n = std::fread(block.data(), 1, block.size(), pipe)) != 0;)
    result.out.append(block.data(), n);
  const int status = ::pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

/// A file with three calls and one refusal, in a directory of its own.
class Spend {
 public:
  Spend() {
    std::string name = (std::filesystem::temp_directory_path() / "outlay-cli-XXXXXX").native();
    if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
    dir_ = name;
    const auto sink = outlay::sqlite_sink({.path = file()});
    const auto add = [&](std::int64_t nanos, const outlay::Tags& tags, std::chrono::hours ago) {
      outlay::Record record;
      record.model = "gpt-4o";
      record.usd = outlay::Usd::from_nanos(nanos);
      record.usage.input = 100;
      record.usage.output = 20;
      record.tags = tags;
      record.started = record.ended = outlay::Time(std::chrono::duration_cast<std::chrono::nanoseconds>(
          (std::chrono::system_clock::now() - ago).time_since_epoch()));
      sink->write(record);
    };
    add(12'500'000, {{"feature", "search"}, {"user_id", "alice"}}, 1h);
    add(2'500'000, {{"feature", "se,\"arch\"\x1B[31m"}, {"user_id", "bob"}}, 1h);
    add(1'000'000, {{"user_id", "alice"}}, 24h * 30);
    outlay::BudgetEvent event;
    event.time = outlay::Time(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()));
    event.action = outlay::Action::blocked;
    event.tags = {{"user_id", "bob"}};
    sink->event(event);
    sink->close();
  }
  Spend(const Spend&) = delete;
  Spend& operator=(const Spend&) = delete;
  ~Spend() {
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }
  [[nodiscard]] std::string file() const { return (dir_ / "spend.db").native(); }
  [[nodiscard]] std::string other(const std::string& name, const std::string& bytes) const {
    const std::string path = (dir_ / name).native();
    std::ofstream(path) << bytes;
    return path;
  }

 private:
  std::filesystem::path dir_;
};

}  // namespace

TEST_CASE("cli: report prints a table, dearest first, with a total", "[cli]") {
  const Spend spend;
  const Result result = run("report " + spend.file() + " --by user_id");
  CHECK(result.status == cli::success);
  CHECK(result.out ==
        "user_id      usd  calls  tokens in  tokens out  refused\n"
        "alice    $0.0135      2        200          40        0\n"
        "bob      $0.0025      1        100          20        1\n"
        "total     $0.016      3        300          60        1\n");
}

TEST_CASE("cli: report filters by time and by tag", "[cli]") {
  const Spend spend;
  CHECK(has(run("report " + spend.file() + " --since 7d --format csv").out, "\r\n0.015,15000000,2,"));
  CHECK(has(run("report " + spend.file() + " --until 7d --format csv").out, "\r\n0.001,1000000,1,"));
  CHECK(has(run("report " + spend.file() + " --tag user_id=alice --tag feature=search --format csv").out,
            "\r\n0.0125,12500000,1,"));
}

TEST_CASE("cli: CSV quotes what needs it and leaves absent tags empty", "[cli]") {
  const Spend spend;
  const std::string csv = run("report " + spend.file() + " --by feature --format csv").out;
  CHECK(has(csv, "feature,usd,usd_nanos,calls,input,"));
  CHECK(has(csv, "\r\nsearch,0.0125,12500000,1,100,"));
  CHECK(has(csv, "\r\n\"se,\"\"arch\"\"\x1B[31m\",0.0025,"));
  CHECK(has(csv, "\r\n,0.001,1000000,1,"));
}

TEST_CASE("cli: CSV makes text of what a spreadsheet would compute, and leaves numbers", "[cli]") {
  const Spend spend;
  const std::string file = spend.other("formulas.db", "");
  {
    const auto sink = outlay::sqlite_sink({.path = file});
    for (const char* value : {"=1+1", "+cmd", "-2+3", "@SUM(A1)", "\tx", "\rx", "=\"a\",b", "\uFF1D1", "-5", "+1.25",
                              "-1.", "-", "a=b", "5-3"}) {
      outlay::Record record;
      record.usd = outlay::Usd::from_nanos(-1'000'000);  // a refund
      record.tags = {{"=key", value}};
      sink->write(record);
    }
  }
  const std::string csv = run("report " + file + " --by =key --format csv").out;
  CHECK(csv.starts_with("\"'=key\",usd,"));
  for (const char* cell : {"\"'=1+1\"", "\"'+cmd\"", "\"'-2+3\"", "\"'@SUM(A1)\"", "\"'\tx\"", "\"'\rx\"",
                           "\"'=\"\"a\"\",b\"", "\"'\uFF1D1\"", "-5", "+1.25", "\"'-1.\"", "\"'-\"", "a=b", "5-3"}) {
    INFO(cell);
    CHECK(has(csv, std::string("\r\n") + cell + ",-0.001,-1000000,1,"));
  }
}

TEST_CASE("cli: CSV has no formula for readers with another separator, either", "[cli]") {
  CHECK(cli::csv_cell("x;=cmd|'/C calc'!A0") == "\"x;'=cmd|'/C calc'!A0\"");
  CHECK(cli::csv_cell("x\t+1+1") == "\"x\t'+1+1\"");
  CHECK(cli::csv_cell("x\r\n@A1;-2+3") == "\"x\r\n'@A1;'-2+3\"");
  CHECK(cli::csv_cell("\t=1") == "\"'\t'=1\"");
  CHECK(cli::csv_cell("x|\"=1\"") == "\"x|'\"\"=1\"\"\"");
  CHECK(cli::csv_cell("a;-5;b=c") == "a;-5;b=c");
}

TEST_CASE("cli: what errors repeat cannot steer the terminal", "[cli]") {
  const Spend spend;
  for (const std::string& arguments :
       {std::string("report '/nowhere/\x1B[31m.db'"), std::string("report --by x '--\x1B[31m' y"),
        std::string("caps show '/nowhere/\x1B[31m' x"), "report '" + spend.file() + "' --budget '\x1B[31m'"}) {
    const Result result = run(arguments + " 2>&1");
    INFO(result.out);
    CHECK(result.status != 0);
    CHECK(result.out.find('\x1B') == std::string::npos);
  }
  CHECK(cli::printable("a\xE2\x80\x8E\xE2\x80\x8F\xD8\x9C") == "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(cli::printable_lines("a\x1B\nb\n") == "a\xEF\xBF\xBD\nb\n");
}

TEST_CASE("cli: report says which tag no record has, and refuses a budget that never was", "[cli]") {
  const Spend spend;
  const Result misspelt = run("report " + spend.file() + " --by featur 2>&1 >/dev/null");
  CHECK(misspelt.status == cli::success);
  CHECK(misspelt.out == "outlay: no record has the tag \"featur\". Check its name.\n");
  const Result unknown = run("report " + spend.file() + " --tag budget=sesion 2>&1");
  CHECK(unknown.status == cli::bad_input);
  CHECK(has(unknown.out, "was ever called \"sesion\""));
}

TEST_CASE("cli: JSON has every row and the total", "[cli]") {
  const Spend spend;
  const std::string json = run("report " + spend.file() + " --by feature --format json --limit 1").out;
  CHECK(has(json, R"({"complete":true,"total":{"tags":{},"usd":"0.016","usd_nanos":16000000,"calls":3,)"));
  CHECK(has(json, R"({"tags":{"feature":"search"},"usd":"0.0125")"));
  CHECK_FALSE(has(json, "31m"));  // the second row
}

TEST_CASE("cli: a tag's value cannot steer the terminal", "[cli]") {
  const Spend spend;
  const std::string table = run("report " + spend.file() + " --by feature").out;
  CHECK(has(table, "se,\"arch\"\xEF\xBF\xBD[31m"));
  CHECK(table.find('\x1B') == std::string::npos);
}

TEST_CASE("cli: files that cannot be used end in status 3 and say why", "[cli]") {
  const Spend spend;
  const Result missing = run("report /nowhere/spend.db 2>&1");
  CHECK(missing.status == cli::bad_input);
  CHECK(has(missing.out, "does not exist"));
  const Result foreign = run("report " + spend.other("x.db", std::string(5'000, 'x')) + " 2>&1");
  CHECK(foreign.status == cli::bad_input);
  CHECK(has(foreign.out, "no SQLite database"));
  const Result directory = run("report /tmp 2>&1");
  CHECK(directory.status == cli::bad_input);
  CHECK(has(directory.out, "is a directory"));
}

TEST_CASE("cli: wrong usage ends in status 2 and names the option", "[cli]") {
  const Spend spend;
  const auto refused = [&](const std::string& arguments, std::string_view part) {
    const Result result = run(arguments + " 2>&1");
    CHECK(result.status == cli::usage);
    INFO(result.out);
    CHECK(has(result.out, part));
  };
  refused("", "subcommand");
  refused("report", "file");
  refused("report " + spend.file() + " --since tomorrow", "\"tomorrow\" is not a time. Write today, yesterday, 30m,");
  refused("report " + spend.file() + " --tag nothing", "key=value");
  refused("report " + spend.file() + " --format xml", "--format: \"xml\" is none: write table, csv, json or focus");
  refused("report " + spend.file() + " --format 1", "--format");
  refused("estimate x.json --format csv", "write table or json");
  refused("report " + spend.file() + " --limit -1", "--limit");
  refused("reprot " + spend.file(), "reprot");
  refused("report " + spend.file() + " --by a --unknown", "unknown");
  refused("estimate x.json --api telepathy", "telepathy");
}

TEST_CASE("cli: help has examples and the exit statuses", "[cli]") {
  for (const std::string command : {"", "report", "prices explain", "estimate"}) {
    const Result result = run(command + " --help");
    CHECK(result.status == cli::success);
    CHECK(has(result.out, "Examples:"));
    CHECK(has(result.out, "Exit status:"));
    CHECK_FALSE(has(result.out, "ENUM"));
  }
  CHECK(has(run("--version").out, "outlay "));
}

TEST_CASE("cli: help of a command has no examples of others", "[cli]") {
  for (const std::string command : {"report", "prices", "prices explain", "estimate", "run", "serve", "tail", "top",
                                    "reconcile", "caps", "caps raise", "keys", "keys new", "keys hash", "completion"}) {
    INFO(command);
    const std::string help = run(command + " --help").out,
                      of = "\n  outlay " + command.substr(0, command.find(' ')) + ' ';
    const std::size_t examples = help.find("\nExamples:");
    REQUIRE(examples != std::string::npos);
    CHECK((has(help, of) || command == "completion"));
    for (std::size_t at = examples; (at = help.find("\n  outlay ", at)) != std::string::npos; ++at)
      CHECK(help.compare(at, of.size(), of) == 0);
  }
}

TEST_CASE("cli: prices explain says how a model was found, or that it was not", "[cli]") {
  const Result known = run("prices explain gpt-4o-mini");
  CHECK(known.status == cli::success);
  CHECK(has(known.out, "gpt-4o-mini"));
  const Result near = run("prices explain gpt4o 2>&1 >/dev/null");
  CHECK(near.status == cli::not_found);
  CHECK(has(near.out, "outlay: Did you mean \"gpt-4o\"?\n"));
  const Result unknown = run("prices explain no-such-model-anywhere 2>&1");
  CHECK(unknown.status == cli::not_found);
  CHECK_FALSE(has(unknown.out, "Did you mean"));
  CHECK(has(unknown.out, "--litellm"));
}

TEST_CASE("cli: estimate prices a request without sending it", "[cli]") {
  const Spend spend;
  const std::string file = spend.other(
      "request.json", R"({"model":"gpt-4o-mini","max_tokens":100,"messages":[{"role":"user","content":"hello"}]})");
  const Result result = run("estimate " + file + " 2>&1");
  INFO(result.out);
  CHECK(result.status == cli::success);
  CHECK(has(result.out, "gpt-4o-mini: at most $0.0000"));
  CHECK(has(result.out, "at most 100 tokens"));
  CHECK(has(run("estimate - --format json < " + file).out, "\"output\":100,\"bounded\":true}"));
  CHECK(run("estimate " + spend.other("bad.json", "[1]") + " 2>&1").status == cli::bad_input);
  CHECK(run("estimate /nowhere.json 2>&1").status == cli::bad_input);
  const Result unknown =
      run("estimate " + spend.other("odd.json", R"({"model":"no-such-model","messages":[]})") + " 2>&1");
  CHECK(unknown.status == cli::not_found);
  CHECK(has(unknown.out, "--litellm"));
  const Result nameless = run("estimate " + spend.other("odd.json", R"({"contents":[]})") + " --api gemini 2>&1");
  CHECK(nameless.status == cli::bad_input);
  CHECK(has(nameless.out, "--model"));
}

TEST_CASE("cli: times are read relative or absolute, and nothing else is", "[cli]") {
  const outlay::Time now(std::chrono::sys_days(std::chrono::year(2026) / 11 / 22));
  CHECK(cli::parse_time("30m", now) == now - 30min);
  CHECK(cli::parse_time("12h", now) == now - 12h);
  CHECK(cli::parse_time("7d", now) == now - 24h * 7);
  CHECK(cli::parse_time("2w", now) == now - 24h * 14);
  CHECK(cli::parse_time("2026-11-22", now) == now);
  CHECK(cli::parse_time("2026-11-22T01:02:03Z", now) == now + 1h + 2min + 3s);
  for (const char* bad :
       {"", "d", "7", "-7d", "7x", "1e3d", "99999999999d", "2026-13-01", "2026-02-30", "2026-11-22T25:00:00Z",
        "2026-11-22 01:02:03", "2026-11-22T01:02:03", "+7d", " 7d", "9999-01-01"})
    CHECK_FALSE(cli::parse_time(bad, now));
}

TEST_CASE("cli: a table fits its terminal", "[cli]") {
  cli::Table table({{"feature"}, {"user"}, {"usd", true}, {"tokens", true, false}});
  table.add({std::string(60, 'f'), std::string(30, 'u'), "$1.00", "123456"});
  table.add({"\xE6\x97\xA5\xE6\x9C\xAC", "x", "$0.50", "1"});
  table.set_total({"total", "", "$1.50", "123457"});
  for (const std::size_t width : {200U, 80U, 60U, 40U, 35U}) {
    const std::string text = table.render({.width = width, .colour = false});
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
      CHECK(cli::display_width(std::string_view(text).substr(begin, end - begin)) <= width);
    CHECK(has(text, "$1.50"));
  }
  CHECK_FALSE(has(table.render({.width = 30, .colour = false}), "tokens"));  // the column that is not needed goes
  // What tells rows apart is worth more than the last columns.
  CHECK(has(table.render({.width = 45, .colour = false}), std::string(15, 'f')));
  CHECK_FALSE(has(table.render({.width = 45, .colour = false}), "tokens"));
  CHECK(has(table.render({.width = 0, .colour = false}), std::string(60, 'f')));
  CHECK_FALSE(has(table.render({.width = 80, .colour = false}), "\x1B"));
  CHECK(has(table.render({.width = 80, .colour = true}), "\x1B[1mfeature"));
}

TEST_CASE("cli: widths count what a terminal shows", "[cli]") {
  CHECK(cli::display_width("abc") == 3);
  CHECK(cli::display_width("z\xC3\xAB") == 2);
  CHECK(cli::display_width("e\xCC\x81") == 1);
  CHECK(cli::display_width("\xE6\x97\xA5\xE6\x9C\xAC") == 4);
  CHECK(cli::display_width("\xF0\x9F\x98\x80") == 2);
  CHECK(cli::shortened("abcdef", 4) == "abc\xE2\x80\xA6");
  CHECK(cli::shortened("\xE6\x97\xA5\xE6\x9C\xAC", 3) == "\xE6\x97\xA5\xE2\x80\xA6");
  CHECK(cli::shortened("abc", 3) == "abc");
}
