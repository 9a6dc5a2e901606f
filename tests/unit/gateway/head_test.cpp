#include "gateway/head.hpp"

#include <string>
#include <string_view>

#include "support/catch.hpp"

using outlay::gateway::detail::HeadCheck;
using State = HeadCheck::State;

namespace {

constexpr std::string_view good =
    "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nContent-Length: 2\r\nX-Empty:\r\n\r\n";

State state_of(std::string_view head) { return HeadCheck().look(head); }

}  // namespace

TEST_CASE("head: a head is whole at its blank line, however it is split", "[gateway][head]") {
  CHECK(state_of(good) == State::whole);
  HeadCheck check;
  for (std::size_t i = 0; i + 1 < good.size(); ++i) REQUIRE(check.look(good.substr(0, i)) == State::more);
  REQUIRE(check.look(std::string(good) + "{}") == State::whole);
  CHECK(check.size() == good.size());
}

TEST_CASE("head: what two servers may read differently is refused", "[gateway][head]") {
  const std::string line = "POST / HTTP/1.1\r\n";
  const std::string host = "Host: gateway\r\n";
  for (const std::string& bad : {line + host + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
                                 line + host + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n",
                                 line + host + "Content-Length: 2, 2\r\n\r\n",
                                 line + host + "Content-Length: +2\r\n\r\n",
                                 line + host + "Content-Length: 0x2\r\n\r\n",
                                 line + host + "Content-Length:\r\n\r\n",
                                 line + host + "Content-Length: 9999999999999999999\r\n\r\n",
                                 line + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                                 line + host + "Transfer-Encoding: gzip, chunked\r\n\r\n",
                                 line + host + "Transfer-Encoding: xchunked\r\n\r\n",
                                 line + host + "Transfer-Encoding : chunked\r\n\r\n",
                                 line + host + "Content-Length: 2\n\r\n",
                                 line + host + "X: a\r\n b\r\n\r\n",
                                 line + host + "X: a\r\n\tb\r\n\r\n",
                                 line + host + "X: a\rb\r\n\r\n",
                                 line + host + std::string("X: a\0b\r\n\r\n", 10),
                                 line + host + "no colon\r\n\r\n",
                                 line + host + ": no name\r\n\r\n",
                                 line + host + host + "\r\n",
                                 line + "\r\n",
                                 std::string("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
                                 std::string("POST /  HTTP/1.1\r\nHost: gateway\r\n\r\n"),
                                 std::string("POST /\r\n\r\n"),
                                 std::string("\r\nPOST / HTTP/1.1\r\nHost: gateway\r\n\r\n"),
                                 std::string("POST / HTTP/1.1\nHost: gateway\n\n")}) {
    HeadCheck check;
    CAPTURE(bad);
    CHECK(check.look(bad) == State::bad);
    CHECK_FALSE(std::string_view(check.why()).empty());
  }
}
