#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "outlay/json.hpp"
#include "outlay/testing.hpp"
#include "streams.hpp"
#include "support/catch.hpp"
#include "unit/json/books.hpp"

using namespace outlay;
using namespace outlay::literals;
using namespace outlay_test;

namespace {

std::string text_chunk(const std::string& text) {
  return R"(data: {"choices":[{"index":0,"delta":{"content":")" + text + "\"}}]}\n\n";
}

template <class F>
errc code_thrown(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.reason();
  }
  return errc::ok;
}

struct Texts final : StreamConsumer {
  std::string text;
  void on_delta(const StreamDelta& delta) override { text += delta.text; }
  [[nodiscard]] std::int64_t tokens() const { return built_in_tokenizer().upper(text); }
};

}  // namespace

TEST_CASE("stream: settles exactly when the provider reported", "[json][stream]") {
  Books books;
  Budget budget({.tokens = 2'000});
  Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'900});
  Stream stream(call, Api::openai_chat);
  CHECK(stream.open());
  stream.feed(text_chunk("Hello"));
  CHECK(stream.open());
  stream.feed("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n");
  CHECK_FALSE(stream.open());
  const Settled settled = stream.finish();
  CHECK(settled.first);
  CHECK(settled.usage == Usage{.input = 100, .output = 4});
  CHECK(budget.spent().tokens == 104);
  CHECK(budget.reserved() == Amounts{});
  CHECK(books.last().status == RecordStatus::settled);
  CHECK_FALSE(stream.finish().first);
  CHECK(stream.finish().usd == settled.usd);
  CHECK(stream.try_finish()->usage == settled.usage);
  CHECK(books.ledger.records().size() == 1);
  CHECK_NOTHROW(stream.check());
}

TEST_CASE("stream: says sent() at the first feed", "[json][stream]") {
  Books books;
  {
    Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 100});
    Stream stream(call, Api::openai_chat);
    stream.finish();  // nothing came: it is the Call's
  }
  CHECK(books.ledger.records().empty());
  {
    Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 100});
    Stream stream(call, Api::openai_chat);
    stream.feed(": waiting\n\n");
  }
  CHECK(books.last().status == RecordStatus::indeterminate);
  CHECK(books.last().usd == 0.00125_usd);
}

