#include <algorithm>
#include <array>
#include <atomic>
#include <boost/json.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "command.hpp"
#include "served.hpp"
#include "support/catch.hpp"
#include "support/fault_server.hpp"
#ifdef OUTLAY_TEST_REDIS
#include "support/redis_server.hpp"
#endif

using namespace command;
using test::FaultServer;
using test::Plan;

namespace {

FaultServer chat_upstream() {
  return FaultServer([](std::size_t, std::string_view) {
    Plan plan;
    plan.bytes = test::http_reply(
        200,
        R"({"id":"c","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant",)"
        R"("content":"It rains."},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25}})");
    return plan;
  });
}

constexpr const char* alices_key = "outlay-aaaa";

std::string hash(const std::string& key) { return run_outlay("keys hash <<END\n" + key + "\nEND\n").out.substr(0, 64); }

}  // namespace

TEST_CASE("serve: a new key is shown once, and its hash is what keys hash prints", "[cli][serve]") {
  const Result made = run_outlay("keys new --name alice");
  CHECK(made.status == 0);
  const std::string key = made.out.substr(0, made.out.find('\n'));
  CHECK(key.size() == 7 + 64);
  CHECK(key.starts_with("outlay-"));
  CHECK(made.out == key + "\n{\"name\":\"alice\",\"sha256\":\"" + hash(key) + "\"}\n");
  CHECK(run_outlay("keys new").out.substr(0, 71) != key);
  CHECK(run_outlay("keys hash </dev/null").status == 2);
}

TEST_CASE("serve: --print-config writes every setting, and what it writes is read again", "[cli][serve]") {
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  const Result all = run_outlay("serve --print-config");
  CHECK(all.status == 0);
  for (const char* part :
       {"\"address\":\"127.0.0.1\",\"port\":8787", "\"name\":\"anthropic\",\"url\":\"https://api.anthropic.com\"",
        "\"body_bytes\":67108864", "\"first_byte_ms\":600000", "\"drain_ms\":30000", "\"store\":\"memory\"",
        "\"on_unreachable\":\"deny\""})
    CHECK_THAT(all.out, ContainsSubstring(part));
  write_file(file, all.out);
  CHECK(run_outlay("serve --config " + file + " --check").out == file + " is valid\n");
  CHECK(run_outlay("serve --config " + file + " --print-config").out == all.out);
  // And so is one with something in every place.
  write_file(
      file,
      R"({"listen":{"address":"0.0.0.0","port":1},"upstreams":[{"name":"here","url":"http://127.0.0.1:1","paths":["/v1/"],"like":"openai"}],
    "keys":[{"name":"a","sha256":")" +
          hash("a") +
          R"(","tags":{"user_id":"alice"},"models":["gpt-4o*"]}],"trust_tags":true,"trust_members":["user","labels"],"admin":{"port":2},"admin_sha256":")" +
          hash("b") + R"(",
    "pass":["POST /v1/audio/*"],"refusal_status":402,"limits":{"head_bytes":1000,"total_ms":5},"drain_ms":0,"rules":[{"match":{"user_id":"*"},"usd":1}],
    "store":"sqlite:caps.db","on_unreachable":{"local_usd":5},"records":"spend.db","log":false})");
  const Result second = run_outlay("serve --config " + file + " --print-config");
  CHECK(second.status == 0);
  write_file(file, second.out);
  CHECK(run_outlay("serve --config " + file + " --print-config").out == second.out);
}

