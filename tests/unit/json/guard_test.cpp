#include <boost/json.hpp>
#include <string>
#include <vector>

#include "outlay/json.hpp"
#include "outlay/testing.hpp"
#include "support/catch.hpp"
#include "support/log_capture.hpp"
#include "unit/json/books.hpp"

namespace json = boost::json;
using namespace outlay;
using namespace outlay::literals;
using outlay_test::Books;

namespace {

const json::object question{{"model", "gpt-4o"},
                            {"max_completion_tokens", 600},
                            {"messages", {{{"role", "user"}, {"content", "Summarize invoice 1042."}}}}};

json::value paid_reply() {
  return json::parse(
      R"({"model": "gpt-4o-mini", "choices": [{"index": 0, "message": {"content": "Paid."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 900, "completion_tokens": 60, "prompt_tokens_details": {"cached_tokens": 512},
              "completion_tokens_details": {"reasoning_tokens": 16}}})");
}

json::value reply_with_usage(const char* usage) {
  json::value reply = paid_reply();
  reply.as_object()["usage"] = json::parse(usage);
  return reply;
}

}  // namespace

TEST_CASE("guard: a request is rerouted, sent and settled by its reply", "[json][guard]") {
  Books books;
  const auto send_over_http = [](const json::object& request) {
    CHECK(request.at("model") == "gpt-4o-mini");
    return paid_reply();
  };
  //! [guard_example]
  outlay::Budget budget({.usd = 0.005_usd, .on_exceed = outlay::Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
  const json::object request{
      {"model", "gpt-4o"},
      {"max_completion_tokens", 600},
      {"messages", {{{"role", "user"}, {"content", "Summarize invoice 1042."}}}},
  };
  const json::value reply = outlay::guard(outlay::Api::openai_chat, request, send_over_http);
  //! [guard_example]
  CHECK(reply.at("choices").at(0).at("message").at("content") == "Paid.");
  const Record record = books.last();
  CHECK(record.status == RecordStatus::settled);
  CHECK(record.usage == Usage{.input = 388, .cache_read = 512, .output = 60, .reasoning = 16});
  CHECK(record.model == "gpt-4o-mini");
  CHECK(budget.spent().tokens == 960);
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("guard: tags in braces are those of the call", "[json][guard]") {
  Books books;
  const std::string turn = "7";
  const auto post = [](const json::object&) { return paid_reply(); };
  guard(Api::openai_chat, question, post, {.tags = {{"feature", "chat"}, {"turn", turn}}});
  CHECK(books.last().tags == Tags{{"feature", "chat"}, {"turn", "7"}});
}

TEST_CASE("guard: a guarded request keeps its tags", "[json][guard]") {
  Books books;
  const GuardedRequest request(Api::openai_chat, question, {.tags = {{"turn", "turn " + std::to_string(7)}}});
  Call call(request.call_request());
  call.settle({.input = 1});
  CHECK(books.last().tags == Tags{{"turn", "turn 7"}});
}

TEST_CASE("guard: the request is otherwise untouched", "[json][guard]") {
  Books books;
  Budget budget({.tokens = 400, .on_exceed = Clamp{}});
  json::object request = question;
  request["x_unknown"] = json::value{{"deep", {1, 2.5, nullptr}}};
  guard(Api::openai_chat, request, [&](const json::object& sent) {
    CHECK(sent.at("max_completion_tokens").as_int64() < 400);
    CHECK_FALSE(sent.contains("max_tokens"));
    json::object same = sent;
    same["max_completion_tokens"] = 600;
    CHECK(same == request);
    return paid_reply();
  });
}

TEST_CASE("guard: a ceiling that fits is left as the caller wrote it", "[json][guard]") {
  Books books;
  Budget budget({.tokens = 4'000, .on_exceed = Clamp{}});
  json::object request = question;
  request.erase("max_completion_tokens");
  request["max_tokens"] = 4;
  guard(Api::openai_chat, request, [&](const json::object& sent) {
    CHECK(sent == request);
    return paid_reply();
  });
  CHECK(books.ledger.clamps().empty());
}

TEST_CASE("guard: a refused request is not sent", "[json][guard]") {
  Books books;
  Budget budget({.usd = 0.001_usd});
  bool sent = false;
  CHECK_THROWS_AS(guard(Api::openai_chat, question,
                        [&](const json::object&) {
                          sent = true;
                          return paid_reply();
                        }),
                  BudgetExceeded);
  CHECK_FALSE(sent);
  CHECK(books.ledger.records().empty());
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("guard: a transport that throws leaves the call indeterminate", "[json][guard]") {
  Books books;
  Budget budget({.usd = 1_usd});
  CHECK_THROWS_AS(
      guard(Api::openai_chat, question, [](const json::object&) -> json::value { throw std::runtime_error("reset"); }),
      std::runtime_error);
  CHECK(books.last().status == RecordStatus::indeterminate);
  CHECK(budget.spent().usd > 0.006_usd);
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("guard: a reply without usage is settled by its visible text, marked estimated", "[json][guard]") {
  Books books;
  Budget budget({.usd = 1_usd});
  json::value reply = paid_reply();
  reply.as_object().erase("usage");
  guard(Api::openai_chat, question, [&](const json::object&) { return reply; });
  const Record record = books.last();
  CHECK(record.status == RecordStatus::estimated);
  CHECK(record.usage.input > 0);
  CHECK(record.usage.output > 0);
  CHECK(record.usage.output < 20);
}

TEST_CASE("guard: a value that is no reply is a typed error, with the reservation charged", "[json][guard]") {
  for (const char* const text : {"null", "[]", "{}", "7", "\"secret\"", "{\"answer\":\"secret\"}"}) {
    INFO(text);
    Books books;
    Budget budget({.usd = 1_usd});
    try {
      guard(Api::openai_chat, question, [&](const json::object&) { return json::parse(text); });
      FAIL("it was taken for a reply");
    } catch (const Error& error) {
      CHECK(error.reason() == errc::bad_reply);
      CHECK(std::string(error.what()).find("secret") == std::string::npos);
    }
    CHECK(books.last().status == RecordStatus::indeterminate);
    CHECK(budget.spent().usd > 0.006_usd);
  }
}

TEST_CASE("guard: a usage that cannot be is charged as indeterminate, and the reply returned", "[json][guard]") {
  for (const char* const usage :
       {R"({"prompt_tokens": -1, "completion_tokens": 5})", R"({"prompt_tokens": 1.5, "completion_tokens": 5})",
        R"({"prompt_tokens": 1e30, "completion_tokens": 5})",
        R"({"prompt_tokens": 18446744073709551615, "completion_tokens": 5})"}) {
    INFO(usage);
    Books books;
    const json::value reply =
        guard(Api::openai_chat, question, [&](const json::object&) { return reply_with_usage(usage); });
    CHECK(reply.is_object());
    CHECK(books.last().status == RecordStatus::indeterminate);
    CHECK(books.last().usd > 0.006_usd);
  }
}

TEST_CASE("guard: counts that contradict one another are read dearly and marked", "[json][guard]") {
  Books books;
  guard(Api::openai_chat, question, [&](const json::object&) {
    return reply_with_usage(
        R"({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 30}})");
  });
  CHECK(books.last().status == RecordStatus::estimated);
  CHECK(books.last().usage == Usage{.input = 10, .cache_read = 30, .output = 5});
}

TEST_CASE("guard: a paid reply is returned though it crosses a Raise budget", "[json][guard]") {
  Books books;
  Budget budget({.usd = 0.00001_usd, .on_exceed = Raise{}});
  CHECK(guard(Api::openai_chat, question, [&](const json::object&) { return paid_reply(); }).is_object());
  CHECK(budget.spent().usd > 0.00001_usd);
  CHECK_THROWS_AS(guard(Api::openai_chat, question, [&](const json::object&) { return paid_reply(); }), BudgetExceeded);
}

TEST_CASE("guard: the status says whether a refusal is charged", "[json][guard]") {
  struct Case {
    Api api;
    int status;
    const char* body;
    RecordStatus expected;
    bool charged;
  };
  const char* const filtered = R"({"error": {"code": "content_filter", "message": "m", "innererror": {}}})";
  for (const Case& one :
       std::vector<Case>{{Api::openai_chat, 400, "{}", RecordStatus::rejected, false},
                         {Api::openai_chat, 400, filtered, RecordStatus::rejected, false},
                         {Api::azure_chat, 400, filtered, RecordStatus::estimated, true},
                         {Api::azure_chat, 400, R"({"error": {"code": "BadRequest"}})", RecordStatus::rejected, false},
                         {Api::openai_chat, 401, "null", RecordStatus::rejected, false},
                         {Api::openrouter_chat, 402, "{}", RecordStatus::rejected, false},
                         {Api::openai_chat, 429, "{}", RecordStatus::rejected, false},
                         {Api::openai_chat, 503, "null", RecordStatus::rejected, false},
                         {Api::openai_chat, 529, "null", RecordStatus::rejected, false},
                         {Api::openai_chat, 408, "null", RecordStatus::indeterminate, true},
                         {Api::openai_chat, 500, "null", RecordStatus::indeterminate, true},
                         {Api::openai_chat, 502, "null", RecordStatus::indeterminate, true},
                         {Api::openai_chat, 302, "null", RecordStatus::indeterminate, true}}) {
    INFO(one.api.name() << " " << one.status);
    Books books;
    Budget budget({.usd = 1_usd});
    const HttpReply reply =
        guard(one.api, question, [&](const json::object&) { return HttpReply{one.status, json::parse(one.body)}; });
    CHECK(reply.status == one.status);
    CHECK(books.last().status == one.expected);
    CHECK((budget.spent().usd > 0_usd) == one.charged);
    CHECK(budget.reserved() == Amounts{});
  }
}

TEST_CASE("guard: an error in place of a reply ends by the status that it names", "[json][guard]") {
  Books books;
  guard(Api::openrouter_chat, question,
        [](const json::object&) { return json::parse(R"({"error": {"code": 402, "message": "m"}})"); });
  CHECK(books.last().status == RecordStatus::rejected);
  guard(Api::anthropic_messages, json::object{{"model", "gpt-4o"}, {"max_tokens", 5}, {"messages", json::array{}}},
        [](const json::object&) { return json::parse(R"({"type": "error", "error": {"type": "overloaded_error"}})"); });
  CHECK(books.last().status == RecordStatus::rejected);
  guard(Api::openai_chat, question, [](const json::object&) { return json::parse(R"({"error": {"message": "m"}})"); });
  CHECK(books.last().status == RecordStatus::indeterminate);
}

TEST_CASE("guard: an answer that is still being made is not booked as free", "[json][guard]") {
  Books books;
  guard(Api::openai_responses,
        json::object{{"model", "gpt-4o"}, {"max_output_tokens", 100}, {"input", "hi"}, {"background", true}},
        [](const json::object&) {
          return json::parse(R"({"id": "r", "status": "queued", "model": "gpt-4o", "output": [], "usage": null})");
        });
  CHECK(books.last().status == RecordStatus::indeterminate);
  CHECK(books.last().usd > 0_usd);
}

TEST_CASE("guard: requests that make no sense name the member", "[json][guard]") {
  Books books;
  const auto refused = [](const json::object& request, const char* named, Api api = Api::openai_chat) {
    try {
      guard(api, request, [](const json::object&) { return paid_reply(); });
    } catch (const Error& error) {
      CHECK(error.reason() == errc::invalid_argument);
      CHECK_THAT(error.what(), ContainsSubstring(named));
      return true;
    }
    return false;
  };
  CHECK(refused({{"messages", json::array{}}}, "model"));
  CHECK(refused({{"model", 7}}, "model"));
  CHECK(refused({{"model", "gpt-4o"}, {"max_tokens", "many"}}, "max_tokens"));
  CHECK(refused({{"model", "gpt-4o"}, {"n", 1.5}}, "\"n\""));
  CHECK(refused({{"model", "gpt-4o"}, {"stream", true}}, "stream"));
  CHECK(refused({{"contents", "hi"}}, "GuardOptions::model", Api::gemini));
  CHECK(books.ledger.records().empty());
}

TEST_CASE("guard: a transport may ask for the model, where it belongs into the URL", "[json][guard]") {
  Books books;
  Budget budget({.usd = 0.0005_usd, .on_exceed = Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
  const json::object request{{"contents", json::array{{{"parts", json::array{{{"text", "hi"}}}}}}},
                             {"generationConfig", {{"maxOutputTokens", 100}}}};
  guard(Api::gemini, request,
        [&](const GuardedCall& call) {
          CHECK(call.model() == "gpt-4o-mini");
          CHECK(call.body() == request);
          return json::parse(
              R"({"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}],
                             "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}})");
        },
        {.model = "gpt-4o"});
  CHECK(books.last().usage == Usage{.input = 10, .output = 5, .reasoning = 3});
}

TEST_CASE("guard: a streamed request asks for its usage, once and only where it must", "[json][guard]") {
  Books books;
  json::object request = question;
  request["stream"] = true;
  request["stream_options"] = {{"include_obfuscation", false}};
  {
    GuardedCall call(Api::openai_chat, request);
    CHECK(call.body().at("stream_options") == json::value{{"include_obfuscation", false}, {"include_usage", true}});
    CHECK(call.request().drop_usage_event());
  }
  {
    GuardedCall call(Api::openai_chat, request, {.ask_for_usage = false});
    CHECK(call.body() == request);
  }
  {
    GuardedCall call(Api::mistral_chat, request);  // refuses members that it does not know
    CHECK(call.body() == request);
  }
  request["stream_options"] = {{"include_usage", true}};
  {
    GuardedCall call(Api::openai_chat, request);
    CHECK(call.body() == request);
    CHECK_FALSE(call.request().drop_usage_event());
  }
  const json::object message{{"model", "gpt-4o"}, {"max_tokens", 9}, {"stream", true}, {"messages", json::array{}}};
  {
    GuardedCall call(Api::anthropic_messages, message);  // reports without being asked
    CHECK(call.body() == message);
  }
  CHECK(books.ledger.records().empty());  // none was sent: all released
}

TEST_CASE("estimate: says what a request costs at most, and reserves nothing", "[json][estimate]") {
  Books books;
  Budget budget({.usd = 1_usd});
  const Estimate estimated = estimate(Api::openai_chat, question);
  CHECK(estimated.usage.output == 600);
  CHECK(estimated.usage.input > 5);
  CHECK(estimated.usage.input <= estimated.input_upper);
  CHECK(estimated.input_upper < 60);
  CHECK(estimated.usd == books.ledger.prices().cost("gpt-4o", {.input = estimated.input_upper, .output = 600}).usd);
  CHECK(estimated.bounded);
  CHECK(estimated.rule == PriceRule::exact);
  CHECK(budget.reserved() == Amounts{});
  CHECK_THROWS_AS(estimate(Api::openai_chat, json::object{{"model", "no-such-model"}}), PriceUnknown);
}

TEST_CASE("guard: an error with status 200 inside a reply ends the call as indeterminate", "[json][guard]") {
  for (const char* const code : {"200", "204", "100", "0", "\"200\""}) {
    Books books;
    const json::value reply = json::parse(R"({"error":{"code":)" + std::string(code) + "}}");
    guard(Api::openai_chat, question, [&](const json::object&) { return json::value(reply); });
    CHECK(books.last().status == RecordStatus::indeterminate);
  }
}

TEST_CASE("guard: counts that add up to too many leave the call indeterminate", "[json][guard]") {
  Books books;
  const json::object request{{"contents", json::array{}}};
  const json::value reply = json::parse(
      R"({"candidates":[],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2000000000,"thoughtsTokenCount":2000000000}})");
  guard(Api::gemini, request, [&](const json::object&) { return json::value(reply); }, {.model = "gpt-4o"});
  CHECK(books.last().status == RecordStatus::indeterminate);
}

TEST_CASE("guard: a provider is known by the API or by the address", "[json][guard]") {
  Books books(PriceTable::bundled());
  const json::object request{{"model", "llama-3.1-8b-instant"}, {"max_tokens", 10}, {"messages", json::array{}}};
  Budget budget({.usd = 1_usd});
  CHECK_THROWS_AS(GuardedCall(Api::openai_compatible, request), PriceUnknown);
  GuardedCall call(Api::openai_compatible, request, {.provider = "https://api.groq.com/openai/v1"});
  call.sent();
  const Settled settled = call.reply(json::parse(
      R"({"model":"llama-3.3-70b-versatile","choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000000,"completion_tokens":1000000}})"));
  CHECK(settled.usd == 1.38_usd);
  CHECK(books.last().provider == "groq");
}

TEST_CASE("guard: a refusal advises the ceiling by its API's own name", "[json][guard]") {
  const Ledger ledger({.prices = testing::fixture_prices()});
  const LedgerScope scope(ledger);
  const Budget budget({.name = "small", .tokens = 500, .unbounded = Unbounded::refuse});
  const auto says = [](Api api, const char* request) {
    try {
      const GuardedCall call(api, std::string_view(request), {.model = "gpt-4o"});
    } catch (const Error& refused) {
      return std::string(refused.what());
    }
    return std::string("admitted");
  };
  struct Row {
    Api api;
    const char* set;    // a request with a ceiling that is too high
    const char* unset;  // and one without
    const char* name;
  };
  for (const Row& row : std::vector<Row>{
           {Api::openai_chat, R"({"messages":[],"max_tokens":900})", nullptr, "max_tokens"},
           {Api::openai_chat, R"({"messages":[],"max_completion_tokens":900})", R"({"messages":[]})",
            "max_completion_tokens"},
           {Api::openai_compatible, nullptr, R"({"messages":[]})", "max_tokens"},
           {Api::openai_responses, R"({"input":"hi","max_output_tokens":900})", R"({"input":"hi"})",
            "max_output_tokens"},
           {Api::anthropic_messages, R"({"messages":[],"max_tokens":900})", R"({"messages":[]})", "max_tokens"},
           {Api::gemini, R"({"contents":[],"generationConfig":{"maxOutputTokens":900}})", R"({"contents":[]})",
            "generationConfig.maxOutputTokens"},
           {Api::bedrock_converse, R"({"messages":[],"inferenceConfig":{"maxTokens":900}})", R"({"messages":[]})",
            "inferenceConfig.maxTokens"},
           {Api::ollama_chat, R"({"messages":[],"options":{"num_predict":900}})", R"({"messages":[]})",
            "options.num_predict"},
           {Api::cohere_chat, R"({"messages":[],"max_tokens":900})", R"({"messages":[]})", "max_tokens"},
       }) {
    CAPTURE(row.api.name(), row.name);
    if (row.set != nullptr)
      CHECK_THAT(says(row.api, row.set), ContainsSubstring("Lower " + std::string(row.name) + ','));
    if (row.unset != nullptr)
      CHECK_THAT(says(row.api, row.unset), ContainsSubstring("Set " + std::string(row.name) + '.'));
  }
}

TEST_CASE("guard: the log says by its API's own name which ceiling would have made a cap hard", "[json][guard]") {
  const Books books;
  const outlay_test::LogCapture log;
  const Budget budget({.tokens = 300});
  GuardedCall call(Api::anthropic_messages, std::string_view(R"({"model":"gpt-4o","messages":[]})"));
  call.reply(200,
             std::string_view(R"({"type":"message","content":[],"usage":{"input_tokens":5,"output_tokens":900}})"));
  CHECK(log.contains("its budgets are not hard caps for it. Set max_tokens,"));
  CHECK(log.contains("For a hard cap set max_tokens,"));
}
