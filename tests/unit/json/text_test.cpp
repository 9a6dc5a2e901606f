// Requests and replies as text: what a policy has no reason to change keeps its bytes.
#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "outlay/json.hpp"
#include "outlay/testing.hpp"
#include "support/catch.hpp"
#include "support/dice.hpp"
#include "unit/json/books.hpp"

namespace json = boost::json;
using namespace outlay;
using namespace outlay::literals;
using outlay_test::Books;
using outlay_test::Dice;

namespace {

const std::string spaced_chat =
    "{ \"model\" : \"gpt-4o\",\n  \"messages\": [{\"role\":\"user\",\"content\":\"caf\\u00e9 {1,2}: \\\"x\\\"\"}],"
    "\"max_completion_tokens\": 600 , \"temperature\": 1.0e+2, \"x\": 1, \"x\": 2 }";
const std::string paid_text =
    R"({"model":"gpt-4o-mini","choices":[{"index":0,"message":{"content":"Paid."},"finish_reason":"stop"}],
       "usage":{"prompt_tokens":900,"completion_tokens":60,"total_tokens":960}})";

std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// A request as text, and what it is to become.
struct Rewriting {
  std::string before, after;
};

/// A member of an object as text. `before` is empty for one that has to be added.
struct Member {
  std::string key, before, after;
};

/// Writes requests with members that no provider knows, in any order, with any white space.
class Writer {
 public:
  explicit Writer(Dice& dice) : dice_(dice) {}

  Rewriting object(std::vector<Member> members, int depth = 0) {
    for (std::int64_t noise = dice_.between(0, 4); noise > 0; --noise) {
      const std::string value = this->value(depth + 1);
      members.push_back(
          {dice_.one_of<std::string>({"x_a", "x_a", "x:{,}[\\\"", "x_\\u00fc", "x_ü", ""}), value, value});
    }
    std::vector<Member> added;
    const auto is_added = [](const Member& one) { return one.before.empty(); };
    std::copy_if(members.begin(), members.end(), std::back_inserter(added), is_added);
    members.erase(std::remove_if(members.begin(), members.end(), is_added), members.end());
    for (std::size_t i = members.size(); i > 1; --i)
      std::swap(members[i - 1], members[static_cast<std::size_t>(dice_.between(0, static_cast<std::int64_t>(i) - 1))]);
    Rewriting texts;
    const auto both = [&](const std::string& text) { texts.before += text, texts.after += text; };
    both("{");
    for (std::size_t i = 0; i < members.size(); ++i) {
      both((i == 0 ? "" : ",") + space() + '"' + members[i].key + '"' + space() + ':' + space());
      texts.before += members[i].before;
      texts.after += members[i].after;
      if (i + 1 < members.size()) both(space());
    }
    for (std::size_t i = 0; i < added.size(); ++i)
      texts.after += (members.empty() && i == 0 ? "\"" : ",\"") + added[i].key + "\":" + added[i].after;
    both(space() + "}");
    return texts;
  }

  std::string space() { return dice_.one_of<std::string>({"", "", "", " ", "\n", "\r\n\t", "  "}); }

 private:
  std::string value(int depth) {
    const std::int64_t kind = dice_.between(0, depth > 3 ? 2 : 4);
    if (kind == 0)
      return dice_.one_of<std::string>(
          {"\"\"", "\"a \\\" } ] , : { [\"", "\"\\u00e9\\ud83d\\ude00\\/\"", "\"é😀\"", "\"\\\\\"", "\"\\n\\t\""});
    if (kind == 1)
      return dice_.one_of<std::string>(
          {"1.0e+2", "-0", "0.10", "1E-7", "123456789012345678901234567890", "100.00", "-0.0"});
    if (kind == 2) return dice_.one_of<std::string>({"true", "false", "null", "[]", "{}", "[ ]"});
    if (kind == 3) return object({}, depth).before;
    std::string array = "[";
    for (std::int64_t i = 0, size = dice_.between(0, 3); i < size; ++i)
      array += (i == 0 ? "" : ",") + space() + value(depth + 1) + space();
    return array + "]";
  }

  Dice& dice_;
};

/// How an API says what may be changed.
struct Shape {
  Api api;
  bool names_model;
  std::vector<std::string> ceiling;  // the path to it; empty: there is none to write
  Member content;
};

