#pragma once

// Records and events in an SQLite file, and reports from it.
#include "outlay/outlay.hpp"         // IWYU pragma: export
#include "outlay/sqlite/report.hpp"  // IWYU pragma: export
#include "outlay/sqlite/sink.hpp"    // IWYU pragma: export
