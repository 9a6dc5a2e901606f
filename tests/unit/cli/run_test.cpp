#include <csignal>
#include <cstdlib>
#include <string>

#include "command.hpp"
#include "support/catch.hpp"
#include "support/fault_server.hpp"

using namespace command;
using test::FaultServer;
using test::Plan;

namespace {

/// 20 tokens in at $2.50, 5 out at $10 a million: $0.0001.
FaultServer make_upstream() {
  return FaultServer([](std::size_t, std::string_view) {
    Plan plan;
    plan.bytes = test::http_reply(
        200,
        R"({"id":"c","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant",)"
        R"("content":"It rains."},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25}})");
    return plan;
  });
}

std::string pointed_at(const FaultServer& upstream) { return "OPENAI_BASE_URL=" + upstream.url() + "/v1"; }

/// A program that calls a model so often, and prints the status of each answer.
std::string program(int calls, int ceiling = 100) {
  return R"(for i in $(seq )" + std::to_string(calls) +
         R"(); do curl -s -o /dev/null -w "%{http_code}\n" "$OPENAI_BASE_URL/chat/completions" )"
         R"(-H "Content-Type: application/json" -d "{\"model\":\"gpt-4o\",\"max_completion_tokens\":)" +
         std::to_string(ceiling) +
         R"(,)"
         R"(\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}"; done)";
}

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++n;
  return n;
}

bool has_curl() {
  const bool has = std::system("command -v curl >/dev/null 2>&1") == 0;
  if (!has) WARN("SKIPPED: there is no curl here.");
  return has;
}

}  // namespace

TEST_CASE("run: a command is stopped at its cap, and the line at the end is true", "[cli][run]") {
  if (!has_curl()) return;
  const FaultServer upstream = make_upstream();
  // Each call needs up to $0.0011, and uses $0.0001.
  const Result result = run_outlay("run --usd 0.0014 -- sh -c '" + program(8) + "; exit 3'", pointed_at(upstream));
  CHECK(result.status == 3);
  const std::size_t answered = count(result.out, "200\n"), refused = count(result.out, "429\n");
  CHECK(answered + refused == 8);
  CHECK(answered >= 1);
  CHECK(refused >= 1);
  CHECK(upstream.requests().size() == answered);
  CHECK(result.err == "outlay: $0.000" + std::to_string(answered) + " of $0.0014 in " + std::to_string(answered) +
                          " calls (" + std::to_string(refused) + " refused); the cap was reached\n");
}

TEST_CASE("run: a command that tries again after every 429 is refused with 402", "[cli][run]") {
  if (!has_curl()) return;
  const FaultServer upstream = make_upstream();
  const Result result = run_outlay("run --usd 0.0001 --status 402 -- sh -c '" + program(1) + "'", pointed_at(upstream));
  CHECK(result.out == "402\n");
  CHECK(result.err == "outlay: $0.00 of $0.0001 in 0 calls (1 refused); the cap was reached\n");
  CHECK(run_outlay("run --usd 1 --status 500 -- true").status == 2);
}

TEST_CASE("run: a ceiling that the cap has no room for is lowered where that was asked for", "[cli][run]") {
  if (!has_curl()) return;
  const FaultServer upstream = make_upstream();
  // Each call needs up to $0.04 as it is, and more than $0.01 with 1,024 tokens.
  const std::string command = " -- sh -c '" + program(1, 4'000) + "'";
  CHECK(run_outlay("run --usd 0.02" + command, pointed_at(upstream)).out == "429\n");
  CHECK(run_outlay("run --usd 0.01 --clamp" + command, pointed_at(upstream)).out == "429\n");
  REQUIRE(upstream.requests().empty());
  CHECK(run_outlay("run --usd 0.02 --clamp" + command, pointed_at(upstream)).out == "200\n");
  REQUIRE(upstream.requests().size() == 1);
  CHECK(upstream.requests()[0].find(R"("max_completion_tokens":19)") != std::string::npos);
}

TEST_CASE("run: the command's exit code is kept", "[cli][run]") {
  CHECK(run_outlay("run --usd 1 -- sh -c 'exit 7'").status == 7);
  CHECK(run_outlay("run -- true").status == 0);
  CHECK(run_outlay("run --usd 1 -- sh -c 'kill -TERM $$'").status == 128 + SIGTERM);
  const Result missing = run_outlay("run --usd 1 -- /nowhere/at-all");
  CHECK(missing.status == 127);
  CHECK(missing.err == "outlay: \"/nowhere/at-all\" cannot be run: No such file or directory\n");
}

TEST_CASE("run: the command's exit code is kept also where the last line has no reader", "[cli][run]") {
  const int err = pipe_without_reader();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::signal(SIGPIPE, SIG_DFL);
    ::dup2(err, STDERR_FILENO);
    ::execl(OUTLAY_COMMAND, OUTLAY_COMMAND, "run", "--usd", "1", "--", "sh", "-c", "exit 6", nullptr);
    ::_exit(127);
  }
  int status = -1;
  ::waitpid(pid, &status, 0);
  ::close(err);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 6);
  // The command's own pipes break as ever.
  CHECK(run_outlay("run --usd 1 -- sh -c 'yes | head -n 1; kill -PIPE $$'").status == 128 + SIGPIPE);
}

