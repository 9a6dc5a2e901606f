#pragma once

// Requests and replies as JSON: any HTTP client, any provider.
#include "outlay/json/api.hpp"       // IWYU pragma: export
#include "outlay/json/guard.hpp"     // IWYU pragma: export
#include "outlay/json/prices.hpp"    // IWYU pragma: export
#include "outlay/json/rules.hpp"     // IWYU pragma: export
#include "outlay/json/stream.hpp"    // IWYU pragma: export
#include "outlay/json/transfer.hpp"  // IWYU pragma: export
#include "outlay/outlay.hpp"         // IWYU pragma: export
