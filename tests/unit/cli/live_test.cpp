// A running gateway as the source of report, tail, top and pages.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "command.hpp"
#include "outlay/jsonl_sink.hpp"
#include "outlay/sqlite.hpp"
#include "served.hpp"
#include "support/catch.hpp"
#include "support/fault_server.hpp"

using command::Directory;
using command::has;
using command::read_file;
using command::Result;
using command::Served;
using command::write_file;
using test::FaultServer;
using test::Plan;
namespace cli = outlay::cli;

namespace {

FaultServer upstream_of(const std::function<int()>& status) {
  return FaultServer([status](std::size_t, std::string_view) {
    Plan plan;
    plan.bytes = test::http_reply(
        status(),
        R"({"id":"c","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant",)"
        R"("content":"It rains."},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25}})");
    return plan;
  });
}

std::string config_of(const FaultServer& upstream, const std::string& more) {
  return R"({"listen":{"port":0},"log":false,"upstreams":[{"name":"openai","url":")" + upstream.url() +
         R"(/v1","paths":["/v1/"]}])" + more + "}";
}

std::string url_of(const Served& served) { return "http://127.0.0.1:" + std::to_string(served.port()) + "/outlay/"; }

/// A row is written a moment after the call.
Result until(const std::string& arguments, std::string_view part, const std::string& variables = {}) {
  Result result;
  for (int most = 200; most > 0 && !has(result.out, part); --most) result = command::run_outlay(arguments, variables);
  return result;
}

std::string body_of(const std::string& reply) { return reply.substr(reply.find("\r\n\r\n") + 4); }

std::string next_of(const std::string& page) {
  const std::string_view before = "\"next\":\"";
  const std::size_t begin = page.rfind(before) + before.size();
  return page.substr(begin, page.find('"', begin) - begin);
}

}  // namespace

TEST_CASE("live: a running gateway is reported as its file is, of its records or of what is in memory", "[cli][live]") {
  const FaultServer upstream = upstream_of([] { return 200; });
  const Directory directory;
  const std::string file = directory.file("outlay.json"), records = directory.file("spend.db");
  for (const std::string& more : {std::string(), ",\"records\":\"" + records + "\""}) {
    INFO(more);
    write_file(file, config_of(upstream, more + R"(,"rules":[{"match":{"team":"*"},"calls":2}])"));
    Served served(file);
    for (const int expected : {200, 200, 429}) CHECK(served.chat("x-outlay-tag-team: blue\r\n") == expected);
    CHECK(served.chat("x-outlay-tag-team: red\r\n") == 200);
    const std::string url = url_of(served);
    const Result table = until("report " + url + " --by team --format csv | cut -d, -f1,2,4", "red,0.0001,1");
    INFO(table.err);
    CHECK(table.err.empty());
    CHECK(table.out == "team,usd,calls\nblue,0.0002,2\nred,0.0001,1\n");
    CHECK(has(command::run_outlay("report " + url + " --format json").out, "\"blocked_calls\":1"));
    CHECK(has(command::run_outlay("report " + url + " --where team=red --format json").out, "\"calls\":1"));
    CHECK(has(command::run_outlay("report " + url + " --budget team:blue --format json").out, "\"calls\":2"));
    CHECK(has(command::run_outlay("report " + url + " --until 2026-01-01 --format json").out, "\"calls\":0"));
    const Result focus = command::run_outlay("report " + url + " --format focus");
    CHECK(std::count(focus.out.begin(), focus.out.end(), '\n') == 4);
    const std::string page = directory.file("page.html");
    CHECK(command::run_outlay("report " + url + " --html " + page).status == 0);
    CHECK(has(read_file(page), "id=\"total\" data-n=\"300000\""));
    CHECK(has(read_file(page), "<bdi>127.0.0.1:" + std::to_string(served.port()) + "</bdi>"));
    const Result tail = command::run_outlay("tail " + url + " --once");
    CHECK(has(tail.out, "team=red"));
    CHECK(has(tail.out, "blocked"));
    CHECK(has(command::run_outlay("top " + url + " --once --by team").out, "blue"));
    if (!more.empty())
      CHECK(command::run_outlay("report " + url + " --by team,model --format json").out ==
            command::run_outlay("report " + records + " --by team,model --format json").out);
  }
}