TEST_CASE("stream: destroyed early it is charged for what it had shown", "[json][stream]") {
  Books books;
  Budget budget({.usd = 1_usd});
  {
    Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'000});
    Stream stream(call, Api::openai_chat);
    stream.feed(text_chunk("one two three four"));
  }
  const Record record = books.last();
  CHECK(record.status == RecordStatus::estimated);
  CHECK(record.usage.input == 100);
  CHECK(record.usage.output == built_in_tokenizer().upper("one two three four"));
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("stream: at whatever byte it stops, it is never free and never stays reserved", "[json][stream]") {
  for (const KnownStream& known : known_streams()) {
    for (std::size_t cut = 1; cut <= known.bytes.size(); cut += known.bytes.size() < 1'000 ? 1 : 7) {
      INFO(known.name << " at " << cut);
      Books books;
      Budget budget({.usd = 100_usd, .unpriced = Unpriced::assume(1_usd)});
      {
        Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'000});
        Stream stream(call, known.api);
        stream.feed(std::string_view(known.bytes).substr(0, cut));
      }
      REQUIRE(books.ledger.records().size() == 1);
      REQUIRE(books.last().usd > 0_usd);
      REQUIRE(budget.reserved() == Amounts{});
    }
  }
}

TEST_CASE("stream: the Call may move, and end first", "[json][stream]") {
  Books books;
  Budget budget({.usd = 1_usd});
  auto call = std::make_unique<Call>(CallRequest{.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'000});
  Stream stream(*call, Api::openai_chat);
  auto moved = std::make_unique<Call>(std::move(*call));
  call.reset();
  stream.feed(text_chunk("Hello"));
  CHECK(stream.open());
  moved.reset();
  CHECK(stream.open());
  CHECK(books.ledger.records().empty());
  stream.feed("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n");
  CHECK(stream.finish().usage == Usage{.input = 9, .output = 4});
  CHECK(books.ledger.records().size() == 1);
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("stream: one that is never fed gives the reservation back with its Call", "[json][stream]") {
  Books books;
  Budget budget({.usd = 1_usd});
  {
    auto call = std::make_unique<Call>(CallRequest{.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'000});
    Stream stream(*call, Api::openai_chat);
    call.reset();
  }
  CHECK(budget.reserved() == Amounts{});
  CHECK(books.ledger.records().empty());
}

TEST_CASE("stream: a moved stream goes on", "[json][stream]") {
  Books books;
  Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'000});
  Stream first(call, Api::openai_chat);
  first.feed("data: {\"choices\":[{\"index\":0,\"delta\":{\"con");
  Stream second(std::move(first));
  second.feed(
      "tent\":\"Hello\"}}]}\n\ndata: "
      "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n");
  CHECK(second.finish().usage == Usage{.input = 9, .output = 4});
}

TEST_CASE("stream: without a ceiling it is cut before a chunk that does not fit is handed on", "[json][stream]") {
  Books books;
  Budget budget({.tokens = 600});
  Call call({.model = "gpt-4o", .input_tokens = 100});
  Stream stream(call, Api::openai_chat);
  Texts texts;
  bool threw = false;
  for (int i = 0; i < 1'000 && stream.open(); ++i) {
    try {
      stream.feed(text_chunk(" word"), texts);
    } catch (const BudgetExceeded& e) {
      threw = true;
      CHECK(e.dimension() == Dimension::tokens);
    }
  }
  CHECK(threw);
  CHECK(stream.cut());
  CHECK_FALSE(stream.open());
  CHECK(texts.tokens() >= 500 - 64);
  CHECK(texts.tokens() <= 500);
  CHECK(budget.spent().tokens <= 600 + built_in_tokenizer().upper("word"));
  CHECK(budget.reserved() == Amounts{});
  CHECK(books.last().status == RecordStatus::estimated);
  CHECK(books.ledger.records().size() == 1);
  const std::vector<BudgetEvent> events = books.ledger.events();
  REQUIRE(events.size() == 1);
  CHECK(events[0].action == Action::cut);
  CHECK(events[0].dimension == Dimension::tokens);
  CHECK(events[0].cap == 600);
  CHECK_NOTHROW(stream.check());
}

TEST_CASE("stream: visible thinking is cut like an answer, and Gemini's running reports change nothing of it",
          "[json][stream]") {
  struct Case {
    Api api;
    const char* chunk;
  };
  for (const Case& one :
       std::vector<Case>{{Api::anthropic_messages,
                          "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
                          "{\"type\":\"thinking_delta\",\"thinking\":\"word\"}}\n\n"},
                         {Api::gemini,
                          "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"word\"}]},\"index\":0}],"
                          "\"usageMetadata\":{\"promptTokenCount\":100,\"candidatesTokenCount\":1}}\n\n"}}) {
    INFO(one.api.name());
    Books books;
    Budget budget({.tokens = 600, .on_exceed = Truncate{}});
    Call call({.model = "gpt-4o", .input_tokens = 100});
    Stream stream(call, one.api);
    int chunks = 0;
    for (; chunks < 2'000 && stream.open(); ++chunks) stream.feed(one.chunk);
    CHECK(stream.cut());
    CHECK(chunks > 100);
    CHECK(budget.spent().tokens > 500);
    CHECK(budget.spent().tokens <= 600 + built_in_tokenizer().upper("word"));
  }
}

TEST_CASE("stream: drained after its scopes have closed it counts, is tagged and raises there", "[json][stream]") {
  Books books;
  Budget outer({.name = "outer", .usd = 1_usd});
  std::optional<Stream> stream;
  {
    Budget inner({.name = "inner", .usd = 0.001_usd, .on_exceed = Raise{}});
    Track track({{"feature", "late"}});
    Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'000});
    stream.emplace(call, Api::openai_chat);
    stream->feed(text_chunk("Hello"));
  }
  stream->feed(
      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":400}}\n\ndata: "
      "[DONE]\n\n");
  try {
    stream->finish();
    FAIL("did not throw");
  } catch (const BudgetExceeded& error) {
    CHECK(error.budget() == "inner");
    CHECK(error.spent() == "$0.00425");
  }
  CHECK(outer.spent().usd == 0.00425_usd);
  CHECK(outer.reserved() == Amounts{});
  CHECK(books.last().tags == Tags{{"feature", "late"}});
  CHECK(books.last().budgets == std::vector<std::string>{"outer", "inner"});
}

TEST_CASE("stream: Truncate cuts quietly and keeps what arrived", "[json][stream]") {
  Books books;
  Budget budget({.tokens = 600, .on_exceed = Truncate{}});
  Call call({.model = "gpt-4o", .input_tokens = 100});
  Stream stream(call, Api::openai_chat);
  Texts texts;
  for (int i = 0; i < 1'000 && stream.open(); ++i) stream.feed(text_chunk("word"), texts);
  CHECK(stream.cut());
  CHECK_FALSE(texts.text.empty());
  stream.finish();
  CHECK(books.ledger.records().size() == 1);
}

TEST_CASE("stream: with a ceiling in the request it is not cut, and counted up to it", "[json][stream]") {
  Books books;
  Budget budget({.tokens = 600});
  Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 500});
  Stream stream(call, Api::openai_chat);
  for (int i = 0; i < 2'000; ++i) stream.feed(text_chunk(" word"));  // more than it may send, by our count
  CHECK(stream.open());
  stream.finish();
  CHECK(books.last().usage.output == 500);
  CHECK(books.last().overrun == 0_usd);
}

TEST_CASE("stream: streams without a ceiling under one cap together stay below it", "[json][stream]") {
  Books books;
  Budget budget({.tokens = 3'000, .on_exceed = Truncate{}});
  std::vector<Call> calls;
  std::vector<Stream> streams;
  for (int i = 0; i < 8; ++i) calls.emplace_back(CallRequest{.model = "gpt-4o", .input_tokens = 10});
  for (Call& call : calls) streams.emplace_back(call, Api::openai_chat);
  std::vector<Texts> texts(streams.size());
  for (int round = 0; round < 2'000; ++round)
    for (std::size_t i = 0; i < streams.size(); ++i)
      if (streams[i].open()) streams[i].feed(text_chunk(" word"), texts[i]);
  std::int64_t tokens = 0;
  for (const Texts& one : texts) tokens += one.tokens();
  CHECK(tokens <= 3'000 - 80);
  CHECK(budget.spent().tokens <= 3'000 + 8 * built_in_tokenizer().upper("word"));
  for (const Stream& stream : streams) CHECK(stream.cut());
}

TEST_CASE("stream: a usage that cannot be leaves the call indeterminate", "[json][stream]") {
  Books books;
  Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'000});
  Stream stream(call, Api::openai_chat);
  stream.feed("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n");
  stream.finish();
  CHECK(books.last().status == RecordStatus::indeterminate);
  CHECK(books.last().usd == 0.01025_usd);
}

TEST_CASE("stream: broken bytes end in a typed error, and what was seen is charged", "[json][stream]") {
  Books books;
  Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'000});
  Stream stream(call, Api::openai_chat);
  CHECK_THROWS_AS(stream.feed(text_chunk("Hello") + "data: {broken\n\n"), Error);
  CHECK_FALSE(stream.open());
  stream.finish();
  CHECK(books.last().status == RecordStatus::estimated);
  CHECK(books.last().usage.output > 0);
}

TEST_CASE("stream: check() tells a broken stream from one with an error", "[json][stream]") {
  Books books;
  const auto reason_of = [](const std::string& bytes) {
    Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'000});
    Stream stream(call, Api::openai_chat);
    stream.feed(bytes);
    stream.finish();
    try {
      stream.check();
    } catch (const Error& error) {
      CHECK(std::string(error.what()).find("fault") == std::string::npos);
      if (error.reason() == errc::stream_broken)
        CHECK(std::string(error.what()) ==
              "openai_chat: the stream stopped before its end, and what it had shown is charged. Asking again is "
              "another call, which is billed in full.");
      return error.reason();
    }
    return errc::ok;
  };
  CHECK(reason_of(text_chunk("Hello")) == errc::stream_broken);
  CHECK(reason_of(read_data("openai_chat_error.sse")) == errc::provider_error);
  CHECK(reason_of(read_data("openai_chat_no_usage.sse")) == errc::ok);
}

TEST_CASE("stream: a Raise budget throws at the crossing, after booking", "[json][stream]") {
  Books books;
  Budget budget({.usd = 0.001_usd, .on_exceed = Raise{}});
  Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'000});
  SECTION("finish throws") {
    Stream stream(call, Api::openai_chat);
    stream.feed(
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":400}}\n\ndata: "
        "[DONE]\n\n");
    CHECK_THROWS_AS(stream.finish(), BudgetExceeded);
  }
  SECTION("try_finish does not") {
    Stream stream(call, Api::openai_chat);
    stream.feed(
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":400}}\n\ndata: "
        "[DONE]\n\n");
    CHECK(stream.try_finish().has_value());
  }
  CHECK(budget.spent().usd == 0.00425_usd);
}

TEST_CASE("stream: the served model, tier and cost are settled", "[json][stream]") {
  Books books;
  Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 1'000});
  Stream stream(call, Api::openrouter_chat);
  stream.feed(read_data("openrouter_chat.sse"));
  stream.finish();
  CHECK(books.last().usd == 0.00095_usd);
  CHECK(books.last().cost_source == CostSource::provider);
  CHECK(books.last().model == "anthropic/claude-sonnet-4.5");
}

TEST_CASE("stream: a call that was moved from is refused", "[json][stream]") {
  Books books;
  Call call({.model = "gpt-4o", .input_tokens = 1, .max_output_tokens = 1});
  const Call moved(std::move(call));
  CHECK_THROWS_AS(Stream(call, Api::openai_chat), Error);  // NOLINT(bugprone-use-after-move): that is the point
}

TEST_CASE("stream: a status that is no 2xx ends the call by the API's table", "[json][stream]") {
  Books books;
  Budget budget({.usd = 1_usd});
  const std::string request =
      R"({"model":"gpt-4o","max_completion_tokens":100,"stream":true,"messages":[{"role":"user","content":"Hi"}]})";
  struct Case {
    Api api;
    int status;
    std::string body;
    RecordStatus booked;
  };
  for (const Case& one :
       {Case{Api::openai_chat, 429, R"({"error":{"code":"rate_limit_exceeded"}})", RecordStatus::rejected},
        Case{Api::openai_chat, 429, "", RecordStatus::rejected},
        Case{Api::openai_chat, 500, "data: [DONE]\n\n", RecordStatus::indeterminate},
        Case{Api::azure_chat, 400, R"({"error":{"code":"content_filter"}})", RecordStatus::estimated},
        Case{Api::azure_chat, 400, R"({"error":{"code":"other"}})", RecordStatus::rejected},
        Case{Api::openai_chat, 200, "", RecordStatus::indeterminate}})
    for (const bool finishes : {true, false}) {
      GuardedCall call(one.api, request);
      {
        Stream stream = call.stream(one.status);
        for (const char byte : one.body) CHECK(stream.try_feed({&byte, 1}) == FeedResult::go_on);
        if (finishes) stream.finish();
        CHECK_FALSE(stream.complete());
        CHECK(stream.meter().counted_output() == 0);
        if (one.status != 200) CHECK_THROWS_AS(stream.check(), Error);
      }
      INFO(one.status << " " << one.body);
      CHECK(books.last().status == one.booked);
      CHECK_FALSE(call.call().open());
    }
  CHECK(budget.reserved() == Amounts{});
  GuardedCall call(Api::openai_chat, request);
  Stream stream = call.stream(429);
  for (int i = 0; i < 100; ++i) CHECK(stream.try_feed(std::string(10'000, ' ')) == FeedResult::go_on);
  stream.finish();
  CHECK(books.last().status == RecordStatus::rejected);
}

TEST_CASE("stream: try_feed says what a callback must do, and keeps what feed would throw", "[json][stream]") {
  Books books;
  const std::string request = R"({"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Hi"}]})";
  {
    Budget budget({.tokens = 400});
    GuardedCall call(Api::openai_chat, request);
    Stream stream = call.stream(200);
    CHECK(stream.try_feed(text_chunk("Hello")) == FeedResult::go_on);
    CHECK_FALSE(stream.failure());
    FeedResult fed = FeedResult::go_on;
    for (int i = 0; i < 200 && fed == FeedResult::go_on; ++i) fed = stream.try_feed(text_chunk(" one two three"));
    CHECK(fed == FeedResult::cut);
    CHECK(stream.cut());
    REQUIRE(stream.failure());
    CHECK(stream.failure()->reason() == errc::budget_exceeded);
    CHECK(stream.try_feed("more") == FeedResult::cut);
    CHECK_THROWS_AS(stream.check(), BudgetExceeded);
    CHECK(budget.reserved() == Amounts{});
    CHECK(budget.spent().tokens <= 400);
  }
  {
    GuardedCall call(Api::openai_chat, request);
    Stream stream = call.stream(200);
    CHECK(stream.try_feed("data: {broken}\n\n") == FeedResult::failed);
    CHECK(stream.try_feed(text_chunk("Hello")) == FeedResult::failed);
    CHECK(code_thrown([&] { stream.check(); }) == errc::bad_reply);
  }
  {
    struct Throws final : StreamConsumer {
      void on_delta(const StreamDelta&) override { throw 7; }
    } consumer;
    GuardedCall call(Api::openai_chat, request);
    Stream stream = call.stream();
    CHECK(stream.try_feed(text_chunk("Hello"), consumer) == FeedResult::failed);
    CHECK_THROWS_AS(stream.check(), int);
  }
  {
    GuardedCall call(Api::openai_chat, request);
    Stream stream = call.stream(200);
    CHECK(stream.try_feed(text_chunk("Hello") + "data: [DONE]\n\n") == FeedResult::go_on);
    CHECK(stream.try_feed("data: what comes behind the end\n\n") == FeedResult::go_on);
    CHECK_NOTHROW(stream.check());
    CHECK(stream.try_finish()->usage.output > 0);
  }
}
