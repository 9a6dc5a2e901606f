#include "outlay/jsonl_sink.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "outlay/outlay.hpp"
#include "support/catch.hpp"

using outlay::BudgetEvent;
using outlay::Record;
using outlay::Usd;

namespace {

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "outlay-jsonl-XXXXXX").native();
    if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::filesystem::path file() const { return path_ / "spend.jsonl"; }

 private:
  std::filesystem::path path_;
};

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

Record small_record() {
  Record record;
  record.call_id = 7;
  record.started = outlay::Time(std::chrono::nanoseconds(1'767'225'600'000'000'000));
  record.ended = outlay::Time(std::chrono::nanoseconds(1'767'225'600'012'345'678));
  record.requested_model = record.admitted_model = record.model = "gpt-4o-mini";
  record.usage.input = 100;
  record.usage.output = 20;
  record.usd = record.reserved = Usd::from_nanos(27'000);
  record.tags = {{"user_id", "alice"}};
  record.budgets = {"run", "answer"};
  return record;
}

}  // namespace

TEST_CASE("jsonl: a record is one object with everything it says", "[core][jsonl]") {
  CHECK(
      outlay::to_json_line(small_record()) ==
      R"({"type":"call","call_id":7,"status":"settled","started":"2026-01-01T00:00:00.000000000Z",)"
      R"("ended":"2026-01-01T00:00:00.012345678Z","model":"gpt-4o-mini","requested_model":"gpt-4o-mini",)"
      R"("admitted_model":"gpt-4o-mini","usd":"0.000027","usd_nanos":27000,"reserved_nanos":27000,"cost_source":"table",)"
      R"("usage":{"input":100,"cache_read":0,"cache_write":0,"cache_write_1h":0,"output":20,"reasoning":0},)"
      R"("tags":{"user_id":"alice"},"budgets":["run","answer"]})");
}

TEST_CASE("jsonl: an event is one object with everything it says", "[core][jsonl]") {
  BudgetEvent event;
  event.time = outlay::Time(std::chrono::seconds(1'767'225'600));
  event.action = outlay::Action::threshold;
  event.budget = "answer";
  event.path = "run/answer";
  event.model = "gpt-4o";
  event.projected = 80'000'000;
  event.cap = 100'000'000;
  event.threshold = 0.8;
  event.call_id = std::numeric_limits<std::uint64_t>::max();
  event.budgets = {"run", "answer"};
  event.reason = "80 % reached";
  CHECK(
      outlay::to_json_line(event) ==
      R"({"type":"event","time":"2026-01-01T00:00:00.000000000Z","action":"threshold","budget":"answer","path":"run/answer",)"
      R"("model":"gpt-4o","dimension":"usd","projected":80000000,"cap":100000000,"threshold":0.8,)"
      R"("call_id":18446744073709551615,"budgets":["run","answer"],"reason":"80 % reached"})");
}

TEST_CASE("jsonl: numbers do not depend on the locale", "[core][jsonl]") {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  BudgetEvent event;
  event.action = outlay::Action::threshold;
  event.threshold = 0.5;
  const std::string plain = outlay::to_json_line(event);
  const char* set = nullptr;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"})
    if (!set) set = std::setlocale(LC_ALL, name);
  if (!set) WARN("no locale with a decimal comma is installed: only the C locale was checked");
  const std::string foreign = outlay::to_json_line(event);
  std::setlocale(LC_ALL, before.c_str());
  CHECK(foreign == plain);
  CHECK(plain.find("\"threshold\":0.5,") != std::string::npos);
}

TEST_CASE("jsonl: the sink appends and keeps what was there", "[core][jsonl]") {
  const TempDir dir;
  for (int round = 0; round < 2; ++round) {
    const auto sink = outlay::jsonl_sink({.path = dir.file(), .sync = round == 1});
    CHECK(sink->durable());
    sink->write(small_record());
    sink->event(BudgetEvent{});
    sink->flush(std::chrono::steady_clock::now());
    sink->close();
  }
  const auto lines = lines_of(dir.file());
  REQUIRE(lines.size() == 4);
  CHECK(lines[0] == lines[2]);
  CHECK(lines[0] == outlay::to_json_line(small_record()));
  CHECK(lines[3] == outlay::to_json_line(BudgetEvent{}));
}

TEST_CASE("jsonl: a last line without its end is ended before the next one", "[core][jsonl]") {
  const TempDir dir;
  std::ofstream(dir.file()) << "{\"type\":\"ca";
  outlay::jsonl_sink({.path = dir.file()})->write(small_record());
  const auto lines = lines_of(dir.file());
  REQUIRE(lines.size() == 2);
  CHECK(lines[1] == outlay::to_json_line(small_record()));
}

TEST_CASE("jsonl: a line that the disk cut short is reported, and spoils no other", "[core][jsonl]") {
  const TempDir dir;
  const auto sink = outlay::jsonl_sink({.path = dir.file()});
  sink->write(small_record());
  const std::uintmax_t one = std::filesystem::file_size(dir.file());
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{one + 20, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &tight);
  outlay::errc reason = outlay::errc::ok;
  try {
    sink->write(small_record());
  } catch (const outlay::Error& error) {
    reason = error.reason();
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  CHECK((reason == outlay::errc::storage));
  sink->write(small_record());
  const auto lines = lines_of(dir.file());
  REQUIRE(lines.size() == 3);
  CHECK(lines[1].size() == 20);
  CHECK(lines[2] == outlay::to_json_line(small_record()));
}

TEST_CASE("jsonl: a file that cannot be opened is named, with the reason", "[core][jsonl]") {
  const TempDir dir;
  try {
    static_cast<void>(outlay::jsonl_sink({.path = dir.file() / "below"}));
    FAIL("opened");
  } catch (const outlay::Error& error) {
    CHECK((error.reason() == outlay::errc::storage));
    CHECK(std::string_view(error.what()).find("spend.jsonl/below") != std::string_view::npos);
    CHECK(std::string_view(error.what()).find("No such file") != std::string_view::npos);
  }
  CHECK_THROWS_AS(outlay::jsonl_sink({}), outlay::ConfigError);
}

TEST_CASE("jsonl: a ledger's calls are in the file after flush", "[core][jsonl]") {
  const TempDir dir;
  outlay::Ledger ledger;
  const outlay::LedgerScope scope(ledger);
  ledger.add_sink(outlay::jsonl_sink({.path = dir.file()}));
  for (int i = 0; i < 100; ++i) {
    outlay::Call call({.model = "gpt-4o-mini", .input_tokens = 100, .max_output_tokens = 50});
    call.settle({.input = 100, .output = 20});
  }
  ledger.flush();
  CHECK(lines_of(dir.file()).size() == 100);
}