const Member messages{"messages", R"([{"role":"user", "content":"Hello, {you}: \u00e9"}])", ""};

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all{
      {Api::openai_chat, true, {"max_completion_tokens"}, messages},
      {Api::openai_responses, true, {"max_output_tokens"}, {"input", R"("Hello")", ""}},
      {Api::openai_embeddings, true, {}, {"input", R"(["Hello", "you"])", ""}},
      {Api::anthropic_messages, true, {"max_tokens"}, messages},
      {Api::gemini, false, {"generationConfig", "maxOutputTokens"}, {"contents", R"([{"parts":[{"text":"Hi"}]}])", ""}},
      {Api::gemini_embeddings, false, {}, {"content", R"({"parts":[{"text":"Hi"}]})", ""}},
      {Api::bedrock_converse, false, {"inferenceConfig", "maxTokens"}, messages},
      {Api::ollama_chat, true, {"options", "num_predict"}, messages},
      {Api::ollama_generate, true, {"options", "num_predict"}, {"prompt", R"("Hi")", ""}},
      {Api::mistral_chat, true, {"max_tokens"}, messages},
      {Api::deepseek_chat, true, {"max_tokens"}, messages},
      {Api::xai_chat, true, {"max_tokens"}, messages},
      {Api::cohere_chat, true, {"max_tokens"}, messages},
      {Api::cohere_embed, true, {}, {"texts", R"(["Hi"])", ""}},
      {Api::openrouter_chat, true, {"max_tokens"}, messages},
      {Api::azure_chat, true, {"max_completion_tokens"}, messages},
      {Api::openai_compatible, true, {"max_tokens"}, messages},
  };
  return all;
}

/// A request whose model and ceiling become others: either may stay as it is.
Rewriting request_of(const Shape& shape, Dice& dice, const std::string& model, std::int64_t ceiling, bool new_model,
                     bool new_ceiling) {
  Writer write(dice);
  std::vector<Member> members{shape.content};
  members.front().after = members.front().before;
  if (shape.names_model) {
    const std::string old = dice.one_of<std::string>({R"("gpt-4o")", R"("gpt-\u0034o")"});
    members.push_back(
        {dice.chance(20) ? "mod\\u0065l" : "model", old, new_model ? json::serialize(json::value(model)) : old});
  }
  if (!shape.ceiling.empty()) {
    const bool absent = dice.chance(30) && new_ceiling;
    const std::string old = absent ? "" : dice.one_of<std::string>({"600", "600.0", "6.0e+2"});
    const json::value number =
        old.find('.') == std::string::npos ? json::value(ceiling) : json::value(static_cast<double>(ceiling));
    const Member last{shape.ceiling.back(), old, new_ceiling ? json::serialize(number) : old};
    if (shape.ceiling.size() == 1) {
      members.push_back(last);
    } else if (absent && dice.chance(50)) {
      members.push_back({shape.ceiling.front(), "", "{\"" + last.key + "\":" + last.after + "}"});
    } else {
      const Rewriting inner = write.object({last}, 1);
      members.push_back({shape.ceiling.front(), inner.before, inner.after});
    }
  }
  return write.object(std::move(members));
}

}  // namespace

TEST_CASE("text: every API is among the shapes", "[json][text]") {
  REQUIRE(shapes().size() == Api::all().size());
  for (std::size_t i = 0; i < shapes().size(); ++i) CHECK(shapes()[i].api == Api::all()[i]);
}

TEST_CASE("text: a request in which no policy acts keeps every byte", "[json][text][property]") {
  Books books;
  outlay_test::for_each_seed(300, [](std::uint64_t seed) -> std::string {
    Dice dice(seed);
    const Shape& shape = dice.one_of(shapes());
    const Rewriting texts = request_of(shape, dice, {}, 0, false, false);
    const GuardedCall call(shape.api, texts.before, {.model = shape.names_model ? "" : "gpt-4o"});
    return call.body_text() == texts.before ? "" : texts.before + "\nbecame\n" + call.body_text();
  });
}

