#include <atomic>
#include <boost/json.hpp>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gateway_support.hpp"
#include "outlay/outlay.hpp"
#include "support/catch.hpp"
#include "support/dice.hpp"

namespace json = boost::json;
using namespace test;

namespace {

std::string read_file(const std::string& name) {
  std::ifstream file(std::string(OUTLAY_TEST_DATA) + "/streams/" + name, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (text.empty()) throw std::runtime_error("no test data: " + name);
  return text;
}

/// A recorded stream, and the request that it answers.
struct Recorded {
  const char* file;
  const char* target;
  const char* body;
};

constexpr const char* chat =
    R"({"model":"gpt-4o","stream":true,"max_tokens":1000,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hi"}]})";
constexpr const char* messages =
    R"({"model":"claude-sonnet-4-5","stream":true,"max_tokens":1000,"messages":[{"role":"user","content":"Hi"}]})";
constexpr const char* contents = R"({"contents":[{"parts":[{"text":"Hi"}]}]})";
constexpr const char* gemini = "/to/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse";

constexpr Recorded recorded[] = {
    {"openai_chat.sse", "/to/openai/chat/completions", chat},
    {"openai_chat_error.sse", "/to/openai/chat/completions", chat},
    {"openai_chat_no_usage.sse", "/to/openai/chat/completions", chat},
    {"openai_chat_tools.sse", "/to/openai/chat/completions", chat},
    {"openai_chat_two_choices.sse", "/to/openai/chat/completions", chat},
    {"openai_responses.sse", "/to/openai/responses", R"({"model":"gpt-4o","stream":true,"input":"Hi"})"},
    {"openai_responses_failed.sse", "/to/openai/responses", R"({"model":"gpt-4o","stream":true,"input":"Hi"})"},
    {"anthropic_messages.sse", "/to/anthropic/v1/messages", messages},
    {"anthropic_messages_compaction.sse", "/to/anthropic/v1/messages", messages},
    {"anthropic_messages_error.sse", "/to/anthropic/v1/messages", messages},
    {"gemini.sse", gemini, contents},
    {"gemini_blocked.sse", gemini, contents},
    {"gemini_error.sse", gemini, contents},
    {"gemini_array.json", "/to/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent", contents},
    {"cohere_chat.sse", "/to/cohere/v2/chat", chat},
    {"cohere_chat_error.sse", "/to/cohere/v2/chat", chat},
    {"deepseek_chat.sse", "/to/deepseek/chat/completions", chat},
    {"mistral_chat.sse", "/to/mistral/v1/chat/completions", chat},
    {"xai_chat.sse", "/to/xai/v1/chat/completions", chat},
    {"openrouter_chat.sse", "/to/openrouter/api/v1/chat/completions", chat},
    {"openrouter_chat_error.sse", "/to/openrouter/api/v1/chat/completions", chat},
    {"azure_chat.sse", "/to/azure/openai/deployments/gpt-4o/chat/completions?api-version=1", chat},
    {"vllm_continuous.sse", "/to/local/v1/chat/completions", chat},
    {"llama_cpp_timings.sse", "/to/local/v1/chat/completions", chat},
    {"ollama_chat.ndjson", "/to/ollama/api/chat", R"({"model":"llama3","messages":[{"role":"user","content":"Hi"}]})"},
    {"ollama_chat_error.ndjson", "/to/ollama/api/chat",
     R"({"model":"llama3","messages":[{"role":"user","content":"Hi"}]})"},
    {"ollama_generate.ndjson", "/to/ollama/api/generate", R"({"model":"llama3","prompt":"Hi"})"},
};

outlay::GatewayOptions all_upstreams(const std::string& url) {
  outlay::GatewayOptions options;
  options.upstreams.clear();
  for (const char* name :
       {"anthropic", "gemini", "cohere", "deepseek", "mistral", "xai", "openrouter", "azure", "local", "ollama"})
    options.upstreams.push_back({.name = name, .url = url});
  options.upstreams.push_back({.name = "openai", .url = url + "/v1"});
  return options;
}

std::string stream_request(std::string_view more = R"(,"stream":true)") { return chat_text(100, more); }

/// One whose output no ceiling bounds.
constexpr std::string_view unbounded =
    R"({"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Hi"}]})";

/// Events that go on until the client closes.
Plan endless(const std::string& event = delta_event("word after word after word ")) {
  Plan plan;
  plan.bytes = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", event.size());
  plan.repeat = size + event + "\r\n";
  plan.endless = true;
  return plan;
}

}  // namespace

