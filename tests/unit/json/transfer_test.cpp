#include <stdexcept>
#include <string>
#include <vector>

#include "outlay/json.hpp"
#include "outlay/testing.hpp"
#include "support/catch.hpp"
#include "unit/json/books.hpp"

using namespace outlay;
using namespace outlay::literals;
using outlay_test::Books;

namespace {

const std::string plain =
    R"({"model":"gpt-4o","max_completion_tokens":100,"messages":[{"role":"user","content":"Hi"}]})";
const std::string streamed =
    R"({"model":"gpt-4o","max_completion_tokens":100,"stream":true,"messages":[{"role":"user","content":"Hi"}]})";
const std::string reply =
    R"({"model":"gpt-4o","choices":[{"index":0,"message":{"content":"Hi."},"finish_reason":"stop"}],
       "usage":{"prompt_tokens":20,"completion_tokens":5}})";
const std::string delta = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi.\"}}]}\n\n";
const std::string usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":5}}\n\n";
const std::string done_event = "data: [DONE]\n\n";

/// An HTTP client of somebody else's, which reports by callbacks.
struct OtherClient {
  std::function<void(int)> on_head{};
  std::function<bool(const char*, std::size_t)> on_body{};
  int status = 200;
  std::string body{};
  std::size_t piece = 3;
  bool breaks = false;

  bool send(const std::string&) const {
    on_head(status);
    for (std::size_t at = 0; at < body.size(); at += piece)
      if (!on_body(body.data() + at, std::min(piece, body.size() - at))) return false;
    return !breaks;
  }
};

}  // namespace

TEST_CASE("transfer: a client that reports by callbacks is booked by what it says", "[json][transfer]") {
  Books books;
  OtherClient client{.body = reply};
  const std::string request = plain;
  //! [transfer_example]
  outlay::GuardedCall call(outlay::Api::openai_chat, request);
  outlay::Transfer transfer(call);
  client.on_head = [&](int status) { transfer.head(status); };
  client.on_body = [&](const char* data, std::size_t size) { return transfer.body({data, size}); };
  const bool complete = client.send(call.body_text());
  const outlay::TransferResult result =
      transfer.end(complete ? outlay::TransferEnd::complete : outlay::TransferEnd::broken);
  //! [transfer_example]
  CHECK(result.body == reply);
  CHECK(result.status == 200);
  CHECK(result.settled.usage == Usage{.input = 20, .output = 5});
  CHECK_FALSE(transfer.end(TransferEnd::broken).settled.first);
  CHECK(books.ledger.records().size() == 1);
}

TEST_CASE("transfer: of a stream the report that its sender did not ask for is kept back", "[json][transfer]") {
  Books books;
  for (const std::string& whole :
       {delta + usage + done_event, reply, std::string(" \n") + reply, delta + usage + "data: [DONE]"})
    for (std::size_t piece = 1; piece < 90; piece += 11) {
      CAPTURE(whole, piece);
      std::string got;
      GuardedCall call(Api::openai_chat, streamed);
      Transfer transfer(call, [&](std::string_view bytes) {
        got += bytes;
        return true;
      });
      OtherClient client{.on_head = [&](int status) { transfer.head(status); },
                         .on_body = [&](const char* data, std::size_t size) { return transfer.body({data, size}); },
                         .body = whole,
                         .piece = piece};
      REQUIRE(client.send({}));
      const TransferResult result = transfer.end(TransferEnd::complete);
      std::string expected = whole;
      if (const std::size_t at = whole.find(usage); at != std::string::npos) expected.erase(at, usage.size());
      CHECK(got == expected);
      CHECK(result.body.empty());
      CHECK_FALSE(result.failure);
      CHECK(books.last().usage == Usage{.input = 20, .output = 5});
    }
}

