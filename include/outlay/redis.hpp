#pragma once

// Counters in Redis, shared by the processes of many machines.
#include "outlay/outlay.hpp"       // IWYU pragma: export
#include "outlay/redis/store.hpp"  // IWYU pragma: export