TEST_CASE("serve: what is wrong with a configuration is named by its place", "[cli][serve]") {
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  const auto error = [&](const std::string& text) {
    write_file(file, text);
    const Result result = run_outlay("serve --config " + file + " --check");
    CHECK(result.status == 3);
    CHECK(result.err.starts_with("outlay: " + file + ": "));
    return result.err.substr(10 + file.size());
  };
  CHECK_THAT(error("{\n\"port\" 1}"), ContainsSubstring("line 2 is not valid JSON"));
  CHECK_THAT(error(R"({"lisen":{}})"), ContainsSubstring("lisen: is not known. Write one of $schema, listen"));
  CHECK_THAT(error(R"({"listen":{"port":70000}})"),
             ContainsSubstring("listen.port: must be a whole number from 0 to 65535"));
  CHECK_THAT(error(R"({"listen":{"address":"0.0.0.0"}})"), ContainsSubstring("so keys are needed"));
  CHECK_THAT(error(R"({"upstreams":[{"name":"a"}]})"), ContainsSubstring("upstreams[0]: must have a name and a url"));
  CHECK_THAT(error(R"({"upstreams":[{"name":"a","url":"http://x","key_env":"OUTLAY_NO_SUCH"}]})"),
             ContainsSubstring("the variable OUTLAY_NO_SUCH is not set"));
  CHECK_THAT(error(R"({"keys":[{"name":"a","sha256":"short"}]})"), ContainsSubstring("key \"a\": sha256 must be 64"));
  CHECK_THAT(error(R"({"rules":[{"usd":1},{"match":{"day":"1"},"usd":1}]})"), ContainsSubstring("day"));
  CHECK_THAT(error(R"({"rules":[{"usd":-1}]})"), ContainsSubstring("rules[0].usd: must be an amount"));
  CHECK_THAT(error(R"({"store":"paper"})"), ContainsSubstring("store: must be \"memory\""));
  CHECK_THAT(error(R"({"limits":{"body_bytes":0}})"),
             ContainsSubstring("limits.body_bytes: must be a whole number from 1"));
  // One of them would be without effect.
  CHECK_THAT(error("{\"rules\":[{\"usd\":1}],\n\"rules\":[]}"), ContainsSubstring("line 2: \"rules\" is there twice"));
  CHECK_THAT(error(R"({"listen":{"port":1,"p\u006frt":2}})"), ContainsSubstring("line 1: \"port\" is there twice"));
  // What the start would fail at.
  CHECK_THAT(error(R"({"prices":")" + directory.file("none.json") + "\"}"), ContainsSubstring("prices: "));
  CHECK_THAT(error(R"({"records":")" + directory.file("none/spend.db") + "\"}"), ContainsSubstring("records: "));
  CHECK_THAT(error(R"({"store":"sqlite:)" + directory.file("none/caps.db") + "\"}"), ContainsSubstring("store: "));
  CHECK_THAT(error(R"({"listen":{"port":8787},"admin":{"port":8787}})"), ContainsSubstring("admin.port: "));
  CHECK(run_outlay("serve --config " + directory.file("missing.json")).status == 3);
}

TEST_CASE("serve: keys, rules, records and log of a configuration, read again on SIGHUP, all or nothing",
          "[cli][serve]") {
  const FaultServer upstream = chat_upstream();
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  const std::string records = directory.file("spend.db");
  const auto config = [&](int calls, const std::string& more = {}) {
    return R"({"listen":{"port":0},"upstreams":[{"name":"openai","url":")" + upstream.url() +
           R"(/v1","paths":["/v1/"]}],"keys":[{"name":"alice","sha256":")" + hash(alices_key) +
           R"(","tags":{"user_id":"alice"}}],"rules":[{"match":{"user_id":"*"},"calls":)" + std::to_string(calls) +
           R"(}],"records":")" + records + "\"" + more + "}";
  };
  write_file(file, config(2));
  Served served(file);
  const std::string key = std::string("Authorization: Bearer ") + alices_key + "\r\n";
  CHECK(served.chat("") == 401);
  CHECK(served.chat(key) == 200);
  CHECK(served.chat(key) == 200);
  CHECK(served.chat(key) == 429);
  write_file(file, config(3, R"(,"drain_ms":-1)"));
  served.signal(SIGHUP);
  CHECK(served.says("the configuration was not changed: " + file + ": drain_ms: must be"));
  CHECK(served.chat(key) == 429);
  write_file(file, config(3));
  served.signal(SIGHUP);
  CHECK(served.says("outlay: the configuration was read again\n"));
  CHECK(served.chat(key) == 200);
  CHECK(served.chat(key) == 429);
  CHECK(served.stop() == 0);
  const std::string log = served.log();
  CHECK_THAT(
      log,
      ContainsSubstring(
          R"("path":"/v1/chat/completions","status":200,"outcome":"answered","upstream":"openai","api":"openai_chat","model":"gpt-4o","key":"alice")"));
  CHECK_THAT(log, ContainsSubstring(R"("status":429,"outcome":"refused")"));
  CHECK(log.find("private") == std::string::npos);
  CHECK(log.find(alices_key) == std::string::npos);
  CHECK_THAT(run_outlay("report " + records + " --by user_id --format csv").out, ContainsSubstring("alice,0.0003"));
}