TEST_CASE("text: where the model or the ceiling changes every other byte stays", "[json][text][property]") {
  Books books;
  outlay_test::for_each_seed(600, [](std::uint64_t seed) -> std::string {
    Dice dice(seed);
    const Shape& shape = dice.one_of(shapes());
    const bool new_model = dice.chance(60), new_ceiling = dice.chance(60);
    const std::string model = dice.one_of<std::string>({"gpt-4o-mini", "quote\"d", "größer"});
    const std::int64_t ceiling = dice.between(16, 590);
    const Rewriting texts = request_of(shape, dice, model, ceiling, new_model, new_ceiling);
    GuardedRequest request(shape.api, texts.before, {.model = shape.names_model ? "" : "gpt-4o"});
    CallRequest wanted = request.call_request();
    if (new_model) wanted.model = model;
    if (new_ceiling && !shape.ceiling.empty()) wanted.max_output_tokens = ceiling;
    Call admitted(wanted);
    const GuardedCall call(std::move(request), std::move(admitted));
    if (json::parse(call.body_text()) != json::value(call.body())) return "text and body differ: " + call.body_text();
    return call.body_text() == texts.after ? ""
                                           : std::string(shape.api.name()) + "\n" + texts.before + "\nbecame\n" +
                                                 call.body_text() + "\nnot\n" + texts.after;
  });
}

TEST_CASE("text: guard sends what the policies left of a text and settles by the reply's", "[json][text]") {
  Books books;
  const auto send_over_http = [](const std::string& request) {
    CHECK(request == with(spaced_chat, "gpt-4o", "gpt-4o-mini"));
    return TextReply{200, paid_text};
  };
  //! [guard_text]
  outlay::Budget budget({.usd = 0.005_usd, .on_exceed = outlay::Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
  const std::string request = spaced_chat;  // nlohmann::json's dump(), say
  const outlay::TextReply reply = outlay::guard(outlay::Api::openai_chat, request, send_over_http);
  //! [guard_text]
  CHECK(reply.body == paid_text);
  CHECK(books.last().status == RecordStatus::settled);
  CHECK(books.last().usage == Usage{.input = 900, .output = 60});
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("text: a transport may take the whole call, where the URL names the model", "[json][text]") {
  Books books;
  const std::string request = R"({"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":1e2}})";
  guard(Api::gemini, request,
        [&](const GuardedCall& call) {
          CHECK(call.model() == "gpt-4o");
          CHECK(call.body_text() == request);
          return TextReply{.body = R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],
                        "usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":2}})"};
        },
        {.model = "gpt-4o"});
  CHECK(books.last().usage == Usage{.input = 10, .output = 2});
}

TEST_CASE("text: a streamed request asks for its usage in place", "[json][text]") {
  Books books;
  const std::string streamed = with(spaced_chat, "\"x\": 1", "\"stream\":true");
  CHECK(GuardedCall(Api::openai_chat, streamed).body_text() ==
        with(streamed, "\"x\": 2", "\"x\": 2,\"stream_options\":{\"include_usage\":true}"));
  const std::string options = with(streamed, "\"x\": 2", "\"stream_options\" : { \"include_obfuscation\":false } ");
  CHECK(GuardedCall(Api::openai_chat, options).body_text() == with(options, ":false", ":false,\"include_usage\":true"));
  CHECK(GuardedCall(Api::openai_chat, streamed, {.ask_for_usage = false}).body_text() == streamed);
}

TEST_CASE("text: fallbacks that a reroute drops go with one comma, the rest stays", "[json][text]") {
  Books books;
  for (const auto& [before, after] : std::map<std::string, std::string>{
           {R"({"models": ["a","b"] , "model":"m" })", R"({ "model":"n" })"},
           {R"({"model":"m", "models": ["a"], "x":1})", R"({"model":"n", "x":1})"},
           {R"({"model":"m","models":["a"]  })", R"({"model":"n"  })"},
           {R"({"models":[],"models":["a"],"model":"m"})", R"({"model":"n"})"},
       }) {
    GuardedRequest request(Api::openrouter_chat, before);
    CallRequest wanted = request.call_request();
    wanted.model = "n";
    Call call(wanted);
    CHECK(request.body_text(call) == after);
  }
}

TEST_CASE("text: a member that is there twice is changed at both places", "[json][text]") {
  Books books;
  const std::string request = R"({"model":"a","options":{"num_predict":9},"options":{"x":1},"model":"m","options":null,
                                  "options":{"num_predict":700},"prompt":""})";
  GuardedRequest guarded(Api::ollama_generate, request);
  CallRequest wanted = guarded.call_request();
  CHECK(wanted.model == "m");
  CHECK(wanted.max_output_tokens == 700);
  wanted.model = "n";
  wanted.max_output_tokens = 5;
  Call call(wanted);
  CHECK(guarded.body_text(call) ==
        R"({"model":"n","options":{"num_predict":5},"options":{"x":1,"num_predict":5},"model":"n","options":null,
                                  "options":{"num_predict":5},"prompt":""})");
}

