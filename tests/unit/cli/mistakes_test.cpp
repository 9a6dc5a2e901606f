// What a person gets who names a wrong file, writes a wrong option, or whose terminal is not what it could be: a message that names the object
// and the next step, and an exit status.
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "outlay/jsonl_sink.hpp"
#include "outlay/sqlite.hpp"
#include "support/catch.hpp"
#include "unit/cli/command.hpp"
#include "unit/cli/on_terminal.hpp"

namespace cli = outlay::cli;
using command::Directory;
using command::has;
using command::on_terminal;
using command::Result;

namespace {

/// Two calls of alice, one without a price.
void fill_with_calls(outlay::Sink& sink) {
  outlay::Record record;
  record.started = record.ended = cli::parse_time("2026-11-01T12:00:00Z", {}).value();
  record.model = record.requested_model = record.admitted_model = "gpt-4o";
  record.usd = outlay::Usd::from_nanos(5'000'000);
  record.tags = {{"user_id", "alice"}, {"feature", "a feature with a long name"}};
  record.budgets = {"team", "answer"};
  sink.write(record);
  record.cost_source = outlay::CostSource::none;
  record.status = outlay::RecordStatus::estimated;
  sink.write(record);
  sink.close();
}

std::string spend(const Directory& directory) {
  const std::string file = directory.file("spend.db");
  fill_with_calls(*outlay::sqlite_sink({.path = file}));
  return file;
}

std::size_t longest_line(const std::string& text) {
  std::size_t longest = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    longest = std::max(longest, cli::display_width(std::string_view(text).substr(begin, end - begin)));
    begin = end + 1;
  }
  return longest;
}

}  // namespace