TEST_CASE("gateway: every recorded stream arrives byte for byte, whole and in random pieces", "[gateway][stream]") {
  std::string bytes;
  std::vector<std::size_t> cuts;
  const FaultServer upstream([&](std::size_t, std::string_view) {
    std::vector<std::string> pieces;
    std::size_t begin = 0;
    for (const std::size_t cut : cuts) {
      pieces.push_back(bytes.substr(begin, cut - begin));
      begin = cut;
    }
    pieces.push_back(bytes.substr(begin));
    return answer(chunked_reply(pieces));
  });
  RunningGateway gateway({}, std::nullopt, all_upstreams(upstream.url()), {}, true);
  outlay_test::Dice dice(7);
  std::size_t calls = 0;
  for (const Recorded& one : recorded) {
    CAPTURE(one.file);
    bytes = read_file(one.file);
    for (int round = 0; round < 4; ++round) {
      cuts.clear();
      for (std::size_t at = 0;
           round > 0 && (at += 1 + static_cast<std::size_t>(dice.between(0, round == 1 ? 6 : 200))) < bytes.size();)
        cuts.push_back(at);
      const WireReply reply = ask(gateway, post(one.target, one.body));
      CHECK(reply.status == 200);
      CHECK(reply.body == bytes);
      REQUIRE(gateway.ledger().records().size() == ++calls);
    }
    // However it was split, the same was booked.
    const auto records = gateway.ledger().records();
    for (std::size_t i = calls - 3; i < calls; ++i) CHECK(records[i].usd == records[calls - 4].usd);
  }
}

TEST_CASE("gateway: a usage report that only the gateway asked for is not shown to the client", "[gateway][stream]") {
  const FaultServer upstream([](std::size_t, std::string_view) { return answer(chunked_reply(chat_stream_events())); });
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  std::string shown, all;
  for (const std::string& event : chat_stream_events()) {
    all += event;
    if (event != usage_event()) shown += event;
  }
  CHECK(ask(gateway, post("/v1/chat/completions", stream_request())).body == shown);
  CHECK(ask(gateway,
            post("/v1/chat/completions", stream_request(R"(,"stream":true,"stream_options":{"include_usage":true})")))
            .body == all);
  REQUIRE(upstream.requests().size() == 2);
  for (const std::string& request : upstream.requests())
    CHECK_THAT(request, ContainsSubstring(R"("include_usage":true)"));
  CHECK_THAT(upstream.requests()[1],
             ContainsSubstring(stream_request(R"(,"stream":true,"stream_options":{"include_usage":true})")));
  for (const outlay::Record& record : gateway.ledger().records()) CHECK(record.usd == 0.0001_usd);
}

