#include <algorithm>
#include <atomic>
#include <filesystem>
#include <set>

#include "otel_support.hpp"
#include "outlay/testing/prices.hpp"
#include "outlay/version.hpp"
#include "support/catch.hpp"
#include "support/forked.hpp"

using namespace test;
using outlay::OtelOptions;
using outlay::OtelSink;
using outlay::OtelStats;
using outlay::Record;
using outlay::detail::make_otel_sink;

namespace {

std::shared_ptr<OtelSink> sink_for(const std::string& endpoint, const OtelOptions& options = {}) {
  return make_otel_sink(settings_for(endpoint, options));
}

/// The cost that the last of the requests told.
std::int64_t last_cost(const FaultServer& server) {
  const std::vector<std::string> requests = server.requests();
  return requests.empty() ? -1 : total(body_of(requests.back()), "outlay.cost");
}

std::chrono::milliseconds time_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
}

/// Answers with these, in turn, and then with 200.
FaultServer::Script in_turn(std::vector<std::string> replies) {
  return [replies = std::move(replies)](std::size_t number, std::string_view) {
    return number < replies.size() ? Plan{.bytes = replies[number]} : ok();
  };
}

/// A file that is gone afterwards.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content)
      : path_((std::filesystem::temp_directory_path() / ("outlay-otel-" + std::to_string(::getpid()) + ".pem"))
                  .string()) {
    std::ofstream(path_) << content;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove(path_); }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}  // namespace

TEST_CASE("otel sink: what a ledger booked arrives at the collector", "[otel][sink]") {
  const Environment none;
  FaultServer server([](std::size_t, std::string_view) { return ok(); });
  const std::string collector = server.url();
  outlay::Ledger ledger({.prices = outlay::testing::fixture_prices()});
  outlay::LedgerScope scope(ledger);
  //! [otel_sink]
  ledger.add_sink(outlay::otel_sink({.endpoint = collector, .tags = {"feature"}, .service_name = "shop"}));
  {
    outlay::Budget budget({.name = "demo", .calls = 2});
    outlay::Track track({{"feature", "search"}, {"user_id", "alice"}});
    for (int i = 0; i < 2; ++i) {
      outlay::Call call({.model = "gpt-4o-mini", .input_tokens = 100, .max_output_tokens = 50});
      call.settle({.input = 100, .output = 20});
    }
    (void)outlay::try_call({.model = "gpt-4o-mini", .input_tokens = 100});  // does not fit any more
  }
  ledger.flush();  // the collector has it, or stats() tells that it has not
  //! [otel_sink]
  REQUIRE(server.requests().size() == 1);
  const std::string body = body_of(server.requests().front());
  CHECK(total(body, "outlay.cost") == ledger.report().total().usd.nanos());
  CHECK(points(body, "outlay.cost").at(0).attribute("feature") == "search");
  CHECK(points(body, "outlay.budget.events").at(0).attribute("outlay.action") == "blocked");
  CHECK(points(body, "outlay.budget.events").at(0).attribute("gen_ai.provider.name") == "openai");
  CHECK(body.find("alice") == std::string::npos);
  CHECK(body.find(R"({"key":"service.name","value":{"stringValue":"shop"}})") != std::string::npos);
}

TEST_CASE("otel sink: a child of a fork exports by a sink of its own, and leaves alone the one that it has inherited",
          "[otel][sink]") {
  NEEDS_FORK();
  const Environment none;
  FaultServer server([](std::size_t, std::string_view) { return ok(); });
  static std::shared_ptr<outlay::OtelSink> inherited;  // destroyed by exit() in the child
  inherited = sink_for(server.url());
  inherited->write(record(1, 1, 1));
  outlay_test::ForkedChild child([&] {
    inherited->write(record(1, 1, 1));
    inherited->flush(soon());
    if (inherited->stats().requests != 0) return 1;
    inherited->close();
    const auto own = outlay::otel_sink({.endpoint = server.url()});
    own->write(record(2, 2, 2));
    own->flush(soon());
    return own->stats().exports == 1 ? 0 : 2;
  });
  CHECK(child.wait() == 0);
  inherited->flush(soon());
  CHECK(inherited->stats().exports == 1);
  REQUIRE(server.requests().size() == 2);
  CHECK(points(body_of(server.requests()[1]), "outlay.cost").size() == 1);
  inherited.reset();
}

