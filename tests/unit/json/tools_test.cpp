// Tools that providers bill by use: where replies say that they ran.
#include "bill.hpp"

using namespace outlay_test;

TEST_CASE("bill: Gemini's searches are counted wherever it says them", "[json][bill]") {
  const auto interaction = [](const std::string& members) {
    return read(Api::gemini, R"({"model":"gemini-3-pro","status":"completed",)" + members + "}");
  };
  const std::string tokens = R"("usage":{"total_input_tokens":10,"total_output_tokens":9,"total_tokens":19)";
  CHECK(interaction(
            tokens +
            R"(,"grounding_tool_count":[{"type":"google_search","count":2},{"type":"google_maps","count":1}]})") ==
        Usage{.input = 10, .output = 9, .web_searches = 2, .other_tools = 1});
  for (const std::string list : {"outputs", "steps"}) {
    INFO(list);
    CHECK(interaction(tokens + R"(},")" + list + R"(":[{"type":"google_search_call","arguments":{"queries":["a","b"]}},
        {"arguments":{"queries":["c"]},"type":"google_search_call"},
        {"type":"function_call","name":"f","arguments":{"queries":["d","e"]}},{"type":"text","text":"x"}])")
              .web_searches == 3);
  }
  const StreamMeter meter = [&] {
    StreamMeter reading(Api::gemini);
    reading.feed(events(
        {R"({"event_type":"content.delta","index":0,"delta":{"arguments":{"queries":["a","b"]},"type":"google_search_call"}})",
         R"({"event_type":"content.delta","index":1,"delta":{"type":"function_call","name":"f","arguments":{"queries":["c"]}}})",
         R"({"event_type":"interaction.complete","interaction":{"model":"gemini-3-pro",)" + tokens + "}}}"},
        false));
    reading.finish();
    return reading;
  }();
  CHECK(meter.usage().web_searches == 2);
  CHECK(
      read(
          Api::gemini,
          R"({"modelVersion":"gemini-3-pro","candidates":[{"groundingMetadata":{"webSearchQueries":["a"],"imageSearchQueries":["a","b"]}}],
                 "usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":9,"totalTokenCount":19}})")
          .web_searches == 3);
}

TEST_CASE("bill: where the reply does not say which Gemini answered, the admitted model says how searches are billed",
          "[json][bill]") {
  const auto searches = [](const std::string& admitted, const std::string& served, bool streamed = false) {
    const std::string reply =
        R"({"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP","groundingMetadata":{"webSearchQueries":["a","b","c"]}}],)" +
        (served.empty() ? std::string() : R"("modelVersion":")" + served + R"(",)") +
        R"("usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":10,"totalTokenCount":20}})";
    return booked({Api::gemini, R"({"contents":[]})", admitted}, streamed ? events({reply}, false) : reply, streamed)
        .usage.web_searches;
  };
  for (const bool streamed : {false, true}) {
    CHECK(searches("gemini-2.5-flash", "", streamed) == 1);
    CHECK(searches("gemini-2.5-flash", "gemini-flash-latest", streamed) == 1);
    CHECK(searches("gemini-3-pro-preview", "", streamed) == 3);
    CHECK(searches("gemini-2.5-flash", "gemini-3-flash-preview", streamed) == 3);
  }
}

TEST_CASE("bill: searches that a stream has shown are billed though its end never came", "[json][bill]") {
  std::vector<std::string> searched{R"({"type":"response.created","response":{"model":"gpt-4.1","usage":null}})"};
  for (int i = 0; i < 4; ++i)
    searched.push_back(
        R"({"type":"response.output_item.done","output_index":0,"item":{"type":"web_search_call","action":{"type":"search","query":"q"}}})");
  searched.push_back(
      R"({"type":"response.output_item.done","output_index":0,"item":{"type":"web_search_call","action":{"type":"open_page"}}})");
  const Asked asked{
      Api::openai_responses,
      R"({"model":"gpt-4.1","stream":true,"max_output_tokens":100,"input":"x","tools":[{"type":"web_search"}]})"};
  const Record without_text = booked(asked, events(searched, false), true);
  CHECK(without_text.usage.web_searches == 4);
  CHECK(without_text.usd > 0.04_usd);
  std::vector<std::string> more = searched;
  more.push_back(R"({"type":"response.output_text.delta","output_index":1,"delta":"It rains."})");
  const Record cut = booked(asked, events(more, false), true);
  CHECK(cut.usage.web_searches == 4);
  CHECK(cut.usage.output > 0);
  // The end's own count is the last word.
  more.push_back(
      R"({"type":"response.completed","response":{"model":"gpt-4.1","usage":{"input_tokens":9,"output_tokens":5},"tool_usage":{"web_search":{"num_requests":3}}}})");
  CHECK(booked(asked, events(more, false), true).usage.web_searches == 3);

  const auto claude = [](const char* end) {
    return booked(
               {Api::anthropic_messages,
                R"({"model":"claude-sonnet-4-5","stream":true,"max_tokens":100,"messages":[]})"},
               events(
                   {R"({"type":"message_start","message":{"model":"claude-sonnet-4-5","usage":{"input_tokens":9,"output_tokens":1,"server_tool_use":{"web_search_requests":0}}}})",
                    R"({"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}})",
                    R"({"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"t","name":"web_fetch","input":{}}})",
                    R"({"type":"content_block_start","index":2,"content_block":{"name":"web_search","type":"server_tool_use","id":"u","input":{}}})",
                    R"({"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"v","name":"web_search","input":{}}})",
                    end},
                   false),
               true)
        .usage.web_searches;
  };
  CHECK(claude(R"({"type":"ping"})") == 2);
  CHECK(
      claude(
          R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9,"server_tool_use":{"web_search_requests":1}}})") ==
      1);
}

