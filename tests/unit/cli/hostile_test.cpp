// Names that a terminal, a browser, a spreadsheet or a scraper might obey, in tags, models and budgets: shown everywhere, obeyed nowhere.
#include <algorithm>
#include <boost/json.hpp>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.hpp"
#include "outlay/jsonl_sink.hpp"
#include "outlay/sqlite.hpp"
#include "served.hpp"
#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "unit/cli/command.hpp"
#include "unit/cli/on_terminal.hpp"

namespace cli = outlay::cli;
using command::Directory;
using command::has;
using command::Result;

namespace {

const std::string rocket = "\xF0\x9F\x9A\x80";
// NOLINTNEXTLINE(misc-misleading-bidirectional): what follows it reads from right to left
const std::string turned = "\xE2\x80\xAE";
const std::string hostile[] = {
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onmouseover='alert(1)",
    "=cmd|' /C calc'!A0",        "x\r\n=1+1;@SUM(1)\t-2",           "abc" + turned + "gpj.exe",
    rocket + " launch",          "\x1B]0;title\x07\x1B[2J\23331m",  "line\nfake: 1",
    std::string(4'096, 'W')};

void fill_with_hostile(outlay::Sink& sink) {
  outlay::Record record;
  outlay::BudgetEvent event;
  record.started = record.ended = event.time = cli::parse_time("2026-11-01T12:00:00Z", {}).value();
  record.usd = outlay::Usd::from_nanos(1'000);
  event.action = outlay::Action::threshold;
  event.threshold = 0.5;
  event.projected = 5;
  event.cap = 10;
  for (const std::string& name : hostile) {
    record.model = record.requested_model = record.admitted_model = record.provider = record.reason = name;
    record.tags = {{"label", name}, {name, "value"}};
    record.budgets = {name};
    sink.write(record);
    event.budget = event.path = event.reason = event.model = name;
    event.budgets = {name};
    event.tags = record.tags;
    sink.event(event);
  }
  sink.close();
}

/// Nothing that a terminal obeys but the ends of lines, and no mark that turns the direction of text.
void check_terminal(const std::string& text) {
  CHECK(std::none_of(text.begin(), text.end(), [](char c) {
    const auto code = static_cast<unsigned char>(c);
    return (code < 0x20 && c != '\n') || code == 0x7F;
  }));
  CHECK_FALSE(has(text, turned));
  CHECK_FALSE(has(text, "\x9B"));
}

/// Whether a spreadsheet that separates by `separator` finds a cell that it computes.
bool computes(const std::string& csv, char separator) {
  bool begins = true;
  std::size_t quotes = 0;
  for (std::size_t at = 0; at < csv.size(); ++at) {
    const char c = csv[at];
    const bool quoted = separator == ',' && quotes % 2 == 1;
    if (begins && !quoted && c == '"' && separator != ',') continue;
    if (begins && c == '"') {
      ++quotes;
      continue;
    }
    if (begins && std::string_view("=+-@").find(c) != std::string_view::npos) {
      const std::size_t end = std::min(csv.find_first_not_of("0123456789.", at + 1), csv.size() - 1);
      const bool number = (c == '-' || c == '+') && end > at + 1 &&
                          std::string_view(",;|\t\r\n\"").find(csv[end]) != std::string_view::npos;
      if (!number) return true;
    }
    quotes += c == '"';
    begins = separator == ',' ? (c == ',' || c == '\n') && quotes % 2 == 0 : c == separator || c == '\n' || c == '\r';
  }
  return false;
}

}  // namespace

TEST_CASE("hostile: names are shown in tables, tail and top, and move no terminal", "[cli][hostile]") {
  const Directory directory;
  for (const bool sqlite : {true, false}) {
    const std::string file = directory.file(sqlite ? "spend.db" : "spend.jsonl");
    if (sqlite)
      fill_with_hostile(*outlay::sqlite_sink({.path = file}));
    else
      fill_with_hostile(*outlay::jsonl_sink({.path = file, .sync = false}));
    for (const std::string& arguments :
         {"report " + file + " --by label,model,budget", "report " + file + " --by '<script>alert(1)</script>'",
          "tail --once --lines 100 " + file, "top --once --since 2026-10-01 --by label,budget,provider " + file}) {
      INFO(arguments);
      const Result result = command::run_outlay(arguments);
      CHECK(result.status == 0);
      check_terminal(result.out);
      check_terminal(result.err);
      CHECK(has(result.out, "<script>alert(1)</script>"));
      if (!has(arguments, "--by '<")) CHECK(has(result.out, rocket + " launch"));
    }
    const std::string page = directory.file("page.html");
    CHECK(command::run_outlay("report " + file + " --html " + page).status == 0);
    const std::string html = command::read_file(page);
    CHECK_FALSE(has(html, "<script>alert"));
    CHECK_FALSE(has(html, "<img"));
    CHECK(has(html, "&lt;script&gt;alert(1)&lt;/script&gt;"));
    CHECK(has(html, rocket + " launch"));
    CHECK(has(html, std::string(4'096, 'W')));
  }
  // What a message repeats of the command line.
  check_terminal(command::run_outlay("report $'none\\e[2J.db'").err);
}

TEST_CASE("hostile: names are text in CSV, FOCUS and JSON, whatever a reader separates by", "[cli][hostile]") {
  const Directory directory;
  const std::string file = directory.file("spend.db");
  fill_with_hostile(*outlay::sqlite_sink({.path = file}));
  const std::string csv = command::run_outlay("report " + file + " --by label,model,budget --format csv").out;
  for (const char separator : {',', ';', '|', '\t'}) CHECK_FALSE(computes(csv, separator));
  CHECK(computes("a,=1", ','));
  CHECK(computes("a;\"=1", ';'));
  const std::string focus = command::run_outlay("report " + file + " --format focus").out;
  for (const char separator : {',', ';', '|'}) CHECK_FALSE(computes(focus, separator));
  // On a terminal nothing of them is obeyed, either.
  for (const char* options : {" --by label --format csv", " --by label --format json", " --format focus"})
    check_terminal(command::on_terminal("report " + file + options, 80));
  // JSON has each name as it was.
  const auto rows =
      boost::json::parse(command::run_outlay("report " + file + " --by label --format json").out).at("rows");
  std::vector<std::string> labels;
  for (const auto& row : rows.as_array()) labels.emplace_back(row.at("tags").at("label").as_string());
  for (const std::string& name : hostile) {
    const bool utf8 = !has(name, "\x9B");  // what is not UTF-8 is replaced when it is recorded
    if (utf8) CHECK(std::find(labels.begin(), labels.end(), name) != labels.end());
  }
  CHECK(labels.size() == std::size(hostile));
}

TEST_CASE("hostile: a gateway's metrics stay lines of metrics, and its rows lines of JSON", "[cli][hostile]") {
  const test::FaultServer upstream([](std::size_t, std::string_view) {
    test::Plan plan;
    plan.bytes = test::http_reply(
        200,
        R"({"id":"c","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant",)"
        R"("content":"It rains."},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25}})");
    return plan;
  });
  const Directory directory;
  const std::string config = directory.file("outlay.json");
  command::write_file(
      config, R"({"listen":{"port":0},"log":false,"trust_members":["user"],"rules":[{"match":{"user":"*"},"usd":1}],)"
              R"("upstreams":[{"name":"openai","url":")" +
                  upstream.url() + R"(/v1","paths":["/v1/"]}]})");
  command::Served served(config);
  int sent = 0;
  for (const std::string& name : hostile) {
    if (has(name, "\x9B")) continue;  // no JSON
    const std::string body = boost::json::serialize(boost::json::value{
        {"model", "gpt-4o"}, {"max_completion_tokens", 9}, {"user", name}, {"messages", boost::json::array()}});
    sent += served.ask("POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Length: " +
                       std::to_string(body.size()) + "\r\n\r\n" + body) == 200;
  }
  CHECK(sent > 5);
  const std::string metrics = served.page("/outlay/metrics");
  const std::string text = metrics.substr(metrics.find("\r\n\r\n") + 4);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    INFO(line);
    CHECK((line.empty() || line.starts_with("outlay_") || line.starts_with("# ")));
    begin = end + 1;
  }
  const std::string url = "http://127.0.0.1:" + std::to_string(served.port()) + "/outlay/";
  const Result table = command::run_outlay("report " + url + " --by user");
  CHECK(table.status == 0);
  check_terminal(table.out);
  CHECK(has(table.out, "<script>alert(1)</script>"));
  CHECK(has(table.out, "=cmd|' /C calc'!A0"));
}