TEST_CASE("otel sink: a request has the head that OTLP asks for", "[otel][sink]") {
  FaultServer server([](std::size_t, std::string_view) { return ok(); });
  const auto sink = sink_for(server.url() + "/base", {.headers = {{"api-key", "hunter2"}}});
  sink->write(record());
  sink->flush(soon());
  REQUIRE(server.requests().size() == 1);
  const std::string head = head_of(server.requests().front());
  CHECK(head.starts_with("POST /base/v1/metrics HTTP/1.1\r\n"));
  for (const std::string& line :
       {"Host: 127.0.0.1:" + std::to_string(server.port()), std::string("Content-Type: application/json"),
        std::string("Content-Encoding: gzip"), std::string("Accept: application/json"), std::string("api-key: hunter2"),
        std::string("User-Agent: outlay/" OUTLAY_VERSION_STRING " OTel-OTLP-Exporter-Cpp/" OUTLAY_VERSION_STRING)})
    CHECK(head.find("\r\n" + line + "\r\n") != std::string::npos);
}

TEST_CASE("otel sink: without gzip the body is the plain one, with it the same one", "[otel][sink]") {
  std::vector<std::string> bodies;
  for (const bool gzip : {true, false}) {
    FaultServer server([](std::size_t, std::string_view) { return ok(); });
    const auto sink = sink_for(server.url(), {.gzip = gzip});
    for (int i = 0; i < 50; ++i) sink->write(record(i, i, i));
    sink->flush(soon());
    REQUIRE(server.requests().size() == 1);
    CHECK((head_of(server.requests()[0]).find("Content-Encoding") != std::string::npos) == gzip);
    bodies.push_back(body_of(server.requests()[0]));
  }
  CHECK(bodies[0] == bodies[1]);
  CHECK(total(bodies[0], "outlay.cost") == 49 * 50 / 2);
}

TEST_CASE("otel sink: flush sends nothing where nothing has come since the last export", "[otel][sink]") {
  FaultServer server([](std::size_t, std::string_view) { return ok(); });
  const auto sink = sink_for(server.url());
  sink->flush(soon());
  CHECK(server.requests().empty());
  sink->write(record());
  sink->flush(soon());
  sink->flush(soon());
  CHECK(server.requests().size() == 1);
  CHECK(sink->stats().exports == 1);
}

TEST_CASE("otel sink: sums are cumulative, from one start, over rising instants", "[otel][sink]") {
  FaultServer server([](std::size_t, std::string_view) { return ok(); });
  const auto clock = std::make_shared<outlay::testing::ManualClock>();
  const auto sink = sink_for(server.url(), {.clock = clock});
  for (int i = 0; i < 3; ++i) {
    sink->write(record(1, 1, 10));
    if (i == 1) clock->advance(1min);  // and stands still, and is set back
    if (i == 2) clock->advance(-2h);
    sink->flush(soon());
  }
  const std::vector<std::string> requests = server.requests();
  REQUIRE(requests.size() == 3);
  std::int64_t before = at(0s).time_since_epoch().count();
  for (std::size_t i = 0; i < 3; ++i) {
    const Point point = points(body_of(requests[i]), "outlay.cost").at(0);
    CHECK(point.integer("asInt") == static_cast<std::int64_t>(10 * (i + 1)));
    CHECK(point.integer("startTimeUnixNano") == at(0s).time_since_epoch().count());
    CHECK(point.integer("timeUnixNano") > before);
    before = point.integer("timeUnixNano");
  }
}

