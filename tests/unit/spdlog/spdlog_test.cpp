#include "outlay/spdlog.hpp"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>
#include <string>

#include "outlay/jsonl_sink.hpp"
#include "outlay/outlay.hpp"
#include "support/catch.hpp"

using namespace outlay::literals;

namespace {

struct Captured {
  std::ostringstream text{};
  std::shared_ptr<spdlog::logger> logger =
      std::make_shared<spdlog::logger>("outlay", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
  Captured() { logger->set_pattern("%l %v"); }
};

}  // namespace

TEST_CASE("spdlog: the handler keeps levels, and reads no message as a format", "[spdlog]") {
  Captured captured;
  captured.logger->set_level(spdlog::level::debug);
  const outlay::LogHandler handler = outlay::spdlog_handler(captured.logger);
  handler(outlay::LogLevel::debug, "a {} b");
  handler(outlay::LogLevel::info, "i");
  handler(outlay::LogLevel::warning, "w");
  handler(outlay::LogLevel::error, "{0:");
  CHECK(captured.text.str() == "debug a {} b\ninfo i\nwarning w\nerror {0:\n");
}

TEST_CASE("spdlog: what the library has to say arrives through it", "[spdlog]") {
  Captured captured;
  const outlay::LogHandler previous = outlay::set_log_handler(outlay::spdlog_handler(captured.logger));
  outlay::detail::log(outlay::LogLevel::warning, "hello");
  outlay::set_log_handler(previous);
  CHECK(captured.text.str() == "warning hello\n");
}

TEST_CASE("spdlog: records and events are structured lines, refusals at their own level", "[spdlog]") {
  Captured captured;
  const auto sink = outlay::spdlog_sink({.logger = captured.logger});
  CHECK_FALSE(sink->durable());
  outlay::Record record;
  record.model = "gpt-4o {}";
  record.usd = 0.01_usd;
  outlay::BudgetEvent event;
  event.action = outlay::Action::blocked;
  sink->write(record);
  sink->event(event);
  event.action = outlay::Action::warned;
  sink->event(event);
  sink->flush({});
  const std::string text = captured.text.str();
  CHECK(text.find("info " + outlay::to_json_line(record) + "\n") == 0);
  CHECK(text.find("\nwarning {\"type\":\"event\"") != std::string::npos);
  CHECK(text.find("\ninfo " + outlay::to_json_line(event) + "\n") != std::string::npos);
}

TEST_CASE("spdlog: lines below the logger's level are left out", "[spdlog]") {
  Captured captured;
  captured.logger->set_level(spdlog::level::warn);
  const auto sink = outlay::spdlog_sink({.logger = captured.logger, .records = outlay::LogLevel::debug});
  sink->write(outlay::Record{});
  CHECK(captured.text.str().empty());
}

TEST_CASE("spdlog: a ledger's calls arrive by its flush", "[spdlog]") {
  Captured captured;
  outlay::Ledger ledger;
  const outlay::LedgerScope scope(ledger);
  ledger.add_sink(outlay::spdlog_sink({.logger = captured.logger}));
  {
    outlay::Call call({.model = "gpt-4o-mini", .input_tokens = 100, .max_output_tokens = 50});
    call.settle({.input = 100, .output = 20});
  }
  ledger.flush();
  CHECK(captured.text.str().find("\"usd\":\"0.000027\"") != std::string::npos);
}

TEST_CASE("spdlog: a null logger is refused", "[spdlog]") {
  CHECK_THROWS_AS(outlay::spdlog_handler(nullptr), outlay::ConfigError);
  CHECK_THROWS_AS(outlay::spdlog_sink({}), outlay::ConfigError);
}
