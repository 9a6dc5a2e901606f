#include "core/base/back_off.hpp"

#include <algorithm>
#include <chrono>
#include <climits>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using outlay::detail::BackOff;

namespace {

/// The shortest and the longest of many waits.
std::pair<BackOff::Milliseconds, BackOff::Milliseconds> bounds(BackOff back_off, int failures) {
  auto shortest = BackOff::Milliseconds::max(), longest = BackOff::Milliseconds::min();
  for (int i = 0; i < 2'000; ++i) {
    const auto wait = back_off.wait(failures);
    shortest = std::min(shortest, wait);
    longest = std::max(longest, wait);
  }
  return {shortest, longest};
}

}  // namespace

TEST_CASE("back-off: the delay doubles with each failure up to the longest", "[core][back_off]") {
  BackOff exact(20ms, 100ms, {100, 100});
  CHECK(exact.wait(1) == 20ms);
  CHECK(exact.wait(2) == 40ms);
  CHECK(exact.wait(3) == 80ms);
  CHECK(exact.wait(4) == 100ms);
  CHECK(exact.wait(5) == 100ms);
  CHECK(exact.wait(INT_MAX) == 100ms);
}

TEST_CASE("back-off: a wait is anywhere in its spread, and never outside", "[core][back_off]") {
  for (const BackOff::Spread spread : {BackOff::Spread{}, {0, 100}, {75, 125}}) {
    CAPTURE(spread.from, spread.to);
    const auto [shortest, longest] = bounds(BackOff(10ms, 1s, spread), 4);
    CHECK(shortest >= 80ms * spread.from / 100);
    CHECK(shortest <= 80ms * spread.from / 100 + 2ms);
    CHECK(longest <= 80ms * spread.to / 100);
    CHECK(longest >= 80ms * spread.to / 100 - 2ms);
  }
}

TEST_CASE("back-off: no delay stays none, and the longest bounds the first", "[core][back_off]") {
  BackOff none(0ms, 1s, {});
  CHECK(none.wait(1) == 0ms);
  CHECK(none.wait(INT_MAX) == 0ms);
  BackOff short_one(1s, 10ms, {100, 100});
  CHECK(short_one.wait(1) == 10ms);
}

TEST_CASE("back-off: delays of any length do not overflow", "[core][back_off]") {
  BackOff endless(1ms, BackOff::Milliseconds::max(), {100, 100});
  CHECK(endless.wait(INT_MAX) == BackOff::Milliseconds::max());
}