TEST_CASE("otel sink: one connection carries all exports", "[otel][sink]") {
  FaultServer server([](std::size_t, std::string_view) { return ok(); });
  const auto sink = sink_for(server.url());
  for (int i = 0; i < 5; ++i) {
    sink->write(record());
    sink->flush(soon());
  }
  CHECK(server.requests().size() == 5);
  CHECK(server.connections() == 1);
}

TEST_CASE("otel sink: a kept connection that the collector closed costs no export", "[otel][sink]") {
  FaultServer server([](std::size_t number, std::string_view) {
    // It breaks when the second request is there: what a collector does that gives up idle connections.
    return number == 1 ? Plan{.then = Plan::Then::reset} : ok();
  });
  const auto sink = sink_for(server.url());
  for (int i = 0; i < 2; ++i) {
    sink->write(record(1, 1, 10));
    sink->flush(soon());
  }
  CHECK(sink->stats().exports == 2);
  CHECK(sink->stats().failed_exports == 0);
  CHECK(sink->stats().retries == 0);
  CHECK(last_cost(server) == 20);
  CHECK(server.connections() == 2);
}

TEST_CASE("otel sink: exports happen at each interval, without a flush", "[otel][sink]") {
  FaultServer server([](std::size_t, std::string_view) { return ok(); });
  const auto sink = sink_for(server.url(), {.interval = 5ms});
  sink->write(record());
  CHECK(poll_until([&] { return server.requests().size() >= 3; }));
}

TEST_CASE("otel sink: exemplars are sent once", "[otel][sink]") {
  FaultServer server(in_turn({http_reply(400, "{}")}));
  const auto sink = sink_for(server.url());
  Record one = record();
  one.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  sink->write(one);
  for (int i = 0; i < 2; ++i) {
    sink->flush(soon());  // the first one fails, so the second carries them
  }
  sink->write(record());
  sink->flush(soon());
  const std::vector<std::string> requests = server.requests();
  REQUIRE(requests.size() == 3);
  CHECK(body_of(requests[1]).find("0af7651916cd43dd8448eb211c80319c") != std::string::npos);
  CHECK(body_of(requests[2]).find("exemplars") == std::string::npos);
}

TEST_CASE("otel faults: where nobody listens a flush costs a refused connect, and the sums are kept",
          "[otel][faults]") {
  const Log log;
  const std::uint16_t port = closed_port();
  const auto clock = std::make_shared<outlay::testing::ManualClock>();
  const auto sink = sink_for("http://127.0.0.1:" + std::to_string(port), {.clock = clock});
  for (int i = 0; i < 60; ++i) {  // an hour
    sink->write(record(1, 1, 10));
    clock->advance(1min);
    CHECK(time_of([&] { sink->flush(soon()); }) < 1s);
  }
  CHECK(sink->stats().failed_exports == 60);
  CHECK(sink->stats().exports == 0);
  CHECK(log.count("warning: otel sink: the collector at http://127.0.0.1:" + std::to_string(port) +
                  ": connecting: Connection refused") == 1);
  CHECK(log.lines().size() == 1);

  FaultServer server([](std::size_t, std::string_view) { return ok(); }, {.port = port});  // it comes back
  sink->write(record(1, 1, 10));
  clock->advance(1min);
  sink->flush(soon());
  REQUIRE(server.requests().size() == 1);
  const Point cost = points(body_of(server.requests()[0]), "outlay.cost").at(0);
  CHECK(cost.integer("asInt") == 610);
  CHECK(cost.integer("startTimeUnixNano") == at(0s).time_since_epoch().count());
  CHECK(cost.integer("timeUnixNano") == at(61min).time_since_epoch().count());
  CHECK(points(body_of(server.requests()[0]), "gen_ai.client.operation.duration").at(0).integer("count") == 61);
  CHECK(sink->stats().exports == 1);
  CHECK(log.count("info: otel sink: the collector at http://127.0.0.1:" + std::to_string(port) +
                  ": exports succeed again, after 60 that failed") == 1);
}