TEST_CASE("serve: a configuration that changes is read again by itself, all or nothing", "[cli][serve]") {
  const FaultServer upstream = chat_upstream();
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  const auto config = [&](int calls, const std::string& more = {}) {
    return R"({"listen":{"port":0},"log":false,"upstreams":[{"name":"openai","url":")" + upstream.url() +
           R"(/v1","paths":["/v1/"]}],"rules":[{"calls":)" + std::to_string(calls) + "}]" + more + "}";
  };
  write_file(file, config(1));
  Served served(file);
  CHECK(served.chat("") == 200);
  CHECK(served.chat("") == 429);
  write_file(file, config(2));
  CHECK(served.says("outlay: the configuration was read again\n"));
  CHECK(served.chat("") == 200);
  CHECK(served.chat("") == 429);
  write_file(file, config(9, R"(,"limits":{"nothing":1})"));
  CHECK(served.says("the configuration was not changed: " + file + ": limits.nothing: is not known"));
  write_file(file, config(9, R"(,"store":"sqlite:other.db")"));
  CHECK(served.says("are only read at the start. Restart to change them."));
  CHECK(served.chat("") == 429);
  // One that is put in its place, as editors and clusters do.
  write_file(file + ".new", config(3));
  std::filesystem::rename(file + ".new", file);
  CHECK(served.says("outlay: the configuration was read again\n"));
  CHECK(served.chat("") == 200);
  CHECK(served.stop() == 0);
}

TEST_CASE("serve: the page of outlay report --html is at /outlay/, of the records or of what is in memory",
          "[cli][serve]") {
  const FaultServer upstream = chat_upstream();
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  for (const std::string& more : {std::string(), ",\"records\":\"" + directory.file("spend.db") + "\""}) {
    write_file(file, R"({"listen":{"port":0},"log":false,"upstreams":[{"name":"openai","url":")" + upstream.url() +
                         R"(/v1","paths":["/v1/"]}])" + more + "}");
    Served served(file);
    CHECK(served.chat("x-outlay-tag-team: blue\r\n") == 200);
    std::string page;
    // A row is written a moment after the call.
    for (int most = 200; most > 0 && page.find("blue") == page.npos; --most) page = served.page("/outlay/");
    CHECK(Served::status_of(page) == 200);
    CHECK_THAT(page, ContainsSubstring("Content-Type: text/html; charset=utf-8\r\n") && ContainsSubstring("blue") &&
                         ContainsSubstring("data-n=\"100000\"") && ContainsSubstring("Content-Security-Policy"));
  }
}

