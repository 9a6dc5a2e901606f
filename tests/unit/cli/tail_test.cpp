#include <signal.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/groups.hpp"
#include "outlay/jsonl_sink.hpp"
#include "outlay/sqlite.hpp"
#include "support/catch.hpp"
#include "unit/cli/command.hpp"

namespace cli = outlay::cli;
using command::has;
using namespace std::chrono_literals;

namespace {

outlay::Record record_of(std::int64_t nanos, std::chrono::minutes ago, const outlay::Tags& tags) {
  outlay::Record record;
  record.started = record.ended = cli::system_now() - ago;
  record.model = "gpt-4o";
  record.usd = outlay::Usd::from_nanos(nanos);
  record.usage = {.input = 100, .output = 20};
  record.tags = tags;
  record.budgets = {"team", "answer"};
  return record;
}

/// A command that runs on, and is read line by line.
class Following {
 public:
  explicit Following(const std::string& arguments)
      : pipe_(::popen(("echo $$; exec '" OUTLAY_COMMAND "' " + arguments).c_str(), "r")) {
    if (!pipe_) throw std::runtime_error("popen failed");
    pid_ = std::stoi(line());
  }
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;
  ~Following() {
    ::kill(pid_, SIGTERM);
    ::pclose(pipe_);
  }
  std::string line() {
    std::string text;
    for (int c = 0; (c = std::fgetc(pipe_)) != EOF && c != '\n';) text += static_cast<char>(c);
    return text;
  }