TEST_CASE("bill: a reply without a usage has the searches that it shows", "[json][bill]") {
  CHECK(
      booked({Api::openai_responses, R"({"model":"gpt-4.1","max_output_tokens":100,"input":"x"})"},
             R"({"status":"completed","model":"gpt-4.1","output":[{"type":"web_search_call","action":{"type":"search"}},
                   {"type":"message","content":[{"type":"output_text","text":"It rains."}]}]})")
          .usage.web_searches == 1);
}

TEST_CASE("bill: OpenAI's search models search in each call, and the fee is held and booked", "[json][bill]") {
  for (const std::string model : {"gpt-4o-search-preview", "gpt-4o-mini-search-preview", "gpt-5-search-api"}) {
    INFO(model);
    const Asked asked{Api::openai_chat, chat_request(model)};
    const Usd fee = *PriceTable::bundled().find(model)->web_search;
    CHECK(reserved(asked) > fee);
    const std::string usage = R"({"prompt_tokens":10,"completion_tokens":100,"total_tokens":110})";
    for (const std::string& served : {model, std::string()}) {
      const Record record = booked(asked, chat_reply(served, usage));
      CHECK(record.usage.web_searches == 1);
      CHECK(record.usd > fee);
    }
  }
  CHECK(booked({Api::openai_chat, chat_request("gpt-4.1")},
               chat_reply("gpt-4.1", R"({"prompt_tokens":10,"completion_tokens":100})"))
            .usage.web_searches == 0);
}

TEST_CASE("bill: a search by the earlier tool costs as its model reasons or not", "[json][bill]") {
  const auto asked = [](const std::string& model, const std::string& tool) {
    return Asked{
        Api::openai_responses,
        R"({"model":")" + model + R"(","max_output_tokens":100,"input":"hi","tools":[{"type":")" + tool + R"("}]})"};
  };
  const auto reply = [](const std::string& model, const std::string& tool) {
    return R"({"model":")" + model + R"(","status":"completed","tools":[{"type":")" + tool +
           R"("}],"output":[{"type":"web_search_call","action":{"type":"search"}},
              {"type":"web_search_call","action":{"type":"search"}},
              {"type":"message","content":[{"type":"output_text","text":"ok"}]}],
            "usage":{"input_tokens":1000,"output_tokens":10,"total_tokens":1010}})";
  };
  struct Case {
    std::string model, tool;
    Usd tokens, searches;
  };
  for (const Case& one : {Case{"gpt-4.1", "web_search_preview", 0.00208_usd, 0.05_usd},
                          Case{"gpt-4.1", "web_search_preview_2025_03_11", 0.00208_usd, 0.05_usd},
                          Case{"gpt-4.1", "web_search", 0.00208_usd, 0.02_usd},
                          Case{"gpt-5", "web_search_preview", 0.00135_usd, 0.02_usd}}) {
    INFO(one.model << " " << one.tool);
    const std::string whole = reply(one.model, one.tool);
    const std::string last = R"({"type":"response.completed","response":)" + whole + "}";
    for (const bool streamed : {false, true}) {
      const Record record = booked(asked(one.model, one.tool), streamed ? events({last}, false) : whole, streamed);
      CHECK(record.usd == one.tokens + one.searches);
      CHECK(record.usage.web_searches == 2);
      CHECK(record.cost_source == CostSource::table);
    }
    CHECK(reserved(asked(one.model, one.tool)) > Usd::from_nanos(one.searches.nanos() / 2));
  }
  // The program's own price of a search goes before.
  PriceTable prices = PriceTable::bundled();
  Price own = *prices.find("gpt-4.1");
  own.web_search = 0.5_usd;
  prices.register_model("gpt-4.1", own);
  Ledger ledger({.prices = prices});
  LedgerScope scope(ledger);
  {
    GuardedCall call(Api::openai_responses, asked("gpt-4.1", "web_search_preview").request);
    call.sent();
    static_cast<void>(call.try_reply(200, reply("gpt-4.1", "web_search_preview")));
  }
  CHECK(ledger.records().front().usd == 1.00208_usd);
}

