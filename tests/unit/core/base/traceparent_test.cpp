#include "core/base/traceparent.hpp"

#include <string>

#include "support/catch.hpp"

using outlay::detail::is_traceparent;
using outlay::detail::read_traceparent;

TEST_CASE("traceparent: version 00 is read", "[core][traceparent]") {
  const auto trace = read_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  REQUIRE(trace);
  CHECK(trace->trace_id == "0af7651916cd43dd8448eb211c80319c");
  CHECK(trace->parent_id == "b7ad6b7169203331");
  CHECK(trace->sampled);
}

TEST_CASE("traceparent: the last bit of the flags says sampled", "[core][traceparent]") {
  for (const auto& [flags, sampled] : {std::pair{"00", false},
                                       {"01", true},
                                       {"02", false},
                                       {"f9", true},
                                       {"0a", false},
                                       {"0f", true},
                                       {"fe", false}}) {
    INFO(flags);
    const std::string text = std::string("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-") + flags;
    REQUIRE(read_traceparent(text));
    CHECK(read_traceparent(text)->sampled == sampled);
  }
}

TEST_CASE("traceparent: anything else is none", "[core][traceparent]") {
  for (const char* text : {"", "00",
                           "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",    // capitals
                           "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",    //
                           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A",    //
                           "00-00000000000000000000000000000000-b7ad6b7169203331-01",    // no trace
                           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",    // no parent
                           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",    // a version that is forbidden
                           "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",    // versions to come
                           "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",  //
                           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",  // too long
                           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",     // too short
                           "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",    // no dash
                           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-010",    // a dash elsewhere
                           "00-0af7651916cd43dd8448eb211c8031-c-b7ad6b7169203331-01",    //
                           "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",    // no digit
                           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\n"}) {
    INFO(text);
    CHECK_FALSE(is_traceparent(text));
  }
}