TEST_CASE("otel faults: a stalled collector holds a flush until its deadline, and close no longer", "[otel][faults]") {
  FaultServer server([](std::size_t, std::string_view) { return Plan{.then = Plan::Then::stall}; });
  const auto sink = sink_for(server.url());
  sink->write(record());
  const auto flushed = time_of([&] { sink->flush(soon(300ms)); });
  CHECK(flushed >= 200ms);
  CHECK(flushed <= 300ms);
  CHECK(time_of([&] { sink->write(record()); }) < 100ms);  // not held up either
  sink->flush(soon(50ms));
  CHECK(time_of([&] { sink->close(); }) < 1s);
}

TEST_CASE("otel faults: a ledger's flush is not extended by a stalled collector", "[otel][faults]") {
  FaultServer server([](std::size_t, std::string_view) { return Plan{.then = Plan::Then::stall}; });
  const Log log;
  const auto sink = sink_for(server.url(), {.timeout = 400ms});
  {
    outlay::Ledger ledger({.prices = outlay::testing::fixture_prices()});
    outlay::LedgerScope scope(ledger);
    ledger.add_sink(sink);
    outlay::Call call({.model = "gpt-4o", .input_tokens = 1, .max_output_tokens = 1});
    call.settle({.input = 1, .output = 1});
    CHECK(time_of([&] { ledger.flush(300ms); }) < 600ms);
    CHECK(time_of([&] { CHECK(ledger.remove_sink(sink)); }) < 6s);
    CHECK(log.count("did not end in time") == 0);
  }
}