TEST_CASE("serve: the schema of the configuration has the members that the reader knows, and no others",
          "[cli][serve]") {
  std::ifstream in(OUTLAY_TEST_DIR "/../src/cli/serve.schema.json");
  REQUIRE(in);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const auto schema = boost::json::parse(text);
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  // A member that is not known is answered with a list of those that are.
  const auto known = [&](const std::string& config) {
    write_file(file, config);
    const std::string error = run_outlay("serve --config " + file + " --check").err;
    constexpr std::string_view before = "zzz: is not known. Write one of ";
    const std::size_t at = error.find(before);
    REQUIRE(at != error.npos);
    std::set<std::string> names;
    std::string list = error.substr(at + before.size());
    list.resize(list.find(".\n"));
    for (std::size_t begin = 0; begin <= list.size();) {
      const std::size_t end = std::min(list.find(", ", begin), list.size());
      names.insert(list.substr(begin, end - begin));
      begin = end + 2;
    }
    return names;
  };
  const auto in_schema = [](const boost::json::value& object) {
    std::set<std::string> names;
    for (const auto& member : object.at("properties").as_object()) names.emplace(member.key());
    CHECK(object.at("additionalProperties") == false);
    return names;
  };
  const auto& members = schema.at("properties");
  const auto& definitions = schema.at("$defs");
  CHECK(known(R"({"zzz":1})") == in_schema(schema));
  for (const char* name : {"listen", "admin", "tls", "limits"})
    CHECK(known("{\"" + std::string(name) + R"(":{"zzz":1}})") == in_schema(members.at(name)));
  CHECK(known(R"({"upstreams":[{"name":"a","url":"http://x","zzz":1}]})") ==
        in_schema(members.at("upstreams").at("items")));
  CHECK(known(R"({"keys":[{"name":"a","sha256":"b","zzz":1}]})") == in_schema(members.at("keys").at("items")));
  CHECK(known(R"({"on_unreachable":{"zzz":1}})") == in_schema(members.at("on_unreachable").at("oneOf").at(1)));
  CHECK(known(R"({"rules":[{"zzz":1}]})") == in_schema(definitions.at("rule")));
  CHECK(known(R"({"rules":[{"on_exceed":{"clamp":{"zzz":1}}}]})") == in_schema(definitions.at("clamp")));
  CHECK(known(R"({"rules":[{"on_exceed":{"wait":{"zzz":1}}}]})") == in_schema(definitions.at("wait")));
  // The defaults of the schema are those that are printed.
  const auto printed = boost::json::parse(run_outlay("serve --print-config").out);
  for (const auto& member : printed.as_object()) {
    CAPTURE(std::string(member.key()));
    REQUIRE(members.as_object().contains(member.key()));
    const auto& one = members.at(member.key()).as_object();
    if (const auto* stated = one.if_contains("default")) CHECK(*stated == member.value());
    if (const auto* parts = one.if_contains("properties"))
      for (const auto& part : parts->as_object())
        if (const auto* stated = part.value().as_object().if_contains("default"))
          CHECK(*stated == member.value().at(part.key()));
  }
}

namespace {

/// 200 calls of a cent through four gateways whose caps of a dollar are one counter, in this store.
void share_a_dollar(const Directory& directory, const std::string& store) {
  const FaultServer upstream([](std::size_t, std::string_view) {
    Plan plan;
    plan.bytes = test::http_reply(
        200,
        R"({"id":"c","object":"chat.completion","model":"cent","choices":[{"index":0,"message":{"role":"assistant",)"
        R"("content":"It rains."},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25}})");
    return plan;
  });
  write_file(
      directory.file("prices.json"),
      R"({"format":"outlay-prices-1","version":"test","models":{"cent":{"input":0,"output":0,"request":0.01}}})");
  const std::string file = directory.file("outlay.json");
  write_file(file, R"({"listen":{"port":0},"log":false,"upstreams":[{"name":"openai","url":")" + upstream.url() +
                       R"(/v1","paths":["/v1/"]}],"rules":[{"usd":1}],"on_unreachable":"deny","store":")" + store +
                       R"(","prices":")" + directory.file("prices.json") + "\"}");
  std::vector<std::unique_ptr<Served>> gateways;
  for (int i = 0; i < 4; ++i) gateways.push_back(std::make_unique<Served>(file));
  const std::string body =
      R"({"model":"cent","max_completion_tokens":100,"messages":[{"role":"user","content":"Hi"}]})";
  const std::string text = "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Length: " +
                           std::to_string(body.size()) + "\r\n\r\n" + body;
  std::atomic<int> answered = 0, refused = 0, other = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i)
    clients.emplace_back([&, i] {
      for (int call = 0; call < 25; ++call) {
        const int status = gateways[static_cast<std::size_t>(i % 4)]->ask(text);
        ++(status == 200 ? answered : status == 429 ? refused : other);
      }
    });
  for (std::thread& client : clients) client.join();
  CHECK(answered == 100);
  CHECK(refused == 100);
  CHECK(other == 0);
  CHECK(upstream.requests().size() == 100);
}

}  // namespace

TEST_CASE("serve: four gateways on one file answer 100 of 200 calls of a cent under a cap of a dollar",
          "[cli][serve]") {
  const Directory directory;
  share_a_dollar(directory, "sqlite:" + directory.file("caps.db"));
}

#ifdef OUTLAY_TEST_REDIS
TEST_CASE("serve: four gateways on one Redis answer 100 of 200 calls of a cent under a cap of a dollar",
          "[cli][serve]") {
  if (!test::RedisServer::installed()) return;  // it has said so
  const Directory directory;
  const test::RedisServer redis;
  share_a_dollar(directory, redis.url());
}
#endif

TEST_CASE("serve: requests are answered and settled also where the log is read no longer", "[cli][serve]") {
  const FaultServer upstream = chat_upstream();
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  write_file(file, R"({"listen":{"port":0},"upstreams":[{"name":"openai","url":")" + upstream.url() +
                       R"(/v1","paths":["/v1/"]}],"rules":[{"calls":2}]})");
  const int out = pipe_without_reader();
  Served served(file, out);
  CHECK(served.chat("") == 200);
  CHECK_THAT(served.next_line(), ContainsSubstring("the log cannot be written"));
  CHECK(served.chat("") == 200);
  CHECK(served.chat("") == 429);
  CHECK(served.stop() == 0);
  CHECK(served.next_line().empty());  // it has been said once
  ::close(out);
}

TEST_CASE("serve: caps in a file hold over a restart", "[cli][serve]") {
  const FaultServer upstream = chat_upstream();
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  write_file(file, R"({"listen":{"port":0},"upstreams":[{"name":"openai","url":")" + upstream.url() +
                       R"(/v1","paths":["/v1/"]}],"rules":[{"calls":2}],"store":"sqlite:)" + directory.file("caps.db") +
                       "\"}");
  {
    Served served(file);
    CHECK(served.chat("") == 200);
    CHECK(served.stop() == 0);
  }
  Served served(file);
  CHECK(served.chat("") == 200);
  CHECK(served.chat("") == 429);
}
