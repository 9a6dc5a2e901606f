#include <atomic>
#include <boost/json.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gateway_support.hpp"
#include "outlay/outlay.hpp"
#include "outlay/testing.hpp"
#include "support/catch.hpp"

namespace json = boost::json;
using namespace test;

namespace {

const std::string admin = "Authorization: Bearer admin-token\r\n";

outlay::GatewayOptions with_admin() {
  outlay::GatewayOptions options;
  options.admin_sha256 = outlay::hash_of_key("admin-token");
  return options;
}

std::vector<outlay::Rule> two_calls_a_user() { return {{.match = {"user", "*"}, .usd = 5_usd, .calls = 2}}; }

/// A gateway whose users have two calls a day each, and what is done to it.
struct Operated {
  explicit Operated(std::vector<outlay::Rule> rules = two_calls_a_user())
      : gateway(upstream.url(), std::nullopt, with_admin(), std::move(rules)) {}

  int chat(const std::string& user) {
    return ask(gateway, post("/v1/chat/completions", chat_text(), "x-outlay-tag-user: " + user + "\r\n")).status;
  }
  WireReply change(const std::string& verb, const std::string& body) {
    return ask(gateway, post("/outlay/caps/" + verb, body, admin));
  }
  json::array caps() { return json::parse(ask(gateway, get("/outlay/caps", admin)).body).at("caps").as_array(); }

  FaultServer upstream = chat_upstream();
  RunningGateway gateway;
};

std::string of_alice(const std::string& more) {
  return R"({"name":"user:alice","by":"carol","reason":"launch day",)" + more + "}";
}

}  // namespace

TEST_CASE("gateway: the caps that calls count in are listed, with what is left", "[gateway][operate]") {
  Operated operated;
  CHECK(operated.caps().empty());
  CHECK(operated.chat("alice") == 200);
  CHECK(operated.chat("bob") == 200);
  CHECK(operated.chat("bob") == 200);
  const json::array caps = operated.caps();
  REQUIRE(caps.size() == 2);
  CHECK(
      json::serialize(caps[0]) ==
      R"({"name":"user:alice","window":"day@UTC","usd":{"cap":"5.00","spent":"0.0001","reserved":"0.00","remaining":"4.9999"},)"
      R"("calls":{"cap":2,"spent":1,"reserved":0,"remaining":1}})");
  CHECK(caps[1].at("calls").at("remaining") == 0);
  const std::string metrics = ask(operated.gateway, get("/outlay/metrics", admin)).body;
  for (const char* line : {"outlay_cap{budget=\"user:alice\",window=\"day@UTC\",of=\"usd\"} 5.00\n",
                           "outlay_cap_remaining{budget=\"user:alice\",window=\"day@UTC\",of=\"usd\"} 4.9999\n",
                           "outlay_cap_remaining{budget=\"user:bob\",window=\"day@UTC\",of=\"calls\"} 0\n",
                           "# TYPE outlay_added_seconds histogram\n", "outlay_added_seconds_bucket{le=\"+Inf\"} 3\n",
                           "outlay_added_seconds_count 3\n"})
    CHECK_THAT(metrics, ContainsSubstring(line));
}

