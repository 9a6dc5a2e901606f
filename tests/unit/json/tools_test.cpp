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
