// What the OpenTelemetry sink costs. Each row is printed as a ratio to a floor measured beside it in the same run: interleaved
// repetitions, medians of CPU time. A ratio is a statement about this machine now; no test asserts one.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "otel/aggregate.hpp"
#include "otel/collector.hpp"
#include "otel/encode.hpp"
#include "otel/settings.hpp"
#include "outlay/otel.hpp"
#include "outlay/outlay.hpp"
#include "outlay/sqlite.hpp"

namespace {

using namespace std::chrono_literals;

constexpr int exported = 100'000;
constexpr int calls = 200'000;

/// CPU time of this thread, so that whatever else runs on the machine counts less.
double cpu_nanoseconds(const std::function<void()>& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
  };
  const double start = now();
  work();
  return now() - start;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void print(const char* name, const std::vector<double>& cost, const std::vector<double>& floor, double per,
           const char* unit, double at_most) {
  const double a = median(cost), b = median(floor);
  if (at_most > 0)
    std::printf("%-74s %9.1f %s  floor %9.1f  ratio %5.2f  (at most %.1f)\n", name, a / per, unit, b / per, a / b,
                at_most);
  else
    std::printf("%-74s %9.1f %s  floor %9.1f  ratio %5.2f\n", name, a / per, unit, b / per, a / b);
}

outlay::detail::OtelSettings settings_of(std::size_t series) {
  outlay::OtelOptions options;
  options.endpoint = "http://127.0.0.1:4318";
  options.tags = {"feature", "user_id"};
  options.max_values = options.max_series = series;
  return outlay::detail::resolve(options);
}

std::vector<outlay::Record> records_of(int users) {
  std::vector<outlay::Record> records(exported);
  for (int i = 0; i < exported; ++i) {
    outlay::Record& record = records[static_cast<std::size_t>(i)];
    record.started = outlay::Time(1'767'225'600s);
    record.ended = record.started + std::chrono::milliseconds(100 + i % 7'000);
    record.requested_model = record.model = i % 2 == 0 ? "gpt-4o-mini" : "gpt-4o";
    record.provider = "openai";
    record.usage.input = 100 + i % 5'000;
    record.usage.output = 10 + i % 700;
    record.usd = outlay::Usd::from_nanos(1'000 + i);
    const std::string user = "user-" + std::to_string(i % users);
    record.tags = {{"feature", "search"}, {"user_id", user}};
  }
  return records;
}

/// 100,000 records, taken and encoded, against Boost.JSON that serialises the tree which they became.
void export_against_boost_json(const char* name, const char* name_of_encoding, int users) {
  const auto settings = settings_of(1'000'000);
  const auto records = records_of(users);
  const outlay::detail::Span span{1'767'225'600'000'000'000, 1'767'229'200'000'000'000};
  std::vector<double> whole, encoding, floor;
  std::vector<boost::json::value> trees;
  std::size_t bytes = 0;
  for (int round = 0; round < 7; ++round) {
    outlay::detail::Aggregate aggregate(settings);
    std::vector<std::string> bodies;
    const double taken = cpu_nanoseconds([&] {
      for (const outlay::Record& record : records) aggregate.add(record);
    });
    const double encoded =
        cpu_nanoseconds([&] { bodies = encode(aggregate, settings, span, settings.max_request_bytes); });
    whole.push_back(taken + encoded);
    encoding.push_back(encoded);
    if (trees.empty())
      for (const std::string& body : bodies) trees.push_back(boost::json::parse(body)), bytes += body.size();
    floor.push_back(cpu_nanoseconds([&] {
      for (const boost::json::value& tree : trees) benchmark::DoNotOptimize(boost::json::serialize(tree));
    }));
  }
  std::printf("%d records of %d users: %zu requests, %.1f MB\n", exported, users, trees.size(),
              static_cast<double>(bytes) / 1e6);
  print(name, whole, floor, exported, "ns/record", users == exported ? 2.0 : 0);
  print(name_of_encoding, encoding, floor, exported, "ns/record", users == exported ? 2.0 : 0);
}

/// The same as one JSON object a record, as a log exporter would send them.
void export_against_a_tree_of_records() {
  const auto settings = settings_of(2'000);
  const auto records = records_of(100);
  boost::json::array tree;
  for (const outlay::Record& record : records) {
    boost::json::object object{{"model", record.model},
                               {"provider", record.provider},
                               {"startTimeUnixNano", std::to_string(record.started.time_since_epoch().count())},
                               {"timeUnixNano", std::to_string(record.ended.time_since_epoch().count())},
                               {"input", std::to_string(record.usage.input)},
                               {"output", std::to_string(record.usage.output)},
                               {"cost", std::to_string(record.usd.nanos())}};
    for (const auto& [key, value] : record.tags) object[key] = value;
    tree.push_back(std::move(object));
  }
  const outlay::detail::Span span{1'767'225'600'000'000'000, 1'767'229'200'000'000'000};
  std::vector<double> whole, zipped, floor;
  for (int round = 0; round < 7; ++round) {
    outlay::detail::Aggregate aggregate(settings);
    std::vector<std::string> bodies;
    const double taken = cpu_nanoseconds([&] {
      for (const outlay::Record& record : records) aggregate.add(record);
      bodies = encode(aggregate, settings, span, settings.max_request_bytes);
    });
    whole.push_back(taken);
    zipped.push_back(taken + cpu_nanoseconds([&] {
                       for (const std::string& body : bodies) benchmark::DoNotOptimize(outlay::detail::gzipped(body));
                     }));
    floor.push_back(cpu_nanoseconds([&] { benchmark::DoNotOptimize(boost::json::serialize(tree)); }));
  }
  print("100,000 records of 100 users, exported / Boost.JSON, an object a record", whole, floor, exported, "ns/record",
        2.0);
  print("the same with gzip", zipped, floor, exported, "ns/record", 2.0);
}

void make_calls(outlay::Ledger& ledger, int count = calls) {
  outlay::LedgerScope scope(ledger);
  outlay::Budget budget({.name = "bench", .usd = outlay::Usd::max()});
  outlay::Track track({{"feature", "search"}, {"user_id", "alice"}});
  for (int i = 0; i < count; ++i) {
    outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
    call.settle({.input = 1'000, .output = 1'000});
  }
}

/// The same number of calls in bursts that the sinks' queues have room for; the first one, which finds no memory yet, does not count.
double steady_calls(outlay::Ledger& ledger) {
  double cost = 0;
  constexpr int burst = 20'000;
  for (int made = -burst; made < calls; made += burst) {
    const double one = cpu_nanoseconds([&] { make_calls(ledger, burst); });
    if (made >= 0) cost += one;
    ledger.flush();
  }
  return cost;
}

/// A call on the thread that makes it, with sinks attached and without. Nobody listens at the exporter's address.
void call_with_sinks() {
  std::vector<double> with, without, bursts, both, steady;
  std::string dir = (std::filesystem::temp_directory_path() / "outlay-bench-XXXXXX").native();
  if (!::mkdtemp(dir.data())) return;
  for (int round = 0; round < 7; ++round) {
    outlay::Ledger plain, attached, roomy, loaded;
    without.push_back(cpu_nanoseconds([&] { make_calls(plain); }));
    const auto sink = outlay::otel_sink({.endpoint = "http://127.0.0.1:9", .tags = {"feature"}, .interval = 1h});
    attached.add_sink(sink);
    with.push_back(cpu_nanoseconds([&] { make_calls(attached); }));
    attached.remove_sink(sink);
    const auto second = outlay::otel_sink({.endpoint = "http://127.0.0.1:9", .tags = {"feature"}, .interval = 1h});
    roomy.add_sink(second, {.queue = calls});  // nothing is dropped: every call pays for its row
    bursts.push_back(cpu_nanoseconds([&] { make_calls(roomy); }));
    if (roomy.sink_stats(second).dropped != 0) std::printf("rows were dropped: the next row says nothing\n");
    roomy.remove_sink(second);
    const auto file = outlay::sqlite_sink({.path = dir + "/" + std::to_string(round) + ".db"});
    const auto third = outlay::otel_sink({.endpoint = "http://127.0.0.1:9", .tags = {"feature"}, .interval = 1h});
    steady.push_back(steady_calls(plain));
    loaded.add_sink(file);
    loaded.add_sink(third);
    both.push_back(steady_calls(loaded));
    if (loaded.sink_stats(file).dropped + loaded.sink_stats(third).dropped != 0)
      std::printf("rows were dropped: the last row says nothing\n");
    loaded.remove_sink(third);
    loaded.remove_sink(file);
  }
  std::filesystem::remove_all(dir);
  print("a call with the sink attached / without", with, without, calls, "ns/call  ", 1.5);
  print("the same with room for all rows", bursts, without, calls, "ns/call  ", 1.5);
  print("a call with this and an SQLite sink attached / without, in bursts", both, steady, calls, "ns/call  ", 1.5);
}

}  // namespace

int main() {
  outlay::set_log_handler([](outlay::LogLevel, std::string_view) {});
  export_against_boost_json("taken and encoded / Boost.JSON serialising the same tree",
                            "encoded / Boost.JSON serialising the same tree", exported);
  export_against_boost_json("taken and encoded / Boost.JSON serialising the same tree",
                            "encoded / Boost.JSON serialising the same tree", 100);
  export_against_a_tree_of_records();
  call_with_sinks();
}
