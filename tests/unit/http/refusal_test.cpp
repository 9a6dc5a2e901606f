#include "http/refusal.hpp"

#include <boost/json.hpp>
#include <chrono>
#include <string>
#include <string_view>

#include "support/catch.hpp"

using namespace outlay::http::detail;
using std::chrono::milliseconds;

namespace {

ErrorFacts read(std::string_view body) { return read_error(parse_error_body(body)); }

}  // namespace

TEST_CASE("retries: a status that time may heal is worth another attempt, an empty account is not", "[http][retries]") {
  for (const int status : {429, 503, 529}) CHECK(worth_retrying(status, "", false));
  for (const int status : {400, 401, 404, 413, 422, 500, 501, 502, 504, 520})
    CHECK_FALSE(worth_retrying(status, "", false));
  CHECK_FALSE(worth_retrying(429, "insufficient_quota", false));
  CHECK_FALSE(worth_retrying(429, "enforced_spend_limit_reached", true));
  CHECK(worth_retrying(502, "", true));
  CHECK(worth_retrying(504, "", true));
  CHECK_FALSE(worth_retrying(500, "", true));
}

TEST_CASE("errors: the code of every provider's error is found, its message is not kept", "[http][errors]") {
  CHECK(
      read(
          R"({"error":{"message":"secret prompt","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}})")
          .code == "unsupported_parameter");
  CHECK(read(R"({"error":{"message":"m","type":"t","param":"messages[0].content","code":null}})").parameter ==
        "messages[0].content");
  const ErrorFacts anthropic =
      read(R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_011"})");
  CHECK(anthropic.code == "overloaded_error");
  CHECK(anthropic.request_id == "req_011");
  CHECK(read(R"([{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}])").code == "RESOURCE_EXHAUSTED");
  CHECK(read(R"({"object":"error","message":"m","type":"BadRequestError","code":400})").code == "BadRequestError");
  CHECK(read(R"({"error":{"code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}})").code ==
        "ResponsibleAIPolicyViolation");
  CHECK(read("<html>502 Bad Gateway</html>").code.empty());
  CHECK(read("").code.empty());
  CHECK(read(std::string(100'000, '[')).code.empty());
  CHECK(read(R"({"error":"a sentence with the prompt in it"})").code.empty());
}

TEST_CASE("errors: a word that may be a key or a sentence is not taken for a code", "[http][errors]") {
  CHECK(plain_word("rate_limit_exceeded") == "rate_limit_exceeded");
  CHECK(plain_word("sk-proj-abcdef").empty());
  CHECK(plain_word("the prompt").empty());
  CHECK(plain_word(std::string(65, 'a')).empty());
  CHECK(plain_word("a\r\nb").empty());
}

TEST_CASE("retries: Retry-After is read as seconds, milliseconds and a date", "[http][retries]") {
  constexpr std::time_t now = 784'111'777;  // Sun, 06 Nov 1994 08:49:37 GMT
  CHECK(read_retry_after("7", "", now) == milliseconds(7'000));
  CHECK(read_retry_after("0", "", now) == milliseconds(0));
  CHECK(read_retry_after("1.5", "", now) == milliseconds(2'000));
  CHECK(read_retry_after("7", "250", now) == milliseconds(250));
  CHECK(read_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", "", now) == milliseconds(0));
  CHECK(read_retry_after("Sun, 06 Nov 1994 08:50:37 GMT", "", now) == milliseconds(60'000));
  CHECK(read_retry_after("Sat, 05 Nov 1994 08:49:37 GMT", "", now) == milliseconds(0));
  CHECK(read_retry_after("99999999999", "", now) == std::chrono::hours(24 * 366));
  for (const char* text : {"", "-1", "soon", "7s", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nix 1994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 25:49:37 GMT", "999999999999999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(read_retry_after(text, "", now));
  }
}