TEST_CASE("run: a signal goes on to the command", "[cli][run]") {
  const Result result =
      run_outlay("run --usd 1 -- sh -c 'trap \"exit 9\" TERM; kill -TERM $PPID; while :; do :; done'");
  CHECK(result.status == 9);
  CHECK(result.err == "outlay: $0.00 of $1.00 in 0 calls\n");
}

TEST_CASE("run: what the command starts in parallel shares the cap", "[cli][run]") {
  if (!has_curl()) return;
  const FaultServer upstream = make_upstream();
  const std::string one = "(" + program(4) + ")";
  const Result result =
      run_outlay("run --usd 0.0014 -- sh -c '" + one + "& " + one + "& " + one + "& wait'", pointed_at(upstream));
  const std::size_t answered = count(result.out, "200\n"), refused = count(result.out, "429\n");
  CHECK(answered + refused == 12);
  CHECK(answered >= 1);
  CHECK(answered <= 4);
  CHECK(upstream.requests().size() == answered);
}

TEST_CASE("run: a run in a run counts in both, and the smaller cap decides", "[cli][run]") {
  if (!has_curl()) return;
  const FaultServer upstream = make_upstream();
  const Result result = run_outlay("run --usd 1 -- '" OUTLAY_COMMAND "' run --usd 0.0014 -- sh -c '" + program(8) + "'",
                                   pointed_at(upstream));
  const std::size_t answered = count(result.out, "200\n");
  CHECK(answered >= 1);
  CHECK(answered <= 4);
  const std::string n = std::to_string(answered);
  CHECK_THAT(result.err, ContainsSubstring("outlay: $0.000" + n + " of $0.0014 in " + n + " call"));
  CHECK_THAT(result.err, ContainsSubstring("outlay: $0.000" + n + " of $1.00 in " + n + " call"));
  // The other way round the outer one refuses.
  const Result outer = run_outlay("run --usd 0.0014 -- '" OUTLAY_COMMAND "' run --usd 1 -- sh -c '" + program(8) + "'",
                                  pointed_at(upstream));
  CHECK(count(outer.out, "200\n") == answered);
  CHECK(count(outer.out, "429\n") == 8 - answered);
}

TEST_CASE("run: the command finds every provider behind the gateway, and the gateway behind no proxy", "[cli][run]") {
  const Result result = run_outlay("run --usd 1 -- env", "-u AZURE_OPENAI_ENDPOINT NO_PROXY=a.example");
  const std::size_t at = result.out.find("OPENAI_BASE_URL=http://127.0.0.1:");
  REQUIRE(at != std::string::npos);
  const std::string url = result.out.substr(at + 16, result.out.find("/to/openai\n", at) - at - 16);
  for (const char* expected :
       {"OPENAI_API_BASE=%/to/openai", "ANTHROPIC_BASE_URL=%/to/anthropic", "GOOGLE_GEMINI_BASE_URL=%/to/gemini",
        "CO_API_URL=%/to/cohere", "OLLAMA_HOST=%/to/ollama", "MISTRAL_BASE_URL=%/to/mistral"}) {
    std::string line(expected);
    line.replace(line.find('%'), 1, url);
    CHECK_THAT(result.out, ContainsSubstring(line + "\n"));
  }
  CHECK_THAT(result.out, ContainsSubstring("NO_PROXY=a.example,127.0.0.1\n"));
  CHECK(result.out.find("AZURE_OPENAI_ENDPOINT") == std::string::npos);
  // Its secret is not guessed, and is another one each time.
  CHECK(url.size() - url.rfind('/') == 33);
  CHECK(run_outlay("run --usd 1 -- env").out.find(url.substr(url.rfind('/'))) == std::string::npos);
}

