#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <random>

#include "outlay/sqlite.hpp"
#include "outlay/testing/prices.hpp"
#include "support/catch.hpp"
#include "unit/otel/otel_support.hpp"
#include "unit/sqlite/fixture.hpp"

using namespace test;

namespace {

/// receiver.cjs on node, which finds its package by NODE_PATH; ended by the destructor.
class Receiver {
 public:
  Receiver() {
    std::array<int, 2> to{}, from{};
    if (pipe2(to.data(), O_CLOEXEC) != 0 || pipe2(from.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    child_ = fork();
    if (child_ == 0) {
      dup2(to[0], 0);
      dup2(from[1], 1);
      execlp("node", "node", OUTLAY_TEST_DIR "/integration/otel/receiver.cjs", nullptr);
      _exit(127);
    }
    close(to[0]);
    close(from[1]);
    input_ = to[1];
    output_ = fdopen(from[0], "r");
  }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  ~Receiver() {
    close(input_);
    std::fclose(output_);
    waitpid(child_, nullptr, 0);
  }

  /// The next line that it prints; null at its end.
  boost::json::value next() {
    std::string line;
    for (int c = std::getc(output_); c != EOF && c != '\n'; c = std::getc(output_)) line += static_cast<char>(c);
    return line.empty() ? boost::json::value() : boost::json::parse(line);
  }

 private:
  pid_t child_ = -1;
  int input_ = -1;
  std::FILE* output_ = nullptr;
};

struct Sums {
  std::int64_t nanos = 0, calls = 0, input = 0, output = 0, blocked = 0;
  std::int64_t exact = 0, estimated = 0, indeterminate = 0;
  std::map<std::string, std::int64_t> nanos_by_feature{};
};

std::string attribute_of(const boost::json::value& point, std::string_view key) {
  for (const auto& attribute : point.at("attributes").as_array())
    if (attribute.at("key").as_string() == boost::json::string_view(key.data(), key.size()))
      return std::string(attribute.at("value").at("stringValue").as_string());
  return {};
}

std::int64_t whole(const boost::json::value& number) { return std::stoll(std::string(number.as_string())); }

/// Tokens as decoded: a double that holds a whole number.
std::int64_t whole_sum(const boost::json::value& number) {
  const double value = number.to_number<double>();
  const auto truncated = static_cast<std::int64_t>(value);
  REQUIRE(static_cast<double>(truncated) == value);
  return truncated;
}

void add(Sums& sums, const boost::json::value& request) {
  for (const auto& resource : request.at("resourceMetrics").as_array())
    for (const auto& scope : resource.at("scopeMetrics").as_array())
      for (const auto& metric : scope.at("metrics").as_array()) {
        const auto& name = metric.at("name").as_string();
        if (name == "outlay.cost") {
          for (const auto& point : metric.at("sum").at("dataPoints").as_array()) {
            const std::int64_t nanos = whole(point.at("asInt"));
            sums.nanos += nanos;
            sums.nanos_by_feature[attribute_of(point, "feature")] += nanos;
            const std::string status = attribute_of(point, "outlay.status");
            (status == "settled" ? sums.exact : status == "estimated" ? sums.estimated : sums.indeterminate) += nanos;
          }
        } else if (name == "gen_ai.client.operation.duration") {
          for (const auto& point : metric.at("histogram").at("dataPoints").as_array())
            sums.calls += whole(point.at("count"));
        } else if (name == "gen_ai.client.token.usage") {
          for (const auto& point : metric.at("histogram").at("dataPoints").as_array())
            (attribute_of(point, "gen_ai.token.type") == "input" ? sums.input : sums.output) +=
                whole_sum(point.at("sum"));
        } else if (name == "outlay.budget.events") {
          for (const auto& point : metric.at("sum").at("dataPoints").as_array())
            if (attribute_of(point, "outlay.action") == "blocked") sums.blocked += whole(point.at("asInt"));
        }
      }
}

}  // namespace

TEST_CASE("otel receiver: what an official decoder reads adds up to the totals of the reports", "[otel]") {
  Receiver receiver;
  const boost::json::value first = receiver.next();
  REQUIRE(first.is_object());  // run with tests/integration/otel/run, which sees to node and its package

  const Environment none;
  const Log log;
  outlay::Ledger ledger({.prices = outlay::testing::fixture_prices()});
  outlay::LedgerScope scope(ledger);
  outlay::OtelOptions options;
  options.endpoint = "http://127.0.0.1:" + std::to_string(first.at("listening").as_int64());
  options.tags = {"feature", "user_id"};
  options.conventions = outlay::OtelConventions::both;
  options.usage_cost = true;
  options.max_request_bytes = 16 << 10;  // so that one export is many requests
  const auto sink = outlay::otel_sink(options);
  ledger.add_sink(sink);
  const outlay_test::TempDir dir;
  ledger.add_sink(outlay::sqlite_sink({.path = dir.db()}));

  std::minstd_rand random(42);
  const auto below = [&](std::int64_t limit) {
    return std::uniform_int_distribution<std::int64_t>(0, limit - 1)(random);
  };
  constexpr std::array features{"search", "chat", "gr\xC3\xBC\xC3\x9F\x65 \"quoted\"\n"};
  {
    outlay::Budget budget({.name = "run", .usd = outlay::Usd::from_nanos(2'000'000'000), .notify_at = {0.1, 0.5}});
    for (int i = 0; i < 3'000; ++i) {
      const std::string feature = features[static_cast<std::size_t>(below(3))],
                        user = "user-" + std::to_string(below(20));
      outlay::Track track({{"feature", feature}, {"user_id", user}});
      auto call = outlay::try_call({.model = below(2) == 0 ? "gpt-4o" : "gpt-4o-mini",
                                    .input_tokens = 1 + below(4'000),
                                    .max_output_tokens = 1 + below(1'000),
                                    .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"});
      if (!call) continue;
      call->sent();
      switch (below(10)) {
        case 0:
          call->indeterminate("HTTP 500");
          break;
        case 1:
          call->release("HTTP 429 rate_limit_exceeded");
          break;
        default:
          (void)call->try_settle({.usage = {.input = below(4'000), .cache_read = below(50), .output = below(1'000)}});
      }
    }
  }
  ledger.flush();

  const outlay::OtelStats stats = sink->stats();
  CHECK(stats.exports == 1);
  CHECK(stats.failed_exports == 0);
  CHECK(stats.requests > 10);
  CHECK(stats.folded == 0);
  CHECK(log.count("otel sink") == 0);
  Sums sums;
  for (std::uint64_t i = 0; i < stats.requests; ++i) {
    const boost::json::value line = receiver.next();
    INFO(boost::json::serialize(line).substr(0, 500));
    REQUIRE(line.as_object().contains("request"));
    add(sums, line.at("request"));
  }

  for (const outlay::Report& report : {ledger.report({"feature"}), outlay::report_sqlite(dir.db(), {"feature"})}) {
    const outlay::ReportRow total = report.total();
    REQUIRE(report.complete());
    CHECK(total.indeterminate_calls > 0);
    CHECK(total.rejected_calls > 0);
    CHECK(total.blocked_calls > 0);
    CHECK(sums.nanos == total.usd.nanos());
    CHECK(sums.exact == total.exact.nanos());
    CHECK(sums.estimated == total.estimated.nanos());
    CHECK(sums.indeterminate == total.indeterminate.nanos());
    CHECK(sums.calls == total.calls);
    CHECK(sums.input == total.usage.input_total());
    CHECK(sums.output == total.usage.output);
    CHECK(sums.blocked == total.blocked_calls);
    for (const outlay::ReportRow& row : report) CHECK(sums.nanos_by_feature[row.tags.at("feature")] == row.usd.nanos());
  }
}
