// The table by which the helpers for other clients are checked, too (tests/unit/curl, tests/unit/httplib).
#include "same_books.hpp"

using namespace test;

TEST_CASE("client: books what the table says of each answer", "[http][faults]") {
  for (const WireCase& one : wire_cases()) {
    CAPTURE(one.name);
    const FaultServer server([&](std::size_t, std::string_view) { return one.plan; });
    CHECK(booked_by_client(client_options(server, one.plan), one.streamed, true, 10'000) == one.booked);
  }
}