TEST_CASE("otel faults: a stalled collector holds one flush, and no other until it answers", "[otel][faults]") {
  std::atomic<bool> stalls{true};
  FaultServer server([&](std::size_t, std::string_view) { return stalls ? Plan{.then = Plan::Then::stall} : ok(); });
  const auto sink = sink_for(server.url(), {.timeout = 1s});
  sink->write(record());
  sink->flush(soon(50ms));
  CHECK(time_of([&] { sink->flush(soon(60s)); }) < 500ms);
  stalls = false;
  // The export that stalls ends, by and by a flush starts one that succeeds, and then a flush waits for its own again.
  CHECK(poll_until([&] {
    sink->flush(soon());
    return sink->stats().exports != 0;
  }));
  sink->write(record());
  sink->flush(soon());
  CHECK(last_cost(server) == 2 * 27'000);
}

TEST_CASE("otel faults: a request that is refused for good is not sent again", "[otel][faults]") {
  for (const int status : {400, 401, 403, 404, 408, 500, 501, 301}) {
    const Log log;
    FaultServer server(
        in_turn({http_reply(status, R"({"code":3,"message":"no such thing"})", "Location: http://elsewhere/\r\n")}));
    const auto sink = sink_for(server.url());
    sink->write(record());
    sink->flush(soon());
    CHECK(server.requests().size() == 1);
    const OtelStats stats = sink->stats();
    CHECK(stats.failed_exports == 1);
    CHECK(stats.retries == 0);
    CHECK(log.count("HTTP " + std::to_string(status) + ": no such thing") == 1);
    sink->flush(soon());  // the next export carries the same sums
    CHECK(last_cost(server) == 27'000);
    CHECK(sink->stats().exports == 1);
  }
}

TEST_CASE("otel faults: keys never reach the log, not even by way of the collector", "[otel][faults]") {
  const Log log;
  FaultServer server(
      in_turn({http_reply(401, R"({"message":"the token sk-hunter2 of \"Bearer sk-hunter2\" is bad\u0007"})")}));
  const auto sink = sink_for(server.url() + "/secret-path", {.headers = {{"Authorization", "Bearer sk-hunter2"}}});
  sink->write(record());
  sink->flush(soon());
  REQUIRE(log.lines().size() == 1);
  CHECK(log.count("HTTP 401: the token *** of") == 1);
  CHECK(log.count("hunter2") == 0);
  CHECK(log.count("secret-path") == 0);
  CHECK(log.count("\a") == 0);
}

TEST_CASE("otel faults: a collector that is busy is asked again until it takes it", "[otel][faults]") {
  for (const int status : {429, 502, 503, 504}) {
    FaultServer server(
        in_turn({http_reply(status, ""), http_reply(status, "busy", "Retry-After: 0\r\n"), http_reply(status, "")}));
    const auto sink = sink_for(server.url());
    sink->write(record());
    sink->flush(soon());
    const OtelStats stats = sink->stats();
    CHECK(stats.requests == 4);
    CHECK(stats.retries == 3);
    CHECK(stats.exports == 1);
    CHECK(stats.failed_exports == 0);
  }
}

TEST_CASE("otel faults: Retry-After is honoured, by later exports too", "[otel][faults]") {
  FaultServer server(in_turn({http_reply(429, "", "Retry-After: 3600\r\n")}));
  const auto sink = sink_for(server.url());
  sink->write(record());
  CHECK(time_of([&] { sink->flush(soon()); }) < 2s);
  for (int i = 0; i < 3; ++i) {
    sink->write(record());
    sink->flush(soon());
  }
  CHECK(server.requests().size() == 1);
  CHECK(sink->stats().failed_exports == 4);
  CHECK(time_of([&] { sink->close(); }) < 1s);
  CHECK(server.requests().size() == 1);
}

TEST_CASE("otel faults: retries end with the time for an export", "[otel][faults]") {
  FaultServer server([](std::size_t, std::string_view) { return Plan{.bytes = http_reply(503, "")}; });
  const auto sink = sink_for(server.url(), {.timeout = 100ms});
  sink->write(record());
  CHECK(time_of([&] { sink->flush(soon()); }) < 2s);
  const OtelStats stats = sink->stats();
  CHECK(stats.failed_exports == 1);
  CHECK(stats.retries > 1);
  CHECK(stats.requests == stats.retries + 1);
}

TEST_CASE("otel faults: a connection that breaks before an answer is tried again", "[otel][faults]") {
  FaultServer server([](std::size_t number, std::string_view) {
    if (number == 0) return Plan{.then = Plan::Then::reset};
    if (number == 1) return Plan{.bytes = http_reply(200, "{}"), .stop_at = 20, .then = Plan::Then::close};
    return ok();
  });
  const auto sink = sink_for(server.url());
  sink->write(record());
  sink->flush(soon());
  CHECK(server.requests().size() == 3);
  CHECK(sink->stats().exports == 1);
}

TEST_CASE("otel faults: after 413 the requests are made smaller, and every data point arrives", "[otel][faults]") {
  OtelOptions options;
  options.tags = {"user_id"};
  options.max_values = 1'000;
  options.gzip = false;
  std::atomic<int> refused = 0;
  FaultServer server([&](std::size_t, std::string_view request) {
    if (request.size() <= 100'000) return ok();
    ++refused;
    return Plan{.bytes = http_reply(413, "")};
  });
  const auto sink = sink_for(server.url(), options);
  for (int i = 0; i < 500; ++i) {
    Record one = record(1, 1, 1);
    const std::string user = std::to_string(i);
    one.tags.set("user_id", user);
    sink->write(one);
  }
  sink->flush(soon());
  CHECK(sink->stats().exports == 1);
  CHECK(refused > 0);
  std::map<std::string, std::int64_t> by_user;
  for (const std::string& request : server.requests()) {
    if (request.size() > 100'000) continue;
    for (const Point& point : points(body_of(request), "outlay.cost"))
      by_user[point.attribute("user_id")] = point.integer("asInt");
  }
  CHECK(by_user.size() == 500);

  const int before = refused;  // it has learnt
  sink->write(record());
  sink->flush(soon());
  CHECK(refused == before);
}

TEST_CASE("otel faults: a collector that takes nothing at all is given up", "[otel][faults]") {
  const Log log;
  FaultServer server([](std::size_t, std::string_view) { return Plan{.bytes = http_reply(413, "")}; });
  const auto sink = sink_for(server.url());
  sink->write(record());
  sink->flush(soon());
  CHECK(server.requests().size() < 20);
  CHECK(sink->stats().failed_exports == 1);
  CHECK(log.count("HTTP 413") == 1);
}

TEST_CASE("otel faults: partial success is counted, said and not sent again", "[otel][faults]") {
  const Log log;
  FaultServer server(
      in_turn({http_reply(200, R"({"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"too old"}})"),
               http_reply(200, R"({"partialSuccess":{"rejectedDataPoints":2}})"),
               http_reply(200, R"({"partialSuccess":{"errorMessage":"use less"}})"),
               http_reply(200, R"({"partialSuccess":{}})"), http_reply(200, "")}));
  const auto sink = sink_for(server.url());
  for (int i = 0; i < 5; ++i) {
    sink->write(record());
    sink->flush(soon());
  }
  CHECK(server.requests().size() == 5);
  const OtelStats stats = sink->stats();
  CHECK(stats.rejected_points == 5);
  CHECK(stats.exports == 5);
  CHECK(stats.retries == 0);
  CHECK(log.count("it refused 3 data points: too old") == 1);
  CHECK(log.lines().size() == 1);  // the same kind of trouble, until an export is without
}

TEST_CASE("otel faults: what is no answer of OTLP's fails the export, and no more", "[otel][faults]") {
  std::string deep = R"({"partialSuccess":)";
  for (int i = 0; i < 100; ++i) deep += "[";
  const std::vector<std::string> garbage{"this is not HTTP\r\n\r\n",
                                         http_reply(200, "<html>Welcome to the hotel's network</html>"),
                                         http_reply(200, "[1,2"),
                                         http_reply(200, "[]"),
                                         http_reply(200, deep),
                                         http_reply(200, std::string((std::size_t{4} << 20) + 1, ' ')),
                                         http_reply(200, "\x1f\x8b", "Content-Encoding: gzip\r\n"),
                                         "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
                                         "HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n"};
  for (const std::string& bytes : garbage) {
    FaultServer server([&](std::size_t number, std::string_view) {
      return number == 0 ? Plan{.bytes = bytes, .then = Plan::Then::close} : ok();
    });
    const Log log;
    const auto sink = sink_for(server.url());
    sink->write(record());
    sink->flush(soon());
    INFO(bytes.substr(0, 60));
    CHECK(sink->stats().failed_exports == 1);
    CHECK(server.requests().size() == 1);
    CHECK(log.lines().size() == 1);
    sink->flush(soon());
    CHECK(sink->stats().exports == 1);
    CHECK(last_cost(server) == 27'000);
  }
}

TEST_CASE("otel faults: odd but readable answers are taken", "[otel][faults]") {
  for (const char* body :
       {"", " \r\n", "{}", R"({"partialSuccess":null})", R"({"partialSuccess":{"rejectedDataPoints":"x"}})",
        R"({"partialSuccess":{"rejectedDataPoints":"-7"}})", R"({"somethingNew":[1]})"}) {
    FaultServer server(in_turn({http_reply(202, body)}));
    const auto sink = sink_for(server.url());
    sink->write(record());
    sink->flush(soon());
    INFO(body);
    CHECK(sink->stats().exports == 1);
    CHECK(sink->stats().rejected_points == 0);
  }
}

TEST_CASE("otel sink: TLS with the collector's certificate trusted", "[otel][tls]") {
  FaultServer server([](std::size_t, std::string_view) { return ok(); }, FaultServer::Options{.tls = true});
  const TemporaryFile ca(server.certificate());
  const auto sink = sink_for(server.url(), {.ca_file = ca.path()});
  sink->write(record());
  sink->flush(soon());
  CHECK(sink->stats().exports == 1);
  CHECK(last_cost(server) == 27'000);
}

TEST_CASE("otel sink: nothing is sent to a collector whose certificate nobody vouches for", "[otel][tls]") {
  const Log log;
  FaultServer server([](std::size_t, std::string_view) { return ok(); }, FaultServer::Options{.tls = true});
  const auto sink = sink_for(server.url(), {.timeout = 5s});
  sink->write(record());
  sink->flush(soon());
  CHECK(server.requests().empty());
  CHECK(sink->stats().failed_exports == 1);
  CHECK(log.count("the certificate was not accepted") == 1);
}

TEST_CASE("otel sink: nothing is sent to a collector with another's certificate", "[otel][tls]") {
  FaultServer server([](std::size_t, std::string_view) { return ok(); },
                     FaultServer::Options{.tls = true, .certificate_host = "elsewhere.example"});
  const TemporaryFile ca(server.certificate());
  const auto sink = sink_for(server.url(), {.timeout = 5s, .ca_file = ca.path()});
  sink->write(record());
  sink->flush(soon());
  CHECK(server.requests().empty());
  CHECK(sink->stats().failed_exports == 1);
}

TEST_CASE("otel sink: close exports what no export has tried to send", "[otel][sink]") {
  FaultServer server([](std::size_t, std::string_view) { return ok(); });
  const auto sink = sink_for(server.url());
  sink->write(record());
  sink->close();
  CHECK(last_cost(server) == 27'000);
  sink->close();
  sink->write(record());  // too late, and no harm
  sink->flush(soon());
  CHECK(server.requests().size() == 1);
}

TEST_CASE("otel sink: close does not try again what a flush has tried in vain", "[otel][sink]") {
  FaultServer server([](std::size_t, std::string_view) { return Plan{.bytes = http_reply(400, "")}; });
  const auto sink = sink_for(server.url());
  sink->write(record());
  sink->flush(soon());
  sink->close();
  CHECK(server.requests().size() == 1);
}

TEST_CASE("otel sink: one that was never closed exports when it ends", "[otel][sink]") {
  FaultServer server([](std::size_t, std::string_view) { return ok(); });
  sink_for(server.url())->write(record());
  CHECK(last_cost(server) == 27'000);
}

TEST_CASE("otel sink: OTEL_SDK_DISABLED makes it do nothing", "[otel][sink]") {
  FaultServer server([](std::size_t, std::string_view) { return ok(); });
  const Environment disabled(Variables{{"OTEL_SDK_DISABLED", "TRUE"}});
  const auto sink = outlay::otel_sink({.endpoint = server.url()});
  sink->write(record());
  sink->event({});
  sink->flush(soon());
  sink->close();
  CHECK(server.connections() == 0);
  CHECK(sink->stats().exports == 0);
}

TEST_CASE("otel sink: records and flushes from several threads lose nothing", "[otel][sink]") {
  FaultServer server([](std::size_t, std::string_view) { return ok(); });
  outlay::Ledger ledger({.prices = outlay::testing::fixture_prices()});
  const auto sink = sink_for(server.url(), {.tags = {"thread"}});
  ledger.add_sink(sink);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&ledger, t] {
      outlay::LedgerScope scope(ledger);
      const std::string name = std::to_string(t);
      outlay::Track track({{"thread", name}});
      for (int i = 0; i < 250; ++i) {
        outlay::Call call({.model = "unit", .input_tokens = 10, .max_output_tokens = 10});
        call.settle({.input = 7, .output = 3});
        if (i % 100 == 0) ledger.flush();
      }
    });
  for (std::thread& thread : threads) thread.join();
  ledger.flush();
  const std::string body = body_of(server.requests().back());
  CHECK(total(body, "outlay.cost") == 1'000 * 10 * 1'000);
  CHECK(points(body, "outlay.cost").size() == 4);
}
