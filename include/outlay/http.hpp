#pragma once

// An HTTP client for LLM providers that stays inside budgets.
#include "outlay/asio.hpp"          // IWYU pragma: export
#include "outlay/http/client.hpp"   // IWYU pragma: export
#include "outlay/http/error.hpp"    // IWYU pragma: export
#include "outlay/http/options.hpp"  // IWYU pragma: export