TEST_CASE("bill: where a call is computed raises its price, whatever the reply says of the tier", "[json][bill]") {
  const std::string usage = R"({"prompt_tokens":100000,"completion_tokens":10,"total_tokens":100010})";
  const auto at = [&](const std::string& model, const std::string& address, const std::string& request_tier,
                      const std::string& reply_tier, bool streamed = false) {
    std::string reply = chat_reply(model, usage);
    if (!reply_tier.empty()) reply.insert(1, R"("service_tier":")" + reply_tier + R"(",)");
    const std::string tier = request_tier.empty() ? "" : R"(,"service_tier":")" + request_tier + R"(")";
    return booked({Api::openai_chat, chat_request(model, tier), {}, address}, streamed ? events({reply}) : reply,
                  streamed);
  };
  const std::string here = "https://api.openai.com/v1", eu = "https://eu.api.openai.com/v1";
  for (const bool streamed : {false, true}) {
    CHECK(at("gpt-5.4", here, "", "default", streamed).usd == 0.25015_usd);
    CHECK(at("gpt-5.4", eu, "", "default", streamed).usd == 0.275165_usd);
    CHECK(at("gpt-5.4", eu, "", "", streamed).usd == 0.275165_usd);
    CHECK(at("gpt-5.4", "https://us.api.openai.com/v1", "flex", "flex", streamed).usd == 0.1375825_usd);
  }
  CHECK(reserved({Api::openai_chat, chat_request("gpt-5.4"), {}, eu}) >
        reserved({Api::openai_chat, chat_request("gpt-5.4"), {}, here}));
  // Models of before do not cost more there.
  const Record before = at("gpt-4.1", eu, "", "default");
  CHECK(before.usd == 0.20008_usd);
  CHECK(before.cost_source == CostSource::table);

  // Anthropic's place costs a tenth more of any model of the bundled table, whether its row lists it or not; of one that the program
  // registers, what the program says.
  const auto placed = [](const std::string& model) {
    PriceTable prices = PriceTable::bundled();
    prices.register_model(
        "claude-next",
        {.rates = {.input = Rate::per_million(10_usd), .output = Rate::per_million(50_usd)}, .provider = "anthropic"});
    Ledger ledger({.prices = prices});
    LedgerScope scope(ledger);
    {
      GuardedCall call(Api::anthropic_messages,
                       R"({"model":")" + model + R"(","max_tokens":10,"inference_geo":"us","messages":[]})");
      call.sent();
      static_cast<void>(call.try_reply(200, R"({"model":")" + model + R"(","content":[],"stop_reason":"end_turn",
      "usage":{"input_tokens":100000,"output_tokens":1000,"service_tier":"standard","inference_geo":"us"}})"));
    }
    return ledger.records().front();
  };
  CHECK(placed("claude-haiku-4-5").usd == 0.1155_usd);
  CHECK(placed("claude-haiku-4-5").cost_source == CostSource::table);
  CHECK(placed("claude-next").usd == 1.05_usd);
  CHECK(placed("claude-next").cost_source == CostSource::assumed);
}

TEST_CASE("bill: xAI's searches of files and of documents are both billed", "[json][bill]") {
  const std::string details = R"("server_side_tool_usage_details":{"file_search_calls":2,"document_search_calls":3}})";
  CHECK(read(Api::xai_chat,
             chat_reply("grok-4", R"({"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,)" + details))
            .file_searches == 5);
  CHECK(read(Api::openai_responses,
             R"({"status":"completed","model":"grok-4","usage":{"input_tokens":3,"output_tokens":2,)" + details + "}")
            .file_searches == 5);
}

TEST_CASE("bill: the container of a hosted shell is billed as one that runs code", "[json][bill]") {
  CHECK(read(Api::openai_responses, R"({"status":"completed","model":"gpt-5","output":[
            {"type":"shell_call","environment":{"type":"container_reference","container_id":"c1"}},
            {"type":"shell_call","environment":{"type":"container_reference","container_id":"c1"}},
            {"type":"code_interpreter_call","container_id":"c2"},{"type":"shell_call","environment":{"type":"local"}}],
          "usage":{"input_tokens":10,"output_tokens":5}})")
            .code_sessions == 2);
}
