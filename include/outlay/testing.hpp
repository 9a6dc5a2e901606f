#pragma once

// For users' tests: a clock that stands still, sinks that record, fail and block, fixed prices, every order of some steps.
#include "outlay/testing/clock.hpp"     // IWYU pragma: export
#include "outlay/testing/prices.hpp"    // IWYU pragma: export
#include "outlay/testing/schedule.hpp"  // IWYU pragma: export
#include "outlay/testing/sinks.hpp"     // IWYU pragma: export
#include "outlay/testing/stores.hpp"    // IWYU pragma: export