TEST_CASE("live: tail of a gateway prints each call once as it comes", "[cli][live]") {
  const FaultServer upstream = upstream_of([] { return 200; });
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  for (const std::string& more : {std::string(), ",\"records\":\"" + directory.file("spend.db") + "\""}) {
    INFO(more);
    write_file(file, config_of(upstream, more));
    Served served(file);
    CHECK(served.chat("x-outlay-tag-n: first\r\n") == 200);
    REQUIRE(has(until("tail " + url_of(served) + " --once", "n=first").out, "n=first"));
    std::FILE* tail = ::popen(("exec '" OUTLAY_COMMAND "' tail " + url_of(served)).c_str(), "r");
    REQUIRE(tail);
    std::vector<char> line(4'096);
    const auto next = [&] { return std::string(std::fgets(line.data(), static_cast<int>(line.size()), tail)); };
    CHECK(has(next(), "n=first"));
    CHECK(served.chat("x-outlay-tag-n: second\r\n") == 200);
    CHECK(has(next(), "n=second"));
    CHECK(served.chat("x-outlay-tag-n: third\r\n") == 200);
    CHECK(has(next(), "n=third"));
    // It ends with the gateway, and says why.
    served.stop(SIGKILL);
    CHECK_FALSE(std::fgets(line.data(), static_cast<int>(line.size()), tail));
    const int status = ::pclose(tail);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == cli::bad_input));
  }
}

