#pragma once

#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/json.hpp"
#include "outlay/testing.hpp"
#include "streams.hpp"
#include "support/catch.hpp"

// What the tests of bills share.
namespace outlay_test {

namespace json = boost::json;
using namespace outlay;
using namespace outlay::literals;

/// Who asks whom for what.
struct Asked {
  Api api;
  std::string request;
  std::string model{};     // where the URL names it
  std::string provider{};  // empty: the API's own
};

/// Books one answer in a ledger of its own.
inline Record booked(const Asked& asked, const std::string& answer, bool streamed = false, int status = 200) {
  Ledger ledger({.prices = PriceTable::bundled()});
  LedgerScope scope(ledger);
  {
    GuardedCall call(asked.api, asked.request, {.model = asked.model, .provider = asked.provider});
    call.sent();
    if (streamed) {
      Stream stream = call.stream(status);
      static_cast<void>(stream.try_feed(answer));
      static_cast<void>(stream.try_finish());
    } else {
      static_cast<void>(call.try_reply(status, answer));
    }
  }
  const std::vector<Record> records = ledger.records();
  REQUIRE(records.size() == 1);
  return records.front();
}

/// What is held for a request before it leaves.
inline Usd reserved(const Asked& asked) {
  Ledger ledger({.prices = PriceTable::bundled()});
  LedgerScope scope(ledger);
  Budget budget({.usd = 1'000_usd});
  const GuardedCall call(asked.api, asked.request, {.model = asked.model, .provider = asked.provider});
  return budget.reserved().usd;
}

/// Events of a stream, each by its JSON.
inline std::string events(const std::vector<std::string>& all, bool done = true) {
  std::string bytes;
  for (std::string one : all) {
    std::replace(one.begin(), one.end(), '\n', ' ');
    bytes += "data: " + one + "\n\n";
  }
  return done ? bytes + "data: [DONE]\n\n" : bytes;
}

inline std::string chat_request(const std::string& model, const std::string& more = {}) {
  return R"({"model":")" + model + R"(","max_tokens":1000)" + more + R"(,"messages":[{"role":"user","content":"hi"}]})";
}

inline std::string chat_reply(const std::string& model, const std::string& usage) {
  return R"({"model":")" + model +
         R"(","choices":[{"index":0,"finish_reason":"stop","message":{"content":"ok"}}],"usage":)" + usage + "}";
}

inline Usage read(Api api, const std::string& reply) { return read_usage(api, json::parse(reply)).usage; }

}  // namespace outlay_test
