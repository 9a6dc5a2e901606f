#pragma once

#include "outlay/detail/export.hpp"
#include "outlay/price.hpp"

namespace outlay::testing {

/// A small table that never changes, undated: what tests can count on whatever the bundled one says.
///
/// | model | input | cached | output | |
/// | --- | --- | --- | --- | --- |
/// | gpt-4o | $2.50 | $1.25 | $10.00 | per million tokens, at most 16,384 out |
/// | gpt-4o-mini | $0.15 | $0.075 | $0.60 | the same |
/// | cent | | | | $0.01 a request, whatever its tokens |
/// | unit | $1.00 | | $1.00 | a micro-dollar a token |
/// | free | | | | nothing |
[[nodiscard]] OUTLAY_EXPORT PriceTable fixture_prices();

}  // namespace outlay::testing