TEST_CASE("text: each of several embeddings gets the model", "[json][text]") {
  Books books;
  const std::string request = R"({"requests":[ {"model":"models/a" , "content":{"parts":[{"text":"x"}]}},
                                               {"content":{"parts":[]}}, {"z":[1,2],"model":"models/a"} ]})";
  GuardedRequest guarded(Api::gemini_embeddings, request, {.model = "a"});
  CallRequest wanted = guarded.call_request();
  wanted.model = "b";
  Call call(wanted);
  CHECK(guarded.body_text(call) == with(with(request, "models/a", "b"), "models/a", "b"));
}

TEST_CASE("text: what is not one JSON object of bounded depth is refused before it is sent", "[json][text]") {
  Books books;
  bool sent = false;
  const auto refused = [&](const std::string& body) {
    try {
      guard(Api::openai_chat, body, [&](const std::string&) {
        sent = true;
        return TextReply{200, paid_text};
      });
    } catch (const Error& error) {
      CHECK_THAT(error.what(), ContainsSubstring("openai_chat: the request"));
      CHECK_THAT(error.what(), !ContainsSubstring("secret"));
      return error.reason() == errc::invalid_argument;
    }
    return false;
  };
  CHECK(refused(""));
  CHECK(refused("[]"));
  CHECK(refused("\"secret\""));
  CHECK(refused(R"({"model":"gpt-4o","messages":["secret)"));
  CHECK(refused(R"({"model":"gpt-4o"} {"secret":1})"));
  CHECK(refused("{\"model\":\"gpt-4o\",\"x\":\"\xff\"}"));
  CHECK(refused(R"({"messages":[]})"));
  CHECK(refused(R"({"model":"gpt-4o","x":)" + std::string(200, '[') + std::string(200, ']') + "}"));
  CHECK_FALSE(refused(R"({"model":"gpt-4o","x":)" + std::string(100, '[') + std::string(100, ']') + "}"));
  CHECK(sent);
}

TEST_CASE("text: what is unusual and valid keeps its bytes, and what counts in it is what providers read",
          "[json][text]") {
  Books books;
  const auto chat_with = [](const std::string& members) {
    return R"({"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],)" + members + "}";
  };
  struct Row {
    std::string body;
    std::optional<std::int64_t> ceiling;
  };
  for (const Row& row : std::vector<Row>{
           {chat_with(R"("max_tokens":5)") + " \r\n\t\n", 5},
           {"\n " + chat_with(R"("max_tokens":5)"), 5},
           {chat_with(R"("max_tokens":5,"x":1e400,"y":-0,"z":-0.0E+00,"seed":123456789012345678901234567890)"), 5},
           {chat_with(R"("max_tokens":5,"user":"a\u0000b\ud83d\ude00\/")"), 5},
           {chat_with(R"("max_tokens":1E2)"), 100},
           {chat_with(R"("max\u005ftokens":5)"), 5},
           {chat_with(R"("max_tokens":700,"max_tokens":5)"), 5},
           {chat_with(R"("max_tokens":5,"max_tokens":700)"), 700},
           {chat_with(R"("max_tokens":5,"max_completion_tokens":50)"), 50},
           {chat_with(R"("max_tokens":null,"stream":null,"stream_options":null)"), std::nullopt},
           {chat_with(R"("max_tokens":5,"stream":true,"stream":false)"), 5},
           {chat_with(R"("Max_Tokens":5)"), std::nullopt},
           {chat_with(R"("max_tokens":5,"x":)" + std::string(120, '[') + std::string(120, ']')), 5},
           {chat_with(R"("max_tokens":5,"user":")" + std::string(std::size_t{10} << 20, 'x') + '"'), 5},
       }) {
    CAPTURE(row.body.substr(0, 300));
    const GuardedCall call(Api::openai_chat, row.body);
    CHECK((call.body_text() == row.body));
    CHECK_FALSE(call.request().streamed());
    CHECK(call.call().max_output_tokens() == row.ceiling);
  }
  for (const char* const options : {R"({"include_usage":false})", R"({"include_usage":null})", "null", "{}"}) {
    const std::string before = chat_with(R"("stream":true,"stream_options":)" + std::string(options));
    CHECK(GuardedCall(Api::openai_chat, before).body_text() == with(before, options, R"({"include_usage":true})"));
  }
}