TEST_CASE("gateway: a stream's cost comes as a trailer, where the client asks for trailers", "[gateway][stream]") {
  const FaultServer upstream([](std::size_t number, std::string_view) {
    return number < 3 ? answer(chunked_reply(chat_stream_events())) : endless();
  });
  RunningGateway gateway(upstream.url(),
                         outlay::BudgetOptions{.usd = 1_usd, .tokens = 2'000, .on_exceed = outlay::Truncate{}});
  const auto stream = [&](const std::string& fields, std::string_view body) {
    Wire wire(gateway.port());
    wire.send(post("/v1/chat/completions", body, fields));
    std::string all;
    while (all.find("\r\n0\r\n") == all.npos || !all.ends_with("\r\n\r\n")) {
      const std::string more = wire.some();
      REQUIRE_FALSE(more.empty());
      all += more;
    }
    return all;
  };
  const std::string asked = stream("TE: gzip;q=0.5, trailers\r\nConnection: TE\r\n", stream_request());
  CHECK_THAT(asked, ContainsSubstring("\r\nTrailer: x-outlay-cost, x-outlay-remaining\r\n"));
  CHECK(asked.ends_with("data: [DONE]\n\n\r\n0\r\nx-outlay-cost: $0.0001\r\nx-outlay-remaining: 1975 tokens\r\n\r\n"));
  for (const char* fields : {"", "TE: deflate\r\n"}) {
    const std::string plain = stream(fields, stream_request());
    CHECK(plain.find("Trailer") == plain.npos);
    CHECK(plain.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"));
  }
  // One that was cut has a cost, too.
  const std::string cut = stream("TE: trailers\r\n", unbounded);
  CHECK_THAT(cut, ContainsSubstring("data: [DONE]\n\n\r\n0\r\nx-outlay-cost: $0.0"));
}

TEST_CASE("gateway: events arrive before the next one is there", "[gateway][stream]") {
  const FaultServer upstream([](std::size_t, std::string_view) {
    Plan plan = answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
                       Plan::Then::stall);
    const std::string event = delta_event("It");
    char size[16];
    std::snprintf(size, sizeof size, "%zx\r\n", event.size());
    plan.bytes += size + event + "\r\n";
    return plan;
  });
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  Wire wire(gateway.port());
  wire.send(post("/v1/chat/completions", stream_request()));
  std::string seen;
  while (seen.find(delta_event("It")) == seen.npos) {
    const std::string more = wire.some();
    REQUIRE_FALSE(more.empty());
    seen += more;
  }
  CHECK(gateway.gateway().stats().streams == 1);
  // A client that hangs up closes the upstream at once, and what was shown is charged.
  wire.close();
  CHECK(upstream.wait_for_open(0));
  gateway.stop();
  REQUIRE(gateway.ledger().records().size() == 1);
  CHECK(gateway.ledger().records()[0].usd > 0_usd);
  CHECK(gateway.gateway().stats().streams == 0);
}

TEST_CASE("gateway: a client that hangs up before the reply begins closes the upstream, and the call is charged",
          "[gateway]") {
  const FaultServer upstream([](std::size_t, std::string_view) { return answer("", Plan::Then::stall); });
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  Wire wire(gateway.port());
  wire.send(post("/v1/chat/completions", chat_text()));
  while (upstream.requests().empty()) std::this_thread::yield();
  wire.close();
  CHECK(upstream.wait_for_open(0));
  gateway.stop();
  REQUIRE(gateway.ledger().records().size() == 1);
  CHECK(gateway.ledger().records()[0].status == outlay::RecordStatus::indeterminate);
}

TEST_CASE("gateway: a stream that no longer fits is cut with an error in the provider's shape", "[gateway][stream]") {
  const FaultServer upstream([](std::size_t, std::string_view) { return endless(); });
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.name = "small", .tokens = 500});
  const WireReply reply = ask(gateway, post("/v1/chat/completions", unbounded));
  CHECK(reply.status == 200);
  CHECK_THAT(reply.body, ContainsSubstring(delta_event("word after word after word ")));
  const std::size_t error = reply.body.find("data: {\"error\":{\"message\":\"budget \\\"small\\\"");
  CHECK(error != std::string::npos);
  CHECK(reply.body.ends_with("\n\ndata: [DONE]\n\n"));
  CHECK(upstream.wait_for_open(0));
  CHECK(gateway.gateway().stats().cut == 1);
  REQUIRE(gateway.ledger().records().size() == 1);
  CHECK(gateway.ledger().records()[0].usage.total() <= 500);
}

TEST_CASE("gateway: where an API has a reason to finish that says error, a cut stream ends with it",
          "[gateway][stream]") {
  const FaultServer upstream([](std::size_t, std::string_view asked) {
    return asked.find("POST /v2/chat") != asked.npos
               ? endless(
                     R"(data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"word after word "}}}})"
                     "\n\n")
               : endless();
  });
  const outlay::BudgetOptions small{.name = "small", .tokens = 500};
  {
    RunningGateway gateway(upstream.url(), small);
    const std::string body =
        ask(gateway,
            post("/to/mistral/v1/chat/completions",
                 R"({"model":"mistral-large-latest","stream":true,"messages":[{"role":"user","content":"Hi"}]})"))
            .body;
    // Mistral's SDKs read each event as a chunk, so the error is in one.
    const std::string start =
        R"(data: {"id":"chat-1","object":"chat.completion.chunk","created":7,"model":"gpt-4o-2024-08-06",)"
        R"("choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],)"
        R"("error":{"object":"error","message":"budget \"small\" refused)";
    CHECK_THAT(body, ContainsSubstring(start));
    CHECK(body.ends_with("}}\n\ndata: [DONE]\n\n"));
  }
  {
    RunningGateway gateway(upstream.url(), small);
    const std::string body =
        ask(gateway, post("/v2/chat",
                          R"({"model":"command-a-03-2025","stream":true,"messages":[{"role":"user","content":"Hi"}]})"))
            .body;
    CHECK_THAT(body,
               ContainsSubstring(
                   "event: message-end\ndata: "
                   R"({"type":"message-end","delta":{"finish_reason":"ERROR","error":"budget \"small\" refused)"));
  }
}