TEST_CASE("mistakes: a file that is not what it should be is named, with the next step", "[cli][mistakes]") {
  const Directory directory;
  const auto made = [&](const std::string& name, const std::string& text) {
    command::write_file(directory.file(name), text);
    return directory.file(name);
  };
  const std::string none = directory.file("none.db"), empty = made("empty.db", ""), text = made("notes.txt", "notes\n"),
                    json = made("package.json", "{\"name\":\"x\"}\n"), pipe = directory.file("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  std::filesystem::create_directory(directory.file("directory"));
  const std::string store = directory.file("caps.db");
  outlay::sqlite_store({.path = store, .on_unreachable = outlay::OnUnreachable::deny()})->flush();
  const struct {
    std::string file;
    const char* says;
  } cases[] = {
      {none, "does not exist. Check the path: outlay run --keep"},
      {empty, "is empty. Check the path"},
      {text, "is no SQLite database"},
      {json, "has no line that a jsonl_sink writes: it is a file of another program"},
      {directory.file("directory"), "is a directory: name a file in it"},
      {pipe, "is a pipe or a device. Write what comes from it to a file"},
      {store, "has the counters of a sqlite_store and no records"},
  };
  for (const auto& one : cases)
    for (const std::string& arguments :
         {"report " + one.file, "report " + one.file + " --format focus",
          "report " + one.file + " --html " + none + ".html", "tail --once " + one.file, "top --once " + one.file}) {
      INFO(arguments);
      const Result result = command::run_outlay(arguments);
      INFO(result.err);
      CHECK(result.status == cli::bad_input);
      CHECK(has(result.err, "outlay: \"" + one.file + "\" "));
      CHECK(has(result.err, one.says));
      CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    }
  CHECK_FALSE(std::filesystem::exists(none));
  CHECK(has(command::run_outlay("reconcile " + none + " --bill " + directory.file("directory")).err, "is a directory"));
  const Result gateway = command::run_outlay("caps list http://127.0.0.1:8787/outlay/");
  CHECK(gateway.status == cli::usage);
  CHECK(has(gateway.err, "is not a store. Write a file's path, redis://HOST or unix://SOCKET"));
}

TEST_CASE("mistakes: a file without calls, and a filter that none passes, are said", "[cli][mistakes]") {
  const Directory directory;
  const std::string file = spend(directory), empty = directory.file("empty.jsonl");
  command::write_file(empty, "");
  for (const char* command :
       {"report ", "report --format csv ", "report --format focus ", "tail --once ", "top --once "}) {
    INFO(command);
    const Result nothing =
        command::run_outlay(command + empty + (std::string(command) == "top --once " ? " --since ''" : ""));
    CHECK(nothing.status == 0);
    CHECK(nothing.err == "outlay: \"" + empty + "\" has no calls.\n");
    const Result filtered = command::run_outlay(command + file + " --since 2026-10-01 --where nosuch=1");
    CHECK(filtered.status == 0);
    CHECK(filtered.err ==
          "outlay: no call in \"" + file + "\" passes --since and --where. Leave one out to see what is there.\n");
  }
  CHECK(has(command::run_outlay("top --once --since 2026-10-01 --by nosuch " + file).out,
            "No call has any of these. Check the names of --by."));
  CHECK(
      has(command::run_outlay("report --by nosuch " + file).err, "no record has the tag \"nosuch\". Check its name."));
  const Result page =
      command::run_outlay("report --by nosuch,user_id --html " + directory.file("page.html") + ' ' + file);
  CHECK(page.status == 0);
  CHECK(page.err == "outlay: no record has the tag \"nosuch\". Check its name.\n");
  CHECK(command::run_outlay("report --format focus " + file).err ==
        "outlay: 1 call has no price, or something that is billed by use and has none: their x_CostSource is none, and "
        "what that cost is not in the file. outlay prices explain MODEL says why.\n");
}

TEST_CASE("mistakes: a wrong option is named, with what to write", "[cli][mistakes]") {
  const Directory directory;
  const std::string file = spend(directory);
  const auto error = [&](const std::string& arguments) {
    const Result result = command::run_outlay(arguments);
    INFO(arguments);
    CHECK(result.status == cli::usage);
    CHECK(result.out.empty());
    return result.err;
  };
  for (const char* command : {"report ", "tail --once ", "top --once "})
    CHECK(error(command + file + " --since 2026-11-02 --until 2026-11-01") ==
          "outlay: --since 2026-11-02 is not before --until 2026-11-01, so that no call can be between them. Exchange "
          "them.\n");
  CHECK(has(error("report " + file + " --zone Mars/Olympus"), "--zone: \"Mars/Olympus\" is not a time zone"));
  CHECK(has(error("report " + file + " --limit -1"), "--limit: \"-1\" is not a whole number of at least 0"));
  CHECK(has(error("tail " + file + " --lines -1"), "--lines: \"-1\" is not a whole number of at least 0"));
  CHECK(has(error("top " + file + " --rows 0"), "--rows: \"0\" is not a whole number of at least 1"));
  CHECK(has(error("run --tokens 0 -- true"), "--tokens: \"0\" is not a whole number of at least 1"));
  CHECK(error("repot " + file) == "outlay: \"repot\" is not a subcommand. outlay --help lists them.\n");
  CHECK(error("report " + file + " --bye model") ==
        "outlay: outlay report has no option --bye. outlay report --help lists them.\n");
  CHECK(error("report " + file + " --csv spend.csv") ==
        "outlay: outlay report has no option --csv. Write --format csv.\n");
  CHECK(error("estimate --json=x " + file) == "outlay: outlay estimate has no option --json=x. Write --format json.\n");
  CHECK(error("tail " + file + " --csv") ==
        "outlay: outlay tail has no option --csv. outlay tail --help lists them.\n");
  CHECK(error("caps show " + file + " team extra") ==
        "outlay: \"extra\" is one argument too many. outlay caps show --help lists what it takes.\n");
}

TEST_CASE("mistakes: a tag of too many values is not put on a page", "[cli][mistakes]") {
  const Directory directory;
  const std::string file = directory.file("spend.jsonl");
  {
    const auto sink = outlay::jsonl_sink({.path = file, .sync = false});
    outlay::Record record;
    for (int i = 0; i < 1'001; ++i) {
      record.tags = {{"request_id", std::to_string(i)}};
      sink->write(record);
    }
    sink->close();
  }
  const Result page = command::run_outlay("report " + file + " --by request_id --html " + file + ".html");
  CHECK(page.status == cli::usage);
  CHECK(has(page.err, "--by request_id: it has over 1,000 values, too many for a page."));
  CHECK(command::run_outlay("report " + file + " --by request_id --format csv").status == 0);
}

TEST_CASE("mistakes: a pipe that is closed ends what waits for more", "[cli][mistakes]") {
  const Directory directory;
  const std::string file = spend(directory), ended = directory.file("ended");
  for (const std::string& arguments :
       {"tail " + file + " --lines 1", "top " + file + " --every 1 --since 2026-10-01"}) {
    const std::string line =
        "bash -c \"{ '" OUTLAY_COMMAND "' " + arguments + "; echo \\$? >" + ended + "; } | head -1\"";
    CHECK(std::system(line.c_str()) == 0);
    CHECK(has("0 141 ", command::read_file(ended).substr(0, 1)));
    std::filesystem::remove(ended);
  }
}

TEST_CASE("mistakes: tables fit a terminal of 40 columns, and no dumb one gets commands", "[cli][mistakes]") {
  const Directory directory;
  const std::string file = spend(directory);
  for (const std::string& arguments :
       {"report " + file + " --by feature,model", "top --once " + file + " --since 2026-10-01"}) {
    INFO(arguments);
    const std::string plain = on_terminal(arguments, 40, "TERM=dumb");
    CHECK(longest_line(plain) <= 40);
    CHECK_FALSE(has(plain, "\x1B"));
    CHECK(has(plain, "a feature with"));
    CHECK(has(on_terminal(arguments, 80), "\x1B[1m"));
    CHECK_FALSE(has(on_terminal(arguments, 80, "NO_COLOR=1"), "\x1B[1m"));
  }
  CHECK(has(on_terminal("tail --once " + file, 80), "\x1B[33m"));
  CHECK_FALSE(has(on_terminal("tail --once " + file, 80, "NO_COLOR=1"), "\x1B"));
}