TEST_CASE("run: the calls are kept with their tags, and reported", "[cli][run]") {
  if (!has_curl()) return;
  const FaultServer upstream = make_upstream();
  const Directory directory;
  const std::string file = directory.file("spend.db");
  const Result result = run_outlay(
      "run --usd 1 --tag user_id=alice --tag feature=chat --keep '" + file + "' --report -- sh -c '" + program(2) + "'",
      pointed_at(upstream));
  CHECK(result.status == 0);
  CHECK_THAT(result.err, ContainsSubstring("outlay: $0.0002 of $1.00 in 2 calls\n"));
  CHECK_THAT(result.err, ContainsSubstring("gpt-4o"));
  CHECK_THAT(run_outlay("report '" + file + "' --by user_id,feature --format csv").out,
             ContainsSubstring("alice,chat,0.0002"));
}

TEST_CASE("run: what cannot be counted is refused, unless it is let pass", "[cli][run]") {
  if (!has_curl()) return;
  const FaultServer upstream = make_upstream();
  const std::string speak = R"(curl -s -o /dev/null -w "%{http_code}\n" "$OPENAI_BASE_URL/audio/speech" -d "{}")";
  const Result refused = run_outlay("run --usd 1 -- sh -c '" + speak + "'", pointed_at(upstream));
  CHECK(refused.out == "403\n");
  CHECK_THAT(refused.err, ContainsSubstring("(1 refused because no cap can count them)"));
  CHECK(run_outlay("run --usd 1 --pass 'POST /to/openai/audio/speech' -- sh -c '" + speak + "'", pointed_at(upstream))
            .out == "200\n");
}

TEST_CASE("run: wrong usage says what to write", "[cli][run]") {
  CHECK(run_outlay("run --usd 1").status == 2);
  const Result tag = run_outlay("run --tag alice -- true");
  CHECK(tag.status == 2);
  CHECK(tag.err == "outlay: --tag: \"alice\" is not a tag. Write key=value.\n");
  CHECK(run_outlay("run --usd -1 -- true").status != 0);
  // An empty one comes from a variable that is not set: a command without a cap is not what was asked for.
  for (const char* usd : {"much", "''", "99999999999999"}) {
    const Result result = run_outlay(std::string("run --usd ") + usd + " -- true");
    CHECK(result.status == 2);
    CHECK_THAT(result.err, ContainsSubstring("--usd: "));
  }
  const Result keep = run_outlay("run --usd 1 --keep '' -- true");
  CHECK(keep.status == 2);
  CHECK_THAT(keep.err, ContainsSubstring("--keep: "));
  const Result dashes = run_outlay("run --usd 1 sh -c true");
  CHECK(dashes.status == 2);
  CHECK_THAT(dashes.err, ContainsSubstring("write -- before the command"));
  for (const char* url : {"ftp://x", "nonsense", "http://x/v1?a=b", "http://x:99999/"})
    CHECK_THAT(run_outlay("run --usd 1 -- true", std::string("'OPENAI_BASE_URL=") + url + "'").err,
               ContainsSubstring("OPENAI_BASE_URL"));
}

TEST_CASE("run: the command has no descriptor of the gateway's", "[cli][run]") {
  const Directory directory;
  // With the socket that listens, what the command leaves running would wait for an answer for ever, and could take others' requests.
  const Result result = run_outlay("run --usd 1 --keep '" + directory.file("spend.db") + "' -- ls -l /proc/self/fd");
  if (result.status != 0) {
    WARN("SKIPPED: there is no /proc here.");
    return;
  }
  CHECK(count(result.out, "socket:") == 0);
  CHECK(count(result.out, "anon_inode:") == 0);
  CHECK(count(result.out, "spend.db") == 0);
}

TEST_CASE("run: OLLAMA_HOST is read as Ollama reads it", "[cli][run]") {
  // envconfig.Host() of github.com/ollama/ollama: each part may be missing.
  for (const char* host : {"127.0.0.1", "0.0.0.0", ":11434", "::1", "[::1]", "[::]:1234", "model.example:80",
                           "model.example/x", "http://model.example", "0.0.0.0/x"}) {
    CAPTURE(host);
    CHECK(run_outlay("run --usd 1 -- true", "'OLLAMA_HOST=" + std::string(host) + "'").status == 0);
  }
}