TEST_CASE("text: what is no request is refused with its place, and none of its text", "[json][text]") {
  Books books;
  const auto chat_with = [](const std::string& members) {
    return R"({"model":"gpt-4o","messages":[],)" + members + "}";
  };
  const std::string ok = chat_with(R"("max_tokens":5)");
  struct Row {
    std::string body, said;
  };
  for (const Row& row : std::vector<Row>{
           {"\xEF\xBB\xBF" + ok, "begins with a byte order mark"},
           {"", "is empty"},
           {" \n", "is empty"},
           {ok + '\0', "at byte 48 of 48"},
           {ok + ok, "at byte 48 of 94"},
           {ok.substr(0, 40), "at byte 40 of 40"},
           {chat_with(R"("user":"\ud800")"), "at byte "},
           {chat_with(R"("user":"\udc00x")"), "at byte "},
           {chat_with("\"user\":\"a\nb\""), "at byte "},
           {chat_with(std::string("\"user\":\"a\0b\"", 12)), "at byte "},
           {chat_with("\"user\":\"a\xff\""), "at byte "},
           {chat_with(R"("max_tokens":5,)"), "at byte "},
           {chat_with("\"max_tokens\":5 // secret\n"), "at byte "},
           {"/* secret */" + ok, "at byte 1 of "},
           {chat_with(R"("x":NaN)"), "at byte "},
           {chat_with(R"("x":)" + std::string(128, '[') + std::string(128, ']')), "too deep"},
           {"[" + ok + "]", "is not a JSON object"},
           {"null", "is not a JSON object"},
           {chat_with(R"("max_tokens":1.5)"), R"("max_tokens" must be a whole number)"},
           {chat_with(R"("max_tokens":"5")"), R"("max_tokens" must be a whole number)"},
           {chat_with(R"("max_tokens":1e400)"), R"("max_tokens" must be a whole number)"},
           {chat_with(R"("max_tokens":18446744073709551615)"), "must be between 0 and 2,000,000,000"},
           {chat_with(R"("stream":1)"), R"("stream" must be true or false)"},
           {chat_with(R"("stream":"true")"), R"("stream" must be true or false)"},
           {chat_with(R"("stream":true,"stream_options":"secret")"), R"("stream_options" must be an object)"},
           {chat_with(R"("stream":true,"stream_options":{"include_usage":1})"),
            R"("include_usage" must be true or false)"},
           {chat_with(R"("n":1000000000)"), "choices must be between 1 and 1,024"},
       }) {
    CAPTURE(row.body.substr(0, 300));
    std::string said;
    try {
      const GuardedCall call(Api::openai_chat, row.body);
    } catch (const Error& error) {
      CHECK(error.reason() == errc::invalid_argument);
      said = error.what();
    }
    CHECK_THAT(said, ContainsSubstring(row.said));
    CHECK_THAT(said, !ContainsSubstring("secret"));
  }
}

