#pragma once

/// The library's version: major, minor and patch, and one comparable number.
#define OUTLAY_VERSION_MAJOR 0
#define OUTLAY_VERSION_MINOR 1
#define OUTLAY_VERSION_PATCH 0
#define OUTLAY_VERSION (OUTLAY_VERSION_MAJOR * 10000 + OUTLAY_VERSION_MINOR * 100 + OUTLAY_VERSION_PATCH)
#define OUTLAY_VERSION_STRING "0.1.0"