 private:
  std::FILE* pipe_;
  pid_t pid_ = 0;
};

/// What `outlay top` prints by budget of a file with these events and a call of $1.00, half an hour ago.
std::string top_of(const std::function<void(outlay::Sink&, outlay::BudgetEvent&)>& events) {
  const command::Directory directory;
  const std::string file = directory.file("spend.db");
  const auto sink = outlay::sqlite_sink({.path = file});
  outlay::BudgetEvent event;
  event.time = cli::system_now() - 60min;
  event.path = "team";
  event.projected = event.cap = 4'000'000'000;
  events(*sink, event);
  sink->write(record_of(1'000'000'000, 30min, {}));
  sink->close();
  return command::run_outlay("top " + file + " --once --by budget").out;
}

}  // namespace

TEST_CASE("tail: rows appear as a sink writes them, of either kind of file", "[cli][tail]") {
  const command::Directory directory;
  for (const std::string& file : {directory.file("spend.db"), directory.file("spend.jsonl")}) {
    INFO(file);
    const auto sink =
        file.ends_with(".db") ? outlay::sqlite_sink({.path = file}) : outlay::jsonl_sink({.path = file, .sync = false});
    for (const char* user : {"alice", "bob", "carol"}) sink->write(record_of(12'500'000, 1min, {{"user_id", user}}));
    sink->flush(std::chrono::steady_clock::now() + 10s);

    Following tail("tail " + file + " --lines 2");
    CHECK(has(tail.line(), "user_id=bob"));
    CHECK(has(tail.line(), "$0.0125  gpt-4o  100 in, 20 out  team/answer  user_id=carol"));
    sink->write(record_of(1, 0min, {{"user_id", "dave\x1B[31m"}}));
    sink->flush(std::chrono::steady_clock::now() + 10s);
    CHECK(has(tail.line(), "user_id=dave\xEF\xBF\xBD[31m"));
    outlay::BudgetEvent event;
    event.time = cli::system_now();
    event.action = outlay::Action::blocked;
    event.path = "team/answer";
    event.model = "gpt-4o";
    event.projected = 60'500'000'000;
    event.cap = 60'000'000'000;
    sink->event(event);
    sink->close();
    CHECK(has(tail.line(), "blocked  team/answer  gpt-4o  $60.50 of $60.00 usd"));
  }
}

TEST_CASE("tail: only what was asked for", "[cli][tail]") {
  const command::Directory directory;
  const std::string file = directory.file("spend.db");
  const auto sink = outlay::sqlite_sink({.path = file});
  for (const char* user : {"alice", "bob"}) sink->write(record_of(1, 1min, {{"user_id", user}}));
  sink->close();
  const std::string out = command::run_outlay("tail " + file + " --once --where user_id=bob").out;
  CHECK(has(out, "user_id=bob"));
  CHECK_FALSE(has(out, "user_id=alice"));
}

TEST_CASE("top: the rate is the last hour's, and says when a cap is reached", "[cli][top]") {
  const command::Directory directory;
  const std::string file = directory.file("spend.db");
  const auto sink = outlay::sqlite_sink({.path = file});
  sink->write(record_of(5'000'000'000, 300min, {{"user_id", "alice"}}));
  outlay::BudgetEvent event;
  event.time = cli::system_now() - 200min;
  event.action = outlay::Action::threshold;
  event.path = "team";
  event.projected = 5'000'000'000;
  event.cap = 10'000'000'000;
  event.threshold = 0.5;
  sink->event(event);
  sink->write(record_of(2'000'000'000, 30min, {{"user_id", "bob"}}));
  sink->close();
  const std::string out = command::run_outlay("top " + file + " --once --by budget,user_id").out;
  INFO(out);
  // Three dollars are left at two dollars an hour.
  CHECK(has(out, "team           $2.00  $7.00      2  $10.00  in 1 h 30 min"));
  CHECK(has(out, "team/answer    $2.00  $7.00      2"));
  CHECK(has(out, "bob        $2.00  $2.00      1\nalice      $0.00  $5.00      1"));
}

TEST_CASE("tail: a file of JSON lines that was cut is read from its begin again, and that is said", "[cli][tail]") {
  const command::Directory directory;
  const std::string file = directory.file("spend.jsonl"), said = directory.file("err");
  const auto line = [](const char* user) {
    return outlay::to_json_line(record_of(1, 1min, {{"user_id", user}})) + "\n";
  };
  command::write_file(file, line("alice") + line("bob"));
  Following tail("tail " + file + " 2>" + said);
  CHECK(has(tail.line(), "user_id=alice"));
  CHECK(has(tail.line(), "user_id=bob"));
  command::write_file(file, line("carol"));
  CHECK(has(tail.line(), "user_id=carol"));
  CHECK(has(command::read_file(said), "is shorter than it was: it is read from its begin again"));
}

TEST_CASE("top: a cap that was reached is not, once its budget admits calls again", "[cli][top]") {
  const bool lets_through = GENERATE(false, true);
  const std::string out = top_of([&](outlay::Sink& sink, outlay::BudgetEvent& event) {
    event.time -= 540min;
    event.action = outlay::Action::threshold;
    event.threshold = 1;
    sink.event(event);
    if (!lets_through) return;
    event.action = outlay::Action::warned;
    event.time += 1min;
    sink.event(event);
  });
  INFO(out);
  CHECK(has(out, "$4.00  in 3 h 0 min") == !lets_through);
  CHECK(has(out, "$4.00  at 20") == lets_through);
}

TEST_CASE("top: operators and programs that change a cap change the one that is shown", "[cli][top]") {
  const std::string out = top_of([](outlay::Sink& sink, outlay::BudgetEvent& event) {
    event.action = outlay::Action::threshold;
    for (const char* path : {"team", "team/answer"}) {
      event.path = path;
      sink.event(event);
    }
    event.time += 1min;
    event.action = outlay::Action::cap_set;
    event.path = "answer";
    event.cap = 7'000'000'000;
    sink.event(event);
    event.action = outlay::Action::cap_lowered;
    event.path = "team";
    event.cap = 3'000'000'000;
    sink.event(event);
  });
  INFO(out);
  CHECK(has(out, "team/answer    $1.00  $1.00      1  $7.00  in 2 h 0 min"));
  CHECK(has(out, "team           $1.00  $1.00      1  $3.00  in"));
}

TEST_CASE("top: a refusal tells the cap", "[cli][top]") {
  const std::string out = top_of([](outlay::Sink& sink, outlay::BudgetEvent& event) {
    event.action = outlay::Action::blocked;
    event.projected = 5'000'000'000;
    sink.event(event);
  });
  CHECK(has(out, "team           $1.00  $1.00      1  $4.00"));
}

TEST_CASE("top: a budget's name with a slash is no path", "[cli][top]") {
  CHECK(cli::is_path_of("run/answer", "answer"));
  CHECK(cli::is_path_of("answer", "answer"));
  CHECK_FALSE(cli::is_path_of("my-answer", "answer"));
  CHECK_FALSE(cli::is_path_of("run\\/answer", "answer"));
  CHECK(cli::is_path_of("run\\\\/answer", "answer"));
}