TEST_CASE("text: a reply that is not JSON is judged by its status", "[json][text]") {
  Books books;
  Budget budget({.usd = 1_usd});
  const auto post = [](int status, const std::string& body) {
    return guard(Api::openai_chat, spaced_chat, [&](const std::string&) { return TextReply{status, body}; });
  };
  CHECK(post(429, "Too many requests").status == 429);
  CHECK(books.last().status == RecordStatus::rejected);
  CHECK(budget.spent().usd == 0_usd);
  post(502, "<html>Bad gateway</html>");
  CHECK(books.last().status == RecordStatus::indeterminate);
  const std::size_t before = books.ledger.records().size();
  for (const std::string& paid :
       {std::string(), std::string(" \n"), std::string("OK"), paid_text.substr(0, 80), paid_text + "x"})
    CHECK_THROWS_AS(post(200, paid), Error);
  CHECK(books.ledger.records().size() == before + 5);
  for (const Record& record : books.ledger.records())
    if (record.status != RecordStatus::rejected) CHECK(record.status == RecordStatus::indeterminate);
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("text: a reply with half a character is booked by its usage, and so is one behind a byte order mark",
          "[json][text]") {
  Books books;
  const auto settled = [&](const std::string& text) {
    const Settled booked = GuardedCall(Api::openai_chat, spaced_chat).reply(200, text);
    return booked.status == RecordStatus::settled && booked.usage == Usage{.input = 900, .output = 60};
  };
  CHECK(settled("\xEF\xBB\xBF" + paid_text));
  for (const char* const text : {"\\ud83d", "\\ud83d \\ude00", "\\ude00\\ud83d\\n", "\\\\\\uD83D", "\\ud83d\\u0041",
                                 "\\ud83d\\ude00\\uDEAD", "\xF0\x9F"}) {
    CAPTURE(text);
    CHECK(settled(with(paid_text, "Paid.", text)));
  }
  for (const char* const text : {"\\ud83", "\\u+d83", "\\x"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(settled(with(paid_text, "Paid.", text)), Error);
  }
}

TEST_CASE("text: half a character and a byte order mark cost no usage on any way in", "[json][text]") {
  const std::string usage =
      R"("usageMetadata":{"promptTokenCount":1000,"candidatesTokenCount":10,"totalTokenCount":1010})";
  for (const char* const text : {"\\ud83d", "\\ud83d \\ude00", "\\ude00\\ud83d\\n", "\\\\\\uD83D", "\\ud83d\\u0041",
                                 "\\ud83d\\ude00\\uDEAD", "\\ud83d\\ud83d\\ude00", "\xF0\x9F"}) {
    CAPTURE(text);
    const std::string reply = with(paid_text, "Paid.", text);
    const auto settled = [](Api api, const std::string& request, const std::string& body) {
      Books books;
      const Settled booked = GuardedCall(api, request, {.model = "gemini-2.5-pro"}).reply(200, body);
      CHECK(booked.status == RecordStatus::settled);
      return booked.usage;
    };
    const Usage paid{.input = 900, .output = 60};
    CHECK(settled(Api::openai_chat, spaced_chat,
                  R"({"custom_id":"a","response":{"status_code":200,"body":)" + reply + "}}") == paid);
    const std::string streamed = with(spaced_chat, "{", R"({"stream":true,)");
    CHECK(settled(Api::openai_chat, streamed, reply) == paid);
    CHECK(settled(Api::openai_chat, streamed, "\xEF\xBB\xBF" + reply) == paid);
    const std::string array = R"([{"candidates":[{"content":{"parts":[{"text":")" + std::string(text) +
                              R"("}]}}]},{"candidates":[{"content":{"parts":[{"text":")" + text +
                              R"("}]},"finishReason":"STOP"}],)" + usage + "}]";
    for (const char* const start : {"", "\xEF\xBB\xBF"})
      for (std::size_t size = 1; size < 16; ++size) {
        StreamMeter meter(Api::gemini);
        const std::string bytes = start + array;
        for (std::size_t at = 0; at < bytes.size(); at += size) meter.feed(bytes.substr(at, size));
        meter.finish();
        CHECK(meter.usage() == Usage{.input = 1'000, .output = 10});
        CHECK_FALSE(meter.estimated());
      }
  }
}

TEST_CASE("text: a reply as text is booked as the same reply as a value", "[json][text]") {
  Books books;
  const std::vector<std::pair<int, std::string>> replies{
      {200, paid_text},
      {200, R"({"error":{"code":429,"message":"slow down"}})"},
      {200, R"({"error":{"code":200}})"},
      {200, R"({"choices":[{"message":{"content":"no usage"}}]})"},
      {200, R"({"choices":[],"usage":{"prompt_tokens":-1}})"},
      {400, R"({"error":{"code":"content_filter"}})"},
      {500, R"({"error":{}})"},
  };
  for (const Api api : {Api::openai_chat, Api::azure_chat, Api::openrouter_chat})
    for (const auto& [status, body] : replies) {
      const json::object request = json::parse(spaced_chat).as_object();
      GuardedCall(api, request).reply(status, json::parse(body));
      const Record as_value = books.last();
      GuardedCall(api, spaced_chat).reply(status, body);
      const Record as_text = books.last();
      INFO(api.name() << " " << status << " " << body);
      CHECK(as_text.status == as_value.status);
      CHECK(as_text.usage == as_value.usage);
      CHECK(as_text.usd == as_value.usd);
    }
}