TEST_CASE("gateway: under Truncate a stream that no longer fits ends as at its ceiling", "[gateway][stream]") {
  const FaultServer upstream([](std::size_t, std::string_view) { return endless(); });
  RunningGateway gateway(upstream.url(),
                         outlay::BudgetOptions{.name = "small", .tokens = 500, .on_exceed = outlay::Truncate{}});
  const WireReply reply = ask(gateway, post("/v1/chat/completions", unbounded));
  CHECK(reply.status == 200);
  CHECK(reply.body.ends_with(
      R"(data: {"id":"chat-1","object":"chat.completion.chunk","created":7,"model":"gpt-4o-2024-08-06",)"
      R"("choices":[{"index":0,"delta":{},"finish_reason":"length"}]})"
      "\n\ndata: [DONE]\n\n"));
}

TEST_CASE("gateway: 50 streams at once under one cap deliver no more than it, and are billed one event each beyond",
          "[gateway][stream]") {
  constexpr std::int64_t cap = 100'000;
  std::atomic<const outlay::Gateway*> admitting{nullptr};
  const FaultServer upstream([&](std::size_t number, std::string_view) {
    // The first streams would take all that is left before the last are admitted.
    while (number == 0 && admitting.load()->stats().admitted < 50) std::this_thread::yield();
    return endless();
  });
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.name = "shared", .tokens = cap});
  admitting = &gateway.gateway();
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < 50; ++i) {
    wires.push_back(std::make_unique<Wire>(gateway.port()));
    wires.back()->send(post("/v1/chat/completions", unbounded));
  }
  int cut = 0;
  std::int64_t delivered = 0;
  for (const auto& wire : wires) {
    const std::string body = wire->reply().body;
    if (body.ends_with("data: [DONE]\n\n")) ++cut;
    outlay::StreamMeter meter(outlay::Api::openai_chat);
    meter.feed(std::string_view(body).substr(0, body.find("data: {\"error\"")));
    delivered += meter.counted_output();
  }
  CHECK(cut == 50);
  gateway.stop();
  std::int64_t billed = 0;
  for (const outlay::Record& record : gateway.ledger().records()) {
    delivered += record.usage.input;
    billed += record.usage.total();
  }
  // No stream delivers a token that was not reserved. The event that each is cut at has arrived, so the provider bills it: while one
  // stream finds that the cap is reached, the next event of every other one may be on its way.
  outlay::StreamMeter one(outlay::Api::openai_chat);
  one.feed(delta_event("word after word after word "));
  CAPTURE(billed - delivered, one.counted_output());
  CHECK(delivered <= cap);
  CHECK(delivered > cap - 50 * 64);
  CHECK(billed <= cap + 50 * one.counted_output());
  CHECK(billed - delivered <= 50 * one.counted_output());
}

TEST_CASE("gateway: a stream that breaks off is broken off for the client too", "[gateway][stream]") {
  std::string whole = chunked_reply(chat_stream_events());
  const FaultServer upstream([&](std::size_t, std::string_view) {
    Plan plan = answer(whole, Plan::Then::close);
    plan.stop_at = whole.size() / 2;
    return plan;
  });
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd});
  const WireReply reply = ask(gateway, post("/v1/chat/completions", stream_request()));
  CHECK(reply.status == 0);
  gateway.stop();
  REQUIRE(gateway.ledger().records().size() == 1);
  CHECK(gateway.ledger().records()[0].status == outlay::RecordStatus::estimated);
}

TEST_CASE("gateway: stop() lets running streams go on for the drain, and takes no new requests", "[gateway][stream]") {
  const FaultServer upstream([](std::size_t, std::string_view) {
    Plan plan = answer(chunked_reply(chat_stream_events()));
    plan.per_write = 16;
    plan.pause = std::chrono::milliseconds(1);
    return plan;
  });
  outlay::GatewayOptions options;
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd}, options, {}, false,
                         std::chrono::seconds(10));
  Wire idle(gateway.port());
  idle.send(get("/v1/models"));
  static_cast<void>(idle.reply());
  Wire wire(gateway.port());
  wire.send(post("/v1/chat/completions", stream_request()));
  std::string first = wire.some();
  gateway.stop();
  for (std::string more; !(more = wire.some()).empty();) first += more;
  CHECK_THAT(first, ContainsSubstring("data: [DONE]"));
  CHECK(idle.some().empty());
  CHECK_THROWS(Wire(gateway.port()));
}