TEST_CASE("live: a large file of records comes in pages, whole", "[cli][live]") {
  const FaultServer upstream = upstream_of([] { return 200; });
  const Directory directory;
  const std::string file = directory.file("outlay.json"), records = directory.file("spend.db");
  {
    const auto sink = outlay::sqlite_sink({.path = records});
    outlay::Record record;
    record.model = "gpt-4o";
    for (int i = 0; i < 50'000; ++i) {
      record.call_id = static_cast<std::uint64_t>(i);
      record.started = record.ended = outlay::Time(std::chrono::seconds(1'790'000'000 + i / 100));
      record.usd = outlay::Usd::from_nanos(i);
      record.tags = {{"n", std::to_string(i % 7)}};
      sink->write(record);
      if (i % 10 == 0) {
        outlay::BudgetEvent event;
        event.time = record.ended;
        event.action = outlay::Action::blocked;
        event.tags = record.tags;
        sink->event(event);
      }
    }
    sink->close();
  }
  write_file(file, config_of(upstream, ",\"records\":\"" + records + "\""));
  Served served(file);
  for (const char* options : {" --by n --format json", " --by model,hour --format json",
                              " --by n --where n=3 --format json", " --since 2026-09-21T15:00:00Z --format json"})
    CHECK(command::run_outlay("report " + url_of(served) + options).out ==
          command::run_outlay("report " + records + options).out);
  // What a page is, for others who ask.
  const std::string first = served.page("/outlay/rows");
  CHECK(Served::status_of(first) == 200);
  CHECK(has(first, "Content-Type: application/x-ndjson\r\n"));
  CHECK(has(first, "\"more\":true,\"complete\":true}\n"));
  CHECK(Served::status_of(served.page("/outlay/rows?next=0")) == 400);
  CHECK(has(served.page("/outlay/rows?next=0"), "is not known any more"));
  CHECK(has(served.page("/outlay/rows?since=yesterday"), "in nanoseconds since 1970"));
}

TEST_CASE("live: a page of rows that has not arrived can be asked for again", "[cli][live]") {
  const FaultServer upstream = upstream_of([] { return 200; });
  const Directory directory;
  const std::string file = directory.file("outlay.json"), records = directory.file("spend.db");
  for (const std::string& more : {std::string(), ",\"records\":\"" + records + "\""}) {
    INFO(more);
    write_file(file, config_of(upstream, more));
    Served served(file);
    const std::string begin = "/outlay/rows?next=" + next_of(served.page("/outlay/rows"));
    CHECK(served.chat("x-outlay-tag-n: first\r\n") == 200);
    REQUIRE(has(until("report " + url_of(served) + " --by n --format csv", "first").out, "first"));
    const std::string page = served.page(begin);
    CHECK(has(page, "\"n\":\"first\""));
    CHECK(body_of(served.page(begin)) == body_of(page));
    const std::string end = "/outlay/rows?next=" + next_of(page);
    CHECK_FALSE(has(served.page(end), "first"));
    CHECK_FALSE(has(served.page(end), "first"));
    CHECK(Served::status_of(served.page("/outlay/rows?next=0" + next_of(page))) == 400);
  }
}

TEST_CASE("live: of what is in memory a reading goes on however many others there are", "[cli][live]") {
  const FaultServer upstream = upstream_of([] { return 200; });
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  write_file(file, config_of(upstream, ""));
  Served served(file);
  const std::string ask = "/outlay/rows?next=";
  CHECK(served.chat("x-outlay-tag-n: first\r\n") == 200);
  REQUIRE(has(until("report " + url_of(served) + " --by n --format csv", "first").out, "first"));
  const std::string all = served.page("/outlay/rows"), none = served.page("/outlay/rows?until=5");
  CHECK(has(all, "first"));
  CHECK_FALSE(has(none, "first"));
  for (int others = 40; others > 0; --others) CHECK(Served::status_of(served.page("/outlay/rows?since=5")) == 200);
  CHECK(served.chat("x-outlay-tag-n: second\r\n") == 200);
  REQUIRE(has(until("report " + url_of(served) + " --by n --format csv", "second").out, "second"));
  const std::string more = served.page(ask + next_of(all));
  CHECK(Served::status_of(more) == 200);
  CHECK(has(more, "second"));
  CHECK_FALSE(has(more, "first"));
  const std::string still_none = served.page(ask + next_of(none));
  CHECK(Served::status_of(still_none) == 200);
  CHECK_FALSE(has(still_none, "second"));
  // Of another process.
  Served again(file);
  CHECK(Served::status_of(again.page(ask + next_of(more))) == 400);
}

TEST_CASE("live: a gateway that does not know any more how far it was read is said with the next step", "[cli][live]") {
  const FaultServer gateway([](std::size_t number, std::string_view) {
    Plan plan;
    plan.bytes =
        number == 0
            ? test::http_reply(200, "{\"type\":\"page\",\"next\":\"a.1\",\"more\":true,\"complete\":true}\n")
            : test::http_reply(400, R"({"error":{"message":"/outlay/rows: no such reading. Begin without next."}})");
    return plan;
  });
  const std::string url = gateway.url() + "/outlay/";
  const Result result = command::run_outlay("tail " + url);
  CHECK(result.status == cli::bad_input);
  CHECK(result.err ==
        "outlay: the gateway at \"" + url +
            "\" cannot be read: it does not know any more how far it was read, since it was started again, "
            "was not asked for over 10 minutes, or was read by many. Run the command again.\n");
}

TEST_CASE("live: the admin token comes from a variable or a file, and what is wrong is said", "[cli][live]") {
  const FaultServer upstream = upstream_of([] { return 200; });
  const Directory directory;
  const std::string file = directory.file("outlay.json"), token = directory.file("token");
  write_file(token, "secret-of-operators\n");
  const std::string hash = command::run_outlay("keys hash <" + token).out.substr(0, 64);
  write_file(file, config_of(upstream, ",\"admin_sha256\":\"" + hash + "\""));
  Served served(file);
  const std::string url = url_of(served);
  CHECK(command::run_outlay("report " + url + " --token-file " + token).status == 0);
  CHECK(command::run_outlay("report " + url, "OUTLAY_ADMIN_TOKEN=secret-of-operators").status == 0);
  CHECK(command::run_outlay("report http://127.0.0.1:" + std::to_string(served.port()),
                            "OUTLAY_ADMIN_TOKEN=secret-of-operators")
            .status == 0);
  const auto error = [](const std::string& arguments, const std::string& variables = {}) {
    const Result result = command::run_outlay(arguments, variables);
    CHECK(result.status == cli::bad_input);
    CHECK(result.out.empty());
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    return result.err;
  };
  CHECK(error("report " + url) == "outlay: the gateway at \"" + url +
                                      "\" cannot be read: it asks for its admin token. Put it into the variable "
                                      "OUTLAY_ADMIN_TOKEN, or into a file for --token-file.\n");
  CHECK(has(error("top --once " + url, "OUTLAY_ADMIN_TOKEN=wrong"), "it does not know the admin token"));
  CHECK(
      has(error("tail --once " + url + " --token-file " + directory.file("none")), "has no token, or cannot be read"));
  CHECK(has(error("report " + upstream.url() + "/outlay/"), "is no page of rows. Check that the URL is a gateway's"));
  CHECK(
      has(error("report http://127.0.0.1:1/outlay/"), "Check that the gateway runs, and the host and port of the URL"));
  CHECK(has(error("report 'http://127.0.0.1:1/outlay/?x=1'"), "has a query"));
  CHECK(has(error("report http://:x/"), "the gateway's URL"));
}