TEST_CASE("text: the lines of a stream may be given as one reply", "[json][text]") {
  Books books;
  const std::string request = R"({"model":"llama3","messages":[]})";
  std::string text;
  for (int i = 0; i < 1'000; ++i) text += "word ";
  const std::string lines = "{\"model\":\"llama3\",\"message\":{\"content\":\"" + text +
                            "\"},\"done\":false}\n{\"model\":\"llama3\",\"message\":{\"content\":\"\"},\"done\":true,"
                            "\"prompt_eval_count\":700,\"eval_count\":900}\n";
  {
    Budget budget({.tokens = 400});
    guard(Api::ollama_chat, request, [&](const std::string&) { return TextReply{200, lines}; });
    CHECK(budget.reserved() == Amounts{});
  }
  CHECK(books.last().status == RecordStatus::settled);
  CHECK(books.last().usage == Usage{.input = 700, .output = 900});  // more than fits, and paid for: not cut
  const Result<Settled> broken = GuardedCall(Api::ollama_chat, request).try_reply(200, "{]");
  REQUIRE_FALSE(broken);
  CHECK(broken.error().reason() == errc::bad_reply);
  CHECK(books.last().status == RecordStatus::indeterminate);
}

TEST_CASE("text: a callback may give a reply without exceptions", "[json][text]") {
  Books books;
  GuardedCall paid(Api::openai_chat, spaced_chat);
  const Result<Settled> settled = paid.try_reply(200, paid_text);
  REQUIRE(settled);
  CHECK(settled->usage == Usage{.input = 900, .output = 60});
  GuardedCall broken(Api::openai_chat, spaced_chat);
  const Result<Settled> failed = broken.try_reply(200, "{");
  REQUIRE_FALSE(failed);
  CHECK(failed.error().reason() == errc::bad_reply);
  CHECK(books.last().status == RecordStatus::indeterminate);
}

TEST_CASE("text: a request that was given as an object has a text of its own only by its body", "[json][text]") {
  Books books;
  const json::object request = json::parse(spaced_chat).as_object();
  const GuardedCall call(Api::openai_chat, request);
  CHECK_THROWS_AS(call.body_text(), Error);
  CHECK(call.request().body_text(call.call()) == json::serialize(call.body()));
}

TEST_CASE("text: what would be paid for a request as text is what its object costs", "[json][text]") {
  Books books;
  CHECK(estimate(Api::openai_chat, spaced_chat).usd ==
        estimate(Api::openai_chat, json::parse(spaced_chat).as_object()).usd);
}

TEST_CASE("guard: a transport that throws may say that nothing is billed", "[json][guard]") {
  Books books;
  Budget budget({.usd = 1_usd});
  const auto post = [](int status) {
    guard(Api::openai_chat, spaced_chat, [&](const std::string&) -> TextReply { throw NotBilled(status); });
  };
  CHECK_THROWS_AS(post(429), NotBilled);
  CHECK(books.last().status == RecordStatus::rejected);
  CHECK(books.last().reason == "HTTP 429");
  CHECK_THROWS_AS(post(0), NotBilled);
  CHECK(books.last().status == RecordStatus::rejected);
  const json::object request = json::parse(spaced_chat).as_object();
  CHECK_THROWS_AS(guard(Api::openai_chat, request, [](const json::object&) -> json::value { throw NotBilled(503); }),
                  NotBilled);
  CHECK(books.last().reason == "HTTP 503");
  CHECK(budget.spent().usd == 0_usd);
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("guard: exceptions of a client's own are judged by the program", "[json][guard]") {
  struct ClientError : std::runtime_error {
    explicit ClientError(int code) : std::runtime_error("client"), status(code) {}
    int status;
  };
  Books books;
  const GuardOptions options{.judge = [](const std::exception& thrown) -> std::optional<int> {
    const auto* const error = dynamic_cast<const ClientError*>(&thrown);
    if (error == nullptr) return std::nullopt;
    if (error->status < 0) throw std::logic_error("not known");
    return error->status;
  }};
  const auto booked = [&](auto thrown) {
    CHECK_THROWS(guard(Api::openai_chat, spaced_chat, [&](const std::string&) -> TextReply { throw thrown; }, options));
    return books.last().status;
  };
  CHECK(booked(ClientError(429)) == RecordStatus::rejected);
  CHECK(booked(ClientError(0)) == RecordStatus::rejected);
  CHECK(booked(ClientError(500)) == RecordStatus::indeterminate);
  CHECK(booked(ClientError(200)) == RecordStatus::indeterminate);
  CHECK(booked(ClientError(-1)) == RecordStatus::indeterminate);
  CHECK(booked(std::runtime_error("reset")) == RecordStatus::indeterminate);
  CHECK(booked(7) == RecordStatus::indeterminate);
}
