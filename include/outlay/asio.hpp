#pragma once

// Budgets and tags that follow Boost.Asio coroutines.
#include "outlay/asio/async_call.hpp"           // IWYU pragma: export
#include "outlay/asio/async_guard.hpp"          // IWYU pragma: export
#include "outlay/asio/async_run.hpp"            // IWYU pragma: export
#include "outlay/asio/awaitable_operators.hpp"  // IWYU pragma: export
#include "outlay/asio/bind_context.hpp"         // IWYU pragma: export
#include "outlay/asio/co_spawn.hpp"             // IWYU pragma: export
#include "outlay/asio/context_executor.hpp"     // IWYU pragma: export
#include "outlay/asio/preserve.hpp"             // IWYU pragma: export
#include "outlay/json.hpp"                      // IWYU pragma: export
#include "outlay/outlay.hpp"                    // IWYU pragma: export