TEST_CASE("gateway: a lease that a probe or an operator's look finds to have run out is recorded with the rest",
          "[gateway][operate]") {
  // A server whose memory is ours.
  struct Far final : outlay::StoreBackend {
    explicit Far(std::shared_ptr<outlay::StoreBackend> to_memory) : memory(std::move(to_memory)) {}
    std::vector<outlay::Result<outlay::StoreReply>> execute(std::span<const outlay::StoreCommand> commands,
                                                            std::chrono::milliseconds timeout) override {
      return memory->execute(commands, timeout);
    }
    [[nodiscard]] Distance distance() const noexcept override { return Distance::remote; }
    [[nodiscard]] std::string description() const override { return "a server"; }
    std::shared_ptr<outlay::StoreBackend> memory;
  };
  for (const char* path : {"/outlay/ready", "/outlay/caps"}) {
    const std::shared_ptr<outlay::StoreBackend> memory = outlay::memory_backend();
    // Of a process that has died: without a sign of life for an hour.
    outlay::StoreCommand reserve;
    reserve.op = outlay::StoreCommand::Op::reserve;
    reserve.id = std::string(32, 'a');
    reserve.amount = {.usd = 3_usd};
    reserve.lease = std::chrono::minutes(5);
    reserve.now = std::chrono::system_clock::now() - std::chrono::hours(1);
    outlay::StoreCounter counter;
    counter.name = "user:alice";
    counter.window = outlay::Window::forever().id();
    counter.end = outlay::Time::max();
    reserve.counters = {counter};
    REQUIRE(memory->execute({&reserve, 1}, std::chrono::seconds(1)).front());
    Operated operated(
        {{.match = {"user", "*"},
          .usd = 5_usd,
          .store = std::make_shared<outlay::Store>(
              std::make_unique<Far>(memory), outlay::StoreOptions{.on_unreachable = outlay::OnUnreachable::deny()})}});
    CHECK(ask(operated.gateway, get(path, admin)).status == 200);
    const std::vector<outlay::BudgetEvent> events = operated.gateway.ledger().events();
    REQUIRE(events.size() == 1);
    CHECK(events[0].action == outlay::Action::expired);
    CHECK(events[0].budget == "user:alice");
    CHECK(events[0].projected == 3'000'000'000);
  }
}

TEST_CASE("gateway: an operator raises, closes and opens a cap, which is recorded with who and why",
          "[gateway][operate]") {
  Operated operated;
  CHECK(operated.chat("alice") == 200);
  CHECK(operated.chat("alice") == 200);
  CHECK(operated.chat("alice") == 429);
  // The rule's own cap is known, too.
  CHECK_THAT(operated.change("raise", of_alice(R"("calls":2)")).body,
             ContainsSubstring("calls: the cap is 2, and 2 is not"));
  CHECK(operated.change("raise", of_alice(R"("calls":4)")).status == 200);
  CHECK(operated.chat("alice") == 200);
  const json::array caps = operated.caps();
  CHECK(caps.at(0).at("calls").at("remaining") == 1);
  CHECK(caps.at(0).at("set").at("by") == "carol");
  CHECK(caps.at(0).at("set").at("reason") == "launch day");
  CHECK(caps.at(0).at("set").at("until").is_null());

  const WireReply lower = operated.change("raise", of_alice(R"("calls":3)"));
  CHECK(lower.status == 400);
  CHECK_THAT(lower.body, ContainsSubstring("calls: the cap is 4, and 3 is not more. Send another number."));

  CHECK(operated.change("close", of_alice(R"("create":false)")).status == 200);
  const WireReply shut =
      ask(operated.gateway, post("/v1/chat/completions", chat_text(), "x-outlay-tag-user: alice\r\n"));
  CHECK(shut.status == 429);
  CHECK(shut.field("x-outlay-limit") == "0");
  CHECK(shut.field("Retry-After").empty());
  CHECK_THAT(shut.body, ContainsSubstring("refused gpt-4o: an operator has closed it to calls.") &&
                            ContainsSubstring("POST /outlay/caps/reopen"));
  CHECK(operated.change("reopen", of_alice(R"("create":false)")).status == 200);
  CHECK(operated.change("reopen", of_alice(R"("create":false)")).status == 400);
  // The rule's own cap of two holds again.
  CHECK(operated.chat("alice") == 429);
  std::vector<std::string> reasons;
  for (const outlay::BudgetEvent& event : operated.gateway.ledger().events())
    if (event.action == outlay::Action::cap_set) reasons.push_back(event.reason);
  REQUIRE(reasons.size() == 3);
  for (const std::string& reason : reasons) {
    CHECK_THAT(reason, ContainsSubstring("carol"));
    CHECK_THAT(reason, ContainsSubstring("launch day"));
  }
}

TEST_CASE("gateway: a cap is compared with the rule's own before any call has counted in it here",
          "[gateway][operate]") {
  std::vector<outlay::Rule> rules = two_calls_a_user();
  rules.push_back({.match = {{"user", "*"}, {"team", "search"}}, .tokens = 500});
  rules.push_back({.match = {"user", "bob"}, .calls = 9});
  rules.push_back({.match = {"user", {"alice", "bob"}}, .usd = 100_usd, .also = true});
  const std::shared_ptr<outlay::Store> store = outlay::memory_store();
  for (outlay::Rule& rule : rules) rule.store = store;
  {
    Operated before(rules);
    CHECK(before.chat("alice") == 200);
    CHECK(before.chat("bob") == 200);
  }
  // As after a restart: the store has the counters, and this gateway has seen no call.
  Operated operated(rules);
  CHECK(operated.caps().empty());
  const auto refused = [&](const std::string& verb, const std::string& body) {
    const WireReply reply = operated.change(verb, body);
    CHECK(reply.status == 400);
    return reply.body;
  };
  CHECK_THAT(refused("raise", of_alice(R"("usd":4)")),
             ContainsSubstring("usd: the cap is $5.00, and $4.00 is not more"));
  CHECK_THAT(refused("lower", of_alice(R"("calls":3)")), ContainsSubstring("calls: the cap is 2, and 3 is not less"));
  CHECK_THAT(refused("raise", R"({"name":"user:bob","by":"c","reason":"d","calls":3})"),
             ContainsSubstring("calls: the cap is 9, and 3 is not more"));
  const std::string both = R"({"name":"{team:search,user:alice}","by":"c","reason":"d","create":true,"tokens":)";
  CHECK_THAT(refused("lower", both + "501}"), ContainsSubstring("tokens: the cap is 500, and 501 is not less"));
  CHECK(operated.change("lower", both + "499}").status == 200);
  // A list's counter is no value of the rule for each.
  CHECK_THAT(refused("raise", R"({"name":"user:alice|bob","by":"c","reason":"d","usd":10})"),
             ContainsSubstring("usd: the cap is $100.00, and $10.00 is not more"));
  CHECK(operated.change("raise", of_alice(R"("usd":6)")).status == 200);
}

TEST_CASE("gateway: operators who change one counter at once change it all", "[gateway][operate]") {
  Operated operated;
  CHECK(operated.chat("alice") == 200);
  constexpr int rounds = 20;
  std::atomic<int> failed = 0;
  const auto operate = [&](const char* of) {
    for (int i = 1; i <= rounds; ++i)
      failed +=
          operated.change("raise", of_alice('"' + std::string(of) + "\":" + std::to_string(100 + i))).status != 200;
  };
  std::thread other([&] { operate("usd"); });
  operate("calls");
  other.join();
  CHECK(failed == 0);
  CHECK(operated.caps().at(0).at("usd").at("cap") == "120.00");
  CHECK(operated.caps().at(0).at("calls").at("cap") == 120);
}

TEST_CASE("gateway: what others change between an operator's look at a cap and the change of it stays",
          "[gateway][operate]") {
  using Op = outlay::StoreCommand::Op;
  // A store of which another gateway changes the counter each time when a look at its caps has ended.
  struct Busy final : outlay::StoreBackend {
    std::vector<outlay::Result<outlay::StoreReply>> execute(std::span<const outlay::StoreCommand> commands,
                                                            std::chrono::milliseconds timeout) override {
      auto results = memory->execute(commands, timeout);
      if (commands.back().op == Op::list_caps && !others.empty()) {
        outlay::StoreCommand change = commands.back();
        change.op = Op::set_cap;
        outlay::StoreCounter counter;
        counter.name = "user:alice";
        counter.window = outlay::Window::day().id();
        change.counters = {counter};
        change.cap.limits = others.back();
        others.pop_back();
        REQUIRE(memory->execute({&change, 1}, timeout).front());
      }
      return results;
    }
    [[nodiscard]] Distance distance() const noexcept override { return Distance::memory; }
    [[nodiscard]] std::string description() const override { return "a store that others change"; }
    std::unique_ptr<outlay::StoreBackend> memory = outlay::memory_backend();
    std::vector<outlay::Limits> others{};  // the last one first
  };
  auto backend = std::make_unique<Busy>();
  Busy& busy = *backend;
  std::vector<outlay::Rule> rules = two_calls_a_user();
  rules[0].store = std::make_shared<outlay::Store>(
      std::move(backend), outlay::StoreOptions{.on_unreachable = outlay::OnUnreachable::deny()});
  Operated operated(rules);
  CHECK(operated.chat("alice") == 200);
  busy.others = {{.usd = 70_usd, .tokens = 900}, {.usd = 60_usd}};
  CHECK(operated.change("raise", of_alice(R"("calls":5)")).status == 200);
  json::value caps = operated.caps().at(0);
  CHECK(caps.at("usd").at("cap") == "70.00");
  CHECK(caps.at("tokens").at("cap") == 900);
  CHECK(caps.at("calls").at("cap") == 5);
  // What is raised is judged by what the others have set.
  busy.others = {{.usd = 80_usd}};
  CHECK_THAT(operated.change("raise", of_alice(R"("usd":75)")).body,
             ContainsSubstring("usd: the cap is $80.00, and $75.00 is not more"));
  // Where others never rest, it is said.
  busy.others.assign(100, {.calls = 7});
  for (std::size_t i = 0; i < busy.others.size(); ++i)
    busy.others[i].usd = outlay::Usd::from_nanos(1 + static_cast<std::int64_t>(i));
  const WireReply busy_reply = operated.change("close", of_alice(R"("create":false)"));
  CHECK(busy_reply.status == 409);
  CHECK_THAT(busy_reply.body, ContainsSubstring("Nothing was changed. Try again."));
  CHECK_FALSE(busy.others.empty());
}

TEST_CASE("gateway: a change that is made is answered so, though the store fails when it is read again",
          "[gateway][operate]") {
  const auto weather = std::make_shared<outlay::testing::Weather>();
  const auto store = std::make_shared<outlay::Store>(
      std::make_unique<outlay::testing::WeatheredBackend>(weather, outlay::StoreBackend::Distance::local),
      outlay::StoreOptions{.on_unreachable = outlay::OnUnreachable::deny()});
  std::vector<outlay::Rule> rules = two_calls_a_user();
  rules[0].store = store;
  Operated operated(rules);
  CHECK(operated.chat("alice") == 200);
  int made = 0, refused = 0;
  for (std::uint64_t nth = 1; nth <= 6; ++nth) {
    store->flush();
    const std::int64_t wanted = 10 + static_cast<std::int64_t>(nth);
    weather->fail_at(nth);
    const WireReply reply = operated.change("raise", of_alice(R"("calls":)" + std::to_string(wanted)));
    weather->fail_at(0);
    const json::value cap = operated.caps().at(0).at("calls").at("cap");
    CAPTURE(nth, reply.body);
    CHECK(reply.status == (cap == wanted ? 200 : 503));
    ++(reply.status == 200 ? made : refused);
    if (reply.status == 200 && reply.body.find("spent") == reply.body.npos)
      CHECK_THAT(
          reply.body,
          ContainsSubstring(
              R"({"name":"user:alice","window":"day@UTC","changed":true,"note":"What it is now cannot be read: )"));
  }
  CHECK(made >= 2);
  CHECK(refused >= 2);
}

TEST_CASE("gateway: an operator corrects what was spent, once for an id", "[gateway][operate]") {
  Operated operated;
  CHECK(operated.chat("alice") == 200);
  CHECK(operated.chat("alice") == 200);
  const std::string refund = of_alice(R"("calls":-1,"usd":"-0.0001","id":"refund-7")");
  const WireReply first = operated.change("adjust", refund);
  CHECK(first.status == 200);
  CHECK_THAT(first.body, ContainsSubstring(R"("spent":{"usd":"0.0001","tokens":50,)"));
  CHECK(operated.change("adjust", refund).body == first.body);
  CHECK(operated.chat("alice") == 200);
  CHECK(operated.chat("alice") == 429);
  bool recorded = false;
  for (const outlay::BudgetEvent& event : operated.gateway.ledger().events())
    recorded |= event.action == outlay::Action::adjusted && event.reason == "carol: launch day";
  CHECK(recorded);
}

TEST_CASE("gateway: what is wrong with a change is named, and nothing changes", "[gateway][operate]") {
  Operated operated;
  CHECK(operated.chat("alice") == 200);
  const auto wrong = [&](const std::string& verb, const std::string& body) {
    const WireReply reply = operated.change(verb, body);
    CHECK(reply.status == 400);
    return reply.body;
  };
  CHECK_THAT(wrong("raise", "{"), ContainsSubstring("the body: line 1 is not valid JSON"));
  CHECK_THAT(wrong("raise", "[]"), ContainsSubstring("the body: must be an object"));
  CHECK_THAT(wrong("raise", R"({"by":"a","reason":"b","usd":1})"), ContainsSubstring("must have name"));
  CHECK_THAT(wrong("raise", R"({"name":"user:alice","reason":"b","usd":1})"), ContainsSubstring("must have by"));
  CHECK_THAT(wrong("raise", R"({"name":"user:alice","by":"b","usd":1})"), ContainsSubstring("must have reason"));
  CHECK_THAT(wrong("raise", of_alice(R"("usd":-1)")), ContainsSubstring("the body.usd: must be an amount"));
  CHECK_THAT(wrong("raise", of_alice(R"("calls":1e3)")), ContainsSubstring("the body.calls: must be a whole number"));
  CHECK_THAT(wrong("raise", of_alice(R"("create":false)")), ContainsSubstring("must have a cap"));
  CHECK_THAT(wrong("raise", of_alice(R"("usd":9,"until":"soon")")),
             ContainsSubstring("the body.until: must be a time"));
  CHECK_THAT(wrong("raise", of_alice(R"("usd":9,"window":"fortnight")")),
             ContainsSubstring("the body.window: cannot be read"));
  CHECK_THAT(wrong("adjust", of_alice(R"("usd":"much")")), ContainsSubstring("the body.usd: must be an amount"));
  CHECK_THAT(wrong("adjust", of_alice(R"("until":"2030-01-01")")), ContainsSubstring("is not known"));
  CHECK_THAT(wrong("close", R"({"name":"user:alcie","by":"b","reason":"c"})"),
             ContainsSubstring("nothing is kept of \\\"user:alcie\\\" in the window day@UTC"));
  CHECK(operated.change("explode", of_alice(R"("usd":9)")).status == 405);
  CHECK(ask(operated.gateway, get("/outlay/caps/raise", admin)).status == 405);
  CHECK(operated.chat("alice") == 200);
  CHECK(operated.chat("alice") == 429);
}

TEST_CASE("gateway: only a bearer with the admin token changes caps", "[gateway][operate]") {
  Operated operated;
  CHECK(operated.chat("alice") == 200);
  const std::string body = of_alice(R"("calls":9)");
  // What a browser sends by itself, another site may have told it to.
  const std::string basic = "Authorization: Basic YWRtaW46YWRtaW4tdG9rZW4=\r\n";
  for (const std::string& fields : {std::string(), basic, std::string("Authorization: Bearer wrong\r\n")})
    CHECK(ask(operated.gateway, post("/outlay/caps/raise", body, fields)).status == 401);
  CHECK(ask(operated.gateway, get("/outlay/caps", basic)).status == 200);
  CHECK(ask(operated.gateway, get("/outlay/caps", "Authorization: Basic !!!!\r\n")).status == 401);
  const FaultServer upstream = chat_upstream();
  RunningGateway open(upstream.url(), std::nullopt, {}, two_calls_a_user());
  CHECK(ask(open, get("/outlay/caps")).status == 200);
  const WireReply closed = ask(open, post("/outlay/caps/raise", body));
  CHECK(closed.status == 403);
  CHECK_THAT(closed.body, ContainsSubstring("Set admin_sha256"));
}

TEST_CASE("gateway: without an admin token no web site reads /outlay/ by a name of its own", "[gateway][operate]") {
  const FaultServer upstream = chat_upstream();
  RunningGateway gateway(upstream.url(), std::nullopt);
  const auto status = [&](const std::string& host, const std::string& path) {
    return ask(gateway, "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n").status;
  };
  for (const std::string host : {"127.0.0.1", "127.0.0.1:8787", "[::1]:8787", "[::1]", "localhost", "LocalHost:1"})
    CHECK(status(host, "/outlay/caps") == 200);
  for (const std::string host :
       {"evil.example", "evil.example:8787", "127.0.0.1.evil.example", "localhost.evil.example", "[evil]"})
    CHECK(status(host, "/outlay/caps") == 403);
  CHECK(status("gateway.internal", "/outlay/health") == 200);
}

TEST_CASE("gateway: /outlay/rows is what the program makes of its query, for those with the token",
          "[gateway][operate]") {
  const FaultServer upstream = chat_upstream();
  outlay::GatewayOptions options = with_admin();
  options.rows = [](std::string_view query) -> std::string {
    if (query == "?wrong") throw outlay::Error(outlay::errc::invalid_argument, "the query is wrong");
    return "{\"query\":\"" + std::string(query) + "\"}\n";
  };
  const RunningGateway gateway(upstream.url(), std::nullopt, options, two_calls_a_user());
  const WireReply rows = ask(gateway, get("/outlay/rows?since=5", admin));
  CHECK(rows.status == 200);
  CHECK(rows.field("Content-Type") == "application/x-ndjson");
  CHECK(rows.body == "{\"query\":\"?since=5\"}\n");
  CHECK(ask(gateway, get("/outlay/rows", admin)).body == "{\"query\":\"\"}\n");
  CHECK(ask(gateway, get("/outlay/rows")).status == 401);
  CHECK(ask(gateway, get("/outlay/rows?wrong", admin)).status == 400);
  CHECK_THAT(ask(gateway, get("/outlay/none", admin)).body, ContainsSubstring("there are rows, health"));
  const RunningGateway without(upstream.url(), std::nullopt, with_admin(), two_calls_a_user());
  CHECK(ask(without, get("/outlay/rows", admin)).status == 404);
}

TEST_CASE("gateway: /outlay/ may have a port of its own", "[gateway][operate]") {
  const FaultServer upstream = chat_upstream();
  outlay::GatewayOptions options = with_admin();
  options.admin_port = 0;
  options.page = [] { return std::string("<!doctype html><title>page</title>"); };
  RunningGateway gateway(upstream.url(), std::nullopt, options, two_calls_a_user());
  const auto ask_admin = [&](const std::string& text) {
    Wire wire(gateway.gateway().admin_port());
    wire.send(text);
    return wire.reply();
  };
  CHECK(gateway.gateway().admin_port() != gateway.port());
  CHECK(ask(gateway, get("/outlay/health")).status == 200);
  CHECK(ask(gateway, get("/outlay/ready")).status == 200);
  for (const char* path : {"/outlay/", "/outlay/metrics", "/outlay/caps", "/outlay/report"})
    CHECK(ask(gateway, get(path, admin)).status == 404);
  CHECK(ask(gateway, post("/outlay/caps/close", of_alice(R"("create":true)"), admin)).status == 404);
  CHECK(ask_admin(get("/outlay/metrics", admin)).status == 200);
  CHECK(ask_admin(get("/outlay/health")).status == 200);
  CHECK(ask_admin(post("/v1/chat/completions", chat_text())).status == 404);
  const WireReply page = ask_admin(get("/outlay/", admin));
  CHECK(page.status == 200);
  CHECK(page.field("Content-Type") == "text/html; charset=utf-8");
  CHECK(page.body == "<!doctype html><title>page</title>");
  const WireReply asked = ask_admin(get("/outlay/"));
  CHECK(asked.status == 401);
  CHECK(asked.field("WWW-Authenticate") == "Basic realm=\"outlay\", charset=\"UTF-8\"");
  CHECK(upstream.requests().empty());

  boost::asio::io_context io;
  outlay::GatewayOptions wide;
  wide.admin_port = 0;
  wide.admin_address = "0.0.0.0";
  try {
    const outlay::Gateway refused(io.get_executor(), wide);
    FAIL("it listens");
  } catch (const outlay::ConfigError& error) {
    CHECK_THAT(std::string(error.what()),
               ContainsSubstring("admin_address 0.0.0.0") && ContainsSubstring("so admin_sha256 is needed"));
  }
}

TEST_CASE("gateway: it is not ready while a store that calls need does not answer", "[gateway][operate]") {
  const FaultServer upstream = chat_upstream();
  const auto ready = [&](outlay::OnUnreachable how) {
    const auto weather = std::make_shared<outlay::testing::Weather>();
    weather->down();
    const auto store = std::make_shared<outlay::Store>(
        std::make_unique<outlay::testing::WeatheredBackend>(weather, outlay::StoreBackend::Distance::local),
        outlay::StoreOptions{.on_unreachable = how});
    std::vector<outlay::Rule> rules = two_calls_a_user();
    rules[0].store = store;
    RunningGateway gateway(upstream.url(), std::nullopt, {}, rules);
    return ask(gateway, get("/outlay/ready"));
  };
  const WireReply refused = ready(outlay::OnUnreachable::deny());
  CHECK(refused.status == 503);
  CHECK(refused.body == "{\"status\":\"store_unavailable\",\"store\":\"a store in the weather\"}\n");
  CHECK(ready(outlay::OnUnreachable::allow_and_mark()).status == 200);
}

TEST_CASE("gateway: a store that has lost data is named, and counted", "[gateway][operate]") {
  const FaultServer upstream = chat_upstream();
  const auto weather = std::make_shared<outlay::testing::Weather>();
  const auto gateway_with = [&](outlay::OnUnreachable how, auto check) {
    const auto store = std::make_shared<outlay::Store>(
        std::make_unique<outlay::testing::WeatheredBackend>(weather, outlay::StoreBackend::Distance::local),
        outlay::StoreOptions{.on_unreachable = how});
    std::vector<outlay::Rule> rules = two_calls_a_user();
    rules[0].store = store;
    rules[0].window = outlay::Window::forever();
    RunningGateway gateway(upstream.url(), std::nullopt, {}, rules);
    const auto chat = [&] {
      return ask(gateway, post("/v1/chat/completions", chat_text(), "x-outlay-tag-user: alice\r\n")).status;
    };
    const auto losses = [&](const char* count) {
      CHECK_THAT(ask(gateway, get("/outlay/metrics")).body,
                 ContainsSubstring("\noutlay_store_losses_total{store=\"a store in the weather\"} " +
                                   std::string(count) + "\n"));
    };
    CHECK(chat() == 200);
    store->flush();
    losses("0");
    weather->forget();
    check(gateway, chat, losses, *store);
  };
  const std::string lost = R"("lost_data":[{"store":"a store in the weather","until":null}]})";
  SECTION("calls are refused until an operator knows: the probe itself finds it, and says so") {
    gateway_with(outlay::OnUnreachable::deny(),
                 [&](RunningGateway& gateway, auto& chat, auto& losses, outlay::Store& store) {
                   const WireReply ready = ask(gateway, get("/outlay/ready"));
                   CHECK(ready.status == 503);
                   CHECK(ready.body == R"({"status":"store_lost_data",)" + lost + "\n");
                   CHECK(chat() == 503);
                   losses("1");
                   store.accept_lost_data();
                   CHECK(chat() == 200);
                   const WireReply again = ask(gateway, get("/outlay/ready"));
                   CHECK(again.status == 200);
                   CHECK(again.body == "{\"status\":\"ready\"}\n");
                   losses("1");
                 });
  }
  SECTION("calls go on: it is ready, and names the store") {
    gateway_with(outlay::OnUnreachable::allow_and_mark(),
                 [&](RunningGateway& gateway, auto& chat, auto& losses, outlay::Store&) {
                   CHECK(ask(gateway, get("/outlay/ready")).body == "{\"status\":\"ready\"}\n");
                   CHECK(chat() == 200);  // which finds it
                   const WireReply ready = ask(gateway, get("/outlay/ready"));
                   CHECK(ready.status == 200);
                   CHECK(ready.body == R"({"status":"ready",)" + lost + "\n");
                   losses("1");
                 });
  }
}
