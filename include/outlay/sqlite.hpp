#pragma once

// Records and events in an SQLite file, reports from it, and counters that processes share.
#include "outlay/outlay.hpp"         // IWYU pragma: export
#include "outlay/sqlite/reader.hpp"  // IWYU pragma: export
#include "outlay/sqlite/report.hpp"  // IWYU pragma: export
#include "outlay/sqlite/sink.hpp"    // IWYU pragma: export
#include "outlay/sqlite/store.hpp"   // IWYU pragma: export