TEST_CASE("transfer: is booked by how it ended", "[json][transfer]") {
  Books books;
  Budget budget({.usd = 1_usd});
  Settled settled;
  const auto end = [&](const std::string& request, int status, const std::string& body, TransferEnd how) {
    GuardedCall call(Api::openai_chat, request);
    Transfer transfer(call);
    if (status != 0) transfer.head(status);
    if (!body.empty()) CHECK(transfer.body(body));
    const TransferResult result = transfer.end(how, "reason");
    settled = result.settled;
    return result.failure;
  };
  for (const std::string& request : {plain, streamed}) {
    CHECK_FALSE(end(request, 0, "", TransferEnd::not_sent));
    CHECK(settled.status == RecordStatus::rejected);
    CHECK_FALSE(settled.first);
    CHECK(books.ledger.records().empty());
    CHECK_FALSE(end(request, 0, "", TransferEnd::broken));
    CHECK(books.last().status == RecordStatus::indeterminate);
    CHECK_FALSE(end(request, 429, "{}", TransferEnd::broken));
    CHECK(settled.status == RecordStatus::rejected);
    CHECK(settled.cost_source == CostSource::none);
    CHECK(books.last().status == RecordStatus::rejected);
    CHECK_FALSE(end(request, 500, "", TransferEnd::complete));
    CHECK(books.last().status == RecordStatus::indeterminate);
    CHECK(end(request, 200, "", TransferEnd::complete));
    CHECK(books.last().status == RecordStatus::indeterminate);
    CHECK(end(request, 200, "", TransferEnd::not_sent));  // a client that errs: something had come
    CHECK(books.last().status == RecordStatus::indeterminate);
    CHECK(end(request, 200, "{", TransferEnd::complete)->reason() != errc::ok);
    CHECK(books.last().status == RecordStatus::indeterminate);
    {
      GuardedCall call(Api::openai_chat, request);
      Transfer abandoned(call);
    }
    CHECK(books.last().status == RecordStatus::indeterminate);
    books.ledger.reset();
  }
  CHECK(budget.reserved() == Amounts{});
}

TEST_CASE("transfer: a reply over the limit is aborted and charged", "[json][transfer]") {
  Books books;
  for (const std::string& request : {plain, streamed}) {
    GuardedCall call(Api::openai_chat, request);
    Transfer transfer(call, {}, {.reply_bytes = 100});
    transfer.head(200);
    CHECK(transfer.body(std::string(100, ' ')));
    CHECK_FALSE(transfer.body(" "));
    CHECK_FALSE(transfer.body(reply));
    CHECK(transfer.end(TransferEnd::broken).failure);
    CHECK(books.last().status == RecordStatus::indeterminate);
  }
}

TEST_CASE("transfer: what a Deliver refuses or throws aborts the transfer, and the call is charged",
          "[json][transfer]") {
  Books books;
  for (const std::string& request : {plain, streamed})
    for (const bool throws : {false, true}) {
      GuardedCall call(Api::openai_chat, request);
      Transfer transfer(call, [&](std::string_view) -> bool {
        if (throws) throw std::runtime_error("full");
        return false;
      });
      transfer.head(200);
      CHECK_FALSE(transfer.body(request == plain ? reply : delta));
      const TransferResult result = transfer.end(TransferEnd::broken);
      CHECK((result.thrown != nullptr) == throws);
      CHECK(books.last().usd > 0_usd);
      CHECK_FALSE(call.call().open());
    }
}

TEST_CASE("transfer: an answer may be a stream although only its URL says so", "[json][transfer]") {
  Books books;
  GuardedCall call(Api::gemini, R"({"contents":[]})", {.model = "gpt-4o"});
  Transfer transfer(call, {}, {.streamed = true});
  transfer.head(200);
  const std::string event =
      "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]},\"finishReason\":\"STOP\"}],"
      "\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":2}}\r\n\r\n";
  CHECK(transfer.body(event));
  const TransferResult result = transfer.end(TransferEnd::complete);
  CHECK(result.body == event);
  CHECK(books.last().usage == Usage{.input = 10, .output = 2});
}
