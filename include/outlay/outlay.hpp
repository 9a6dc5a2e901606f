#pragma once

// The core vocabulary: all that a program needs which makes its own requests.
#include "outlay/budget.hpp"         // IWYU pragma: export
#include "outlay/budget_handle.hpp"  // IWYU pragma: export
#include "outlay/call.hpp"           // IWYU pragma: export
#include "outlay/clock.hpp"          // IWYU pragma: export
#include "outlay/context.hpp"        // IWYU pragma: export
#include "outlay/error.hpp"          // IWYU pragma: export
#include "outlay/ledger.hpp"         // IWYU pragma: export
#include "outlay/log.hpp"            // IWYU pragma: export
#include "outlay/policy.hpp"         // IWYU pragma: export
#include "outlay/price.hpp"          // IWYU pragma: export
#include "outlay/record.hpp"         // IWYU pragma: export
#include "outlay/report.hpp"         // IWYU pragma: export
#include "outlay/rule.hpp"           // IWYU pragma: export
#include "outlay/run.hpp"            // IWYU pragma: export
#include "outlay/sink.hpp"           // IWYU pragma: export
#include "outlay/store.hpp"          // IWYU pragma: export
#include "outlay/tags.hpp"           // IWYU pragma: export
#include "outlay/tokens.hpp"         // IWYU pragma: export
#include "outlay/track.hpp"          // IWYU pragma: export
#include "outlay/usage.hpp"          // IWYU pragma: export
#include "outlay/usd.hpp"            // IWYU pragma: export
#include "outlay/version.hpp"        // IWYU pragma: export
#include "outlay/window.hpp"         // IWYU pragma: export
