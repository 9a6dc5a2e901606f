// What a call is booked at in the end: by its reply, whole or streamed, at the bundled prices.
#include "bill.hpp"

using namespace outlay_test;

TEST_CASE("bill: an error beside a usage does not make it free", "[json][bill]") {
  for (const char* const code : {"503", "429"}) {
    INFO(code);
    const Record routed =
        booked({Api::openrouter_chat, chat_request("openai/gpt-4.1")},
               R"({"model":"openai/gpt-4.1","error":{"code":)" + std::string(code) + R"(,"message":"upstream"},
          "choices":[{"index":0,"finish_reason":"error","message":{"content":"part of it"}}],
          "usage":{"prompt_tokens":10000,"completion_tokens":5000,"total_tokens":15000,"cost":0.06}})");
    CHECK(routed.usd == 0.06_usd);
    CHECK(routed.usage == Usage{.input = 10'000, .output = 5'000});
    CHECK(routed.status == RecordStatus::settled);
    const Record gemini = booked(
        {Api::gemini, R"({"contents":[]})", "gemini-2.5-flash"},
        R"({"candidates":[{"content":{"parts":[{"text":"part"}]}}],"error":{"code":)" + std::string(code) +
            R"(,"status":"UNAVAILABLE"},"usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":50,"totalTokenCount":150}})");
    CHECK(gemini.usage == Usage{.input = 100, .output = 50});
    CHECK(gemini.usd > 0_usd);
  }
  // Without an answer and without a usage, or with one that is empty, the status decides as before.
  for (const char* const usage : {"", R"(,"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0})"})
    CHECK(booked({Api::openrouter_chat, chat_request("openai/gpt-4.1")},
                 R"({"error":{"code":503,"message":"upstream"})" + std::string(usage) + "}")
              .status == RecordStatus::rejected);
  // An answer that nobody counted may have been billed.
  CHECK(booked({Api::openrouter_chat, chat_request("openai/gpt-4.1")},
               R"({"error":{"code":503},"choices":[{"index":0,"message":{"content":"part of it"}}]})")
            .status == RecordStatus::indeterminate);
}
