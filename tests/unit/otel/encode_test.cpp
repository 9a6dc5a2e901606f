#include "otel/encode.hpp"

#include <locale>
#include <set>

#include "otel_support.hpp"
#include "outlay/version.hpp"
#include "support/catch.hpp"
#include "support/comma_decimal.hpp"

using namespace test;
using outlay::Action;
using outlay::BudgetEvent;
using outlay::CostSource;
using outlay::Dimension;
using outlay::OtelConventions;
using outlay::OtelOptions;
using outlay::Record;
using outlay::RecordStatus;
using outlay::detail::Aggregate;
using outlay::detail::OtelSettings;

namespace {

constexpr outlay::detail::Span hour{1'767'225'600'000'000'000, 1'767'229'200'000'000'000};
constexpr const char* sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// One body, however large.
std::string encoded(const Aggregate& aggregate, const OtelSettings& settings) {
  const std::vector<std::string> bodies = encode(aggregate, settings, hour, std::size_t{64} << 20);
  REQUIRE(bodies.size() == 1);
  return bodies.front();
}

/// Calls of every kind, and events.
void fill(Aggregate& aggregate) {
  Record one = record();
  one.traceparent = sampled;
  one.tags = {{"feature", "chat"}, {"user_id", "alice"}};
  aggregate.add(one);
  one = record(3'000, 0, 1'234'567'890'123);
  one.usage.cache_read = 1'000;
  one.usage.cache_write = 24;
  one.ended = one.started + 10ms;
  one.tags = {{"feature", "chat"}};
  aggregate.add(one);
  one = record(50, 10, 0);
  one.status = RecordStatus::estimated;
  one.cost_source = CostSource::none;
  one.provider = "bedrock";
  one.requested_model = one.model = "a \"model\"\n";
  aggregate.add(one);
  one = record(10, 30, 7);
  one.status = RecordStatus::indeterminate;
  one.reason = "no more came in time";
  aggregate.add(one);
  one = record(0, 0, 0);
  one.status = RecordStatus::rejected;
  one.reason = "HTTP 429 rate_limit_exceeded";
  aggregate.add(one);
  one = record(8, 0, 1);
  one.model = one.requested_model = "text-embedding-3-small";
  one.tags = {{"gen_ai.operation.name", "embeddings"}};
  aggregate.add(one);

  BudgetEvent event;
  event.time = at(2s);
  event.action = Action::blocked;
  event.path = "run/answer";
  event.model = "gpt-4o-mini";
  event.dimension = Dimension::usd;
  event.tags = {{"feature", "chat"}};
  event.traceparent = sampled;
  aggregate.add(event);
  event.action = Action::threshold;
  event.traceparent.clear();
  event.cap = 1'000'000'000;
  event.projected = 800'000'001;
  event.threshold = 0.8;
  aggregate.add(event);
}

/// Compares a body with tests/data/otel/<name>, in which @VERSION@ stands for the library's.
void check_golden(const std::string& body, const std::string& name) {
  std::string golden = data_file(name);
  for (std::size_t at = golden.find("@VERSION@"); at != golden.npos; at = golden.find("@VERSION@"))
    golden.replace(at, 9, OUTLAY_VERSION_STRING);
  INFO("the body:\n" << body);
  CHECK(boost::json::parse(body) == boost::json::parse(golden));
}

}  // namespace

TEST_CASE("otel encode: the published metrics are those of the golden file", "[otel][encode]") {
  const OtelSettings settings = settings_for("http://127.0.0.1", {.tags = {"feature"}, .usage_cost = true});
  Aggregate aggregate(settings);
  fill(aggregate);
  check_golden(encoded(aggregate, settings), "published.json");
}

TEST_CASE("otel encode: the coming metrics are those of the golden file", "[otel][encode]") {
  const OtelSettings settings = settings_for("http://127.0.0.1", {.conventions = OtelConventions::coming});
  Aggregate aggregate(settings);
  fill(aggregate);
  Record spoken = record(40, 50, 3);
  spoken.usage.input_audio = 30;
  spoken.usage.output_audio = 20;
  spoken.usage.output_image = 5;
  spoken.usage.reasoning = 11;
  aggregate.add(spoken);
  check_golden(encoded(aggregate, settings), "coming.json");
}

TEST_CASE("otel encode: both generations together are those of each alone", "[otel][encode]") {
  std::set<std::string> names;
  const auto collect = [&](OtelConventions conventions) {
    const OtelSettings settings = settings_for("http://127.0.0.1", {.conventions = conventions});
    Aggregate aggregate(settings);
    fill(aggregate);
    std::set<std::string> found;
    const boost::json::value body = boost::json::parse(encoded(aggregate, settings));
    for (const auto& metric : body.at("resourceMetrics").at(0).at("scopeMetrics").at(0).at("metrics").as_array())
      found.insert(std::string(metric.at("name").as_string()));
    return found;
  };
  std::set<std::string> each = collect(OtelConventions::published);
  CHECK(each.contains("gen_ai.client.operation.duration"));
  const std::set<std::string> coming = collect(OtelConventions::coming);
  CHECK_FALSE(coming.contains("gen_ai.client.operation.duration"));
  each.insert(coming.begin(), coming.end());
  CHECK(collect(OtelConventions::both) == each);
}

TEST_CASE("otel encode: nothing recorded is no body", "[otel][encode]") {
  const OtelSettings settings = settings_for("http://127.0.0.1");
  CHECK(encode(Aggregate(settings), settings, hour, 1 << 20).empty());
}

TEST_CASE("otel encode: a bucket holds its upper bound and not its lower one", "[otel][encode]") {
  const OtelSettings settings = settings_for("http://127.0.0.1");
  Aggregate aggregate(settings);
  for (const std::int64_t tokens : {std::int64_t{1}, std::int64_t{2}, std::int64_t{4}, std::int64_t{5},
                                    std::int64_t{67'108'864}, std::int64_t{67'108'865}})
    aggregate.add(record(tokens, 0, 0));
  const std::vector<Point> found = points(encoded(aggregate, settings), "gen_ai.client.token.usage");
  REQUIRE(found.size() == 2);
  REQUIRE(found[0].attribute("gen_ai.token.type") == "input");
  const auto& buckets = found[0].json.at("bucketCounts").as_array();
  REQUIRE(buckets.size() == found[0].json.at("explicitBounds").as_array().size() + 1);
  CHECK(buckets[0] == "1");
  CHECK(buckets[1] == "2");  // 2 and 4
  CHECK(buckets[2] == "1");
  CHECK(buckets[13] == "1");
  CHECK(buckets[14] == "1");
  CHECK(found[0].integer("count") == 6);
}

TEST_CASE("otel encode: durations add up to the nanosecond", "[otel][encode]") {
  const OtelSettings settings = settings_for("http://127.0.0.1");
  Aggregate aggregate(settings);
  for (int i = 0; i < 1'000; ++i) {
    Record one = record();
    one.ended = one.started + 100ms;
    aggregate.add(one);
  }
  Record last = record();
  last.ended = last.started + std::chrono::nanoseconds(1);
  aggregate.add(last);
  CHECK(encoded(aggregate, settings).find(R"("sum":100.000000001,)") != std::string::npos);
}

TEST_CASE("otel encode: a call that ended before it began lasted no time", "[otel][encode]") {
  const OtelSettings settings = settings_for("http://127.0.0.1");
  Aggregate aggregate(settings);
  Record one = record();
  one.ended = one.started - 1h;
  aggregate.add(one);
  const std::vector<Point> found = points(encoded(aggregate, settings), "gen_ai.client.operation.duration");
  REQUIRE(found.size() == 1);
  CHECK(found[0].json.at("sum") == 0);
  CHECK(found[0].json.at("bucketCounts").at(0) == "1");
}

TEST_CASE("otel encode: a hundred thousand charges of 1,500 nano-dollars are exactly $0.15", "[otel][encode]") {
  const OtelSettings settings = settings_for("http://127.0.0.1", {.usage_cost = true});
  Aggregate aggregate(settings);
  const Record one = record(1, 0, 1'500);
  for (int i = 0; i < 100'000; ++i) aggregate.add(one);
  const std::string body = encoded(aggregate, settings);
  CHECK(total(body, "outlay.cost") == 150'000'000);
  CHECK(body.find(R"("asDouble":0.15})") != std::string::npos);
}

TEST_CASE("otel encode: the largest cost keeps its last nano-dollar", "[otel][encode]") {
  const OtelSettings settings = settings_for("http://127.0.0.1", {.usage_cost = true});
  Aggregate aggregate(settings);
  aggregate.add(record(1, 1, 9'223'372'036'854'775'807));
  aggregate.add(record(1, 1, 1));  // saturates rather than wraps: a counter never falls
  const std::string body = encoded(aggregate, settings);
  CHECK(body.find(R"("asInt":"9223372036854775807")") != std::string::npos);
  CHECK(body.find(R"("asDouble":9223372036.854775807)") != std::string::npos);
}

TEST_CASE("otel encode: a locale with a decimal comma changes nothing", "[otel][encode]") {
  const OtelSettings settings = settings_for("http://127.0.0.1", {.tags = {"feature"}, .usage_cost = true});
  Aggregate aggregate(settings);
  fill(aggregate);
  const std::string plain = encoded(aggregate, settings);
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new outlay_test::CommaDecimal));
  const std::string localized = encoded(aggregate, settings);
  std::locale::global(before);
  CHECK(localized == plain);
}

TEST_CASE("otel encode: bodies keep to their limit and lose no data point", "[otel][encode]") {
  OtelOptions options;
  options.tags = {"user_id"};
  options.max_values = 10'000;
  const OtelSettings settings = settings_for("http://127.0.0.1", options);
  Aggregate aggregate(settings);
  for (int i = 0; i < 700; ++i) {
    Record one = record(i + 1, 1, 1'000 + i);
    const std::string user = "user-" + std::to_string(i);
    one.tags.set("user_id", user);
    aggregate.add(one);
  }
  constexpr std::size_t limit = 20'000;
  const std::vector<std::string> bodies = encode(aggregate, settings, hour, limit);
  CHECK(bodies.size() > 10);
  std::int64_t cost = 0, calls = 0;
  std::set<std::pair<std::string, std::string>> seen;
  for (const std::string& body : bodies) {
    CHECK(body.size() <= limit);
    cost += total(body, "outlay.cost");
    for (const Point& point : points(body, "gen_ai.client.operation.duration")) calls += point.integer("count");
    for (const Point& point : points(body, "gen_ai.client.token.usage"))
      CHECK(seen.emplace(point.attribute("user_id"), point.attribute("gen_ai.token.type")).second);
  }
  CHECK(calls == 700);
  CHECK(seen.size() == 1'400);
  CHECK(cost == 700 * 1'000 + 700 * 699 / 2);
}

TEST_CASE("otel encode: only listed tags leave the process", "[otel][encode]") {
  const OtelSettings settings = settings_for("http://127.0.0.1", {.tags = {"feature"}});
  Aggregate aggregate(settings);
  Record one = record();
  one.tags = {{"feature", "chat"}, {"user_id", "alice"}};
  one.budgets = {"secret-budget"};
  aggregate.add(one);
  const std::string body = encoded(aggregate, settings);
  CHECK(body.find("chat") != std::string::npos);
  CHECK(body.find("alice") == std::string::npos);
  CHECK(body.find("user_id") == std::string::npos);
  CHECK(body.find("secret-budget") == std::string::npos);
}

TEST_CASE("otel aggregate: values of a tag beyond the bound are `other`", "[otel][aggregate]") {
  OtelOptions options;
  options.tags = {"user_id"};
  options.max_values = 3;
  const OtelSettings settings = settings_for("http://127.0.0.1", options);
  Aggregate aggregate(settings);
  for (int i = 0; i < 10; ++i) {
    Record one = record(1, 1, 1);
    const std::string user = std::to_string(i);
    one.tags.set("user_id", user);
    aggregate.add(one);
    aggregate.add(one);
  }
  const std::vector<Point> found = points(encoded(aggregate, settings), "outlay.cost");
  REQUIRE(found.size() == 4);
  CHECK(found[0].attribute("user_id") == "0");
  CHECK(found[2].attribute("user_id") == "2");
  CHECK(found[3].attribute("user_id") == "other");
  CHECK(found[3].integer("asInt") == 14);
  CHECK(aggregate.folded() == 14);
}

TEST_CASE("otel aggregate: sets of attributes beyond the bound are `other` in all of them, and the sums stay",
          "[otel][aggregate]") {
  OtelOptions options;
  options.tags = {"a", "b"};
  options.max_series = 5;
  const OtelSettings settings = settings_for("http://127.0.0.1", options);
  Aggregate aggregate(settings);
  for (int i = 0; i < 10; ++i)
    for (int j = 0; j < 10; ++j) {
      Record one = record(1, 1, 1);
      const std::string a = std::to_string(i), b = std::to_string(j);
      one.tags.set("a", a);
      if (j > 0) one.tags.set("b", b);
      aggregate.add(one);
    }
  const std::string body = encoded(aggregate, settings);
  const std::vector<Point> found = points(body, "outlay.cost");
  CHECK(found.size() == 7);  // with b and without it
  CHECK(found.back().attribute("gen_ai.request.model") == "other");
  CHECK(total(body, "outlay.cost") == 100);
  std::set<std::map<std::string, std::string>> sets;
  for (const Point& point : found) CHECK(sets.insert(point.attributes).second);
}

TEST_CASE("otel aggregate: budgets' paths beyond the bound are `other`", "[otel][aggregate]") {
  OtelOptions options;
  options.max_values = 20;
  const OtelSettings settings = settings_for("http://127.0.0.1", options);
  Aggregate aggregate(settings);
  for (int i = 0; i < 100; ++i) {
    BudgetEvent event;
    event.path = "request-" + std::to_string(i);
    aggregate.add(event);
  }
  const std::string body = encoded(aggregate, settings);
  CHECK(points(body, "outlay.budget.events").size() == 21);
  CHECK(total(body, "outlay.budget.events") == 100);
}

TEST_CASE("otel aggregate: text that is no UTF-8 is made so, and is one series", "[otel][aggregate]") {
  const OtelSettings settings = settings_for("http://127.0.0.1", {.tags = {"t"}});
  Aggregate aggregate(settings);
  for (const char* value : {"a\xFFz", "a\xFEz", "a\xC0\xAFz"}) {
    Record one = record();
    one.tags.set("t", value);
    aggregate.add(one);
  }
  Record fine = record();
  fine.tags.set("t", "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80");
  aggregate.add(fine);
  const std::vector<Point> found = points(encoded(aggregate, settings), "outlay.cost");
  REQUIRE(found.size() == 3);
  CHECK(found[0].attribute("t") == "a\xEF\xBF\xBDz");
  CHECK(found[0].integer("asInt") == 54'000);
  CHECK(found[1].attribute("t") == "a\xEF\xBF\xBD\xEF\xBF\xBDz");
  CHECK(found[2].attribute("t") == "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80");
}

TEST_CASE("otel aggregate: long text is cut at a whole character", "[otel][aggregate]") {
  std::string text(1'023, 'x');
  text += "\xC3\xBC";
  const std::string clean = outlay::detail::clean_text(text);
  CHECK(clean == std::string(1'023, 'x'));
}

TEST_CASE("otel aggregate: an exemplar is the latest sampled call of its bucket", "[otel][aggregate]") {
  const OtelSettings settings = settings_for("http://127.0.0.1");
  Aggregate aggregate(settings);
  Record one = record(100, 20, 5);
  one.traceparent = sampled;
  aggregate.add(one);
  one.traceparent = "00-11111111111111111111111111111111-2222222222222222-01";
  one.ended = at(5s);
  one.usage.input = 101;
  aggregate.add(one);
  one.traceparent = "00-33333333333333333333333333333333-4444444444444444-00";  // not sampled
  aggregate.add(one);
  const auto found = points(encoded(aggregate, settings), "gen_ai.client.token.usage");
  const auto& exemplars = found.at(0).json.at("exemplars").as_array();
  REQUIRE(exemplars.size() == 1);
  CHECK(exemplars[0] == boost::json::parse(R"({"timeUnixNano":"1767225605000000000","asInt":"101",
    "spanId":"2222222222222222","traceId":"11111111111111111111111111111111"})"));
}

TEST_CASE("otel aggregate: exemplars that were sent are forgotten, later ones are not", "[otel][aggregate]") {
  const OtelSettings settings = settings_for("http://127.0.0.1");
  Aggregate aggregate(settings);
  Record one = record();
  one.traceparent = sampled;
  aggregate.add(one);
  const std::uint64_t sent = aggregate.exemplar_order();
  one.model = "later";
  aggregate.add(one);
  aggregate.forget_exemplars(sent);
  const auto found = points(encoded(aggregate, settings), "outlay.cost");
  REQUIRE(found.size() == 2);
  CHECK_FALSE(found[0].json.contains("exemplars"));
  CHECK(found[1].json.contains("exemplars"));
}

TEST_CASE("otel aggregate: a malformed trace context leaves no exemplar", "[otel][aggregate]") {
  const OtelSettings settings = settings_for("http://127.0.0.1");
  for (const char* bad : {"", "00", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                          "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                          "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                          "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
                          "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
                          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-010"}) {
    Aggregate aggregate(settings);
    Record one = record();
    one.traceparent = bad;
    aggregate.add(one);
    INFO(bad);
    CHECK(encoded(aggregate, settings).find("exemplars") == std::string::npos);
  }
}

TEST_CASE("otel aggregate: always_on takes calls without a trace, always_off takes none", "[otel][aggregate]") {
  OtelSettings settings = settings_for("http://127.0.0.1");
  settings.exemplars = outlay::detail::ExemplarFilter::always_on;
  Aggregate on(settings);
  on.add(record());
  const auto found = points(encoded(on, settings), "outlay.cost");
  CHECK(found.at(0).json.at("exemplars") ==
        boost::json::parse(R"([{"timeUnixNano":"1767225601250000000","asInt":"27000"}])"));
  settings.exemplars = outlay::detail::ExemplarFilter::always_off;
  Aggregate off(settings);
  Record one = record();
  one.traceparent = sampled;
  off.add(one);
  CHECK(encoded(off, settings).find("exemplars") == std::string::npos);
}

TEST_CASE("otel aggregate: the remaining amount is that of the latest threshold", "[otel][aggregate]") {
  const OtelSettings settings = settings_for("http://127.0.0.1");
  Aggregate aggregate(settings);
  BudgetEvent event;
  event.action = Action::threshold;
  event.path = "run";
  event.dimension = Dimension::tokens;
  event.cap = 1'000;
  event.projected = 900;
  event.time = at(9s);
  aggregate.add(event);
  event.projected = 500;
  event.time = at(5s);  // of another thread, come late
  aggregate.add(event);
  event.action = Action::blocked;  // does not tell what was spent
  event.projected = 1'500;
  event.time = at(20s);
  aggregate.add(event);
  const auto found = points(encoded(aggregate, settings), "outlay.budget.remaining");
  REQUIRE(found.size() == 1);
  CHECK(found[0].integer("asInt") == 100);
  CHECK(found[0].integer("timeUnixNano") == at(9s).time_since_epoch().count());
}

TEST_CASE("otel aggregate: providers have the conventions' names", "[otel][aggregate]") {
  using outlay::detail::provider_name;
  CHECK(provider_name("openai") == "openai");
  CHECK(provider_name("azure") == "azure.ai.openai");
  CHECK(provider_name("bedrock") == "aws.bedrock");
  CHECK(provider_name("gemini") == "gcp.gemini");
  CHECK(provider_name("vertex_ai") == "gcp.vertex_ai");
  CHECK(provider_name("mistral") == "mistral_ai");
  CHECK(provider_name("xai") == "x_ai");
  CHECK(provider_name("openrouter") == "openrouter");
  CHECK(provider_name("") == "unknown");
}

TEST_CASE("otel aggregate: an error's type is its HTTP status or _OTHER", "[otel][aggregate]") {
  const auto of = [](RecordStatus status, const char* reason) {
    Record one = record();
    one.status = status;
    one.reason = reason;
    return std::string(outlay::detail::error_type(one));
  };
  CHECK(of(RecordStatus::settled, "HTTP 400").empty());
  CHECK(of(RecordStatus::rejected, "HTTP 429 rate_limit_exceeded") == "429");
  CHECK(of(RecordStatus::indeterminate, "HTTP 500") == "500");
  CHECK(of(RecordStatus::indeterminate, "HTTP 5000") == "_OTHER");
  CHECK(of(RecordStatus::indeterminate, "") == "_OTHER");
}
